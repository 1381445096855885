//! What a push says: who did what with the account.
//!
//! WeChat's pages "Receiving event pushes" and "Receiving standard messages" describe it. Names of events are compared
//! exactly, as WeChat writes them. A scene is the key of `SCAN`, or the key of `subscribe` behind one `qrscene_`. Other
//! keys of `subscribe`, such as a payment's, are not scenes.

use super::REHEARSAL;
use super::Refusal;
use super::endpoint::Seal;
use super::xml::{Fields, REPLACED};
use crate::Person;

/// The longest name (openid, original id, message type, event) taken, in characters. An openid has 28 today.
pub const MAX_NAME: usize = 128;

/// The longest `EventKey` of a scan or a follow taken, in characters. WeChat's longest scene has 64, its prefix 8.
pub const MAX_KEY: usize = 128;

/// What stands before the scene when a person follows the account by scanning.
const SCENE_PREFIX: &str = "qrscene_";

/// One believed push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The account's original id, `gh_…`.
    pub to: String,
    /// The person.
    pub from: Person,
    /// When it happened, in Unix seconds by WeChat's clock. With `from` it tells one event from another.
    pub created_at: i64,
    /// What happened.
    pub kind: Kind,
    /// What it was sealed with; its answer must be sealed with the same. `None` in plaintext mode.
    pub sealed: Option<Seal>,
}

/// What a person did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Followed the account; with the scene when they came by scanning one of its QR codes.
    Subscribe {
        /// The scene, without its prefix.
        key: Option<String>,
    },
    /// Scanned one of the account's QR codes as a follower.
    Scan {
        /// The scene; empty if WeChat leaves it out.
        key: String,
    },
    /// Stopped following.
    Unsubscribe,
    /// Any other event.
    OtherEvent {
        /// WeChat's name of it.
        name: String,
        /// Its key, if it is the [`REHEARSAL`], or its name is nearly that of an event with a scene: something between
        /// WeChat and here may have changed the name.
        key: Option<String>,
    },
    /// Sent a message.
    Message {
        /// WeChat's type: `text`, `image` and so on.
        msg_type: String,
        /// The words of a text message.
        content: Option<String>,
        /// `MsgId`, the same in every repetition of the push.
        id: Option<String>,
    },
}

impl Push {
    /// Reads the XML of a push whose origin has been proved.
    pub(super) fn read(fields: &Fields<'_>, sealed: Option<Seal>) -> Result<Self, Refusal> {
        let created_at =
            fields.get("CreateTime")?.as_deref().and_then(digits).ok_or(Refusal::Field("CreateTime"))?;
        Ok(Self {
            to: name(fields, "ToUserName")?,
            from: Person::new(name(fields, "FromUserName")?),
            created_at,
            kind: Kind::read(fields)?,
            sealed,
        })
    }
}

impl Kind {
    fn read(fields: &Fields<'_>) -> Result<Self, Refusal> {
        let msg_type = name(fields, "MsgType")?;
        if msg_type != "event" {
            let (content, id) = (fields.get("Content")?, fields.get("MsgId")?);
            return Ok(Self::Message { msg_type, content, id });
        }
        let event = name(fields, "Event")?;
        match event.as_str() {
            "subscribe" => {
                let key = key(fields)?;
                let scene = key.strip_prefix(SCENE_PREFIX).filter(|scene| !scene.is_empty());
                Ok(Self::Subscribe { key: scene.map(str::to_owned) })
            }
            "SCAN" => Ok(Self::Scan { key: key(fields)? }),
            "unsubscribe" => Ok(Self::Unsubscribe),
            // Other keys are not read. The key of a menu's link is a URL of any length, and a refusal would show the
            // person WeChat's "service unavailable".
            _ => {
                let key = (is_near(&event) || event == REHEARSAL).then(|| key(fields).ok()).flatten();
                let key = key.filter(|key| !key.is_empty());
                Ok(Self::OtherEvent { name: event, key })
            }
        }
    }
}

/// Whether an event's name differs from `SCAN` or `subscribe` only in capitals, blanks and punctuation.
fn is_near(event: &str) -> bool {
    let letters: String = event.chars().filter(|c| c.is_ascii_alphabetic()).collect();
    letters.eq_ignore_ascii_case("scan") || letters.eq_ignore_ascii_case("subscribe")
}

fn name(fields: &Fields<'_>, field: &'static str) -> Result<String, Refusal> {
    // Two people must not become one because a character in their names was replaced.
    let fits =
        |name: &String| !name.is_empty() && name.chars().nth(MAX_NAME).is_none() && !name.contains(REPLACED);
    fields.get(field)?.filter(fits).ok_or(Refusal::Field(field))
}

