//! Who logged in, and when: what a proof, a session, a code and an access token have in common.

use std::sync::Arc;

use protocol::LoginId;
use records::Moment;
use serde::{Deserialize, Serialize};

/// A person who has scanned, as far as WeChat tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The person's name within the official account.
    pub openid: String,
    /// The appid of that account, where it has a name of its own: one of `WECHAT_ACCOUNTS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The same person's name within all accounts that are bound to one Open Platform account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unionid: Option<String>,
    /// The nickname. WeChat has rarely given one since 2021.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// Where the avatar is. As rare as the nickname.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// When the person scanned, by the store's clock: `auth_time`.
    pub at: Moment,
    /// The name of the session, for logout (`sid`).
    pub sid: String,
    /// The person has confirmed the login in the chat.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirmed: bool,
    /// The login by which the person came, for the log and the webhook; an older version has kept none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginId>,
}

impl Identity {
    /// Under which name the person is kept.
    pub(super) fn key(&self) -> String {
        self.person().key().into_owned()
    }

    /// The person.
    pub(super) fn person(&self) -> wechat::Person {
        let account = self.account.as_deref().map(Arc::from);
        wechat::Person::new(self.openid.clone()).of(account.as_ref())
    }

    /// `auth_time`, in seconds since 1970.
    pub(super) fn auth_time(&self) -> u64 {
        self.at.0 / 1000
    }
}

/// A person who has just scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Who it is.
    pub person: wechat::Person,
    /// What WeChat calls the person elsewhere, where it said so.
    pub unionid: Option<String>,
    /// The nickname, where WeChat gave one.
    pub nickname: Option<String>,
    /// Where the avatar is, where WeChat said so.
    pub picture: Option<String>,
    /// The person has confirmed the login in the chat.
    pub confirmed: bool,
    /// The login by which the person came.
    pub login: Option<LoginId>,
}

impl Scanned {
    /// The person, who scanned at `at`, for a session of the name `sid`.
    pub(super) fn identity(&self, at: Moment, sid: &str) -> Identity {
        let Self { person, unionid, nickname, picture, confirmed, login } = self.clone();
        Identity {
            openid: person.as_str().to_owned(),
            account: person.account().map(str::to_owned),
            unionid,
            nickname,
            picture,
            at,
            sid: sid.to_owned(),
            confirmed,
            login,
        }
    }
}
