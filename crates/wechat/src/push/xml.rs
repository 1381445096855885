//! XML as strictly as WeChat's pushes allow: one flat `xml` element whose children are fields.
//!
//! Both the envelope and what was sealed in it come through here. Depth is measured before the parser runs, because the
//! parser may recurse. What WeChat never sends is refused: DTDs, comments inside fields, the same field twice. Two
//! readers could understand such a push differently, and then nobody should be logged in by it.
//!
//! Characters that XML 1.0 forbids are replaced and not refused ([`readable`]): people type them, and WeChat passes them
//! on.

use std::borrow::Cow;

use roxmltree::{Document, Node, ParsingOptions};

use super::Refusal;

/// The deepest nesting taken; WeChat's deepest known event has five levels.
const MAX_DEPTH: usize = 8;

/// The most elements and texts taken: far above a push of any kind, far below what 64 KiB can hold.
const MAX_NODES: u32 = 1024;

/// The fault of a body that begins with a brace.
pub(super) const JSON: &str =
    "it is JSON: set the data format (数据格式) of WeChat's message push settings to XML";

/// The fields of one document.
pub(super) struct Fields<'a>(Document<'a>);

impl<'a> Fields<'a> {
    /// Parses a document whose root is `xml`.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let text = str::from_utf8(bytes).map_err(|_| Refusal::Xml("it is not UTF-8"))?;
        if text.trim_start_matches('\u{FEFF}').trim_start().starts_with('{') {
            return Err(Refusal::Xml(JSON));
        }
        check_structure(text)?;
        let options =
            ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
        // The parser's own words may quote the message.
        let document = Document::parse_with_options(text, options).map_err(|error| match error {
            roxmltree::Error::NodesLimitReached => Refusal::Xml("it has too many elements"),
            _ => Refusal::Xml("it is not well-formed"),
        })?;
        if !is_named(document.root_element(), "xml") {
            return Err(Refusal::Xml("its root is not xml"));
        }
        Ok(Self(document))
    }

    /// The text of a direct child of the root, adjacent CDATA sections joined; `None` when there is no such child.
    pub(super) fn get(&self, name: &'static str) -> Result<Option<String>, Refusal> {
        let mut found = self.0.root_element().children().filter(|&child| is_named(child, name));
        let Some(field) = found.next() else {
            return Ok(None);
        };
        if found.next().is_some() || !field.children().all(|child| child.is_text()) {
            return Err(Refusal::Field(name));
        }
        Ok(Some(field.children().filter_map(|child| child.text()).collect()))
    }
}

/// Stands for a character that XML forbids. No name and no scene may contain it.
pub(super) const REPLACED: char = char::REPLACEMENT_CHARACTER;

/// The body with [`REPLACED`] for every character that XML 1.0 forbids, and for every reference to one. A body that is
/// not UTF-8 stays as it is.
pub(super) fn readable(body: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = str::from_utf8(body) else {
        return Cow::Borrowed(body);
    };
    if is_plainly_readable(body) || (text.chars().all(is_xml) && !text.contains("&#")) {
        return Cow::Borrowed(body);
    }
    let mut readable = String::with_capacity(text.len());
    let mut add = |text: &str| readable.extend(text.chars().map(|c| if is_xml(c) { c } else { REPLACED }));
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        add(&rest[..at]);
        rest = &rest[at..];
        if let Some((length, is_allowed)) = reference(rest) {
            add(if is_allowed { &rest[..length] } else { "\u{FFFD}" });
            rest = &rest[length..];
            continue;
        }
        // Inside a section there are no references. A section without an end reaches to the end of the text, and the
        // parser then refuses it.
        let section = SECTIONS.iter().find(|(start, _)| rest.starts_with(start));
        let length = section.map_or(1, |(start, end)| {
            let behind = &rest[start.len()..];
            behind.find(end).map_or(rest.len(), |at| start.len() + at + end.len())
        });
        add(&rest[..length]);
        rest = &rest[length..];
    }
    add(rest);
    Cow::Owned(readable.into_bytes())
}

/// Whether there is certainly nothing to replace: no control character, no `&`, and not the byte with which U+FFFE begins. One
/// look at each byte says so of what WeChat itself writes.
fn is_plainly_readable(body: &[u8]) -> bool {
    let is_suspect =
        |byte: &u8| (*byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) || matches!(byte, b'&' | 0xEF);
    // Without a way out in the middle it is done for many bytes at once.
    !body.iter().fold(false, |found, byte| found | is_suspect(byte))
}

