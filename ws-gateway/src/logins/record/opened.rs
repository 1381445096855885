//! What does not change of a login: who asks, what was shown, and what opens it.
//!
//! Copies of a record share it, because each reading and each change copies a record.

use std::sync::Arc;

use protocol::message::Context;
use records::Kept;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::logins::{NewLogin, QrCode, SecretHash, Shown};

/// A [`NewLogin`] as it is kept. Clones are the same.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Opened(Arc<Kept<Facts>>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Facts {
    /// Its page has the same one, for the logins that may follow.
    context: Kept<Arc<Context>>,
    qr: Kept<KeptCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typed: Option<String>,
    secret: SecretHash,
    /// The client whose probe it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probe_of: Option<String>,
}

/// A QR code as it is kept. Older versions know only the account's, and need the field: the web code has no picture of
/// WeChat's, and where there is none both texts are empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptCode {
    url: String,
    content: String,
}

impl From<NewLogin> for Opened {
    fn from(opened: NewLogin) -> Self {
        let NewLogin { context, shown: Shown { qr, typed }, secret, probe_of } = opened;
        let qr = KeptCode::from(qr).into();
        Self(Arc::new(Facts { context: context.into(), qr, typed, secret, probe_of }.into()))
    }
}

impl Opened {
    /// Who asked.
    #[must_use]
    pub(crate) fn context(&self) -> &Context {
        &self.0.context
    }

    /// The same, for whoever keeps it.
    #[must_use]
    pub(crate) fn shared_context(&self) -> Arc<Context> {
        Arc::clone(&self.0.context)
    }

    /// What was shown.
    #[must_use]
    pub(crate) fn shown(&self) -> Shown {
        Shown { qr: self.0.qr.shown(), typed: self.0.typed.clone() }
    }

    /// Whether these digits were shown to be typed.
    #[must_use]
    pub(crate) fn shows_typed(&self, typed: &str) -> bool {
        self.0.typed.as_deref() == Some(typed)
    }

    /// Whether a QR code was shown that WeChat has made.
    #[must_use]
    pub(crate) fn has_account_code(&self) -> bool {
        !self.0.qr.url.is_empty()
    }

    /// What the resume key must match.
    #[must_use]
    pub(crate) fn secret(&self) -> &SecretHash {
        &self.0.secret
    }

    /// The client whose probe it is; nothing for a person's login.
    #[must_use]
    pub(crate) fn probe_of(&self) -> Option<&str> {
        self.0.probe_of.as_deref()
    }
}

impl Serialize for Opened {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Opened {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Kept::deserialize(deserializer).map(|facts| Self(Arc::new(facts)))
    }
}

impl From<Option<QrCode>> for KeptCode {
    fn from(code: Option<QrCode>) -> Self {
        let (url, content) = match code {
            Some(QrCode::Account { url, content }) => (url, content),
            Some(QrCode::Web { address }) => (String::new(), address),
            None => Default::default(),
        };
        Self { url, content }
    }
}

impl KeptCode {
    fn shown(&self) -> Option<QrCode> {
        let Self { url, content } = self.clone();
        match (url.is_empty(), content.is_empty()) {
            (true, true) => None,
            (true, false) => Some(QrCode::Web { address: content }),
            (false, _) => Some(QrCode::Account { url, content }),
        }
    }
}
