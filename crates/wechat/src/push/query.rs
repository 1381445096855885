//! The query of a push or a verification, where WeChat puts its signatures.
//!
//! Only the parameters that we check are kept. `openid` is not one of them: it is not signed, so it proves nothing.

use super::Refusal;

/// The longest parameter taken, in bytes after decoding. WeChat's own have at most 40.
const MAX_PARAMETER: usize = 256;

/// The parameters of one request, percent-decoded, each at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pub(super) signature: Option<String>,
    pub(super) timestamp: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) echostr: Option<String>,
    pub(super) encrypt_type: Option<String>,
    pub(super) msg_signature: Option<String>,
}

impl Query {
    /// Reads a raw query string.
    ///
    /// # Errors
    /// [`Refusal::Query`] when a parameter that we check comes twice or is longer than any of WeChat's. When a
    /// parameter comes twice, a proxy might have checked the other one.
    pub fn parse(raw: &str) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            let place = match name.as_ref() {
                "signature" => &mut query.signature,
                "timestamp" => &mut query.timestamp,
                "nonce" => &mut query.nonce,
                "echostr" => &mut query.echostr,
                "encrypt_type" => &mut query.encrypt_type,
                "msg_signature" => &mut query.msg_signature,
                _ => continue,
            };
            if value.len() > MAX_PARAMETER || place.replace(value.into_owned()).is_some() {
                return Err(Refusal::Query);
            }
        }
        Ok(query)
    }

    /// The `timestamp` parameter, if it is a number.
    pub fn timestamp(&self) -> Option<u64> {
        self.timestamp.as_deref()?.parse().ok()
    }

    /// The `signature` parameter, by which a replayed plaintext push is recognised; empty when missing.
    pub fn signature(&self) -> &str {
        self.signature.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parameters_are_decoded_in_any_order_and_strangers_ignored() {
        let query = Query::parse("echostr=a%2B%2F+b&openid=x&nonce=01&openid=y&signature=s").unwrap();
        assert_eq!(query.echostr.as_deref(), Some("a+/ b"));
        assert_eq!(query.nonce.as_deref(), Some("01"));
        assert_eq!(query.signature(), "s");
        assert_eq!(query.timestamp, None);
    }

    #[test]
    fn a_repeated_parameter_is_refused_even_when_encoded_or_equal() {
        for raw in [
            "nonce=1&nonce=1",
            "timestamp=1&%74imestamp=2",
            "signature=&signature=a",
            "encrypt_type=aes&encrypt_type=raw",
        ] {
            assert_eq!(Query::parse(raw), Err(Refusal::Query), "{raw}");
        }
    }

    #[test]
    fn a_parameter_longer_than_any_of_wechats_is_refused() {
        assert!(Query::parse(&format!("echostr={}", "1".repeat(MAX_PARAMETER))).is_ok());
        assert_eq!(Query::parse(&format!("echostr={}", "1".repeat(MAX_PARAMETER + 1))), Err(Refusal::Query));
    }
}
