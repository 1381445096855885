//! What an account's own back end does with pushes: it checks and opens them, and seals its replies, as WeChat's sample code
//! does. With it a test is the back end that was there before.

use std::fmt;

use roxmltree::Document;

use crate::account::{Mode, Settings, SettingsError};
use crate::cipher::Key;
use crate::event::element;
use crate::signature::sign;
use crate::{random, unix_now};

/// The back end of an account.
pub struct BackEnd {
    account: Settings,
    key: Key,
}

impl fmt::Debug for BackEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.account.fmt(formatter)
    }
}

impl BackEnd {
    /// The back end of this account, with its Token and its EncodingAESKey.
    ///
    /// # Errors
    /// When WeChat would not take a setting.
    pub fn new(account: &Settings) -> Result<Self, SettingsError> {
        Ok(Self { key: account.check()?, account: account.clone() })
    }

    /// Checks the signatures of a push as it came, and opens it: its XML.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(&self, query: &str, body: &str) -> Result<String, String> {
        let parameter = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let found = pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned());
            found.ok_or(format!("there is no {name}"))
        };
        let (timestamp, nonce) = (parameter("timestamp")?, parameter("nonce")?);
        if parameter("signature")? != sign([&self.account.token, &timestamp, &nonce]) {
            return Err("the signature is wrong".to_owned());
        }
        if self.account.mode == Mode::Plaintext {
            return Ok(body.to_owned());
        }
        let sealed = field(body, "Encrypt").ok_or("there is no Encrypt")?;
        if parameter("msg_signature")? != sign([&self.account.token, &timestamp, &nonce, &sealed]) {
            return Err("the msg_signature is wrong".to_owned());
        }
        self.key.decrypt(&sealed, &self.account.app_id).map_err(|error| error.to_string())
    }

    /// A reply of these words to a push, sealed as the mode asks.
    #[must_use]
    pub fn reply(&self, push: &str, words: &str) -> String {
        let swapped = |name| field(push, name).unwrap_or_default();
        let (to, from) = (
            element("ToUserName", &swapped("FromUserName")),
            element("FromUserName", &swapped("ToUserName")),
        );
        let (at, words) = (unix_now(), element("Content", words));
        let kind = element("MsgType", "text");
        self.seal(&format!("<xml>{to}{from}<CreateTime>{at}</CreateTime>{kind}{words}</xml>"))
    }

    /// Any reply's XML, sealed as the mode asks.
    #[must_use]
    pub fn seal(&self, xml: &str) -> String {
        if self.account.mode == Mode::Plaintext {
            return xml.to_owned();
        }
        let sealed = self.key.encrypt(xml, &self.account.app_id);
        let (timestamp, nonce) = (unix_now().to_string(), random::nonce());
        let signature = sign([&self.account.token, &timestamp, &nonce, &sealed]);
        let (sealed, nonce) = (element("Encrypt", &sealed), element("Nonce", &nonce));
        let signature = element("MsgSignature", &signature);
        format!("<xml>{sealed}{signature}<TimeStamp>{timestamp}</TimeStamp>{nonce}</xml>")
    }
}

/// The text of an element below the root.
fn field(xml: &str, name: &str) -> Option<String> {
    let document = Document::parse(xml).ok()?;
    let found = document.root_element().children().find(|child| child.has_tag_name(name))?;
    Some(found.children().filter_map(|child| child.text()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Simulator;

    #[test]
    fn a_push_is_opened_by_the_accounts_own_secrets_only() {
        for mode in [Mode::Safe, Mode::Compatible, Mode::Plaintext] {
            let account = Settings { mode, ..Settings::default() };
            let xml = "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName></xml>";
            let envelope = Simulator::new(account.clone()).unwrap().seal(xml, "o1");
            let query =
                form_urlencoded::Serializer::new(String::new()).extend_pairs(&envelope.query).finish();
            let opened = |account: &Settings| BackEnd::new(account).unwrap().open(&query, &envelope.body);
            assert_eq!(opened(&account).as_deref(), Ok(xml), "{mode:?}");
            let other = Settings { token: "another".to_owned(), ..account.clone() };
            assert_eq!(opened(&other), Err("the signature is wrong".to_owned()));
            let other = Settings { app_id: "wx2".to_owned(), ..account };
            assert_eq!(opened(&other).is_ok(), mode == Mode::Plaintext);
        }
    }
}
