//! One Redis server, from its start to its end or kill.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;
use test_certificates::{Authority, Identity};

use crate::clock::Clock;
use crate::process::Process;
use crate::{blocking, free_port, wait_for};

/// Ports that are tried before a start fails.
const TRIES: usize = 10;

/// The user of [`Redis::cli`]. It may do everything, whatever a test forbids other users.
const OPERATOR: &str = "operator";

/// How long [`Redis::cli`] waits for an answer, in seconds.
const ANSWER_WITHIN: u8 = 10;

/// The same at the start, where it is asked again. Another program may have the port and never answer.
const FIRST_ANSWER_WITHIN: u8 = 2;

/// The setup of a server. The default has no password and no TLS, and keeps everything in memory.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The default user's password: letters and digits, because it becomes part of a URL.
    pub password: Option<String>,
    /// Users with restricted rights, as `ACL SETUSER` takes them: `gateway on >password ~sa:* +@all -publish`.
    pub users: Vec<String>,
    /// Speak only TLS, with an authority of this server's own.
    pub tls: bool,
    /// The most bytes of data. Beyond it Redis refuses to write; nothing is evicted.
    pub maxmemory: Option<u64>,
    /// Write every change to the disk before it is answered, so that even a kill keeps it.
    pub append: bool,
    /// A wall clock of its own, for [`Redis::set_clock`].
    pub clock: bool,
    /// More lines for the server's configuration file.
    pub more: Vec<String>,
}

/// A server. Dropping it kills it and removes its folder.
pub struct Redis {
    setup: Arc<Setup>,
    process: Option<Process>,
}

/// Which of Redis's two programs it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Server,
    Sentinel,
}

/// What stays the same when the process is started again.
struct Setup {
    kind: Kind,
    port: u16,
    folder: TempDir,
    password: Option<String>,
    certificates: Option<(Authority, Identity)>,
    clock: Option<Clock>,
    /// The operator's password; a Sentinel has none.
    operator: Option<String>,
}

/// A start failed because the port is taken. Another port may work.
struct PortIsTaken;

impl Redis {
    /// Starts an open server, and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts a server, and waits until it answers.
    ///
    /// # Panics
    /// When it does not start, with its log: a wrong option, or Redis is not installed.
    pub async fn start_with(options: Options) -> Self {
        Self::launch(Kind::Server, options).await
    }

    /// Starts an open replica of an open server, and waits until it is in step.
    ///
    /// # Panics
    /// As [`Redis::start`], and when it does not get in step.
    pub async fn start_replica(of: &Self) -> Self {
        let more = vec![format!("replicaof 127.0.0.1 {}", of.port())];
        let replica = Self::start_with(Options { more, ..Options::default() }).await;
        let (master, slave) = (of.cli_handle(), format!("port={},state=online", replica.port()));
        blocking(move || {
            wait_for("the replica to be in step", || {
                let known = master.run(&["INFO", "replication"])?;
                if known.contains(&slave) { Ok(()) } else { Err(known) }
            });
        })
        .await;
        replica
    }

    pub(crate) async fn launch(kind: Kind, options: Options) -> Self {
        blocking(move || {
            for _ in 0..TRIES {
                let setup = Setup::new(kind, &options);
                if let Ok(process) = setup.start() {
                    return Self { setup: Arc::new(setup), process: Some(process) };
                }
            }
            panic!("{TRIES} ports in a row were taken by others");
        })
        .await
    }

    /// The URL for the default user: `redis://127.0.0.1:6379`, or `rediss:` with TLS.
    #[must_use]
    pub fn url(&self) -> String {
        let user = self.setup.password.as_ref().map(|password| format!(":{password}@"));
        self.url_with(&user.unwrap_or_default())
    }

