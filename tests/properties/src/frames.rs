//! Frames of the internal port, as both of its ends read them.

use std::fmt::Debug;

use bytes::BytesMut;
use protocol::codec::{Codec, FrameError, FromFrame, MAX_FRAME};
use protocol::message::{ClientMessage, ServerMessage};
use serde::Serialize;
use serde::de::IgnoredAny;
use tokio_util::codec::{Decoder, Encoder};

use crate::script::{HEAD, Script};

/// Reads what comes over a connection (see `script.rs`) as words of a client and as words of a gateway.
///
/// - However it is cut, the same messages come out of it, and the same end.
/// - They are those that another look at the bytes finds; nothing comes from a frame over the limit.
/// - What waits for its rest is less than a frame, and its memory at most twice what a frame and a piece need.
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

/// What one end says.
pub(crate) trait Message: FromFrame + Serialize + Clone + PartialEq + Debug {
    /// Its type, in a word.
    fn word(&self) -> &'static str;

    /// What is read when it has been written; `None` if it never is.
    fn written(&self) -> Option<Self>;

    /// What this frame may be read as; whether it is one JSON object in UTF-8 is known.
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
            // What was wrong with it is not kept, only that it was wrong.
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
        // Of another version's hello nothing but the version is read: its texts need be none of Unicode's.
        let is_of_another_version = matches!(read, Ok(Self::Hello(hello)) if hello.version != protocol::VERSION)
            && str::from_utf8(frame).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        assert!(
            is_object || read.is_err() || is_of_another_version,
            "a client believes objects only, {read:?}"
        );
    }
}

/// The messages and the fault that ends them, if one does.
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

/// As a connection reads: what has come is taken, as far as there are whole frames in it.
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

/// The same without a codec, on the whole of it.
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

/// By JSON's grammar; whether anybody could hold it does not matter.
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
        // A shorter name of a status may have filled the frame to its last byte.
        (Err(FrameError::TooLong), _) => {
            let length = serde_json::to_vec(message).map_or(0, |json| json.len());
            assert!((MAX_FRAME..MAX_FRAME + 64).contains(&length), "{length} bytes of {message:?}");
        }
        (encoded, written) => panic!("{encoded:?}, {written:?}"),
    }
}
