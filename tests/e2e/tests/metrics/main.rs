//! Every metric of docs/metrics.md exists and moves, no other one is told, and no stranger can add to them.
//!
//! Real logins go through a whole system: by every way, to every end, with errors of WeChat's, of the store and at limits.
//! The tables of docs/metrics.md are what the services have said then.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod acts;
mod document;
mod probes;
mod redis;
mod scrape;
mod stage;
mod strangers;

use crate::scrape::Scrape;
use crate::stage::Stage;

/// What does not change while a service runs.
const CONSTANT: [&str; 9] = [
    "callback_build_info",
    "callback_certificate_expires_timestamp_seconds",
    "gateway_build_info",
    "gateway_certificate_expires_timestamp_seconds",
    "gateway_client_key_expires_timestamp_seconds",
    "gateway_qr_per_day",
    "process_max_fds",
    "process_start_time_seconds",
    // A gateway that is lost takes long to be noticed; the tests of `protocol` do it.
    "callback_gateways_connected",
];

/// What takes a day, or a log that nobody reads; and where it is shown to move.
const ELSEWHERE: [(&str, &str); 4] = [
    ("callback_log_lines_dropped_total", "tests/e2e/tests/hardening/deaf.rs"),
    ("callback_outbox_dead_total", "callback-service/src/outbox/tests/worker.rs"),
    ("callback_outbox_refused_total", "callback-service/src/outbox/tests/worker.rs"),
    ("gateway_log_lines_dropped_total", "tests/e2e/tests/hardening/deaf.rs"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_of_the_document_exists_and_moves_and_there_is_no_other() {
    let stage = Stage::start().await;
    let mut seen = vec![stage.scrape().await];
    seen.extend(acts::all(stage).await);
    let (mut with_redis, redis) = (redis::all().await, Scrape::default());
    let redis = with_redis.iter().cloned().fold(redis, Scrape::and);
    let all = seen.iter().cloned().fold(Scrape::default(), Scrape::and);
    // A value moves if two scrapes of one system differ.
    let moves = |seen: &[Scrape], name: &str| {
        let values: Vec<_> =
            seen.iter().map(|scrape| scrape.0.get(name).map(|family| &family.samples)).collect();
        values.windows(2).any(|pair| pair[0] != pair[1])
    };
    with_redis.retain(|scrape| !scrape.0.is_empty());
    let probes = probes::all().await;
    let all = probes.iter().cloned().fold(all.and(redis), Scrape::and);
    let stand_still = all.0.keys().filter(|name| {
        let is_known = CONSTANT.contains(&name.as_str()) || ELSEWHERE.iter().any(|(known, _)| known == name);
        !is_known && ![&seen, &with_redis, &probes].iter().any(|seen| moves(seen, name))
    });
    assert_eq!(stand_still.collect::<Vec<_>>(), Vec::<&String>::new(), "these did not move");
    document::agrees_with(&all);
    limits_are_named_as_in_the_document_of_limits(&all);
}

/// Every limit that a service can meet stands in docs/limits.md by the name that the metric gives it.
fn limits_are_named_as_in_the_document_of_limits(all: &Scrape) {
    let document = include_str!("../../../../docs/limits.md")
        .replace("{credentials, clients}", "credentials`, `notices::clients");
    for metric in ["gateway_limits_hit_total", "callback_limits_hit_total"] {
        for sample in all.0[metric].samples.keys() {
            let name = sample.split('"').nth(1).unwrap();
            assert!(
                document.contains(&format!("`{name}`")),
                "docs/limits.md has no `{name}`, as {metric} says"
            );
        }
    }
}
