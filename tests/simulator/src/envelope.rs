//! A push with its query, encrypted as the mode asks, and signed.

use crate::Simulator;
use crate::account::{Format, Mode};
use crate::event::element;
use crate::signature::sign;
use crate::{json_push, random};

/// One signed request to the push URL. A test that must send a wrong one changes it first.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The query parameters, in order.
    pub query: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl Simulator {
    /// Encrypts `xml` as the account's mode asks and signs it, with a new timestamp and nonce. `openid` goes
    /// into the query, which the signature does not cover. For an account that has pushes in JSON, that XML is written as
    /// JSON.
    #[must_use]
    pub fn seal(&self, xml: &str, openid: &str) -> Envelope {
        let account = &self.state.settings;
        let json = (account.format == Format::Json).then(|| json_push::of(xml));
        let content = json.as_ref().map_or(xml.to_owned(), ToString::to_string);
        let (timestamp, nonce) = (self.now().to_string(), random::nonce());
        let signature = sign([&account.token, &timestamp, &nonce]);
        let mut query = vec![
            ("signature", signature),
            ("timestamp", timestamp.clone()),
            ("nonce", nonce.clone()),
            ("openid", openid.to_owned()),
        ];
        if account.mode == Mode::Plaintext {
            return Envelope { query, body: content };
        }
        let sealed = self.state.key.encrypt(&content, &account.app_id);
        query.push(("encrypt_type", "aes".to_owned()));
        query.push(("msg_signature", sign([&account.token, &timestamp, &nonce, &sealed])));
        if let Some(json) = json {
            let body = json_push::sealed(json, &account.original_id, sealed, account.mode).to_string();
            return Envelope { query, body };
        }
        let sealed = element("Encrypt", &sealed);
        let body = match xml.trim_end().strip_suffix("</xml>") {
            Some(open) if account.mode == Mode::Compatible => format!("{open}{sealed}</xml>"),
            _ => format!("<xml>{}{sealed}</xml>", element("ToUserName", &account.original_id)),
        };
        Envelope { query, body }
    }
}
