//! What must be durable, where replicas are silent, gone, or fewer than wanted.

use futures_util::future::join_all;
use test_redis::{Options, PATIENCE, Redis as Server, Sentinels};
use tokio::time::{sleep, timeout};

use super::*;

/// Changes a record so that it must be durable.
async fn record(process: &Process, name: &str) -> Result<(), Failure> {
    let durably = |now| Write { durably: true, ..write("recorded", now) };
    process.records.update(name, |_, now| Step::Write(durably(now), ())).await
}

async fn until_recorded(process: &Process, name: &str) {
    let recording = async {
        while record(process, name).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, recording).await.unwrap();
}

/// Waits until the master is known to have too few replicas, or enough again.
async fn until_short(process: &Process, short: bool) {
    let knowing = async {
        while process.redis.replicas().shortage().is_some() != short {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, knowing).await.unwrap();
}

#[tokio::test]
async fn a_durable_change_waits_for_a_silent_replica_and_a_repeat_does_so_too() {
    let master = Server::start().await;
    let replica = Server::start_replica(&master).await;
    let process = Process::start(&master.url(), 1).await;
    until_recorded(&process, "login").await;
    replica.freeze();
    for _ in 0..2 {
        let failure = record(&process, "login").await.unwrap_err();
        assert!(failure.to_string().contains("0 of 1"), "{failure}");
        assert!(matches!(failure, Failure::Unknown(_)));
        assert_eq!(process.read("login").await.as_deref(), Some("recorded"));
    }
    replica.thaw();
    until_recorded(&process, "other").await;
    assert_eq!(replica.cli(&["GET", "test:plain:other"]).await.trim(), "recorded");
}

#[tokio::test]
async fn of_a_master_without_its_replicas_that_is_told_and_changes_go_on() {
    let master = Server::start().await;
    let process = Process::start(&master.url(), 2).await;
    for _ in 0..2 {
        record(&process, "login").await.unwrap();
    }
    let shortage = process.redis.replicas().shortage().unwrap();
    assert!(shortage.contains("0 of the 2 replicas") && shortage.contains("go on"), "{shortage}");

    let first = Server::start_replica(&master).await;
    until_recorded(&process, "one").await;
    let knowing = async {
        while !process.redis.replicas().shortage().is_some_and(|words| words.contains("1 of the 2")) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, knowing).await.unwrap();
    // As many as there are must have it.
    first.freeze();
    let failure = record(&process, "login").await.unwrap_err();
    assert!(failure.to_string().contains("0 of 1"), "{failure}");
    first.thaw();
    let mut second = Server::start_replica(&master).await;
    until_short(&process, false).await;
    until_recorded(&process, "both").await;
    assert_eq!(second.cli(&["GET", "test:plain:both"]).await.trim(), "recorded");
    second.kill();
    until_recorded(&process, "login").await;
    until_short(&process, true).await;
}

#[tokio::test]
async fn a_silent_replica_holds_up_nobody_and_costs_no_connection() {
    let master = Server::start().await;
    let replica = Server::start_replica(&master).await;
    let process = Process::start(&master.url(), 1).await;
    replica.freeze();
    let before = connections(&master).await;
    // More than could wait one after another.
    let names: Vec<_> = (0..50).map(|n| format!("login{n}")).collect();
    let recording = join_all(names.iter().map(|name| record(&process, name)));
    let recorded = timeout(Duration::from_secs(10), recording).await.expect("nobody waits for all others");
    for failure in recorded.into_iter().map(Result::unwrap_err) {
        assert!(failure.to_string().contains("0 of 1"), "each is written: {failure}");
    }
    // Longer than two looks of the keeper.
    for _ in 0..5 {
        sleep(Duration::from_millis(500)).await;
        assert!(matches!(record(&process, "login0").await, Err(Failure::Unknown(_))));
    }
    assert_eq!(connections(&master).await, before);
}

#[tokio::test]
async fn where_most_sentinels_are_gone_a_master_without_replicas_confirms_nothing() {
    let mut sentinels = Sentinels::start(1).await;
    let process = Process::start(&sentinels.url(), 1).await;
    until_recorded(&process, "login").await;
    let master = sentinels.master_port().await;
    sentinels.replica(master).kill();
    until_short(&process, true).await;
    record(&process, "login").await.unwrap();
    sentinels.kill_sentinels(2);
    let refusing = async {
        while record(&process, "login").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, refusing).await.unwrap();
    let shortage = process.redis.replicas().shortage().unwrap();
    assert!(shortage.contains("Sentinels do not name it"), "{shortage}");
}

#[tokio::test]
async fn what_is_written_is_not_denied_when_the_wait_for_replicas_fails() {
    let users = vec!["writer on >pw ~* &* +@all -wait".to_owned()];
    let redis = Server::start_with(Options { users, ..Options::default() }).await;
    let _replica = Server::start_replica(&redis).await;
    let process = Process::start(&redis.url_as("writer", "pw"), 1).await;
    let failed = record(&process, "login").await;
    assert!(matches!(failed, Err(Failure::Unknown(_))), "{failed:?}");
    assert_eq!(process.read("login").await.as_deref(), Some("recorded"));
}
