//! What comes from a page, from bytes to messages (RFC 6455, sections 5 and 8.1), without I/O.
//!
//! A page hardly ever says anything, and there are many thousands of them. So a page's socket has one of these only
//! while bytes are there that are no whole message yet, and nothing is reserved for what a header only promises.

use std::io::Cursor;

use bytes::{Buf, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{FrameHeader, Utf8Bytes};

use crate::browsers::message::Close;

/// Bytes that a control frame may have (section 5.5).
const MOST_OF_CONTROL: usize = 125;

/// What has come and is no message yet.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// The beginning of the next frame, or some frames.
    bytes: BytesMut,
    /// A message whose last frame has not come.
    begun: Option<Begun>,
}

/// The frames of a message that is not whole.
#[derive(Debug)]
struct Begun {
    is_text: bool,
    data: BytesMut,
    /// So much of a text is known to be UTF-8.
    checked: usize,
}

impl Incoming {
    /// Takes what was read. It has to be masked, as everything from a client.
    pub(super) fn push(&mut self, read: &[u8]) {
        self.bytes.extend_from_slice(read);
    }

    /// Nothing has come that is not taken.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.begun.is_none()
    }

    /// The next message, of at most `most` bytes; `None` where more has to come first.
    ///
    /// # Errors
    /// What the page is told. What comes after that cannot be read as messages.
    pub(super) fn next(&mut self, most: usize) -> Result<Option<Message>, Close> {
        while let Some((header, payload)) = self.frame(most)? {
            let message = match header.opcode {
                OpCode::Control(control) => Some(of_control(control, payload)?),
                OpCode::Data(data) => self.of_data(data, payload, header.is_final, most)?,
            };
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    /// The next frame, unmasked. It is judged by its header before its payload is there.
    fn frame(&mut self, most: usize) -> Result<Option<(FrameHeader, BytesMut)>, Close> {
        let mut cursor = Cursor::new(&self.bytes);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Close::Protocol)?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let begins = usize::try_from(cursor.position()).map_err(|_| Close::Protocol)?;
        // Bits without an extension that gives them a meaning (section 5.2), and a client that does not mask (section 5.1).
        let (false, false, false, Some(mask)) = (header.rsv1, header.rsv2, header.rsv3, header.mask) else {
            return Err(Close::Protocol);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let is_control = matches!(header.opcode, OpCode::Control(_));
        if is_control && (!header.is_final || length > MOST_OF_CONTROL) {
            return Err(Close::Protocol);
        }
        if length > most {
            return Err(Close::TooBig);
        }
        if self.bytes.len() - begins < length {
            return Ok(None);
        }
        self.bytes.advance(begins);
        let mut payload = self.bytes.split_to(length);
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        if self.bytes.is_empty() {
            // Else it would keep its room for as long as a message is not whole.
            self.bytes = BytesMut::new();
        }
        Ok(Some((header, payload)))
    }

    /// The message that this frame makes whole (section 5.4).
    fn of_data(
        &mut self,
        data: Data,
        payload: BytesMut,
        is_final: bool,
        most: usize,
    ) -> Result<Option<Message>, Close> {
        let mut begun = match (data, self.begun.take()) {
            (Data::Continue, Some(begun)) => begun,
            (Data::Text, None) => Begun { is_text: true, data: BytesMut::new(), checked: 0 },
            (Data::Binary, None) => Begun { is_text: false, data: BytesMut::new(), checked: 0 },
            // A continuation of nothing, or a new message before the last one's end.
            _ => return Err(Close::Protocol),
        };
        begun.add(payload, most)?;
        if is_final {
            return begun.whole().map(Some);
        }
        self.begun = Some(begun);
        Ok(None)
    }
}

impl Begun {
    fn add(&mut self, payload: BytesMut, most: usize) -> Result<(), Close> {
        if payload.len() > most - self.data.len() {
            return Err(Close::TooBig);
        }
        if self.data.is_empty() {
            self.data = payload;
        } else {
            self.data.extend_from_slice(&payload);
        }
        if !self.is_text {
            return Ok(());
        }
        // A character may go on in the next frame.
        match str::from_utf8(&self.data[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Close::NotUtf8),
        }
        Ok(())
    }

    fn whole(self) -> Result<Message, Close> {
        let data = self.data.freeze();
        if self.is_text {
            Utf8Bytes::try_from(data).map(Message::Text).map_err(|_| Close::NotUtf8)
        } else {
            Ok(Message::Binary(data))
        }
    }
}

/// A control frame, which may come between the frames of a message.
fn of_control(control: Control, payload: BytesMut) -> Result<Message, Close> {
    let payload = payload.freeze();
    match control {
        Control::Ping => Ok(Message::Ping(payload)),
        Control::Pong => Ok(Message::Pong(payload)),
        Control::Close => closed(&payload).map(Message::Close),
        Control::Reserved(_) => Err(Close::Protocol),
    }
}

/// What a close frame says (section 5.5.1).
fn closed(payload: &Bytes) -> Result<Option<CloseFrame>, Close> {
    let (code, reason) = match payload[..] {
        [] => return Ok(None),
        [_] => return Err(Close::Protocol),
        [first, second, ..] => (u16::from_be_bytes([first, second]), payload.slice(2..)),
    };
    let (code, reason) = (CloseCode::from(code), Utf8Bytes::try_from(reason).map_err(|_| Close::NotUtf8)?);
    if code.is_allowed() { Ok(Some(CloseFrame { code, reason })) } else { Err(Close::Protocol) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{self, Read, Write};

    use fastrand::Rng;
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
    use tokio_tungstenite::tungstenite::{Error, WebSocket};

    use super::*;

    /// Bytes of a message in these tests.
    const MOST: usize = 200;

    /// What a stream of bytes comes to: its messages, and what was wrong then, if anything.
    type Outcome = (Vec<Message>, Option<Close>);

    /// A frame from a client. The mask is one that changes every byte.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match u16::try_from(payload.len()) {
            Ok(length @ 0..=125) => frame.push(0x80 | length as u8),
            Ok(length) => {
                frame.push(0xfe);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => panic!("too long for a test"),
        }
        let mask = [0x17, 0x2a, 0xff, 0x80];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    /// Ours reads what comes in these pieces.
    fn ours<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
        let (mut incoming, mut messages) = (Incoming::default(), Vec::new());
        for piece in pieces {
            incoming.push(piece);
            loop {
                match incoming.next(MOST) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(close) => return (messages, Some(close)),
                }
                if messages.last().is_some_and(Message::is_close) {
                    return (messages, None);
                }
            }
        }
        (messages, None)
    }

    /// What comes, and a place for the answers.
    struct Stream<'a>(&'a [u8]);

    impl Read for Stream<'_> {
        fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
            self.0.read(space)
        }
    }

    impl Write for Stream<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// tungstenite reads it.
    fn theirs(bytes: &[u8]) -> Outcome {
        let limits = WebSocketConfig::default().max_message_size(Some(MOST)).max_frame_size(Some(MOST));
        let mut socket = WebSocket::from_raw_socket(Stream(bytes), Role::Server, Some(limits));
        let mut messages = Vec::new();
        loop {
            let wrong = match socket.read() {
                // It answers a close with a code that there is not by one of its own, and tells only that.
                Ok(Message::Close(Some(close))) if close.reason.as_str() == "Protocol violation" => {
                    Close::Protocol
                }
                Ok(message) => {
                    messages.push(message);
                    if messages.last().is_some_and(Message::is_close) {
                        return (messages, None);
                    }
                    continue;
                }
                Err(Error::Capacity(_)) => Close::TooBig,
                Err(Error::Utf8(_)) => Close::NotUtf8,
                Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return (messages, None),
                Err(Error::Protocol(_)) => Close::Protocol,
                Err(other) => panic!("{other}"),
            };
            return (messages, Some(wrong));
        }
    }

    /// Frames of all kinds, most of them as they should be.
    fn frames(random: &mut Rng) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), None::<Vec<u8>>);
        for _ in 0..random.usize(1..12) {
            let is_wrong = random.u8(..40) == 0;
            let is_control = random.u8(..3) == 0;
            let is_final = is_control || random.bool();
            let opcode = match (is_control, &rest) {
                _ if is_wrong => random.u8(..16),
                (true, _) => *random.choice(&[0x8, 0x9, 0x9, 0xa, 0xa]).unwrap(),
                (false, Some(_)) => 0,
                (false, None) => random.u8(1..=2),
            };
            let mut payload = match opcode {
                8 if random.bool() => [&random.u16(990..1020).to_be_bytes()[..], "再见".as_bytes()].concat(),
                8 => vec![3; random.usize(..3)],
                9..=15 => vec![0xfe; random.usize(..if is_wrong { 130 } else { 126 })],
                _ => {
                    let whole = || "扫码 scan 🦀".repeat(random.usize(..15)).into_bytes();
                    let mut data = rest.take().unwrap_or_else(whole);
                    if !is_final {
                        rest = Some(data.split_off(random.usize(..=data.len())));
                    }
                    data
                }
            };
            if random.u8(..60) == 0 {
                payload.push(0xff);
            }
            // Of two faults of one frame each may be found first.
            let is_reserved = random.u8(..60) == 0 && payload.len() <= MOST;
            let reserved = if is_reserved { 1 << random.u8(4..7) } else { 0 };
            let first = (u8::from(is_final && !is_wrong) << 7) | reserved | opcode;
            bytes.extend(frame(first, &payload));
        }
        bytes
    }

    #[test]
    fn whatever_comes_is_read_as_tungstenite_reads_it_however_it_is_cut() {
        let seed = fastrand::u64(..);
        let mut random = Rng::with_seed(seed);
        let mut ends = std::collections::HashMap::new();
        for round in 0..20_000 {
            let bytes = frames(&mut random);
            let expected = theirs(&bytes);
            let most = random.usize(1..40);
            assert_eq!(ours([&bytes[..]]), expected, "seed {seed}, round {round}: {bytes:02x?}");
            assert_eq!(ours(bytes.chunks(most)), expected, "seed {seed}, round {round}, by {most}");
            *ends.entry(expected.1.map(|close| u16::from(close.frame().code))).or_insert(0) += 1;
        }
        // Each end was met, so each was compared.
        assert!(ends.len() == 4 && ends.values().all(|met| *met > 100), "{ends:?}");
    }

    #[test]
    fn a_frame_is_judged_by_its_header_and_nothing_is_kept_for_its_promise() {
        let wrong = |bytes: &[u8]| ours([bytes]).1;
        assert_eq!(wrong(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 201, 1, 2, 3, 4]), Some(Close::TooBig));
        assert_eq!(
            wrong(&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]),
            Some(Close::TooBig)
        );
        assert_eq!(wrong(&[0x89, 0xfe, 0, 126, 1, 2, 3, 4]), Some(Close::Protocol), "a long ping");
        assert_eq!(wrong(&[0x09, 0x80, 1, 2, 3, 4]), Some(Close::Protocol), "half a ping");
        assert_eq!(wrong(&[0x81, 0x00]), Some(Close::Protocol), "without a mask");
        assert_eq!(wrong(&[0x82, 0xfe, 0, 200, 1, 2, 3, 4]), None, "200 bytes may come");
        let mut incoming = Incoming::default();
        incoming.push(&[0x82, 0xfe, 0, 200, 1, 2, 3, 4]);
        assert!(matches!(incoming.next(MOST), Ok(None)) && incoming.bytes.capacity() < 64);
    }

    #[test]
    fn a_message_in_frames_has_the_limit_of_one_frame() {
        let half = [b'a'; MOST / 2];
        let (begins, goes_on) = (frame(0x01, &half), frame(0x80, &half));
        assert_eq!(ours([&begins[..], &goes_on]).0, [Message::text("a".repeat(MOST))]);
        let too_long = frame(0x80, &[b'a'; MOST / 2 + 1]);
        assert_eq!(ours([&begins[..], &too_long]), (vec![], Some(Close::TooBig)));
    }
}
