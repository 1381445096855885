//! A web server of the test's own, for pages that are not served by the stack.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::StatusCode;
use server::http as web;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What there is at a path: its media type, and the text.
pub(crate) type Part = (&'static str, String);

/// Serves these parts under this policy until the test ends.
pub(crate) async fn serve(policy: String, parts: HashMap<String, Part>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let parts = Arc::new(parts);
    tokio::spawn(async move {
        let never = CancellationToken::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (never, parts, policy) = (never.clone(), Arc::clone(&parts), policy.clone());
            tokio::spawn(async move {
                let answer = |request: http::Request<_>| {
                    let (media, text) = parts.get(request.uri().path()).cloned().unwrap_or_default();
                    let mut answer = web::answer(StatusCode::OK, media, text);
                    answer.headers_mut().insert("content-security-policy", policy.parse().unwrap());
                    async { answer }
                };
                web::serve(stream, &never, web::HEAD_WITHIN, None, answer).await;
            });
        }
    });
    address
}
