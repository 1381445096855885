//! A page's connection over in-memory streams with paused time: every message, time and limit.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::{FutureExt, SinkExt, StreamExt};
use protocol::Notice;
use protocol::message::{Context, Status};
use serde_json::Value;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::browsers::language::Language;
use crate::browsers::socket::{CLOSE_WITHIN, Limits};
use crate::codes::admission::Addresses;
use crate::codes::{Budget, QrCodes, Ready, Unscanned};
use crate::logins::Sender;
use crate::notices::clients::Rights;
use crate::testing::in_memory::{PlayedWeChat, noon};

fn gateway_with(failures: u32) -> Arc<Gateway> {
    Arc::new(crate::testing::in_memory::gateway_with(failures))
}

fn gateway() -> Arc<Gateway> {
    gateway_with(0)
}

fn opening() -> Opening {
    Opening {
        context: Context::default(),
        address: "192.0.2.1".parse().unwrap(),
        resume: None,
        has_picture: false,
        is_ours: true,
        selects_ours: true,
        language: Language::English,
        fault: None,
    }
}

/// The page's side of a connection.
struct Page(WebSocketStream<DuplexStream>);

impl Page {
    async fn open(gateway: &Arc<Gateway>, opening: Opening) -> Self {
        let (ours, theirs) = duplex(64 * 1024);
        let gateway = Arc::clone(gateway);
        tokio::spawn(async move {
            let socket = PageSocket::over(theirs, Limits::default()).await;
            serve(&gateway, socket, opening).await;
        });
        Self(WebSocketStream::from_raw_socket(ours, Role::Client, None).await)
    }

    async fn resume(gateway: &Arc<Gateway>, key: &str) -> Self {
        Self::open(gateway, Opening { resume: Some(ResumeKey::parse(key)), ..opening() }).await
    }

    /// The next message that is no heartbeat.
    async fn hear(&mut self) -> Value {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Text(text) => {
                    let said: Value = serde_json::from_str(&text).unwrap();
                    if said["message_type"] != "heartbeat" {
                        return said;
                    }
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn hear_type(&mut self, kind: &str) -> Value {
        let said = self.hear().await;
        assert_eq!(said["message_type"], kind, "{said}");
        said
    }

    /// The code of the close that comes next.
    async fn closed(&mut self) -> u16 {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn refresh(&mut self) {
        self.say(r#"{"message_type":"refresh"}"#).await;
    }
}

/// A page's login, by the QR code that it shows.
struct Code {
    scene: Scene,
    resume: String,
}

impl Code {
    async fn shown_by(page: &mut Page) -> Self {
        let shown = page.hear_type("qrcode_url").await;
        let content = shown["content"].as_str().unwrap();
        let scene = content.rsplit('/').next().unwrap().parse().unwrap();
        assert!(shown["image"].as_str().unwrap().starts_with("data:image/png;base64,"));
        let resume = shown["resume"].as_str().unwrap().to_owned();
        assert!(!content.contains(&resume[23..]), "the secret is not in the QR code");
        Self { scene, resume }
    }

    fn claim(&self, by: &str, number: Option<&str>) -> Notice {
        Notice::Claim { scene: self.scene, by: by.to_owned(), number: number.map(str::to_owned) }
    }

    fn scan(&self, by: &str, nickname: &str) -> Notice {
        let nickname = Some(nickname.to_owned());
        Notice::Scan { scene: self.scene, nickname, code: None, by: Some(by.to_owned()) }
    }
}

async fn notify(gateway: &Gateway, notice: &Notice) -> Status {
    let from = Sender { client: "callback".to_owned(), may: Rights::all(), id: None };
    gateway.logins.notify(notice, &from).await.status
}

#[tokio::test(start_paused = true)]
async fn a_scan_logs_the_page_in() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    assert_eq!(notify(&gateway, &code.claim("p", Some("42"))).await, Status::Delivered);
    let scanned = page.hear_type("scanned").await;
    assert_eq!((scanned["expires_in"].as_u64(), scanned["number"].as_str()), (Some(120), Some("42")));
    assert_eq!(notify(&gateway, &code.scan("p", "阿狸 <b>")).await, Status::Delivered);
    assert_eq!(page.hear_type("scan_success").await["user"], "阿狸 <b>");
    assert_eq!(page.closed().await, 4010);
}

#[tokio::test(start_paused = true)]
async fn a_claim_and_an_end_in_one_breath_are_both_told_in_order() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    // No await that could let the page's task run in between.
    let from = Sender { client: "callback".to_owned(), may: Rights::all(), id: None };
    for notice in [code.claim("p", Some("07")), code.scan("p", "")] {
        let answer = gateway.logins.notify(&notice, &from).now_or_never().unwrap();
        assert_eq!(answer.status, Status::Delivered);
    }
    assert_eq!(page.hear_type("scanned").await["number"], "07");
    page.hear_type("scan_success").await;
}

#[tokio::test(start_paused = true)]
async fn a_code_expires_when_its_time_is_over_and_the_page_may_take_another() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let first = Code::shown_by(&mut page).await;
    let began = Instant::now();
    page.hear_type("expired").await;
    assert_eq!(began.elapsed().as_secs(), 120);
    assert_eq!(notify(&gateway, &first.scan("p", "")).await, Status::Expired);
    page.refresh().await;
    let second = Code::shown_by(&mut page).await;
    assert_ne!(first.scene, second.scene, "a scene is never reused");
    assert_eq!(notify(&gateway, &second.scan("p", "")).await, Status::Delivered);
    page.hear_type("scan_success").await;
}

#[tokio::test(start_paused = true)]
async fn a_page_whose_login_is_over_is_let_go_of_after_ten_minutes() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    Code::shown_by(&mut page).await;
    page.hear_type("expired").await;
    // Whoever comes back within that time gets another code on the same socket.
    sleep(OVER_FOR - Duration::from_secs(1)).await;
    page.refresh().await;
    let code = Code::shown_by(&mut page).await;
    let deny = Notice::Deny { scene: code.scene, by: None };
    assert_eq!(notify(&gateway, &deny).await, Status::Delivered);
    page.hear_type("denied").await;
    let began = Instant::now();
    assert_eq!(page.closed().await, 4010);
    assert_eq!(began.elapsed(), OVER_FOR);
}

