//! Everybody comes back at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use e2e::fleet::Fleet;
use e2e::history::{Browser, Event, Recorder};
use e2e::roaming::{Asks, Habits, Numbers, Roaming};
use test_redis::Redis;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::{alone, options};

const PAGES: u32 = 5_000;

/// Within which all are back.
const PROMISED: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_pages_are_back_in_thirty_seconds_and_cost_no_call() {
    let _alone = alone().await;
    let redis = Redis::start().await;
    let mut options = options(&redis.url(), 1, 1);
    options.all_ways = false;
    options.gateway.push(("GATEWAY_QR_READY", "0".to_owned()));
    // All of them come from one address. That is too many for anybody but a proxy.
    options.gateway.push(("GATEWAY_TRUSTED_PROXIES", "127.0.0.1".to_owned()));
    // Long enough for all to open on a slow machine.
    options.gateway.push(("GATEWAY_LOGIN_TTL", "20m".to_owned()));
    let mut fleet = Fleet::start(options).await;
    let (recorder, seed) = (Recorder::new(), e2e::crowd::seed());
    let (codes, mut shown) = mpsc::channel(PAGES as usize);
    let mut pages = JoinSet::new();
    let mut open = 0;
    for number in 0..PAGES {
        let roaming = Roaming {
            browser: Browser(number),
            gateways: fleet.browsers(),
            asks: Asks::default(),
            habits: Habits::default(),
            seed,
            recorder: recorder.clone(),
            codes: codes.clone(),
            numbers: Numbers::default(),
        };
        pages.spawn(roaming.run());
        if number % 100 == 99 {
            while open <= number {
                timeout(e2e::page::PATIENCE, shown.recv()).await.unwrap().unwrap();
                open += 1;
            }
        }
    }
    let calls = fleet.wechat.counters().qr_calls;
    let events = recorder.history().events.len();
    fleet.gateways[0].kill();
    let killed = Instant::now();
    fleet.gateways[0].start();
    let back = loop {
        let history = recorder.history();
        // On a slow machine one may lose its connection once more meanwhile.
        let shown = history.events[events..].iter().filter_map(|(_, event)| match event {
            Event::Shown { browser, .. } => Some(*browser),
            _ => None,
        });
        let back = shown.collect::<BTreeSet<_>>().len();
        if back >= PAGES as usize || killed.elapsed() > Duration::from_secs(120) {
            break back;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    eprintln!("{back} pages are back after {:?}", killed.elapsed());
    assert_eq!(back, PAGES as usize);
    // Half a minute is the promise, for programs that were built to be fast and have a machine to themselves.
    assert!(killed.elapsed() < 2 * PROMISED, "{:?}", killed.elapsed());
    assert_eq!(fleet.wechat.counters().qr_calls, calls, "a resume costs no code");
    let first_codes = recorder.history();
    let scenes = |events: &[(Duration, Event)]| {
        let shown = events.iter().filter_map(|(_, event)| match event {
            Event::Shown { scene, browser, .. } => Some((*browser, scene.clone())),
            _ => None,
        });
        shown.collect::<BTreeSet<_>>()
    };
    assert_eq!(
        scenes(&first_codes.events[..events]),
        scenes(&first_codes.events[events..]),
        "each its own code"
    );
}
