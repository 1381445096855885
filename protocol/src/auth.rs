//! How a client proves that it holds a key, without sending it.
//!
//! The gateway's hello carries a challenge that was never used before. The client answers with the HMAC-SHA256 of the
//! challenge. A captured proof is worth nothing on another connection. The key itself is never written to the wire. The
//! frames that follow are only as safe as the transport: use TLS beyond one machine.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};

use crate::scene::random_name;

/// Shortest key, in bytes. A shorter one could be guessed offline from a captured proof.
pub const MIN_KEY_BYTES: usize = 32;

/// Hexadecimal digits in a proof.
const PROOF_DIGITS: usize = 64;

/// A client's key. Its bytes are the text's own UTF-8, without a trailing line break.
#[derive(Debug, Clone)]
pub struct Key(SecretString);

/// Compares in constant time. Only the lengths of the keys can leak.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (self.0.expose_secret().as_bytes(), other.0.expose_secret().as_bytes());
        aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
    }
}

impl Eq for Key {}

/// The text is too short to be a key. The error does not reveal its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key has at least {MIN_KEY_BYTES} bytes; make one with: openssl rand -hex 32")]
pub struct KeyTooShort;

impl Key {
    /// Takes `text` as a key.
    ///
    /// # Errors
    /// When it has less than [`MIN_KEY_BYTES`].
    pub fn new(text: &SecretString) -> Result<Self, KeyTooShort> {
        let bytes = text.expose_secret().trim_end_matches(['\r', '\n']);
        if bytes.len() < MIN_KEY_BYTES { Err(KeyTooShort) } else { Ok(Self(SecretString::from(bytes))) }
    }

    /// The proof for `challenge`: lower-case hexadecimal of HMAC-SHA256 over its bytes.
    #[must_use]
    pub fn proof(&self, challenge: &str) -> String {
        let tag = hmac::sign(&self.hmac(), challenge.as_bytes());
        HEXLOWER.encode(tag.as_ref())
    }

    /// Whether `proof` is this key's proof for `challenge`, compared in constant time.
    #[must_use]
    pub fn verifies(&self, challenge: &str, proof: &str) -> bool {
        let expected = self.proof(challenge);
        proof.len() == PROOF_DIGITS
            && aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), proof.as_bytes())
                .is_ok()
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret().as_bytes())
    }
}

/// A challenge for one connection: 128 random bits as text.
///
/// # Panics
/// When the operating system has no randomness to give.
#[must_use]
pub fn challenge() -> String {
    random_name().iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn key(text: &str) -> Key {
        Key::new(&SecretString::from(text)).unwrap()
    }

    #[test]
    fn the_proof_is_hmac_sha256_in_lower_case_hex() {
        // Computed with: printf '%s' CHALLENGE | openssl dgst -sha256 -hmac KEY
        let key = key("0123456789abcdef0123456789abcdef\n");
        let proof = "a883539970d57febd0ac14cb7a76df122eea34fc487569753962a08fc64d71cd";
        assert_eq!(key.proof("AAAAAAAAAAAAAAAAAAAAAA"), proof);
        assert!(key.verifies("AAAAAAAAAAAAAAAAAAAAAA", proof));
    }

    #[test]
    fn the_documents_example_is_true() {
        let document = include_str!("../PROTOCOL.md");
        let value = |name: &str| {
            let mut lines = document.lines().filter_map(|line| line.strip_prefix(name));
            lines.next().unwrap().trim()
        };
        let proof = key(value("key  ")).proof(value("challenge  "));
        assert_eq!(proof, value("proof  "));
        // The document shows the proof twice, with the same challenge: in the greeting's section and in the whole
        // login.
        assert_eq!(document.matches(&format!(r#""proof":"{proof}"}}"#)).count(), 2);
    }

    #[test]
    fn nothing_else_is_believed() {
        let one = key("0123456789abcdef0123456789abcdef");
        let proof = one.proof("challenge");
        assert!(!one.verifies("another challenge", &proof));
        assert!(!one.verifies("challenge", &proof.to_uppercase()));
        assert!(!one.verifies("challenge", &proof[..63]));
        assert!(!one.verifies("challenge", ""));
        assert!(!key("0123456789abcdef0123456789abcdeF").verifies("challenge", &proof));
    }

    #[test]
    fn a_short_key_is_refused_and_a_key_does_not_print() {
        assert_eq!(Key::new(&SecretString::from("x".repeat(31))).unwrap_err(), KeyTooShort);
        assert!(!format!("{:?}", key(&"k3y".repeat(11))).contains("k3y"));
    }
}
