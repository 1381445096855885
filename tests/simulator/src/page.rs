//! The phone page: its files are part of the program.

use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use server::http::{self as web, Response};

/// Only the page's own files load. The pictures that a person chooses are read in memory.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Where the account's own code leads, which says nothing of a login.
pub(crate) const ACCOUNT: &str = "/r/";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Answers a path of the page. The text of every QR code (`/q/...`, and the account's own) leads to the page too.
pub(crate) fn answer(path: &str) -> Response {
    let (kind, file) = match path {
        "/page/phone.css" => (CSS, include_str!("../page/phone.css")),
        "/page/phone.js" => (SCRIPT, include_str!("../page/phone.js")),
        "/page/simulator.js" => (SCRIPT, include_str!("../page/simulator.js")),
        "/page/camera.js" => (SCRIPT, include_str!("../page/camera.js")),
        "/page/chat.js" => (SCRIPT, include_str!("../page/chat.js")),
        "/page/webview.js" => (SCRIPT, include_str!("../page/webview.js")),
        "/page/words.js" => (SCRIPT, include_str!("../page/words.js")),
        _ if path == "/" || path.starts_with("/q/") || path.starts_with(ACCOUNT) => {
            (HTML, include_str!("../page/index.html"))
        }
        _ => {
            return web::text(StatusCode::NOT_FOUND, "the phone is on /, the switches on /control\n");
        }
    };
    let mut answer = web::answer(StatusCode::OK, kind, file);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}
