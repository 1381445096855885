//! A gateway dies every two seconds, without a word.

use std::time::Duration;

use e2e::crowd::Crowd;
use e2e::fleet::Fleet;
use test_redis::Redis;
use tokio::time::sleep;

use crate::{judge, options, place, plan};

/// A gateway is down this long before it comes back.
const DOWN: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_logins_while_a_gateway_is_killed_every_two_seconds() {
    let _place = place().await;
    let redis = Redis::start().await;
    let mut fleet = Fleet::start(options(&redis.url(), 3, 2)).await;
    let plan = plan(&fleet, 500, Duration::from_millis(60), Duration::from_secs(3));
    let opening = plan.pace * plan.people;
    let crowd = Crowd::start(plan, &fleet.wechat);
    let began = tokio::time::Instant::now();
    let mut kills = 0;
    while began.elapsed() < opening + Duration::from_secs(4) {
        sleep(Duration::from_secs(2) - DOWN).await;
        let victim = &mut fleet.gateways[kills % 3];
        victim.kill();
        sleep(DOWN).await;
        victim.start();
        kills += 1;
    }
    eprintln!("{kills} kills");
    let summary = judge(crowd, &fleet, |_| {}).await;
    assert!(summary.on_first_code * 100 >= summary.browsers * 99, "{summary}");
    let p99 = summary.scan_to_page_within(0.99);
    assert!(p99 <= Duration::from_secs(5), "{p99:?}");
}
