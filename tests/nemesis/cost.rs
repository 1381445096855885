//! What a login costs Redis, which "Scale" in docs/stores.md rests on.

use std::time::Duration;

use e2e::crowd::{Crowd, Plan};
use e2e::fleet::{Fleet, Options};
use test_redis::Redis;

use crate::{alone, judge, options, plan, scanned};

const LOGINS: u32 = 200;

/// A figure of Redis's `INFO`.
async fn info(redis: &Redis, section: &str, name: &str) -> u64 {
    let info = redis.cli(&["INFO", section]).await;
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name}")).trim().parse().unwrap()
}

/// Calls of each command, those within scripts as well.
async fn calls(redis: &Redis) -> Vec<(String, u64)> {
    let info = redis.cli(&["INFO", "commandstats"]).await;
    let lines = info.lines().filter_map(|line| line.strip_prefix("cmdstat_"));
    lines
        .map(|line| {
            let (name, figures) = line.split_once(":calls=").unwrap();
            (name.to_owned(), figures.split(',').next().unwrap().parse().unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_costs_redis_a_known_number_of_commands_and_bytes() {
    let _alone = alone().await;
    let redis = Redis::start().await;
    let fleet = Fleet::start(Options { all_ways: false, ..options(&redis.url(), 2, 1) }).await;
    redis.cli(&["CONFIG", "RESETSTAT"]).await;
    let plan = plan(&fleet, LOGINS, Duration::from_millis(20), Duration::from_secs(1));
    let crowd = Crowd::start(Plan { path: scanned, ..plan }, &fleet.wechat);
    let summary = judge(crowd, &fleet, |_| {}).await;
    let per_login = |count: u64| count as f64 / f64::from(LOGINS);
    let mut all = 0.0;
    for (name, count) in calls(&redis).await {
        eprintln!("{name:>12} {:.1} a login", per_login(count));
        all += per_login(count);
    }
    let [input, output] = ["total_net_input_bytes", "total_net_output_bytes"];
    let (input, output) = (info(&redis, "stats", input).await, info(&redis, "stats", output).await);
    eprintln!("{all:.1} commands in all, {:.0} bytes in, {:.0} out", per_login(input), per_login(output));
    let keys = redis.cli(&["KEYS", "saoma:gateway:1:login:*"]).await;
    let mut memory = 0;
    for key in keys.lines().filter(|key| !key.is_empty()) {
        memory += redis.cli(&["MEMORY", "USAGE", key]).await.trim().parse::<u64>().unwrap();
    }
    eprintln!("{:.0} bytes of memory a login", per_login(memory));
    // Heartbeats, the ping of each second and the audit are among them; twice what was counted is another design.
    assert!(all < 100.0, "{all}");
    assert!(per_login(memory) < 4096.0, "{memory}");
    assert_eq!(summary.on_first_code, LOGINS as usize);
}
