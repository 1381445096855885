//! The sample clients of `protocol/clients`, run as people run them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A sample client.
#[derive(Debug)]
pub struct Sample {
    /// Its file name.
    pub file: &'static str,
    command: Vec<PathBuf>,
}

/// The commands that a client needs, and the Debian packages that bring them.
const TOOLS: [(&str, &[&str], &str); 5] = [
    ("notify.php", &["php"], "php-cli"),
    ("notify.py", &["python3"], "python3"),
    ("notify.mjs", &["node"], "nodejs"),
    ("notify.go", &["go"], "golang-go"),
    ("notify.sh", &["bash", "openssl", "timeout"], "bash openssl coreutils"),
];

/// The arguments of a client's command line.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The gateway's `host:port`.
    pub address: String,
    /// The client's name.
    pub client: &'a str,
    /// The client's key. It goes into the environment.
    pub key: &'a str,
    /// The notice, as JSON.
    pub notice: String,
    /// The files for TLS: none, the CA's, or the CA's with the client's own certificate and key.
    pub files: Vec<&'a Path>,
}

/// The result of a client's run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it printed to stderr.
    pub stderr: String,
}

/// All sample clients, ready to run.
///
/// # Panics
/// When one cannot be run here; the text says what to install.
pub fn samples() -> &'static [Sample] {
    static SAMPLES: OnceLock<Vec<Sample>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        TOOLS
            .iter()
            .map(|(file, tools, packages)| {
                for tool in *tools {
                    let argument = if *tool == "go" || *tool == "openssl" { "version" } else { "--version" };
                    let started = Command::new(tool).arg(argument).stdout(Stdio::null()).status();
                    let started = started.is_ok_and(|status| status.success());
                    assert!(started, "{tool} does not start; on Debian: apt-get install {packages}");
                }
                let command = match tools[0] {
                    "go" => vec![build(&source(file))],
                    interpreter => vec![interpreter.into(), source(file)],
                };
                Sample { file, command }
            })
            .collect()
    })
}

/// The path of a sample client.
#[must_use]
pub fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/clients").join(file)
}

/// Builds the client that must be compiled. This needs only Go itself, and no network.
fn build(source: &Path) -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    while !folder.ends_with("debug") && !folder.ends_with("release") {
        assert!(folder.pop(), "tests run from cargo's target folder");
    }
    let program = folder.join("clients").join("notify");
    let built = Command::new("go")
        .arg("build")
        .arg("-o")
        .args([&program, source])
        .env("GOCACHE", folder.join("clients/go-cache"))
        .env("GOFLAGS", "")
        .env("GO111MODULE", "off")
        .env("GOPROXY", "off")
        .output()
        .unwrap();
    assert!(built.status.success(), "notify.go: {}", String::from_utf8_lossy(&built.stderr));
    program
}

impl Sample {
    /// Runs the client to its end, without blocking the runtime.
    pub async fn ask(&'static self, question: &Question<'_>) -> Run {
        let mut command = self.command(question);
        tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
    }

    /// The command that asks the gateway.
    #[must_use]
    pub fn command(&self, question: &Question<'_>) -> Command {
        let Question { address, client, key, notice, files } = question;
        let mut command = self.bare();
        command.args([address, *client, notice]).args(files).env("NOTIFY_KEY", key);
        command
    }

    /// The command without a key and without arguments.
    #[must_use]
    pub fn bare(&self) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).env_remove("NOTIFY_KEY").stdin(Stdio::null());
        // In this locale a character may have many bytes, so a client that counts characters as bytes fails.
        command.env("LC_ALL", "C.UTF-8");
        command
    }
}

/// Runs a command to its end.
///
/// # Panics
/// When it does not start, or prints something that is not text.
#[must_use]
pub fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
