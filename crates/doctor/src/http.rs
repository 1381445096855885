//! Asks a URL as a stranger would: once, without following anybody elsewhere, and reading little.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

pub use reqwest::StatusCode as Status;
use reqwest::header::{CONTENT_TYPE, HeaderName, LOCATION, SERVER};
use reqwest::{Client, RequestBuilder, Response, Url, redirect};

/// WeChat itself waits so long for a connection, and so long for an answer.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(5);

/// A look with a few requests to a URL may take this long.
pub const WITHIN: Duration = Duration::from_secs(40);

/// How much of an answer's body is read. A sealed reply has a few KiB, a service's metrics some hundred.
const MAX_BODY: usize = 1024 * 1024;

/// Characters of a body that are shown.
const SHOWN: usize = 60;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where a redirect leads, as far as anybody may read it: without a user, and `?…` in place of what may be signed. Else
    /// empty.
    pub location: String,
    /// The kind of the body; empty where it is not said.
    pub kind: String,
    /// Who says that it answers, such as `nginx`; mostly empty.
    pub server: String,
    /// The beginning of the body.
    pub body: String,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// A service on this host. It may listen at an address that others reach, too, and no proxy knows the way to it.
    ThisHost,
    /// Whoever is there. A proxy of the environment is on the way, but not to loopback.
    Anybody,
}

/// Asks a URL: with `prepare` for what is sent beside the URL.
///
/// # Errors
/// Why there is no answer, without the URL, whose query may hold a signature.
pub async fn ask(
    whom: Whom,
    url: &Url,
    prepare: impl FnOnce(&Client, Url) -> RequestBuilder,
) -> Result<Answer, String> {
    read(send(whom, url, prepare).await?).await
}

/// As [`ask`], with an answer whose body is not yet read.
///
/// # Errors
/// As [`ask`].
pub async fn send(
    whom: Whom,
    url: &Url,
    prepare: impl FnOnce(&Client, Url) -> RequestBuilder,
) -> Result<Response, String> {
    let is_direct = whom == Whom::ThisHost || is_loopback(url);
    let builder = if is_direct { Client::builder().no_proxy() } else { Client::builder() };
    let client = builder
        .user_agent(concat!("saoma-doctor/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .timeout(ANSWER)
        .redirect(redirect::Policy::none())
        .build()
        .map_err(chain)?;
    prepare(&client, url.clone()).send().await.map_err(chain)
}

/// Reads an answer as far as [`ask`] does.
///
/// # Errors
/// Why the rest of it does not come.
pub async fn read(mut response: Response) -> Result<Answer, String> {
    let header = |name: HeaderName| {
        let value = response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        value.map(|value| shown(&value)).unwrap_or_default()
    };
    let (location, kind, server) = (without_secrets(&header(LOCATION)), header(CONTENT_TYPE), header(SERVER));
    let (status, mut body) = (response.status().as_u16(), Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(chain)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY {
            body.truncate(MAX_BODY);
            break;
        }
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer { status, location, kind, server, body })
}

/// Whether an address is this machine's own.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The whole chain of reasons: the first one alone ("error sending request") explains nothing.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let first = error.to_string();
    let causes = std::iter::successors(error.source(), |&cause| cause.source()).map(ToString::to_string);
    let reason = causes.collect::<Vec<_>>().join(": ");
    if reason.is_empty() { first } else { reason }
}

/// An address, whole or relative, as anybody may read it. A redirect mostly repeats the query that it was asked with, and
/// whoever has a signed one can send it again.
fn without_secrets(address: &str) -> String {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    let (rest, more) = (&address[..end], if end < address.len() { "?…" } else { "" });
    let begin = rest.find("//").map_or(0, |at| at + 2);
    let (scheme, rest) = rest.split_at(begin);
    // Browsers take \ for /.
    let host_ends = if begin > 0 { rest.find(['/', '\\']).unwrap_or(rest.len()) } else { 0 };
    let (host, path) = rest.split_at(host_ends);
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}{host}{path}{more}")
}

/// A text, such as what is wrong about a setting, with every URL in it as anybody may read it.
#[must_use]
pub fn with_open_urls(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
    let parts = text.split_inclusive(is_end).map(|part| {
        let url = part.trim_end_matches(is_end);
        match url.contains("://") {
            true => format!("{}{}", without_secrets(url), &part[url.len()..]),
            false => part.to_owned(),
        }
    });
    parts.collect()
}

/// What a stranger has written, fit for a terminal.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

impl Answer {
    /// The beginning of the body, in one line that is fit for a terminal. Pages of errors repeat the address that they were
    /// asked for; its query is left out.
    #[must_use]
    pub fn begins(&self) -> String {
        let (mut begins, mut is_in_query) = (String::new(), false);
        for c in self.body.chars().map(|c| if c.is_control() { ' ' } else { c }) {
            if is_in_query && !matches!(c, ' ' | '"' | '\'' | '`' | '<' | '>' | ')' | ']') {
                continue;
            }
            is_in_query = c == '?';
            begins.push(c);
            if begins.chars().count() == SHOWN {
                break;
            }
        }
        begins
    }

    /// Whether it is a page for people.
    #[must_use]
    pub fn is_page(&self) -> bool {
        let body = self.body.trim_start().to_ascii_lowercase();
        self.kind.starts_with("text/html") || body.starts_with("<!doctype html") || body.starts_with("<html")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// What is made of an answer.
    async fn of(answer: &'static str) -> Result<Answer, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x?signature=SECRET", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        ask(Whom::Anybody, &Url::parse(&url).unwrap(), |client, url| client.get(url)).await
    }

    #[test]
    fn an_address_is_shown_without_what_opens_anything() {
        for (address, shown) in [
            ("https://b.example/wechat?signature=1&echostr=2#x", "https://b.example/wechat?…"),
            ("https://li:hunter2@b.example:8443/wechat/", "https://b.example:8443/wechat/"),
            ("//li@b.example/@home", "//b.example/@home"),
            ("/wechat/?signature=1", "/wechat/?…"),
            ("/a//li@b", "/a//b"),
            ("?signature=1", "?…"),
            ("#signature=1", "?…"),
            ("https://b.example", "https://b.example"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(address), shown, "{address}");
        }
        let wrong =
            "invalid value 'http://li:hunter2@gateway:1099/?key=hunter2' for '--x <URL>': write http://a:1";
        let shown = "invalid value 'http://gateway:1099/?…' for '--x <URL>': write http://a:1";
        assert_eq!(with_open_urls(wrong), shown);
    }

    #[tokio::test]
    async fn answers_are_read_as_they_came_and_redirects_are_not_followed() {
        let moved = of(
            "HTTP/1.1 301 x\r\nlocation: https://b.example/?signature=SECRET\r\nserver: nginx\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        let moved = moved.unwrap();
        assert_eq!((moved.status, &*moved.location, &*moved.server), (301, "https://b.example/?…", "nginx"));
        let page = of("HTTP/1.1 200 x\r\ncontent-length: 15\r\n\r\n<HTML>\n\u{1b}[31mno!").await.unwrap();
        assert!(page.is_page());
        assert_eq!(page.begins(), "<HTML>  [31mno!");
        let lost =
            of("HTTP/1.1 404 x\r\ncontent-length: 42\r\n\r\n<p>Cannot GET /x?signature=SECRET here</p>");
        assert_eq!(lost.await.unwrap().begins(), "<p>Cannot GET /x? here</p>");
        let error = of("").await.unwrap_err();
        assert!(!error.contains("SECRET"), "{error}");
    }
}
