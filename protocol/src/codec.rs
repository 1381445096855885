//! Frames: a u32 big-endian length N, then N bytes of UTF-8 JSON, one object; 1 ≤ N ≤ 65,536.
//!
//! tokio-util's length-delimited codec does the framing, with our limit. Bytes that are not a frame of one JSON
//! object end the connection. A faulty object does not.

use std::io;
use std::marker::PhantomData;

use bytes::{BufMut, BytesMut};
use serde::Serialize;
use tokio_util::codec::length_delimited::{LengthDelimitedCodec, LengthDelimitedCodecError};
use tokio_util::codec::{Decoder, Encoder};

/// The largest frame, in bytes after the length. A notice is a few hundred bytes; the room is for user
/// agents and for what later versions add.
pub const MAX_FRAME: usize = 65_536;

/// A fault in a connection's bytes. The connection must be closed after it.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A frame of length 0.
    #[error("a frame of length 0")]
    Empty,
    /// A frame whose length is over [`MAX_FRAME`]. An HTTP request or a TLS hello reads as one.
    #[error("a frame of more than {MAX_FRAME} bytes")]
    TooLong,
    /// The stream ended inside a frame.
    #[error("the connection ended inside a frame")]
    Cut,
    /// The frame is not one JSON object.
    #[error("a frame that is not one JSON object: {0}")]
    NotAnObject(String),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FrameError {
    /// The `code` of the error frame for the peer, or `None` when the peer no longer listens.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::TooLong => Some("bad_frame"),
            Self::NotAnObject(_) => Some("bad_json"),
            Self::Cut | Self::Io(_) => None,
        }
    }
}

/// A message that can be read from a frame.
pub trait FromFrame: Sized {
    /// Reads the JSON of one frame.
    ///
    /// # Errors
    /// [`FrameError::NotAnObject`] for anything but one JSON object.
    fn from_frame(json: &[u8]) -> Result<Self, FrameError>;
}

/// Reads `In` and writes anything that serialises to a JSON object.
#[derive(Debug)]
pub struct Codec<In> {
    frames: LengthDelimitedCodec,
    /// The length of a frame has been read, but not yet the whole frame.
    inside_a_frame: bool,
    incoming: PhantomData<fn() -> In>,
}

impl<In> Default for Codec<In> {
    fn default() -> Self {
        let frames = LengthDelimitedCodec::builder()
            .length_field_type::<u32>()
            .max_frame_length(MAX_FRAME)
            .new_codec();
        Self { frames, inside_a_frame: false, incoming: PhantomData }
    }
}

impl<In: FromFrame> Decoder for Codec<In> {
    type Item = In;
    type Error = FrameError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<In>, FrameError> {
        let before = bytes.len();
        match self.frames.decode(bytes).map_err(too_long_or_io)? {
            None => {
                self.inside_a_frame |= bytes.len() < before;
                Ok(None)
            }
            Some(frame) => {
                self.inside_a_frame = false;
                if frame.is_empty() { Err(FrameError::Empty) } else { In::from_frame(&frame).map(Some) }
            }
        }
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<In>, FrameError> {
        match self.decode(bytes)? {
            None if !bytes.is_empty() || self.inside_a_frame => Err(FrameError::Cut),
            message => Ok(message),
        }
    }
}

impl<In, Out: Serialize> Encoder<Out> for Codec<In> {
    type Error = FrameError;

