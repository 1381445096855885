//! A rolling restart, as every deployment is one.

use std::time::Duration;

use e2e::crowd::Crowd;
use e2e::fleet::{Fleet, Options};
use e2e::proxy::Proxy;
use test_redis::Redis;
use tokio::time::sleep;

use crate::{judge, options, place, plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_restarted_in_turn_under_load_and_nobody_is_refused() {
    let _place = place().await;
    let redis = Redis::start().await;
    let drain = vec![("GATEWAY_DRAIN_TIME", "4s".to_owned())];
    let mut fleet = Fleet::start(Options { gateway: drain, ..options(&redis.url(), 3, 2) }).await;
    let balancer = Proxy::balance(&fleet.places()).await;
    let mut plan = plan(&fleet, 300, Duration::from_millis(70), Duration::from_secs(3));
    plan.gateways = vec![balancer.address()];
    let crowd = Crowd::start(plan, &fleet.wechat);
    sleep(Duration::from_secs(2)).await;
    for turn in 0..3 {
        let ended = fleet.gateways[turn].terminate().await;
        assert!(ended.success(), "a drain ends well and in time: {ended}");
        fleet.gateways[turn].start();
        fleet.gateways[turn].until_ready().await;
        balancer.until_ready(fleet.gateways[turn].public, true).await;
    }
    for turn in 0..2 {
        let ended = fleet.callbacks[turn].terminate().await;
        assert!(ended.success(), "{ended}");
        fleet.callbacks[turn].start();
        fleet.callbacks[turn].until_ready().await;
        fleet.pushes.until_ready(fleet.callbacks[turn].public, true).await;
    }
    let summary = judge(crowd, &fleet, |_| {}).await;
    assert_eq!(summary.on_first_code, 300, "{summary}");
    assert!(summary.closes.contains_key(&1001), "somebody was told to resume: {summary}");
    for proxy in [&balancer, &fleet.pushes] {
        let counts = proxy.counts();
        assert_eq!((counts.refused, counts.unanswered), (0, 0), "{counts:?}");
    }
}
