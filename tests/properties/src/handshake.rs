//! Whole connections to the internal port, from their first byte to their end.

use std::sync::LazyLock;
use std::time::Duration;

use protocol::codec::{FrameError, FromFrame, MAX_FRAME};
use protocol::message::ClientMessage;
use protocol::{Key, Notice, Scene, State};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, duplex, split};
use tokio::runtime::Runtime;
use tokio::time::sleep;
use ws_gateway::config::{Config, Secrets};
use ws_gateway::testing::fuzz::{Served, internal_port};

use crate::frames::another_look;
use crate::script::{HEAD, LONGEST, Script, Then};

/// The login that whoever connects may be after; it is public.
const SCENE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

const NAME: &str = "callback";

/// Nobody but this module knows it.
const KEY: &str = "the internal port's own key, for properties";
const OTHER_KEY: &str = "another key, which the port does not know";

/// What PROTOCOL.md promises of times.
const AUTH_WITHIN: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(60);
/// A client that does not take what it is told is closed after this; so may be whoever never reads, at the hello, at
/// the answers and at the last word.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// How long the gateway waits for the other end to hang up.
const LINGER: Duration = Duration::from_secs(1);

/// Waits are multiples of 10 ms. So nothing comes at the very moment at which time is over.
const BEFORE: Duration = Duration::from_millis(1);

/// Bytes on their way; less than any large frame.
const ON_THE_WAY: usize = 1024;

static GATEWAY: LazyLock<Config> = LazyLock::new(|| {
    let secrets = Secrets {
        notify_key: Some(KEY.into()),
        wechat_app_secret: Some("secret".into()),
        ..Secrets::default()
    };
    let Ok(config) = Config::of(&["--wechat-app-id", "wx0123456789abcdef"], secrets) else {
        panic!("the settings are right");
    };
    config
});

/// Speaks with the internal port of a gateway in memory (see `script.rs`). In the script `{proof}` stands for the
/// proof of the only key, `{old}` for one of another connection, and `{wrong}` for one of another key. Time has to be
/// paused in `runtime`, or this takes as long as the gateway waits.
///
/// - Who has not proved the key changes nothing, hears hello and one error at most, and is gone 5 s after the hello.
/// - Who has proved it hears one answer for every notice, until the connection ends as PROTOCOL.md says.
/// - Who never reads is closed as well.
pub fn handshake(runtime: &Runtime, input: &[u8]) -> &'static str {
    runtime.block_on(async {
        let (ours, theirs) = duplex(ON_THE_WAY);
        let Ok(scene) = SCENE.parse::<Scene>() else { panic!("{SCENE} is a scene") };
        let (served, spoken) =
            tokio::join!(internal_port(theirs, scene, GATEWAY.clone()), speak(ours, input));
        match (served, spoken) {
            (Ok(served), Some(spoken)) => spoken.judge(served),
            (Ok(_), None) => "nothing",
            (Err(error), _) => panic!("{error}"),
        }
    })
}

/// What was said on one connection.
#[derive(Debug)]
struct Spoken {
    challenge: String,
    script: Script,
    /// What the gateway said after the hello; nothing where nobody listened.
    heard: Vec<Value>,
}

async fn speak(stream: DuplexStream, input: &[u8]) -> Option<Spoken> {
    let (mut reading, mut writing) = split(stream);
    let hello = hear(&mut reading).await.expect("the gateway says hello");
    let challenge = hello["challenge"].as_str().expect("a challenge").to_owned();
    let (proof, old, wrong) = (proof(KEY, &challenge), proof(KEY, "old"), proof(OTHER_KEY, &challenge));
    let script = Script::read(input, &[("{proof}", &proof), ("{old}", &old), ("{wrong}", &wrong)])?;
    let write = async {
        sleep(BEFORE).await;
        let mut now = Duration::ZERO;
        for (piece, at) in script.written() {
            sleep(at - now).await;
            now = at;
            // The gateway may be gone; what it said tells why.
            if writing.write_all(piece).await.is_err() {
                break;
            }
        }
        if script.then == Then::Shut {
            let _ = writing.shutdown().await;
        }
    };
    let mut heard = Vec::new();
    if script.then == Then::Gone {
        write.await;
    } else {
        let listen = async {
            while let Some(message) = hear(&mut reading).await {
                heard.push(message);
            }
        };
        tokio::join!(write, listen);
    }
    Some(Spoken { challenge, script, heard })
}

/// The gateway's next message; `None` when it has closed, which it does behind a whole frame.
async fn hear(reading: &mut ReadHalf<DuplexStream>) -> Option<Value> {
    let mut head = [0; 4];
    if reading.read(&mut head[..1]).await.expect("it can be read") == 0 {
        return None;
    }
    reading.read_exact(&mut head[1..]).await.expect("the length is whole");
    let length = u32::from_be_bytes(head) as usize;
    assert!((1..=MAX_FRAME).contains(&length), "a frame of {length} bytes");
    let mut json = vec![0; length];
    reading.read_exact(&mut json).await.expect("the frame is whole");
    Some(serde_json::from_slice(&json).expect("it is JSON"))
}

fn proof(key: &str, challenge: &str) -> String {
    Key::new(&key.into()).expect("the key is long enough").proof(challenge)
}

