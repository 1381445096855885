//! Reads `protocol/vectors.json`, as its `about` explains it. The tests of `protocol` include this file by its
//! path; the tests over sockets use it as a part of this crate.
//!
//! A field that is not read here is an error, so that no vector says more than the tests check.

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::Value;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vectors {
    /// An explanation of the groups, for people.
    pub about: Vec<String>,
    /// The version of the wire.
    pub version: u32,
    /// Keys and their proofs.
    pub proofs: Vec<Proof>,
    /// Objects and their frames.
    pub frames: Vec<Frame>,
    /// First bytes of clients that the gateway rejects.
    pub auth: Vec<ToGateway>,
    /// First bytes of a client after a good auth.
    pub to_gateway: Vec<ToGateway>,
    /// Whole conversations, from a client's side.
    pub to_client: Vec<ToClient>,
}

/// A key, a challenge and the proof.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// What is special about it.
    pub name: String,
    /// The key as it is written in a file.
    pub key: String,
    /// The gateway's challenge.
    pub challenge: String,
    /// The proof.
    pub proof: String,
}

/// The sender of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The client.
    Client,
    /// The gateway.
    Gateway,
}

/// An object and its frame.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// What is special about it.
    pub name: String,
    /// Who sends it.
    pub from: End,
    /// The object.
    pub object: Value,
    /// The frame, length and all.
    pub frame: Bytes,
    /// What a reader keeps, if that is less than the object; null if it ignores the message.
    #[serde(default, deserialize_with = "given")]
    pub means: Option<Value>,
    /// Whether a writer would write the object in another form.
    #[serde(default)]
    pub only_read: bool,
}

/// Bytes for a gateway, and its reaction.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToGateway {
    /// What is special about it.
    pub name: String,
    /// What the client sends.
    pub bytes: Bytes,
    /// The content of the only frame, for people.
    pub text: Option<String>,
    /// Whether the client closes its writing side after the bytes.
    #[serde(default)]
    pub leaves: bool,
    /// The gateway's messages, without `message`.
    pub says: Vec<Value>,
    /// What happens to the connection.
    pub then: Then,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The connection stays usable.
    Stays,
    /// The gateway closes it.
    Closes,
}

/// A conversation from the client's side.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToClient {
    /// What is special about it.
    pub name: String,
    /// The client's key as it is written in a file.
    pub key: String,
    /// The client's name.
    pub client: String,
    /// The notice that the client is asked to send.
    pub notice: Value,
    /// What the gateway writes first, write by write.
    pub hello: Vec<Bytes>,
    /// The client's messages; empty if it must send nothing.
    pub sends: Vec<Value>,
    /// What the gateway writes after that, write by write.
    pub reply: Vec<Bytes>,
    /// Whether the gateway then closes the connection; otherwise it waits for the client to close.
    #[serde(default)]
    pub closes: bool,
    /// The result for the client's caller.
    pub outcome: Outcome,
}

/// The result of a conversation for the client's caller.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// The client has the answer.
    Answer {
        /// The object, with every field.
        answer: Value,
    },
    /// The client has no answer, and says why.
    Failure {
        /// Why.
        failure: Failure,
        /// The error's code, if the gateway refused.
        code: Option<String>,
    },
}

/// Why a client has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The gateway speaks another version.
    Version,
    /// The gateway rejected this client with an error.
    Refused,
    /// Something else came before hello.
    Hello,
    /// A frame of a forbidden length.
    Frame,
    /// A frame that is not one JSON object.
    Json,
    /// The connection was closed.
    Closed,
    /// It took too long.
    Time,
}

/// Bytes, which the file writes as hexadecimal text or as a list of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Part {
            Once(String),
            Often { hex: String, times: usize },
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Whole(String),
            Parts(Vec<Part>),
        }
        let parts = match Written::deserialize(deserializer)? {
            Written::Whole(hex) => vec![Part::Once(hex)],
            Written::Parts(parts) => parts,
        };
        let mut bytes = Vec::new();
        for part in parts {
            let (hex, times) = match part {
                Part::Once(hex) => (hex, 1),
                Part::Often { hex, times } => (hex, times),
            };
            bytes.extend(from_hex(&hex).map_err(D::Error::custom)?.repeat(times));
        }
        Ok(Self(bytes))
    }
}

fn from_hex(hex: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("no hexadecimal text in lower case: {hex}");
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(wrong()),
    };
    if hex.len() % 2 == 1 {
        return Err(wrong());
    }
    hex.as_bytes().chunks(2).map(|pair| Ok(digit(pair[0])? * 16 + digit(pair[1])?)).collect()
}

/// Tells null from an absent field.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Reads the file.
///
/// # Panics
/// When the file is not valid.
#[must_use]
pub fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../protocol/vectors.json"))
        .expect("vectors.json is as it should be")
}
