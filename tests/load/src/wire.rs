//! The bytes of both wires, as the crowd and the references need them: WebSocket frames (RFC 6455) and the internal port's
//! frames. It knows no more of them than what a measurement sends.

use std::ops::Range;

/// A text message.
pub(crate) const TEXT: u8 = 1;

/// A close.
pub(crate) const CLOSE: u8 = 8;

/// The most bytes of a frame of the internal port.
const MAX_NOTICE: usize = 65_536;

/// The end of a request's or an answer's head.
pub(crate) const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// A page's close after its login, masked by zeros as by any other key.
pub(crate) const MASKED_CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xaa];

/// A frame of a WebSocket among some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    /// Where its payload is.
    pub(crate) payload: Range<usize>,
}

/// The first whole frame in these bytes, masked or not.
pub(crate) fn frame(bytes: &[u8]) -> Option<Frame> {
    let (opcode, second): (u8, u8) = (bytes.first()? & 0x0f, *bytes.get(1)?);
    let (length, head): (usize, usize) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        length => (usize::from(length), 2),
    };
    let head = head + if second & 0x80 == 0 { 0 } else { 4 };
    let end = head.checked_add(length)?;
    (bytes.len() >= end).then_some(Frame { opcode, payload: head..end })
}

/// Appends a whole frame of a server.
pub(crate) fn push_frame(bytes: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    bytes.push(0x80 | opcode);
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => bytes.push(length as u8),
        Ok(length) => {
            bytes.push(126);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            bytes.push(127);
            bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
}

/// The first whole frame of the internal port in these bytes: where its JSON is.
pub(crate) fn notice(bytes: &[u8]) -> Option<Range<usize>> {
    let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    let end = 4 + usize::try_from(length).ok()?.min(MAX_NOTICE);
    (bytes.len() >= end).then_some(4..end)
}

/// Appends a whole frame of the internal port.
pub(crate) fn push_notice(bytes: &mut Vec<u8>, json: &[u8]) {
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(json);
}

/// What stands between `before` and the next quotation mark. Only for texts that have none in them.
pub(crate) fn text_after<'a>(json: &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
    let at = find(json, before)? + before.len();
    let length = json[at..].iter().position(|byte| *byte == b'"')?;
    Some(&json[at..at + length])
}

/// Where `wanted` begins.
pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    // Nearly every first byte is another.
    let (&first, rest) = wanted.split_first()?;
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| *byte == first)?;
        if bytes[at + 1..].starts_with(rest) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_frame_is_read_when_it_is_whole() {
        for length in [0, 1, 125, 126, 2000, 70_000] {
            let mut bytes = Vec::new();
            push_frame(&mut bytes, TEXT, &vec![b'x'; length]);
            let whole = bytes.len();
            assert_eq!(frame(&bytes[..whole - 1]), None, "{length}");
            bytes.push(b'y');
            let Frame { opcode, payload } = frame(&bytes).unwrap();
            assert_eq!((opcode, payload.len(), payload.end), (TEXT, length, whole));
        }
        let Frame { opcode, payload } = frame(&MASKED_CLOSE).unwrap();
        assert_eq!((opcode, MASKED_CLOSE[payload].to_vec()), (CLOSE, 4010_u16.to_be_bytes().to_vec()));
    }

    #[test]
    fn notices_and_their_texts_are_found() {
        let mut bytes = Vec::new();
        push_notice(&mut bytes, br#"{"type":"scan","id":"7"}"#);
        assert_eq!(notice(&bytes[..bytes.len() - 1]), None);
        let json = &bytes[notice(&bytes).unwrap()];
        assert_eq!(text_after(json, br#""id":""#), Some(&b"7"[..]));
        assert_eq!(text_after(json, br#""by":""#), None);
    }
}
