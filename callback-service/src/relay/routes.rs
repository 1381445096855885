//! Where each kind of push goes: the grammar of `CALLBACK_RELAY_URL` and of `relay` in the file of accounts.
//!
//! Entries stand with commas between them. An entry is an address for one kind, `messages=https://…`, or an address alone
//! for every kind that has no entry, but for copies. A comma in an address is written `%2C`.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;
use server::visible::identifier;
use url::Host;

use super::Kind;

/// Bytes of an address.
const MAX_URL: usize = 1024;

/// Where pushes go, by [`Kind`]. Debug shows no path or query, which may be a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Routes([Option<Url>; Kind::ALL.len()]);

impl Routes {
    /// Where pushes of a kind go.
    pub(super) fn of(&self, kind: Kind) -> Option<&Url> {
        self.0[kind as usize].as_ref()
    }

    /// Whether one leads to this port of this machine.
    #[must_use]
    pub(crate) fn lead_to(&self, port: u16) -> bool {
        self.0.iter().flatten().any(|url| is_here(url) && url.port_or_known_default() == Some(port))
    }
}

impl FromStr for Routes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut routes, mut rest) = (Self::default(), None);
        for entry in text.split(',').map(str::trim) {
            let (kind, address) = match entry.split_once('=') {
                // The address may have a query.
                Some((name, address)) if !name.contains(':') => {
                    let kind = Kind::named(name.trim()).ok_or_else(kinds)?;
                    (Some(kind), address.trim())
                }
                _ => (None, entry),
            };
            let place = kind.map_or(&mut rest, |kind| &mut routes.0[kind as usize]);
            let of = kind.map_or("every other kind", Kind::name);
            let url = url(address).map_err(|problem| format!("the address of {of} {problem}"))?;
            if place.replace(url).is_some() {
                return Err(format!("has two addresses of {of}; a comma inside an address is written %2C"));
            }
        }
        for kind in [Kind::Messages, Kind::Follows, Kind::Events] {
            let place = &mut routes.0[kind as usize];
            *place = place.take().or_else(|| rest.clone());
        }
        Ok(routes)
    }
}

fn kinds() -> String {
    let names = Kind::ALL.map(Kind::name).join(", ");
    format!(
        "write an address, or an address for each kind, such as messages=https://old.example.cn/wechat; kinds are {names}"
    )
}

fn url(text: &str) -> Result<Url, String> {
    let text = identifier(text)?;
    if text.is_empty() {
        return Err("is missing".to_owned());
    }
    if text.len() > MAX_URL {
        return Err(format!("has more than {MAX_URL} characters"));
    }
    let form = "is no address; write for example https://old.example.cn/wechat";
    let url = Url::parse(&text).map_err(|_| form)?;
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(form.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "has a user name or a password in it; WeChat's addresses have none, so take them out".to_owned()
        );
    }
    match url.fragment() {
        Some(_) => Err("has a # in it; take that and what follows out".to_owned()),
        None => Ok(url),
    }
}

/// Whether an address is one of this machine's own.
pub(super) fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = Kind::ALL.into_iter().zip(&self.0);
        let shown = routes
            .filter_map(|(kind, url)| Some((kind.name(), url.as_ref()?.origin().ascii_serialization())));
        f.debug_map().entries(shown).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn routes(text: &str) -> [Option<String>; 4] {
        let routes: Routes = text.parse().unwrap();
        Kind::ALL.map(|kind| routes.of(kind).map(ToString::to_string))
    }

    #[test]
    fn an_address_alone_takes_what_has_none_but_no_copies() {
        let [old, shop, bot] =
            ["https://old.example/wx", "http://shop:8000/", "http://127.0.0.1:9/a?b=c&d=e"];
        let some = |url: &str| Some(url.to_owned());
        for (text, expected) in [
            (old.to_owned(), [some(old), some(old), some(old), None]),
            (format!("messages={bot}"), [some(bot), None, None, None]),
            (format!("{old} , messages={bot}"), [some(bot), some(old), some(old), None]),
            (format!("copies={shop},follows={shop}"), [None, some(shop), None, some(shop)]),
            (format!("events={bot},{old},copies={shop}"), [some(old), some(old), some(bot), some(shop)]),
            ("messages=http://shop:8000".to_owned(), [some(shop), None, None, None]),
        ] {
            assert_eq!(routes(&text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_told_without_the_address() {
        for (text, problem) in [
            ("", "the address of every other kind is missing"),
            ("messages=", "the address of messages is missing"),
            ("https://a/?key=SECRET,", "the address of every other kind is missing"),
            ("old.example.cn/SECRET", "is no address"),
            ("ftp://old.example.cn/SECRET", "is no address"),
            ("message=https://a/SECRET", "kinds are messages, follows, events, copies"),
            ("Messages=https://a/SECRET", "kinds are messages"),
            ("all=https://a/SECRET", "kinds are messages"),
            ("https://a/SECRET,https://b/", "two addresses of every other kind"),
            ("events=https://a/SECRET,events=https://b/", "two addresses of events"),
            ("https://u:SECRET@a/", "user name or a password"),
            ("https://a/SECRET#x", "has a #"),
            ("https://a/SEC RET", "a blank"),
            ("https://a/SECRET\u{200b}", "U+200B"),
        ] {
            let told = text.parse::<Routes>().unwrap_err();
            assert!(told.contains(problem), "{text}: {told}");
            assert!(!told.contains("SEC") && !told.contains('\n'), "{told}");
        }
        let long = format!("https://a/{}", "x".repeat(MAX_URL));
        assert!(long.parse::<Routes>().unwrap_err().contains("1024 characters"));
    }

    #[test]
    fn debug_shows_where_and_no_secret() {
        let shown = format!("{:?}", "https://old.example:8443/SECRET?key=SECRET".parse::<Routes>().unwrap());
        assert!(shown.contains("https://old.example:8443") && !shown.contains("SECRET"), "{shown}");
    }

    #[test]
    fn an_address_of_this_service_is_known() {
        for (text, leads) in [
            ("http://127.0.0.1:8080/wechat", true),
            ("messages=http://localhost:8080/", true),
            ("http://[::1]:8080/", true),
            ("http://127.0.0.1:8081/", false),
            ("http://old:8080/wechat", false),
        ] {
            assert_eq!(text.parse::<Routes>().unwrap().lead_to(8080), leads, "{text}");
        }
        assert!("http://127.0.0.1/".parse::<Routes>().unwrap().lead_to(80));
    }
}
