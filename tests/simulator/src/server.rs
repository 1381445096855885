//! The one port for WeChat's API, the phone and the controls. The path decides which one answers.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, UNIX_EPOCH};

use http::header::DATE;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use server::http::{self as web, Response};
use server::listen;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::web::Webviews;
use crate::{Simulator, api, control, lock, page, phone_api, web as inside};

/// Connections at once. A load test with two hundred pages and their phones needs fewer.
const MAX_CONNECTIONS: usize = 2048;

/// Largest request body, in bytes. The longest real ones have a few hundred.
const MAX_BODY: usize = 64 * 1024;

/// Limit for receiving a body.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// A request, completely read.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    query: String,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Where the request came from.
    pub(crate) peer: IpAddr,
}

impl Asked {
    /// All query parameters, in their order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query.as_bytes())
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The query as it came.
    pub(crate) fn raw_query(&self) -> &str {
        &self.query
    }

    /// A query parameter, if it is there and not empty.
    pub(crate) fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        let (_, value) = pairs.find(|(key, value)| key == name && !value.is_empty())?;
        Some(value)
    }
}

/// Closes the connection of a request that is to have no answer.
#[derive(Clone, Default)]
pub(crate) struct Hangup(CancellationToken);

impl Hangup {
    /// Closes the connection. There is no answer to give back: the connection's task ends meanwhile.
    pub(crate) async fn hang_up(&self) -> Response {
        self.0.cancel();
        std::future::pending().await
    }
}

/// What an answer needs beside the simulator. A delivery goes on after the request that began it.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// The browsers of the people who opened something.
    pub(crate) webviews: Webviews,
}

impl Simulator {
    /// Serves the API, the phone page and the controls until `stop`. Connections and deliveries run on `tasks`.
    /// Without a public URL the listener's own address is used.
    ///
    /// # Errors
    /// When the listening socket itself fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> anyhow::Result<()> {
        self.default_public_url(listener.local_addr()?);
        let running = Running { stop: stop.clone(), tasks: tasks.clone(), webviews: Webviews::default() };
        listen::accept(listener, MAX_CONNECTIONS, stop, tasks, move |accepted| {
            let (simulator, running) = (self.clone(), running.clone());
            async move {
                let listen::Accepted { stream, permit: Some(place), peer, .. } = accepted else {
                    return;
                };
                let hangup = Hangup::default();
                let served = web::serve(stream, &running.stop, web::HEAD_WITHIN, Some(&place), |request| {
                    answer(simulator.clone(), running.clone(), request, peer.ip(), hangup.clone())
                });
                tokio::select! {
                    _ = served => {}
                    () = hangup.0.cancelled() => {}
                }
            }
        })
        .await
    }

    fn default_public_url(&self, mut bound: SocketAddr) {
        if bound.ip().is_unspecified() {
            // 0.0.0.0 cannot be opened as an address, so this machine's loopback is used.
            bound.set_ip(match bound {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        lock(&self.state.public_url).get_or_insert_with(|| format!("http://{bound}"));
    }
}

async fn answer(
    simulator: Simulator,
    running: Running,
    request: Request<Incoming>,
    peer: IpAddr,
    hangup: Hangup,
) -> Response {
    let (head, body) = request.into_parts();
    let body = match web::read_body(body, MAX_BODY, BODY_WITHIN).await {
        Ok(body) => body,
        Err(error) => return web::text(error.status(), format!("{error}\n")),
    };
    let asked = Asked {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        peer,
    };
    let simulator = simulator.meant(&asked);
    if asked.path.starts_with("/cgi-bin/") || asked.path.starts_with("/sns/") {
        let mut answer = api::answer(&simulator, &asked, &hangup).await;
        date(&simulator, &mut answer);
        return answer;
    }
    if let Some(action) = asked.path.strip_prefix("/phone/") {
        return phone_api::answer(simulator, running, &asked, action).await;
    }
    match (&asked.method, asked.path.as_str()) {
        (&Method::GET, path) if path.starts_with("/connect/") => inside::answer(&simulator, &asked),
        (_, "/control") => control::answer(&simulator, &asked),
        (&Method::GET | &Method::HEAD, path) => page::answer(path),
        _ => web::text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n"),
    }
}

/// Dates an answer by WeChat's clock. The connection writes this machine's where there is no date.
fn date(simulator: &Simulator, answer: &mut Response) {
    let now = UNIX_EPOCH + Duration::from_secs(simulator.now());
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now)) {
        answer.headers_mut().insert(DATE, date);
    }
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => web::answer(status, "application/json", body),
        Err(error) => web::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}
