//! One entry of the audit. What is personal is apart, because it can be erased.

use std::net::IpAddr;

use http::header::{HeaderMap, USER_AGENT};
use protocol::message::Context;
use serde::{Deserialize, Serialize};

/// Characters of a text from outside that are kept.
const MOST: usize = 256;

/// Makes an enum whose names are those of entries, filters and documentation.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$of:meta])* $name:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub(crate) enum $type {
            $($(#[$of])* #[serde(rename = $text)] $name,)+
            /// What a newer version has written.
            #[serde(other, rename = "other")]
            Other,
        }

        impl $type {
            /// Its name.
            #[must_use]
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Other => "other",
                }
            }
        }
    };
    ($(#[$doc:meta])* all $type:ident { $($(#[$of:meta])* $name:ident = $text:literal,)+ }) => {
        named!($(#[$doc])* $type { $($(#[$of])* $name = $text,)+ });

        impl $type {
            /// All that this version knows.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

named! {
    /// What an attempt came to, or what else happened.
    all Outcome {
        /// The gateway has recorded the login.
        Granted = "granted",
        /// The login was cancelled: by another scan of the same person, by a client of the gateway, or because the login is
        /// of another official account.
        Denied = "denied",
        /// The person has said that it was not them.
        NotMe = "not_me",
        /// The person has typed or chosen wrong numbers.
        WrongNumbers = "wrong_numbers",
        /// The person has answered after the login's time.
        Late = "late",
        /// The login's time was over when the person came.
        Expired = "expired",
        /// Somebody else had come before.
        Taken = "taken",
        /// The page named a site that is not registered, or may not name it.
        UnknownSite = "unknown_site",
        /// The site knows people by a name that WeChat has not given.
        Nameless = "nameless",
        /// Nothing was recorded: the gateway or the store did not answer. The person was told to try again.
        TryAgain = "try_again",
        /// It was not clear whether the login was recorded. Where it becomes clear there is another entry.
        Unclear = "unclear",
        /// A site has learnt who logged in.
        Redeemed = "redeemed",
        /// A login at sites was ended, by a site or by the person.
        LoggedOut = "logged_out",
        /// A person has unfollowed and was taken out of their entries.
        Unfollowed = "unfollowed",
        /// A person was taken out of their entries by the operator's command.
        Forgotten = "forgotten",
    }
}

impl Outcome {
    /// Whether the login has ended for this person, and not as granted.
    pub(super) fn is_refusal(self) -> bool {
        match self {
            Self::Denied
            | Self::NotMe
            | Self::WrongNumbers
            | Self::Late
            | Self::Expired
            | Self::Taken
            | Self::UnknownSite
            | Self::Nameless => true,
            Self::Granted
            | Self::TryAgain
            | Self::Unclear
            | Self::Redeemed
            | Self::LoggedOut
            | Self::Unfollowed
            | Self::Forgotten
            | Self::Other => false,
        }
    }
}

named! {
    /// How a person came to a login.
    Way {
        /// By a scan of the page's QR code.
        Scan = "scan",
        /// By the page's code, sent to the account.
        Typed = "typed",
        /// By a page inside WeChat.
        Wechat = "wechat",
        /// By wechat-server's protocol.
        WechatServer = "wechat_server",
    }
}

impl From<crate::store::Way> for Way {
    fn from(way: crate::store::Way) -> Self {
        match way {
            crate::store::Way::Scan => Self::Scan,
            crate::store::Way::Typed => Self::Typed,
            crate::store::Way::Wechat => Self::Wechat,
        }
    }
}

named! {
    /// How a person confirmed a login.
    Confirmed {
        /// They have typed the page's two digits into the chat.
        Number = "number",
        /// They have answered 1 in the chat, or the digits: whoever has sent the page's code has read the page.
        One = "one",
        /// They have chosen the page's number among three, inside WeChat.
        Choice = "choice",
        /// They have pressed the one button, inside WeChat.
        Tap = "tap",
        /// Nobody had to be asked: the browser that is logged in is WeChat's own, which said who they are.
        SameBrowser = "same_browser",
    }
}

impl Confirmed {
    /// What confirms a login by this way, where its page shows a number or none.
    #[must_use]
    pub(crate) fn by(way: crate::store::Way, is_numbered: bool) -> Self {
        match (way, is_numbered) {
            (crate::store::Way::Scan, _) => Self::Number,
            (crate::store::Way::Typed, _) => Self::One,
            (crate::store::Way::Wechat, true) => Self::Choice,
            (crate::store::Way::Wechat, false) => Self::Tap,
        }
    }
}

/// What stays of an entry for its time. It does not say whom it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The name of the official account, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Confirmed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The page's Origin (RFC 6454).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// How many entries a person was taken out of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<u64>,
}

impl Entry {
    /// An entry that says nothing else.
    pub(super) fn of(outcome: Outcome) -> Self {
        let (login, account, site, session, origin) = (None, None, None, None, None);
        Self { outcome, login, account, site, way: None, confirmed: None, session, origin, erased: None }
    }
}

/// What is personal in an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Personal {
    /// The openid.
    pub person: String,
    /// The browser's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// Where a login comes from: the browser that is to be logged in, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whence {
    /// The browser's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The browser's User-Agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The page's Origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

impl From<&Context> for Whence {
    fn from(context: &Context) -> Self {
        Self {
            address: Some(context.ip.clone()).filter(|ip| !ip.is_empty()),
            user_agent: context.user_agent.clone().map(cut),
            origin: context.origin.clone().map(cut),
        }
    }
}

impl Whence {
    /// Where a request of a browser comes from.
    #[must_use]
    pub(crate) fn request(from: IpAddr, headers: &HeaderMap) -> Self {
        let user_agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        Self {
            address: Some(from.to_string()),
            user_agent: user_agent.map(|agent| cut(agent.to_owned())),
            origin: None,
        }
    }
}

/// A text from outside, within its limit.
pub(super) fn cut(text: String) -> String {
    match text.char_indices().nth(MOST) {
        None => text,
        Some((end, _)) => text[..end].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written_and_a_newer_ones_names_are_other() {
        let entry = Entry {
            login: Some("cd2abeeaa545d6de4cd772515432c561".to_owned()),
            way: Some(Way::Scan),
            confirmed: Some(Confirmed::Number),
            ..Entry::of(Outcome::NotMe)
        };
        let text = serde_json::to_string(&entry).unwrap();
        let expected = r#"{"outcome":"not_me","login":"cd2abeeaa545d6de4cd772515432c561","way":"scan","confirmed":"number"}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
        let newer: Entry =
            serde_json::from_str(r#"{"outcome":"teleported","way":"thought","mood":"good"}"#).unwrap();
        assert_eq!((newer.outcome, newer.way), (Outcome::Other, Some(Way::Other)));
    }

    #[test]
    fn a_text_from_outside_has_a_limit() {
        assert_eq!(cut("长".repeat(MOST + 1)).chars().count(), MOST);
        assert_eq!(cut("short".to_owned()), "short");
    }
}
