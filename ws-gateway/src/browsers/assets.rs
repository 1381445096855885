//! The [login page](login_page) as this gateway serves it.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use login_page::ForGateway;
use server::http::{self as web, Response};

/// The login page with what the operator chose.
#[derive(Debug)]
pub(crate) struct LoginPage {
    html: Bytes,
    /// Where its pictures are: WeChat's, and the operator's logo.
    pictures: Vec<String>,
}

impl LoginPage {
    /// The page with the operator's title and logo. `qr_url` is where browsers fetch WeChat's pictures.
    #[must_use]
    pub(crate) fn new(title: &str, logo: Option<&str>, qr_url: String) -> Self {
        let pictures = [qr_url].into_iter().chain(logo.map(str::to_owned)).collect();
        Self { html: Bytes::from(ForGateway { title, logo }.html()), pictures }
    }

    /// The response to a request with the Host header `host`.
    pub(crate) fn response(&self, host: Option<&str>) -> Response {
        let mut response = web::answer(StatusCode::OK, "text/html; charset=utf-8", self.html.clone());
        // A policy has only characters that a header may have.
        let policy = HeaderValue::from_str(&ForGateway::policy(&self.pictures, host));
        let policy = policy.unwrap_or(HeaderValue::from_static("default-src 'none'"));
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}
