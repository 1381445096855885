//! What the example site shows, in Chinese or English: the start page, which is also the page of who is logged in,
//! and the pages with the widget. Each may load only what its policy names.

use askama::Template;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS};
use login_page::Language;
use serde_json::Value;
use server::http::{self as web, Response};

use super::entries::Entry;
use super::openid::Trouble;
use super::widget::Form;
use super::{Places, Session, Way};

/// The claims that are shown first. The others are more for software.
const FIRST: [&str; 4] = ["sub", "name", "nickname", "preferred_username"];

/// What the start page is about.
pub(super) enum Shown<'a> {
    /// Nobody is logged in.
    Nobody,
    /// Somebody is.
    Person(&'a Session),
    /// Somebody was.
    LoggedOut,
    /// A login came to nothing.
    Trouble(&'a Trouble),
}

/// What all pages have: the language, and links at the top.
pub(super) struct Frame<'a> {
    language: Language,
    places: &'a Places,
    /// The same page in the other language.
    elsewise: String,
}

impl<'a> Frame<'a> {
    /// The frame of the page at `here`, a path, with what `entry` adds to it.
    pub(super) fn new(language: Language, places: &'a Places, here: &str, entry: Entry) -> Self {
        let query = entry.query();
        let sign = if query.is_empty() { "?" } else { "&" };
        let elsewise = format!("{here}{query}{sign}lang={}", other(language).tag());
        Self { language, places, elsewise }
    }

    /// The words in the person's language.
    fn say<'b>(&self, zh: &'b str, en: &'b str) -> &'b str {
        words(self.language, zh, en)
    }
}

#[derive(Template)]
#[template(path = "example_site/start.html")]
struct StartPage<'a> {
    frame: Frame<'a>,
    name: &'a str,
    /// What has happened, if anything has.
    said: &'static str,
    is_trouble: bool,
    way: Option<Way>,
    /// Empty where nobody is logged in.
    claims: Vec<(&'a str, String)>,
}

/// A page with the widget.
#[derive(Template)]
#[template(path = "example_site/widget.html")]
pub(super) struct WidgetPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) form: Form,
    pub(super) entry: Entry,
    pub(super) nonce: &'a str,
    pub(super) gateway: &'a str,
    /// What proves that the form is this page's, where the page has one of its own.
    pub(super) token: &'a str,
}

fn other(language: Language) -> Language {
    match language {
        Language::Chinese => Language::English,
        Language::English => Language::Chinese,
    }
}

fn words<'a>(language: Language, zh: &'a str, en: &'a str) -> &'a str {
    match language {
        Language::Chinese => zh,
        Language::English => en,
    }
}

impl Trouble {
    /// What happened and what to do, and the status that says so to programs.
    fn words(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotBegunHere => (
                StatusCode::BAD_REQUEST,
                "这次登录不是在这个浏览器里开始的，或者已经完成。请重新登录。",
                "This login was not begun in this browser, or is over already. Please log in again.",
            ),
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "这次登录不是从本站的页面提交的，所以没有登录。请重新登录。",
                "This login was not sent by a page of this site, so nobody was logged in. Please log in again.",
            ),
            Self::WentBack => (StatusCode::OK, "你没有登录就返回了。", "You came back without logging in."),
            Self::Refused(_) => (
                StatusCode::BAD_REQUEST,
                "登录服务没有完成这次登录。请重新登录。",
                "The login service did not complete this login. Please log in again.",
            ),
            Self::Unreadable(..) => (
                StatusCode::BAD_GATEWAY,
                "登录服务没有正常应答。请稍后重新登录。",
                "The login service does not answer as it should. Please log in again later.",
            ),
            Self::BadToken(_) | Self::NotBelieved(_) => (
                StatusCode::BAD_REQUEST,
                "收到的登录结果未能通过验证，所以没有登录。请重新登录。",
                "What came back could not be verified, so nobody was logged in. Please log in again.",
            ),
        }
    }
}

/// The start page. Its only form leads to the site itself, from there to the issuer, and back.
pub(super) fn start(shown: &Shown<'_>, frame: Frame<'_>, issuer: &str) -> Response {
    let language = frame.language;
    let mut page = StartPage { frame, name: "", said: "", is_trouble: false, way: None, claims: Vec::new() };
    let mut status = StatusCode::OK;
    match shown {
        Shown::Nobody => {}
        Shown::Person(Session { way, claims, .. }) => {
            page.way = Some(*way);
            page.name = claims.get("name").and_then(Value::as_str).unwrap_or_default();
            page.claims = claims.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
            page.claims
                .sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
        }
        Shown::LoggedOut => page.said = words(language, "你已退出登录。", "You are logged out."),
        Shown::Trouble(trouble) => {
            let (answered, zh, en) = trouble.words();
            (status, page.said) = (answered, words(language, zh, en));
            page.is_trouble = !matches!(trouble, Trouble::WentBack);
        }
    }
    let html = page.render().expect("a text takes every other text");
    answer(status, html, &format!("form-action 'self' {issuer}; img-src data:"))
}

/// A page with the widget, under a policy as strict as any: the widget is one script of the gateway, which connects
/// to the gateway and shows pictures that it was sent. Nothing is inline.
pub(super) fn widget(page: &WidgetPage<'_>) -> Response {
    let (gateway, own) = (page.gateway, if page.form == Form::Mounted { "'self' " } else { "" });
    let socket = gateway.replacen("http", "ws", 1);
    let html = page.render().expect("a text takes every other text");
    let policy = format!(
        "script-src {own}{gateway}; connect-src {gateway} {socket}; img-src data: {}; form-action 'self'",
        page.frame.places.phone
    );
    answer(StatusCode::OK, html, &policy)
}

fn answer(status: StatusCode, html: String, more: &str) -> Response {
    let mut answer = web::answer(status, "text/html; charset=utf-8", html);
    let policy =
        format!("default-src 'none'; style-src 'self'; {more}; base-uri 'none'; frame-ancestors 'none'");
    let headers = answer.headers_mut();
    let policy = HeaderValue::from_str(&policy);
    headers.insert(CONTENT_SECURITY_POLICY, policy.unwrap_or(HeaderValue::from_static("default-src 'none'")));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// A claim's value as people read it.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The pages' style.
pub(super) fn style() -> Response {
    let style = include_str!("../../templates/example_site/site.css");
    web::answer(StatusCode::OK, "text/css; charset=utf-8", style)
}

/// The script of the page that mounts the widget itself.
pub(super) fn script() -> Response {
    let script = include_str!("../../templates/example_site/mount.js");
    web::answer(StatusCode::OK, "text/javascript; charset=utf-8", script)
}
