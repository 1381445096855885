//! What WeChat would send to this account's address, for an operator who wants to see whether it arrives: the verification of
//! the address, and an event that nobody else has. Whoever has the account's secrets can make them, and nobody else.

use super::super::reply;
use super::super::signature;
use super::super::xml::{Fields, readable};
use super::{Endpoint, Mode, Salt, Seal};
use form_urlencoded::Serializer;
use secrecy::ExposeSecret as _;

/// The event that is answered with its own key, and does nothing else. WeChat has none of this name.
pub const REHEARSAL: &str = "saoma_rehearsal";

/// Who it is from, which is no openid.
const NOBODY: &str = "doctor";

/// What it is addressed to where the account's own name is not set.
const ANY: &str = "gh_rehearsal";

/// A push as WeChat would send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    /// The query, without a question mark.
    pub query: String,
    /// The body.
    pub body: String,
}

impl Endpoint {
    /// The query of the GET by which WeChat verifies an address. The answer must be `echo`.
    pub fn rehearse_verification(&self, echo: &str, salt: &Salt) -> String {
        let mut query = self.signed(salt);
        query.append_pair("echostr", echo);
        query.finish()
    }

    /// A push of the event [`REHEARSAL`] with this key, in the account's mode.
    pub fn rehearse_push(&self, key: &str, salt: &Salt) -> Rehearsal {
        let to = self.original_id.as_deref().unwrap_or(ANY);
        let event = reply::event(to, NOBODY, salt.timestamp, REHEARSAL, key);
        let mut query = self.signed(salt);
        query.append_pair("openid", NOBODY);
        if self.mode == Mode::Plaintext {
            return Rehearsal { query: query.finish(), body: event };
        }
        // A sealed reply has all that a sealed push has, at other places.
        let sealed = self.seal(Seal::default(), &event, salt);
        let part = |name| {
            let fields = readable(sealed.as_bytes());
            Fields::parse(&fields).ok().and_then(|fields| fields.get(name).ok().flatten()).unwrap_or_default()
        };
        query.append_pair("encrypt_type", "aes").append_pair("msg_signature", &part("MsgSignature"));
        let clear = if self.mode == Mode::Compatible { event.as_str() } else { "<xml></xml>" };
        let body =
            clear.replace("</xml>", &format!("<Encrypt><![CDATA[{}]]></Encrypt></xml>", part("Encrypt")));
        Rehearsal { query: query.finish(), body }
    }

    /// Whether an answer to that push has its key: then it was read and answered by whoever has the account's secrets.
    pub fn is_rehearsed(&self, key: &str, answer: &str) -> bool {
        let text = |body: &str, name: &'static str| {
            let body = readable(body.as_bytes()).into_owned();
            Fields::parse(&body).ok().and_then(|fields| fields.get(name).ok().flatten())
        };
        let inner = match &self.keys {
            Some(keys) if self.mode != Mode::Plaintext => text(answer, "Encrypt")
                .and_then(|sealed| keys.get(Seal::default().key).open(&sealed, &self.app_id).ok()),
            _ => Some(answer.to_owned()),
        };
        inner.and_then(|inner| text(&inner, "Content")).as_deref() == Some(key)
    }

    fn signed(&self, salt: &Salt) -> Serializer<'static, String> {
        let timestamp = salt.timestamp.to_string();
        let token = self.tokens.get(Seal::default().token).expose_secret();
        let signature = signature::sign([token, &timestamp, &salt.nonce]);
        let mut query = Serializer::new(String::new());
        query.append_pair("signature", &signature).append_pair("timestamp", &timestamp);
        query.append_pair("nonce", &salt.nonce);
        query
    }
}
