//! One HTTP request to a site, and the signature of a webhook.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use protocol::LoginId;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, Response, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::time::timeout;

/// Limit for connecting.
const CONNECT: Duration = Duration::from_secs(3);

/// Limit for the answer's head. With the time for its body it is within that of a try, so that a success that comes is
/// never taken for a failure.
const ANSWER: Duration = Duration::from_secs(9);

/// How long, and how much of, the body of an answer is read, so that the connection can be used again. What it says
/// does not matter.
const BODY: Duration = Duration::from_millis(500);
const MAX_BODY: usize = 16 * 1024;

/// Idle connections kept to each site.
const MAX_IDLE: usize = 2;

/// Posts to sites. Clones share the connections.
#[derive(Debug, Clone)]
pub(crate) struct Poster {
    outside: Client,
    /// For this machine's own addresses, which no proxy can reach.
    here: Client,
    answer: Duration,
}

impl Poster {
    /// Prepares it; nothing is connected yet. A proxy is taken from the environment.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Self::with(Client::builder(), ANSWER)
    }

    fn with(outside: reqwest::ClientBuilder, answer: Duration) -> anyhow::Result<Self> {
        let build = |builder: reqwest::ClientBuilder| {
            builder
                .user_agent(concat!("saoma/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                .pool_max_idle_per_host(MAX_IDLE)
                // What a site is told is for the address that the operator has written.
                .redirect(redirect::Policy::none())
                .build()
                .context("requests to sites cannot be prepared")
        };
        Ok(Self { outside: build(outside)?, here: build(Client::builder().no_proxy())?, answer })
    }

    /// Posts a form. Any 2xx is success.
    ///
    /// # Errors
    /// Why it did not arrive, for an operator; it says nothing of the address but its host.
    pub(crate) async fn post_form(&self, url: &str, fields: &[(&str, &str)]) -> Result<(), String> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.post(url, |request| request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body))
            .await
    }

    /// Posts JSON with headers of the caller's. Any 2xx is success.
    ///
    /// # Errors
    /// As [`Poster::post_form`].
    pub(crate) async fn post_json(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<(), String> {
        self.post(url, |request| {
            let request = request.header(CONTENT_TYPE, "application/json");
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(body)
        })
        .await
    }

    async fn post(
        &self,
        url: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<(), String> {
        let url = Url::parse(url).map_err(|error| format!("its address cannot be used: {error}"))?;
        let at = url.origin().ascii_serialization();
        let client = if is_loopback(&url) { &self.here } else { &self.outside };
        let answer = timeout(self.answer, fill(client.post(url)).send())
            .await
            .map_err(|_| format!("{at} has not answered within {} s", self.answer.as_secs_f32()))?
            .map_err(|error| format!("{at} cannot be reached: {}", reason(error)))?;
        let status = answer.status();
        let _ = timeout(BODY, read(answer)).await;
        match status {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => {
                Err(format!("{at} has answered {status}; redirects are not followed"))
            }
            status => Err(format!("{at} has answered {status}")),
        }
    }
}

/// Reads the end of an answer, unless it is long.
async fn read(mut answer: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > MAX_BODY {
            return;
        }
    }
}

/// Whether an address is this machine's own.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The whole reason of a failed request, without its address, whose query may be a secret.
fn reason(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::from(error.without_url()))
}

/// The header `Saoma-Signature` of a webhook that is sent `at` this Unix second. Each try has its own, so that a
/// receiver can refuse old ones.
#[must_use]
pub(crate) fn signature(key: &SecretString, at: u64, body: &[u8]) -> String {
    let mut context =
        hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes()));
    context.update(format!("{at}.").as_bytes());
    context.update(body);
    format!("t={at},v1={}", HEXLOWER.encode(context.sign().as_ref()))
}

/// What a webhook says of something that has happened.
#[derive(Debug, Serialize)]
pub(crate) struct Event<'e> {
    /// The delivery's id, the same in every try.
    pub id: &'e str,
    /// What has happened.
    #[serde(rename = "type")]
    pub name: &'static str,
    /// When, in Unix seconds.
    pub created: u64,
    /// The site's id.
    pub site: &'e str,
    /// To whom.
    pub sub: &'e str,
    /// The login that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<&'e str>,
    /// The same login as logs and traces name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_id: Option<LoginId>,
    /// Why, where there is more than one reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'e str>,
}

