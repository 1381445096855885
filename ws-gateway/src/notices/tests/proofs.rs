//! Who is let in: proofs that do not hold or come too late, and a full port.

use std::time::Duration;

use serde_json::json;
use tokio::io::duplex;
use tokio::time::{Instant, sleep};

use super::super::refuse;
use super::{Port, SHOP_KEY, Wire, auth, frame, key};
use crate::testing::in_memory::{self, KEY};

#[tokio::test(start_paused = true)]
async fn who_does_not_prove_a_key_is_unauthorized() {
    let port = Port::open();
    let scene = port.login().await;
    let mut good = port.client().await;
    let mut other = port.connect();
    let of_another_connection = other.challenge().await;
    let firsts = |challenge: &str| {
        let with_proof = |proof: &str| json!({"type": "auth", "client": "callback", "proof": proof});
        [
            ("a notice", json!({"type": "scan", "scene": scene})),
            ("a ping", json!({"type": "ping"})),
            ("an object of no type", json!({})),
            ("no proof", json!({"type": "auth", "client": "callback"})),
            ("an empty proof", with_proof("")),
            ("upper case", with_proof(&key(KEY).proof(challenge).to_uppercase())),
            ("another key", auth("callback", SHOP_KEY, challenge)),
            ("another's name", auth("shop", KEY, challenge)),
            ("no such client", auth("nobody", KEY, challenge)),
            ("another connection's proof", auth("callback", KEY, &of_another_connection)),
        ]
    };
    for n in 0..firsts("").len() {
        let mut wire = port.connect();
        let challenge = wire.challenge().await;
        let (fault, first) = &firsts(&challenge)[n];
        let notice = json!({"type": "scan", "scene": scene});
        wire.write(&[frame(first), frame(&notice)].concat()).await;
        assert_eq!(wire.refused().await, "unauthorized", "{fault}");
        good.is_served().await;
    }
    let state = good.ask(&json!({"type": "query", "scene": scene})).await;
    assert_eq!(state["state"], "waiting", "and nothing was recorded");
    assert_eq!(port.gateway.metrics.unauthorized.get(), 10);
    other.say(&auth("callback", KEY, &of_another_connection)).await;
    other.is_served().await;
}

#[tokio::test(start_paused = true)]
async fn a_proof_must_come_within_five_seconds() {
    let port = Port::open();
    let mut late = port.connect();
    let mut just = port.connect();
    late.challenge().await;
    let start = Instant::now();
    sleep(Duration::from_millis(4_999)).await;
    just.prove("callback", KEY).await;
    just.is_served().await;
    assert_eq!(late.refused().await, "unauthorized");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_full_port_says_so() {
    let (stream, theirs) = duplex(1024);
    let gateway = in_memory::gateway_with(0);
    let task = tokio::spawn(async move {
        refuse(&gateway, theirs, "192.0.2.7:1234".parse().unwrap()).await;
        Instant::now()
    });
    let mut wire = Wire { stream, task };
    assert_eq!(wire.refused().await, "busy");
}
