//! What WeChat's codes are spent on: a rate for each address, a budget for all of them, and nothing for coming
//! back. Over real sockets, behind a proxy on this machine that says where each page comes from.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use demo::{Options, Stack};
use e2e::page::Heard;
use e2e::raw::{Raw, masked, metric};
use futures_util::future::join_all;
use serde_json::Value;
use simulator::{Call, Fault};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// New logins a minute from one address. The sixth would be free 12 s after the first.
const RATE: usize = 5;

/// The gateway believes what this machine says in X-Forwarded-For.
const BEHIND_A_PROXY: &str = "--gateway-trusted-proxies=127.0.0.1";

async fn stack(gateway: &[&str]) -> Stack {
    let gateway = gateway.iter().map(|&flag| flag.to_owned()).collect();
    Stack::start(Options { gateway, ..Options::default() }).await.unwrap()
}

async fn stack_with_rate(proxies: &[&str]) -> Stack {
    let rate = format!("--gateway-address-rate={RATE}");
    stack(&[&[rate.as_str()], proxies].concat()).await
}

/// A page that comes with this X-Forwarded-For.
async fn open(stack: &Stack, forwarded: &str) -> Raw {
    let raw = Raw::connect(stack.gateway.browsers).await;
    let headers = [("X-Forwarded-For", forwarded), ("Sec-WebSocket-Protocol", "saoma.v1")];
    raw.upgrade("/ws", &headers).await.expect("the handshake is no place for limits")
}

/// A page that comes back to the login of `code`.
async fn resume(stack: &Stack, forwarded: &str, code: &Value) -> Raw {
    let raw = Raw::connect(stack.gateway.browsers).await;
    let offered = format!("saoma.v1, resume.{}", code["resume"].as_str().unwrap());
    let headers = [("X-Forwarded-For", forwarded), ("Sec-WebSocket-Protocol", &offered)];
    raw.upgrade("/ws", &headers).await.unwrap()
}

/// Opens a page for each of these and lets it be shown a code.
async fn are_shown_codes(stack: &Stack, forwarded: &[&str]) {
    for forwarded in forwarded {
        open(stack, forwarded).await.expect("qrcode_url").await;
    }
}

/// The page hears that its address asked too often, when to come back, and the close that goes with it.
async fn is_told_to_wait(mut page: Raw) {
    let error = page.expect("error").await;
    assert_eq!(error["code"], "too_many", "{error}");
    let retry_in = error["retry_in"].as_u64().unwrap();
    assert!((3_000..=15_000).contains(&retry_in), "{error}");
    assert_eq!(page.hear().await, Heard::Closed(1013));
}

async fn scan(stack: &Stack, code: &Value) {
    let openid = stack.wechat.invent_person("", true).openid;
    stack.wechat.scan(&openid, code["content"].as_str().unwrap()).await.unwrap();
}

async fn is_logged_in(page: &mut Raw) {
    page.expect("scanned").await;
    page.expect("scan_success").await;
    assert_eq!(page.hear().await, Heard::Closed(4010));
}

async fn refused(stack: &Stack, reason: &str) -> u64 {
    let name = format!("gateway_logins_refused_total{{reason=\"{reason}\"}}");
    metric(stack.gateway.admin, &name).await
}

#[tokio::test]
async fn one_login_too_many_from_an_address_is_told_to_wait_and_others_are_not() {
    let stack = stack_with_rate(&[BEHIND_A_PROXY]).await;
    are_shown_codes(&stack, &["203.0.113.1"; RATE]).await;
    is_told_to_wait(open(&stack, "203.0.113.1").await).await;
    assert_eq!(refused(&stack, "address").await, 1);
    are_shown_codes(&stack, &["203.0.113.2"; RATE]).await;
    assert_eq!(refused(&stack, "address").await, 1);
}

