//! The XML of the pushes: events and text messages.

/// The fields that every push begins with: sender, receiver and time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) to: &'a str,
    pub(crate) from: &'a str,
    /// Unix seconds.
    pub(crate) at: u64,
}

impl Head<'_> {
    /// An event. Only events that come from a QR code have a ticket.
    pub(crate) fn event(self, name: &str, key: &str, ticket: Option<&str>) -> String {
        let ticket = ticket.map_or_else(String::new, |text| element("Ticket", text));
        let (event, key) = (element("Event", name), element("EventKey", key));
        self.xml("event", &format!("{event}{key}{ticket}"))
    }

    /// A text message. Its `id` is different from that of every other message.
    pub(crate) fn text(self, content: &str, id: u64) -> String {
        let content = element("Content", content);
        self.xml("text", &format!("{content}<MsgId>{id}</MsgId>"))
    }

    fn xml(self, kind: &str, rest: &str) -> String {
        let (to, from) = (element("ToUserName", self.to), element("FromUserName", self.from));
        let (at, kind) = (self.at, element("MsgType", kind));
        format!("<xml>{to}{from}<CreateTime>{at}</CreateTime>{kind}{rest}</xml>")
    }
}

/// An element with any text inside. The text cannot end the CDATA section, and characters that XML cannot write
/// are left out.
pub(crate) fn element(name: &str, text: &str) -> String {
    let text: String = text.chars().filter(|&it| is_xml(it)).collect();
    let text = text.replace("]]>", "]]]]><![CDATA[>");
    format!("<{name}><![CDATA[{text}]]></{name}>")
}

/// XML 1.0, production 2.
fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_scan_reads_as_wechat_documents_it() {
        let head = Head { to: "gh_0", from: "o1", at: 7 };
        assert_eq!(
            head.event("SCAN", "12", Some("gQ")),
            "<xml><ToUserName><![CDATA[gh_0]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName>\
             <CreateTime>7</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[SCAN]]></Event>\
             <EventKey><![CDATA[12]]></EventKey><Ticket><![CDATA[gQ]]></Ticket></xml>"
        );
        assert!(!head.event("subscribe", "", None).contains("Ticket"));
    }

    #[test]
    fn text_cannot_leave_its_element() {
        for text in ["]]>", "a]]]>b", "]]]]><![CDATA[>", "</xml>&lt;\u{1f600}"] {
            let xml = element("Content", text);
            let parsed = roxmltree::Document::parse(&xml).unwrap();
            let read: String = parsed.root_element().children().filter_map(|it| it.text()).collect();
            assert_eq!(read, text);
        }
        assert!(roxmltree::Document::parse(&element("Content", "a\0\u{1b}\u{ffff}b")).is_ok());
    }
}
