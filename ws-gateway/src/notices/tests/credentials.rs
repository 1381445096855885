//! What is believed may change while clients are connected.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::text::encode;
use serde_json::json;
use tokio::time::sleep;

use super::{Port, SHOP_KEY, callback, key, shop, slow_claim};
use crate::logins::rights::{Right, Rights};
use crate::notices::clients::Client;
use crate::testing::in_memory::KEY;

const NEW_KEY: &str = "the key that takes the other's place";

fn metrics(port: &Port) -> String {
    let mut text = String::new();
    encode(&mut text, &port.gateway.metrics.registry()).unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_the_clients_over_all_its_connections_and_nobody_elses() {
    let port = Port::open();
    port.gateway
        .credentials
        .replace_clients(vec![Client { rate: NonZeroU32::new(10), ..shop() }, callback()]);
    let scene = port.login().await;
    let scan = json!({"type": "scan", "scene": scene, "id": "1"});
    let (mut one, mut other, mut good) = (port.connect(), port.connect(), port.client().await);
    one.prove("shop", SHOP_KEY).await;
    other.prove("shop", SHOP_KEY).await;
    for wire in [&mut one, &mut other] {
        for _ in 0..5 {
            assert_ne!(wire.ask(&scan).await["status"], "busy");
        }
    }
    // Each has a time of its own.
    for (wire, retry_in) in [(&mut one, 100), (&mut other, 200)] {
        assert_eq!(wire.ask(&scan).await, json!({"status": "busy", "retry_in": retry_in}));
        // A ping is free.
        wire.is_served().await;
    }
    assert_eq!(good.ask(&scan).await["status"], "taken");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(other.ask(&scan).await["repeat"], true);
    assert_eq!(one.ask(&scan).await["status"], "busy");
}

#[tokio::test(start_paused = true)]
async fn no_client_takes_the_port_from_the_others() {
    let port = Port::open();
    let mut connected = Vec::new();
    for _ in 0..port.gateway.clients.available_permits() / 2 {
        let mut wire = port.connect();
        wire.prove("shop", SHOP_KEY).await;
        wire.is_served().await;
        connected.push(wire);
    }
    let mut one_more = port.connect();
    one_more.prove("shop", SHOP_KEY).await;
    assert_eq!(one_more.refused().await, "busy");
    port.client().await.is_served().await;
    drop(connected.pop().map(|wire| wire.stream));
    tokio::task::yield_now().await;
    let mut again = port.connect();
    again.prove("shop", SHOP_KEY).await;
    again.is_served().await;
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_ends_its_connections_after_their_answers_and_no_others() {
    let (port, _) = Port::slow();
    let both = Client { keys: vec![key(KEY), key(NEW_KEY)], ..callback() };
    port.gateway.credentials.replace_clients(vec![both, shop()]);
    let (mut old, mut new) = (port.client().await, port.connect());
    new.prove("callback", NEW_KEY).await;
    new.is_served().await;
    old.say(&slow_claim(port.login().await, 3)).await;
    old.is_served().await;
    let line = |key, count| format!("gateway_clients{{client=\"callback\",key=\"{key}\"}} {count}\n");
    assert!(metrics(&port).contains(&line(1, 1)) && metrics(&port).contains(&line(2, 1)));

    port.gateway.credentials.replace_clients(vec![Client { keys: vec![key(NEW_KEY)], ..callback() }]);
    new.is_served().await;
    assert_eq!(old.hear().await["status"], "stored");
    assert_eq!(old.refused().await, "unauthorized");
    let text = metrics(&port);
    // The key stands in the first place now.
    assert!(text.contains(&line(1, 1)) && text.contains(&line(2, 0)), "{text}");
    assert!(text.contains("gateway_proofs_total{client=\"callback\",key=\"2\"} 1\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_with_a_withdrawn_key_however_soon_it_comes() {
    // What is looked at first is chance, so there are many.
    for _ in 0..32 {
        let port = Port::open();
        let scan = json!({"type": "scan", "scene": port.login().await, "id": "1"});
        let mut wire = port.connect();
        wire.prove("shop", SHOP_KEY).await;
        wire.is_served().await;
        port.gateway.credentials.replace_clients(vec![callback()]);
        wire.say(&scan).await;
        assert_eq!(wire.refused().await, "unauthorized");
        assert_eq!(port.client().await.ask(&scan).await["status"], "stored", "for the first time");
    }
}

#[tokio::test(start_paused = true)]
async fn rights_that_change_hold_for_who_is_connected() {
    let port = Port::open();
    let mut wire = port.connect();
    wire.prove("shop", SHOP_KEY).await;
    let query = json!({"type": "query", "scene": port.login().await});
    assert_eq!(wire.ask(&query).await["status"], "forbidden");
    let may = Rights::of(&[Right::Query]);
    port.gateway.credentials.replace_clients(vec![Client { may, ..shop() }]);
    wire.is_served().await;
    assert_eq!(wire.ask(&query).await["status"], "ok");
}

#[tokio::test]
async fn a_client_whose_time_is_over_is_sent_away() {
    let port = Port::open();
    let expires = Some(SystemTime::now() + Duration::from_millis(300));
    port.gateway.credentials.replace_clients(vec![Client { expires, ..callback() }]);
    let mut wire = port.client().await;
    wire.is_served().await;
    assert_eq!(wire.refused().await, "unauthorized");
    let mut late = port.client().await;
    assert_eq!(late.refused().await, "unauthorized");
}
