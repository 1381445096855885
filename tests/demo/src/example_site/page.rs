//! What the example site shows: one page, in Chinese or English, without a script. And its entry, which shows the issuer
//! what the site is.

use askama::Template;
use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS};
use login_page::Language;
use serde_json::Value;
use server::http::{self as web, Response};

use super::openid::{Claims, Trouble};

/// The claims that are shown first. The others are more for software.
const FIRST: [&str; 4] = ["sub", "name", "nickname", "preferred_username"];

/// What the page is about.
pub(super) enum Shown<'a> {
    /// Nobody is logged in.
    Nobody,
    /// Somebody is, with these claims.
    Person(&'a Claims),
    /// Somebody was.
    LoggedOut,
    /// A login came to nothing.
    Trouble(&'a Trouble),
}

#[derive(Template)]
#[template(path = "example_site.html")]
struct Page<'a> {
    language: Language,
    name: &'a str,
    /// What has happened, if anything has.
    said: &'static str,
    is_trouble: bool,
    /// Empty where nobody is logged in.
    claims: Vec<(&'a str, String)>,
}

impl Page<'_> {
    /// The words in the person's language.
    fn say<'b>(&self, zh: &'b str, en: &'b str) -> &'b str {
        words(self.language, zh, en)
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

/// The page. Its only form leads to the site itself, from there to the issuer, and back.
pub(super) fn answer(shown: &Shown<'_>, language: Language, issuer: &str) -> Response {
    let mut page = Page { language, name: "", said: "", is_trouble: false, claims: Vec::new() };
    let mut status = StatusCode::OK;
    match shown {
        Shown::Nobody => {}
        Shown::Person(claims) => {
            page.name = claims.get("name").and_then(Value::as_str).unwrap_or_default();
            page.claims = claims.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
            page.claims
                .sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
        }
        Shown::LoggedOut => page.said = page.say("你已退出登录。", "You are logged out."),
        Shown::Trouble(trouble) => {
            let (answered, zh, en) = trouble.words();
            (status, page.said) = (answered, words(language, zh, en));
            page.is_trouble = !matches!(trouble, Trouble::WentBack);
        }
    }
    let html = page.render().expect("a text takes every other text");
    let mut answer = web::answer(status, "text/html; charset=utf-8", html);
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self' {issuer}; base-uri 'none'; \
         frame-ancestors 'none'"
    );
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

/// The page's style.
pub(super) fn style() -> Response {
    let style = include_str!("../../templates/example_site.css");
    web::answer(StatusCode::OK, "text/css; charset=utf-8", style)
}

/// The site's entry in the issuer's file of sites. With `id_token_claims` the ID token has the name in it, and the site
/// need not ask for it at `/userinfo`.
pub(super) fn entry(origin: &str, id: &str, secret: &str) -> String {
    let hash = HEXLOWER.encode(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    format!(
        "[[site]]\n\
         id = \"{id}\"\n\
         name = \"示例网站 Example site\"\n\
         secret_sha256 = \"{hash}\"\n\
         redirect_uris = [\"{origin}/callback\"]\n\
         post_logout_redirect_uris = [\"{origin}/logged-out\"]\n\
         backchannel_logout_uri = \"{origin}/backchannel\"\n\
         id_token_claims = true\n\
         confirm = false\n"
    )
}
