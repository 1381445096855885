//! The back end that had the account's pushes before keeps what is not ours, and no login waits for it.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod back_end;
mod faulty;
mod kinds;
mod unchanged;

use demo::{Options, Stack};
use e2e::page::Page;
use e2e::raw::{metric, metric_becomes};
use simulator::{Delivery, Mode, Settings};

use back_end::BackEnd;

/// A stack that relays by these routes.
async fn stack(mode: Mode, routes: &str) -> Stack {
    let wechat = Settings { mode, ..Settings::default() };
    stack_of(wechat, routes, &[]).await
}

async fn stack_of(wechat: Settings, routes: &str, flags: &[&str]) -> Stack {
    let mut callback = vec![format!("--callback-relay-url={routes}")];
    callback.extend(flags.iter().map(|&flag| flag.to_owned()));
    let gateway = vec!["--gateway-ways=scan,typed".to_owned()];
    Stack::start(Options { wechat, gateway, callback, ..Options::default() }).await.unwrap()
}

/// A stack in safe mode that relays all it can to one back end.
async fn with_one() -> (Stack, BackEnd) {
    let back_end = BackEnd::of(&Settings::default()).await;
    (stack(Mode::Safe, &back_end.url()).await, back_end)
}

fn person(stack: &Stack) -> String {
    stack.wechat.invent_person("", true).openid
}

async fn says(stack: &Stack, person: &str, text: &str) -> Delivery {
    let delivery = stack.wechat.say(person, text).await.unwrap();
    assert!(delivery.is_ok(), "{text}: {delivery:?}");
    delivery
}

/// A new page is logged in by a scan.
async fn logs_in(stack: &Stack) -> Delivery {
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await;
    let scanned = stack.wechat.scan(&person(stack), &code.content).await.unwrap();
    assert!(scanned.is_ok() && scanned.attempts.len() == 1, "{scanned:?}");
    page.expect("scanned").await;
    page.expect("scan_success").await;
    scanned
}

async fn relayed(stack: &Stack, kind: &str, outcome: &str) -> u64 {
    metric(stack.callback.admin, &name(kind, outcome)).await
}

async fn relayed_becomes(stack: &Stack, kind: &str, outcome: &str, wanted: u64) {
    metric_becomes(stack.callback.admin, &name(kind, outcome), wanted).await;
}

fn name(kind: &str, outcome: &str) -> String {
    format!("callback_relayed_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}")
}
