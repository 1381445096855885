//! What is written to the log, and what is not.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};

use serde_json::json;

use super::{Port, SHOP_KEY, auth, framed, key};
use crate::testing::in_memory::KEY;

#[tokio::test(start_paused = true)]
async fn no_secret_is_logged() {
    tracing::subscriber::set_global_default(Log).unwrap();
    // Tests on other threads may have met the log lines first, when nobody was interested in them.
    tracing::callsite::rebuild_interest_cache();
    let port = Port::open();
    let scene = port.login().await;
    let (mut good, mut wrong) = (port.connect(), port.connect());
    let (challenge, other) = (good.challenge().await, wrong.challenge().await);
    wrong.say(&auth("callback", SHOP_KEY, &other)).await;
    wrong.refused().await;
    good.say(&auth("callback", KEY, &challenge)).await;
    let scan =
        json!({"type": "scan", "scene": scene, "nickname": "阿狸", "code": "the code", "by": "an openid"});
    assert_eq!(good.ask(&scan).await["status"], "stored");
    good.say(&json!({"type": "scan", "code": ["the code"]})).await;
    good.hear().await;
    good.write(&framed(b"{\"code\":\"the code\"")).await;
    assert_eq!(good.refused().await, "bad_json");

    let lines = LINES.take();
    let id = &protocol::LoginId::of(scene).to_string();
    for word in ["a client has connected", "does not hold", "was answered", "was refused", id] {
        assert!(lines.contains(word), "{word} is missing in: {lines}");
    }
    let (proof, wrong_proof) = (key(KEY).proof(&challenge), key(SHOP_KEY).proof(&other));
    for secret in [KEY, SHOP_KEY, &proof, &wrong_proof, scene.as_str(), "the code", "阿狸", "an openid"] {
        assert!(!lines.contains(secret), "{secret} is in: {lines}");
    }
}

thread_local! {
    static LINES: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps every field of every event and span in the lines of its own thread, which is its own test. A subscriber
/// for one thread alone would miss what other threads' tests have switched off.
struct Log;

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut keep);
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut keep);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

fn keep(_: &tracing::field::Field, value: &dyn Debug) {
    LINES.with_borrow_mut(|lines| writeln!(lines, "{value:?}").unwrap());
}
