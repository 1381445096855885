//! Wake-ups that never arrive, and sockets that are gone at the worst moment.

use std::time::{Duration, Instant};

use e2e::crowd::Crowd;
use e2e::fleet::{Fleet, Options};
use e2e::history::Event;
use e2e::proxy::Proxy;
use test_redis::Redis;

use crate::{judge, options, place, plan};

/// A heartbeat, and what a slow machine may add.
const HEARTBEAT: Duration = Duration::from_secs(25 + 10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_wake_up_every_page_still_learns_within_a_heartbeat() {
    let _place = place().await;
    let mut setup = test_redis::Options::default();
    // The gateways may neither publish nor subscribe; their sockets stay open all the same.
    setup.users.push("gateway on >pw ~* +@all -publish -subscribe".to_owned());
    let redis = Redis::start_with(setup).await;
    let store = redis.url_as("gateway", "pw");
    let fleet = Fleet::start(Options { callback_store: redis.url(), ..options(&store, 3, 1) }).await;
    let crowd =
        Crowd::start(plan(&fleet, 60, Duration::from_millis(20), Duration::from_secs(1)), &fleet.wechat);
    let began = Instant::now();
    let summary = judge(crowd, &fleet, |history| history.limits.delivered_within = HEARTBEAT).await;
    assert_eq!(summary.on_first_code, 60);
    // Otherwise the wake-ups came after all, and this test has shown nothing.
    assert!(summary.scan_to_page_within(0.5) > Duration::from_secs(1), "{summary}");
    eprintln!("done after {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sockets_cut_at_the_moment_of_the_push_and_all_finish_by_resume() {
    let _place = place().await;
    let redis = Redis::start().await;
    let fleet = Fleet::start(options(&redis.url(), 2, 1)).await;
    let balancer = Proxy::balance(&fleet.places()).await;
    let mut plan = plan(&fleet, 100, Duration::from_millis(10), Duration::from_secs(4));
    plan.gateways = vec![balancer.address()];
    let crowd = Crowd::start(plan, &fleet.wechat);
    // Everybody is cut off in the moment in which a push is on its way, again and again.
    let (mut cuts, mut seen) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let history = crowd.recorder.history();
        let pushes = history.events.iter().filter(|(_, event)| matches!(event, Event::Claims { .. })).count();
        if pushes >= seen + 10 {
            balancer.cut();
            (cuts, seen) = (cuts + 1, pushes);
        }
    }
    let summary = judge(crowd, &fleet, |_| {}).await;
    assert!(cuts > 3, "{cuts} cuts");
    assert_eq!(summary.on_first_code, 100, "{summary}");
}
