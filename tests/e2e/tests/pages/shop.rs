//! A web site of somebody else, with next to no style of its own: its page has the widget as HTML alone.

use std::net::{Ipv4Addr, SocketAddr};

use hyper::StatusCode;
use server::http as web;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves the page until the test ends. The gateway is at `gateway`.
pub(crate) async fn start(gateway: SocketAddr, language: &str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let page = format!(
        "<!doctype html>
        <html lang={language}>
        <meta charset=utf-8>
        <meta name=viewport content='width=device-width, initial-scale=1'>
        <meta name=color-scheme content='light dark'>
        <title>Shop</title>
        <link rel=icon href='data:,'>
        <script type=module src='http://{gateway}/widget.v1.js'></script>
        <main>
        <h1>Shop</h1>
        <div data-saoma-site=shop data-nonce=n data-login-uri=/login data-lang={language}></div>
        </main>"
    );
    // What docs/page.md says, without a line for styles.
    let policy = format!(
        "default-src 'none'; script-src http://{gateway}; connect-src http://{gateway}; img-src data:"
    );
    tokio::spawn(async move {
        let never = CancellationToken::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (never, page, policy) = (never.clone(), page.clone(), policy.clone());
            tokio::spawn(async move {
                let answer = |_| async {
                    let mut answer = web::answer(StatusCode::OK, "text/html; charset=utf-8", page.clone());
                    answer.headers_mut().insert("content-security-policy", policy.parse().unwrap());
                    answer
                };
                web::serve(stream, &never, web::HEAD_WITHIN, None, answer).await;
            });
        }
    });
    format!("http://{address}/")
}
