//! The messages of the wire, typed: one enum for each direction.
//!
//! A frame that is not one JSON object ends the connection: reading it gives a [`FrameError`]. An object that
//! is not a valid message is answered `bad` and the connection stays: reading it gives [`ClientMessage::Bad`].

use std::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::codec::{FrameError, FromFrame};
use crate::scene::Scene;

/// Characters in a notice's `id`.
pub const MAX_ID: usize = 64;
/// Characters in `by`: WeChat's openids have 28, and should be taken as opaque up to 128.
pub const MAX_BY: usize = 128;
/// Characters in a display name: WeChat's own limit is 32, other back ends may have longer ones.
pub const MAX_NICKNAME: usize = 256;
/// Characters in a code.
pub const MAX_CODE: usize = 512;

/// What a client asks of the gateway about one login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Ends the login as granted: the page gets `scan_success`.
    Scan {
        /// The login.
        scene: Scene,
        /// The display name for the page; decoration only.
        nickname: Option<String>,
        /// The code that the site's back end redeems. Only clients with the right `grant` may send it.
        code: Option<Code>,
        /// An opaque name of the person.
        by: Option<String>,
    },
    /// Says that a person has scanned: the page gets `scanned`, and only this person can end the login.
    Claim {
        /// The login.
        scene: Scene,
        /// An opaque name of the person.
        by: String,
        /// Two digits for the page to show, when the site asks for confirmation.
        number: Option<String>,
    },
    /// Ends the login as denied.
    Deny {
        /// The login.
        scene: Scene,
        /// An opaque name of the person.
        by: Option<String>,
    },
    /// Asks for the state; nothing changes.
    Query {
        /// The login.
        scene: Scene,
    },
}

impl Notice {
    /// The login that the notice is about.
    #[must_use]
    pub fn scene(&self) -> Scene {
        match self {
            Self::Scan { scene, .. }
            | Self::Claim { scene, .. }
            | Self::Deny { scene, .. }
            | Self::Query { scene } => *scene,
        }
    }

    /// The notice's `type` on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Scan { .. } => "scan",
            Self::Claim { .. } => "claim",
            Self::Deny { .. } => "deny",
            Self::Query { .. } => "query",
        }
    }
}

/// The one-time code that a site's back end redeems for the identity. `Debug` prints stars.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(pub String);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Client → gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// The client's name and its proof for the challenge.
    Auth {
        /// The client's name.
        client: String,
        /// Lower-case hexadecimal of HMAC-SHA256(key, challenge).
        proof: String,
    },
    /// A notice. Its answer has the same `id`.
    Notice {
        /// Chosen by the client, at most [`MAX_ID`] characters.
        id: Option<String>,
        /// What is asked.
        notice: Notice,
    },
    /// Answered by a pong with the same `id`.
    Ping {
        /// Chosen by the client, at most [`MAX_ID`] characters.
        id: Option<String>,
    },
    /// An object that is not a valid message. It is answered `bad`, and the connection stays.
    Bad {
        /// The object's `id`, if that is valid.
        id: Option<String>,
        /// What is wrong, for the person who writes the client.
        message: String,
    },
}

/// Every field that a client's message may have. Unknown fields are ignored.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Fields {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scene: Option<String>,
    // The PHP original's name for `scene`.
    #[serde(default, skip_serializing)]
    fd: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nickname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

/// Checks that a frame is UTF-8 and begins like an object. serde_json does not check UTF-8 inside unknown
/// fields, and serde accepts an array in the place of a struct.
fn one_object(json: &[u8]) -> Result<&str, FrameError> {
    let json = str::from_utf8(json).map_err(|error| FrameError::NotAnObject(error.to_string()))?;
    match json.trim_ascii_start().starts_with('{') {
        true => Ok(json),
        false => Err(FrameError::NotAnObject("it does not begin with {".to_owned())),
    }
}

impl FromFrame for ClientMessage {
    fn from_frame(json: &[u8]) -> Result<Self, FrameError> {
        let json = one_object(json)?;
        match serde_json::from_str::<Fields>(json) {
            Ok(fields) => Ok(Self::from_fields(fields)),
            // The frame is not a JSON object, or it is an object with a field of the wrong type.
            Err(fault) => match serde_json::from_str::<Value>(json) {
                Ok(Value::Object(_)) => Ok(Self::Bad { id: only_id(json), message: fault.to_string() }),
                Ok(_) => Err(FrameError::NotAnObject("it is another JSON value".to_owned())),
                // JSON's grammar allows the escape of half a surrogate pair (RFC 8259, section 8.2). Programs
                // that cut a name inside an emoji write it. A client that repeats such a notice must not lose
                // its connection each time.
                Err(error) => match serde_json::from_str::<IgnoredAny>(json) {
                    Ok(_) => Ok(Self::Bad { id: only_id(json), message: error.to_string() }),
                    Err(error) => Err(FrameError::NotAnObject(error.to_string())),
                },
            },
        }
    }
}

