//! What browsers ask of the public port: the login page and its parts, or a WebSocket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    CONNECTION, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use service::http::{self as web, Answer};
use service::listen::Accepted;
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::Gateway;
use crate::browser::{self, Throttled};
use crate::opening::{self, Opening, Refusal, SUBPROTOCOL};
use crate::page;

/// Bytes of one message from a page; pages say almost nothing.
const MAX_MESSAGE: usize = 4 * 1024;

/// Bytes read at once. tungstenite's own default of 128 KiB is allocated for every connection.
const READ_BUFFER: usize = 1024;

/// Bytes that may wait for a page that does not read; one QR code is about 2 KiB.
const MAX_UNSENT: usize = 32 * 1024;

/// hyper hands the connection over once the answer is written; a peer that does not read may hold that up.
const UPGRADE_WITHIN: Duration = Duration::from_secs(5);

/// Serves one accepted connection of the public port.
pub(crate) async fn serve(gateway: Arc<Gateway>, accepted: Accepted) {
    let (Accepted { stream, peer, permit }, stop) = (accepted, gateway.drain.closed());
    let Some(permit) = permit.map(Arc::new) else {
        gateway.metrics.refused.inc();
        return web::refuse(stream, stop).await;
    };
    web::serve(stream, stop, |request| {
        let answer = route(&gateway, request, peer, &permit);
        async { answer }
    })
    .await;
}

fn route(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    peer: SocketAddr,
    permit: &Arc<OwnedSemaphorePermit>,
) -> Answer {
    let path = request.uri().path();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return web::method_not_allowed("GET, HEAD");
    }
    let may_upgrade = request.method() == Method::GET && matches!(path, "/" | "/ws");
    if may_upgrade && opening::wants_websocket(request.headers()) {
        return upgrade(gateway, request, peer, permit).unwrap_or_else(|refusal| {
            tracing::info!(%peer, status = refusal.status.as_u16(), "a page was refused: {}", refusal.message);
            refused(&refusal)
        });
    }
    match path {
        "/" => page(gateway),
        "/ws" => refused(&Refusal {
            status: StatusCode::UPGRADE_REQUIRED,
            message: "connect with a WebSocket; behind a proxy, let it pass Upgrade and Connection on",
        }),
        "/login.js" => web::answer(StatusCode::OK, "text/javascript; charset=utf-8", page::SCRIPT),
        "/login.css" => web::answer(StatusCode::OK, "text/css; charset=utf-8", page::STYLE),
        _ => web::text(StatusCode::NOT_FOUND, "the login page is at /\n"),
    }
}

fn page(gateway: &Gateway) -> Answer {
    let mut answer = web::answer(StatusCode::OK, "text/html; charset=utf-8", gateway.page.clone());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::CONTENT_SECURITY_POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

fn refused(refusal: &Refusal) -> Answer {
    let mut answer = web::text(refusal.status, format!("{}\n", refusal.message));
    if refusal.status == StatusCode::UPGRADE_REQUIRED {
        answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    answer
}

/// Answers the handshake and spawns the page's task, which keeps the connection's place.
fn upgrade(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    peer: SocketAddr,
    permit: &Arc<OwnedSemaphorePermit>,
) -> Result<Answer, Refusal> {
    let accept = derive_accept_key(opening::handshake_key(&request)?);
    let opening = Opening::read(&request, peer, &gateway.config)?;
    let is_ours = opening.is_ours;

    let (gateway, permit) = (Arc::clone(gateway), Arc::clone(permit));
    gateway.drain.tasks().clone().spawn(async move {
        let upgraded = match tokio::time::timeout(UPGRADE_WITHIN, hyper::upgrade::on(request)).await {
            Ok(Ok(upgraded)) => TokioIo::new(upgraded),
            _ => return,
        };
        let socket =
            WebSocketStream::from_raw_socket(Throttled::new(upgraded), Role::Server, Some(limits())).await;
        browser::serve(&gateway, socket, opening).await;
        drop(permit);
    });

    let mut answer = Response::new(http_body_util::Full::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    // Base64 is a header's value in any case.
    headers
        .insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).unwrap_or(HeaderValue::from_static("")));
    if is_ours {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok(answer)
}

/// The limits of one WebSocket.
pub(crate) fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_UNSENT)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}
