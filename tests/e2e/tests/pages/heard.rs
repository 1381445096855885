//! What somebody hears who does not see the page, and where somebody is who uses no mouse.

use demo::{Options, Stack};
use serde_json::{Value, json};

use crate::stage::{DESK, Stage};
use crate::{played, shop};

/// Keeps each change inside the live region, as text.
const LISTEN: &str = "(() => {
    window.heard = [];
    const live = document.querySelector('.saoma-live');
    new MutationObserver((changes) => {
        for (const { target } of changes) heard.push((target.nodeType === 3 ? target.parentNode : target).textContent);
    }).observe(live, { subtree: true, childList: true, characterData: true });
    return live.matches('output, [role=status], [aria-live=polite]');
})()";

/// What was heard since the last look.
async fn heard(stage: &Stage) -> Vec<String> {
    let heard = stage.browser.value("new Promise((done) => setTimeout(() => done(heard.splice(0))))").await;
    let heard: Vec<String> = serde_json::from_value(heard).unwrap();
    heard.into_iter().filter(|it| !it.is_empty()).collect()
}

#[tokio::test]
async fn a_code_that_is_sent_is_announced_by_what_to_do_with_it_and_once() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let stage = Stage::start("en").await;
    stage
        .browser
        .run_first(&format!("{}\nnavigator.clipboard.writeText = async () => {{}}", played::WORLD))
        .await;
    stage.play(&format!("http://{}/", stack.gateway.browsers), &[]).await;
    stage.show_on(DESK).await;
    assert_eq!(stage.browser.value(LISTEN).await, true, "a live region");
    let does = async |step: &str| stage.does(step).await;
    let send = "Send this code to \u{201c}\u{2068}示例科技\u{2069}\u{201d} in WeChat";

    does(&played::typed_only()).await;
    stage.browser.until("document.querySelector('.saoma-typed')?.checkVisibility()").await;
    assert_eq!(heard(&stage).await, [send]);
    does("turn('copy')").await;
    stage.browser.until("document.querySelector('.saoma-say').textContent").await;
    assert_eq!(heard(&stage).await, ["Copied"]);
    does(&played::scanned("")).await;
    assert_eq!(heard(&stage).await, ["Received. Please continue in WeChat"]);
    does(&played::said("denied")).await;
    does("press()").await;
    heard(&stage).await;
    // The other way is said, as somebody who does not see it has asked for it.
    does(&played::typed_beside()).await;
    assert_eq!(heard(&stage).await, ["Scan with WeChat to log in"]);
    does("turn('toggle')").await;
    assert_eq!(heard(&stage).await, [send]);
    let regions = "document.querySelectorAll('output, [role=status], [role=alert], [aria-live]').length";
    assert_eq!(stage.browser.value(regions).await, 1);
}

#[tokio::test]
async fn states_are_announced_and_seconds_are_not() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let stage = Stage::start("en").await;
    stage.browser.run_first(played::WORLD).await;
    let shop = shop::start(stack.gateway.browsers, "en").await;
    for url in [format!("http://{}/", stack.gateway.browsers), shop] {
        stage.play(&url, &[]).await;
        assert_eq!(stage.browser.value(LISTEN).await, true, "a live region");
        let does = async |step: &str| stage.does(step).await;

        let seen = does(&played::code()).await;
        assert_eq!(seen["countdown"], "Expires in 05:00");
        assert_eq!(heard(&stage).await, ["Scan with WeChat to log in"]);
        // Half a minute, second by second: the countdown moves, and nobody is told.
        for second in 1..=30 {
            let seen = does("pass(1000)").await;
            let expected = format!("Expires in 0{}:{:02}", (300 - second) / 60, (300 - second) % 60);
            assert_eq!(seen["countdown"], expected.as_str());
        }
        assert_eq!(heard(&stage).await, [""; 0]);
        // Once, while there is still time.
        does("pass(270000 - 30000)").await;
        assert_eq!(heard(&stage).await, ["Expires in 00:30"]);
        does("pass(29000)").await;
        assert_eq!(heard(&stage).await, [""; 0]);

        does(&played::scanned("")).await;
        assert_eq!(heard(&stage).await, ["Scanned. Please continue in WeChat"]);
        does(&played::scanned("42")).await;
        assert_eq!(heard(&stage).await, ["Reply with this number in the WeChat chat", "42"]);
        does(&played::said("denied")).await;
        assert_eq!(heard(&stage).await, ["This login was declined"]);
        does("press()").await;
        does(&played::code()).await;
        heard(&stage).await;
        does(&played::granted_to("阿狸")).await;
        assert_eq!(heard(&stage).await, ["阿狸", "You are logged in"]);
        let inside = "document.querySelectorAll('.saoma-live .saoma-countdown').length";
        assert_eq!(stage.browser.value(inside).await, 0);
    }
}

/// Presses Tab, as a keyboard does.
async fn tab(stage: &Stage) {
    let key = json!({ "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 });
    for kind in ["rawKeyDown", "keyUp"] {
        let mut event = key.clone();
        event["type"] = kind.into();
        stage.browser.devtools("Input.dispatchKeyEvent", event).await;
    }
}

/// What has the focus, or nothing.
const FOCUSED: &str = "document.activeElement !== document.body && document.activeElement.tagName
    + (document.activeElement.id || document.activeElement.className || document.activeElement.textContent)";

/// What can have it, in order.
const EVERY: &str =
    "[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]')]
    .filter((it) => it.checkVisibility() && !it.disabled).map((it) => it.tagName
        + (it.id || it.className || it.textContent))";

#[tokio::test]
async fn whoever_uses_the_keyboard_gets_everywhere_and_sees_where_they_are() {
    let options = Options { sites: Some(String::new()), ..Options::default() };
    let stack = Stack::start(options).await.unwrap();
    let stage = Stage::start("en").await;
    stage.browser.run_first(&played::world_but_on(stack.wechat_address.port())).await;
    let site = format!("http://{}", stack.example_site.unwrap());
    let shop = shop::start(stack.gateway.browsers, "en").await;
    let denied = [played::code(), played::said("denied")];
    let sent = [played::typed_only()];
    for (url, steps) in [
        (format!("http://{}/", stack.gateway.browsers), &denied[..]),
        (format!("http://{}/", stack.gateway.browsers), &sent[..]),
        (format!("{site}/login"), &denied[..1]),
        (shop, &denied),
        (format!("{site}/widget"), &denied),
        (format!("{site}/"), &[]),
        (stack.wechat.public_url(), &[]),
    ] {
        if steps.is_empty() {
            stage.browser.open(&url).await;
            stage
                .browser
                .until(
                    "document.readyState === 'complete' && document.querySelector('#people')?.value !== ''",
                )
                .await;
        } else {
            stage.play(&url, steps).await;
        }
        for scheme in ["light", "dark"] {
            stage.turn(scheme).await;
            stage.show_on(DESK).await;
            let every: Vec<String> = serde_json::from_value(stage.browser.value(EVERY).await).unwrap();
            assert!(!every.is_empty(), "{url}");
            stage.browser.value("document.activeElement.blur()").await;
            let mut before = stage.screenshot().await;
            for expected in &every {
                tab(&stage).await;
                assert_eq!(
                    stage.browser.value(FOCUSED).await,
                    Value::from(expected.as_str()),
                    "{url}: {every:?}"
                );
                let after = stage.screenshot().await;
                assert_ne!(before, after, "{url}, {scheme}: nobody sees that {expected} has the focus");
                before = after;
            }
            // Past the last one, so that the next round begins at the first.
            tab(&stage).await;
        }
    }
}
