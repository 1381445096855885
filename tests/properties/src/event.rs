//! Events: the XML that says who did what, read after its origin is proved.

use protocol::Scene;
use roxmltree::{Document, Node};
use wechat::push::{Kind, MAX_BODY, MAX_KEY, MAX_NAME, Push, Refusal, Seal};

use crate::account::{ORIGINAL_ID, PLAINTEXT, SAFE, SIGNED, encrypt, frame, open, sealed_body, signed_query};

/// The deepest nesting and the most nodes that docs/limits.md allows.
const MAX_DEPTH: usize = 8;
const MAX_NODES: usize = 1024;

/// Reads `body` as a push of WeChat.
///
/// - The document is accepted as XML exactly when an independent reading finds it within the limits.
/// - A push that is understood has the documented form. Written again, it is understood again.
/// - Encryption changes nothing: the same message comes out of an encrypted push.
pub fn event(body: &[u8]) -> &'static str {
    let outcome = open(&PLAINTEXT, &SIGNED, body);
    assert_eq!(
        outcome == Err(Refusal::TooLarge),
        body.len() > MAX_BODY,
        "a push is at most {MAX_BODY} bytes"
    );
    if body.len() > MAX_BODY {
        return "size";
    }
    if let Some(is_taken) = is_within_the_limits(body) {
        assert_eq!(!matches!(outcome, Err(Refusal::Xml(_))), is_taken, "as XML it is {outcome:?}");
    }
    assert_is_the_same_sealed(body, &outcome);
    if let Ok(push) = &outcome {
        assert_has_the_documented_form(push);
        let again = open(&PLAINTEXT, &SIGNED, written(push).as_bytes());
        assert_eq!(again.as_ref(), Ok(push), "it is written {}", written(push));
    }
    word(&outcome)
}

/// How far a push came, in one word.
pub(crate) fn word(outcome: &Result<Push, Refusal>) -> &'static str {
    match outcome {
        Err(refusal) => refusal.stage(),
        Ok(push) => match push.kind {
            Kind::Subscribe { key: Some(_) } => "subscribe by scan",
            Kind::Subscribe { key: None } => "subscribe",
            Kind::Scan { .. } => "scan",
            Kind::Unsubscribe => "unsubscribe",
            Kind::OtherEvent { .. } => "other event",
            Kind::Message { .. } => "message",
        },
    }
}

/// Whether a parser without limits finds the document to be within our limits. `None` where the rule is not
/// exact: an element without content at the ninth level is within the limit if it is written `<a/>`.
fn is_within_the_limits(body: &[u8]) -> Option<bool> {
    let Ok(text) = str::from_utf8(body) else { return Some(false) };
    // What XML forbids is replaced. Written as references it is so only outside of sections, which is not looked at here.
    let is_forbidden =
        |c: char| c < ' ' && !matches!(c, '\t' | '\n' | '\r') || matches!(c, '\u{FFFE}' | '\u{FFFF}');
    let text = text.replace(is_forbidden, "\u{FFFD}");
    let Ok(document) = Document::parse(&text) else {
        return (!text.contains("&#")).then_some(false);
    };
    let level = |node: Node<'_, '_>| node.ancestors().filter(Node::is_element).count();
    let depth = document.descendants().map(level).max().unwrap_or_default();
    let is_rest_fine =
        document.descendants().count() <= MAX_NODES && document.root_element().has_tag_name("xml");
    match depth {
        0..=MAX_DEPTH => Some(is_rest_fine),
        depth if depth > MAX_DEPTH + 1 || !is_rest_fine => Some(false),
        _ => None,
    }
}

fn assert_is_the_same_sealed(body: &[u8], clear: &Result<Push, Refusal>) {
    let sealed = encrypt(&frame(b"the first block.", body));
    match (open(&SAFE, &signed_query(&sealed), sealed_body(&sealed).as_bytes()), clear) {
        (Ok(sealed), Ok(clear)) => {
            assert_eq!(sealed.sealed, Some(Seal::default()));
            assert_eq!(Push { sealed: None, ..sealed }, *clear);
        }
        // The encrypted body is larger than the plain one.
        (Err(Refusal::TooLarge), _) => {}
        (Err(Refusal::Utf8), Err(Refusal::Xml(_))) => assert!(str::from_utf8(body).is_err()),
        (sealed, clear) => assert_eq!(sealed, *clear),
    }
}

fn assert_has_the_documented_form(push: &Push) {
    let is_name = |name: &str| (1..=MAX_NAME).contains(&name.chars().count());
    assert_eq!((push.to.as_str(), push.sealed), (ORIGINAL_ID, None));
    assert!(is_name(push.from.as_str()) && push.created_at >= 0, "{push:?}");
    match &push.kind {
        Kind::Subscribe { key: Some(key) } => {
            assert!(!key.is_empty());
            assert_key(key);
        }
        Kind::Scan { key } => assert_key(key),
        Kind::Subscribe { key: None } | Kind::Unsubscribe => {}
        Kind::OtherEvent { name, key } => {
            assert!(key.as_ref().is_none_or(|key| key.chars().count() <= MAX_KEY), "{key:?}");
            assert!(
                is_name(name) && !matches!(name.as_str(), "subscribe" | "unsubscribe" | "SCAN"),
                "{name}"
            );
        }
        Kind::Message { msg_type, .. } => assert!(is_name(msg_type) && msg_type != "event", "{msg_type}"),
    }
}

/// A key has a limit, and only a key in the form of a scene is one of ours.
fn assert_key(key: &str) {
    let has_the_form =
        key.len() == 22 && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    assert!(key.chars().count() <= MAX_KEY, "{key}");
    assert_eq!(key.parse::<Scene>().is_ok(), has_the_form, "{key}");
}

/// A push as XML, with every character written as a reference.
fn written(push: &Push) -> String {
    let element = |name: &str, text: &str| {
        let text: String = text.chars().map(|c| format!("&#x{:x};", u32::from(c))).collect();
        format!("<{name}>{text}</{name}>")
    };
    let optional =
        |name, text: &Option<String>| text.as_deref().map_or_else(String::new, |text| element(name, text));
    let event = |name: &str| element("MsgType", "event") + &element("Event", name);
    let kind = match &push.kind {
        Kind::Subscribe { key } => {
            let key = key.as_ref().map(|key| format!("qrscene_{key}"));
            event("subscribe") + &optional("EventKey", &key)
        }
        Kind::Scan { key } => event("SCAN") + &element("EventKey", key),
        Kind::Unsubscribe => event("unsubscribe"),
        Kind::OtherEvent { name, key } => event(name) + &optional("EventKey", key),
        Kind::Message { msg_type, content, id } => {
            element("MsgType", msg_type) + &optional("Content", content) + &optional("MsgId", id)
        }
    };
    let (to, from) = (element("ToUserName", &push.to), element("FromUserName", push.from.as_str()));
    format!("<xml>{to}{from}{}{kind}</xml>", element("CreateTime", &push.created_at.to_string()))
}