#[tokio::test(start_paused = true)]
async fn an_address_behind_a_proxy_has_its_share_of_pages() {
    let gateway = gateway();
    let most = gateway.shares.most();
    let of = |address: &str| Opening { address: address.parse().unwrap(), ..opening() };
    let held: Vec<_> = (0..most).map(|_| gateway.shares.take("192.0.2.1".parse().unwrap())).collect();
    let mut page = Page::open(&gateway, of("192.0.2.1")).await;
    assert_eq!(page.hear_type("error").await["code"], "too_many");
    assert_eq!(page.closed().await, 1013);
    Code::shown_by(&mut Page::open(&gateway, of("192.0.2.2")).await).await;
    drop(held);
    Code::shown_by(&mut Page::open(&gateway, of("192.0.2.1")).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_ends_the_live_login() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let first = Code::shown_by(&mut page).await;
    page.refresh().await;
    Code::shown_by(&mut page).await;
    assert_eq!(notify(&gateway, &first.claim("p", None)).await, Status::Expired);
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_slowed_down_and_still_happen() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    Code::shown_by(&mut page).await;
    for _ in 0..3 {
        page.refresh().await;
        Code::shown_by(&mut page).await;
    }
    let began = Instant::now();
    page.refresh().await;
    let error = page.hear_type("error").await;
    assert_eq!((error["code"].as_str(), error["retry_in"].as_u64()), (Some("too_fast"), Some(5000)));
    Code::shown_by(&mut page).await;
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_was_away_gets_the_end_when_it_comes_back() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    drop(page);
    while gateway.logins.look(code.scene).await.unwrap().unwrap().seat.is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(notify(&gateway, &code.claim("p", None)).await, Status::Stored);
    assert_eq!(notify(&gateway, &code.scan("p", "阿狸")).await, Status::Stored);
    sleep(Duration::from_secs(179)).await;
    for _ in 0..2 {
        let mut page = Page::resume(&gateway, &code.resume).await;
        let shown = page.hear_type("qrcode_url").await;
        assert_eq!((shown["resume"].as_str(), shown["expires_in"].as_u64()), (Some(&*code.resume), Some(0)));
        assert_eq!(page.hear_type("scan_success").await["user"], "阿狸");
        assert_eq!(page.closed().await, 4010);
    }
    sleep(Duration::from_secs(1)).await;
    let mut late = Page::resume(&gateway, &code.resume).await;
    assert_eq!(late.closed().await, 4001, "180 s after the end the login is unknown");
}

#[tokio::test(start_paused = true)]
async fn a_resumed_page_has_the_time_left_and_hears_what_comes() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    drop(page);
    sleep(Duration::from_secs(50)).await;
    let mut page = Page::resume(&gateway, &code.resume).await;
    assert_eq!(page.hear_type("qrcode_url").await["expires_in"].as_u64(), Some(70));
    assert_eq!(notify(&gateway, &code.claim("p", None)).await, Status::Delivered);
    page.hear_type("scanned").await;
    drop(page);
    let mut page = Page::resume(&gateway, &code.resume).await;
    page.hear_type("qrcode_url").await;
    page.hear_type("scanned").await;
}

