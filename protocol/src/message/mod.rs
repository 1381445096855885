//! The messages of the wire, typed: one enum for each direction.
//!
//! A frame that is not one JSON object ends the connection: reading it gives a [`FrameError`]. An object that
//! is not a valid message is answered `bad` and the connection stays: reading it gives [`ClientMessage::Bad`].

mod answer;
mod client;
mod notice;
mod server;

pub use self::answer::{Answer, Context, Resume, State, Status};
pub use self::client::ClientMessage;
pub(crate) use self::client::Sent;
pub use self::notice::{Code, MAX_ACCOUNT, MAX_BY, MAX_CODE, MAX_ID, MAX_NICKNAME, Notice, TYPED};
pub use self::server::{Hello, ServerMessage};
use crate::codec::FrameError;

/// Checks that a frame is UTF-8 and begins like an object. serde_json does not check UTF-8 inside unknown
/// fields, and serde accepts an array in the place of a struct.
fn one_object(json: &[u8]) -> Result<&str, FrameError> {
    let json = str::from_utf8(json).map_err(|error| FrameError::NotAnObject(error.to_string()))?;
    match json.trim_ascii_start().starts_with('{') {
        true => Ok(json),
        false => Err(FrameError::NotAnObject("it does not begin with {".to_owned())),
    }
}

#[cfg(test)]
mod tests;
