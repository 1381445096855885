//! Many notices on one connection: the order of answers, how many are in flight, and who gets them at the end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use super::super::conversation::IN_FLIGHT;
use super::{Port, frame, slow_claim};
use crate::testing::in_memory::KEY;

#[tokio::test(start_paused = true)]
async fn five_hundred_notices_in_one_write_are_all_answered() {
    let port = Port::open();
    let scene = port.login().await;
    let mut wire = port.client().await;
    let notices: Vec<Vec<u8>> =
        (0..500).map(|id| frame(&json!({"type": "query", "id": id.to_string(), "scene": scene}))).collect();
    wire.write(&notices.concat()).await;
    let mut ids = Vec::new();
    for _ in 0..500 {
        let answer = wire.hear().await;
        assert_eq!(answer["status"], "ok");
        ids.push(answer["id"].as_str().unwrap().parse::<u32>().unwrap());
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..500).collect::<Vec<_>>());
    wire.is_served().await;
}

#[tokio::test(start_paused = true)]
async fn pages_that_were_woken_have_their_turn_before_all_is_taken_that_has_come() {
    let (port, begun) = Port::slow();
    let (scene, seat) = port.login_with_page().await;
    let mut wire = port.client().await;
    let claim = frame(&json!({"type": "claim", "scene": scene, "by": "0"}));
    let query = frame(&json!({"type": "query", "scene": scene}));
    let page = tokio::spawn(async move {
        seat.woken().await;
        begun.load(Ordering::Relaxed)
    });
    wire.write(&[claim, query.repeat(8 * IN_FLIGHT)].concat()).await;
    for _ in 0..=8 * IN_FLIGHT {
        wire.hear().await;
    }
    assert!(page.await.unwrap() <= 2 * IN_FLIGHT);
}

#[tokio::test(start_paused = true)]
async fn answers_come_as_they_are_ready_and_only_so_many_notices_are_taken_at_once() {
    let (port, begun) = Port::slow();
    let mut wire = port.client().await;
    wire.say(&slow_claim(port.login().await, 2)).await;
    wire.say(&slow_claim(port.login().await, 1)).await;
    wire.is_served().await;
    assert_eq!(wire.hear().await["id"], "1");
    assert_eq!(wire.hear().await["id"], "2");

    begun.store(0, Ordering::Relaxed);
    let start = Instant::now();
    let scene = port.login().await;
    for _ in 0..=IN_FLIGHT {
        wire.say(&slow_claim(scene, 3)).await;
    }
    sleep(Duration::from_secs(2)).await;
    assert_eq!(begun.load(Ordering::Relaxed), IN_FLIGHT, "then it stops reading");
    for _ in 0..=IN_FLIGHT {
        assert_eq!(wire.hear().await["status"], "stored");
    }
    assert_eq!(start.elapsed().as_secs(), 6, "the last one had to wait");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_stops_writing_still_gets_its_answers() {
    let (port, _) = Port::slow();
    let mut wire = port.client().await;
    wire.say(&slow_claim(port.login().await, 2)).await;
    wire.say(&slow_claim(port.login().await, 1)).await;
    wire.stream.shutdown().await.unwrap();
    assert_eq!(wire.hear().await["status"], "stored");
    assert_eq!(wire.hear().await["status"], "stored");
    wire.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_says_bye_answers_what_is_in_flight_and_closes() {
    let (port, _) = Port::slow();
    let mut busy = port.client().await;
    let mut idle = port.client().await;
    busy.say(&slow_claim(port.login().await, 3)).await;
    busy.is_served().await;
    let start = Instant::now();
    let drain = port.gateway.drain.clone();
    tokio::spawn(async move { drain.begin_when(async {}).await });
    for wire in [&mut busy, &mut idle] {
        assert_eq!(wire.hear().await, json!({"type": "bye"}));
        wire.is_served().await;
    }
    // A quarter of the drain time later nothing new is taken.
    idle.ended().await;
    assert_eq!(start.elapsed().as_secs(), 2);
    busy.say(&slow_claim(port.login().await, 30)).await;
    assert_eq!(busy.hear().await["status"], "stored");
    busy.ended().await;
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_dropped() {
    let port = Port::open();
    let scene = port.login().await;
    let mut good = port.client().await;
    let mut deaf = port.connect_with(512);
    deaf.prove("callback", KEY).await;
    let query = frame(&json!({"type": "query", "scene": scene}));
    let start = Instant::now();
    let flood = async { while deaf.stream.write_all(&query).await.is_ok() {} };
    let meanwhile = async {
        for _ in 0..4 {
            sleep(Duration::from_secs(1)).await;
            let asked = Instant::now();
            good.is_served().await;
            assert_eq!(asked.elapsed(), Duration::ZERO);
        }
    };
    tokio::join!(flood, meanwhile);
    assert_eq!((deaf.task.await.unwrap() - start).as_secs(), 5);
}
