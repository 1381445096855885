//! Reads the answer to a push as strictly as the strictest reading of WeChat's pages.
//!
//! An answer that is refused here would show the person "the account is out of order".

use std::collections::HashMap;

use roxmltree::{Document, ParsingOptions};
use serde_json::Value;

use crate::account::{Format, Mode, Settings};
use crate::cipher::{CipherError, Key};
use crate::signature::sign;

/// The most nodes of a reply. A text reply has a dozen, an encrypted one fewer.
const MAX_NODES: u32 = 64;

/// Why an answer was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplyError {
    #[error("the answer is not UTF-8")]
    Utf8,
    #[error("the answer is neither empty, nor success, nor XML: {0}")]
    Xml(String),
    #[error("the account has JSON, and the answer is neither empty, nor success, nor a JSON object")]
    Json,
    #[error("the answer's root is not <xml>")]
    Root,
    #[error("the answer has two elements {0}")]
    Twice(String),
    #[error("the answer lacks {0}")]
    Missing(&'static str),
    #[error("in safe mode the answer must be encrypted, or empty, or success")]
    NotEncrypted,
    #[error("the answer's MsgSignature is wrong")]
    Signature,
    #[error("the answer cannot be decrypted: {0}")]
    Cipher(#[from] CipherError),
    #[error("the reply's {0} is not the push's other side; they must be swapped")]
    Addressee(&'static str),
    #[error("the reply's {0} is not a number of seconds")]
    Time(&'static str),
    #[error("the reply's MsgType is neither text nor transfer_customer_service; no other kind is imitated")]
    Kind,
}

/// Reads the answer to a push from `openid`: the text of the reply, or `None` for no reply that the person sees.
pub(crate) fn read(
    body: &[u8],
    openid: &str,
    account: &Settings,
    key: &Key,
) -> Result<Option<String>, ReplyError> {
    let body = std::str::from_utf8(body).map_err(|_| ReplyError::Utf8)?;
    if body.is_empty() || body == "success" {
        return Ok(None);
    }
    let outer = Fields::parse(body, account.format)?;
    if outer.0.contains_key("Encrypt") && account.mode != Mode::Plaintext {
        let xml = open(&outer, account, key)?;
        return reply(&Fields::parse(&xml, account.format)?, openid, account);
    }
    if account.mode == Mode::Safe {
        return Err(ReplyError::NotEncrypted);
    }
    reply(&outer, openid, account)
}

fn open(outer: &Fields, account: &Settings, key: &Key) -> Result<String, ReplyError> {
    let sealed = outer.get("Encrypt")?;
    let (timestamp, nonce) = (outer.seconds("TimeStamp")?, outer.get("Nonce")?);
    if outer.get("MsgSignature")? != sign([&account.token, timestamp, nonce, sealed]) {
        return Err(ReplyError::Signature);
    }
    Ok(key.decrypt(sealed, &account.app_id)?)
}

fn reply(fields: &Fields, openid: &str, account: &Settings) -> Result<Option<String>, ReplyError> {
    if fields.get("ToUserName")? != openid {
        return Err(ReplyError::Addressee("ToUserName"));
    }
    if fields.get("FromUserName")? != account.original_id {
        return Err(ReplyError::Addressee("FromUserName"));
    }
    fields.seconds("CreateTime")?;
    match fields.get("MsgType")? {
        "text" => fields.get("Content").map(|content| Some(content.to_owned())),
        // Somebody of the account's customer service will see the message.
        "transfer_customer_service" => Ok(None),
        _ => Err(ReplyError::Kind),
    }
}

/// The elements below the root.
struct Fields(HashMap<String, String>);

impl Fields {
    fn parse(text: &str, format: Format) -> Result<Self, ReplyError> {
        match format {
            Format::Xml => Self::of_xml(text),
            Format::Json => Self::of_json(text),
        }
    }

    fn of_json(json: &str) -> Result<Self, ReplyError> {
        let fields: serde_json::Map<String, Value> =
            serde_json::from_str(json).map_err(|_| ReplyError::Json)?;
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(Self(fields.into_iter().map(|(name, value)| (name, text(value))).collect()))
    }

    fn of_xml(xml: &str) -> Result<Self, ReplyError> {
        let options =
            ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
        let document =
            Document::parse_with_options(xml, options).map_err(|error| ReplyError::Xml(error.to_string()))?;
        let root = document.root_element();
        if !root.has_tag_name("xml") {
            return Err(ReplyError::Root);
        }
        let mut fields = HashMap::new();
        for element in root.children().filter(roxmltree::Node::is_element) {
            let name = element.tag_name().name().to_owned();
            let text = element.children().filter_map(|it| it.text()).collect();
            if fields.insert(name.clone(), text).is_some() {
                return Err(ReplyError::Twice(name));
            }
        }
        Ok(Self(fields))
    }

    fn get(&self, name: &'static str) -> Result<&str, ReplyError> {
        let text = self.0.get(name).filter(|text| !text.is_empty());
        text.map(String::as_str).ok_or(ReplyError::Missing(name))
    }

    fn seconds(&self, name: &'static str) -> Result<&str, ReplyError> {
        let text = self.get(name)?;
        if text.bytes().all(|byte| byte.is_ascii_digit()) { Ok(text) } else { Err(ReplyError::Time(name)) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PLAIN: &str = "<xml><ToUserName>o1</ToUserName><FromUserName>gh_0123456789ab</FromUserName>\
        <CreateTime>1</CreateTime><MsgType>text</MsgType><Content><![CDATA[a]]]]><![CDATA[>b]]></Content></xml>";

    fn account(mode: Mode) -> (Settings, Key) {
        let settings = Settings { mode, ..Settings::default() };
        let key = settings.check().unwrap();
        (settings, key)
    }

    fn judge(mode: Mode, body: &str) -> Result<Option<String>, ReplyError> {
        let (settings, key) = account(mode);
        read(body.as_bytes(), "o1", &settings, &key)
    }

    fn sealed(inner: &str, change: impl Fn(&mut String)) -> String {
        let (settings, key) = account(Mode::Safe);
        let sealed = key.encrypt(inner, &settings.app_id);
        let mut signature = sign([&settings.token, "5", "6", &sealed]);
        change(&mut signature);
        format!(
            "<xml><Encrypt><![CDATA[{sealed}]]></Encrypt><MsgSignature>{signature}</MsgSignature>\
             <TimeStamp>5</TimeStamp><Nonce>6</Nonce></xml>"
        )
    }

    #[test]
    fn a_reply_is_read_in_the_mode_it_is_made_for() {
        let words = Ok(Some("a]]>b".to_owned()));
        let encrypted = sealed(PLAIN, |_| ());
        assert_eq!(judge(Mode::Plaintext, PLAIN), words);
        assert_eq!(judge(Mode::Compatible, PLAIN), words);
        assert_eq!(judge(Mode::Compatible, &encrypted), words);
        assert_eq!(judge(Mode::Safe, &encrypted), words);
        assert_eq!(judge(Mode::Safe, PLAIN), Err(ReplyError::NotEncrypted));
        let to_customer_service = PLAIN.replace(">text<", ">transfer_customer_service<");
        assert_eq!(judge(Mode::Plaintext, &to_customer_service), Ok(None));
        assert!(judge(Mode::Plaintext, &encrypted).is_err());
        for nothing in ["", "success"] {
            assert_eq!(judge(Mode::Safe, nothing), Ok(None));
        }
    }

    #[test]
    fn an_account_with_json_wants_json() {
        let (mut settings, key) = account(Mode::Plaintext);
        settings.format = Format::Json;
        let judge = |body: &str| read(body.as_bytes(), "o1", &settings, &key);
        let json = r#"{"ToUserName":"o1","FromUserName":"gh_0123456789ab","CreateTime":1,"MsgType":"text","Content":"a]]>b"}"#;
        assert_eq!(judge(json), Ok(Some("a]]>b".to_owned())));
        assert_eq!(judge("success"), Ok(None));
        assert_eq!(judge(PLAIN), Err(ReplyError::Json));
    }

    #[test]
    fn a_reply_made_by_another_implementation_is_read() {
        let settings = Settings {
            app_id: "wx955d6047789b132f".to_owned(),
            original_id: "gh_42a88bf47a53".to_owned(),
            token: "WANOCONWUG".to_owned(),
            aes_key: "LNI5FNkUtoLdrKI0WPiOLOy6invc41A9huSmO4x49Ni".to_owned(),
            ..Settings::default()
        };
        let key = settings.check().unwrap();
        let body = "<xml>\n<Encrypt><![CDATA[FAfLQ6ZJtZnVBTBkbzhvHyc0pT0BtdPkjKSpUhsBedNK59+Fcgh6fVqJApuMHB4I013p42oxNbQHnAJY4WeggcMDFJiQJBIiz/c33mRzEwY0RPIWlyly3tWbIuyrh1SfRoghExsWsvdaJQtu61J2z/EADK2DGwSjsKuJe9KMVPF6ZSxx4puiK0Vg68lLh77nPxnZlWLrg2C7GmAIAJgIe7UalIErkDb/9iRkQVwZRCy85Tx+uI0wHH+63Hlz4zL5zd5ULl0d+5r6jIPkCFCv3Rin+drLogk0oVAUJ4RJTYUZzlBZLnXNnXNgSkAQpTPsj3wfTZiGh4Y5Dz/rnKGx5SJKoLptn59iZBbDtJ7eSBvTZizghGb0sJcbZw+5TXydFm0AsMZXZC9ChURXP6ATPRlgBiYMXNFSu1gLm1bt7rg=]]></Encrypt>\n<MsgSignature><![CDATA[999d7b38c7a08324c9ccdc5dda66f452cdb261f0]]></MsgSignature>\n<TimeStamp>1769312012</TimeStamp>\n<Nonce><![CDATA[784668025]]></Nonce>\n</xml>";
        let read = read(body.as_bytes(), "o9PJdoEsCLEG-eCMbo0IkN6RVwJ0", &settings, &key);
        assert_eq!(read, Ok(Some("x]]>y".to_owned())));
    }

    #[test]
    fn what_a_person_would_see_as_a_fault_is_refused() {
        let safe = |body: &str| judge(Mode::Safe, body).unwrap_err();
        assert_eq!(safe(&sealed(PLAIN, |it| it.insert(0, '0'))), ReplyError::Signature);
        assert!(matches!(safe("{\"errcode\":0}"), ReplyError::Xml(_)));
        assert!(matches!(safe("success\n"), ReplyError::Xml(_)));
        assert!(matches!(safe("<!DOCTYPE xml><xml/>"), ReplyError::Xml(_)));
        assert_eq!(safe("<html/>"), ReplyError::Root);

        let plain = |from: &str, to: &str| judge(Mode::Plaintext, &PLAIN.replace(from, to)).unwrap_err();
        assert_eq!(plain(">o1<", ">o2<"), ReplyError::Addressee("ToUserName"));
        assert_eq!(plain("gh_0", "gh_9"), ReplyError::Addressee("FromUserName"));
        assert_eq!(plain(">1<", ">now<"), ReplyError::Time("CreateTime"));
        assert_eq!(plain(">text<", ">news<"), ReplyError::Kind);
        assert_eq!(plain("<CreateTime>1</CreateTime>", ""), ReplyError::Missing("CreateTime"));
        assert_eq!(
            plain("<MsgType>", "<CreateTime>1</CreateTime><MsgType>"),
            ReplyError::Twice("CreateTime".to_owned())
        );
    }
}
