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

/// The login in the gateway. Its scene is public.
const SCENE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

const NAME: &str = "callback";

/// Only this module knows the key.
const KEY: &str = "the internal port's own key, for properties";
const OTHER_KEY: &str = "another key, which the port does not know";

/// The times that PROTOCOL.md promises.
const AUTH_WITHIN: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(60);
/// A client that does not read is closed after this. The wait can come at the hello, at the answers and at the
/// last message.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// How long the gateway waits for the other end to close.
const LINGER: Duration = Duration::from_secs(1);

/// The waits of a script are multiples of 10 ms. This start keeps them off the exact end of a time limit.
const BEFORE: Duration = Duration::from_millis(1);

/// Bytes that the connection can hold: less than a large frame.
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

/// Speaks with the internal port of a gateway in memory (see `script.rs`). In the script `{proof}` stands for
/// the proof of the only key, `{old}` for a proof of another connection, and `{wrong}` for one of another key.
/// Time must be paused in `runtime`; otherwise this takes as long as the gateway waits.
///
/// - A peer that has not proved the key changes nothing, gets hello and at most one error, and is closed 5 s
///   after hello.
/// - A client that has proved it gets one answer for every notice, until the connection ends as PROTOCOL.md
///   says.
/// - A client that never reads is closed as well.
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

/// The course of one connection.
#[derive(Debug)]
struct Spoken {
    challenge: String,
    script: Script,
    /// What the gateway sent after hello; empty if the script did not read.
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
            // The gateway may have closed. What it sent before tells why.
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

/// The gateway's next message; `None` when it has closed, which must be after a whole frame.
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

/// How the gateway must treat the peer after the first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// A stranger: it gets this error and nothing else.
    Refused(&'static str),
    /// A stranger that has left: it gets nothing.
    Left,
    /// The client. Its frame has this many bytes.
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

    /// What must happen to the peer, and when that is decided.
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

    /// When this many bytes have come, counted from hello.
    fn has_come(&self, length: usize) -> Option<Duration> {
        self.script.has_come(length).map(|at| BEFORE + at)
    }

    /// Judges a client. A script is short enough that the client is never silent for too long before its end.
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
            // Answers come in any order. An error comes last.
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

/// The gateway's reply to a client's message.
fn answer(message: &ClientMessage) -> Said {
    match message {
        ClientMessage::Ping { id } => Said::new("pong", id.as_deref()),
        ClientMessage::Notice { id, .. } | ClientMessage::Bad { id, .. } => {
            Said::new("answer", id.as_deref())
        }
        ClientMessage::Auth { .. } => Said::new("answer", None),
    }
}

/// Whether a message changes the login. The first such message always does, because the client has every right.
fn changes_the_login(message: &ClientMessage) -> bool {
    let ClientMessage::Notice { notice, .. } = message else { return false };
    !matches!(notice, Notice::Query { .. }) && notice.scene().is_some_and(|scene| scene.as_str() == SCENE)
}
