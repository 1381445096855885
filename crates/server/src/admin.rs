//! The operator's port: `/livez`, `/readyz` and `/metrics`, apart from public traffic, and what a service has beside them.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::{self as web, Response};
use crate::listen;
use crate::metrics::Exposition;
use crate::streamed::Streamed;

/// Connections at once. Scrapers, load balancers, a person with curl and a few viewers need less.
pub const MAX_CONNECTIONS: usize = 32;

/// The media type of OpenMetrics text 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Says whether the process can do its work now. `Err` says why not; `Ok(Some(_))` says what an operator should mend
/// all the same.
pub type Readiness = Arc<dyn Fn() -> Result<Option<String>, String> + Send + Sync>;

/// Answers a request at every path but those three.
pub type Pages =
    Arc<dyn Fn(Request<Incoming>, Asked) -> BoxFuture<'static, http::Response<Streamed>> + Send + Sync>;

/// Who asks for one of the [`Pages`], and until when an answer may go on.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The other end, as the kernel sees it.
    pub peer: SocketAddr,
    /// Cancelled when the port closes.
    pub stop: CancellationToken,
}

/// What the operator's port answers from.
#[derive(Clone)]
pub(crate) struct Answers {
    pub(crate) registry: Arc<Exposition>,
    pub(crate) ready: Readiness,
    pub(crate) pages: Option<Pages>,
}

/// Serves the operator's port until `stop`.
///
/// # Errors
/// When the listening socket itself fails.
pub(crate) async fn serve(
    listener: TcpListener,
    answers: Answers,
    stop: CancellationToken,
    tasks: TaskTracker,
) -> anyhow::Result<()> {
    listen::accept(listener, MAX_CONNECTIONS, stop.clone(), tasks, move |accepted| {
        let (answers, stop) = (answers.clone(), stop.clone());
        async move {
            let listen::Accepted { stream, peer, permit: Some(place) } = accepted else {
                return;
            };
            web::serve(stream, &stop, web::HEAD_WITHIN, Some(&place), |request| {
                answers.answer(request, Asked { peer, stop: stop.clone() })
            })
            .await;
        }
    })
    .await
}

impl Answers {
    fn answer(
        &self,
        request: Request<Incoming>,
        asked: Asked,
    ) -> impl Future<Output = http::Response<Streamed>> + use<> {
        let own = self.own(request.method(), request.uri().path());
        let page = self.pages.as_ref().filter(|_| own.is_none()).map(|pages| pages(request, asked));
        async {
            match (own, page) {
                (Some(own), _) => own.map(Streamed::from),
                (None, Some(page)) => page.await,
                (None, None) => not_found().map(Streamed::from),
            }
        }
    }

    /// The answer at one of the three paths.
    fn own(&self, method: &Method, path: &str) -> Option<Response> {
        if !["/livez", "/readyz", "/metrics"].contains(&path) {
            return None;
        }
        if method != Method::GET && method != Method::HEAD {
            return Some(web::method_not_allowed("GET, HEAD"));
        }
        Some(match path {
            "/livez" => web::text(StatusCode::OK, "alive\n"),
            "/readyz" => match (self.ready)() {
                Ok(None) => web::text(StatusCode::OK, "ready\n"),
                Ok(Some(but)) => web::text(StatusCode::OK, format!("ready, but {but}\n")),
                Err(why) => web::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
            },
            _ => match self.registry.text() {
                Ok(text) => web::answer(StatusCode::OK, OPEN_METRICS, text),
                Err(error) => web::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
        })
    }
}

/// Says what there is.
#[must_use]
pub fn not_found() -> Response {
    web::text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn readiness_is_told_by_status() {
        let of = |ready: Result<Option<String>, String>| {
            let ready: Readiness = Arc::new(move || ready.clone());
            let registry = Arc::new(Exposition::of(Registry::default()));
            let answers = Answers { registry, ready, pages: None };
            answers.own(&Method::GET, "/readyz").unwrap().status()
        };
        assert_eq!(of(Ok(None)), StatusCode::OK);
        assert_eq!(of(Ok(Some("alone".to_owned()))), StatusCode::OK);
        assert_eq!(of(Err("draining".to_owned())), StatusCode::SERVICE_UNAVAILABLE);
    }
}
