//! Ends the programs with the load generator. Leaving a scope ends them, but a panic in a release build aborts,
//! and then nothing is dropped.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::cores;

/// From now on a panic first ends this process's children.
pub(crate) fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        end();
    }));
}

/// Ends this process's children, and what it has changed of its session.
pub(crate) fn end() {
    cores::give_way();
    for child in children() {
        // It may have ended already.
        let _ = kill_process(child, Signal::KILL);
    }
}

/// The children of every thread, as the kernel lists them: see proc_pid_task(5).
fn children() -> Vec<Pid> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let ids = lists.flat_map(|list| list.split_whitespace().map(str::parse).collect::<Vec<_>>());
    ids.flatten().filter_map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_of_any_thread_is_known_until_it_has_ended() {
        let mut child =
            std::thread::spawn(|| Command::new("sleep").arg("60").spawn().unwrap()).join().unwrap();
        let id = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        assert!(children().contains(&id));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children().contains(&id));
    }
}
