//! The back-channel logout plan: a site's own back end hears of a logout, as it hears it from nobody else.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::page::PATIENCE;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::agent::FORM;
use crate::logout::{LoggedIn, is_at};
use crate::parameters::Parameters;
use crate::provider::{Running, Setup};
use crate::relying_party::{Site, now, signed_by};

/// The event of a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A request that came to a site's back end.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The request line and the headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A site's back end: it hears requests and answers each with the next status, the last one for ever.
pub(crate) struct BackEnd {
    pub(crate) url: String,
    heard: UnboundedReceiver<Heard>,
}

impl BackEnd {
    pub(crate) async fn start(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, heard) = unbounded_channel();
        tokio::spawn(async move {
            let mut statuses = statuses.iter().peekable();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let (head, body) = loop {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let head = head.to_lowercase();
                        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                        let length = length.map_or(0, |length| length.parse().unwrap());
                        if body.len() >= length {
                            break (head, body.to_owned());
                        }
                    }
                    if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                        break (String::new(), String::new());
                    }
                };
                let status = if statuses.len() > 1 { statuses.next() } else { statuses.peek().copied() };
                let status = status.copied().unwrap_or(200);
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                // Whoever asked may be gone.
                let _ = stream.write_all(answer.as_bytes()).await;
                if tell.send(Heard { head, body }).is_err() {
                    return;
                }
            }
        });
        Self { url, heard }
    }

    pub(crate) async fn next(&mut self) -> Heard {
        timeout(PATIENCE, self.heard.recv()).await.expect("the back end hears something").unwrap()
    }

    /// Nothing more comes soon.
    pub(crate) async fn hears_nothing(&mut self) {
        let more = timeout(Duration::from_secs(1), self.heard.recv()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

/// Somebody logged in at a shop whose back end is this.
async fn logged_in_before(back_end: &BackEnd) -> LoggedIn {
    let line = format!("backchannel_logout_uri = \"{}/backchannel_logout\"", back_end.url);
    LoggedIn::at(Site::shop().and(&line)).await
}

/// Judges a logout token as Back-Channel Logout 1.0 section 2.6 says.
async fn judge(shop: &LoggedIn, heard: &Heard) {
    assert!(heard.head.starts_with("post /backchannel_logout http/1.1"), "{heard:?}");
    let kind = heard.head.lines().find_map(|line| line.strip_prefix("content-type: "));
    assert!(kind.is_some_and(|kind| kind.starts_with(FORM)), "{heard:?}");
    assert!(!heard.head.contains("cookie:"), "{heard:?}");
    let form = Parameters::parse(&heard.body);
    assert_eq!(form.names(), ["logout_token"], "{heard:?}");
    let token = form.value("logout_token");
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header["typ"], "logout+jwt", "so that it is no ID token: {header}");
    let claims = signed_by(&shop.provider, token).await.unwrap();
    let own = &shop.tokens.claims;
    assert_eq!((&claims["iss"], &claims["aud"]), (&own["iss"], &own["aud"]), "{claims}");
    assert_eq!((&claims["sub"], &claims["sid"]), (&own["sub"], &own["sid"]), "{claims}");
    assert_eq!(claims["events"], json!({EVENT: {}}));
    assert!(claims.get("nonce").is_none(), "that would make it an ID token: {claims}");
    assert!(claims["jti"].as_str().is_some_and(|jti| !jti.is_empty()), "{claims}");
    let number = |name: &str| claims[name].as_u64().unwrap();
    assert!(number("iat").abs_diff(now()) < 60 && number("exp") == number("iat") + 120, "{claims}");
}

#[tokio::test]
async fn oidcc_backchannel_logout_discovery_endpoint_verification() {
    let provider = Running::with(Setup { issuer: Some("https://id.example.cn"), ..Setup::default() }).await;
    let document = provider.discovery().await;
    for name in ["backchannel_logout_supported", "backchannel_logout_session_supported"] {
        assert_eq!(document[name], true, "{name}");
    }
    assert_eq!(document["end_session_endpoint"], "https://id.example.cn/logout");
}

#[tokio::test]
async fn oidcc_backchannel_rp_initiated_logout() {
    let mut back_end = BackEnd::start(&[200]).await;
    let mut shop = logged_in_before(&back_end).await;
    let request = shop.request();
    let answer = shop.log_out(&request).await;
    judge(&shop, &back_end.next().await).await;
    is_at(&answer, request.value("post_logout_redirect_uri"), request.get("state"));
    shop.is_out().await;
    back_end.hears_nothing().await;
}

/// The first pause is 5 s.
#[tokio::test]
async fn a_back_end_that_was_away_hears_of_it_later() {
    for statuses in [&[503, 204][..], &[302, 200]] {
        let mut back_end = BackEnd::start(statuses).await;
        let mut shop = logged_in_before(&back_end).await;
        let request = shop.request();
        shop.log_out(&request).await;
        judge(&shop, &back_end.next().await).await;
        judge(&shop, &back_end.next().await).await;
        back_end.hears_nothing().await;
    }
}

/// Who unfollows the account has left, and takes nothing along.
#[tokio::test]
async fn who_unfollows_is_logged_out_everywhere() {
    let mut back_end = BackEnd::start(&[200]).await;
    let mut shop = logged_in_before(&back_end).await;
    let person = shop.tokens.claims["sub"].as_str().unwrap().to_owned();
    shop.provider.wechat.unfollow(&person).await.unwrap();
    judge(&shop, &back_end.next().await).await;
    shop.is_out().await;
    let answer = crate::relying_party::userinfo(&shop.provider, &shop.tokens.access_token).await;
    assert_eq!(answer.status, 401, "{answer:?}");
}

#[tokio::test]
async fn only_sites_where_the_session_was_used_hear_of_its_end() {
    let mut back_end = BackEnd::start(&[200]).await;
    let line = format!("backchannel_logout_uri = \"{}/backchannel_logout\"", back_end.url);
    let sites = vec![Site::shop(), Site::cafe().and(&line)];
    let provider = Running::with(Setup { sites, ..Setup::default() }).await;
    let mut agent = crate::agent::Agent::new(&provider);
    let shop = Site::shop();
    let tokens = shop.log_in(&mut agent, &shop.request(), &provider.person()).await;
    let mut shop = LoggedIn { provider, agent, shop, tokens };
    let request = shop.request();
    shop.log_out(&request).await.location().expect("it leads back");
    back_end.hears_nothing().await;
}
