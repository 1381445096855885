//! Plaintext mode's one-body rule: each signature is taken with one body only.
//!
//! WeChat's plaintext signature does not cover the body, so whoever sees one query string could send any
//! event with it for as long as its timestamp is fresh. A repeat of the same body is a repeat; another
//! body is a forgery. The signature is the key, because timestamp and nonce could be split elsewhere.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use server::tell;
use server::told::Told;
use tokio::time::Instant;

/// Signatures remembered at once; at their full age that is about 160 pushes a second.
const MAX_SIGNATURES: usize = 100_000;

/// The signatures seen, each with the hash of its body.
#[derive(Debug)]
pub(crate) struct OneBody {
    seen: Mutex<HashMap<String, Seen>>,
    kept: Duration,
    told: Told,
}

#[derive(Debug)]
struct Seen {
    body: [u8; 32],
    at: Instant,
}

impl OneBody {
    /// `max_age` is how far a push's timestamp may be from now; a signature lives for twice that.
    #[must_use]
    pub(crate) fn new(max_age: Duration) -> Self {
        Self { seen: Mutex::default(), kept: max_age * 2, told: Told::default() }
    }

    /// Whether `signature` may come with `body`: it is new, or it came with the same body before. When no
    /// more can be remembered, new ones are not taken.
    pub(crate) fn admits(&self, signature: &str, body: &[u8]) -> bool {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = seen.get(signature).filter(|before| now < before.at + self.kept) {
            return before.body == hash;
        }
        if seen.len() >= MAX_SIGNATURES {
            seen.retain(|_, before| now < before.at + self.kept);
        }
        if seen.len() >= MAX_SIGNATURES {
            tell!(warn, self.told, "full", "too many pushes to remember their signatures; one was refused");
            return false;
        }
        seen.insert(signature.to_owned(), Seen { body: hash, at: now });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_signature_comes_with_one_body_for_as_long_as_it_could_be_fresh() {
        let rule = OneBody::new(Duration::from_secs(300));
        assert!(rule.admits("s", b"one") && rule.admits("s", b"one"), "a repeat is a repeat");
        assert!(!rule.admits("s", b"two"));
        assert!(rule.admits("t", b"two"));
        tokio::time::advance(Duration::from_secs(599)).await;
        assert!(!rule.admits("s", b"two"));
    }
}
