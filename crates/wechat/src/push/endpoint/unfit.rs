//! Answers that another program has written, such as a back end to which a push was passed on. For one that it cannot read
//! WeChat shows the person a fault, and after several it stops all pushes for a minute. So each is read here first, as
//! strictly.

use secrecy::ExposeSecret;

use super::super::settings::Mode;
use super::super::xml::{Fields, JSON, readable};
use super::super::{Push, Refusal, signature};
use super::Endpoint;

/// Why WeChat would not take an answer. No fault quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// It is of another form.
    #[error("it is neither empty, nor the word success, nor WeChat's XML: {0}")]
    Xml(&'static str),
    /// Safe mode asks for an encrypted one.
    #[error("it is not encrypted, and the account is in safe mode")]
    NotEncrypted,
    /// It is signed with another token, or not at all.
    #[error("its MsgSignature is missing or wrong: is it made with the Token of the message push settings?")]
    Signature,
    /// It is encrypted with another key, or for another account.
    #[error(
        "it cannot be decrypted: is it made with the EncodingAESKey of the message push settings, and the appid?"
    )]
    Encryption,
    /// It is not an answer to this push.
    #[error("its field {0} is missing or wrong: To and From are those of the push, exchanged")]
    Field(&'static str),
}

impl From<Refusal> for Unfit {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Xml(JSON) => Self::Xml("it is JSON"),
            Refusal::Xml(fault) => Self::Xml(fault),
            Refusal::Field(field) => Self::Field(field),
            _ => Self::Encryption,
        }
    }
}

impl Endpoint {
    /// Whether WeChat would take `answer`, as another program has written it, as the answer to `push`.
    ///
    /// It may be made with the token and key before, while these are being changed.
    ///
    /// # Errors
    /// [`Unfit`], by the first check that failed.
    pub fn judge(&self, push: &Push, answer: &str) -> Result<(), Unfit> {
        if matches!(answer, "" | "success") {
            return Ok(());
        }
        let outer = Fields::parse(answer.as_bytes())?;
        let keys = self.keys.as_ref().filter(|_| self.mode != Mode::Plaintext);
        let (Some(keys), Some(sealed)) = (keys, outer.get("Encrypt")?) else {
            return match self.mode {
                Mode::Safe => Err(Unfit::NotEncrypted),
                Mode::Compatible | Mode::Plaintext => answers(&outer, push),
            };
        };
        let field = |name| outer.get(name).ok().flatten().ok_or(Unfit::Field(name));
        let (timestamp, nonce) = (field("TimeStamp")?, field("Nonce")?);
        let given = outer.get("MsgSignature")?.unwrap_or_default();
        let is_signed = self.tokens.iter().any(|(_, token)| {
            signature::is_signed(&given, [token.expose_secret(), &timestamp, &nonce, &sealed])
        });
        if !is_signed {
            return Err(Unfit::Signature);
        }
        let app_ids = || std::iter::once(&self.app_id).chain(&self.component_app_id);
        let opened =
            keys.iter().find_map(|(_, key)| app_ids().find_map(|app_id| key.open(&sealed, app_id).ok()));
        let opened = opened.ok_or(Unfit::Encryption)?;
        answers(&Fields::parse(&readable(opened.as_bytes()))?, push)
    }
}

/// Whether a reply's fields answer this push.
fn answers(reply: &Fields<'_>, push: &Push) -> Result<(), Unfit> {
    let is = |name, wanted: &str| match reply.get(name)? {
        Some(found) if found == wanted => Ok(()),
        _ => Err(Unfit::Field(name)),
    };
    is("ToUserName", push.from.as_str())?;
    is("FromUserName", &push.to)?;
    for name in ["CreateTime", "MsgType"] {
        reply.get(name)?.filter(|found| !found.is_empty()).ok_or(Unfit::Field(name))?;
    }
    Ok(())
}
