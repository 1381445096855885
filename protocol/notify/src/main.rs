//! `notify`: sends one notice to a gateway, prints the answer, and says by its exit code what came of it.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use protocol::client::{Link, Settings};
use protocol::message::{Code, Status};
use protocol::tls::{ClientTls, Identity};
use protocol::{Answer, Client, Key, NoAnswer, Notice, Scene};
use secrecy::SecretString;
use tokio::time::Instant;

const EXIT_CODES: &str = "The key is read from the variable NOTIFY_KEY, or from the file that NOTIFY_KEY_FILE names.\n\n\
The answer is printed as one line of JSON. Exit codes:\n  \
0   recorded (delivered, stored); a query or a ping was answered\n  \
1   not recorded, and will not be: unknown, expired, taken\n  \
2   perhaps recorded: send the same again\n  \
64  the command line or the key is wrong, or the gateway says bad\n  \
75  certainly not recorded, try later: busy, or no gateway was reached\n  \
77  the gateway refuses this client, or forbids it this notice";

/// The exit codes of sysexits.h that are used here.
const USAGE: u8 = 64;
const TEMPORARY: u8 = 75;
const NO_PERMISSION: u8 = 77;

/// Perhaps recorded.
const UNSURE: u8 = 2;

/// Sends one notice about a login to a gateway's internal port.
#[derive(Debug, Parser)]
#[command(name = "notify", version, after_help = EXIT_CODES)]
struct Command {
    #[command(flatten)]
    gateway: Gateway,

    #[command(subcommand)]
    notice: What,
}

#[derive(Debug, Args)]
struct Gateway {
    /// The gateways' internal ports, as host:port; the next is tried when one fails.
    #[arg(
        long,
        env = "NOTIFY_GATEWAY",
        default_value = "127.0.0.1:9999",
        value_delimiter = ',',
        global = true
    )]
    gateway: Vec<String>,

    /// The name by which the gateway knows the key.
    #[arg(long, env = "NOTIFY_CLIENT", default_value = "callback", global = true)]
    client: String,

    /// How long to try, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600), global = true)]
    within: u64,

    /// Speak TLS.
    #[arg(long, env = "NOTIFY_TLS", global = true)]
    tls: bool,

    /// The CAs, in PEM form, of which the gateway must show a certificate. Unset: those of the operating system.
    #[arg(long, env = "NOTIFY_CA", global = true)]
    ca: Option<PathBuf>,

    /// The name that the gateway's certificate must be for. Unset: the host in --gateway.
    #[arg(long, env = "NOTIFY_NAME", global = true)]
    name: Option<String>,

    /// The certificate, in PEM form, that the gateway is shown.
    #[arg(long, env = "NOTIFY_CERT", requires = "cert_key", global = true)]
    cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM form.
    #[arg(long, env = "NOTIFY_CERT_KEY", requires = "cert", global = true)]
    cert_key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    // A scene may begin with '-', and must not be taken for a flag.
    /// Ends a login as granted.
    Scan {
        /// The login.
        #[arg(allow_hyphen_values = true)]
        scene: Scene,
        /// The name that the page shows.
        #[arg(long)]
        nickname: Option<String>,
        /// What the site's back end redeems.
        #[arg(long)]
        code: Option<String>,
        /// An opaque name of the person.
        #[arg(long)]
        by: Option<String>,
    },
    /// Says that a person has scanned.
    Claim {
        /// The login.
        #[arg(allow_hyphen_values = true)]
        scene: Scene,
        /// An opaque name of the person.
        #[arg(long)]
        by: String,
        /// Two digits that the page shows.
        #[arg(long)]
        number: Option<String>,
    },
    /// Ends a login as denied.
    Deny {
        /// The login.
        #[arg(allow_hyphen_values = true)]
        scene: Scene,
        /// An opaque name of the person.
        #[arg(long)]
        by: Option<String>,
    },
    /// Asks how a login stands.
    Query {
        /// The login.
        #[arg(allow_hyphen_values = true)]
        scene: Scene,
    },
    /// Tries address, key and TLS, and nothing else.
    Ping,
}

impl What {
    fn notice(self) -> Option<Notice> {
        match self {
            Self::Scan { scene, nickname, code, by } => {
                Some(Notice::Scan { scene, nickname, code: code.map(Code), by })
            }
            Self::Claim { scene, by, number } => Some(Notice::Claim { scene, by, number }),
            Self::Deny { scene, by } => Some(Notice::Deny { scene, by }),
            Self::Query { scene } => Some(Notice::Query { scene }),
            Self::Ping => None,
        }
    }
}

/// Why the program ends: its exit code, and words for the person who called it.
struct Failure(u8, String);

