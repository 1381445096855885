//! Whatever a stranger sends, no label gets a value of theirs.

use demo::{NOTIFY_KEY, Options, Stack};
use e2e::page::Page;
use e2e::raw::Raw;
use serde_json::json;

use crate::scrape::Scrape;

/// A word that is nobody else's.
fn word(number: usize) -> String {
    format!("stranger{number}")
}

/// Everything that a page, a back end and WeChat can name, with a word in the place of each name.
async fn send(stack: &Stack, word: &str) {
    let gateway = stack.gateway.browsers;
    for path in ["account", "site", "request", "lang", "subprotocol", word] {
        if let Ok(mut page) = Page::offer(gateway, &format!("/ws?{path}={word}"), &["saoma.v1", word]).await {
            page.say(&json!({"message_type": word}).to_string()).await;
            page.hear().await;
        }
    }
    let origin = format!("https://{word}.example");
    assert!(Page::of(Some(&origin), gateway, "/ws").await.is_err());
    Raw::ask(gateway, &format!("{word} /{word} HTTP/1.1\r\nHost: {word}\r\n\r\n"), b"").await;

    let mut raw = Raw::connect(stack.gateway.notices).await;
    let proof = raw.proof(word, NOTIFY_KEY).await;
    raw.write(proof).await;
    raw.ended().await;
    // This one knows a key, and is the operator's; what it says is not.
    let mut raw = Raw::connect(stack.gateway.notices).await;
    raw.prove().await;
    raw.notify(&json!({"type": word, "id": word, "scene": word})).await;
    raw.notify(&json!({"type": "find", "id": word, "typed": "1234567", "account": word})).await;

    let person = stack.wechat.invent_person(word, true).openid;
    stack.wechat.push_event(&person, word, word).await;
    stack.wechat.say(&person, word).await.unwrap();
    for path in ["/wechat", "/wechat/nobody", "/elsewhere"] {
        let head = format!(
            "POST {path}?signature={word}&timestamp=1&nonce={word} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        );
        Raw::ask(stack.callback.pushes, &head, b"").await;
    }
}

#[tokio::test]
async fn a_hostile_page_push_or_client_adds_no_series() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let scrape = async || Scrape::of(stack.gateway.admin).await.and(Scrape::of(stack.callback.admin).await);
    // The first one makes the series that are ours to make.
    for number in 0..2 {
        send(&stack, &word(number)).await;
    }
    let before = scrape().await;
    for number in 2..12 {
        send(&stack, &word(number)).await;
    }
    let after = scrape().await;
    let new: Vec<_> = after.series().difference(&before.series()).copied().collect();
    assert!(new.is_empty(), "{new:?}");
    assert!(after.series().iter().all(|series| !series.contains("stranger")), "{:?}", after.series());
    let refused = |scrape: &Scrape| scrape.sum("gateway_pages_refused_total", "");
    assert!(refused(&after) >= refused(&before) + 10.0, "they were counted all the same");
}
