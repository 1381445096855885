//! What an operator puts on the login page, at either service. Each of these is checked when the settings are read; and
//! in the page each is text, or an address in an attribute.

use std::str::FromStr;

use crate::STYLE;
use crate::accent::Accent;

/// Characters of the operator's line: two lines of a phone, or three.
const MAX_LINE: usize = 200;

/// Characters of an official account's name. WeChat allows 30.
const MAX_NAME: usize = 60;

/// Links at the page's end, and characters of one's text: two lines of them at most.
const MAX_LINKS: usize = 5;
const MAX_LINK: usize = 40;

/// What an operator has chosen. The default is a page without any of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brand {
    /// The address of a picture above the heading.
    pub logo: Option<String>,
    /// The colour of buttons and marks.
    pub accent: Option<Accent>,
    /// A line of one's own below the heading.
    pub line: Option<String>,
    /// What stands at the page's end, such as terms and privacy.
    pub links: Links,
    /// The name of the official account that whoever scans will follow.
    pub account: Option<String>,
}

impl Brand {
    /// Without anything.
    pub const NONE: Self =
        Self { logo: None, accent: None, line: None, links: Links(Vec::new()), account: None };

    /// The page's style, in the operator's colour.
    #[must_use]
    pub fn style(&self) -> String {
        let accent = self.accent.map(Accent::style).unwrap_or_default();
        format!("{STYLE}{accent}")
    }
}

/// Links at the page's end: `text=https://…`, with commas between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links(pub(crate) Vec<Link>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub text: String,
    pub address: String,
}

impl FromStr for Links {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let links = text
            .split(',')
            .enumerate()
            .map(|(index, link)| link.parse().map_err(|problem| format!("link {}: {problem}", index + 1)));
        let links: Vec<Link> = links.collect::<Result<_, String>>()?;
        if links.len() > MAX_LINKS {
            return Err(format!("has {} links, and may have {MAX_LINKS}", links.len()));
        }
        Ok(Self(links))
    }
}

impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "must be text=https://…, such as Privacy=https://example.com/privacy; a comma inside an address is %2C";
        let (text, address) = text.split_once('=').ok_or(form)?;
        let address = address.trim();
        let host = address.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next());
        let is_odd = |letter: char| letter.is_whitespace() || letter.is_control();
        if host.is_none_or(str::is_empty) || address.contains(is_odd) {
            return Err(form.to_owned());
        }
        Ok(Self { text: words(text, MAX_LINK)?, address: address.to_owned() })
    }
}

/// Reads the address of a picture that a page may show.
///
/// # Errors
/// When it is none.
pub fn picture(text: &str) -> Result<String, String> {
    let is_url = ["https://", "http://", "data:image/"].iter().any(|start| text.starts_with(start));
    if is_url { Ok(text.to_owned()) } else { Err("must be an http, https or data:image URL".to_owned()) }
}

/// Reads a line of the operator's own.
///
/// # Errors
/// When it is too long, or is no line.
pub fn line(text: &str) -> Result<String, String> {
    words(text, MAX_LINE)
}

/// Reads the name of an official account.
///
/// # Errors
/// When it is too long, or is no line.
pub fn account_name(text: &str) -> Result<String, String> {
    words(text, MAX_NAME)
}

fn words(text: &str, most: usize) -> Result<String, String> {
    let (text, count) = (text.trim(), text.trim().chars().count());
    match count {
        0 => Err("has no words".to_owned()),
        count if count > most => Err(format!("has {count} characters, and may have {most}")),
        _ if text.contains(|letter: char| letter.is_control()) => {
            Err("has a line break or another control character; write one line".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn links_are_texts_and_addresses() {
        let Links(links) = "条款=https://a.example/terms?a=b, Privacy = https://a.example".parse().unwrap();
        let links: Vec<_> = links.iter().map(|link| (&*link.text, &*link.address)).collect();
        assert_eq!(links, [("条款", "https://a.example/terms?a=b"), ("Privacy", "https://a.example")]);
        for (wrong, say) in [
            ("", "link 1: must be text=https://"),
            ("https://a.example/x=y", "link 1: must be"),
            ("Terms=https://a.example,Privacy", "link 2: must be"),
            ("Terms=http://a.example", "must be text=https://"),
            ("Terms=javascript:alert(1)", "must be"),
            ("Terms=https:///x", "must be"),
            ("Terms=https://a.example/a b", "must be"),
            ("=https://a.example", "has no words"),
            ("a=https://a,b=https://a,c=https://a,d=https://a,e=https://a,f=https://a", "has 6 links"),
        ] {
            let said = wrong.parse::<Links>().unwrap_err();
            assert!(said.contains(say), "{wrong}: {said}");
        }
        let long = format!("{}=https://a.example", "长".repeat(41));
        assert_eq!(long.parse::<Links>().unwrap_err(), "link 1: has 41 characters, and may have 40");
    }

    #[test]
    fn words_are_one_line_of_some_length() {
        assert_eq!(line(&"🍵".repeat(200)).unwrap().chars().count(), 200);
        assert_eq!(line(" <b>שלום</b> 👩‍👩‍👧 ").unwrap(), "<b>שלום</b> 👩‍👩‍👧");
        for (wrong, say) in [
            (String::new(), "no words"),
            (" ".to_owned(), "no words"),
            ("x".repeat(201), "201 characters, and may have 200"),
            ("one\ntwo".to_owned(), "write one line"),
        ] {
            assert!(line(&wrong).unwrap_err().contains(say), "{wrong:?}");
        }
        assert!(account_name(&"号".repeat(60)).is_ok() && account_name(&"号".repeat(61)).is_err());
    }

    #[test]
    fn a_picture_has_an_address_that_pages_load() {
        for good in ["https://a/logo.svg", "http://a/logo.png", "data:image/png;base64,AAAA"] {
            assert_eq!(picture(good).unwrap(), good);
        }
        for wrong in ["", "logo.png", "/logo.png", "javascript:alert(1)", "data:text/html,x"] {
            assert!(picture(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_accent_is_the_styles_last_word() {
        assert_eq!(Brand::NONE.style(), STYLE);
        let brand = Brand { accent: Some("#1d4ed8".parse().unwrap()), ..Brand::NONE };
        let style = brand.style();
        let last = style.strip_prefix(STYLE).unwrap();
        assert!(last.contains("--saoma-accent: #1d4ed8;"), "{last}");
        assert_eq!(last.matches('{').count(), last.matches('}').count(), "{last}");
    }
}
