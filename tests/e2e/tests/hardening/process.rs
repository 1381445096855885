//! A process as Linux sees it: its memory, its processor time, its open files, and who holds a port's
//! connections.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::page::PATIENCE;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Bytes of memory that a process really has (`VmRSS` of proc_pid_status(5)).
pub(crate) fn memory(id: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// The most [`memory`] that is seen until `done`.
pub(crate) async fn peak_memory(id: u32, done: impl Future<Output = ()>) -> usize {
    let mut peak = memory(id);
    let watch = async {
        let mut often = interval(Duration::from_millis(100));
        often.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            often.tick().await;
            peak = peak.max(memory(id));
        }
    };
    tokio::select! {
        () = watch => {}
        () = done => {}
    }
    peak
}

/// How many files a process has open.
pub(crate) fn open_files(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

/// Lets a process that runs already have no more than `files` files open; what is open stays so.
pub(crate) fn limit_files(id: u32, files: usize) {
    let mut command = Command::new("prlimit");
    // The soft limit alone: raising the hard one again is for root.
    command.args([format!("--pid={id}"), format!("--nofile={files}:")]);
    assert!(command.status().unwrap().success());
}

/// The share of one processor that a process uses, over two seconds; 1 is what an endless loop has.
pub(crate) async fn load(id: u32) -> f64 {
    let (before, began) = (processor_time(id), Instant::now());
    // The length of the measurement, and nothing that is waited for.
    sleep(Duration::from_secs(2)).await;
    (processor_time(id) - before).div_duration_f64(began.elapsed())
}

/// `utime` and `stime` of proc_pid_stat(5).
fn processor_time(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name, in parentheses, may have spaces.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    // Linux tells them in hundredths of a second, whatever its own clock does.
    Duration::from_millis(ticks * 10)
}

/// How many connections to `door` a process has open. What the kernel alone still looks after, such as an answer
/// that nobody reads on a connection that was let go of, does not count.
pub(crate) fn held(id: u32, door: SocketAddr) -> usize {
    let port = format!(":{:04X}", door.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    // Local address, state (0A listens) and inode. A row may come twice while others come and go.
    let rows = rows.filter(|row| row[1].ends_with(&port) && row[3] != "0A");
    let connections: HashSet<String> = rows.map(|row| format!("socket:[{}]", row[9])).collect();
    let files = fs::read_dir(format!("/proc/{id}/fd")).unwrap();
    // A file that is closed meanwhile leads nowhere.
    let files = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    files.filter(|file| file.to_str().is_some_and(|file| connections.contains(file))).count()
}

/// Looks until it `is` so, and gives how long that took.
pub(crate) async fn until(what: &str, mut is: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    let mut often = interval(Duration::from_millis(20));
    while !is() {
        assert!(began.elapsed() < PATIENCE, "{what} within {PATIENCE:?}");
        often.tick().await;
    }
    began.elapsed()
}
