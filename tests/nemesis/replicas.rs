//! The only replica that an end waits for dies, falls silent, or becomes the master: logins go on.

use std::time::Duration;

use e2e::crowd::{Crowd, Path, Plan};
use e2e::fleet::{Fleet, Node, Options};
use e2e::history::{Browser, Summary, Way, Words};
use test_redis::{Redis, Sentinels};
use tokio::time::sleep;

use crate::{judge, mixed, options, place, plan};

/// Two of each on a plain master; an end waits for one replica.
async fn fleet(master: &Redis) -> Fleet {
    let wanted = || "1".to_owned();
    let gateway = vec![("GATEWAY_REDIS_REPLICAS", wanted())];
    let mut fleet = Fleet::prepare(Options { gateway, ..options(&master.url(), 2, 2) }).await;
    for callback in &mut fleet.callbacks {
        callback.set("CALLBACK_REDIS_REPLICAS", wanted());
    }
    for node in fleet.gateways.iter_mut().chain(&mut fleet.callbacks) {
        node.start();
    }
    fleet.until_ready().await;
    fleet
}

/// A crowd that comes once it has happened.
async fn crowd_after(fleet: &Fleet) -> Summary {
    crowd_by(fleet, mixed).await
}

async fn crowd_by(fleet: &Fleet, path: fn(Browser) -> Path) -> Summary {
    let plan = plan(fleet, 60, Duration::from_millis(60), Duration::from_secs(1));
    let plan = Plan { path, ..plan };
    judge(Crowd::start(plan, &fleet.wechat), fleet, |_| {}).await
}

fn told(summary: &Summary, words: Words) -> usize {
    summary.words.get(&words).copied().unwrap_or_default()
}

async fn readyz(node: &Node) -> String {
    reqwest::get(format!("http://{}/readyz", node.admin)).await.unwrap().text().await.unwrap()
}

/// Everybody says that there is no replica: in the log once, in a metric, and to whoever asks for readiness.
async fn all_say_so(fleet: &Fleet) {
    for (prefix, nodes) in [("gateway", &fleet.gateways), ("callback", &fleet.callbacks)] {
        for node in nodes {
            let words = "Redis's master has 0 of the 1 replicas that are wanted; logins go on";
            let ready = readyz(node).await;
            assert!(ready.starts_with("ready, but ") && ready.contains(words), "{ready}");
            assert_eq!(node.metric(&format!("{prefix}_redis_replicas")).await, 0);
            let log = node.program().log();
            assert_eq!(log.matches(words).count(), 1, "{log}");
            assert!(log.contains("GATEWAY_REDIS_REPLICAS"), "{log}");
        }
    }
    let mut missed = 0;
    for gateway in &fleet.gateways {
        missed += gateway.metric("gateway_redis_replicas_missed_total").await;
    }
    assert!(missed >= 60, "{missed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_replica_becomes_the_master_and_everybody_logs_in() {
    let _place = place().await;
    let mut sentinels = Sentinels::start(1).await;
    let fleet = Fleet::start(options(&sentinels.url(), 2, 2)).await;
    let plan = plan(&fleet, 100, Duration::from_millis(60), Duration::from_secs(3));
    let crowd = Crowd::start(plan, &fleet.wechat);
    sleep(Duration::from_secs(2)).await;
    let old = sentinels.kill_master().await;
    sentinels.until_failed_over(old).await;
    judge(crowd, &fleet, |history| {
        history.limits.grace = Duration::from_secs(30);
        // Codes that were shown in the master's last moment, which no replica had: only ends wait.
        history.lost_up_to = 20;
    })
    .await;
    let summary = crowd_after(&fleet).await;
    assert_eq!(told(&summary, Words::LoggedIn), 60, "{summary}");
    all_say_so(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_replica_is_killed_and_everybody_logs_in() {
    let _place = place().await;
    let master = Redis::start().await;
    let mut replica = Redis::start_replica(&master).await;
    let fleet = fleet(&master).await;
    let plan = plan(&fleet, 60, Duration::from_millis(60), Duration::from_secs(1));
    let crowd = Crowd::start(plan, &fleet.wechat);
    sleep(Duration::from_secs(2)).await;
    replica.kill();
    let summary = judge(crowd, &fleet, |_| {}).await;
    assert_eq!(told(&summary, Words::LoggedIn), 60, "{summary}");
    let summary = crowd_after(&fleet).await;
    assert_eq!(told(&summary, Words::LoggedIn), 60, "{summary}");
    all_say_so(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_replica_falls_silent_and_every_page_is_let_in() {
    let _place = place().await;
    let master = Redis::start().await;
    let replica = Redis::start_replica(&master).await;
    let fleet = fleet(&master).await;
    replica.freeze();
    // Who is asked before a login has to wait until Redis gives the replica up: a question is kept durably.
    let in_the_chat = |browser: Browser| Path::One([Way::Scan, Way::Typed][browser.0 as usize % 2]);
    let summary = crowd_by(&fleet, in_the_chat).await;
    assert_eq!(summary.on_first_code, summary.browsers, "{summary}");
    assert_eq!(told(&summary, Words::TryAgain), 0, "a second scan would find the code used: {summary}");
    for node in fleet.gateways.iter().chain(&fleet.callbacks) {
        let log = node.program().log();
        assert!(!log.contains("is lost"), "{log}");
    }
}
