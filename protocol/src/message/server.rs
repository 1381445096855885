//! Gateway → client.

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::one_object;
use crate::codec::{FrameError, FromFrame};

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
