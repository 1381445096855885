//! Client → gateway. All messages of this direction are read through one struct of all fields, so that a fault in a
//! field is answered in words and does not end the connection.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::notice::{Code, MAX_ACCOUNT, MAX_BY, MAX_CODE, MAX_ID, MAX_NICKNAME, Notice, TYPED};
use super::one_object;
use crate::codec::{FrameError, FromFrame};

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

/// Every field that a client's message may have. Unknown fields are ignored. A text is taken as it stands in the frame,
/// unless it has escapes.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Fields<'a> {
    #[serde(rename = "type", borrow, default, skip_serializing_if = "Option::is_none")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    id: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    scene: Option<Text<'a>>,
    // The PHP original's name for `scene`.
    #[serde(borrow, default, skip_serializing)]
    fd: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    nickname: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    code: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    by: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    number: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    typed: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    account: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    client: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    proof: Option<Text<'a>>,
}

/// serde borrows a `Cow` only where nothing is around it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<Text<'_>> for String {
    fn from(text: Text<'_>) -> Self {
        text.0.into_owned()
    }
}

impl FromFrame for ClientMessage {
    fn from_frame(json: &[u8]) -> Result<Self, FrameError> {
        let json = one_object(json)?;
        match serde_json::from_str::<Fields<'_>>(json) {
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
    fn from_fields(mut fields: Fields<'_>) -> Self {
        let id = fields.id.take().map(String::from);
        if id.as_deref().is_some_and(|id| !fits(id, MAX_ID)) {
            return Self::Bad { id: None, message: format!("id has more than {MAX_ID} characters") };
        }
        match fields.kind.as_ref().map(Text::as_str) {
            Some("ping") => Self::Ping { id },
            Some("auth") => match (fields.client, fields.proof) {
                (Some(client), Some(proof)) => Self::Auth { client: client.into(), proof: proof.into() },
                _ => Self::Bad { id, message: "auth needs client and proof".to_owned() },
            },
            _ => match fields.notice() {
                Ok(notice) => Self::Notice { id, notice },
                Err(message) => Self::Bad { id, message },
            },
        }
    }
}

impl Fields<'_> {
    /// Every field is looked at, also where the notice has no use for it.
    fn notice(self) -> Result<Notice, String> {
        let kind = self.kind.ok_or("type is missing")?;
        let is_about_a_login = match kind.as_str() {
            "scan" | "claim" | "deny" | "query" => true,
            "find" | "probe" => false,
            _ => {
                return Err(
                    "unknown type; there are scan, claim, deny, query, find, probe and ping".to_owned()
                );
            }
        };
        let scene = match (self.scene, self.fd) {
            (Some(scene), None) | (None, Some(scene)) => Some(scene),
            (None, None) if is_about_a_login => return Err("scene is missing".to_owned()),
            (None, None) => None,
            (Some(_), Some(_)) => return Err("scene and fd are the same; give one of them".to_owned()),
        };
        let scene = scene
            .map(|scene| scene.as_str().parse().map_err(|error| format!("scene: {error}")))
            .transpose()?;
        let by = at_most("by", self.by, MAX_BY)?;
        if by.as_deref() == Some("") {
            return Err("by is empty; leave it out or name the person".to_owned());
        }
        if self.code.as_ref().map(Text::as_str) == Some("") {
            return Err("code is empty; leave it out where nobody redeems one".to_owned());
        }
        let nickname = at_most("nickname", self.nickname, MAX_NICKNAME)?;
        let code = at_most("code", self.code, MAX_CODE)?.map(Code);
        let is_of_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if self.number.as_ref().is_some_and(|number| number.0.len() != 2 || !is_of_digits(&number.0)) {
            return Err("number is a text of two digits".to_owned());
        }
        let (number, typed) = (self.number.map(String::from), self.typed.map(String::from));
        let account = at_most("account", self.account, MAX_ACCOUNT)?;
        if typed.as_ref().is_some_and(|typed| !TYPED.contains(&typed.len()) || !is_of_digits(typed)) {
            return Err(format!("typed is a text of {} to {} digits", TYPED.start(), TYPED.end()));
        }
        Ok(match (kind.as_str(), scene) {
            ("scan", Some(scene)) => Notice::Scan { scene, nickname, code, by },
            ("claim", Some(scene)) => Notice::Claim { scene, by: by.ok_or("claim needs by")?, number },
            ("deny", Some(scene)) => Notice::Deny { scene, by },
            ("query", Some(scene)) => Notice::Query { scene },
            ("find", _) => Notice::Find { typed: typed.ok_or("find needs typed")?, account },
            _ => Notice::Probe,
        })
    }
}

fn fits(text: &str, most: usize) -> bool {
    text.len() <= most || text.chars().count() <= most
}

fn at_most(name: &str, text: Option<Text<'_>>, most: usize) -> Result<Option<String>, String> {
    match text {
        Some(text) if !fits(&text.0, most) => Err(format!("{name} has more than {most} characters")),
        text => Ok(text.map(String::from)),
    }
}

/// A notice as its client sends it, without a copy of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent<'a> {
    /// Chosen by the client.
    pub(crate) id: Option<&'a str>,
    /// What is asked.
    pub(crate) notice: &'a Notice,
}

impl Serialize for Sent<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let scene = self.notice.scene();
        let (kind, scene) = (Some(self.notice.kind().into()), scene.as_ref().map(|it| it.as_str().into()));
        let fields = Fields { kind, id: self.id.map(Text::from), scene, ..Fields::default() };
        let fields = match self.notice {
            Notice::Scan { nickname, code, by, .. } => Fields {
                nickname: nickname.as_deref().map(Text::from),
                code: code.as_ref().map(|code| code.0.as_str().into()),
                by: by.as_deref().map(Text::from),
                ..fields
            },
            Notice::Claim { by, number, .. } => {
                Fields { by: Some(by.as_str().into()), number: number.as_deref().map(Text::from), ..fields }
            }
            Notice::Deny { by, .. } => Fields { by: by.as_deref().map(Text::from), ..fields },
            Notice::Query { .. } | Notice::Probe => fields,
            Notice::Find { typed, account } => Fields {
                typed: Some(typed.as_str().into()),
                account: account.as_deref().map(Text::from),
                ..fields
            },
        };
        fields.serialize(serializer)
    }
}

impl Serialize for ClientMessage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = match self {
            Self::Notice { id, notice } => return Sent { id: id.as_deref(), notice }.serialize(serializer),
            Self::Auth { client, proof } => Fields {
                kind: Some("auth".into()),
                client: Some(client.as_str().into()),
                proof: Some(proof.as_str().into()),
                ..Fields::default()
            },
            Self::Ping { id } => {
                Fields { kind: Some("ping".into()), id: id.as_deref().map(Text::from), ..Fields::default() }
            }
            Self::Bad { id, .. } => Fields { id: id.as_deref().map(Text::from), ..Fields::default() },
        };
        fields.serialize(serializer)
    }
}
