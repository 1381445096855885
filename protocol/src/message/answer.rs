//! The answer to a notice: what became of it, where the login stands, and who asked for the login.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::scene::Scene;

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
    /// The answer to a query, to a find that has found a login, and to a probe that has got one.
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
    /// The login that was looked for. Answers `ok` to `find` and to `probe` have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scene: Option<Scene>,
    /// What opens that login's page. Answers `ok` to `probe` have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
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
        Self {
            id: None,
            status,
            scene: None,
            resume: None,
            state: None,
            repeat: false,
            context: None,
            retry_in: None,
            message: None,
        }
    }

    /// The answer `bad`, with words about what is wrong.
    #[must_use]
    pub fn bad(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::new(Status::Bad) }
    }
}

/// The resume key of a probe's login, with which a page comes to it. `Debug` prints stars.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resume(pub String);

impl fmt::Debug for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
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
    /// The official account whose people may log in, where the page named one: its name at the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
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
