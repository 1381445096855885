//! Many clients at once: every notice has its answer, and nobody waits for somebody else.

use std::collections::HashSet;

use e2e::raw::{Raw, framed};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::*;

/// Notices of each of the connections.
const NOTICES: usize = 2_000;

const CONNECTIONS: usize = 16;

async fn proved(port: &Port) -> Raw {
    let mut raw = Raw::connect(port.fleet.gateways[0].notices).await;
    let hello = raw.message().await.unwrap();
    let proof = Key::new(&SHOP_KEY.into()).unwrap().proof(hello["challenge"].as_str().unwrap());
    raw.write(framed(json!({"type": "auth", "client": "shop", "proof": proof}).to_string())).await;
    raw
}

/// Writes everything without waiting, and reads everything meanwhile; the ids that were answered.
async fn all_at_once(raw: Raw, scene: Scene) -> Vec<Value> {
    let (reading, mut writing) = raw.0.into_split();
    let notices = (0..NOTICES).map(|id| json!({"type": "query", "id": id.to_string(), "scene": scene}));
    let frames: Vec<u8> = notices.flat_map(|notice| framed(notice.to_string())).collect();
    let write = async move {
        tokio::io::AsyncWriteExt::write_all(&mut writing, &frames).await.unwrap();
        writing
    };
    let read = async move {
        let codec = tokio_util::codec::LengthDelimitedCodec::new();
        let mut frames = tokio_util::codec::FramedRead::new(reading, codec);
        let mut answers = Vec::new();
        while answers.len() < NOTICES {
            let frame = futures_util::StreamExt::next(&mut frames).await.unwrap().unwrap();
            answers.push(serde_json::from_slice(&frame).unwrap());
        }
        answers
    };
    tokio::join!(write, read).1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_notice_is_answered_once_while_others_do_not_read_at_all() {
    let port = Port::start(&entry("shop", &[SHOP_KEY], &["query"])).await;
    let (_page, scene) = port.page().await;
    // These ask and never take an answer; the gateway stops reading from them, and lets them go.
    let mut deaf = Vec::new();
    for _ in 0..8 {
        let mut raw = proved(&port).await;
        let question = framed(json!({"type": "query", "scene": scene}).to_string());
        let flood = question.repeat(20_000);
        tokio::select! {
            () = raw.write(&flood) => {}
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        deaf.push(raw);
    }
    let mut busy = JoinSet::new();
    for _ in 0..CONNECTIONS {
        busy.spawn(all_at_once(proved(&port).await, scene));
    }
    for answers in busy.join_all().await {
        assert!(answers.iter().all(|answer| answer["status"] == "ok"));
        let ids: HashSet<&str> = answers.iter().map(|answer| answer["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), NOTICES, "each has its own answer");
    }
    port.metric_becomes("gateway_clients{client=\"shop\",key=\"1\"}", 0).await;
}

/// The delays of so many notices, one after the other; the median and the longest but two.
async fn delays(client: &Client, scene: Scene) -> [Duration; 2] {
    let mut delays = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        assert_eq!(status(client, Notice::Query { scene }).await, Status::Ok);
        delays.push(began.elapsed());
    }
    delays.sort_unstable();
    [delays[100], delays[197]]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_slow_connections_delay_no_notice() {
    let port = Port::start(&entry("shop", &[SHOP_KEY], &["query"])).await;
    let (_page, scene) = port.page().await;
    let client = port.client("shop", SHOP_KEY, None);
    client.connected().await;
    let alone = delays(&client, scene).await;
    let mut slow = JoinSet::new();
    for number in 0..50_usize {
        let mut raw = Raw::connect(port.fleet.gateways[0].notices).await;
        slow.spawn(async move {
            // The oldest strangers of an address give way to the next ones, perhaps before they are greeted.
            if raw.message().await.is_none() {
                return raw.ended().await;
            }
            // Some say nothing, the others a byte now and then; none is done in five seconds.
            let auth = framed(json!({"type": "auth", "client": "shop", "proof": "0".repeat(64)}).to_string());
            for byte in auth.iter().take((number % 2) * auth.len()) {
                raw.write([*byte]).await;
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
            raw.ended().await
        });
    }
    let meanwhile = delays(&client, scene).await;
    eprintln!(
        "the median and the 198th of 200 delays: alone {alone:?}, with 50 slow connections {meanwhile:?}"
    );
    assert!(meanwhile[0] < alone[0] + Duration::from_millis(50), "{alone:?} {meanwhile:?}");
    assert_eq!(slow.join_all().await.len(), 50, "all of them are let go");
}
