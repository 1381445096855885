//! A secret of 128 random bits, such as the one in a resume key. Its holder gets something for it later.
//!
//! The service that hands a token out keeps only its [`TokenHash`], so that the stored value opens nothing. A token
//! does not print. [`Token::reveal`] gives its text to the receiver.

use std::fmt;
use std::str::{self, FromStr};

use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::scene::{SCENE_LENGTH, has_form, random_name};

/// A secret: 22 characters of `[A-Za-z0-9_-]`, made of 128 random bits and never reused.
#[derive(Clone)]
pub struct Token([u8; SCENE_LENGTH]);

/// The text is not a token: not 22 characters of `[A-Za-z0-9_-]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is exactly {SCENE_LENGTH} characters of A-Z, a-z, 0-9, _ and -")]
pub struct NotAToken;

impl Token {
    /// Makes a new token from the operating system's random source.
    ///
    /// # Panics
    /// When the operating system has no randomness to give; a token must never be guessable.
    #[must_use]
    pub fn random() -> Self {
        Self(random_name())
    }

    /// The token as text, for the receiver.
    #[must_use]
    pub fn reveal(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The hash, which is all that is kept of the token. A token is random, so its hash needs no salt and need not be
    /// slow.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let hash = digest::digest(&digest::SHA256, &self.0);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.as_ref());
        TokenHash(bytes)
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let bytes = text.as_bytes().try_into().map_err(|_| NotAToken)?;
        if has_form(&bytes) { Ok(Self(bytes)) } else { Err(NotAToken) }
    }
}

/// Compares in constant time.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// SHA-256 of a token's text. In JSON it is base64url without padding.
#[derive(Debug, Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Whether this is the hash of `token`, compared in constant time.
    #[must_use]
    pub fn matches(&self, token: &Token) -> bool {
        *self == token.hash()
    }
}

/// Compares in constant time.
impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for TokenHash {}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(D::Error::custom)?;
        bytes.try_into().map(Self).map_err(|_| D::Error::custom("a SHA-256 hash has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_token_is_read_again_and_only_its_own_hash_matches() {
        let token = Token::random();
        assert_eq!(token.reveal().parse(), Ok(token.clone()));
        assert_ne!(token, Token::random());
        let hash = serde_json::to_string(&token.hash()).unwrap();
        let kept: TokenHash = serde_json::from_str(&hash).unwrap();
        assert!(kept.matches(&token) && !kept.matches(&Token::random()));
    }

    /// Records of earlier gateways must stay readable.
    #[test]
    fn the_hash_is_sha256_of_the_text() {
        // Computed with: printf AAAAAAAAAAAAAAAAAAAAAA | openssl dgst -sha256 -binary | basenc --base64url
        let token: Token = "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
        let hash = serde_json::to_string(&token.hash()).unwrap();
        assert_eq!(hash, "\"ilvbTMFRZBJsbvJmjendJA0pnOY5ekLJWpQRuT0IDtg\"");
    }

    #[test]
    fn nothing_else_is_a_token_and_a_token_does_not_print() {
        for text in [
            "",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAA=",
            "扫码扫码扫码扫A",
        ] {
            assert_eq!(text.parse::<Token>(), Err(NotAToken), "{text}");
        }
        let token = Token::random();
        assert!(!format!("{token:?}").contains(token.reveal()));
        assert!(serde_json::from_str::<TokenHash>("\"AAAA\"").is_err());
    }
}
