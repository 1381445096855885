//! What a process has spent, finer than a `Sample`: processor time in nanoseconds, and its own share of memory.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// Processor time of all threads that a process has now, from their schedstat in proc(5): in nanoseconds, where
/// `/proc/<pid>/stat` counts hundredths of a second.
///
/// # Errors
/// When there is no such process, or a kernel that does not count.
pub(crate) fn busy(id: u32) -> anyhow::Result<Duration> {
    let threads = fs::read_dir(format!("/proc/{id}/task"))
        .with_context(|| format!("process {id} cannot be looked at; has it ended?"))?;
    let mut busy = 0;
    for thread in threads {
        // A thread may have ended since.
        let Ok(times) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let first = times.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        busy += first.context("a schedstat without times")?;
    }
    Ok(Duration::from_nanos(busy))
}

/// A process's proportional share of memory in bytes (`Pss` in smaps_rollup): what it has for itself, and its part of
/// what it shares.
///
/// # Errors
/// When there is no such process.
pub(crate) fn memory(id: u32) -> anyhow::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))
        .with_context(|| format!("the memory of process {id}"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("a smaps_rollup without Pss")? * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn work_and_memory_are_seen() {
        let own = std::process::id();
        let (before, began) = (busy(own).unwrap(), std::time::Instant::now());
        while busy(own).unwrap() < before + Duration::from_millis(5) {
            assert!(began.elapsed() < Duration::from_secs(30), "it was busy, and nothing was seen");
        }
        let held = std::hint::black_box(vec![7_u8; 32 << 20]);
        assert!(memory(own).unwrap() > 30 << 20);
        drop(held);
    }

    #[test]
    fn a_process_that_is_gone_is_named() {
        for error in [busy(u32::MAX).unwrap_err(), memory(u32::MAX).unwrap_err()] {
            assert!(format!("{error:#}").contains("4294967295"), "{error:#}");
        }
    }
}
