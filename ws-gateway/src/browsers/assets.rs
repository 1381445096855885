//! The [login page](login_page) and its parts, as this gateway serves them.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use login_page::{Brand, ForGateway};
use server::http::{self as web, Response};

use super::Settings;
use super::widget::{self, OpenFile};
use crate::account::official::Official;

/// The login page with what the operator chose.
#[derive(Debug)]
pub(crate) struct LoginPage {
    /// By official account, of which the first is that of pages that name none.
    html: Vec<(Option<String>, Bytes)>,
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
    /// The page of these accounts with the operator's brand, each with its title and its name for people. `qr_url` is where
    /// browsers fetch WeChat's pictures.
    #[must_use]
    pub(crate) fn new(officials: &[Official], settings: &Settings, qr_url: &str) -> Self {
        let brand = settings.brand();
        let html = |official: &Official| {
            let brand = &Brand { account: official.presented.name.clone(), ..brand.clone() };
            let title = official.title.as_deref().unwrap_or(&settings.title);
            (official.id.clone(), Bytes::from(ForGateway { title, brand }.html()))
        };
        Self {
            html: officials.iter().map(html).collect(),
            script: widget::page_script(),
            style: Bytes::from(brand.style()),
            widget: OpenFile::widget(),
            ways: OpenFile::ways(),
            widget_types: OpenFile::types(),
            pictures: [qr_url.to_owned()].into_iter().chain(brand.logo.clone()).collect(),
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

    /// The response to a request with the Host header `host` and this query, which may name an account. The page of one
    /// that is not there learns so on its WebSocket.
    pub(crate) fn response(&self, host: Option<&str>, query: &str) -> Response {
        let named = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "account");
        let is_named =
            |id: &Option<String>| id.as_deref() == named.as_ref().map(|(_, account)| account.as_ref());
        let html = self.html.iter().find(|(id, _)| is_named(id)).or(self.html.first());
        let html = html.map(|(_, html)| html.clone()).unwrap_or_default();
        let mut response = web::answer(StatusCode::OK, "text/html; charset=utf-8", html);
        // A policy has only characters that a header may have.
        let policy = HeaderValue::from_str(&ForGateway::policy(&self.pictures, host));
        let policy = policy.unwrap_or(HeaderValue::from_static("default-src 'none'"));
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}