fn main() -> ExitCode {
    let command = match parse() {
        Ok(command) => command,
        Err(help) => {
            let _ = help.print();
            return ExitCode::from(if help.use_stderr() { USAGE } else { 0 });
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(|error| Failure(TEMPORARY, error.to_string()));
    match done.and_then(|runtime| runtime.block_on(run(command))) {
        Ok(code) => ExitCode::from(code),
        Err(Failure(code, why)) => {
            eprintln!("notify: {why}");
            ExitCode::from(code)
        }
    }
}

/// Reads the command line. A variable that is set but empty counts as not set, as with the services.
fn parse() -> Result<Command, clap::Error> {
    let command = Command::command().mut_args(|argument| {
        let is_empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { argument.env(Resettable::Reset) } else { argument }
    });
    command.try_get_matches().and_then(|mut found| Command::from_arg_matches_mut(&mut found))
}

async fn run(Command { gateway, notice }: Command) -> Result<u8, Failure> {
    let usage = |why: String| Failure(USAGE, why);
    let deadline = Instant::now() + Duration::from_secs(gateway.within);
    let key = Key::new(&key()?).map_err(|error| usage(format!("NOTIFY_KEY: {error}")))?;
    let identity = gateway.cert.zip(gateway.cert_key).map(|(certificate, key)| Identity { certificate, key });
    if !gateway.tls && (gateway.ca.is_some() || gateway.name.is_some() || identity.is_some()) {
        return Err(usage("--ca, --name, --cert and --cert-key need --tls".to_owned()));
    }
    let tls = gateway.tls.then_some(ClientTls { ca: gateway.ca, name: gateway.name, identity });
    if let Some(tls) = &tls {
        tls.load().map_err(|error| usage(error.to_string()))?;
    }
    if let Some(address) =
        tls.as_ref().and_then(|tls| gateway.gateway.iter().find(|a| tls.server_name(a).is_none()))
    {
        return Err(usage(format!("no certificate could be for {address}; give a good --name")));
    }
    let client = Client::start(Settings { name: gateway.client, key, addresses: gateway.gateway, tls });
    // A wrong key ends the wait at once. Every other problem may pass. Nothing has been sent yet.
    let is_unauthorized = |link: &Link| matches!(link, Link::Refused { code, .. } if code == "unauthorized");
    let connected = client.wait_for(|link| *link == Link::Connected || is_unauthorized(link));
    if tokio::time::timeout_at(deadline, connected).await.ok() != Some(Link::Connected) {
        return Err(unreached(&client.link()));
    }
    let Some(notice) = notice.notice() else {
        return print("{\"type\":\"pong\"}").map(|()| 0);
    };
    match client.send(notice, deadline).await {
        Ok(answer) => told(&answer),
        Err(NoAnswer::NotSent) => Err(unreached(&client.link())),
        Err(NoAnswer::Unknown) => Err(Failure(UNSURE, format!("{}: {}", NoAnswer::Unknown, client.link()))),
    }
}

/// The reason why nothing was sent.
fn unreached(link: &Link) -> Failure {
    let code = match link {
        Link::Refused { code, .. } if code == "unauthorized" => NO_PERMISSION,
        _ => TEMPORARY,
    };
    Failure(code, format!("not recorded: {link}"))
}

fn told(answer: &Answer) -> Result<u8, Failure> {
    let json = serde_json::to_string(answer).map_err(|error| Failure(UNSURE, error.to_string()))?;
    print(&json)?;
    Ok(match answer.status {
        Status::Ok | Status::Delivered | Status::Stored => 0,
        Status::Unknown | Status::Expired | Status::Taken => 1,
        Status::Unsure => UNSURE,
        Status::Bad => USAGE,
        Status::Busy => TEMPORARY,
        Status::Forbidden => NO_PERMISSION,
    })
}

fn print(line: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{line}")
        .map_err(|error| Failure(UNSURE, format!("the answer cannot be printed: {error}")))
}

fn key() -> Result<SecretString, Failure> {
    let set = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
    let wrong = |why: String| Failure(USAGE, why);
    let visible = |name: &str, key: String| match unseen(&key) {
        None => Ok(SecretString::from(key)),
        Some(problem) => Err(wrong(format!("{name}: {problem}; take it out"))),
    };
    match (set("NOTIFY_KEY"), set("NOTIFY_KEY_FILE")) {
        (Some(key), None) => {
            let key = key.into_string().map_err(|_| wrong("NOTIFY_KEY: is not UTF-8".to_owned()))?;
            visible("NOTIFY_KEY", key)
        }
        (None, Some(path)) => {
            let key = std::fs::read_to_string(&path)
                .map_err(|error| wrong(format!("NOTIFY_KEY_FILE: {}: {error}", path.display())))?;
            visible(&format!("NOTIFY_KEY_FILE: {}", path.display()), key)
        }
        (None, None) => Err(wrong("NOTIFY_KEY: is not set; set it or NOTIFY_KEY_FILE".to_owned())),
        (Some(_), Some(_)) => Err(wrong("NOTIFY_KEY: set it or NOTIFY_KEY_FILE, not both".to_owned())),
    }
}

/// What nobody sees in a key, as the services refuse it too: blanks and marks around it, characters that control, join
/// or divide. Line ends behind it are no part of a key.
fn unseen(key: &str) -> Option<String> {
    let key = key.trim_end_matches(['\r', '\n']);
    let is_mark = |character: char| {
        character.is_control()
            || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
            || character.is_whitespace() && character != ' '
    };
    let has = |character: char, place| {
        let name = match character {
            '\u{feff}' => "a byte order mark",
            ' ' => "a blank",
            '"' | '\'' => "a quotation mark",
            _ => "an invisible character",
        };
        Some(format!("has {name} (U+{:04X}) {place}", u32::from(character)))
    };
    let (first, last) = (key.chars().next()?, key.chars().next_back()?);
    match key.chars().find(|character| is_mark(*character)) {
        _ if first == ' ' || is_mark(first) => has(first, "at its start"),
        _ if last == ' ' || is_mark(last) => has(last, "at its end"),
        Some(inside) => has(inside, "inside"),
        None if matches!((first, last), ('"', '"') | ('\'', '\'')) => has(first, "around it"),
        None => None,
    }
}
