//! The real programs as processes: started with settings as an operator would, and killed as a crash would.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::page::PATIENCE;

/// The path of one of our programs, after it is built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let mut folder = std::env::current_exe().unwrap();
        while !folder.ends_with("debug") && !folder.ends_with("release") {
            assert!(folder.pop(), "tests run from cargo's target folder");
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        // The build selects the whole workspace, as the tests do. Another selection has other features, so
        // every dependency would be built again.
        build.args(["build", "--quiet", "--workspace", "--bins"]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the programs build");
        folder
    });
    folder.join(name)
}

/// A command of one of our programs, with only these settings in its environment.
#[must_use]
pub fn command(name: &str, settings: &HashMap<&str, String>) -> Command {
    let mut command = Command::new(program(name));
    command.env_clear().envs(settings).stdin(Stdio::null());
    command
}

/// Runs a program to its end.
#[must_use]
pub fn output(name: &str, settings: &HashMap<&str, String>, flags: &[&str]) -> Output {
    command(name, settings).args(flags).output().unwrap()
}

/// A running program. Dropping it kills it.
pub struct Program {
    child: Child,
    /// The fields of its log line "listening": the addresses that it bound.
    listening: Value,
    /// The log before that line.
    before: Cell<Vec<String>>,
    log: Receiver<String>,
    /// Whether its log is being read.
    is_read: Arc<(Mutex<bool>, Condvar)>,
    has_ended: bool,
}

impl Program {
    /// Starts a program and waits until it listens.
    #[must_use]
    pub fn start(name: &str, settings: &HashMap<&str, String>) -> Self {
        Self::start_from(None, name, settings)
    }

    /// As [`Program::start`], with a program from the folder of another build.
    #[must_use]
    pub fn start_from(folder: Option<&Path>, name: &str, settings: &HashMap<&str, String>) -> Self {
        match folder {
            None => Self::run(name, command(name, settings)),
            Some(folder) => {
                let mut command = Command::new(folder.join(name));
                command.env_clear().envs(settings).stdin(Stdio::null());
                Self::run(name, command)
            }
        }
    }

    /// As [`Program::start`], with a limit on open files.
    #[must_use]
    pub fn start_within(files: usize, name: &str, settings: &HashMap<&str, String>) -> Self {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={files}:{files}")).arg(program(name));
        command.env_clear().envs(settings).stdin(Stdio::null());
        Self::run(name, command)
    }

    fn run(name: &str, mut command: Command) -> Self {
        let (write, log) = channel();
        if !command.get_envs().any(|(name, _)| name == "LOG_FORMAT") {
            command.env("LOG_FORMAT", "json");
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let is_read = Arc::new((Mutex::new(true), Condvar::new()));
        let reading = Arc::clone(&is_read);
        let mut program =
            Self { child, listening: Value::Null, before: Cell::default(), log, is_read, has_ended: false };
        let lines = BufReader::new(program.child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let (is_read, changed) = &*reading;
                drop(changed.wait_while(is_read.lock().unwrap(), |is_read| !*is_read).unwrap());
                // The receiver may be gone.
                let _ = write.send(line);
            }
        });
        while program.listening.is_null() {
            let line =
                program.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{name} does not listen"));
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if said["message"] == "listening" || line.contains(": listening ") {
                // Of a log in text only the line is known.
                program.listening = if said.is_null() { line.as_str().into() } else { said };
            }
            program.before.get_mut().push(line);
        }
        program
    }

    /// The address that it bound for `purpose`, as its log names it.
    #[must_use]
    pub fn address(&self, purpose: &str) -> SocketAddr {
        self.listening[purpose].as_str().unwrap().parse().unwrap()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.has_ended = true;
    }

    /// Asks it to read its files again, as `kill -HUP` does.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Stops it: its connections stay open, and it answers nothing. A kill ends it all the same.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Asks it to end, as `kill` does, and waits.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM");
        let status = self.child.wait().unwrap();
        self.has_ended = true;
        status
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// As [`Program::terminate`]; `None` when it takes longer than `limit`.
    pub fn terminate_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.signal("-TERM");
        let began = Instant::now();
        loop {
            match self.child.try_wait().unwrap() {
                None if began.elapsed() < limit => std::thread::sleep(Duration::from_millis(5)),
                ended => {
                    self.has_ended = ended.is_some();
                    return ended;
                }
            }
        }
    }

    /// Stops reading its log, as a log driver that hangs does, or continues.
    pub fn read_log(&self, read: bool) {
        let (is_read, changed) = &*self.is_read;
        *is_read.lock().unwrap() = read;
        changed.notify_all();
    }

    /// Its log since the last call, or since its start. Once it has been ended, nothing of it is missing, unless the log
    /// is not being read.
    #[must_use]
    pub fn log(&self) -> String {
        let mut lines = self.before.take();
        if self.has_ended && *self.is_read.0.lock().unwrap() {
            lines.extend(self.log.iter());
        } else {
            lines.extend(self.log.try_iter());
        }
        lines.join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program's output as text.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut bytes = bytes;
    bytes.read_to_string(&mut text).unwrap();
    text
}
