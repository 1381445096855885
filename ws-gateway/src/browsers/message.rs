//! What the gateway says to a page, and how a page's connection ends.

use std::time::Duration;

use protocol::message::Code;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Gateway → page, as JSON in a text message. It has no `Debug`, because a resume key must not print.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
pub(crate) enum ToPage {
    /// A QR code to show.
    QrcodeUrl {
        /// The address of WeChat's own picture, or ours of a web code. The PHP original's page knows only this field.
        /// Empty where there is no QR code.
        url: String,
        /// The text that the picture encodes; empty where there is no QR code.
        content: String,
        /// The picture, drawn by the gateway, as a data URI. A page that still shows it is not sent it again.
        #[serde(skip_serializing_if = "Option::is_none")]
        image: Option<String>,
        /// Seconds for which the code is good.
        expires_in: u64,
        /// The resume key, with which the page comes back.
        resume: String,
        /// A short code that the person may type in the chat with the official account.
        #[serde(skip_serializing_if = "Option::is_none")]
        typed: Option<String>,
        /// The account's name for people, beside a code to type.
        #[serde(skip_serializing_if = "Option::is_none")]
        account: Option<String>,
        /// The account's own QR code as a data URI, beside a code to type. It is left out with `image`.
        #[serde(skip_serializing_if = "Option::is_none")]
        account_image: Option<String>,
        /// Where a page that is open in WeChat goes.
        #[serde(skip_serializing_if = "Option::is_none")]
        open: Option<String>,
    },
    /// A person has scanned.
    Scanned {
        /// Seconds that the login has from now.
        expires_in: u64,
        /// Two digits to show, large.
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<String>,
    },
    /// The login is granted.
    ScanSuccess {
        /// The display name; may be empty.
        user: String,
        /// The code that the site's back end redeems.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
    },
    /// The person said no.
    Denied,
    /// The login's time has run out.
    Expired,
    /// A sign that the connection lives. Scripts cannot see pings.
    Heartbeat,
    /// Something does not work now.
    Error {
        /// A short name for programs.
        code: &'static str,
        /// Words for people.
        message: &'static str,
        /// Milliseconds until the next try: by the gateway itself, or after a close by the page.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in: Option<u64>,
    },
}

impl ToPage {
    /// Its `message_type`.
    #[must_use]
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::QrcodeUrl { .. } => "qrcode_url",
            Self::Scanned { .. } => "scanned",
            Self::ScanSuccess { .. } => "scan_success",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Heartbeat => "heartbeat",
            Self::Error { .. } => "error",
        }
    }
}

/// Whole seconds, rounded up, so that a live code never shows 0 s.
#[must_use]
pub(crate) fn seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// Page → gateway. Any other message is ignored, within the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FromPage {
    /// Take a new code.
    Refresh,
}

impl FromPage {
    /// Reads a text message.
    #[must_use]
    pub(crate) fn read(text: &str) -> Option<Self> {
        // A derived Deserialize would also accept an array in place of an object.
        let message: Map<String, Value> = serde_json::from_str(text).ok()?;
        match message.get("message_type")?.as_str()? {
            "refresh" => Some(Self::Refresh),
            _ => None,
        }
    }
}

/// The ways in which the gateway closes a page's connection, with what the page does then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// 1001: this gateway shuts down; resume, here or elsewhere.
    GoingAway,
    /// 1002: the page broke the WebSocket protocol; stop.
    Protocol,
    /// 1007: a text message was no UTF-8; stop.
    NotUtf8,
    /// 1008: against the rules, such as resuming from another Origin; stop.
    Policy,
    /// 1009: a message over the limit; stop.
    TooBig,
    /// 1013: too busy for another login; wait.
    Busy,
    /// 4001: the login is unknown; take a new code.
    Unknown,
    /// 4002: a newer socket has the login; stop.
    TakenOver,
    /// 4008: too many messages; wait.
    TooFast,
    /// 4010: the login is over; stop.
    Done,
}

impl Close {
    /// The close frame.
    #[must_use]
    pub(crate) fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::GoingAway => (1001, "going away, resume"),
            Self::Protocol => (1002, "protocol error"),
            Self::NotUtf8 => (1007, "not UTF-8"),
            Self::Policy => (1008, "not allowed"),
            Self::TooBig => (1009, "message too big"),
            Self::Busy => (1013, "busy, wait"),
            Self::Unknown => (4001, "login unknown, take a new code"),
            Self::TakenOver => (4002, "taken over by a newer socket"),
            Self::TooFast => (4008, "too fast, wait"),
            Self::Done => (4010, "done"),
        };
        CloseFrame { code: CloseCode::from(code), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn messages_have_the_fields_that_pages_know() {
        let text = |message: &ToPage| serde_json::to_string(message).unwrap();
        let user = r#"<b>"阿狸"</b>]]>"#.to_owned();
        assert_eq!(
            text(&ToPage::ScanSuccess { user, code: None }),
            r#"{"message_type":"scan_success","user":"<b>\"阿狸\"</b>]]>"}"#
        );
        assert_eq!(text(&ToPage::Expired), r#"{"message_type":"expired"}"#);
        let shown = ToPage::QrcodeUrl {
            url: "u".to_owned(),
            content: "c".to_owned(),
            image: Some("i".to_owned()),
            expires_in: seconds(Duration::from_millis(119_001)),
            resume: "r".to_owned(),
            typed: None,
            account: None,
            account_image: None,
            open: None,
        };
        assert_eq!(
            text(&shown),
            r#"{"message_type":"qrcode_url","url":"u","content":"c","image":"i","expires_in":120,"resume":"r"}"#
        );
    }

    #[test]
    fn a_page_can_only_ask_for_a_refresh() {
        assert_eq!(FromPage::read(r#"{"message_type":"refresh","more":1}"#), Some(FromPage::Refresh));
        for rubbish in ["", "refresh", "{}", r#"{"message_type":"scan_success"}"#, r#"["refresh"]"#, "[[[[[["]
        {
            assert_eq!(FromPage::read(rubbish), None, "{rubbish}");
        }
    }
}