#[tokio::test]
async fn a_refresh_counts_and_coming_back_does_not() {
    let stack = stack_with_rate(&[BEHIND_A_PROXY]).await;
    let mut page = open(&stack, "203.0.113.1").await;
    let first = page.expect("qrcode_url").await;
    page.write(masked(1, br#"{"message_type":"refresh"}"#)).await;
    let second = page.expect("qrcode_url").await;
    assert_ne!(first["content"], second["content"]);
    are_shown_codes(&stack, &["203.0.113.1"; RATE - 2]).await;
    page.write(masked(1, br#"{"message_type":"refresh"}"#)).await;
    is_told_to_wait(page).await;

    for _ in 0..2 * RATE {
        let again = resume(&stack, "203.0.113.1", &second).await.expect("qrcode_url").await;
        assert_eq!(again["content"], second["content"]);
    }
    let mut page = resume(&stack, "203.0.113.1", &second).await;
    page.expect("qrcode_url").await;
    tokio::join!(scan(&stack, &second), is_logged_in(&mut page));
}

/// Codes that one address may leave unscanned, however small the day's budget is; its network has four times as many.
const SHARE: usize = 20;

#[tokio::test]
async fn an_address_has_its_share_of_the_days_codes_and_a_scan_gives_one_back() {
    let flags = ["--gateway-qr-per-day=1000", "--gateway-address-rate=120", BEHIND_A_PROXY];
    let stack = stack(&flags).await;
    let mut page = open(&stack, "203.0.113.1").await;
    let code = page.expect("qrcode_url").await;
    are_shown_codes(&stack, &["203.0.113.1"; SHARE - 1]).await;
    for _ in 0..3 {
        let mut page = open(&stack, "203.0.113.1").await;
        let error = page.expect("error").await;
        assert_eq!(error["code"], "too_many", "{error}");
        assert!((45_000..=75_000).contains(&error["retry_in"].as_u64().unwrap()), "{error}");
        assert_eq!(page.hear().await, Heard::Closed(1013));
    }
    assert_eq!(refused(&stack, "unscanned").await, 3);
    are_shown_codes(&stack, &["203.0.113.2"; SHARE]).await;
    are_shown_codes(&stack, &["198.51.100.1"; SHARE]).await;

    tokio::join!(scan(&stack, &code), is_logged_in(&mut page));
    // It is given back beside the answer to the claim, so perhaps a moment later.
    let mut tries = 0;
    let is_code =
        |heard: Heard| matches!(heard, Heard::Message(said) if said["message_type"] == "qrcode_url");
    while !is_code(open(&stack, "203.0.113.1").await.hear().await) {
        tries += 1;
        assert!(tries < 50, "the scan gives one back");
    }
}

#[tokio::test]
async fn an_ipv6_64_is_one_address() {
    let stack = stack_with_rate(&[BEHIND_A_PROXY]).await;
    let neighbours = [
        "2001:db8:0:1::1",
        "2001:db8:0:1::2",
        "2001:db8:0:1:8000::",
        "[2001:db8:0:1:ffff:ffff:ffff:ffff]:4711",
        "2001:DB8:0:1::1",
    ];
    are_shown_codes(&stack, &neighbours[..RATE]).await;
    is_told_to_wait(open(&stack, "2001:db8:0:1:1:2:3:4").await).await;
    are_shown_codes(&stack, &["2001:db8:0:2::1", "2001:db8::1"]).await;
}

#[tokio::test]
async fn what_nobody_we_trust_says_of_addresses_is_ignored() {
    let claims: Vec<String> = (1..=RATE).map(|n| format!("198.51.100.{n}")).collect();
    let claims: Vec<&str> = claims.iter().map(String::as_str).collect();
    // The peer is no proxy of ours.
    for proxies in [&[][..], &["--gateway-trusted-proxies=10.0.0.0/8"]] {
        let stack = stack_with_rate(proxies).await;
        are_shown_codes(&stack, &claims).await;
        is_told_to_wait(open(&stack, "198.51.100.99").await).await;
    }
    // The peer is one, and passes on what its own peer, 203.0.113.9, claims.
    let stack = stack_with_rate(&[BEHIND_A_PROXY]).await;
    for claim in claims {
        are_shown_codes(&stack, &[&format!("{claim}, 203.0.113.9")]).await;
    }
    is_told_to_wait(open(&stack, "198.51.100.99, 203.0.113.9").await).await;
}

/// What the gateway says it has asked of WeChat, and what WeChat says it was asked.
async fn calls(stack: &Stack) -> (u64, u64) {
    (metric(stack.gateway.admin, "gateway_qr_calls_total").await, stack.wechat.counters().qr_calls)
}

#[tokio::test]
async fn while_wechat_refuses_nothing_is_spent_and_pages_hear_the_reason() {
    let flags = ["--gateway-qr-per-day=100", "--gateway-qr-ready=0", "--gateway-ways=scan", BEHIND_A_PROXY];
    let stack = stack(&flags).await;
    stack.wechat.switches().fail(Call::QrcodeCreate, Fault::errcode(48001));
    for number in 0..110 {
        let error = open(&stack, &format!("203.0.113.{number}")).await.expect("error").await;
        assert_eq!(error["code"], "wechat_unavailable", "page {number}: {error}");
    }
    assert_eq!(calls(&stack).await, (1, 1));
}

#[tokio::test]
async fn each_try_that_wechat_gets_is_counted() {
    let stack = stack(&["--gateway-qr-ready=0"]).await;
    stack.wechat.switches().fail(Call::QrcodeCreate, Fault::errcode(-1).times(2));
    open(&stack, "203.0.113.1").await.expect("qrcode_url").await;
    assert_eq!(calls(&stack).await, (3, 3));
}

/// Pages that open in the flood, and how many of them at once.
const FLOOD: usize = 10_000;
const AT_ONCE: usize = 100;

/// Codes that may be asked for at once, however small the day's budget is: a hundred. Codes come back to that one
/// by one, each in about a minute, and a slow machine may see some.
const AT_MOST_AT_ONCE: u64 = 100 + 5;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_opens_of_a_flood_stay_within_the_budget_and_who_has_a_code_logs_in() {
    let stack = Arc::new(stack(&["--gateway-qr-per-day=500", BEHIND_A_PROXY]).await);
    let mut stays = open(&stack, "203.0.113.1").await;
    let code_of_who_stays = stays.expect("qrcode_url").await;
    let code_of_who_comes_back = open(&stack, "203.0.113.2").await.expect("qrcode_url").await;

    let (opened, half) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut flood = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (stack, opened, half) = (Arc::clone(&stack), Arc::clone(&opened), Arc::clone(&half));
        flood.spawn(async move {
            let mut shown = 0;
            loop {
                let number = opened.fetch_add(1, Ordering::Relaxed);
                match number {
                    FLOOD.. => return shown,
                    _ if number == FLOOD / 2 => half.notify_one(),
                    _ => {}
                }
                // Each from an address of its own.
                let mut page = open(&stack, &format!("10.0.{}.{}", number / 250, number % 250)).await;
                match page.hear().await {
                    Heard::Message(said) if said["message_type"] == "qrcode_url" => shown += 1,
                    Heard::Message(said) => {
                        assert_eq!((&said["message_type"], &said["code"]), (&"error".into(), &"busy".into()));
                        assert!(said["retry_in"].as_u64().unwrap() >= 5_000, "{said}");
                        assert_eq!(page.hear().await, Heard::Closed(1013));
                    }
                    Heard::Closed(code) => panic!("closed with {code} and nothing said"),
                }
            }
        });
    }
    // In the middle of it.
    tokio::select! {
        () = half.notified() => {}
        Some(ended) = flood.join_next() => panic!("the flood ended before its half: {ended:?}"),
    }
    tokio::join!(scan(&stack, &code_of_who_stays), is_logged_in(&mut stays));
    let shown: u64 = flood.join_all().await.into_iter().sum();

    let calls = stack.wechat.counters().qr_calls;
    assert!(calls <= AT_MOST_AT_ONCE, "{calls} calls of WeChat");
    assert!(shown > 0 && shown + 2 <= calls, "{shown} pages of the flood were shown one of {calls} codes");
    assert_eq!(refused(&stack, "rush").await, u64::try_from(FLOOD).unwrap() - shown);

    let mut back = resume(&stack, "203.0.113.2", &code_of_who_comes_back).await;
    assert_eq!(back.expect("qrcode_url").await["content"], code_of_who_comes_back["content"]);
    tokio::join!(scan(&stack, &code_of_who_comes_back), is_logged_in(&mut back));
}

#[tokio::test]
async fn beyond_the_days_budget_pages_are_told_when_to_retry_and_stay() {
    let stack = stack(&["--gateway-qr-per-day=100", "--gateway-ways=scan", BEHIND_A_PROXY]).await;
    let opening = (0..300).map(|number| {
        let stack = &stack;
        async move {
            let mut page = open(stack, &format!("10.0.{}.{}", number / 250, number % 250)).await;
            let Heard::Message(said) = page.hear().await else { panic!("a page was let go of") };
            (page, said)
        }
    });
    let mut pages = join_all(opening).await;
    let (shown, told): (Vec<_>, Vec<_>) =
        pages.iter().map(|(_, said)| said).partition(|said| said["message_type"] == "qrcode_url");
    for said in &told {
        assert_eq!((&said["message_type"], &said["code"]), (&"error".into(), &"codes_spent".into()));
        assert!(said["retry_in"].as_u64().unwrap() <= 10 * 60 * 1000, "{said}");
    }
    // The last five are for networks that have had a scan.
    assert_eq!(stack.wechat.counters().qr_calls, 95);
    // A code that was being made ahead may have come after the last page had asked.
    assert!((85..=95).contains(&shown.len()), "{} pages were shown a code", shown.len());
    assert_eq!(refused(&stack, "spent").await, u64::try_from(told.len()).unwrap());
    // None was let go of: each answers a ping and says nothing else first.
    for (page, _) in &mut pages {
        page.write(masked(9, b"?")).await;
        assert_eq!(page.read(3).await.as_deref(), Some(&[0x8a, 1, b'?'][..]));
    }
}
