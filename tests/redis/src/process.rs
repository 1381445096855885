//! A process that can be frozen and killed, and that ends with the test.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use rustix::process::{Pid, Signal, kill_process};

use crate::clock::Clock;
use crate::wait_for;

/// A running program. Dropping it kills it.
pub(crate) struct Process(Child);

impl Process {
    /// Starts a program, by a `clock` of its own if there is one. Its output is dropped, because it has a log file.
    pub(crate) fn start(program: &str, configuration: &Path, clock: Option<&Clock>) -> Self {
        // `setpriv` is replaced by the program, and has the kernel kill it when the thread that started it
        // ends. So a killed test, or a server in a static, leaves no process behind.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]).arg(configuration);
        command.envs(clock.iter().flat_map(|clock| clock.environment()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match start(command) {
            Ok(child) => Self(child),
            Err(error) => panic!("setpriv of the package util-linux cannot be started: {error}"),
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) {
        wait_for("the process to end", || match self.has_ended() {
            true => Ok(()),
            false => Err(format!("{} still runs", self.id())),
        });
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }

    /// Stops it (SIGSTOP), and waits until it is stopped.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        // The main thread's state comes after the program's name, which is in brackets.
        let state = format!("/proc/{}/stat", self.id());
        wait_for("the process to stand still", || {
            let line = std::fs::read_to_string(&state).unwrap();
            if line.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')) {
                Ok(())
            } else {
                Err(line)
            }
        });
    }

    /// Continues it.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.id().try_into().unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a command from a thread that lives as long as this process.
fn start(command: Command) -> io::Result<Child> {
    type Wish = (Command, Sender<io::Result<Child>>);
    static STARTER: OnceLock<Sender<Wish>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (wish, wishes) = channel::<Wish>();
        std::thread::spawn(move || {
            for (mut command, answer) in wishes {
                // The caller waits for the answer.
                let _ = answer.send(command.spawn());
            }
        });
        wish
    });
    let (answer, started) = channel();
    starter.send((command, answer)).unwrap();
    started.recv().unwrap()
}
