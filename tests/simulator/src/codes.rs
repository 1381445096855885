//! The QR codes that were made. They are found by their ticket, or by the text that a phone reads.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use crate::random;

/// The part of a code's text between the address and the code's id.
const PATH: &str = "/q/";

/// The scene of a code. Pushes give it back as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scene {
    Number(u32),
    Text(String),
}

impl fmt::Display for Scene {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Text(text) => text.fmt(formatter),
        }
    }
}

/// A parametric QR code.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) id: String,
    pub(crate) ticket: String,
    /// The text of the picture: a URL that leads to the phone page.
    pub(crate) url: String,
    pub(crate) scene: Scene,
    made: Instant,
    /// `None` for a permanent code.
    expires: Option<Instant>,
    /// The openid of the person who scanned it last, once the account has answered that.
    pub(crate) scanned_by: Option<String>,
}

impl Code {
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// Time since it was made.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.made)
    }

    /// Time left; `None` for a permanent code.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        self.expires.map(|at| at.saturating_duration_since(now))
    }
}

/// The codes, oldest first. When there are too many, expired ones are removed. If none has expired, no more are
/// made.
pub(crate) struct Codes {
    most: usize,
    by_id: HashMap<String, Code>,
    id_of_ticket: HashMap<String, String>,
    order: VecDeque<String>,
}

/// No code can be made, because the most that are kept are all valid.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Codes {
    /// An empty set that holds at most `most` codes.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, by_id: HashMap::new(), id_of_ticket: HashMap::new(), order: VecDeque::new() }
    }

    /// Makes a code whose text begins with `base`. `life` is in seconds; `None` is forever.
    pub(crate) fn make(
        &mut self,
        base: &str,
        scene: Scene,
        life: Option<u32>,
        (now, unix): (Instant, u64),
    ) -> Result<Code, Full> {
        if self.order.len() >= self.most {
            self.drop_expired(now);
        }
        if self.order.len() >= self.most {
            return Err(Full);
        }
        // Real ids begin with 02 too.
        let id = format!("02{}", random::name::<16>());
        let url = format!("{base}{PATH}{id}");
        let code = Code {
            ticket: ticket(&url, unix, life.unwrap_or_default()),
            made: now,
            scanned_by: None,
            expires: life.map(|seconds| now + Duration::from_secs(seconds.into())),
            id: id.clone(),
            url,
            scene,
        };
        self.id_of_ticket.insert(code.ticket.clone(), id.clone());
        self.by_id.insert(id.clone(), code.clone());
        self.order.push_back(id);
        Ok(code)
    }

    pub(crate) fn by_ticket(&self, ticket: &str) -> Option<&Code> {
        self.by_id.get(self.id_of_ticket.get(ticket)?)
    }

    /// Finds the code that a phone has read. Only the end of the text counts, so that codes stay valid when the
    /// simulator moves to another address.
    pub(crate) fn by_text(&self, text: &str) -> Option<&Code> {
        let (_, id) = text.trim().rsplit_once(PATH)?;
        self.by_id.get(id)
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Code> {
        self.by_id.get(id)
    }

    /// Notes who has scanned a code. It stays good: WeChat counts no scans.
    pub(crate) fn note_scan(&mut self, id: &str, openid: &str) {
        if let Some(code) = self.by_id.get_mut(id) {
            code.scanned_by = Some(openid.to_owned());
        }
    }

    /// The codes that are still valid, newest first.
    pub(crate) fn recent(&self, now: Instant) -> impl Iterator<Item = &Code> {
        let newest_first = self.order.iter().rev().filter_map(|id| self.by_id.get(id));
        newest_first.filter(move |code| !code.is_expired(now))
    }

    fn drop_expired(&mut self, now: Instant) {
        self.by_id.retain(|_, code| !code.is_expired(now));
        self.order.retain(|id| self.by_id.contains_key(id));
        self.id_of_ticket.retain(|_, id| self.by_id.contains_key(id));
    }
}

/// Builds a ticket in the form of real ones: the text, the time and the life, all unencrypted, so that nobody
/// takes it for a secret.
fn ticket(url: &str, unix: u64, life: u32) -> String {
    let [first, second] = random::bytes();
    let mut bytes = vec![0x81, 0x01, first, second, 0x3c, 0, 0, 0, 0, 0, 0, 0, 0x01];
    bytes.push(u8::try_from(url.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(url.as_bytes());
    bytes.extend_from_slice(&[0, 2, 4]);
    // A ticket has four bytes for the time, as WeChat's tickets have. That is enough until 2106.
    bytes.extend_from_slice(&u32::try_from(unix).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&[3, 4]);
    bytes.extend_from_slice(&life.to_le_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const BASE: &str = "http://127.0.0.1:8090";

    #[test]
    fn a_code_is_found_by_its_text_and_ticket_until_it_is_needed_no_more() {
        let (mut codes, now) = (Codes::new(1000), Instant::now());
        let code = codes.make(BASE, Scene::Text("abc".to_owned()), Some(60), (now, 1)).unwrap();
        assert_eq!(codes.by_text(&format!(" {}\n", code.url)).unwrap().id, code.id);
        assert_eq!(codes.by_ticket(&code.ticket).unwrap().id, code.id);
        assert!(codes.by_text("http://example.com/q/nothing").is_none());
        assert!(!code.is_expired(now + Duration::from_secs(59)));
        assert!(code.is_expired(now + Duration::from_secs(60)));
    }

    #[test]
    fn a_full_table_drops_expired_codes_and_then_refuses() {
        let (mut codes, now) = (Codes::new(1000), Instant::now());
        let at = (now, 1);
        codes.make(BASE, Scene::Number(1), Some(1), at).unwrap();
        for _ in 1..1000 {
            codes.make(BASE, Scene::Number(2), None, at).unwrap();
        }
        assert_eq!(codes.make(BASE, Scene::Number(3), None, at).unwrap_err(), Full);
        let later = (now + Duration::from_secs(1), 2);
        codes.make(BASE, Scene::Number(4), None, later).unwrap();
        assert_eq!(codes.order.len(), 1000);
        assert_eq!(codes.id_of_ticket.len(), 1000);
        assert_eq!(codes.make(BASE, Scene::Number(5), None, later).unwrap_err(), Full);
    }
}
