//! Bytes that are no frames, frames that are cut or slow, and connections on which nothing comes.

use std::time::Duration;

use protocol::codec::MAX_FRAME;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use super::{Port, Wire, frame, framed};

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frame_of_one_object_end_their_own_connection() {
    let port = Port::open();
    let mut good = port.client().await;
    let unknown_field = [&b"{\"type\":\"ping\",\"later\":\""[..], b"\xff\xfe\"}"].concat();
    let mut too_long = 65_537_u32.to_be_bytes().to_vec();
    too_long.extend([b' '; 100]);
    for (fault, bytes, code) in [
        ("length 0", vec![0; 4], "bad_frame"),
        ("one byte too long", too_long, "bad_frame"),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "bad_frame"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), "bad_frame"),
        ("no JSON", framed(b"hello"), "bad_json"),
        ("half an object", framed(b"{\"type\":\"ping\""), "bad_json"),
        ("two objects", framed(b"{\"type\":\"ping\"}{}"), "bad_json"),
        ("an array", framed(b"[]"), "bad_json"),
        ("an array of fields", framed(b"[\"ping\"]"), "bad_json"),
        ("a number", framed(b"7"), "bad_json"),
        ("null", framed(b"null"), "bad_json"),
        ("no UTF-8", framed(b"{\"type\":\"\xff\"}"), "bad_json"),
        ("no UTF-8 in an unknown field", framed(&unknown_field), "bad_json"),
        ("UTF-16", framed(b"\xff\xfe{\0}\0"), "bad_json"),
    ] {
        let mut stranger = port.connect();
        stranger.challenge().await;
        let mut client = port.client().await;
        for wire in [&mut stranger, &mut client] {
            wire.write(&bytes).await;
            assert_eq!(wire.refused().await, code, "{fault}");
        }
        good.is_served().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_largest_frame_is_taken() {
    let mut wire = Port::open().client().await;
    let mut json = br#"{"type":"ping"}"#.to_vec();
    json.resize(MAX_FRAME, b' ');
    wire.write(&framed(&json)).await;
    assert_eq!(wire.hear().await, json!({"type": "pong"}));
}

#[tokio::test(start_paused = true)]
async fn a_notice_cut_at_any_byte_does_nothing() {
    let port = Port::open();
    let scene = port.login().await;
    let mut good = port.client().await;
    let notice = frame(&json!({"type": "scan", "scene": scene, "nickname": "阿狸"}));
    for cut in 0..notice.len() {
        let mut wire = port.client().await;
        wire.write(&notice[..cut]).await;
        wire.stream.shutdown().await.unwrap();
        wire.ended().await;
        wire.task.await.unwrap();
    }
    assert_eq!(good.ask(&json!({"type": "query", "scene": scene})).await["state"], "waiting");
    // Every piece in a write of its own is the whole notice.
    for byte in notice {
        good.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(good.hear().await["status"], "stored");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_trickle_are_no_sign_of_life() {
    let port = Port::open();
    let mut good = port.client().await;
    let ping = frame(&json!({"type": "ping", "id": "a name long enough to outlast two heartbeats"}));
    let mut stranger = port.connect();
    stranger.challenge().await;
    trickles(stranger, &ping, &mut good, ("unauthorized", 5)).await;
    let mut client = port.client().await;
    client.is_served().await;
    trickles(client, &ping, &mut good, ("silent", 60)).await;
}

/// Writes a byte each 10 s until the gateway says `code` and closes, after as many seconds as given.
async fn trickles(mut wire: Wire, bytes: &[u8], good: &mut Wire, (code, seconds): (&str, u64)) {
    let start = Instant::now();
    for byte in bytes {
        if wire.stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        good.is_served().await;
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(wire.refused().await, code);
    // The client itself never hangs up, for which the gateway waits a second.
    assert_eq!((wire.task.await.unwrap() - start).as_secs(), seconds + 1, "{code}");
}

#[tokio::test(start_paused = true)]
async fn two_heartbeats_of_silence_end_a_connection_and_pings_keep_it() {
    let port = Port::open();
    let mut lively = port.client().await;
    let mut silent = port.client().await;
    silent.is_served().await;
    let start = Instant::now();
    for _ in 0..10 {
        sleep(Duration::from_millis(59_999)).await;
        lively.is_served().await;
    }
    assert_eq!(silent.refused().await, "silent");
    assert_eq!((silent.task.await.unwrap() - start).as_secs(), 61, "a second to hang up");
}
