//! What a page says when it opens its WebSocket, checked before the upgrade (RFC 6455, section 4.2).

use std::net::{IpAddr, SocketAddr};

use http::header::{
    ACCEPT_LANGUAGE, CONNECTION, HOST, HeaderMap, HeaderName, ORIGIN, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use http::{Request, StatusCode, Version};
use protocol::message::Context;

use crate::browsers::address;
use crate::browsers::language::Language;
use crate::browsers::origin;
use crate::config::Config;
use crate::logins::ResumeKey;

/// The subprotocol of pages that know heartbeats and resume.
pub(crate) const SUBPROTOCOL: &str = "saoma.v1";

/// Characters of each thing that a page may name; a nonce and a challenge of the usual makers have 43.
const MAX_FIELD: usize = 256;

/// Characters of User-Agent that are kept: enough to tell browser and system.
const MAX_USER_AGENT: usize = 256;

/// What a page said.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    /// Who asks for a login.
    pub context: Context,
    /// Where it comes from, as `context` says it in words.
    pub address: IpAddr,
    /// What the page comes back with. `Some(None)` is a key of no proper form, which opens nothing.
    pub resume: Option<Option<ResumeKey>>,
    /// The page speaks [`SUBPROTOCOL`].
    pub is_ours: bool,
    /// The language of its words.
    pub language: Language,
    /// What is wrong with its query. The page is told after the upgrade, because scripts cannot read the
    /// answer to a handshake.
    pub fault: Option<&'static str>,
}

/// Why the handshake is refused, as an HTTP status and words for the developer of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// 400, 403 or 426.
    pub status: StatusCode,
    /// What to do about it.
    pub message: &'static str,
}

fn refuse<T>(status: StatusCode, message: &'static str) -> Result<T, Refusal> {
    Err(Refusal { status, message })
}

/// Whether a request asks for a WebSocket at all.
#[must_use]
pub(crate) fn wants_websocket(headers: &HeaderMap) -> bool {
    tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
}

/// Checks the handshake and gives the key that the answer's Sec-WebSocket-Accept is derived from.
///
/// # Errors
/// 426 for another version of the protocol, 400 for anything else that is wrong.
pub(crate) fn handshake_key<B>(request: &Request<B>) -> Result<&[u8], Refusal> {
    let headers = request.headers();
    if request.version() != Version::HTTP_11 {
        return refuse(StatusCode::BAD_REQUEST, "a WebSocket needs HTTP/1.1");
    }
    if !tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
        return refuse(StatusCode::BAD_REQUEST, "Connection: Upgrade is missing; does a proxy drop it?");
    }
    if headers.get(SEC_WEBSOCKET_VERSION).map(|version| version.as_bytes()) != Some(b"13") {
        return refuse(
            StatusCode::UPGRADE_REQUIRED,
            "this server speaks version 13 of the WebSocket protocol",
        );
    }
    match headers.get(SEC_WEBSOCKET_KEY).map(|key| key.as_bytes()) {
        // Base64 of 16 bytes; the RFC asks for no more than that.
        Some(key) if key.len() == 24 && key.ends_with(b"==") => Ok(key),
        _ => refuse(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing or wrong"),
    }
}

impl Opening {
    /// Reads what the page says, and checks that it may connect.
    ///
    /// # Errors
    /// 403 for a foreign Origin, 400 for two of them.
    pub(crate) fn read<B>(request: &Request<B>, peer: SocketAddr, config: &Config) -> Result<Self, Refusal> {
        let headers = request.headers();
        let text =
            |name: HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        if headers.get_all(ORIGIN).iter().count() > 1 {
            return refuse(StatusCode::BAD_REQUEST, "more than one Origin");
        }
        let origin = text(ORIGIN);
        if !origin::may_connect(
            config.gateway_allowed_origins.as_ref(),
            origin.as_deref(),
            text(HOST).as_deref(),
        ) {
            let message = "this page's Origin may not connect; see GATEWAY_ALLOWED_ORIGINS";
            return refuse(StatusCode::FORBIDDEN, message);
        }

        let address = forwarded_address(headers, peer, config);
        let mut context = Context {
            origin: origin.map(|origin| cut(&origin, MAX_FIELD)),
            ip: address.to_string(),
            user_agent: text(USER_AGENT).map(|agent| cut(&agent, MAX_USER_AGENT)),
            ..Context::default()
        };
        let (mut lang, mut fault) = (None, None);
        for (name, value) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            let field = match name.as_ref() {
                "site" => &mut context.site,
                "nonce" => &mut context.nonce,
                "code_challenge" => &mut context.code_challenge,
                "request" => &mut context.request,
                "lang" => &mut lang,
                _ => continue,
            };
            if value.is_empty() || value.chars().count() > MAX_FIELD {
                fault = Some("a query parameter is empty or too long");
            } else if field.replace(value.into_owned()).is_some() {
                fault = Some("a query parameter is given twice");
            }
        }
        if context.site.is_some() && context.request.is_some() {
            fault = Some("site and request exclude each other");
        }