/// The length of the character reference that `rest` begins with, and whether XML allows its character.
fn reference(rest: &str) -> Option<(usize, bool)> {
    let number = rest.strip_prefix("&#")?;
    let number = &number[..number.bytes().take_while(u8::is_ascii_alphanumeric).count()];
    let length = "&#".len() + number.len();
    rest[length..].starts_with(';').then_some(())?;
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    // A number too large for a u32 is not a character either.
    let character = u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    Some((length + 1, character.is_some_and(is_xml)))
}

/// XML 1.0, production 2 ("Char"). Surrogates cannot be `char`s.
pub(super) fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// A name without a namespace: `<x:FromUserName>` is another field.
fn is_named(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name && node.tag_name().namespace().is_none()
}

/// Beginning and end of what looks like a tag and is none.
const SECTIONS: [(&str, &str); 3] = [("<![CDATA[", "]]>"), ("<!--", "-->"), ("<?", "?>")];

/// Refuses DTDs and deep nesting in one pass over the markup. The parser finds the other faults.
fn check_structure(text: &str) -> Result<(), Refusal> {
    const CUT: Refusal = Refusal::Xml("it is cut off");
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let section = SECTIONS.iter().find(|(start, _)| rest.starts_with(start));
        let length = if let Some((start, end)) = section {
            // The end is searched for behind the beginning: `<!-->` opens a comment and does not close it.
            let behind = &rest[start.len()..];
            start.len() + behind.find(end).ok_or(CUT)? + end.len()
        } else if rest.starts_with("<!") {
            return Err(Refusal::Xml("it has a document type"));
        } else {
            let end = tag_end(rest).ok_or(CUT)?;
            if rest.starts_with("</") {
                depth = depth.saturating_sub(1);
            } else if !rest[..end].ends_with("/>") {
                depth += 1;
            }
            end
        };
        if depth > MAX_DEPTH {
            return Err(Refusal::Xml("it is nested too deeply"));
        }
        rest = &rest[length..];
    }
    Ok(())
}

