//! The [login page](login_page) and its parts, as this gateway serves them.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use login_page::{Brand, ForGateway};
use server::http::{self as web, Response};

use super::widget::{self, OpenFile};

/// The login page with what the operator chose.
#[derive(Debug)]
pub(crate) struct LoginPage {
    html: Bytes,
    script: Bytes,
    style: Bytes,
    /// For pages of sites as well.
    pub widget: OpenFile,
    pub ways: OpenFile,
    pub widget_types: OpenFile,
    /// Where its pictures are: WeChat's, and the operator's logo.
    pictures: Vec<String>,
}

impl LoginPage {
    /// The page with the operator's title and brand. `qr_url` is where browsers fetch WeChat's pictures.
    #[must_use]
    pub(crate) fn new(title: &str, brand: &Brand, qr_url: String) -> Self {
        Self {
            html: Bytes::from(ForGateway { title, brand }.html()),
            script: widget::page_script(),
            style: Bytes::from(brand.style()),
            widget: OpenFile::widget(),
            ways: OpenFile::ways(),
            widget_types: OpenFile::types(),
            pictures: [qr_url].into_iter().chain(brand.logo.clone()).collect(),
        }
    }

    /// The page's script.
    pub(crate) fn script(&self) -> Response {
        web::answer(StatusCode::OK, "text/javascript; charset=utf-8", self.script.clone())
    }

    /// The page's style, in the operator's colour.
    pub(crate) fn style(&self) -> Response {
        web::answer(StatusCode::OK, "text/css; charset=utf-8", self.style.clone())
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
