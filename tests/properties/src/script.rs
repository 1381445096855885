//! The bytes of a connection to the internal port, in a form that a fuzzer can change. A fuzzer does not guess
//! lengths, and it makes no inputs of 64 KiB.
//!
//! The first line is a list of words; the rest is what is sent. Unknown words are ignored:
//!
//! | word | meaning |
//! |---|---|
//! | `f` | every line of the rest is a frame with its own length; without it the rest is sent as it is |
//! | `200`, `200+50` | a piece of so many bytes, and 50 times 10 ms until the next. Without any, all comes at once |
//! | `shut` | at the end the writing side is closed; without it the connection stays open |
//! | `gone` | at the end the connection is dropped, and nothing was ever read |
//!
//! The pieces are used in turn, again and again. A line that begins with `@70000 ` is filled with blanks to
//! that many bytes. A line that begins with `#70000 ` claims that length, whatever its real length is.

use std::time::Duration;

/// Bytes of a frame's length field.
pub(crate) const HEAD: usize = size_of::<u32>();

/// The most bytes that a script sends. Frames beyond are left out.
const MOST: usize = 5 * 65_536;

/// The most pieces, and the most time that they take. It is less than 60 s, because the gateway closes a client
/// that is silent for that long.
const MOST_PIECES: usize = 1000;
pub(crate) const LONGEST: Duration = Duration::from_secs(20);

/// What happens after everything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Wait,
    Shut,
    Gone,
}

/// The bytes of one connection.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) bytes: Vec<u8>,
    /// Where each piece ends in `bytes`, and when it is written. There is at least one piece.
    pieces: Vec<(usize, Duration)>,
    pub(crate) then: Then,
}

impl Script {
    /// Reads a script and replaces `words` in it. `None` if it has no second line.
    pub(crate) fn read(input: &[u8], words: &[(&str, &str)]) -> Option<Self> {
        let end = input.iter().position(|&byte| byte == b'\n')?;
        let head: Vec<&str> = str::from_utf8(&input[..end]).ok()?.split(' ').collect();
        let body =
            words.iter().fold(input[end + 1..].to_vec(), |body, (word, other)| replace(&body, word, other));
        let bytes = if head.contains(&"f") { frames(&body) } else { body };
        let then = match () {
            () if head.contains(&"gone") => Then::Gone,
            () if head.contains(&"shut") => Then::Shut,
            () => Then::Wait,
        };
        Some(Self { pieces: pieces(&head, bytes.len()), bytes, then })
    }

    /// The bytes of each piece, and when it is written.
    pub(crate) fn written(&self) -> impl Iterator<Item = (&[u8], Duration)> {
        let starts = std::iter::once(0).chain(self.pieces.iter().map(|(end, _)| *end));
        starts.zip(&self.pieces).map(|(start, &(end, at))| (&self.bytes[start..end], at))
    }

    /// When the first `length` bytes are written; `None` if they never are.
    pub(crate) fn has_come(&self, length: usize) -> Option<Duration> {
        self.pieces.iter().find(|(end, _)| *end >= length).map(|(_, at)| *at)
    }
}

fn replace(text: &[u8], word: &str, other: &str) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match rest.strip_prefix(word.as_bytes()) {
            Some(after) => {
                replaced.extend(other.as_bytes());
                rest = after;
            }
            None => {
                replaced.push(*first);
                rest = after;
            }
        }
    }
    replaced
}

fn frames(lines: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines.split(|&byte| byte == b'\n') {
        let (length, frame) = match numbered(line) {
            Some((b'@', length, text)) => {
                let mut filled = text.to_vec();
                filled.resize(text.len().max(length.min(MOST as u32) as usize), b' ');
                (filled.len() as u32, filled)
            }
            Some((_, length, text)) => (length, text.to_vec()),
            None => (line.len() as u32, line.to_vec()),
        };
        if bytes.len() + frame.len() > MOST {
            break;
        }
        bytes.extend(length.to_be_bytes());
        bytes.extend(frame);
    }
    bytes
}

/// A line's mark and number, and the text after them.
fn numbered(line: &[u8]) -> Option<(u8, u32, &[u8])> {
    let (&mark @ (b'@' | b'#'), rest) = line.split_first()? else { return None };
    let end = rest.iter().position(|&byte| byte == b' ')?;
    let number = str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((mark, number, &rest[end + 1..]))
}

fn pieces(head: &[&str], length: usize) -> Vec<(usize, Duration)> {
    let piece = |word: &&str| -> Option<(usize, u32)> {
        let (size, wait) = word.split_once('+').unwrap_or((word, "0"));
        Some((size.parse().ok().filter(|&size| size > 0)?, wait.parse().ok()?))
    };
    let sizes: Vec<_> = head.iter().filter_map(piece).collect();
    let (mut pieces, mut end, mut at) = (Vec::new(), 0, Duration::ZERO);
    for (size, wait) in sizes.iter().cycle().take(MOST_PIECES) {
        if end >= length {
            break;
        }
        end = length.min(end.saturating_add(*size));
        pieces.push((end, at));
        at = LONGEST.min(at + Duration::from_millis(10) * (*wait).min(10_000));
    }
    if end < length || pieces.is_empty() {
        pieces.push((length, at));
    }
    pieces
}
