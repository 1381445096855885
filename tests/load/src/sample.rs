//! The memory, files and threads of a process at one moment, from Linux's proc(5).

use std::fs;

use anyhow::Context;

/// The resources of one process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Resident memory in bytes (`VmRSS`). The kernel counts it per thread and sums up only now and then, so it
    /// is exact to some hundred kilobytes.
    pub(crate) resident: u64,
    /// Open files, including connections.
    pub(crate) files: usize,
    /// Threads.
    pub(crate) threads: u64,
}

impl Sample {
    /// Samples the process with this id.
    ///
    /// # Errors
    /// When there is no such process, or no `/proc`.
    pub(crate) fn of(id: u32) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{id}/status"))
            .with_context(|| format!("process {id} cannot be looked at; has it ended?"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|line| line.split_whitespace().next());
            let number: Option<u64> = word.and_then(|word| word.parse().ok());
            number.with_context(|| format!("/proc/{id}/status has no {name}"))
        };
        let files = fs::read_dir(format!("/proc/{id}/fd"))?.count();
        Ok(Self { resident: number("VmRSS:")? * 1024, files, threads: number("Threads:")? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn memory_that_is_held_is_seen() {
        let held = std::hint::black_box(vec![7_u8; 64 << 20]);
        let own = Sample::of(std::process::id()).unwrap();
        assert!(own.resident > 60 << 20, "{own:?}");
        drop(held);
    }

    /// A sample of a shell that has run `first` and waits.
    fn sample_of_shell(first: &str) -> Sample {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{first} echo ready; read end"));
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(shell.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        let sample = Sample::of(shell.id()).unwrap();
        drop(shell.stdin.take());
        shell.wait().unwrap();
        sample
    }

    #[test]
    fn every_open_file_and_thread_is_seen() {
        let (few, more) = (sample_of_shell(""), sample_of_shell("exec 7</dev/null 8</dev/null;"));
        assert_eq!((more.files - few.files, few.threads), (2, 1), "{few:?} {more:?}");
        assert!((1 << 16..1 << 25).contains(&few.resident), "{few:?}");
    }

    #[test]
    fn a_process_that_is_gone_is_named() {
        let error = Sample::of(u32::MAX).unwrap_err();
        assert!(format!("{error:#}").contains("4294967295"), "{error:#}");
    }
}
