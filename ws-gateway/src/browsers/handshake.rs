//! From an HTTP request to a page's socket: the handshake is checked and answered, and a task of its own serves
//! the connection within its limits once hyper hands it over.

use std::time::Duration;

use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use server::http::{self as web, Answer};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::task::TaskTracker;

use crate::browsers::opening::{self, Refusal, SUBPROTOCOL};
use crate::browsers::socket::{Limits, PageSocket};

/// hyper hands the connection over once the answer is written; a peer that does not read may hold that up.
const UPGRADE_WITHIN: Duration = Duration::from_secs(5);

/// A WebSocket handshake that is as it should be.
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: String,
}

impl Handshake {
    /// Checks the request's handshake.
    ///
    /// # Errors
    /// As [`opening::handshake_key`].
    pub(crate) fn check<B>(request: &Request<B>) -> Result<Self, Refusal> {
        Ok(Self { accept: derive_accept_key(opening::handshake_key(request)?) })
    }

    /// Answers the handshake, selecting [`SUBPROTOCOL`] or none, and has one of `tasks` serve the socket.
    pub(crate) fn answer<F, S>(
        self,
        request: Request<Incoming>,
        is_ours: bool,
        limits: Limits,
        tasks: &TaskTracker,
        serve: F,
    ) -> Answer
    where
        F: FnOnce(PageSocket<TokioIo<Upgraded>>) -> S + Send + 'static,
        S: Future<Output = ()> + Send,
    {
        tasks.spawn(async move {
            if let Ok(Ok(upgraded)) = tokio::time::timeout(UPGRADE_WITHIN, hyper::upgrade::on(request)).await
            {
                serve(PageSocket::over(TokioIo::new(upgraded), limits).await).await;
            }
        });

        let mut answer = Response::new(http_body_util::Full::default());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        // Base64 is a header's value in any case.
        let accept = HeaderValue::from_str(&self.accept).unwrap_or(HeaderValue::from_static(""));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        if is_ours {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        answer
    }
}

/// The answer to a handshake that is refused.
pub(crate) fn refused(refusal: &Refusal) -> Answer {
    let mut answer = web::text(refusal.status, format!("{}\n", refusal.message));
    if refusal.status == StatusCode::UPGRADE_REQUIRED {
        answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    answer
}
