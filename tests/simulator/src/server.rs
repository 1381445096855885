//! The one port for WeChat's API, the phone and the controls. The path decides which one answers.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode};
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

    /// A query parameter, if it is there and not empty.
    pub(crate) fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        let (_, value) = pairs.find(|(key, value)| key == name && !value.is_empty())?;
        Some(value)
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
                let listen::Accepted { stream, permit: Some(place), .. } = accepted else {
                    return;
                };
                web::serve(stream, &running.stop, web::HEAD_WITHIN, Some(&place), |request| {
                    answer(simulator.clone(), running.clone(), request)
                })
                .await;
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

async fn answer(simulator: Simulator, running: Running, request: Request<Incoming>) -> Response {
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
    };
    let simulator = simulator.meant(&asked);
    if asked.path.starts_with("/cgi-bin/") || asked.path.starts_with("/sns/") {
        return api::answer(&simulator, &asked).await;
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

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => web::answer(status, "application/json", body),
        Err(error) => web::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}
