//! Redis's clock is set three hours back, and then forward, in the midst of things.

use std::time::Duration;

use e2e::crowd::Crowd;
use e2e::fleet::Fleet;
use e2e::history::Summary;
use test_redis::Redis;
use tokio::time::sleep;

use crate::{judge, options, place, plan};

const THREE_HOURS: i64 = 3 * 3600;

/// A crowd of 150 logs in. After three seconds, in the midst of that, Redis's clock is set by so many seconds.
async fn crowd_whose_redis_is_set(seconds: i64) -> Summary {
    let _place = place().await;
    let redis =
        Redis::start_with(test_redis::Options { clock: true, ..test_redis::Options::default() }).await;
    let fleet = Fleet::start(options(&redis.url(), 2, 2)).await;
    let crowd =
        Crowd::start(plan(&fleet, 150, Duration::from_millis(60), Duration::from_secs(3)), &fleet.wechat);
    sleep(Duration::from_secs(3)).await;
    redis.set_clock(seconds);
    judge(crowd, &fleet, |_| {}).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_goes_back_three_hours_and_everybody_logs_in_at_once() {
    let summary = crowd_whose_redis_is_set(-THREE_HOURS).await;
    assert_eq!(summary.on_first_code, summary.browsers, "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_goes_forward_three_hours_and_pages_take_a_new_code() {
    let summary = crowd_whose_redis_is_set(THREE_HOURS).await;
    // All who came after the jump, at least.
    assert!(summary.on_first_code >= 75, "{summary}");
}
