//! The login page: a few files that are part of the program.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use server::http::{self as web, Response};

/// The page's script.
pub(crate) const SCRIPT: &str = include_str!("../../page/login.js");

/// The page's style.
pub(crate) const STYLE: &str = include_str!("../../page/login.css");

/// The longest origin that is named in a policy.
const MAX_ORIGIN: usize = 255;

/// What the page may run and load: our own two files, WeChat's pictures and the operator's logo, and a connection to
/// its own host. `host` is the request's Host header: old browsers (Safari before 15.4) do not accept `'self'` for a
/// WebSocket.
fn policy(pictures: &[impl AsRef<str>], host: Option<&str>) -> String {
    let pictures: Vec<String> = pictures.iter().filter_map(|url| origin(url.as_ref())).collect();
    let sockets = host.filter(|host| is_plain(host)).map(|host| format!(" ws://{host} wss://{host}"));
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: {}; connect-src 'self'{}; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        pictures.join(" "),
        sockets.unwrap_or_default(),
    )
}

/// The origin of a picture, as a policy names it, or only its scheme if the origin has other characters.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    Some(if is_plain(authority) { format!("{scheme}://{authority}") } else { format!("{scheme}:") })
}

/// Whether a host has no character that could end a directive of the policy, or begin another one.
fn is_plain(host: &str) -> bool {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || "-._:[]".contains(letter);
    (1..=MAX_ORIGIN).contains(&host.len()) && host.chars().all(is_good)
}

/// The login page as this gateway serves it.
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
        Self { html: Bytes::from(render(title, logo)), pictures }
    }

    /// The response to a request with the Host header `host`.
    pub(crate) fn response(&self, host: Option<&str>) -> Response {
        let mut response = web::answer(StatusCode::OK, "text/html; charset=utf-8", self.html.clone());
        // A policy has only characters that a header may have.
        let policy = HeaderValue::from_str(&policy(&self.pictures, host));
        let policy = policy.unwrap_or(HeaderValue::from_static("default-src 'none'"));
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

const TEMPLATE: &str = include_str!("../../page/login.html");

/// The page with the operator's title and logo in it.
fn render(title: &str, logo: Option<&str>) -> String {
    let logo =
        logo.map_or_else(String::new, |url| format!("<img class=\"logo\" src=\"{}\" alt=\"\">", escape(url)));
    TEMPLATE.replace("{{title}}", &escape(title)).replace("{{logo}}", &logo)
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_and_logo_are_text() {
        let page = render("<script>\"&'", Some("https://a/\"onerror=x"));
        assert!(page.contains("&lt;script&gt;&quot;&amp;&#39;"), "{page}");
        assert!(page.contains("src=\"https://a/&quot;onerror=x\""), "{page}");
        assert!(!page.contains("{{"), "{page}");
    }

    #[test]
    fn the_policy_names_hosts_and_lets_nobody_write_into_it() {
        let pictures =
            ["https://mp.weixin.qq.com/cgi-bin", "http://logo.example:8080", "data:image/png;base64,x"];
        let policy_of = |host| policy(&pictures, host);
        let named = policy_of(Some("login.example:8443"));
        let img = "img-src 'self' data: https://mp.weixin.qq.com http://logo.example:8080;";
        assert!(named.contains(img), "{named}");
        assert!(
            named.contains("connect-src 'self' ws://login.example:8443 wss://login.example:8443;"),
            "{named}"
        );
        for host in [None, Some(""), Some("x; script-src *"), Some("x y"), Some("x,y"), Some("*")] {
            assert!(policy_of(host).contains("connect-src 'self';"), "{host:?}");
        }
        let odd = policy(&["https://user@odd.example/", "http://a b;c/"], None);
        assert!(odd.contains("img-src 'self' data: https: http:;"), "{odd}");
    }

    #[test]
    fn nothing_in_the_page_needs_more_than_the_policy_allows() {
        assert!(
            !TEMPLATE.contains("<style") && !TEMPLATE.contains(" style=") && !TEMPLATE.contains(" onclick")
        );
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval("));
    }
}
