//! A program of somebody else's, which runs as long as it is kept.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use e2e::page::PATIENCE;
use tokio::net::TcpStream;

use crate::recipe;

/// The running program. Dropping it ends it.
pub(crate) struct Client {
    process: Child,
    /// What it says.
    log: PathBuf,
}

impl Client {
    /// Starts a program, and waits until it listens. `packages` are Debian's that it comes with.
    pub(crate) async fn start(
        mut command: Command,
        log: PathBuf,
        listens: SocketAddr,
        packages: &str,
    ) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let said = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("{name} does not start: {error}; on Debian: apt-get install {packages}")
        });
        let mut client = Self { process, log };
        let patience = Instant::now() + PATIENCE;
        while TcpStream::connect(listens).await.is_err() {
            let ended = client.process.try_wait().unwrap();
            assert!(ended.is_none(), "{name}: {ended:?}: {}; it needs {packages}", client.said());
            assert!(Instant::now() < patience, "{name} does not listen: {}", client.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        client
    }

    /// What it has said.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // All of them are one process. Asked to end, Apache would wait for a browser's idle connections.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("{} says:\n{}", self.log.display(), self.said());
        }
    }
}

/// A program of the Python environment that tests/venv.sh makes, which is kept for the next time.
pub(crate) fn python(program: &str) -> Command {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let folder = MADE.get_or_init(|| {
        let tests = std::env::current_exe().unwrap();
        let target =
            tests.ancestors().find(|folder| folder.ends_with("debug") || folder.ends_with("release"));
        let folder = target.and_then(Path::parent).expect("tests run from cargo's target folder");
        let folder = folder.join("relying/venv");
        let requirements = recipe::file("tests/relying/requirements.txt");
        let make = recipe::file("tests/venv.sh");
        let made = Command::new(make).arg(&folder).arg(requirements).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(
            made.status.success(),
            "there is no Python environment: {said}; on Debian: apt-get install python3-venv util-linux"
        );
        let whole = Command::new(folder.join("bin/pip")).arg("check").output().unwrap();
        assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stdout));
        folder
    });
    Command::new(folder.join("bin").join(program))
}