#[tokio::test(start_paused = true)]
async fn the_qr_code_alone_opens_nothing() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    for key in [format!("{}.{}", code.scene, code.scene), code.scene.to_string(), "rubbish".to_owned()] {
        let mut thief = Page::resume(&gateway, &key).await;
        assert_eq!(thief.closed().await, 4001, "{key}");
    }
    let elsewhere = Context { origin: Some("https://evil.example".to_owned()), ..Context::default() };
    let resume = Some(ResumeKey::parse(&code.resume));
    let mut foreign = Page::open(&gateway, Opening { context: elsewhere, resume, ..opening() }).await;
    assert_eq!(foreign.closed().await, 1008, "another Origin");
    // And none of them has disturbed the page.
    assert_eq!(notify(&gateway, &code.scan("p", "")).await, Status::Delivered);
    page.hear_type("scan_success").await;
}

#[tokio::test(start_paused = true)]
async fn the_newer_socket_takes_over() {
    let gateway = gateway();
    let mut older = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut older).await;
    let mut newer = Page::resume(&gateway, &code.resume).await;
    newer.hear_type("qrcode_url").await;
    assert_eq!(older.closed().await, 4002);
    drop(older);
    assert_eq!(notify(&gateway, &code.scan("p", "")).await, Status::Delivered);
    newer.hear_type("scan_success").await;
}

#[tokio::test(start_paused = true)]
async fn a_denial_is_told_and_the_page_may_try_again() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    let deny = Notice::Deny { scene: code.scene, by: None };
    assert_eq!(notify(&gateway, &deny).await, Status::Delivered);
    page.hear_type("denied").await;
    page.refresh().await;
    Code::shown_by(&mut page).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_code_the_page_is_told_and_recovers_by_itself() {
    let gateway = gateway_with(3);
    let mut page = Page::open(&gateway, opening()).await;
    let began = Instant::now();
    let mut waits = 0;
    for seconds in [2, 4, 8] {
        let error = page.hear_type("error").await;
        let retry_in = error["retry_in"].as_u64().unwrap();
        assert!((seconds * 750..=seconds * 1250).contains(&retry_in), "{error}");
        waits += retry_in;
    }
    Code::shown_by(&mut page).await;
    assert_eq!(began.elapsed().as_secs(), waits / 1000);
}

#[tokio::test(start_paused = true)]
async fn our_pages_hear_a_heartbeat_and_others_a_ping() {
    let gateway = gateway();
    let mut ours = Page::open(&gateway, opening()).await;
    Code::shown_by(&mut ours).await;
    let began = Instant::now();
    let beat = ours.0.next().await.unwrap().unwrap().into_text().unwrap();
    assert_eq!(beat.as_str(), r#"{"message_type":"heartbeat"}"#);
    assert_eq!(began.elapsed().as_secs(), 25);

    let mut other = Page::open(&gateway, Opening { is_ours: false, ..opening() }).await;
    Code::shown_by(&mut other).await;
    assert!(matches!(other.0.next().await, Some(Ok(Message::Ping(_)))));
    // From here on nobody polls the page's side, so no pong is sent.
    while gateway.metrics.pages.get() == 2 {
        sleep(Duration::from_secs(1)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(80), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn rubbish_is_ignored_and_a_flood_ends_the_socket() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    for rubbish in ["", "{", "[1]", r#"{"message_type":"scan_success","user":"me"}"#, "扫码"] {
        page.say(rubbish).await;
    }
    page.0.send(Message::binary(vec![0xff; 100])).await.unwrap();
    assert_eq!(notify(&gateway, &code.claim("p", None)).await, Status::Delivered);
    page.hear_type("scanned").await;
    for _ in 0..20 {
        page.say("{}").await;
    }
    assert_eq!(page.closed().await, 4008);
}

#[tokio::test(start_paused = true)]
async fn fragments_without_end_are_a_flood_too() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    Code::shown_by(&mut page).await;
    // The first fragment of a text message, then empty ones: six bytes each, masked with zeros.
    let mut bytes = vec![0x01, 0x80, 0, 0, 0, 0];
    for _ in 0..20_000 {
        bytes.extend([0x00, 0x80, 0, 0, 0, 0]);
    }
    // The gateway may let go before everything is written.
    let _ = page.0.get_mut().write_all(&bytes).await;
    assert_eq!(page.closed().await, 4008);
}

#[tokio::test(start_paused = true)]
async fn a_query_that_cannot_be_understood_is_told_after_the_upgrade() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, Opening { fault: Some("too long"), ..opening() }).await;
    assert_eq!(page.hear_type("error").await["message"], "too long");
    assert_eq!(page.closed().await, 1008);
}

