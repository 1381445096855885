//! What a page says when it opens its WebSocket, beside the handshake itself: its Origin and address, the login
//! that it comes back to, and what its query asks for. A page of a foreign Origin is refused here.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderName, ORIGIN, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use http::{Request, StatusCode};
use login_page::Language;
use protocol::message::Context;
use server::address;

use crate::browsers::Settings;
use crate::browsers::handshake::Refusal;
use crate::browsers::origin;
use crate::browsers::words::{self, Trouble};
use crate::logins::ResumeKey;

/// The subprotocol of pages that know heartbeats and resume.
pub(crate) const SUBPROTOCOL: &str = "saoma.v1";

/// Characters of each query parameter. A nonce and a challenge of the usual libraries have 43.
const MAX_FIELD: usize = 256;

/// Characters of User-Agent that are kept: enough to tell browser and system.
const MAX_USER_AGENT: usize = 256;

/// What a page comes for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A new login.
    New,
    /// The login of this key.
    Back(ResumeKey),
    /// A login, with a key that cannot be read. It opens nothing, not even a new login.
    BackWithoutKey,
}

/// What a page said.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    /// Who asks for a login. Its record has the same.
    pub context: Arc<Context>,
    /// Its address. `context.ip` is the same as text.
    pub address: IpAddr,
    /// Whether it comes back to a login.
    pub arrival: Arrival,
    /// It still shows the picture of that login, and need not be sent it.
    pub has_picture: bool,
    /// The page speaks [`SUBPROTOCOL`].
    pub is_ours: bool,
    /// The page offered it as a subprotocol, so the answer must select it. Behind a proxy that drops the offer
    /// a page says in its query that it speaks it, and nothing is selected.
    pub selects_ours: bool,
    /// The language of its words.
    pub language: Language,
    /// What is wrong with its query. The page is told after the upgrade, because scripts cannot read the
    /// answer to a handshake.
    pub fault: Option<Trouble>,
}

impl Opening {
    /// Reads what the page says, and checks that it may connect.
    ///
    /// # Errors
    /// 403 for a foreign Origin, 400 for two of them.
    pub(crate) fn read<B>(
        request: &Request<B>,
        peer: SocketAddr,
        settings: &Settings,
    ) -> Result<Self, Refusal> {
        let headers = request.headers();
        let text =
            |name: HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        if headers.get_all(ORIGIN).iter().count() > 1 {
            return Err(Refusal::of("origin", StatusCode::BAD_REQUEST, "more than one Origin"));
        }
        let origin = text(ORIGIN);
        if let Some(origin) = origin.as_deref() {
            check_origin(origin, headers, peer, settings)?;
        }

        let address = address::of_request(headers, peer, &settings.trusted_proxies);
        let mut context = Context {
            origin: origin.map(|origin| cut(&origin, MAX_FIELD)),
            ip: address.to_string(),
            user_agent: text(USER_AGENT).map(|agent| cut(&agent, MAX_USER_AGENT)),
            ..Context::default()
        };
        let (mut langs, mut fault) = (Vec::new(), None);
        let (mut subprotocol, mut has_picture) = (Cow::Borrowed(""), false);
        for (name, value) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            let field = match name.as_ref() {
                "site" => &mut context.site,
                "nonce" => &mut context.nonce,
                "code_challenge" => &mut context.code_challenge,
                "request" => &mut context.request,
                "account" => &mut context.account,
                // A language that we do not know is no reason to refuse a page.
                "lang" => {
                    langs.push(value);
                    continue;
                }
                "picture" => {
                    has_picture = value == "kept";
                    continue;
                }
                "subprotocol" => {
                    subprotocol = value;
                    continue;
                }
                _ => continue,
            };
            // Templates leave a parameter empty when they have no value for it.
            if value.is_empty() {
                continue;
            }
            if value.chars().count() > MAX_FIELD {
                fault = Some(words::TOO_LONG);
            } else if field.replace(value.into_owned()).is_some() {
                fault = Some(words::GIVEN_TWICE);
            }
        }
        if context.site.is_some() && context.request.is_some() {
            fault = Some(words::SITE_AND_REQUEST);
        }

        let mut is_ours = false;
        let mut arrival = Arrival::New;
        for token in tokens(headers, &SEC_WEBSOCKET_PROTOCOL) {
            match token.strip_prefix("resume.") {
                Some(key) => {
                    arrival = ResumeKey::parse(key).map_or(Arrival::BackWithoutKey, Arrival::Back);
                }
                None => is_ours |= token == SUBPROTOCOL,
            }
        }
        let selects_ours = is_ours;
        match subprotocol.as_ref() {
            // The browser would close the connection at once, because we could select none.
            "offered" if !is_ours => {
                let message = "this page offered a WebSocket subprotocol that did not arrive: a proxy between drops \
                               the header Sec-WebSocket-Protocol; let it pass";
                return Err(Refusal::of("subprotocol", StatusCode::BAD_REQUEST, message));
            }
            "none" => is_ours = true,
            _ => {}
        }
        let langs = langs.iter().map(|lang| lang.as_ref());
        let language = Language::choose(langs, text(ACCEPT_LANGUAGE).as_deref());
        let context = Arc::new(context);
        Ok(Self { context, address, arrival, has_picture, is_ours, selects_ours, language, fault })
    }
}