    /// The URL for a user of [`Options::users`].
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        self.url_with(&format!("{user}:{password}@"))
    }

    fn url_with(&self, user: &str) -> String {
        let scheme = if self.setup.certificates.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://{user}127.0.0.1:{}", self.port())
    }

    /// Its port on 127.0.0.1, which stays the same.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.setup.port
    }

    /// The authority's PEM file that clients must trust, when the server speaks TLS.
    ///
    /// # Panics
    /// When it does not speak TLS.
    #[must_use]
    pub fn authority(&self) -> &Path {
        let (authority, _) = self.setup.certificates.as_ref().expect("the server was started with TLS");
        &authority.certificate
    }

    /// Its log, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        self.setup.log()
    }

    /// Runs a command as `redis-cli` does, with all rights, and gives its output: one line for each element, an
    /// empty line for nil.
    ///
    /// # Panics
    /// When the answer is an error, or does not come within 10 s.
    pub async fn cli(&self, command: &[&str]) -> String {
        self.try_cli(command).await.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// As [`Redis::cli`].
    ///
    /// # Errors
    /// The error of Redis or `redis-cli`.
    pub async fn try_cli(&self, command: &[&str]) -> Result<String, String> {
        let cli = self.cli_handle();
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        blocking(move || cli.run(&command)).await
    }

    /// Ends it as an operator does: its data is saved, for [`Redis::start_again`].
    ///
    /// # Panics
    /// When it is not running, or does not end.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        let setup = Arc::clone(&self.setup);
        blocking(move || {
            // A frozen server cannot save.
            process.thaw();
            setup.cli(&["SHUTDOWN", "SAVE"]).unwrap();
            process.wait();
        })
        .await;
    }

    /// Kills it, as `kill -9` does. Its data is lost, unless [`Options::append`] was asked for.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on its port with its saved data, and waits until it answers.
    ///
    /// # Panics
    /// When it is running, or does not start.
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server still runs");
        let setup = Arc::clone(&self.setup);
        // Another program may have the port for a moment.
        let start = move || {
            wait_for("its old port", || setup.start().map_err(|PortIsTaken| "others have it".to_owned()))
        };
        self.process = Some(blocking(start).await);
    }

    /// Starts it again on its port, without data.
    ///
    /// # Panics
    /// When it is running, or does not start.
    pub async fn start_again_empty(&mut self) {
        // Which of these files exist depends on the setup and on how it ended.
        let _ = fs::remove_file(self.setup.path("dump.rdb"));
        let _ = fs::remove_dir_all(self.setup.path("appendonlydir"));
        self.start_again().await;
    }

    /// Stops it (SIGSTOP). Connections stay open, the system accepts new ones, and nothing is answered.
    ///
    /// # Panics
    /// When it is not running.
    pub fn freeze(&self) {
        self.running().freeze();
    }

    /// Continues a frozen server (SIGCONT). It then handles everything that has come meanwhile.
    ///
    /// # Panics
    /// When it is not running.
    pub fn thaw(&self) {
        self.running().thaw();
    }

    /// Sets its wall clock to so many seconds from the system's, at once and while it runs.
    ///
    /// # Panics
    /// When it was started without [`Options::clock`].
    pub fn set_clock(&self, seconds: i64) {
        self.setup.clock.as_ref().expect("the server has a clock of its own").set(seconds);
    }

    /// The same, and waits until so many `programs`, each of which asks for the time every second, have asked for it since.
    ///
    /// # Panics
    /// As [`Redis::set_clock`], and when they do not ask.
    pub async fn set_clock_for(&self, programs: usize, seconds: i64) {
        let cli = self.cli_handle();
        self.set_clock(seconds);
        let asked = move || {
            let counts = cli.run(&["INFO", "commandstats"])?;
            let calls = counts.lines().find_map(|line| line.strip_prefix("cmdstat_time:calls="));
            let calls = calls.and_then(|calls| calls.split(',').next()?.parse::<usize>().ok());
            Ok(calls.unwrap_or_default())
        };
        blocking(move || {
            let before = wait_for("the number of TIME", &asked);
            wait_for("programs to ask for the time", || match asked()? {
                // Twice as often as there are programs: then each of them has asked.
                now if now >= before + 2 * programs => Ok(()),
                now => Err(format!("{} times", now - before)),
            });
        })
        .await;
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the server runs")
    }

    /// [`Redis::cli`] for threads that may block.
    pub(crate) fn cli_handle(&self) -> Cli {
        Cli(Arc::clone(&self.setup))
    }
}

/// Asks a server, even while the [`Redis`] itself is borrowed or gone.
pub(crate) struct Cli(Arc<Setup>);

impl Cli {
    /// As [`Redis::try_cli`].
    pub(crate) fn run(&self, command: &[impl AsRef<str>]) -> Result<String, String> {
        self.0.cli(command)
    }
}

impl Setup {
    /// Chooses a port and writes the configuration, which Redis itself may rewrite later.
    fn new(kind: Kind, options: &Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let setup = Self {
            kind,
            port: free_port(),
            password: options.password.clone(),
            certificates: options.tls.then(|| {
                let authority = Authority::new(folder.path(), "redis");
                let identity = authority.sign("server", &["localhost", "127.0.0.1"]);
                (authority, identity)
            }),
            clock: options.clock.then(|| Clock::new(folder.path())),
            operator: (kind == Kind::Server)
                .then(|| std::iter::repeat_with(fastrand::alphanumeric).take(32).collect()),
            folder,
        };
        fs::write(setup.configuration(), setup.lines(options)).unwrap();
        setup
    }

