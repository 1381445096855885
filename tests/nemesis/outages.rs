//! Redis stops, freezes, fails over, comes back empty; the two services lose each other.

use std::time::Duration;

use e2e::crowd::{Crowd, Plan};
use e2e::fleet::Fleet;
use e2e::history::{Event, Summary, Words};
use e2e::proxy::{Direction, Proxy};
use test_redis::{Redis, Sentinels};
use tokio::time::sleep;

use crate::{judge, options, place, plan};

/// A crowd that is in the midst of things when the fault comes, two seconds after the start.
fn crowd(fleet: &Fleet) -> Crowd {
    Crowd::start(plan(fleet, 150, Duration::from_millis(60), Duration::from_secs(3)), &fleet.wechat)
}

/// The services have lived through it, as the same processes, and did not spin.
fn still_there(fleet: &Fleet, ids: &[u32]) {
    assert_eq!(ids, ids_of(fleet), "no process was replaced");
}

fn ids_of(fleet: &Fleet) -> Vec<u32> {
    fleet.gateways.iter().chain(&fleet.callbacks).map(|node| node.program().id()).collect()
}

fn all_on_their_first_code(summary: &Summary) {
    assert_eq!(summary.on_first_code, summary.browsers, "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_stopped_for_ten_seconds_and_what_it_kept_is_delivered() {
    let _place = place().await;
    let setup = test_redis::Options { append: true, ..test_redis::Options::default() };
    let mut redis = Redis::start_with(setup).await;
    let fleet = Fleet::start(options(&redis.url(), 2, 2)).await;
    let ids = ids_of(&fleet);
    let crowd = crowd(&fleet);
    sleep(Duration::from_secs(2)).await;
    redis.stop().await;
    sleep(Duration::from_secs(10)).await;
    redis.start_again().await;
    let summary = judge(crowd, &fleet, |history| history.limits.grace = Duration::from_secs(30)).await;
    still_there(&fleet, &ids);
    all_on_their_first_code(&summary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_frozen_for_five_seconds_is_unsure_at_worst() {
    let _place = place().await;
    let redis = Redis::start().await;
    let fleet = Fleet::start(options(&redis.url(), 2, 2)).await;
    let ids = ids_of(&fleet);
    let crowd = crowd(&fleet);
    sleep(Duration::from_secs(2)).await;
    redis.freeze();
    sleep(Duration::from_secs(5)).await;
    redis.thaw();
    let summary = judge(crowd, &fleet, |history| history.limits.grace = Duration::from_secs(30)).await;
    still_there(&fleet, &ids);
    all_on_their_first_code(&summary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_no_recorded_login() {
    let _place = place().await;
    let mut sentinels = Sentinels::start(2).await;
    let fleet = Fleet::start(options(&sentinels.url(), 2, 2)).await;
    let ids = ids_of(&fleet);
    let crowd = crowd(&fleet);
    sleep(Duration::from_secs(2)).await;
    let old = sentinels.kill_master().await;
    sentinels.until_failed_over(old).await;
    let summary = judge(crowd, &fleet, |history| {
        history.limits.grace = Duration::from_secs(30);
        // Codes that were shown in the master's last moment, which no replica had: only claims and ends wait.
        history.lost_up_to = 20;
    })
    .await;
    still_there(&fleet, &ids);
    eprintln!("lost by Redis: {}", summary.lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_back_without_a_memory_and_every_page_renews_by_itself() {
    let _place = place().await;
    let mut redis = Redis::start().await;
    let fleet = Fleet::start(options(&redis.url(), 2, 2)).await;
    let ids = ids_of(&fleet);
    let crowd = crowd(&fleet);
    sleep(Duration::from_secs(3)).await;
    let keys = redis.cli(&["KEYS", "saoma:gateway:1:login:*"]).await;
    redis.stop().await;
    redis.start_again_empty().await;
    for key in keys.lines().filter(|key| !key.is_empty()) {
        let scene = key.rsplit(':').next().unwrap().to_owned();
        crowd.recorder.record(Event::Lost { scene });
    }
    let summary = judge(crowd, &fleet, |history| {
        history.limits.grace = Duration::from_secs(30);
        // Those that were opened between the listing and the stop.
        history.lost_up_to = 20;
    })
    .await;
    still_there(&fleet, &ids);
    assert!(summary.lost > 0, "{summary}");
    eprintln!("lost by Redis: {}", summary.lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_services_apart_for_fifteen_seconds() {
    let _place = place().await;
    let redis = Redis::start().await;
    let mut fleet = Fleet::prepare(options(&redis.url(), 2, 2)).await;
    let mut links = Vec::new();
    for gateway in &fleet.gateways {
        links.push(Proxy::before(gateway.notices).await);
    }
    let through = links.iter().map(|link| link.address().to_string()).collect::<Vec<_>>().join(",");
    for callback in &mut fleet.callbacks {
        callback.set("CALLBACK_GATEWAY", through.clone());
    }
    for node in fleet.gateways.iter_mut().chain(&mut fleet.callbacks) {
        node.start();
    }
    fleet.until_ready().await;
    let ids = ids_of(&fleet);
    let crowd = crowd(&fleet);
    sleep(Duration::from_secs(2)).await;
    for link in &links {
        link.stall(Direction::Both);
    }
    sleep(Duration::from_secs(15)).await;
    for link in &links {
        link.heal();
    }
    let summary = judge(crowd, &fleet, |history| {
        history.limits.grace = Duration::from_secs(30);
    })
    .await;
    still_there(&fleet, &ids);
    all_on_their_first_code(&summary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_hangs_keeps_nobody_who_scans_waiting() {
    let _place = place().await;
    let redis = Redis::start().await;
    let fleet = Fleet::start(options(&redis.url(), 2, 2)).await;
    // Both callback services are connected to both gateways. The pages are at the one that goes on.
    let gateways = vec![fleet.gateways[1].public];
    let plan = Plan { gateways, ..plan(&fleet, 100, Duration::from_millis(60), Duration::from_secs(3)) };
    let crowd = Crowd::start(plan, &fleet.wechat);
    sleep(Duration::from_secs(2)).await;
    fleet.gateways[0].program().freeze();
    let summary = judge(crowd, &fleet, |_| {}).await;
    all_on_their_first_code(&summary);
    assert_eq!(summary.words.get(&Words::LoggedIn), Some(&100), "each phone was answered in time: {summary}");
}