impl Event<'_> {
    /// The body of the webhook.
    #[must_use]
    pub(crate) fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers can be written")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A site that answers each request with `answer` and then keeps silent; gives its address, and what it gets.
    async fn site(answer: &'static str) -> (String, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?key=SECRET", listener.local_addr().unwrap());
        let (heard, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let heard = heard.clone();
                tokio::spawn(async move {
                    let (mut request, mut bytes) = (String::new(), [0; 1024]);
                    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                        request.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
                        if request.contains("END") {
                            let _ = heard.send(std::mem::take(&mut request));
                            let _ = stream.write_all(answer.as_bytes()).await;
                        }
                    }
                });
            }
        });
        (url, requests)
    }

    async fn post(url: &str) -> Result<(), String> {
        let poster = Poster::with(Client::builder(), Duration::from_secs(1)).unwrap();
        timeout(PATIENCE, poster.post_json(url, &[], b"END".to_vec())).await.unwrap()
    }

    #[tokio::test]
    async fn a_form_and_json_arrive_as_they_are() {
        let (url, mut requests) = site("HTTP/1.1 204 No Content\r\n\r\n").await;
        let poster = Poster::new().unwrap();
        poster.post_form(&url, &[("logout_token", "a.b+c/d=&"), ("x", "END")]).await.unwrap();
        let form = requests.recv().await.unwrap().to_ascii_lowercase();
        assert!(form.starts_with("post /hook?key=secret http/1.1\r\n"), "{form}");
        assert!(form.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{form}");
        assert!(form.contains(concat!("\r\nuser-agent: saoma/", env!("CARGO_PKG_VERSION"))), "{form}");
        assert!(form.ends_with("\r\n\r\nlogout_token=a.b%2bc%2fd%3d%26&x=end"), "{form}");

        let headers = [("Saoma-Signature", "t=1,v1=00")];
        poster.post_json(&url, &headers, br#"{"x":"END"}"#.to_vec()).await.unwrap();
        let json = requests.recv().await.unwrap();
        assert!(json.contains("\r\ncontent-type: application/json\r\n"), "{json}");
        assert!(json.to_ascii_lowercase().contains("\r\nsaoma-signature: t=1,v1=00\r\n"), "{json}");
        assert!(json.ends_with("\r\n\r\n{\"x\":\"END\"}"), "{json}");
    }

    #[tokio::test]
    async fn only_2xx_is_success_and_a_redirect_is_not_followed() {
        let rows = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", None),
            ("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", None),
            (
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere?key=SECRET\r\ncontent-length: 0\r\n\r\n",
                Some("has answered 307 Temporary Redirect; redirects are not followed"),
            ),
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno", Some("has answered 400 Bad Request")),
            ("HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n", Some("has answered 503 Service Unavailable")),
            ("", Some("has not answered within 1 s")),
            ("rubbish\r\n\r\n", Some("cannot be reached: ")),
        ];
        for (answer, expected) in rows {
            let (url, mut requests) = site(answer).await;
            let error = post(&url).await.err();
            match (&error, expected) {
                (Some(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
                _ => assert_eq!((error.is_none(), answer), (expected.is_none(), answer)),
            }
            let error = error.unwrap_or_default();
            assert!(!error.contains("SECRET") && !error.contains("hook"), "{error}");
            requests.recv().await.unwrap();
            assert!(requests.try_recv().is_err(), "one request");
        }
    }

    #[tokio::test]
    async fn an_answer_is_not_waited_for_to_its_end() {
        let (url, _requests) = site("HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\nnever all of it").await;
        let began = Instant::now();
        assert_eq!(post(&url).await, Ok(()));
        assert!(began.elapsed() >= BODY);
    }

    #[tokio::test]
    async fn this_machine_is_reached_without_the_proxy_and_the_outside_through_it() {
        let (url, _requests) = site("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let (proxy, mut at_proxy) = site("HTTP/1.1 502 X\r\ncontent-length: 0\r\n\r\n").await;
        let through = Client::builder().proxy(reqwest::Proxy::all(proxy).unwrap());
        let poster = Poster::with(through, ANSWER).unwrap();
        assert_eq!(poster.post_json(&url, &[], b"END".to_vec()).await, Ok(()));
        assert!(at_proxy.try_recv().is_err());
        let error = poster.post_json("http://shop.invalid/a", &[], b"END".to_vec()).await.unwrap_err();
        assert_eq!(error, "http://shop.invalid has answered 502 Bad Gateway");
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_used_is_an_error() {
        for url in ["", "shop", "ftp://127.0.0.1/?key=SECRET", "http://127.0.0.1:1/?key=SECRET"] {
            let error = post(url).await.unwrap_err();
            assert!(!error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn a_signature_covers_the_time_and_the_raw_body() {
        let key = SecretString::from("0123456789abcdef0123456789abcdef");
        let event = Event {
            id: "id-1",
            name: "login",
            created: 1_700_000_000,
            site: "shop",
            sub: "oPerson",
            login: Some("l1"),
            login_id: None,
            reason: None,
        };
        let body = event.body();
        let json =
            r#"{"id":"id-1","type":"login","created":1700000000,"site":"shop","sub":"oPerson","login":"l1"}"#;
        assert_eq!(String::from_utf8(body.clone()).unwrap(), json);
        // Computed with: printf '%s' "1700000005.$JSON" | openssl dgst -sha256 -hmac "$KEY"
        let expected = "t=1700000005,v1=4256e1631a1b0a1e8a0058a0ac156b4d32a3ea8a9a07929c2b01fbdd4962d2e8";
        assert_eq!(signature(&key, 1_700_000_005, &body), expected);
        let (login_id, reason) = ("cd2abeeaa545d6de4cd772515432c561".parse().ok(), Some("not_me"));
        let denial = Event { id: "id-2", name: "denial", created: 1, login: None, login_id, reason, ..event };
        let json = concat!(
            r#"{"id":"id-2","type":"denial","created":1,"site":"shop","sub":"oPerson","#,
            r#""login_id":"cd2abeeaa545d6de4cd772515432c561","reason":"not_me"}"#
        );
        assert_eq!(String::from_utf8(denial.body()).unwrap(), json);
    }
}