/// What the first frame makes of whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// This error is all that a stranger hears.
    Refused(&'static str),
    /// A stranger has left, and hears nothing.
    Left,
    /// It is the client; the frame has so many bytes.
    Proved(usize),
}

impl Spoken {
    fn judge(&self, served: Served) -> &'static str {
        let (first, at) = self.first();
        let code = match first {
            First::Proved(length) => return self.judge_a_client(&self.script.bytes[length..], served),
            First::Refused(code) => Some(code),
            First::Left => None,
        };
        assert_eq!(served.state, Some(State::Waiting), "a stranger has changed something");
        assert_eq!(served.unauthorized, u64::from(code.is_some()), "{first:?}");
        assert!(served.took <= at + LINGER, "{first:?} at {at:?}, and let go at {:?}", served.took);
        if self.script.then != Then::Gone {
            let told: Vec<Said> = code.map(|code| Said::new("error", Some(code))).into_iter().collect();
            assert_eq!(self.said(), told, "{first:?}");
        }
        code.unwrap_or("left")
    }

    /// What must become of whoever speaks, and when that is settled.
    fn first(&self) -> (First, Duration) {
        let Script { bytes, then, .. } = &self.script;
        let length = bytes.first_chunk().map_or(HEAD, |head| match u32::from_be_bytes(*head) as usize {
            length @ 1..=MAX_FRAME => HEAD + length,
            _ => HEAD,
        });
        let in_time = |at: &Duration| *at < AUTH_WITHIN;
        let left_at = || (*then != Then::Wait).then(|| self.has_come(bytes.len())).flatten().filter(in_time);
        match (self.has_come(length).filter(in_time), left_at()) {
            (Some(at), _) => (self.first_of(&bytes[..length]), at),
            (None, Some(at)) => (First::Left, at),
            (None, None) => (First::Refused("unauthorized"), AUTH_WITHIN),
        }
    }

    fn first_of(&self, frame: &[u8]) -> First {
        match ClientMessage::from_frame(&frame[HEAD..]) {
            _ if frame.len() == HEAD => First::Refused("bad_frame"),
            Err(_) => First::Refused("bad_json"),
            Ok(ClientMessage::Auth { client, proof: theirs })
                if client == NAME && theirs == proof(KEY, &self.challenge) =>
            {
                First::Proved(frame.len())
            }
            Ok(_) => First::Refused("unauthorized"),
        }
    }

    /// When so many bytes have come, from the hello on.
    fn has_come(&self, length: usize) -> Option<Duration> {
        self.script.has_come(length).map(|at| BEFORE + at)
    }

    /// Everything that the client sends comes soon enough that it is not silent before.
    fn judge_a_client(&self, bytes: &[u8], served: Served) -> &'static str {
        let (messages, fault) = another_look::<ClientMessage>(bytes);
        let mut end = BEFORE + LONGEST + SILENCE + LINGER;
        if self.script.then == Then::Gone {
            end += 2 * READ_WITHIN;
        } else {
            let mut told: Vec<Said> = messages.iter().map(answer).collect();
            told.sort();
            let code = match fault.as_ref().and_then(FrameError::code) {
                None if self.script.then == Then::Wait => Some("silent"),
                code => code,
            };
            told.extend(code.map(|code| Said::new("error", Some(code))));
            // Answers come in any order, and an error last.
            let mut said = self.said();
            let answers = said.len().saturating_sub(usize::from(code.is_some()));
            said[..answers].sort();
            assert_eq!(said, told);
            let changes = messages.iter().any(changes_the_login);
            assert_eq!(served.state != Some(State::Waiting), changes, "{:?}", served.state);
        }
        assert!(served.took <= end, "{:?}", served.took);
        assert_eq!(served.unauthorized, 0);
        match served.state {
            Some(State::Granted) => "granted",
            Some(State::Denied) => "denied",
            Some(State::Scanned) => "scanned",
            _ => "proved",
        }
    }

    fn said(&self) -> Vec<Said> {
        self.heard.iter().map(Said::of).collect()
    }
}

/// A message of the gateway: its type, and its id or code.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Said(String, Option<String>);

impl Said {
    fn new(kind: &str, name: Option<&str>) -> Self {
        Self(kind.to_owned(), name.map(str::to_owned))
    }

    fn of(message: &Value) -> Self {
        let name = if message["type"] == "error" { "code" } else { "id" };
        Self::new(message["type"].as_str().unwrap_or_default(), message[name].as_str())
    }
}

/// What a client's message is answered with.
fn answer(message: &ClientMessage) -> Said {
    match message {
        ClientMessage::Ping { id } => Said::new("pong", id.as_deref()),
        ClientMessage::Notice { id, .. } | ClientMessage::Bad { id, .. } => {
            Said::new("answer", id.as_deref())
        }
        ClientMessage::Auth { .. } => Said::new("answer", None),
    }
}

/// The first one of them always does: the client has every right.
fn changes_the_login(message: &ClientMessage) -> bool {
    let ClientMessage::Notice { notice, .. } = message else { return false };
    notice.scene().as_str() == SCENE && !matches!(notice, Notice::Query { .. })
}
