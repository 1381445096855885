//! What is delivered to sites, and how the store keeps it.

use protocol::LoginId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind of a logout.
pub(super) const LOGOUT: &str = "logout";

/// The kind of what only a newer version can read.
const UNKNOWN: &str = "unknown";

/// What a site is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Message {
    /// A session has ended: OpenID Connect's back-channel logout.
    Logout {
        /// Whose it was.
        sub: String,
        /// The session, as the ID token named it.
        sid: String,
        /// The login that began it, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        login_id: Option<LoginId>,
    },
    /// Something has happened to a person: the webhook.
    Event {
        /// What.
        name: EventName,
        /// To whom.
        sub: String,
        /// When, in Unix seconds.
        at: u64,
        /// The login that it is about, as the ID token names it: the session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        login: Option<String>,
        /// The same as the log names it. An older version has written none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        login_id: Option<LoginId>,
        /// Why, where there is more than one reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventName {
    /// The person has logged in.
    Login,
    /// A login of the person was denied, by the person or because of what its page asked for.
    Denial,
    /// The person has unfollowed the account, or the operator has forgotten them.
    Unsubscribe,
}

impl Message {
    /// What kind it is, for the log and for `/metrics`.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Logout { .. } => LOGOUT,
            Self::Event { name, .. } => name.as_str(),
        }
    }

    /// The login that it is about, for the log.
    #[must_use]
    pub(crate) fn login_id(&self) -> Option<LoginId> {
        match self {
            Self::Logout { login_id, .. } | Self::Event { login_id, .. } => *login_id,
        }
    }
}

impl EventName {
    /// The name, as webhooks spell it.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Denial => "denial",
            Self::Unsubscribe => "unsubscribe",
        }
    }
}

/// A message as the store keeps it. It stays word for word what its writer wrote, so that what only a newer version can
/// read is not lost on its way through this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Written(Value);

impl Written {
    /// Writes a message.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn new(message: &Message) -> Result<Self, serde_json::Error> {
        serde_json::to_value(message).map(Self)
    }

    /// The message; nothing where a newer version wrote what this one does not know.
    pub(super) fn read(&self) -> Option<Message> {
        Message::deserialize(&self.0).ok()
    }

    /// What kind it is.
    pub(super) fn kind(&self) -> &'static str {
        self.read().map_or(UNKNOWN, |message| message.kind())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_written_so_that_every_version_finds_them_again() {
        let id: LoginId = "cd2abeeaa545d6de4cd772515432c561".parse().unwrap();
        let logout = Message::Logout { sub: "o1".to_owned(), sid: "s1".to_owned(), login_id: None };
        let event = |name, login: Option<&str>| Message::Event {
            name,
            sub: "o1".to_owned(),
            at: 1_700_000_000,
            login: login.map(str::to_owned),
            login_id: login.map(|_| id),
            reason: (name == EventName::Denial).then(|| "not_me".to_owned()),
        };
        let rows = [
            (logout, "logout", json!({"kind": "logout", "sub": "o1", "sid": "s1"})),
            (
                event(EventName::Login, Some("l1")),
                "login",
                json!({"kind": "event", "name": "login", "sub": "o1", "at": 1_700_000_000, "login": "l1",
                    "login_id": id.to_string()}),
            ),
            (
                event(EventName::Denial, None),
                "denial",
                json!({"kind": "event", "name": "denial", "sub": "o1", "at": 1_700_000_000, "reason": "not_me"}),
            ),
            (
                event(EventName::Unsubscribe, None),
                "unsubscribe",
                json!({"kind": "event", "name": "unsubscribe", "sub": "o1", "at": 1_700_000_000}),
            ),
        ];
        for (message, kind, text) in rows {
            let written = Written::new(&message).unwrap();
            assert_eq!(serde_json::to_value(&written).unwrap(), text);
            assert_eq!((written.kind(), written.read()), (kind, Some(message)));
        }
    }

    #[test]
    fn what_only_a_newer_version_knows_is_not_read_and_stays_as_it_is() {
        let rows = [
            json!({"kind": "export", "sub": "o1"}),
            json!({"kind": "event", "name": "refollow", "sub": "o1", "at": 1}),
            json!("a text"),
        ];
        for newer in rows {
            let written: Written = serde_json::from_value(newer.clone()).unwrap();
            assert_eq!((written.read(), written.kind()), (None, UNKNOWN));
            assert_eq!(serde_json::to_value(&written).unwrap(), newer);
        }
        let more = json!({"kind": "logout", "sub": "o1", "sid": "s1", "why": "an addition"});
        let written: Written = serde_json::from_value(more.clone()).unwrap();
        assert!(written.read().is_some(), "an addition does not hide the rest");
        assert_eq!(serde_json::to_value(&written).unwrap(), more);
    }
}
