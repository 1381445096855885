//! From an HTTP request to a page's socket: the handshake is checked and answered, and a task of its own serves
//! the connection within its limits once hyper hands it over.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Request, StatusCode, Version};
use hyper::body::Incoming;
use server::http::{self as web, Response};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

use crate::browsers::opening::{self, SUBPROTOCOL};
use crate::browsers::socket::{Limits, PageSocket};

/// Limit for hyper to hand over the connection. It does so once the answer is written, which a peer that does
/// not read could delay for ever.
const UPGRADE_WITHIN: Duration = Duration::from_secs(5);

/// Why the handshake is refused, as an HTTP status and words for the developer of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The step that failed, as the metric's label.
    pub reason: &'static str,
    /// 400, 403 or 426.
    pub status: StatusCode,
    /// What to do about it.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal.
    #[must_use]
    pub(crate) fn of(
        reason: &'static str,
        status: StatusCode,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { reason, status, message: message.into() }
    }
}

fn refuse<T>(status: StatusCode, message: &'static str) -> Result<T, Refusal> {
    Err(Refusal::of("handshake", status, message))
}

/// Whether a request asks for a WebSocket at all.
#[must_use]
pub(crate) fn wants_websocket(headers: &HeaderMap) -> bool {
    opening::tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
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
    if !opening::tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
        return refuse(StatusCode::BAD_REQUEST, "Connection: Upgrade is missing; does a proxy drop it?");
    }
    if headers.get(SEC_WEBSOCKET_VERSION).map(|version| version.as_bytes()) != Some(b"13") {
        return refuse(
            StatusCode::UPGRADE_REQUIRED,
            "this server speaks version 13 of the WebSocket protocol",
        );
    }
    match headers.get(SEC_WEBSOCKET_KEY).map(|key| key.as_bytes()) {
        // This is the form of 16 bytes in base64, which is all that the RFC asks for.
        Some(key) if key.len() == 24 && key.ends_with(b"==") => Ok(key),
        _ => refuse(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing or wrong"),
    }
}

/// A WebSocket handshake that is as it should be.
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: String,
}

impl Handshake {
    /// Checks the request's handshake.
    ///
    /// # Errors
    /// As [`handshake_key`].
    pub(crate) fn check<B>(request: &Request<B>) -> Result<Self, Refusal> {
        Ok(Self { accept: derive_accept_key(handshake_key(request)?) })
    }

    /// Answers the handshake, selecting [`SUBPROTOCOL`] or none, and has one of `tasks` serve the socket.
    pub(crate) fn answer<F, S>(
        self,
        request: Request<Incoming>,
        selects_ours: bool,
        limits: &'static Limits,
        tasks: &TaskTracker,
        serve: F,
    ) -> Response
    where
        F: FnOnce(PageSocket<TcpStream>) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let (upgrade, pages) = (hyper::upgrade::on(request), tasks.clone());
        let serving = async move {
            let upgraded = tokio::time::timeout(UPGRADE_WITHIN, upgrade).await;
            // The connection is a stream of `web::serve`, so it can be had back as one.
            if let Ok(Ok(upgraded)) = upgraded
                && let Some((stream, read)) = web::taken_over(upgraded)
            {
                // In a task of its own, which has no room for what was before, nor for a span that is off.
                let page = serve(PageSocket::over(stream, &read, limits));
                let connection = Span::current();
                if connection.is_disabled() {
                    pages.spawn(page);
                } else {
                    pages.spawn(page.instrument(connection));
                }
            }
        };
        tasks.spawn(serving.in_current_span());

        let mut response = Response::new(http_body_util::Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        // Base64 has only characters that a header may have.
        let accept = HeaderValue::from_str(&self.accept).unwrap_or(HeaderValue::from_static(""));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        if selects_ours {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        response
    }
}

/// The answer to a handshake that is refused.
pub(crate) fn refused(refusal: &Refusal) -> Response {
    let mut response = web::text(refusal.status, format!("{}\n", refusal.message));
    if refusal.status == StatusCode::UPGRADE_REQUIRED {
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

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
