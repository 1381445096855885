//! The same push in JSON, as mini programs have it: `ToUserName`, `Encrypt` and the rest are the names of an object's
//! members, `CreateTime` and the ids of messages are numbers.

use roxmltree::{Document, Node};
use serde_json::{Map, Value, json};

use crate::account::Mode;

/// Members that are numbers.
const NUMBERS: [&str; 3] = ["CreateTime", "MsgId", "MsgID"];

/// A push's XML as JSON. What is no XML is sent as a text, which no reader takes for a push.
pub(crate) fn of(xml: &str) -> Value {
    match Document::parse(xml) {
        Ok(document) => value(document.root_element()),
        Err(_) => Value::from(xml),
    }
}

/// The body of a push whose content `push` was sealed.
pub(crate) fn sealed(push: Value, original_id: &str, sealed: String, mode: Mode) -> Value {
    match push {
        Value::Object(mut members) if mode == Mode::Compatible => {
            members.insert("Encrypt".to_owned(), sealed.into());
            Value::Object(members)
        }
        _ => json!({"ToUserName": original_id, "Encrypt": sealed}),
    }
}

fn value(node: Node<'_, '_>) -> Value {
    if node.children().any(|child| child.is_element()) {
        let elements = node.children().filter(Node::is_element);
        let members: Map<_, _> =
            elements.map(|element| (element.tag_name().name().to_owned(), value(element))).collect();
        return members.into();
    }
    let text: String = node.children().filter_map(|child| child.text()).collect();
    let number = NUMBERS.contains(&node.tag_name().name()).then(|| text.parse::<u64>().ok()).flatten();
    number.map_or_else(|| text.into(), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Head;

    #[test]
    fn a_scan_has_the_same_fields() {
        let xml = Head { to: "gh_0", from: "o1", at: 7 }.event("SCAN", "a]]>b", Some("gQ"));
        let push = json!({
            "ToUserName": "gh_0", "FromUserName": "o1", "CreateTime": 7, "MsgType": "event", "Event": "SCAN",
            "EventKey": "a]]>b", "Ticket": "gQ"
        });
        assert_eq!(of(&xml), push);
        let safe = json!({"ToUserName": "gh_0", "Encrypt": "E"});
        assert_eq!(sealed(push.clone(), "gh_0", "E".to_owned(), Mode::Safe), safe);
        let compatible = sealed(push, "gh_0", "E".to_owned(), Mode::Compatible);
        assert_eq!((&compatible["Encrypt"], &compatible["Event"]), (&json!("E"), &json!("SCAN")));
    }

    #[test]
    fn only_ids_and_times_are_numbers() {
        let xml = Head { to: "gh_0", from: "o1", at: 7 }.text("12", 34);
        let push = of(&xml);
        assert_eq!((&push["Content"], &push["MsgId"]), (&json!("12"), &json!(34)));
        assert_eq!(of("no xml"), json!("no xml"));
    }
}
