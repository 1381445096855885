//! What browsers ask of the public port: the login page and its parts, or a WebSocket.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{
    CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderValue, REFERRER_POLICY, SEC_WEBSOCKET_KEY,
};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use server::address;
use server::http::{self as web, Answer};
use server::listen::Accepted;
use server::places::Place;
use server::tell;

use crate::Gateway;
use crate::browsers::assets;
use crate::browsers::handshake::{self, Handshake, Refusal};
use crate::browsers::opening::Opening;
use crate::browsers::page;
use crate::browsers::socket::Limits;

/// Serves one accepted connection of the public port.
pub(crate) async fn serve(gateway: Arc<Gateway>, accepted: Accepted) {
    let (Accepted { stream, peer, permit }, stop) = (accepted, gateway.drain.closed());
    let Some(permit) = permit else {
        return web::refuse(stream, stop).await;
    };
    web::serve(stream, stop, gateway.config.gateway_keep_alive, Some(&permit), |request| {
        let answer = route(&gateway, request, peer, &permit);
        async { answer }
    })
    .await;
}

fn route(gateway: &Arc<Gateway>, request: Request<Incoming>, peer: SocketAddr, permit: &Place) -> Answer {
    let path = request.uri().path();
    let from = address::of_request(request.headers(), peer, &gateway.config.gateway_trusted_proxies);
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::POST if path == "/ws" => return handshake::refused(&why_not(gateway, &request, peer)),
        _ if path == "/ws" => return web::method_not_allowed("GET, HEAD, POST"),
        _ => return web::method_not_allowed("GET, HEAD"),
    }
    let may_upgrade = request.method() == Method::GET && matches!(path, "/" | "/ws");
    if may_upgrade && handshake::wants_websocket(request.headers()) {
        return open(gateway, request, peer, permit)
            .unwrap_or_else(|refusal| refuse(gateway, from, &refusal));
    }
    match path {
        "/" => page(gateway, request.headers()),
        // A proxy takes Upgrade and Connection away and leaves the rest of the handshake.
        "/ws" if request.headers().contains_key(SEC_WEBSOCKET_KEY) => refuse(gateway, from, &no_upgrade()),
        "/ws" => handshake::refused(&no_upgrade()),
        "/login.js" => web::answer(StatusCode::OK, "text/javascript; charset=utf-8", assets::SCRIPT),
        "/login.css" => web::answer(StatusCode::OK, "text/css; charset=utf-8", assets::STYLE),
        _ => web::text(StatusCode::NOT_FOUND, "the login page is at /\n"),
    }
}

/// Counts a page that is refused, and tells the operator.
fn refuse(gateway: &Gateway, from: IpAddr, refusal: &Refusal) -> Answer {
    gateway.metrics.pages_refused.get_or_create(&[("reason", refusal.reason)]).inc();
    let status = refusal.status.as_u16();
    tell!(warn, gateway.told, refusal.reason, [%from, status], "a page was refused: {}", refusal.message);
    handshake::refused(refusal)
}

fn no_upgrade() -> Refusal {
    let message = "this is no WebSocket handshake any more; behind a proxy, let it pass Upgrade and Connection on \
                   (in nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, proxy_set_header \
                   Connection \"upgrade\")";
    Refusal::of("upgrade", StatusCode::UPGRADE_REQUIRED, message)
}

/// What a page asks by POST after its WebSocket has failed, because scripts cannot read the answer to a
/// handshake. Browsers send the Origin with a POST too.
fn why_not(gateway: &Gateway, request: &Request<Incoming>, peer: SocketAddr) -> Refusal {
    Opening::read(request, peer, &gateway.config).err().unwrap_or_else(no_upgrade)
}

fn page(gateway: &Gateway, headers: &HeaderMap) -> Answer {
    let mut answer = web::answer(StatusCode::OK, "text/html; charset=utf-8", gateway.page.clone());
    let logo = gateway.config.gateway_logo.as_deref();
    let pictures = [gateway.config.qr_url(), logo.unwrap_or_default()];
    let policy = assets::policy(&pictures, headers.get(HOST).and_then(|host| host.to_str().ok()));
    let headers = answer.headers_mut();
    // It has nothing but what a header may have.
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// Answers the handshake and spawns the page's task, which keeps the connection's place.
fn open(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    peer: SocketAddr,
    permit: &Place,
) -> Result<Answer, Refusal> {
    let handshake = Handshake::check(&request)?;
    let opening = Opening::read(&request, peer, &gateway.config)?;

    let (permit, tasks) = (permit.clone(), gateway.drain.tasks());
    let (serving, selects_ours) = (Arc::clone(gateway), opening.selects_ours);
    Ok(handshake.answer(request, selects_ours, Limits::default(), tasks, |socket| async move {
        page::serve(&serving, socket, opening).await;
        drop(permit);
    }))
}
