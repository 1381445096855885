//! Few open files: a flood takes its own port's places and nothing else, and a process that may open nothing at
//! all waits quietly until it may.

use std::time::{Duration, Instant};

use e2e::page::PATIENCE;
use e2e::raw::{Raw, Reply, UPGRADE, metric};
use serde_json::json;
use tokio::task::JoinSet;

use crate::process::{limit_files, load, open_files};
use crate::system::{Options, PLENTY, System};

/// What a program needs and a few: most systems begin with 1,024.
const FEW: usize = 64;

/// More than there are places, and than there are open files.
const FLOOD: usize = 300;

/// A loop that spins takes a whole processor, or what a busy machine leaves of one; what waits takes next to nothing.
const QUIET: f64 = 0.1;

/// Whatever tier of refusal it met, it is a whole answer that says when to come back.
fn is_polite(refusal: &Reply) {
    assert_eq!(refusal.status, 503, "{refusal:?}");
    assert_eq!(refusal.header("retry-after"), Some("5"), "{refusal:?}");
    assert_eq!(refusal.body, "too many connections, try again later\n");
}

#[tokio::test]
async fn a_flood_of_pages_is_refused_politely_and_leaves_the_other_ports_open() {
    let system = System::start_with(Options { gateway_files: FEW, ..Options::default() }).await;
    let (browsers, notices) = (system.gateway.address("browsers"), system.gateway.address("notices"));
    let admin = system.gateway.address("admin");
    // A quarter of the files is for pages; one of them is the witness.
    let witness = system.page().await;
    let mut pages = Vec::new();
    while pages.len() < FEW / 4 - 1 {
        pages.push(system.page().await);
    }
    // Strangers that say nothing take the places where refusals are made politely.
    let mut silent = Vec::new();
    for _ in 0..FLOOD {
        silent.push(Raw::connect(browsers).await);
    }
    let mut flood = JoinSet::new();
    for _ in 0..FLOOD {
        flood.spawn(async move { Raw::connect(browsers).await.upgrade("/ws", &[]).await.err().unwrap() });
    }
    while let Some(refusal) = flood.join_next().await {
        is_polite(&refusal.unwrap());
    }
    assert!(metric(admin, "gateway_refused_total").await >= 2 * FLOOD as u64);
    assert!(open_files(system.gateway.id()) < FEW, "some are left");

    // The internal port takes a new client, the admin ports answer, and WeChat's door is open.
    let mut client = Raw::connect(notices).await;
    client.prove().await;
    let (mut page, code) = pages.pop().unwrap();
    let notice = json!({"type": "scan", "id": "1", "scene": code.scene()});
    assert_eq!(client.notify(&notice).await["status"], "delivered");
    page.expect("scan_success").await;
    system.is_ready().await;
    system.scanned(witness).await;
    let load = load(system.gateway.id()).await;
    eprintln!("a full gateway's load: {load:.3}");
    assert!(load < QUIET, "{load}");

    drop((silent, pages, page));
    comes_back(&system).await;
    let log = system.gateway.log();
    assert_eq!(
        log.matches("GATEWAY_MAX_PAGES is 15000, but a limit of 64 open files allows 16").count(),
        1,
        "{log}"
    );
    assert!(!log.contains("cannot accept"), "{log}");
}

/// Pages are admitted again by themselves.
async fn comes_back(system: &System) {
    let (browsers, began) = (system.gateway.address("browsers"), Instant::now());
    while Raw::connect(browsers).await.upgrade("/ws", &[]).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "there is no room again");
    }
    system.log_in().await;
}

#[tokio::test]
async fn a_silent_flood_at_wechats_door_gives_way_to_wechat() {
    let system = System::start_with(Options { callback_files: FEW, ..Options::default() }).await;
    let (pushes, page) = (system.callback.address("pushes"), system.page().await);
    system.is_unconnected().await;
    let mut silent = Vec::new();
    for _ in 0..FLOOD {
        silent.push(Raw::connect(pushes).await);
    }
    // Of so small a port few leave at a time. Whoever asks while the flood's last ones do is told to come back.
    let began = Instant::now();
    loop {
        let mut somebody = Raw::connect(pushes).await;
        somebody.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        if somebody.reply().await.is_some_and(|reply| reply.status == 200) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "nobody gives way");
    }
    // There are eight places. Whoever has waited longest without a word gives way, so WeChat's first try gets in.
    // They never took the operator's port, nor the gateway's connection.
    let (delivery, load, ()) =
        tokio::join!(system.scanned(page), load(system.callback.id()), system.is_ready());
    assert_eq!(delivery.attempts.len(), 1, "{delivery:?}");
    assert!(load < QUIET, "{load}");
    drop(silent);
    system.log_in().await;
    let log = system.callback.log();
    let told = "CALLBACK_MAX_CONNECTIONS is 2048, but a limit of 64 open files allows 8";
    assert_eq!(log.matches(told).count(), 1, "{log}");
    assert!(!log.contains("cannot accept"), "{log}");
}

#[tokio::test]
async fn a_gateway_that_may_open_nothing_more_waits_quietly_and_takes_up_again() {
    let system = System::start().await;
    let (browsers, id) = (system.gateway.address("browsers"), system.gateway.id());
    let witness = system.page().await;
    limit_files(id, open_files(id) / 2);
    // The kernel takes the connection; the gateway cannot.
    let mut waiting = Raw::connect(browsers).await;
    waiting.write(format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n")).await;
    let load = load(id).await;
    eprintln!("load without a file to open: {load:.3}");
    assert!(load < QUIET, "{load}");
    // What is connected goes on: a scan comes to its page over the client's old connection.
    system.scanned(witness).await;
    let early = tokio::time::timeout(Duration::from_millis(100), waiting.head()).await;
    assert!(early.is_err(), "it was served all the same: {early:?}");

    limit_files(id, PLENTY);
    let log = system.gateway.log();
    assert_eq!(log.matches("cannot accept connections on").count(), 1, "{log}");
    assert_eq!(waiting.reply().await.unwrap().status, 101, "who waited is served");
    waiting.expect("qrcode_url").await;
    system.log_in().await;
}

#[tokio::test]
async fn a_callback_service_that_may_open_nothing_more_waits_quietly_and_takes_up_again() {
    let system = System::start().await;
    let id = system.callback.id();
    let page = system.page().await;
    system.is_unconnected().await;
    limit_files(id, open_files(id) / 2);
    let scan = system.scanned(page);
    let measured = async {
        let load = load(id).await;
        limit_files(id, PLENTY);
        load
    };
    // WeChat's push waits in the kernel's queue meanwhile, and is answered on its first or second try.
    let (_, load) = tokio::join!(scan, measured);
    eprintln!("load without a file to open: {load:.3}");
    assert!(load < QUIET, "{load}");
    let log = system.callback.log();
    assert_eq!(log.matches("cannot accept connections on").count(), 1, "{log}");
    system.log_in().await;
}
