//! Crowds at work while the machines under them fail: no login is lost, and none reaches the wrong browser.
//!
//! Everything is a real process: gateways, callback services, Redis. Faults come from outside. What browsers and
//! phones saw is judged by `e2e::history`; a run prints its seed and what it counted.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod clock;
mod confirmation;
mod cost;
mod herd;
mod kills;
mod outages;
mod replicas;
mod restarts;
mod sites;
mod versions;
mod wake_ups;
mod ways;

use std::time::Duration;

use e2e::crowd::{self, Crowd, Manner, Path, Plan};
use e2e::fleet::{Fleet, Options};
use e2e::history::{Browser, History, Summary, Way, check};
use e2e::roaming::{Habits, Outcome};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A crowd of this many is done by then, also on a slow machine.
const LONGEST: Duration = Duration::from_secs(240);

/// How many tests run at once. They mostly wait, and a machine that does more than that would change the times that they
/// judge.
const AT_ONCE: u32 = 2;

static MACHINE: Semaphore = Semaphore::const_new(AT_ONCE as usize);

/// Waits for a place on the machine.
async fn place() -> SemaphorePermit<'static> {
    MACHINE.acquire().await.unwrap()
}

/// Waits for the whole machine: for a test that measures, or that needs all of it.
async fn alone() -> SemaphorePermit<'static> {
    MACHINE.acquire_many(AT_ONCE).await.unwrap()
}

fn options(store: &str, gateways: usize, callbacks: usize) -> Options {
    Options {
        gateway_store: store.to_owned(),
        callback_store: store.to_owned(),
        gateways,
        callbacks,
        all_ways: true,
        ..Options::default()
    }
}

fn plan(fleet: &Fleet, people: u32, pace: Duration, hesitation: Duration) -> Plan {
    let (gateways, habits, seed) = (fleet.browsers(), Habits::default(), crowd::seed());
    Plan {
        people,
        pace,
        hesitation,
        gateways,
        habits,
        seed,
        sites: None,
        path: mixed,
        manner: |_| Manner::Confirms,
        web: Some(fleet.web()),
    }
}

/// Everybody scans.
fn scanned(_: Browser) -> Path {
    Path::One(Way::Scan)
}

/// Half of the people scan. The others type the page's code, or open the login's page in their WeChat.
fn mixed(browser: Browser) -> Path {
    Path::One([Way::Scan, Way::Typed, Way::Scan, Way::Wechat][browser.0 as usize % 4])
}

/// Waits for the crowd, asks how every login stands, and judges. Everybody is logged in in the end.
async fn judge(crowd: Crowd, fleet: &Fleet, declare: impl FnOnce(&mut History)) -> Summary {
    let (summary, outcomes) = judge_outcomes(crowd, fleet, declare).await;
    let done = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Granted { .. })).count();
    assert_eq!(done, outcomes.len(), "everybody is logged in in the end");
    summary
}

/// As [`judge`], whatever became of each page.
async fn judge_outcomes(
    crowd: Crowd,
    fleet: &Fleet,
    declare: impl FnOnce(&mut History),
) -> (Summary, Vec<(Browser, Outcome)>) {
    let recorder = crowd.recorder.clone();
    let (outcomes, scenes) = crowd.finish(LONGEST).await;
    // A test that freezes a gateway freezes the first.
    let asked = fleet.gateways.iter().rfind(|gateway| gateway.is_running()).expect("a gateway runs");
    crowd::audit(asked.notices, scenes, &recorder).await;
    let mut history = recorder.history();
    declare(&mut history);
    let summary = match check(&history) {
        Ok(summary) => summary,
        Err(violations) => {
            for violation in &violations {
                eprintln!("{violation}");
            }
            panic!("{} promises were not kept", violations.len());
        }
    };
    eprintln!("{summary}");
    (summary, outcomes)
}
