//! One request out, one JSON answer in: everything about HTTP is here.
//!
//! WeChat answers a refusal with status 200 and an `errcode` in the body. Most successes have no `errcode`, and
//! the Content-Type of the JSON varies. [`Api::exchange`] turns an answer into a value or a typed error.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::Uri;
use http::header::DATE;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Client, RequestBuilder, Response, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{Error, chain};
use super::metrics::Counted;

/// Limit for connecting. A host that is up accepts in well under a second; the rest of a try's time is for the
/// answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The longest answer read, in bytes: real ones are below 2 KiB.
const MAX_ANSWER: usize = 64 * 1024;

/// Idle connections kept for the next calls: as many as a gateway has calls under way at once. To connect for a call costs
/// as much again as the call.
const MAX_IDLE: usize = 64;

/// The longest part of WeChat's `errmsg` kept, in characters: it goes into logs.
const MAX_MESSAGE: usize = 256;

/// Whether the API at `base` is a simulated one: on loopback, or over plain http. WeChat's own API is neither.
pub fn is_simulated(base: &str) -> bool {
    let Ok(url) = Url::parse(base) else { return false };
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let is_tencents = host == "qq.com" || host.ends_with(".qq.com");
    is_loopback(&url) || (url.scheme() == "http" && !is_tencents)
}

/// Whether an address is this machine's own.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The variable that names the proxy on the way to `url`, as reqwest takes it from the environment.
fn proxy_to(url: &Url) -> Result<Option<&'static str>, Error> {
    if is_loopback(url) {
        return Ok(None);
    }
    let Some(proxy) = url.as_str().parse::<Uri>().ok().and_then(|url| Matcher::from_env().intercept(&url))
    else {
        return Ok(None);
    };
    let own =
        if url.scheme() == "https" { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let names = own.into_iter().chain(["ALL_PROXY", "all_proxy"]);
    let variable = names.into_iter().find(is_set).unwrap_or("ALL_PROXY");
    let scheme = proxy.uri().scheme_str().unwrap_or_default();
    if matches!(scheme, "http" | "https") {
        return Ok(Some(variable));
    }
    let reason = format!(
        "{variable} names a proxy of the kind {scheme}://, which is not spoken here; take an HTTP proxy, http://host:port"
    );
    Err(Error::Setup { reason })
}

/// The pooled HTTP client and the address it speaks to.
pub(crate) struct Api {
    http: Client,
    base: Url,
    /// The variable that names the proxy on the way, where there is one.
    proxy: Option<&'static str>,
    /// Where requests are counted.
    pub(super) counted: Counted,
}

impl Api {
    /// A client of the API at `base`. A request and its answer may take `one_try`.
    pub(crate) fn new(base: &str, one_try: Duration) -> Result<Self, Error> {
        let wrong = || Error::Setup {
            reason: format!("{base:?} is no address such as {}", crate::api::OFFICIAL_API_URL),
        };
        let url = Url::parse(base).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong());
        }
        let proxy = proxy_to(&url)?;
        let client = match proxy {
            Some(_) => Client::builder(),
            // Otherwise calls to this machine's own address would go through the proxy too.
            None => Client::builder().no_proxy(),
        };
        let http = client
            .user_agent(concat!("saoma/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_LIMIT)
            .timeout(one_try)
            .pool_max_idle_per_host(MAX_IDLE)
            // The API never redirects, and the token in the address must not follow a redirect elsewhere.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| Error::Setup { reason: chain(error) })?;
        Ok(Self { http, base: url, proxy, counted: Counted::default() })
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(path))
    }

    /// The address of a call. What comes before its path has been read once, and is not read again for each.
    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// The variable that names the proxy on the way, where there is one.
    pub(crate) fn proxy(&self) -> Option<&'static str> {
        self.proxy
    }

    /// Sends a request, once, and gives the `Date` of its answer, whatever else the answer says.
    pub(crate) async fn date(
        &self,
        call: &'static str,
        request: RequestBuilder,
    ) -> Result<Option<SystemTime>, Error> {
        let response = request.send().await.map_err(|error| Error::from_reqwest(call, error, self.proxy))?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| httpdate::parse_http_date(date).ok()))
    }

    /// Sends a request, once, and reads its answer.
    pub(crate) async fn exchange<T: DeserializeOwned>(
        &self,
        call: &'static str,
        request: RequestBuilder,
    ) -> Result<T, Error> {
        let counted = self.counted.begin(call);
        let outcome = self.sent(call, request).await;
        counted.ended(&outcome);
        outcome
    }

    async fn sent<T: DeserializeOwned>(
        &self,
        call: &'static str,
        request: RequestBuilder,
    ) -> Result<T, Error> {
        let response = request.send().await.map_err(|error| Error::from_reqwest(call, error, self.proxy))?;
        let status = response.status();
        if !status.is_success() {
            return Err(Error::Status { call, status: status.as_u16(), proxy: self.proxy });
        }
        decode(call, self.read(call, response).await?)
    }

    async fn read(&self, call: &'static str, mut response: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        let broken = |error| Error::from_reqwest(call, error, self.proxy);
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Error::Decode { call, reason: format!("it is longer than {MAX_ANSWER} bytes") });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str())
    }
}

