//! Files that a setting names. They are read whole, within a limit, and nothing waits for them: a start or a SIGHUP must not
//! hang because a path leads to a pipe, or take all memory because it leads to a device.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// When it cannot be read, has more bytes, or is a folder, a pipe or a device.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    // Opening a pipe waits for its writer, so this comes first.
    let about = fs::metadata(path)?;
    if !about.is_file() {
        let problem = "it is no regular file but a folder, a pipe or a device";
        return Err(Error::new(ErrorKind::InvalidInput, problem));
    }
    let mut bytes = Vec::new();
    // Its size says nothing of a file that is being written, or of one of the kernel's.
    if about.len() <= most {
        File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    match about.len() > most || bytes.len() as u64 > most {
        true => Err(Error::new(ErrorKind::FileTooLarge, format!("it has more than {most} bytes"))),
        false => Ok(bytes),
    }
}

/// As [`read`], for a text.
///
/// # Errors
/// As [`read`], and when it is not UTF-8. The text is never shown.
pub fn read_text(path: &Path, most: u64) -> Result<String> {
    let text = String::from_utf8(read(path, most)?);
    text.map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8; save it as UTF-8"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::Command;

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_nothing_else_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let [file, pipe] = ["file", "pipe"].map(|name| folder.path().join(name));
        fs::write(&file, "茶馆").unwrap();
        assert_eq!(read_text(&file, 6).unwrap(), "茶馆");
        assert_eq!(read(&file, 5).unwrap_err().to_string(), "it has more than 5 bytes");
        fs::write(&file, [0xff]).unwrap();
        assert!(read_text(&file, 6).unwrap_err().to_string().contains("not UTF-8"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [folder.path(), &pipe, Path::new("/dev/zero")] {
            let problem = read(path, 6).unwrap_err().to_string();
            assert!(problem.contains("no regular file"), "{problem}");
        }
        assert_eq!(read(&folder.path().join("absent"), 6).unwrap_err().kind(), ErrorKind::NotFound);
        // The kernel says that it is empty.
        assert!(read(Path::new("/proc/self/status"), 6).unwrap_err().to_string().contains("more than 6"));
    }
}
