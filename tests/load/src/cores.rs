//! Which processor runs what: the server under test on one core, everything else on the others.
//!
//! A server that shares its core with the load is measured with the load's caches and its turns. A program inherits the
//! cores of the thread that starts it, so it knows from its beginning how many there are for it.

use std::fs;
use std::sync::{Once, OnceLock};

use anyhow::Context;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of the server, and those of the load and of the offline WeChat.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    all: CpuSet,
    server: CpuSet,
    load: CpuSet,
    count: usize,
}

impl Cores {
    /// The cores that this process may use: the first is the server's. Where there is one, all share it.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn here() -> anyhow::Result<Self> {
        let all = sched_getaffinity(None).context("which cores there are")?;
        let mut each = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
        let (mut server, mut load) = (CpuSet::new(), CpuSet::new());
        let first = each.next().context("there is no core")?;
        server.set(first);
        each.for_each(|core| load.set(core));
        if load.count() == 0 {
            load.set(first);
        }
        Ok(Self { all, server, load, count: all.count() as usize })
    }

    /// Whether server and load have different ones.
    pub(crate) fn are_apart(&self) -> bool {
        self.count > 1
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Starts a program on the server's core.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn for_server<T>(&self, start: impl FnOnce() -> T) -> anyhow::Result<T> {
        sched_setaffinity(None, &self.server)?;
        let started = start();
        // What this process has begun meanwhile, such as the reader of the program's log, belongs to the load.
        self.keep_off()?;
        Ok(started)
    }

    /// Keeps every thread of this process on the load's cores.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn keep_off(&self) -> anyhow::Result<()> {
        set_all(&self.load)
    }

    /// Lets every thread of this process run anywhere, as before.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn let_go(&self) -> anyhow::Result<()> {
        set_all(&self.all)
    }
}

/// Where Linux keeps the weight of a session's programs among those of other sessions: see sched(7), autogroups.
const WEIGHT: &str = "/proc/self/autogroup";

/// The weight before this program changed it.
static BEFORE: OnceLock<String> = OnceLock::new();

/// Lets this thread, and the programs that it starts, go before others, where this user may: neighbours that compile would be
/// seen in every latency. Until [`give_way`] that holds for the whole session.
pub(crate) fn go_first() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustix::process::nice(-15);
        let Ok(before) = fs::read_to_string(WEIGHT) else { return };
        if let Some(nice) = before.split_whitespace().last() {
            let _ = BEFORE.set(nice.to_owned());
            let _ = fs::write(WEIGHT, "-15");
        }
    });
}

/// Gives the session the weight that it had.
pub(crate) fn give_way() {
    if let Some(before) = BEFORE.get() {
        let _ = fs::write(WEIGHT, before);
    }
}

fn set_all(cores: &CpuSet) -> anyhow::Result<()> {
    for thread in fs::read_dir("/proc/self/task")? {
        let id: i32 = thread?.file_name().to_string_lossy().parse()?;
        // A thread may end meanwhile.
        if let Some(id) = Pid::from_raw(id) {
            let _ = sched_setaffinity(Some(id), cores);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::Command;

    use super::*;

    #[test]
    fn a_program_of_the_server_has_one_core_and_its_own() {
        let cores = Cores::here().unwrap();
        let allowed = || Command::new("nproc").output().unwrap().stdout;
        let server = cores.for_server(allowed).unwrap();
        assert_eq!(String::from_utf8(server).unwrap().trim(), "1");
        let load = allowed();
        cores.let_go().unwrap();
        let all: usize = String::from_utf8(allowed()).unwrap().trim().parse().unwrap();
        assert_eq!(all, cores.count());
        let load: usize = String::from_utf8(load).unwrap().trim().parse().unwrap();
        assert_eq!(load, (all - 1).max(1));
    }
}
