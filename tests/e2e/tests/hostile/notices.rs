//! At the internal port: strangers, frames that are none, and TLS where the other end has none.

use std::path::Path;
use std::time::{Duration, Instant};

use demo::{NOTIFY_KEY, Options, Stack};
use e2e::page::{PATIENCE, Page};
use e2e::raw::{End, Raw, UPGRADE, framed, metric, metric_becomes};
use protocol::Key;
use protocol::client::{Client, Link, Settings};
use protocol::tls::ClientTls;
use serde_json::json;
use socket2::SockRef;
use test_certificates::Authority;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{AT_ONCE, client, is_served, log_in_at_once, stack, stack_with, state_of};

const UNAUTHORIZED: &str = "gateway_unauthorized_total";

/// Long enough to be a key. No gateway knows it, but for one that has it in a file of clients.
const OTHER_KEY: &str = "another key, which is not the demo's";

/// The whole auth must have come this long after the hello, and a TLS handshake this long after the connection.
const WITHIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn hostile_frames_end_their_own_connection_and_say_why() {
    let stack = stack().await;
    let mut good = client(&stack).await;
    let mut page = Page::open(stack.gateway.browsers).await;
    let scene = page.code().await.scene();
    let scan = json!({"type": "scan", "scene": scene}).to_string();
    let auth = |name: &str| json!({"type": "auth", "client": name, "proof": "0".repeat(64)}).to_string();
    let length = |length: u32| length.to_be_bytes().to_vec();
    let behind = [framed(auth("callback")), framed(&scan)].concat();
    // What is said to a stranger, and to a client that has proved its key.
    let table = [
        ("length 0", length(0), ["bad_frame"; 2]),
        ("length 1", framed("{"), ["bad_json"; 2]),
        ("length 65,537", length(65_537), ["bad_frame"; 2]),
        ("all of 65,537", [length(65_537), vec![b' '; 65_537]].concat(), ["bad_frame"; 2]),
        ("length 2^31", length(1 << 31), ["bad_frame"; 2]),
        ("length 2^32 - 1", vec![0xff; 200_000], ["bad_frame"; 2]),
        ("an HTTP request", format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n").into_bytes(), ["bad_frame"; 2]),
        ("no JSON", framed(b"hello"), ["bad_json"; 2]),
        ("an array", framed(b"[]"), ["bad_json"; 2]),
        ("no UTF-8", framed(b"{\"type\":\"\xff\"}"), ["bad_json"; 2]),
        ("a nest", framed("[".repeat(60_000)), ["bad_json"; 2]),
        ("a notice before auth", framed(&scan), ["unauthorized", ""]),
        ("a wrong proof", framed(auth("callback")), ["unauthorized", ""]),
        ("a notice behind it", behind, ["unauthorized", ""]),
        ("an unknown client", framed(auth("nobody")), ["unauthorized", ""]),
        ("a name of control characters", framed(auth("\u{1b}[31m")), ["unauthorized", ""]),
    ];
    let mut strangers = 0;
    for (fault, bytes, codes) in table {
        let mut connections = vec![(Raw::connect(stack.gateway.notices).await, codes[0])];
        connections[0].0.message().await.expect("hello");
        strangers += 1;
        if !codes[1].is_empty() {
            connections.push((client(&stack).await, codes[1]));
        }
        for (mut raw, code) in connections {
            raw.write(&bytes).await;
            assert_refused(raw, code, fault).await;
            is_served(&mut good).await;
        }
    }
    let mut stranger = Raw::connect(stack.gateway.notices).await;
    let wrong = stranger.proof("callback", OTHER_KEY).await;
    stranger.write([wrong, framed(&scan)].concat()).await;
    assert_refused(stranger, "unauthorized", "a wrong key").await;
    assert_eq!(metric(stack.gateway.admin, UNAUTHORIZED).await, strangers + 1);

    assert_eq!(state_of(&stack, &scene).await, "waiting");
    let answer = good.notify(&json!({"type": "scan", "id": "1", "scene": scene})).await;
    assert_eq!(answer["status"], "delivered");
    page.expect("scan_success").await;
}

/// The port says so and closes.
async fn assert_refused(mut raw: Raw, code: &str, fault: &str) {
    let error = raw.message().await.unwrap_or_else(|| panic!("{fault}: no error"));
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{fault}");
    assert!(!error.to_string().contains(NOTIFY_KEY), "{fault}");
    assert_eq!(raw.ended().await, End::Closed, "{fault}: no reset");
}

#[tokio::test]
async fn a_connection_cut_at_any_byte_has_done_nothing() {
    let stack = stack().await;
    let mut good = client(&stack).await;
    let mut page = Page::open(stack.gateway.browsers).await;
    let scene = page.code().await.scene();
    let scan = framed(json!({"type": "scan", "scene": scene, "nickname": "阿狸"}).to_string());
    let connect = async || {
        let mut raw = Raw::connect(stack.gateway.notices).await;
        let auth = raw.proof("callback", NOTIFY_KEY).await;
        (raw, [&auth[..], &scan].concat())
    };
    let (mut whole, bytes) = connect().await;
    for cut in 0..bytes.len() {
        let (mut closed, bytes) = connect().await;
        closed.write(&bytes[..cut]).await;
        closed.0.shutdown().await.unwrap();
        assert_eq!(closed.message().await, None, "closed at {cut}");
        let (mut reset, bytes) = connect().await;
        reset.write(&bytes[..cut]).await;
        SockRef::from(&reset.0).set_linger(Some(Duration::ZERO)).unwrap();
        drop(reset);
        is_served(&mut good).await;
    }
    // When the last one has gone, this test's client and the callback service are left.
    metric_becomes(stack.gateway.admin, r#"gateway_clients{client="callback",key="1"}"#, 2).await;
    assert_eq!(state_of(&stack, &scene).await, "waiting");
    assert_eq!(metric(stack.gateway.admin, UNAUTHORIZED).await, 0, "they have left by themselves");
    whole.write(&bytes).await;
    assert_eq!(whole.message().await.unwrap()["status"], "delivered");
    assert_eq!(page.expect("scan_success").await["user"], "阿狸");
}

#[tokio::test]
async fn who_is_slow_with_the_auth_is_closed_after_five_seconds() {
    let stack = stack().await;
    let mut good = client(&stack).await;
    // How many bytes of it come at once, and the pause before each of the others.
    let slow = [(0, 60_000), (0, 100), (3, 1_000), (100, 500)].map(|(at_once, pause)| {
        let (port, pause) = (stack.gateway.notices, Duration::from_millis(pause));
        tokio::spawn(async move {
            let began = Instant::now();
            let mut raw = Raw::connect(port).await;
            let auth = raw.proof("callback", NOTIFY_KEY).await;
            raw.write(&auth[..at_once]).await;
            for byte in &auth[at_once..] {
                match timeout(pause.min(2 * WITHIN), raw.0.peek(&mut [0])).await {
                    Ok(_) => break,
                    Err(_) => raw.write([*byte]).await,
                }
            }
            let took = began.elapsed();
            assert!((WITHIN..WITHIN + AT_ONCE).contains(&took), "{at_once}, then each {pause:?}: {took:?}");
            assert_refused(raw, "unauthorized", "too slow").await;
        })
    });
    while !slow.iter().all(JoinHandle::is_finished) {
        is_served(&mut good).await;
        log_in_at_once(&stack, "while strangers are slow").await;
    }
    let count = slow.len() as u64;
    for stranger in slow {
        stranger.await.unwrap();
    }
    assert_eq!(metric(stack.gateway.admin, UNAUTHORIZED).await, count);
}

#[tokio::test]
async fn what_a_client_has_said_is_worth_nothing_on_another_connection() {
    let stack = stack().await;
    let mut page = Page::open(stack.gateway.browsers).await;
    let scene = page.code().await.scene();
    let mut good = Raw::connect(stack.gateway.notices).await;
    let claim = framed(json!({"type": "claim", "scene": scene, "by": "p"}).to_string());
    let said = [good.proof("callback", NOTIFY_KEY).await, claim].concat();
    good.write(&said).await;
    assert_eq!(good.message().await.unwrap()["status"], "delivered");
    page.expect("scanned").await;
    // The thief adds what the client would say next. The client is there the first time, and gone the second.
    let scan = framed(json!({"type": "scan", "scene": scene, "by": "p"}).to_string());
    let mut good = Some(good);
    for times in 1..=2 {
        let mut thief = Raw::connect(stack.gateway.notices).await;
        thief.message().await.expect("hello");
        thief.write([&said[..], &scan].concat()).await;
        assert_refused(thief, "unauthorized", "a proof of another connection").await;
        assert_eq!(metric(stack.gateway.admin, UNAUTHORIZED).await, times);
        good = None;
    }
    drop(good);
    assert_eq!(state_of(&stack, &scene).await, "scanned");
    let claims = metric(
        stack.gateway.admin,
        r#"gateway_notices_total{client="callback",type="claim",status="delivered"}"#,
    )
    .await;
    assert_eq!(claims, 1, "the thief's was not looked at");
}

#[tokio::test]
async fn a_notice_without_its_right_is_forbidden_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clients.toml");
    let shop = format!("[[client]]\nname = \"shop\"\nkeys = [{OTHER_KEY:?}]\nmay = [\"query\"]\n");
    std::fs::write(&file, shop).unwrap();
    let stack = stack_with(&[&format!("--gateway-notify-clients={}", file.display())]).await;
    let mut page = Page::open(stack.gateway.browsers).await;
    let scene = page.code().await.scene();
    let mut shop = Raw::connect(stack.gateway.notices).await;
    let proof = shop.proof("shop", OTHER_KEY).await;
    shop.write(proof).await;
    for forbidden in ["scan", "claim", "deny"] {
        let answer = shop.notify(&json!({"type": forbidden, "id": "1", "scene": scene, "by": "p"})).await;
        assert_eq!(answer, json!({"type": "answer", "id": "1", "status": "forbidden"}), "{forbidden}");
    }
    let query = json!({"type": "query", "scene": scene});
    assert_eq!(shop.notify(&query).await, json!({"type": "answer", "status": "ok", "state": "waiting"}));
    let scan = json!({"type": "scan", "scene": scene});
    assert_eq!(client(&stack).await.notify(&scan).await["status"], "delivered");
    page.expect("scan_success").await;
}

#[tokio::test]
async fn tls_at_a_port_that_speaks_none_is_told_what_is_wrong() {
    let stack = stack().await;
    let mut good = client(&stack).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new(folder.path(), "ours").certificate;
    let lost = Client::start(Settings {
        name: "callback".to_owned(),
        key: Key::new(&NOTIFY_KEY.into()).unwrap(),
        addresses: vec![stack.gateway.notices.to_string()],
        tls: Some(ClientTls { ca: Some(ca), ..ClientTls::default() }),
    });
    let link = timeout(PATIENCE, lost.wait_for(|link| *link != Link::Starting)).await.unwrap();
    let Link::Broken(why) = link else { panic!("{link:?}") };
    assert!(why.contains("does the gateway's port speak TLS"), "{why}");
    is_served(&mut good).await;
    log_in_at_once(&stack, "while a client speaks TLS").await;
    assert!(metric(stack.gateway.admin, UNAUTHORIZED).await >= 1);
}

#[tokio::test]
async fn at_a_port_that_speaks_tls_nothing_else_is_heard() {
    const FAILURES: &str = "gateway_tls_failures_total";
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new(folder.path(), "ours");
    let own = ca.sign("gateway", &["127.0.0.1"]);
    let flag = |name: &str, file: &Path| format!("--{name}={}", file.display());
    let stack = Stack::start(Options {
        gateway: vec![
            flag("gateway-notify-tls-cert", &own.certificate),
            flag("gateway-notify-tls-key", &own.key),
        ],
        callback: vec![
            "--callback-gateway-tls=true".to_owned(),
            flag("callback-gateway-ca", &ca.certificate),
        ],
        ..Options::default()
    })
    .await
    .unwrap();
    let port = stack.gateway.notices;
    let silent = tokio::spawn(async move {
        let began = Instant::now();
        let said = Raw::connect(port).await.rest().await;
        (said, began.elapsed())
    });
    let auth = json!({"type": "auth", "client": "callback", "proof": "0".repeat(64)}).to_string();
    let hello = [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[7; 506]].concat();
    let mut failures = 0;
    for (fault, bytes) in [
        ("a frame", framed(auth)),
        ("an HTTP request", format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n").into_bytes()),
        ("zeros", vec![0; 200_000]),
        ("the largest bytes", vec![0xff; 200_000]),
        ("a TLS hello that is none", hello.clone()),
        ("a TLS record over its limit", [&b"\x16\x03\x01\xff\xff"[..], &[7; 65_535]].concat()),
        ("a TLS alert", b"\x15\x03\x03\x00\x02\x02\x28".to_vec()),
    ] {
        let mut raw = Raw::connect(port).await;
        raw.write(&bytes).await;
        let (said, end) = raw.rest().await;
        drop(raw);
        assert_eq!(end, End::Closed, "{fault}: no reset");
        // A record of the type alert, with two bytes: fatal, and why.
        let is_alert = matches!(said[..], [21, 3, _, 0, 2, 2, _]);
        assert!(is_alert || said.is_empty(), "{fault}: {said:x?}");
        failures += 1;
        metric_becomes(stack.gateway.admin, FAILURES, failures).await;
    }
    // Who leaves in the midst of it is no failure.
    let mut left = Raw::connect(port).await;
    left.write(&hello[..9]).await;
    left.0.shutdown().await.unwrap();
    assert_eq!(left.rest().await, (Vec::new(), End::Closed));

    let (said, took) = silent.await.unwrap();
    assert_eq!(said, (Vec::new(), End::Closed));
    assert!((WITHIN..WITHIN + AT_ONCE).contains(&took), "{took:?}");
    metric_becomes(stack.gateway.admin, FAILURES, failures + 1).await;
    log_in_at_once(&stack, "over TLS").await;
    assert_eq!(metric(stack.gateway.admin, UNAUTHORIZED).await, 0);
}

#[tokio::test]
async fn a_bad_notice_is_answered_and_the_connection_stays() {
    let stack = stack().await;
    let mut client = client(&stack).await;
    // A bad id is none that comes back, and auth has none.
    for bad in [json!({"type": "auth", "client": "callback", "proof": ""}), json!({"type": "ping", "id": 1})]
    {
        let answer = client.notify(&bad).await;
        assert_eq!((&answer["status"], answer.get("id")), (&json!("bad"), None), "{bad}");
        is_served(&mut client).await;
    }
    // The largest frames are frames as any other.
    for length in [65_535, 65_536] {
        let mut ping = br#"{"type":"ping"}"#.to_vec();
        ping.resize(length, b' ');
        client.write(framed(ping)).await;
        assert_eq!(client.message().await, Some(json!({"type": "pong"})), "{length}");
    }
    for notice in [
        json!({"type": "shout", "id": "1"}),
        json!({"type": "scan", "id": "1"}),
        json!({"type": "scan", "id": "1", "scene": "../../etc/passwd"}),
        json!({"type": "scan", "id": "1", "scene": "A".repeat(22), "fd": "B".repeat(22)}),
        json!({"type": "scan", "id": "1", "scene": "A".repeat(22), "nickname": "x".repeat(257)}),
        json!({"type": "claim", "id": "1", "scene": "A".repeat(22)}),
        json!({"type": "claim", "id": "1", "scene": "A".repeat(22), "by": "x", "number": "4<"}),
        json!({"type": ["scan"], "id": "1"}),
    ] {
        let answer = client.notify(&notice).await;
        assert_eq!((&answer["status"], &answer["id"]), (&json!("bad"), &json!("1")), "{notice}");
        is_served(&mut client).await;
    }
}

#[tokio::test]
async fn strangers_at_the_internal_port_keep_no_client_out() {
    const MANY: usize = 300;
    let stack = stack().await;
    let mut good = client(&stack).await;
    let mut strangers = Vec::new();
    for _ in 0..MANY {
        strangers.push(Raw::connect(stack.gateway.notices).await);
    }
    // They say nothing, and more of them come all the time. Each new one takes the place of the one that has waited
    // longest, so a client that knows its key is in at once.
    let (port, began) = (stack.gateway.notices, Instant::now());
    let flood = tokio::spawn(async move {
        loop {
            strangers.push(Raw::connect(port).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    for _ in 0..20 {
        client(&stack).await;
    }
    log_in_at_once(&stack, "while strangers flood the internal port").await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    is_served(&mut good).await;
    assert!(!flood.is_finished());
    flood.abort();
    assert!(metric(stack.gateway.admin, UNAUTHORIZED).await > (MANY / 2) as u64, "they gave way");
}
