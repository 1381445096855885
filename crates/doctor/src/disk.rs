//! Whether a disk has room.

use std::path::Path;

use crate::check::Sheet;
use crate::words::Words;

/// Less is told. A day of many logins takes some MiB, and a copy during an upgrade as much as the file.
const LITTLE: u64 = 256 * 1024 * 1024;

/// With less nothing can be written for long.
const NOTHING: u64 = 1024 * 1024;

const MEBIBYTE: u64 = 1024 * 1024;

/// Writes how much room there is where `setting` keeps its files.
pub fn check(sheet: &Sheet, setting: &str, folder: &Path) {
    // A file system that does not say is no fault.
    if let Ok(about) = rustix::fs::statvfs(folder) {
        tell(sheet, setting, about.f_bavail.saturating_mul(about.f_frsize));
    }
}

fn tell(sheet: &Sheet, setting: &str, free: u64) {
    let description =
        Words::new(format!("the disk of {setting} has room"), format!("{setting} 所在磁盘有空间"));
    let found =
        Words::new(format!("{} MiB are free", free / MEBIBYTE), format!("剩余 {} MiB", free / MEBIBYTE));
    let hint = || {
        Words::new(
            format!("make room on the disk of {setting}, or move the file: a full disk lets nobody log in"),
            format!("请清理 {setting} 所在的磁盘，或移动文件：磁盘满了就无法登录"),
        )
    };
    if free < NOTHING {
        sheet.failure(description, found, hint());
    } else if free < LITTLE {
        sheet.warning(description, found, hint());
    } else {
        sheet.ok_with(description, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    #[test]
    fn little_is_told_and_nothing_is_a_failure() {
        for (free, outcome) in [(0, Outcome::Failure), (NOTHING, Outcome::Warning), (LITTLE, Outcome::Ok)] {
            let sheet = Sheet::default();
            tell(&sheet, "STORE", free);
            assert_eq!(sheet.checks()[0].outcome, outcome, "{free}");
        }
        let sheet = Sheet::default();
        check(&sheet, "STORE", Path::new("."));
        assert_eq!(sheet.checks().len(), 1);
    }
}
