//! Random names that open something for whoever holds them: codes, access tokens, handles, cookies. Stores hold their
//! hashes alone, so that whoever reads a store can use none of them.

use std::fmt;

use aws_lc_rs::digest;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

/// Random bytes in a token. Twice what RFC 6749, section 10.10, asks for.
const BYTES: usize = 32;

/// Its characters.
const LENGTH: usize = 43;

/// 256 random bits, as 43 characters of `A-Z a-z 0-9 - _`. It has no `Debug` that shows it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// A new one. Nobody can guess it.
    pub(crate) fn random() -> Self {
        let mut bytes = [0; BYTES];
        // The operating system's random numbers do not fail once it has started.
        aws_lc_rs::rand::fill(&mut bytes).expect("random numbers");
        Self(BASE64URL_NOPAD.encode(&bytes))
    }

    /// A token that came from outside; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_good = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-' || letter == b'_';
        (text.len() == LENGTH && text.bytes().all(is_good)).then(|| Self(text.to_owned()))
    }

    /// The token that `secrets` make: the same ones the same. At least one of them must be such a token, or as random.
    pub(crate) fn made_of(secrets: [&str; 2]) -> Self {
        Self(sha256(secrets.join(" ").as_bytes()))
    }

    /// The token itself, for whom it was made.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// What stands for it in a store.
    pub(crate) fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The SHA-256 of a token. It opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Hash(String);

impl Hash {
    /// What stands in a store for another text that opens something.
    pub(crate) fn of(secret: &str) -> Self {
        Self(sha256(secret.as_bytes()))
    }

    /// Its text, as a record's name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The SHA-256 of `bytes`, as base64url without padding: also PKCE's S256 (RFC 7636, section 4.6).
pub(crate) fn sha256(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(&sha256_bytes(bytes))
}

/// The SHA-256 of `bytes`.
pub(crate) fn sha256_bytes(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_random_and_prints_as_stars() {
        let (one, other) = (Token::random(), Token::random());
        assert!(one != other && one.hash() != other.hash());
        assert_eq!(Token::parse(one.reveal()), Some(one.clone()));
        assert_eq!(format!("{one:?}"), "***");
        assert!(!format!("{:?}", one.hash()).contains(one.reveal()));
        for wrong in ["", "short", &format!("{}x", one.reveal()), &one.reveal().replace(|_| true, "!")] {
            assert_eq!(Token::parse(wrong), None, "{wrong}");
        }
    }

    /// RFC 7636, appendix B.
    #[test]
    fn a_challenge_is_the_hash_of_its_verifier() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(sha256(verifier.as_bytes()), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