/// The part that every answer may have. An answer without it is a success.
#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
}

fn decode<T: DeserializeOwned>(call: &'static str, mut body: Vec<u8>) -> Result<T, Error> {
    // Names in WeChat's answers have been seen with raw control characters, which JSON forbids inside strings.
    // Outside strings JSON allows some of them, where a space means the same.
    for byte in &mut body {
        if *byte < b' ' {
            *byte = b' ';
        }
    }
    // serde_json's error may quote the answer, and the answer may be a token.
    let unreadable = |error: serde_json::Error| Error::Decode {
        call,
        reason: format!("{:?} error in its JSON at byte {}", error.classify(), error.column()),
    };
    let verdict: Verdict = serde_json::from_slice(&body).map_err(unreadable)?;
    if verdict.errcode != 0 {
        let message = verdict.errmsg.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect();
        return Err(Error::Api { code: verdict.errcode, message, call });
    }
    serde_json::from_slice(&body).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[derive(Deserialize, Debug, PartialEq)]
    struct Named {
        name: String,
    }

    #[test]
    fn success_needs_no_errcode_and_zero_is_success() {
        for body in [r#"{"name":"a"}"#, r#"{"errcode":0,"errmsg":"ok","name":"a"}"#] {
            let named: Named = decode("/x", body.as_bytes().to_vec()).unwrap();
            assert_eq!(named.name, "a");
        }
    }

    #[test]
    fn raw_control_characters_do_not_spoil_an_answer() {
        let named: Named = decode("/x", b"{\"name\":\"a\x01b\"}\r\n".to_vec()).unwrap();
        assert_eq!(named.name, "a b");
    }

    #[test]
    fn an_unreadable_answer_is_not_quoted() {
        let error = decode::<Named>("/x", br#"{"name":{"access_token":"SECRET"}}"#.to_vec()).unwrap_err();
        assert!(matches!(error, Error::Decode { .. }));
        assert!(!format!("{error} {error:?}").contains("SECRET"));
    }

    #[test]
    fn a_simulated_wechat_is_on_loopback_or_without_tls() {
        for base in
            ["http://simulator:8090", "http://127.0.0.1:8090", "https://localhost:8443/", "https://[::1]"]
        {
            assert!(is_simulated(base), "{base}");
        }
        let official =
            [crate::api::OFFICIAL_API_URL, "http://api.weixin.qq.com", "http://API.WEIXIN.QQ.COM."];
        for base in official.into_iter().chain(["https://wechat.example", "", "nothing"]) {
            assert!(!is_simulated(base), "{base}");
        }
    }

    #[test]
    fn a_calls_path_comes_behind_the_one_of_the_address() {
        for (base, expected) in [
            ("https://api.weixin.qq.com", "https://api.weixin.qq.com/cgi-bin/x"),
            ("https://api.weixin.qq.com/", "https://api.weixin.qq.com/cgi-bin/x"),
            ("http://proxy:8090/wechat//", "http://proxy:8090/wechat/cgi-bin/x"),
        ] {
            assert_eq!(Api::new(base, CONNECT_LIMIT).unwrap().url("/cgi-bin/x").as_str(), expected);
        }
    }

    #[test]
    fn a_wrong_address_is_refused_at_the_start() {
        for base in ["", "api.weixin.qq.com", "ftp://api.weixin.qq.com", "https://api.weixin.qq.com/?a=b"] {
            assert!(matches!(Api::new(base, CONNECT_LIMIT), Err(Error::Setup { .. })), "{base}");
        }
    }
}
