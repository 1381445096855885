//! The operator's port: `/livez`, `/readyz` and `/metrics`, apart from public traffic.

use std::sync::Arc;

use http::{Method, StatusCode};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::{self as web, Response};
use crate::listen;
use crate::metrics::Exposition;

/// Connections at once. Scrapers, load balancers and a person with curl need a few.
const MAX_CONNECTIONS: usize = 32;

/// The media type of OpenMetrics text 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Says whether the process can do its work now. `Err` says why not; `Ok(Some(_))` says what an operator should mend
/// all the same.
pub type Readiness = Arc<dyn Fn() -> Result<Option<String>, String> + Send + Sync>;

/// Serves the operator's port until `stop`.
///
/// # Errors
/// When the listening socket itself fails.
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    ready: Readiness,
    stop: CancellationToken,
    tasks: TaskTracker,
) -> anyhow::Result<()> {
    let registry = Arc::new(Exposition::of(registry));
    listen::accept(listener, MAX_CONNECTIONS, stop.clone(), tasks, move |accepted| {
        let (registry, ready, stop) = (Arc::clone(&registry), Arc::clone(&ready), stop.clone());
        async move {
            let listen::Accepted { stream, permit: Some(place), .. } = accepted else {
                return;
            };
            web::serve(stream, &stop, web::HEAD_WITHIN, Some(&place), |request| {
                let found = route(request.method(), request.uri().path(), &registry, &ready);
                async { found }
            })
            .await;
        }
    })
    .await
}

fn route(method: &Method, path: &str, registry: &Exposition, ready: &Readiness) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return web::method_not_allowed("GET, HEAD");
    }
    match path {
        "/livez" => web::text(StatusCode::OK, "alive\n"),
        "/readyz" => match ready() {
            Ok(None) => web::text(StatusCode::OK, "ready\n"),
            Ok(Some(but)) => web::text(StatusCode::OK, format!("ready, but {but}\n")),
            Err(why) => web::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        },
        "/metrics" => match registry.text() {
            Ok(text) => web::answer(StatusCode::OK, OPEN_METRICS, text),
            Err(error) => web::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        _ => web::text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_told_by_status() {
        let registry = Exposition::of(Registry::default());
        let of = |ready: Result<Option<String>, String>| {
            let ready: Readiness = Arc::new(move || ready.clone());
            route(&Method::GET, "/readyz", &registry, &ready).status()
        };
        assert_eq!(of(Ok(None)), StatusCode::OK);
        assert_eq!(of(Ok(Some("alone".to_owned()))), StatusCode::OK);
        assert_eq!(of(Err("draining".to_owned())), StatusCode::SERVICE_UNAVAILABLE);
    }
}
