//! A web site of somebody else, with next to no style of its own: its page has the widget as HTML alone.

use std::net::SocketAddr;

use crate::own;

/// Serves the page until the test ends. The gateway is at `gateway`.
pub(crate) async fn start(gateway: SocketAddr, language: &str) -> String {
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
    // What docs/widget.md says, and no line for styles.
    let policy = format!(
        "default-src 'none'; script-src http://{gateway}; connect-src http://{gateway}; img-src data:"
    );
    let parts = [("/".to_owned(), ("text/html; charset=utf-8", page))];
    format!("http://{}/", own::serve(policy, parts.into()).await)
}