/// The `id` of an object that has another fault.
fn only_id(json: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Only {
        id: Option<String>,
    }
    let Only { id } = serde_json::from_str(json).ok()?;
    id.filter(|id| fits(id, MAX_ID))
}

impl ClientMessage {
    fn from_fields(mut fields: Fields) -> Self {
        let id = fields.id.take();
        if id.as_deref().is_some_and(|id| !fits(id, MAX_ID)) {
            return Self::Bad { id: None, message: format!("id has more than {MAX_ID} characters") };
        }
        match fields.kind.as_deref() {
            Some("ping") => Self::Ping { id },
            Some("auth") => match (fields.client, fields.proof) {
                (Some(client), Some(proof)) => Self::Auth { client, proof },
                _ => Self::Bad { id, message: "auth needs client and proof".to_owned() },
            },
            _ => match fields.notice() {
                Ok(notice) => Self::Notice { id, notice },
                Err(message) => Self::Bad { id, message },
            },
        }
    }
}

impl Fields {
    fn notice(self) -> Result<Notice, String> {
        let kind = self.kind.ok_or("type is missing")?;
        if !matches!(kind.as_str(), "scan" | "claim" | "deny" | "query") {
            return Err("unknown type; there are scan, claim, deny, query and ping".to_owned());
        }
        let scene = match (self.scene, self.fd) {
            (Some(scene), None) | (None, Some(scene)) => scene,
            (None, None) => return Err("scene is missing".to_owned()),
            (Some(_), Some(_)) => return Err("scene and fd are the same; give one of them".to_owned()),
        };
        let scene: Scene = scene.parse().map_err(|error| format!("scene: {error}"))?;
        let by = at_most("by", self.by, MAX_BY)?;
        if by.as_deref() == Some("") {
            return Err("by is empty; leave it out or name the person".to_owned());
        }
        if self.code.as_deref() == Some("") {
            return Err("code is empty; leave it out where nobody redeems one".to_owned());
        }
        let nickname = at_most("nickname", self.nickname, MAX_NICKNAME)?;
        let code = at_most("code", self.code, MAX_CODE)?.map(Code);
        let two_digits = |number: &String| number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit());
        if self.number.as_ref().is_some_and(|number| !two_digits(number)) {
            return Err("number is a text of two digits".to_owned());
        }
        match kind.as_str() {
            "scan" => Ok(Notice::Scan { scene, nickname, code, by }),
            "claim" => Ok(Notice::Claim { scene, by: by.ok_or("claim needs by")?, number: self.number }),
            "deny" => Ok(Notice::Deny { scene, by }),
            _ => Ok(Notice::Query { scene }),
        }
    }
}

fn fits(text: &str, most: usize) -> bool {
    text.chars().count() <= most
}

fn at_most(name: &str, text: Option<String>, most: usize) -> Result<Option<String>, String> {
    match text {
        Some(text) if !fits(&text, most) => Err(format!("{name} has more than {most} characters")),
        text => Ok(text),
    }
}

impl Serialize for ClientMessage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of = |kind: &str| Some(kind.to_owned());
        let fields = match self.clone() {
            Self::Auth { client, proof } => {
                Fields { kind: of("auth"), client: Some(client), proof: Some(proof), ..Fields::default() }
            }
            Self::Ping { id } => Fields { kind: of("ping"), id, ..Fields::default() },
            Self::Bad { id, .. } => Fields { id, ..Fields::default() },
            Self::Notice { id, notice } => {
                let (kind, scene) = (of(notice.kind()), Some(notice.scene().to_string()));
                let fields = Fields { kind, id, scene, ..Fields::default() };
                match notice {
                    Notice::Scan { nickname, code, by, .. } => {
                        Fields { nickname, code: code.map(|code| code.0), by, ..fields }
                    }
                    Notice::Claim { by, number, .. } => Fields { by: Some(by), number, ..fields },
                    Notice::Deny { by, .. } => Fields { by, ..fields },
                    Notice::Query { .. } => fields,
                }
            }
        };
        fields.serialize(serializer)
    }
}

