//! The memory, files, threads and processor time of a process at one moment, from Linux's proc(5).

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// The unit of times in `/proc/<pid>/stat`. Linux shows hundredths of a second to programs, whatever its own clock is.
const TICK: Duration = Duration::from_millis(10);

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
    /// Processor time of all its threads so far, those that have ended too, in steps of 10 ms.
    pub(crate) busy: Duration,
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
        let busy = busy(&fs::read_to_string(format!("/proc/{id}/stat"))?)
            .with_context(|| format!("/proc/{id}/stat has no times"))?;
        Ok(Self { resident: number("VmRSS:")? * 1024, files, threads: number("Threads:")?, busy })
    }
}

/// The processor time in `/proc/<pid>/stat`: in user mode and in the kernel.
fn busy(stat: &str) -> Option<Duration> {
    // The name of the program may have any characters; the last parenthesis is behind it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut ticks = rest.split_whitespace().skip(11).map(|word| word.parse::<u32>().ok());
    Some(TICK * (ticks.next()?? + ticks.next()??))
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
    fn work_is_seen_whatever_the_program_is_called() {
        let fields = "S 1 1 1 0 -1 4194560 100 0 0 0 150 27 9 9 20 0 1 0 100";
        assert_eq!(busy(&format!("7 (a) b 1 2) {fields}")), Some(Duration::from_millis(1770)));
        assert_eq!(busy("7 (a) S 1"), None);
        let before = Sample::of(std::process::id()).unwrap().busy;
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            if Sample::of(std::process::id()).unwrap().busy >= before + 2 * TICK {
                return;
            }
        }
        panic!("it was busy, and nothing was seen");
    }

    #[test]
    fn a_process_that_is_gone_is_named() {
        let error = Sample::of(u32::MAX).unwrap_err();
        assert!(format!("{error:#}").contains("4294967295"), "{error:#}");
    }
}