/// The length of the tag that `rest` begins with; a `>` inside an attribute's quotes does not end it.
fn tag_end(rest: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn refusal(text: &str) -> Refusal {
        Fields::parse(text.as_bytes()).err().unwrap()
    }

    #[test]
    fn texts_of_one_field_are_joined_and_other_levels_not_looked_at() {
        let fields =
            Fields::parse(b"<xml><A>x<![CDATA[]]]]><![CDATA[>]]>&amp;</A><N><B>1</B></N><C/></xml>").unwrap();
        assert_eq!(fields.get("A").unwrap().unwrap(), "x]]>&");
        assert_eq!(fields.get("B").unwrap(), None);
        assert_eq!(fields.get("C").unwrap().unwrap(), "");
    }

    #[test]
    fn ambiguous_fields_are_refused_when_asked_for() {
        for text in ["<xml><A>1</A><A>1</A></xml>", "<xml><A>1<b/></A></xml>", "<xml><A>1<!--x-->2</A></xml>"]
        {
            let fields = Fields::parse(text.as_bytes()).unwrap();
            assert_eq!(fields.get("A"), Err(Refusal::Field("A")), "{text}");
            assert_eq!(fields.get("Z"), Ok(None), "{text}");
        }
    }

    #[test]
    fn a_field_of_another_namespace_is_no_field() {
        let fields = Fields::parse(br#"<xml xmlns:x="u"><x:A>1</x:A><A xmlns="u">2</A></xml>"#).unwrap();
        assert_eq!(fields.get("A"), Ok(None));
    }

    #[test]
    fn document_types_are_refused_before_the_parser_sees_them() {
        for text in [
            "<!DOCTYPE xml><xml/>",
            "<!DOCTYPE xml [<!ENTITY a 'b'>]><xml>&a;</xml>",
            "<xml><!ENTITY a 'b'></xml>",
        ] {
            assert_eq!(refusal(text), Refusal::Xml("it has a document type"), "{text}");
        }
        assert!(Fields::parse(b"<xml><A><![CDATA[<!DOCTYPE a>]]></A></xml>").is_ok());
    }

    #[test]
    fn depth_is_counted_by_open_elements_only() {
        let nested = |levels: usize| format!("<xml>{}{}</xml>", "<a>".repeat(levels), "</a>".repeat(levels));
        assert!(Fields::parse(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        assert_eq!(refusal(&nested(MAX_DEPTH)), Refusal::Xml("it is nested too deeply"));
        let flat = format!("<xml>{}{}</xml>", "<a></a>".repeat(50), r#"<b c="/>" d='>'/>"#.repeat(50));
        assert!(Fields::parse(flat.as_bytes()).is_ok());
        let hidden = format!("<xml>{}</xml>", r#"<b c='/>'>"#.repeat(50));
        assert_eq!(refusal(&hidden), Refusal::Xml("it is nested too deeply"));
    }

    #[test]
    fn depth_does_not_hide_behind_a_comment_that_seems_to_end_at_once() {
        let nested = format!("{}<!--'/>-->{}", "<a>".repeat(MAX_DEPTH), "</a>".repeat(MAX_DEPTH));
        let hidden = format!("<xml><!--><a b='-->{nested}</xml>");
        assert_eq!(refusal(&hidden), Refusal::Xml("it is nested too deeply"));
        assert!(Fields::parse(b"<xml><!--><a>--><!----></xml>").is_ok());
    }

    #[test]
    fn many_elements_are_refused() {
        let text = format!("<xml>{}</xml>", "<a/>".repeat(2000));
        assert_eq!(refusal(&text), Refusal::Xml("it has too many elements"));
    }

    #[test]
    fn what_xml_forbids_is_replaced_in_any_spelling_and_nothing_else() {
        let content = |text: &str| {
            let body = format!("<xml><A>{text}</A></xml>");
            let body = readable(body.as_bytes());
            Fields::parse(&body).and_then(|fields| Ok(fields.get("A")?.unwrap()))
        };
        for forbidden in ('\0'..='\u{1f}').filter(|&c| !is_xml(c)).chain(['\u{FFFE}', '\u{FFFF}']) {
            assert_eq!(
                content(&format!("<![CDATA[a{forbidden}b]]>")).unwrap(),
                "a\u{FFFD}b",
                "{forbidden:?}"
            );
            assert_eq!(content(&format!("a{forbidden}b")).unwrap(), "a\u{FFFD}b", "{forbidden:?}");
            let number = u32::from(forbidden);
            for reference in [format!("&#{number};"), format!("&#x{number:x};"), format!("&#x000{number:X};")]
            {
                assert_eq!(content(&reference).unwrap(), "\u{FFFD}", "{reference}");
                let typed = content(&format!("<![CDATA[{reference}\u{2}]]>")).unwrap();
                assert_eq!(typed, format!("{reference}\u{FFFD}"), "what a person typed is no reference");
            }
        }
        for reference in ["&#xD800;", "&#xDFFF;", "&#x110000;", "&#99999999999999999999;"] {
            assert_eq!(content(reference).unwrap(), "\u{FFFD}", "{reference}");
        }
        for fine in ["阿🐼狸\t\n", "\u{7f}\u{85}\u{E000}\u{FFFD}"] {
            assert_eq!(content(fine).unwrap(), fine);
        }
        assert_eq!(content("&#38;&#x9;&#x1F43C;\u{1}").unwrap(), "&\t🐼\u{FFFD}");
        for broken in
            ["&#;", "&#x;", "&#+1;", "&#1", "&#xg;", "&# 1;", "\u{1}&", "\u{1}<![CDATA[", "\u{1}<!--"]
        {
            assert!(content(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn replacing_makes_no_field_of_what_was_none() {
        let fields = readable(b"<xml><A\x01>1</A\x01><\x01B>2</\x01B></xml>");
        for name in ["A", "B"] {
            // U+FFFD may stand in a name, and makes it another one.
            assert!(Fields::parse(&fields).is_ok_and(|fields| fields.get(name) == Ok(None)));
        }
    }

    #[test]
    fn json_is_called_so() {
        for text in ["{}", "\u{FEFF} {\"Encrypt\": \"x\"}", "\r\n{"] {
            assert_eq!(refusal(text), Refusal::Xml(JSON), "{text}");
        }
        assert!(Fields::parse(b"<xml><A>{}</A></xml>").is_ok());
    }

    #[test]
    fn other_roots_and_broken_text_are_refused() {
        for text in
            ["", "xml", "<XML/>", "<xml>", "<xml", "<xml/><xml/>", "<xml>&nope;</xml>", "{}", "<xml>\0</xml>"]
        {
            assert!(matches!(refusal(text), Refusal::Xml(_)), "{text}");
        }
    }
}
