//! What browsers ask of the public port: the login page and its parts, the widget, or a WebSocket.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HOST, HeaderValue, SEC_WEBSOCKET_KEY};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use server::address;
use server::http::{self as web, Response};
use server::listen::Accepted;
use server::places::Place;
use server::tell;

use crate::Gateway;
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
    web::serve(stream, stop, gateway.browsers.keep_alive, Some(&permit), |request| {
        let response = route(&gateway, request, peer, &permit);
        async { response }
    })
    .await;
}

fn route(gateway: &Arc<Gateway>, request: Request<Incoming>, peer: SocketAddr, permit: &Place) -> Response {
    let path = request.uri().path();
    let from = address::of_request(request.headers(), peer, &gateway.browsers.trusted_proxies);
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::POST if path == "/ws" => return why_not(gateway, &request, peer),
        _ if path == "/ws" => return web::method_not_allowed("GET, HEAD, POST"),
        _ => return web::method_not_allowed("GET, HEAD"),
    }
    let may_upgrade = request.method() == Method::GET && matches!(path, "/" | "/ws");
    if may_upgrade && handshake::wants_websocket(request.headers()) {
        return open(gateway, request, peer, permit)
            .unwrap_or_else(|refusal| refuse(gateway, from, &refusal));
    }
    match path {
        "/" => {
            let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
            gateway.login_page.response(host, request.uri().query().unwrap_or_default())
        }
        // A proxy has dropped Upgrade and Connection, and let the rest of the handshake pass.
        "/ws" if request.headers().contains_key(SEC_WEBSOCKET_KEY) => refuse(gateway, from, &no_upgrade()),
        "/ws" => handshake::refused(&no_upgrade()),
        "/login.js" => gateway.login_page.script(),
        "/login.css" => gateway.login_page.style(),
        "/widget.v1.js" => gateway.login_page.widget.response(request.uri().query(), request.headers()),
        "/ways.v1.js" => gateway.login_page.ways.response(request.uri().query(), request.headers()),
        "/widget.v1.d.ts" => {
            gateway.login_page.widget_types.response(request.uri().query(), request.headers())
        }
        _ => web::text(StatusCode::NOT_FOUND, "the login page is at /\n"),
    }
}

/// Counts a page that is refused, and tells the operator.
fn refuse(gateway: &Gateway, from: IpAddr, refusal: &Refusal) -> Response {
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

/// Why this page's WebSocket is refused. A page asks by POST, because scripts cannot read the answer to a
/// handshake; browsers send the Origin with a POST, too.
fn why_not(gateway: &Gateway, request: &Request<Incoming>, peer: SocketAddr) -> Response {
    let refusal = Opening::read(request, peer, &gateway.browsers).err().unwrap_or_else(no_upgrade);
    let mut response = handshake::refused(&refusal);
    // A page of another origin may read it, too: it holds no secret, and no cookie has to do with it.
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// Answers the handshake, and spawns the page's task, which keeps the connection's place.
fn open(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    peer: SocketAddr,
    permit: &Place,
) -> Result<Response, Refusal> {
    let handshake = Handshake::check(&request)?;
    let opening = Box::new(Opening::read(&request, peer, &gateway.browsers)?);

    let (permit, tasks) = (permit.clone(), gateway.drain.tasks());
    let (serving, selects_ours) = (Arc::clone(gateway), opening.selects_ours);
    Ok(handshake.answer(request, selects_ours, &Limits::OF_A_PAGE, tasks, |socket| {
        page::serve(serving, socket, opening, Some(permit))
    }))
}