/// Refuses a page that may not connect, in words that tell an operator what was compared with what.
fn check_origin(
    origin: &str,
    headers: &HeaderMap,
    peer: SocketAddr,
    settings: &Settings,
) -> Result<(), Refusal> {
    let text = |name: &str| Some(String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned());
    let (allowed, host) = (settings.allowed_origins.as_ref(), text("host"));
    let mut may = origin::may_connect(allowed, Some(origin), host.as_deref());
    let trusted = &settings.trusted_proxies;
    if !may && trusted.iter().any(|network| network.contains(&peer.ip().to_canonical())) {
        let forwarded = text("x-forwarded-host").or_else(|| host.clone()).unwrap_or_default();
        let named = forwarded.split(',').map(|name| name.trim().to_owned());
        let with_port = |name: String| match text("x-forwarded-port") {
            Some(port) => vec![format!("{}:{}", origin::without_port(&name), port.trim()), name],
            None => vec![name],
        };
        may = named.flat_map(with_port).any(|host| origin::may_connect(allowed, Some(origin), Some(&host)));
    }
    if may {
        return Ok(());
    }
    let shown: String = origin.chars().filter(|character| !character.is_control()).take(MAX_FIELD).collect();
    let message = format!(
        "pages of the origin {shown:?} may not connect; {}",
        match allowed {
            Some(_) => "GATEWAY_ALLOWED_ORIGINS does not name it".to_owned(),
            None => origin::advice(origin, host.as_deref()),
        }
    );
    Err(Refusal::of("origin", StatusCode::FORBIDDEN, message))
}

/// The comma-separated tokens of a header, over all its lines.
pub(crate) fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',').map(str::trim))
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use protocol::Scene;

    use super::*;
    use crate::testing::in_memory;

    fn settings(flags: &[&str]) -> Settings {
        in_memory::config(flags).browsers
    }

    fn read(uri: &str, headers: &[(&str, &str)]) -> Result<Opening, Refusal> {
        let mut request = Request::builder().uri(uri).header("host", "login.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Opening::read(&request.body(()).unwrap(), "192.0.2.1:9".parse().unwrap(), &settings(&[]))
    }

    #[test]
    fn what_the_page_says_is_kept() {
        let uri = "/ws?site=shop&nonce=n%20n&code_challenge=c&lang=en&unknown=1";
        let opening = read(uri, &[("origin", "https://login.example"), ("user-agent", "Firefox")]).unwrap();
        let context = &opening.context;
        assert_eq!((context.site.as_deref(), context.nonce.as_deref()), (Some("shop"), Some("n n")));
        assert_eq!((context.ip.as_str(), context.user_agent.as_deref()), ("192.0.2.1", Some("Firefox")));
        assert_eq!(
            (opening.language, opening.is_ours, opening.arrival),
            (Language::English, false, Arrival::New)
        );
    }

    #[test]
    fn the_resume_key_comes_as_a_subprotocol() {
        let key = ResumeKey::new(Scene::random());
        let offered = format!("saoma.v1, resume.{}", key.reveal());
        let opening = read("/ws?picture=kept", &[("sec-websocket-protocol", &offered)]).unwrap();
        assert!(opening.is_ours && opening.has_picture);
        assert_eq!(opening.arrival, Arrival::Back(key));
        let opening = read("/ws", &[("sec-websocket-protocol", "resume.rubbish")]).unwrap();
        assert!(!opening.has_picture);
        assert_eq!(opening.arrival, Arrival::BackWithoutKey);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let long = format!("/ws?nonce={}", "x".repeat(MAX_FIELD + 1));
        for uri in ["/ws?site=a&site=b", "/ws?site=a&request=b", "/ws?nonce=a&nonce=a", &long] {
            assert!(read(uri, &[]).unwrap().fault.is_some(), "{uri}");
        }
        let foreign = read("/ws", &[("origin", "https://evil.example")]).unwrap_err();
        assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    }

    #[test]
    fn what_is_empty_is_not_there_and_decoration_refuses_nobody() {
        let opening = read("/ws?site=&nonce=&code_challenge=&request=", &[]).unwrap();
        assert_eq!((opening.fault, &opening.context.site, &opening.context.nonce), (None, &None, &None));
        let opening = read("/ws?site=&site=shop&request=", &[]).unwrap();
        assert_eq!((opening.fault, opening.context.site.as_deref()), (None, Some("shop")));
        let long = format!("/ws?lang={}", "x".repeat(MAX_FIELD + 1));
        for uri in ["/ws?lang=", "/ws?lang", "/ws?lang=fr", "/ws?lang=en&lang=en", "/ws?lang=&lang=en", &long]
        {
            let opening = read(uri, &[("accept-language", "en")]).unwrap();
            assert_eq!((opening.fault, opening.language), (None, Language::English), "{uri}");
        }
    }

    #[test]
    fn rubbish_in_a_forwarded_line_hides_nobody() {
        let settings = settings(&["--gateway-trusted-proxies", "192.0.2.0/24"]);
        let line = http::HeaderValue::from_bytes(b"\xff\xfe, 203.0.113.9").unwrap();
        let request = Request::builder().header("x-forwarded-for", line).body(()).unwrap();
        let opening = Opening::read(&request, "192.0.2.1:9".parse().unwrap(), &settings).unwrap();
        assert_eq!(opening.context.ip, "203.0.113.9");
    }
}
