//! At the internal port: strangers, and frames that are none.

use std::net::SocketAddr;
use std::time::Instant;

use demo::NOTIFY_KEY;
use e2e::page::{PATIENCE, Page};
use e2e::raw::{End, Raw, UPGRADE, framed, metric};
use serde_json::json;

use super::{client, is_served, log_in, log_in_at_once, stack, state_of};

#[tokio::test]
async fn hostile_frames_end_their_own_connection_and_say_why() {
    let stack = stack().await;
    let mut good = client(&stack).await;
    let mut page = Page::open(stack.gateway.browsers).await;
    let scene = page.code().await.scene();
    let scan = json!({"type": "scan", "scene": scene}).to_string();
    let wrong = json!({"type": "auth", "client": "callback", "proof": "0".repeat(64)}).to_string();
    let stranger = json!({"type": "auth", "client": "\u{1b}[31m", "proof": ""}).to_string();
    let too_long = [&65_537_u32.to_be_bytes()[..], &[b' '; 65_537]].concat();
    let behind = [framed(&wrong), framed(&scan)].concat();
    // What is said to a stranger, and to a client that has proved its key.
    for (fault, bytes, codes) in [
        ("length 0", vec![0; 4], ["bad_frame"; 2]),
        ("length 65,537", too_long.clone(), ["bad_frame"; 2]),
        ("the largest length", vec![0xff; 200_000], ["bad_frame"; 2]),
        ("an HTTP request", format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n").into_bytes(), ["bad_frame"; 2]),
        (
            "a TLS hello",
            [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[7; 506]].concat(),
            ["bad_frame"; 2],
        ),
        ("no JSON", framed(b"hello"), ["bad_json"; 2]),
        ("an array", framed(b"[]"), ["bad_json"; 2]),
        ("no UTF-8", framed(b"{\"type\":\"\xff\"}"), ["bad_json"; 2]),
        ("a nest", framed("[".repeat(60_000)), ["bad_json"; 2]),
        ("a notice before auth", framed(&scan), ["unauthorized", ""]),
        ("a wrong proof", framed(&wrong), ["unauthorized", ""]),
        ("a notice behind it", behind.clone(), ["unauthorized", ""]),
        ("an unknown name", framed(&stranger), ["unauthorized", ""]),
    ] {
        let mut connections = vec![(Raw::connect(stack.gateway.notices).await, codes[0])];
        connections[0].0.message().await.expect("hello");
        if !codes[1].is_empty() {
            connections.push((client(&stack).await, codes[1]));
        }
        for (mut raw, code) in connections {
            raw.write(&bytes).await;
            let error = raw.message().await.unwrap_or_else(|| panic!("{fault}: no error"));
            assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{fault}");
            assert!(!error.to_string().contains(NOTIFY_KEY), "{fault}");
            assert_eq!(raw.ended().await, End::Closed, "{fault}: no reset");
            is_served(&mut good).await;
        }
    }
    // Cut anywhere, a frame has no effect and is closed without a word.
    let frame = framed(&scan);
    for length in [1, 4, 5, frame.len() - 1] {
        let mut cut = client(&stack).await;
        cut.write(&frame[..length]).await;
        tokio::io::AsyncWriteExt::shutdown(&mut cut.0).await.unwrap();
        assert!(cut.message().await.is_none(), "cut at {length}");
        is_served(&mut good).await;
    }
    assert!(metric(stack.gateway.admin, "gateway_unauthorized_total").await >= 13);
    assert_eq!(state_of(&stack, &scene).await, "waiting");
    let answer = good.notify(&json!({"type": "scan", "id": "1", "scene": scene})).await;
    assert_eq!(answer["status"], "delivered");
    page.expect("scan_success").await;
}

#[tokio::test]
async fn a_bad_notice_is_answered_and_the_connection_stays() {
    let stack = stack().await;
    let mut client = client(&stack).await;
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
async fn too_many_connections_to_the_internal_port_are_told_so() {
    const MANY: usize = 300;
    let stack = stack().await;
    // The callback service is connected from here on.
    log_in(&stack).await;
    let mut good = client(&stack).await;
    let mut strangers = Vec::new();
    let mut heard = [0, 0];
    for _ in 0..MANY {
        let mut stranger = Raw::connect(stack.gateway.notices).await;
        match stranger.message().await {
            Some(hello) if hello["type"] == "hello" => heard[0] += 1,
            Some(error) => {
                assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("busy")));
                assert_eq!(stranger.ended().await, End::Closed);
                heard[1] += 1;
            }
            None => panic!("closed without a word"),
        }
        strangers.push(stranger);
    }
    // The gateway has 256 places; this test's client and the callback service have one each.
    assert_eq!(heard, [254, MANY - 254]);
    is_served(&mut good).await;
    log_in_at_once(&stack, "while the internal port is full").await;
    drop(strangers);
    // Their places become free as the gateway notices; until then it says that it is busy.
    let began = Instant::now();
    while refused_at(stack.gateway.notices).await {
        assert!(began.elapsed() < PATIENCE, "the places do not become free");
    }
}

async fn refused_at(notices: SocketAddr) -> bool {
    let said = Raw::connect(notices).await.message().await;
    said.is_none_or(|said| said["type"] != "hello")
}
