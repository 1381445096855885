//! Bad input over real sockets: forged pushes, strangers at the internal port, and pages that misbehave.
//! Each is refused as the design says, is told so where that can be read, and nobody else notices.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod door;
mod notices;
mod pages;
mod pushes;
mod target;

use std::time::{Duration, Instant};

use demo::{Options, Stack};
use e2e::page::Page;
use e2e::raw::Raw;
use serde_json::{Value, json};

/// What is enough for a login even while others misbehave.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn stack() -> Stack {
    Stack::start(Options::default()).await.unwrap()
}

async fn stack_with(gateway: &[&str]) -> Stack {
    let gateway = gateway.iter().map(|&flag| flag.to_owned()).collect();
    let options = Options { gateway, ..Options::default() };
    Stack::start(options).await.unwrap()
}

/// A whole login, from a page's opening to its close.
async fn log_in(stack: &Stack) {
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await;
    let openid = stack.wechat.invent_person("", true).openid;
    stack.wechat.scan(&openid, &code.content).await.unwrap();
    page.expect("scanned").await;
    page.expect("scan_success").await;
    assert_eq!(page.closed().await, 4010);
}

async fn log_in_at_once(stack: &Stack, meanwhile: &str) {
    let began = Instant::now();
    log_in(stack).await;
    let took = began.elapsed();
    assert!(took < AT_ONCE, "{meanwhile}: {took:?}");
}

/// A client of the internal port that has proved its key.
async fn client(stack: &Stack) -> Raw {
    let mut client = Raw::connect(stack.gateway.notices).await;
    client.prove().await;
    is_served(&mut client).await;
    client
}

async fn is_served(client: &mut Raw) {
    let pong = client.notify(&json!({"type": "ping", "id": "7"})).await;
    assert_eq!(pong, json!({"type": "pong", "id": "7"}));
}

async fn state_of(stack: &Stack, scene: &str) -> Value {
    let query = json!({"type": "query", "scene": scene});
    client(stack).await.notify(&query).await["state"].clone()
}
