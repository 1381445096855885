//! A server's own wall clock, which a test can move while the server runs, as an operator or a time server does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A clock for one program.
#[derive(Debug)]
pub(crate) struct Clock {
    /// The library that the program loads first.
    library: PathBuf,
    /// The offset in seconds, in the processor's own order of bytes. The program has the file mapped.
    offset: PathBuf,
}

impl Clock {
    /// Makes a clock that is right, with its files in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
        fs::write(&source, include_str!("clock.c")).unwrap();
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).output();
        let compiled = compiled.expect("the C compiler of Debian's package gcc is installed");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let clock = Self { library, offset: folder.join("clock") };
        clock.set(0);
        clock
    }

    /// The environment of the program.
    pub(crate) fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.library), ("MOVED_CLOCK", &self.offset)]
    }

    /// Sets the offset, in seconds from the system's time.
    pub(crate) fn set(&self, seconds: i64) {
        // The file keeps its place, because the program has it mapped: it is not truncated.
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).open(&self.offset).unwrap();
        std::io::Write::write_all(&mut file, &seconds.to_ne_bytes()).unwrap();
    }
}
