//! Proof of delivery: what callback-service finds out by itself, each way in which logins may not be delivered although
//! every process lives.

use std::time::{Duration, SystemTime};

use e2e::fleet::{Fleet, Node, Options};
use e2e::page::PATIENCE;
use e2e::proxy::Proxy;
use test_redis::Redis;

/// Waits until the service has counted so many probes of this outcome.
async fn counted(callback: &Node, outcome: &str, least: u64) {
    let name = format!("callback_probes_total{{outcome=\"{outcome}\"}}");
    let reached = async {
        while callback.metric(&name).await < least {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{outcome} is not {least}"));
}

async fn is_ready(node: &Node) -> bool {
    reqwest::get(format!("http://{}/readyz", node.admin)).await.unwrap().status().is_success()
}

/// The lines of the log about probes, which the service has said since the last look.
fn said(callback: &Node) -> Vec<String> {
    let log = callback.program().log();
    log.lines().filter(|line| line.contains("probe")).map(str::to_owned).collect()
}

/// Sets the callback service to probe `pages` each second.
fn probes(fleet: &mut Fleet, pages: impl std::fmt::Display) {
    for callback in &mut fleet.callbacks {
        callback.set("CALLBACK_PROBE_URL", format!("http://{pages}"));
        callback.set("CALLBACK_PROBE_EVERY", "1s".to_owned());
    }
}

async fn start(fleet: &mut Fleet) {
    for node in fleet.gateways.iter_mut().chain(&mut fleet.callbacks) {
        node.start();
    }
    fleet.until_ready().await;
}

/// The fault is counted and told once with its cure, and both services stay ready.
async fn finds(fleet: &Fleet, outcome: &str, cure: &str) {
    let callback = &fleet.callbacks[0];
    counted(callback, outcome, 1).await;
    for node in fleet.gateways.iter().chain(&fleet.callbacks) {
        assert!(is_ready(node).await, "{outcome}: every process can serve");
    }
    let said = said(callback);
    let told: Vec<_> = said.iter().filter(|line| line.contains(&format!("\"{outcome}\""))).collect();
    assert!(
        matches!(&told[..], [line] if line.contains(cure) && line.contains("WARN")),
        "{outcome}: {said:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_delivered_from_one_gateway_to_a_page_at_another_and_counts_as_none() {
    let redis = Redis::start().await;
    let options = Options {
        gateway_store: redis.url(),
        callback_store: "sqlite::memory:".to_owned(),
        gateways: 2,
        callbacks: 1,
        ..Options::default()
    };
    let mut fleet = Fleet::prepare(options).await;
    let (notices, pages) = (fleet.gateways[0].notices, fleet.gateways[1].public);
    fleet.callbacks[0].set("CALLBACK_GATEWAY", notices.to_string());
    probes(&mut fleet, pages);
    start(&mut fleet).await;
    let callback = &fleet.callbacks[0];
    counted(callback, "delivered", 2).await;
    let at = callback.metric("callback_probe_last_success_timestamp_seconds").await;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(now - at < 30, "{at}");
    assert!(callback.metric("callback_probe_seconds_count").await >= 2);
    let [one, other] = &fleet.gateways[..] else { panic!() };
    assert!(one.metric("gateway_notices_total{client=\"callback\",type=\"probe\",status=\"ok\"}").await >= 2);
    for gateway in [one, other] {
        for name in ["gateway_logins_total", "gateway_resumed_total"] {
            assert_eq!(gateway.metric(name).await, 0, "{name}");
        }
    }
    assert_eq!(said(callback), [""; 0], "nothing is told of what works");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_port_for_browsers_is_told_once_and_so_is_its_end() {
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    let pages = Proxy::before(fleet.gateways[0].public).await;
    probes(&mut fleet, pages.address());
    start(&mut fleet).await;
    let callback = &fleet.callbacks[0];
    counted(callback, "delivered", 1).await;
    pages.refuse();
    finds(&fleet, "no_socket", "CALLBACK_PROBE_URL must be").await;
    counted(callback, "no_socket", 2).await;
    assert_eq!(said(callback), [""; 0], "an outage is told once");
    let before = callback.metric("callback_probes_total{outcome=\"delivered\"}").await;
    pages.heal();
    counted(callback, "delivered", before + 1).await;
    let mut again = said(callback);
    let told = async {
        while again.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            again = said(callback);
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert!(matches!(&again[..], [line] if line.contains("again") && line.contains("INFO")), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_no_longer_accepted_is_told() {
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    let pages = fleet.gateways[0].public;
    probes(&mut fleet, pages);
    start(&mut fleet).await;
    counted(&fleet.callbacks[0], "delivered", 1).await;
    fleet.gateways[0].terminate().await;
    fleet.gateways[0].set("NOTIFY_KEY", "another key than callback-service has".to_owned());
    fleet.gateways[0].start();
    counted(&fleet.callbacks[0], "refused", 1).await;
    assert!(is_ready(&fleet.gateways[0]).await && is_ready(&fleet.callbacks[0]).await);
    let said = said(&fleet.callbacks[0]);
    let cure = "the same NOTIFY_KEY";
    assert!(said.iter().any(|line| line.contains("\"refused\"") && line.contains(cure)), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_right_is_told() {
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    let folder = tempfile::tempdir().unwrap();
    let clients = folder.path().join("clients.toml");
    let entry =
        super::entry("callback", &[e2e::fleet::NOTIFY_KEY], &["scan", "claim", "deny", "query", "grant"]);
    std::fs::write(&clients, entry).unwrap();
    let pages = fleet.gateways[0].public;
    fleet.gateways[0].set("NOTIFY_KEY", String::new());
    fleet.gateways[0].set("GATEWAY_NOTIFY_CLIENTS", clients.to_str().unwrap().to_owned());
    probes(&mut fleet, pages);
    start(&mut fleet).await;
    finds(&fleet, "no_right", "GATEWAY_NOTIFY_CLIENTS").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_do_not_share_their_logins_are_told() {
    let mut fleet = Fleet::prepare(Options { gateways: 2, ..Options::one_of_each() }).await;
    let (notices, pages) = (fleet.gateways[0].notices, fleet.gateways[1].public);
    fleet.callbacks[0].set("CALLBACK_GATEWAY", notices.to_string());
    probes(&mut fleet, pages);
    start(&mut fleet).await;
    finds(&fleet, "not_shown", "must share one Redis").await;
}

/// The gateways' Redis answers, and passes on no message between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_do_not_hear_of_their_scans_are_told() {
    let users = vec!["gateway on >pw ~* +@all -publish -subscribe".to_owned()];
    let redis = Redis::start_with(test_redis::Options { users, ..test_redis::Options::default() }).await;
    let options = Options {
        gateway_store: redis.url_as("gateway", "pw"),
        callback_store: "sqlite::memory:".to_owned(),
        gateways: 2,
        callbacks: 1,
        ..Options::default()
    };
    let mut fleet = Fleet::prepare(options).await;
    let (notices, pages) = (fleet.gateways[0].notices, fleet.gateways[1].public);
    fleet.callbacks[0].set("CALLBACK_GATEWAY", notices.to_string());
    probes(&mut fleet, pages);
    start(&mut fleet).await;
    finds(&fleet, "not_delivered", "pub/sub").await;
}