/// Gateway → client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The first frame of a connection.
    Hello(Hello),
    /// The answer to one notice.
    Answer(Answer),
    /// The answer to a ping.
    Pong {
        /// The ping's `id`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// The gateway drains. It still answers notices in flight; new ones belong on a new connection.
    Bye,
    /// Why the gateway closes this connection.
    Error {
        /// A short name for programs.
        code: String,
        /// Words for people.
        message: String,
    },
    /// A message of a later version. It is ignored.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl FromFrame for ServerMessage {
    fn from_frame(json: &[u8]) -> Result<Self, FrameError> {
        let json = one_object(json)?;
        serde_json::from_str(json).or_else(|error| {
            // The hello of another version may have no field but `version`.
            match serde_json::from_str(json) {
                Ok(OnlyVersion { kind: Greeting::Hello, version }) if version != crate::VERSION => {
                    let hello = Hello { version, challenge: String::new(), max_frame: 0, heartbeat: 0 };
                    Ok(Self::Hello(hello))
                }
                _ => Err(FrameError::NotAnObject(error.to_string())),
            }
        })
    }
}

#[derive(Deserialize)]
struct OnlyVersion {
    #[serde(rename = "type")]
    kind: Greeting,
    version: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Greeting {
    Hello,
}

/// The gateway's greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The wire's version.
    pub version: u32,
    /// The challenge for the client's proof; new for each connection.
    pub challenge: String,
    /// The largest frame, in bytes after the length.
    pub max_frame: u32,
    /// Heartbeat in seconds. A client that is silent for two heartbeats is closed.
    pub heartbeat: u32,
}

/// The state of a login: `waiting → scanned → granted`, or `denied`, or `expired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The QR code is shown.
    Waiting,
    /// A person has scanned it.
    Scanned,
    /// Ended: the person is logged in.
    Granted,
    /// Ended: the person said no.
    Denied,
    /// Ended: the login's time ran out.
    Expired,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Scanned => "scanned",
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Expired => "expired",
        })
    }
}

/// The result of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The answer to a query.
    Ok,
    /// Recorded, and the page is connected.
    Delivered,
    /// Recorded; the page is away and gets it when it comes back.
    Stored,
    /// No login has this scene, or it ended too long ago.
    Unknown,
    /// The login's time has run out.
    Expired,
    /// The login ended in another way, or it belongs to another person.
    Taken,
    /// The client has no right to this notice on this login.
    Forbidden,
    /// Too many notices at once, or the store is away. Certainly not recorded: repeat after `retry_in`.
    Busy,
    /// The notice is not understood; `message` says why.
    Bad,
    /// Perhaps recorded: repeat the same notice. An unknown status of a later version is read as this one.
    #[serde(other)]
    Unsure,
}

impl Status {
    /// The status as the wire writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Delivered => "delivered",
            Self::Stored => "stored",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Taken => "taken",
            Self::Forbidden => "forbidden",
            Self::Busy => "busy",
            Self::Unsure => "unsure",
            Self::Bad => "bad",
        }
    }

    /// Whether the notice has been recorded.
    #[must_use]
    pub fn is_recorded(self) -> bool {
        matches!(self, Self::Delivered | Self::Stored)
    }
}

/// The answer to one notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The notice's `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The result of the notice.
    pub status: Status,
    /// The login's present state, where there is a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The same notice had been recorded before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeat: bool,
    /// Who asked for the login. Answers to recorded claims have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Box<Context>>,
    /// Milliseconds after which a `busy` notice should be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in: Option<u64>,
    /// Words for the person who writes the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Answer {
    /// An answer that has nothing but a status.
    #[must_use]
    pub fn new(status: Status) -> Self {
        Self { id: None, status, state: None, repeat: false, context: None, retry_in: None, message: None }
    }

    /// The answer `bad`, with words about what is wrong.
    #[must_use]
    pub fn bad(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::new(Status::Bad) }
    }
}

/// Who asked for a login: what the page said when it opened, and what the gateway observed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The site that the page named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The page's OpenID Connect nonce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The page's PKCE challenge (RFC 7636).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_challenge: Option<String>,
    /// The handle of an authorization request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The page's Origin (RFC 6454).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The browser's address, as far as trusted proxies tell it.
    pub ip: String,
    /// The browser's User-Agent, cut to a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// When the login was made: seconds since 1970 by the gateway's clock.
    pub created_at: u64,
    /// The two digits that the page shows, as recorded with the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

#[cfg(test)]
mod tests;