    fn lines(&self, options: &Options) -> String {
        let Self { port, .. } = self;
        let mut lines = format!(
            "bind 127.0.0.1\ndaemonize no\ndir {}\nlogfile {}\n",
            self.folder.path().display(),
            self.path("log").display()
        );
        match &self.certificates {
            None => writeln!(lines, "port {port}"),
            Some((Authority { certificate: authority, .. }, Identity { certificate, key, .. })) => writeln!(
                lines,
                "port 0\ntls-port {port}\ntls-auth-clients no\ntls-ca-cert-file {}\ntls-cert-file {}\ntls-key-file {}",
                authority.display(),
                certificate.display(),
                key.display()
            ),
        }
        .unwrap();
        if let Some(operator) = &self.operator {
            let append = if options.append { "appendonly yes\nappendfsync always" } else { "appendonly no" };
            writeln!(lines, "save \"\"\n{append}\nshutdown-timeout 0\nrepl-diskless-sync-delay 0").unwrap();
            writeln!(lines, "user {OPERATOR} on >{operator} ~* &* +@all").unwrap();
        }
        if let Some(password) = &options.password {
            assert!(password.chars().all(|c| c.is_ascii_alphanumeric()), "a password of letters and digits");
            writeln!(lines, "requirepass {password}").unwrap();
        }
        if let Some(bytes) = options.maxmemory {
            writeln!(lines, "maxmemory {bytes}\nmaxmemory-policy noeviction").unwrap();
        }
        for user in &options.users {
            writeln!(lines, "user {user}").unwrap();
        }
        for line in &options.more {
            writeln!(lines, "{line}").unwrap();
        }
        lines
    }

    fn start(&self) -> Result<Process, PortIsTaken> {
        let program = match self.kind {
            Kind::Server => "redis-server",
            Kind::Sentinel => "redis-sentinel",
        };
        let logged = self.log().len();
        let mut process = Process::start(program, &self.configuration(), self.clock.as_ref());
        let ours = format!("process_id:{}", process.id());
        wait_for("Redis to answer", || {
            if process.has_ended() {
                let log = self.log().split_off(logged);
                assert!(
                    log.contains("Address already in use"),
                    "{program} does not start; it is in Debian's package of that name. Its log:\n{log}"
                );
                return Ok(Err(PortIsTaken));
            }
            // A server that loads its data answers PING with an error. Another program's server may answer on
            // this port before ours finds the port taken.
            self.ask(FIRST_ANSWER_WITHIN, &["PING"])?;
            match self.ask(FIRST_ANSWER_WITHIN, &["INFO", "server"])?.lines().any(|line| line == ours) {
                true => Ok(Ok(())),
                false => Err("another server answers".to_owned()),
            }
        })?;
        Ok(process)
    }

    fn cli(&self, command: &[impl AsRef<str>]) -> Result<String, String> {
        self.ask(ANSWER_WITHIN, command)
    }

    /// Asks once. The answer comes within `within` seconds, if only as an error.
    fn ask(&self, within: u8, command: &[impl AsRef<str>]) -> Result<String, String> {
        let mut cli = Command::new("timeout");
        cli.args([&within.to_string(), "redis-cli", "-e", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        if let Some(operator) = &self.operator {
            cli.args(["--user", OPERATOR, "--no-auth-warning"]).env("REDISCLI_AUTH", operator);
        } else if let Some(password) = &self.password {
            cli.arg("--no-auth-warning").env("REDISCLI_AUTH", password);
        }
        if let Some((authority, _)) = &self.certificates {
            cli.arg("--tls").arg("--cacert").arg(&authority.certificate);
        }
        let output = cli.args(command.iter().map(AsRef::as_ref)).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned();
        match output.status.code() {
            Some(0) => Ok(said(&output.stdout)),
            Some(124) => Err(format!("no answer within {within} s")),
            Some(127) => Err("redis-cli of Debian's package redis-tools is not installed".to_owned()),
            _ => Err(said(&output.stderr)),
        }
    }

    fn configuration(&self) -> PathBuf {
        self.path("redis.conf")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        // There is no log before the first start.
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_that_somebody_took_meanwhile_is_noticed() {
        let setup = Setup::new(Kind::Server, &Options::default());
        let somebody = TcpListener::bind(("127.0.0.1", setup.port)).unwrap();
        assert!(setup.start().is_err());
        drop(somebody);
        assert!(setup.start().is_ok());
    }

    #[tokio::test]
    async fn somebody_elses_server_is_not_taken_for_ours() {
        let other = Redis::start().await;
        let setup = Setup { port: other.port(), ..Setup::new(Kind::Sentinel, &Options::default()) };
        let lines = setup.lines(&Options::default());
        fs::write(setup.configuration(), lines).unwrap();
        assert!(setup.start().is_err());
    }
}
