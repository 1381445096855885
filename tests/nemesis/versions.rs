//! An upgrade, and a way back: old and new programs share one Redis.

use std::path::Path;
use std::time::Duration;

use e2e::crowd::Crowd;
use e2e::fleet::{Fleet, Node};
use e2e::previous;
use e2e::proxy::Proxy;
use test_redis::Redis;
use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::{judge, options, place, plan, scanned};

/// Replaces a process by the other version's, as a deployment does.
async fn replace(node: &mut Node, version: Option<&Path>, balancer: &Proxy) {
    assert!(node.terminate().await.success());
    node.folder = version.map(Path::to_owned);
    node.start();
    node.until_ready().await;
    balancer.until_ready(node.public, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_and_the_way_back_under_load_cost_no_login() {
    let _place = place().await;
    let Some(previous) = block_in_place(previous::programs) else {
        eprintln!("NOT TRIED: without the history there are no programs of the commit in tests/previous");
        return;
    };
    let redis = Redis::start().await;
    let mut options = options(&redis.url(), 2, 2);
    // The programs before know of no other way than a scan.
    options.all_ways = false;
    options.gateway.push(("GATEWAY_DRAIN_TIME", "2s".to_owned()));
    let mut fleet = Fleet::prepare(options).await;
    for node in fleet.gateways.iter_mut().chain(&mut fleet.callbacks) {
        node.folder = Some(previous.to_owned());
        node.set("CALLBACK_DRAIN_TIME", "2s".to_owned());
        node.start();
    }
    fleet.until_ready().await;
    let balancer = Proxy::balance(&fleet.places()).await;
    let mut plan = plan(&fleet, 300, Duration::from_millis(70), Duration::from_secs(4));
    plan.gateways = vec![balancer.address()];
    plan.path = scanned;
    let crowd = Crowd::start(plan, &fleet.wechat);
    sleep(Duration::from_secs(2)).await;
    for version in [None, Some(previous)] {
        let Fleet { gateways, callbacks, pushes, .. } = &mut fleet;
        replace(&mut gateways[0], version, &balancer).await;
        replace(&mut callbacks[0], version, pushes).await;
        // Here the versions are mixed, and pages and pushes go to either.
        sleep(Duration::from_secs(2)).await;
        replace(&mut callbacks[1], version, pushes).await;
        replace(&mut gateways[1], version, &balancer).await;
    }
    let summary = judge(crowd, &fleet, |_| {}).await;
    assert_eq!(summary.on_first_code, 300, "{summary}");
}
