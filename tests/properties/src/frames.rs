//! Frames of the internal port, as both of its ends read them.

use std::fmt::Debug;

use bytes::BytesMut;
use protocol::codec::{Codec, FrameError, FromFrame, MAX_FRAME};
use protocol::message::{ClientMessage, ServerMessage};
use serde::Serialize;
use serde::de::IgnoredAny;
use tokio_util::codec::{Decoder, Encoder};

use crate::script::{HEAD, Script};

/// Reads the bytes of a connection (see `script.rs`) as messages of a client and as messages of a gateway.
///
/// - The same messages and the same end come out, however the bytes are cut.
/// - An independent reading of the bytes finds the same messages. A frame over the limit gives none.
/// - An incomplete frame is all that is buffered. The memory is at most twice what a frame and a piece need.
/// - A message that is written is read again as the same one.
pub fn frames(input: &[u8]) -> &'static str {
    let Some(script) = Script::read(input, &[]) else { return "nothing" };
    let (of_a_client, end) = read::<ClientMessage>(&script);
    let (of_a_gateway, _) = read::<ServerMessage>(&script);
    match (end, of_a_client.last(), of_a_gateway.last()) {
        (None, None | Some(ClientMessage::Bad { .. }), Some(message)) => message.word(),
        (None, Some(message), _) => message.word(),
        (None, None, None) => "nothing",
        (Some(fault), ..) => fault.code().unwrap_or("cut"),
    }
}

/// A message of one end.
pub(crate) trait Message: FromFrame + Serialize + Clone + PartialEq + Debug {
    /// The message's type in one word.
    fn word(&self) -> &'static str;

    /// What a reader makes of this message after it is written; `None` if it is never written.
    fn written(&self) -> Option<Self>;

    /// Checks how a frame was read. `is_object` says whether the frame is one JSON object in UTF-8.
    fn assert_is_of(read: &Result<Self, FrameError>, frame: &[u8], is_object: bool);
}

impl Message for ClientMessage {
    fn word(&self) -> &'static str {
        match self {
            Self::Auth { .. } => "auth",
            Self::Notice { notice, .. } => notice.kind(),
            Self::Ping { .. } => "ping",
            Self::Bad { .. } => "bad",
        }
    }

    fn written(&self) -> Option<Self> {
        match self {
            // Writing keeps only that the message is bad, and not why.
            Self::Bad { id, .. } => Some(Self::Bad { id: id.clone(), message: "type is missing".to_owned() }),
            message => Some(message.clone()),
        }
    }

    fn assert_is_of(read: &Result<Self, FrameError>, _frame: &[u8], is_object: bool) {
        assert_eq!(read.is_ok(), is_object, "a gateway answers every object and nothing else, {read:?}");
    }
}

impl Message for ServerMessage {
    fn word(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Answer(_) => "answer",
            Self::Pong { .. } => "pong",
            Self::Bye => "bye",
            Self::Error { .. } => "error",
            Self::Unknown => "unknown",
        }
    }

    fn written(&self) -> Option<Self> {
        (*self != Self::Unknown).then(|| self.clone())
    }

    fn assert_is_of(read: &Result<Self, FrameError>, frame: &[u8], is_object: bool) {
        // Of another version's hello only the version is read, so its texts need not be valid Unicode.
        let is_of_another_version = matches!(read, Ok(Self::Hello(hello)) if hello.version != protocol::VERSION)
            && str::from_utf8(frame).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        assert!(
            is_object || read.is_err() || is_of_another_version,
            "a client believes objects only, {read:?}"
        );
    }
}

/// The messages, and the fault that ends them, if there is one.
fn read<M: Message>(script: &Script) -> (Vec<M>, Option<FrameError>) {
    let (messages, end) = decode::<M>([&script.bytes[..]].into_iter());
    let (cut_messages, cut_end) = decode::<M>(script.written().map(|(piece, _)| piece));
    assert_eq!(cut_messages, messages, "it was cut");
    assert_eq!(text(cut_end.as_ref()), text(end.as_ref()), "it was cut");
    let (found, found_end) = another_look::<M>(&script.bytes);
    assert_eq!(messages, found);
    assert_eq!(text(end.as_ref()), text(found_end.as_ref()));
    for message in &messages {
        assert_is_read_again(message);
    }
    (messages, end)
}

fn text(end: Option<&FrameError>) -> Option<String> {
    end.map(ToString::to_string)
}

/// Decodes as a connection does: takes each piece, then every whole frame so far.
fn decode<'a, M: Message>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<M>, Option<FrameError>) {
    let (mut codec, mut buffer, mut longest) = (Codec::<M>::default(), BytesMut::new(), 0);
    let mut messages = Vec::new();
    for piece in pieces {
        longest = longest.max(piece.len());
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(fault) => return (messages, Some(fault)),
            }
        }
        let (waits, memory) = (buffer.len(), buffer.capacity());
        assert!(waits < MAX_FRAME, "{waits} bytes wait");
        assert!(memory <= 2 * (HEAD + MAX_FRAME + longest), "{memory} bytes for pieces of {longest}");
    }
    match codec.decode_eof(&mut buffer) {
        Ok(None) => (messages, None),
        Ok(Some(message)) => panic!("{message:?} comes from an end"),
        Err(fault) => (messages, Some(fault)),
    }
}

/// Reads all bytes at once, without a codec.
pub(crate) fn another_look<M: Message>(mut bytes: &[u8]) -> (Vec<M>, Option<FrameError>) {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let Some((head, rest)) = bytes.split_first_chunk() else { return (messages, Some(FrameError::Cut)) };
        let length = u32::from_be_bytes(*head) as usize;
        let json = match length {
            0 => return (messages, Some(FrameError::Empty)),
            1..=MAX_FRAME => rest.get(..length),
            _ => return (messages, Some(FrameError::TooLong)),
        };
        let Some(json) = json else { return (messages, Some(FrameError::Cut)) };
        let read = M::from_frame(json);
        M::assert_is_of(&read, json, is_object(json));
        match read {
            Ok(message) => messages.push(message),
            Err(fault) => return (messages, Some(fault)),
        }
        bytes = &rest[length..];
    }
    (messages, None)
}

/// Whether a frame is an object by JSON's grammar. Its values may be too large to store.
fn is_object(frame: &[u8]) -> bool {
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    str::from_utf8(frame).is_ok_and(is_json) && frame.trim_ascii_start().starts_with(b"{")
}

fn assert_is_read_again<M: Message>(message: &M) {
    let mut bytes = BytesMut::new();
    match (Codec::<M>::default().encode(message, &mut bytes), message.written()) {
        (Ok(()), Some(written)) => {
            let (again, end) = another_look::<M>(&bytes);
            assert_eq!((again, text(end.as_ref())), (vec![written], None));
        }
        (Err(_), None) => {}
        // A status with a shorter name may have filled the frame to its last byte.
        (Err(FrameError::TooLong), _) => {
            let length = serde_json::to_vec(message).map_or(0, |json| json.len());
            assert!((MAX_FRAME..MAX_FRAME + 64).contains(&length), "{length} bytes of {message:?}");
        }
        (encoded, written) => panic!("{encoded:?}, {written:?}"),
    }
}