        let mut is_ours = false;
        let mut resume = None;
        for token in tokens(headers, &SEC_WEBSOCKET_PROTOCOL) {
            match token.strip_prefix("resume.") {
                Some(key) => resume = Some(ResumeKey::parse(key)),
                None => is_ours |= token == SUBPROTOCOL,
            }
        }
        let language = Language::choose(lang.as_deref(), text(ACCEPT_LANGUAGE).as_deref());
        Ok(Self { context, address, resume, is_ours, language, fault })
    }
}

fn forwarded_address(headers: &HeaderMap, peer: SocketAddr, config: &Config) -> IpAddr {
    // Proxies append to whatever line the browser sent, so rubbish at its start must not hide the rest.
    let forwarded: Vec<_> = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    let lines = forwarded.iter().map(|line| line.as_ref());
    address::client_address(peer, lines, &config.gateway_trusted_proxies)
}

/// The comma-separated tokens of a header, over all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
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
    use crate::config::Secrets;

    fn config() -> Config {
        let secrets = Secrets {
            notify_key: Some("k".repeat(32).into()),
            wechat_app_secret: Some("secret".into()),
            ..Secrets::default()
        };
        Config::of(&["--wechat-app-id", "wx0123456789abcdef"], secrets).unwrap()
    }

    fn read(uri: &str, headers: &[(&str, &str)]) -> Result<Opening, Refusal> {
        let mut request = Request::builder().uri(uri).header("host", "login.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Opening::read(&request.body(()).unwrap(), "192.0.2.1:9".parse().unwrap(), &config())
    }

    #[test]
    fn what_the_page_says_is_kept() {
        let uri = "/ws?site=shop&nonce=n%20n&code_challenge=c&lang=en&unknown=1";
        let opening = read(uri, &[("origin", "https://login.example"), ("user-agent", "Firefox")]).unwrap();
        let context = &opening.context;
        assert_eq!((context.site.as_deref(), context.nonce.as_deref()), (Some("shop"), Some("n n")));
        assert_eq!((context.ip.as_str(), context.user_agent.as_deref()), ("192.0.2.1", Some("Firefox")));
        assert_eq!(
            (opening.language, opening.is_ours, opening.resume.is_some()),
            (Language::English, false, false)
        );
    }

    #[test]
    fn the_resume_key_comes_as_a_subprotocol() {
        let key = ResumeKey::new(Scene::random());
        let offered = format!("saoma.v1, resume.{}", key.reveal());
        let opening = read("/ws", &[("sec-websocket-protocol", &offered)]).unwrap();
        assert!(opening.is_ours);
        assert_eq!(opening.resume, Some(Some(key)));
        let opening = read("/ws", &[("sec-websocket-protocol", "resume.rubbish")]).unwrap();
        assert_eq!(opening.resume, Some(None), "which opens nothing, not even a new login");
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let long = format!("/ws?nonce={}", "x".repeat(MAX_FIELD + 1));
        for uri in ["/ws?site=", "/ws?site=a&site=b", "/ws?site=a&request=b", &long] {
            assert!(read(uri, &[]).unwrap().fault.is_some(), "{uri}");
        }
        let foreign = read("/ws", &[("origin", "https://evil.example")]).unwrap_err();
        assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    }

    #[test]
    fn rubbish_in_a_forwarded_line_hides_nobody() {
        let secrets = Secrets {
            notify_key: Some("k".repeat(32).into()),
            wechat_app_secret: Some("secret".into()),
            ..Secrets::default()
        };
        let flags = ["--wechat-app-id", "wx0123456789abcdef", "--gateway-trusted-proxies", "192.0.2.0/24"];
        let config = Config::of(&flags, secrets).unwrap();
        let line = http::HeaderValue::from_bytes(b"\xff\xfe, 203.0.113.9").unwrap();
        let request = Request::builder().header("x-forwarded-for", line).body(()).unwrap();
        let opening = Opening::read(&request, "192.0.2.1:9".parse().unwrap(), &config).unwrap();
        assert_eq!(opening.context.ip, "203.0.113.9");
    }

    #[test]
    fn the_handshake_is_checked() {
        let good = [
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let with = |left_out: &str, instead: Option<&str>| {
            let mut request = Request::builder();
            for (name, value) in good {
                match (name == left_out, instead) {
                    (false, _) => request = request.header(name, value),
                    (true, Some(other)) => request = request.header(name, other),
                    (true, None) => {}
                }
            }
            handshake_key(&request.body(()).unwrap())
                .map(<[u8]>::len)
                .map_err(|refusal| refusal.status.as_u16())
        };
        assert_eq!(with("", None), Ok(24));
        assert_eq!(with("connection", Some("close")), Err(400));
        assert_eq!(with("sec-websocket-version", Some("8")), Err(426));
        assert_eq!(with("sec-websocket-version", None), Err(426));
        assert_eq!(with("sec-websocket-key", None), Err(400));
        assert_eq!(with("sec-websocket-key", Some("short==")), Err(400));
    }
}