#[tokio::test(start_paused = true)]
async fn a_login_after_a_resume_is_from_where_the_page_is_now() {
    let gateway = gateway();
    let from = |ip: &str| Context { ip: ip.to_owned(), site: Some("shop".to_owned()), ..Context::default() };
    let mut page = Page::open(&gateway, Opening { context: from("192.0.2.1"), ..opening() }).await;
    let code = Code::shown_by(&mut page).await;
    let resume = Some(ResumeKey::parse(&code.resume));
    let elsewhere = Context { site: None, ..from("192.0.2.2") };
    let mut page = Page::open(&gateway, Opening { context: elsewhere, resume, ..opening() }).await;
    page.hear_type("qrcode_url").await;
    page.refresh().await;
    let next = Code::shown_by(&mut page).await;
    let login = gateway.logins.look(next.scene).await.unwrap().unwrap();
    assert_eq!((login.context.site.as_deref(), login.context.ip.as_str()), (Some("shop"), "192.0.2.2"));
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_is_told_so() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    Code::shown_by(&mut page).await;
    page.say(&"x".repeat(4096)).await;
    page.say(&"x".repeat(4097)).await;
    assert_eq!(page.closed().await, 1009);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_read_is_let_go() {
    let gateway = gateway();
    let (ours, theirs) = duplex(64);
    let socket = PageSocket::over(theirs, Limits::default()).await;
    let began = Instant::now();
    serve(&gateway, socket, opening()).await;
    assert!(began.elapsed() <= Duration::from_secs(11), "{:?}", began.elapsed());
    drop(ours);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_leaves_sends_its_pages_elsewhere_within_the_drain_time() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    tokio::spawn({
        let drain = gateway.drain.clone();
        async move { drain.begin_when(async {}).await }
    });
    let began = Instant::now();
    assert_eq!(page.closed().await, 1001);
    let left = began.elapsed() + CLOSE_WITHIN;
    assert!(left < gateway.config.gateway_drain_time, "no time is left for the close: {left:?}");
    assert_eq!(notify(&gateway, &code.scan("p", "")).await, Status::Stored, "to be had by resume");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_read_is_gone_within_the_drain_time() {
    let gateway = gateway();
    let (unread, theirs) = duplex(64);
    let began = Instant::now();
    gateway.drain.tasks().spawn({
        let gateway = Arc::clone(&gateway);
        async move {
            let socket = PageSocket::over(theirs, Limits::default()).await;
            serve(&gateway, socket, opening()).await;
        }
    });
    gateway.drain.begin_when(async {}).await;
    assert!(gateway.drain.finish().await, "it is no reason to end with a failure");
    assert!(began.elapsed() < gateway.config.gateway_drain_time, "{:?}", began.elapsed());
    drop(unread);
}

/// A gateway whose codes come from a WeChat that counts, within `per_day` calls.
fn gateway_on_a_budget(per_day: u32) -> (Arc<Gateway>, Arc<PlayedWeChat>) {
    let mut gateway = crate::testing::in_memory::gateway_with(0);
    let wechat = PlayedWeChat::new(Duration::from_millis(100));
    let budget = Budget::new(per_day, None, noon);
    let ttl = gateway.config.gateway_login_ttl;
    let (unscanned, pictures) = (Unscanned::new(per_day, 120, None), gateway.pictures.clone());
    let ready =
        Arc::new(Ready::new(Arc::clone(&wechat), budget, unscanned, pictures, 8, ttl, &gateway.metrics));
    gateway.qr = Arc::clone(&ready) as Arc<dyn QrCodes>;
    tokio::spawn(async move { ready.refill().await });
    (Arc::new(gateway), wechat)
}

/// Opens 10,000 pages at once; counts what each hears first, and keeps the pages.
async fn flood(
    gateway: &Arc<Gateway>,
    address: impl Fn(u128) -> Ipv6Addr,
) -> (HashMap<String, usize>, Vec<Page>) {
    let opened = (0..10_000).map(|n| {
        let address = address(n).into();
        async move {
            let mut page = Page::open(gateway, Opening { address, ..opening() }).await;
            let said = page.hear().await;
            if said["message_type"] == "qrcode_url" {
                return ("shown".to_owned(), page);
            }
            assert!(said["retry_in"].as_u64().unwrap() > 0, "{said}");
            let code = said["code"].as_str().unwrap();
            if code != "codes_spent" {
                assert_eq!(page.closed().await, 1013, "{said}");
            }
            (code.to_owned(), page)
        }
    });
    let mut heard: HashMap<String, usize> = HashMap::new();
    let mut pages = Vec::new();
    for (first, page) in join_all(opened).await {
        *heard.entry(first).or_default() += 1;
        pages.push(page);
    }
    (heard, pages)
}

#[tokio::test(start_paused = true)]
async fn a_flood_from_one_address_gets_its_share_and_others_do_not_notice() {
    let (gateway, wechat) = gateway_on_a_budget(90_000);
    sleep(Duration::from_secs(1)).await;
    let one = |n| Ipv6Addr::from_bits((0x2001_0db8_0000_0001_u128 << 64) | (n << 32));
    let (heard, _pages) = flood(&gateway, one).await;
    // The time that WeChat takes for them is not a second, in which the address may open two more.
    assert!((120..=122).contains(&heard["shown"]), "{heard:?}");
    assert_eq!(heard["shown"] + heard["too_many"], 10_000);
    assert!(wechat.calls() <= 122 + 16, "{}", wechat.calls());
    // Some had too many pages open, the others have asked for too many logins.
    let refused = |reason| gateway.metrics.logins_refused.get_or_create(&[("reason", reason)]).get();
    assert_eq!(refused("address") + refused("share"), heard["too_many"] as u64);

    sleep(Duration::from_secs(10)).await;
    let mut other = Page::open(&gateway, opening()).await;
    Code::shown_by(&mut other).await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_from_everywhere_stays_within_the_budget() {
    let everywhere = |n| Ipv6Addr::from_bits((0x2000_u128 << 112) | (n << 80));
    let (gateway, wechat) = gateway_on_a_budget(8_000);
    let (heard, _pages) = flood(&gateway, everywhere).await;
    // An hour's share at once but for the quarter that is kept, and then one each 3.6 s.
    assert!((750 - 16..=751).contains(&heard["shown"]), "{heard:?}");
    assert_eq!(heard["shown"] + heard["busy"], 10_000);
    assert!(wechat.calls() <= 751, "{}", wechat.calls());

    // Where somebody has scanned, there still are codes.
    let address = "203.0.113.1".parse().unwrap();
    gateway.qr.scanned(address).await;
    for _ in 0..100 {
        Code::shown_by(&mut Page::open(&gateway, Opening { address, ..opening() }).await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_wants_all_codes_gets_its_share_and_leaves_the_others() {
    let (gateway, wechat) = gateway_on_a_budget(9_000);
    let mut shown = 0;
    for _ in 0..9_000 {
        let mut page = Page::open(&gateway, opening()).await;
        let said = page.hear().await;
        if said["message_type"] == "qrcode_url" {
            shown += 1;
        } else {
            assert_eq!((said["code"].as_str(), page.closed().await), (Some("too_many"), 1013), "{said}");
            assert!(said["retry_in"].as_u64().unwrap() > 0, "{said}");
        }
        drop(page);
        sleep(Duration::from_millis(500)).await;
    }
    // 2 % at once, and then as much in a day, of which the flood lasts little more than an hour.
    assert!((180..=180 + 12).contains(&shown), "{shown}");
    assert!(wechat.calls() < 250, "{}", wechat.calls());
    let refused = gateway.metrics.logins_refused.get_or_create(&[("reason", "unscanned")]).get();
    assert_eq!(refused, 9_000 - shown);
    let address = "198.51.100.1".parse().unwrap();
    for _ in 0..100 {
        Code::shown_by(&mut Page::open(&gateway, Opening { address, ..opening() }).await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_budget_is_spent_pages_wait_until_told_otherwise() {
    let everywhere = |n| Ipv6Addr::from_bits((0x2000_u128 << 112) | (n << 80));
    let (gateway, wechat) = gateway_on_a_budget(50);
    let (heard, mut pages) = flood(&gateway, everywhere).await;
    assert_eq!((heard["shown"] + heard["codes_spent"], wechat.calls()), (10_000, 48));
    assert!((48 - 8..=48).contains(&heard["shown"]), "{heard:?}");
    let waiting = pages.last_mut().unwrap();
    let began = Instant::now();
    assert_eq!(waiting.hear_type("error").await["code"], "codes_spent");
    assert!((359..=600).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert_eq!(wechat.calls(), 48);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_a_new_login_and_a_resume_is_none() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let mut code = Code::shown_by(&mut page).await;
    let address = opening().address;
    while gateway.addresses.admit(address).await.unwrap().is_ok() {}
    for _ in 0..3 {
        page = Page::resume(&gateway, &code.resume).await;
        code = Code::shown_by(&mut page).await;
    }
    page.refresh().await;
    assert_eq!(page.hear_type("error").await["code"], "too_many");
    assert_eq!(page.closed().await, 1013);
    assert_eq!(notify(&gateway, &code.scan("p", "")).await, Status::Stored, "its login is not touched");
}

#[tokio::test(start_paused = true)]
async fn a_picture_is_drawn_when_its_code_is_made_and_not_when_the_page_comes_back() {
    let (gateway, wechat) = gateway_on_a_budget(90_000);
    sleep(Duration::from_secs(10)).await;
    let drawn = || gateway.metrics.pictures_drawn.get();
    assert_eq!((drawn(), wechat.calls()), (8, 8), "ahead");
    let mut page = Page::open(&gateway, opening()).await;
    let mut code = Code::shown_by(&mut page).await;
    for _ in 0..20 {
        page = Page::resume(&gateway, &code.resume).await;
        code = Code::shown_by(&mut page).await;
    }
    page.refresh().await;
    Code::shown_by(&mut page).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!((drawn(), wechat.calls()), (10, 10), "one for each code");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_still_shows_the_picture_is_not_sent_it_again() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    let resume = Some(ResumeKey::parse(&code.resume));
    let mut page = Page::open(&gateway, Opening { resume, has_picture: true, ..opening() }).await;
    let shown = page.hear_type("qrcode_url").await;
    assert_eq!((shown.get("image"), shown["resume"].as_str()), (None, Some(&*code.resume)));
    page.refresh().await;
    Code::shown_by(&mut page).await;
}

#[tokio::test(start_paused = true)]
async fn pages_that_come_back_from_one_address_too_fast_are_told_to_wait_and_others_are_not() {
    let mut gateway = crate::testing::in_memory::gateway_with(0);
    gateway.addresses = Addresses::new(1, None);
    let gateway = Arc::new(gateway);
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    let back = async |address: &str| {
        let resume = Some(ResumeKey::parse(&code.resume));
        let address = address.parse().unwrap();
        Page::open(&gateway, Opening { resume, address, ..opening() }).await
    };
    for _ in 0..10 {
        back("192.0.2.1").await.hear_type("qrcode_url").await;
    }
    for _ in 0..400 {
        let mut page = back("192.0.2.1").await;
        let error = page.hear_type("error").await;
        let retry_in = error["retry_in"].as_u64().unwrap();
        assert!(error["code"] == "too_many" && (3_750..=7_500).contains(&retry_in), "{error}");
        assert_eq!(page.closed().await, 1013);
    }
    let reason = [("reason", "resume")];
    assert_eq!(gateway.metrics.logins_refused.get_or_create(&reason).get(), 400);
    back("192.0.2.2").await.hear_type("qrcode_url").await;
    sleep(Duration::from_secs(6)).await;
    let mut page = back("192.0.2.1").await;
    page.hear_type("qrcode_url").await;
    assert_eq!(notify(&gateway, &code.scan("p", "")).await, Status::Delivered);
    page.hear_type("scan_success").await;
}
