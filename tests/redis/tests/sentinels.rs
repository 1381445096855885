//! A master, its replicas and their Sentinels.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::time::Instant;

use test_redis::{PATIENCE, Sentinels};

#[tokio::test]
async fn a_killed_master_is_replaced_and_comes_back_as_a_replica() {
    let mut all = Sentinels::start(2).await;
    let addresses = all.url();
    let addresses = addresses.strip_prefix("redis+sentinel://").unwrap().strip_suffix("/logins").unwrap();
    assert_eq!(addresses.split(',').filter(|address| address.starts_with("127.0.0.1:")).count(), 3);

    let first = all.master_port().await;
    all.server(first).cli(&["SET", "scene", "granted"]).await;
    assert_eq!(all.server(first).cli(&["WAIT", "2", "0"]).await, "2", "both replicas are in step");
    assert_eq!(all.kill_master().await, first);
    let second = all.until_failed_over(first).await;
    assert_ne!(second, first);
    assert_eq!(all.master_port().await, second);
    assert_eq!(all.server(second).cli(&["GET", "scene"]).await, "granted");
    all.server(second).cli(&["SET", "scene", "again"]).await;

    all.server(first).start_again_empty().await;
    // The second replica follows the new master, and the old master does once the Sentinels have found it.
    let began = Instant::now();
    while all.server(second).cli(&["WAIT", "2", "1000"]).await != "2" {
        assert!(began.elapsed() < PATIENCE, "the new master has no two replicas");
    }
    assert_eq!(all.server(first).cli(&["GET", "scene"]).await, "again");
}

#[tokio::test]
async fn a_frozen_master_is_replaced_too() {
    let mut all = Sentinels::start(1).await;
    let first = all.master_port().await;
    all.server(first).freeze();
    let second = all.until_failed_over(first).await;
    assert_eq!(all.server(second).cli(&["SET", "scene", "granted"]).await, "OK");
}