fn key(fields: &Fields<'_>) -> Result<String, Refusal> {
    let key = fields.get("EventKey")?.unwrap_or_default();
    match key.chars().nth(MAX_KEY).is_some() || key.contains(REPLACED) {
        true => Err(Refusal::Field("EventKey")),
        false => Ok(key),
    }
}

/// A number of decimal digits only; `parse` alone would also take a sign.
fn digits(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(inside: &str) -> Result<Push, Refusal> {
        let text = format!("<xml><ToUserName>gh_1</ToUserName>{inside}</xml>");
        Push::read(&Fields::parse(text.as_bytes())?, None)
    }

    fn event(name: &str, key: &str) -> Result<Kind, Refusal> {
        read(&format!(
            "<FromUserName>o1</FromUserName><CreateTime>7</CreateTime><MsgType>event</MsgType><Event>{name}</Event>{key}"
        ))
        .map(|push| push.kind)
    }

    #[test]
    fn a_scene_of_subscribe_stands_behind_one_prefix() {
        for (key, scene) in [
            ("<EventKey>qrscene_a</EventKey>", Some("a")),
            ("<EventKey>qrscene_qrscene_a</EventKey>", Some("qrscene_a")),
            ("<EventKey>qrscene_</EventKey>", None),
            ("<EventKey>QRSCENE_a</EventKey>", None),
            ("<EventKey>last_trade_no_1</EventKey>", None),
            ("<EventKey/>", None),
            ("", None),
        ] {
            assert_eq!(
                event("subscribe", key),
                Ok(Kind::Subscribe { key: scene.map(str::to_owned) }),
                "{key}"
            );
        }
    }

    #[test]
    fn a_key_of_scan_is_taken_as_it_is() {
        let scan = |key: &str| event("SCAN", &format!("<EventKey>{key}</EventKey>"));
        assert_eq!(scan("qrscene_a"), Ok(Kind::Scan { key: "qrscene_a".to_owned() }));
        assert!(scan(&"s".repeat(MAX_KEY)).is_ok());
        assert_eq!(scan(&"s".repeat(MAX_KEY + 1)), Err(Refusal::Field("EventKey")));
    }

    #[test]
    fn near_misses_are_other_events_whatever_their_key() {
        let long = format!("<EventKey>https://example.org/{}</EventKey>", "x".repeat(500));
        for name in ["scan", "Subscribe", "UNSUBSCRIBE", "VIEW", "scancode_push"] {
            assert_eq!(event(name, &long), Ok(Kind::OtherEvent { name: name.to_owned(), key: None }));
            assert_eq!(event(name, ""), Ok(Kind::OtherEvent { name: name.to_owned(), key: None }));
        }
        for (name, is_near) in
            [("scan", true), (" SCAN", true), ("SUBSCRIBE", true), ("VIEW", false), ("scancode_push", false)]
        {
            let key = is_near.then(|| "a".to_owned());
            assert_eq!(
                event(name, "<EventKey>a</EventKey>"),
                Ok(Kind::OtherEvent { name: name.to_owned(), key })
            );
        }
    }

    #[test]
    fn no_time_but_digits_is_a_time() {
        let at = |time: &str| {
            read(&format!(
                "<FromUserName>o</FromUserName><CreateTime>{time}</CreateTime><MsgType>text</MsgType>"
            ))
        };
        assert_eq!(at("1767974133").unwrap().created_at, 1_767_974_133);
        for wrong in ["", "+7", "-7", " 7", "7.5", "soon", "9223372036854775808"] {
            assert_eq!(at(wrong), Err(Refusal::Field("CreateTime")), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_replaced_is_no_name_and_no_scene() {
        let push =
            read("<FromUserName>o\u{FFFD}1</FromUserName><CreateTime>7</CreateTime><MsgType>text</MsgType>");
        assert_eq!(push, Err(Refusal::Field("FromUserName")));
        assert_eq!(event("SCAN", "<EventKey>a\u{FFFD}</EventKey>"), Err(Refusal::Field("EventKey")));
        assert_eq!(event("SCAN\u{FFFD}", ""), Err(Refusal::Field("Event")));
    }

    #[test]
    fn a_person_without_a_usable_name_is_nobody() {
        let long = format!("<FromUserName>{}</FromUserName>", "o".repeat(MAX_NAME + 1));
        for from in ["", "<FromUserName/>", &long, "<X><FromUserName>o</FromUserName></X>"] {
            let push = read(&format!("{from}<CreateTime>7</CreateTime><MsgType>text</MsgType>"));
            assert_eq!(push, Err(Refusal::Field("FromUserName")), "{from}");
        }
    }
}
