//! Both services on Redis with a replica: logins expire, the replica goes, and then Redis itself.

use e2e::fleet::{Fleet, Options};
use e2e::page::{PATIENCE, Page};
use test_redis::Redis;
use tokio::time::{Duration, interval, timeout};

use crate::scrape::Scrape;

async fn scrape(fleet: &Fleet) -> Scrape {
    let mut all = Scrape::of(fleet.gateways[0].admin).await.and(Scrape::of(fleet.callbacks[0].admin).await);
    // They are of two processes here.
    all.0.retain(|name, _| !name.starts_with("process_"));
    all
}

async fn until(fleet: &Fleet, is: impl Fn(&Scrape) -> bool) -> Scrape {
    let mut pace = interval(Duration::from_millis(50));
    let reached = async {
        loop {
            pace.tick().await;
            let now = scrape(fleet).await;
            if is(&now) {
                return now;
            }
        }
    };
    timeout(PATIENCE, reached).await.expect("the metrics get there")
}

/// Plays it; gives the scrapes, the earliest first.
pub(crate) async fn all() -> Vec<Scrape> {
    let mut redis = Redis::start().await;
    let mut replica = Redis::start_replica(&redis).await;
    let url = redis.url();
    let options = Options { gateway_store: url.clone(), callback_store: url, ..Options::one_of_each() };
    let mut fleet = Fleet::prepare(options).await;
    fleet.gateways[0].set("GATEWAY_LOGIN_TTL", "2s".to_owned());
    fleet.gateways[0].set("GATEWAY_REDIS_REPLICAS", "1".to_owned());
    fleet.callbacks[0].set("CALLBACK_REDIS_REPLICAS", "1".to_owned());
    fleet.gateways[0].start();
    fleet.callbacks[0].start();
    fleet.until_ready().await;
    let before = until(&fleet, |now| {
        ["gateway", "callback"].iter().all(|service| now.get(&format!("{service}_redis_replicas")) == 1.0)
    })
    .await;

    let mut page = Page::open(fleet.gateways[0].public).await;
    page.code().await;
    page.expect("expired").await;
    let expired = scrape(&fleet).await;
    assert_eq!(expired.get("gateway_logins_ended_total{end=\"expired\"}"), 1.0);
    for operation in ["take", "update", "read"] {
        let sample = format!("gateway_store_seconds_count{{operation=\"{operation}\"}}");
        assert!(expired.get(&sample) > 0.0, "{sample}");
    }
    assert!(expired.get("gateway_qr_left") < expired.get("gateway_qr_per_day"), "as Redis has said");

    // Ends do not wait for a replica that is not there.
    replica.kill();
    until(&fleet, |now| now.get("gateway_redis_replicas") == 0.0).await;
    let mut page = Page::open(fleet.gateways[0].public).await;
    let code = page.code().await;
    let person = fleet.wechat.invent_person("", true).openid;
    fleet.wechat.scan(&person, &code.content).await.unwrap();
    page.expect("scanned").await;
    page.expect("scan_success").await;
    let alone = until(&fleet, |now| {
        ["gateway", "callback"]
            .iter()
            .all(|service| now.get(&format!("{service}_redis_replicas_missed_total")) >= 1.0)
    })
    .await;

    // A user of Redis who may not do what an older version did without: logins go on.
    redis.cli(&["ACL", "SETUSER", "default", "-xadd"]).await;
    let mut page = Page::open(fleet.gateways[0].public).await;
    let code = page.code().await;
    fleet.wechat.scan(&person, &code.content).await.unwrap();
    page.expect("scanned").await;
    page.expect("scan_success").await;
    let unwritten = until(&fleet, |now| now.get("callback_audit_failures_total") >= 1.0).await;

    redis.kill();
    let error = Page::open(fleet.gateways[0].public).await.expect("error").await;
    assert_eq!(error["code"], "busy", "{error}");
    let gone = scrape(&fleet).await;
    assert_eq!(gone.get("gateway_pages_without_store_total"), 1.0);
    assert!(gone.sum("gateway_store_failures_total", "failure=\"not_done\"") >= 1.0);
    fleet.wechat.push_event(&person, "unsubscribe", "").await;
    let gone = until(&fleet, |now| now.sum("callback_store_failures_total", "") >= 1.0).await;
    vec![before, expired, alone, unwritten, gone]
}