    fn encode(&mut self, message: Out, bytes: &mut BytesMut) -> Result<(), FrameError> {
        put(&message, bytes)
    }
}

/// Puts a message's frame behind `bytes`, or leaves them as they are. It is written where it will be sent from, because
/// there are many.
///
/// # Errors
/// [`FrameError::TooLong`], or [`FrameError::Io`] for a message that cannot be written as JSON.
pub(crate) fn put(message: &impl Serialize, bytes: &mut BytesMut) -> Result<(), FrameError> {
    let before = bytes.len();
    bytes.put_u32(0);
    let written = serde_json::to_writer((&mut *bytes).writer(), message).map_err(io::Error::from);
    let start = before + size_of::<u32>();
    let length = u32::try_from(bytes.len() - start).ok().filter(|_| bytes.len() - start <= MAX_FRAME);
    match (written, length) {
        (Ok(()), Some(length)) => {
            bytes[before..start].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        (written, _) => {
            bytes.truncate(before);
            Err(written.err().map_or(FrameError::TooLong, FrameError::Io))
        }
    }
}

/// tokio-util wraps its "too long" in an `io::Error`.
fn too_long_or_io(error: io::Error) -> FrameError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<LengthDelimitedCodecError>()) {
        Some(_) => FrameError::TooLong,
        None => FrameError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Raw(serde_json::Value);

    impl FromFrame for Raw {
        fn from_frame(json: &[u8]) -> Result<Self, FrameError> {
            serde_json::from_slice(json).map(Self).map_err(|error| FrameError::NotAnObject(error.to_string()))
        }
    }

    fn encoded(json: &serde_json::Value) -> BytesMut {
        let mut bytes = BytesMut::new();
        Codec::<Raw>::default().encode(json, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_frame_cut_at_every_byte_is_waited_for_and_an_end_inside_it_is_told() {
        let json = serde_json::json!({"type": "ping", "id": "扫码"});
        let whole = encoded(&json);
        for cut in 0..whole.len() {
            let mut codec = Codec::<Raw>::default();
            let mut bytes = BytesMut::from(&whole[..cut]);
            assert!(codec.decode(&mut bytes).unwrap().is_none(), "cut at {cut}");
            let end = codec.decode_eof(&mut bytes.clone());
            assert_eq!(cut == 0, matches!(end, Ok(None)), "end at {cut}: {end:?}");
            bytes.extend_from_slice(&whole[cut..]);
            assert_eq!(codec.decode(&mut bytes).unwrap(), Some(Raw(json.clone())), "cut at {cut}");
        }
    }

    #[test]
    fn the_documents_example_is_true() {
        let document = include_str!("../PROTOCOL.md");
        let start = document.find("00 00 00 1b").unwrap();
        let hex = document[start..].split("```").next().unwrap();
        let bytes: Vec<u8> =
            hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        // A `Value` would sort the fields, so the text is kept as it is.
        let text = r#"{"type":"ping","id":"扫1"}"#;
        assert!(document.contains(text));
        assert_eq!(bytes[..4], u32::try_from(text.len()).unwrap().to_be_bytes());
        assert_eq!(&bytes[4..], text.as_bytes());
        let ping = Codec::<Raw>::default().decode(&mut BytesMut::from(&bytes[..]));
        assert_eq!(ping.unwrap(), Some(Raw(serde_json::from_str(text).unwrap())));
    }

    #[test]
    fn the_limits_are_exact() {
        let decode = |length: u32, fill: usize| {
            let mut bytes = BytesMut::from(&length.to_be_bytes()[..]);
            bytes.extend_from_slice(&b"{}".repeat(fill)[..]);
            Codec::<Raw>::default().decode(&mut bytes)
        };
        assert!(matches!(decode(0, 0), Err(FrameError::Empty)));
        assert!(matches!(decode(65_536, 0), Ok(None)), "the largest frame is waited for");
        assert!(matches!(decode(65_537, 0), Err(FrameError::TooLong)));
        assert!(matches!(decode(u32::from_be_bytes(*b"GET "), 0), Err(FrameError::TooLong)));
        assert!(matches!(decode(4, 2), Err(FrameError::NotAnObject(_))), "two objects are not one");
        let long = serde_json::json!({"type": "x".repeat(MAX_FRAME)});
        let mut bytes = encoded(&serde_json::json!({}));
        let before = bytes.clone();
        let refused = Codec::<Raw>::default().encode(&long, &mut bytes);
        assert!(matches!(refused, Err(FrameError::TooLong)), "nor do we send one");
        assert_eq!(bytes, before, "nor a part of it");
    }
}
