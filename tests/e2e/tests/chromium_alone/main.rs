//! The widget alone on the login page, in a real browser, in a world of the test's own: `world.js` has its clock, its
//! chance and its gateway. So every wait can be measured to the millisecond, and nobody waits for it.

#![allow(clippy::unwrap_used)]

mod connection;
mod request;

use demo::{Options, Stack};
use e2e::browser::Browser;
use serde_json::{Value, json};

const KEY: &str = "scene.secret";

const NUMBER: &str = "Reply with this number in the WeChat chat";

/// How often the page looks at its clock, in ms.
const TICK: u64 = 500;

struct Alone {
    browser: Browser,
    _stack: Stack,
}

impl Alone {
    /// A page that has just made its first attempt to connect.
    async fn open() -> Self {
        // Only the page's files come from the real gateway.
        let stack = Stack::start(Options::default()).await.unwrap();
        let browser = Browser::start("en").await;
        browser.run_first(include_str!("world.js")).await;
        browser.open(&format!("http://{}/", stack.gateway.browsers)).await;
        Self { browser, _stack: stack }
    }

    /// A page that shows the code of the login [`KEY`] for two minutes.
    async fn waiting() -> Self {
        let page = Self::open().await;
        is(&page.say(&code(120)).await, "waiting");
        page
    }

    /// The same, in the tab of an earlier page and without its memory.
    async fn anew(&self) {
        self.browser.value("sessionStorage.clear()").await;
        self.browser.client.refresh().await.unwrap();
        is(&self.say(&code(120)).await, "waiting");
    }

    /// Does something to the page; most doings return what it then looks like.
    async fn world(&self, does: &str) -> Value {
        self.browser.value(&format!("world.{does}")).await
    }

    async fn say(&self, message: &Value) -> Value {
        self.world(&format!("say({message})")).await
    }

    async fn pass(&self, milliseconds: u64) -> Value {
        self.world(&format!("pass({milliseconds})")).await
    }

    /// Checks that the page makes its next attempt when this time has passed, or at its next tick.
    async fn tries_again_in(&self, milliseconds: u64, resumes: Option<&str>) {
        let before = self.world("look()").await["attempts"].as_u64().unwrap();
        let seen = self.pass(milliseconds.saturating_sub(1)).await;
        assert_eq!(seen["attempts"], before, "too early: {seen}");
        let seen = self.pass(1 + TICK).await;
        assert_eq!(seen["attempts"], before + 1, "too late: {seen}");
        assert_eq!(seen["offers"], offers(resumes));
    }

    /// Checks that nothing but its button makes the page connect again.
    async fn stays_as_it_is(&self) {
        let before = self.world("look()").await;
        for does in ["pass(3600000)", "tell('offline')", "tell('online')", "see(false)", "see(true)"] {
            assert_eq!(self.world(does).await, before, "{does}");
        }
    }
}

fn offers(resumes: Option<&str>) -> Value {
    let ours = std::iter::once("saoma.v1".to_owned());
    ours.chain(resumes.map(|key| format!("resume.{key}"))).collect::<Vec<_>>().into()
}

/// Checks the state, and that a code is on show only where it can be scanned.
#[track_caller]
fn is(seen: &Value, state: &str) {
    assert_eq!(seen["state"], state, "{seen}");
    assert_eq!(seen["code"], state == "waiting", "{seen}");
}

/// Checks some of what is seen.
#[track_caller]
fn has(seen: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&seen[name], value, "{name} of {seen}");
    }
}

fn code(expires_in: u64) -> Value {
    json!({
        "message_type": "qrcode_url", "url": "", "content": "c", "expires_in": expires_in, "resume": KEY,
        "image": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=",
    })
}

fn scanned(expires_in: u64, number: &str) -> Value {
    json!({ "message_type": "scanned", "expires_in": expires_in, "number": number })
}

fn error(retry_in: u64) -> Value {
    json!({ "message_type": "error", "code": "busy", "message": "The reason", "retry_in": retry_in })
}

fn said(message_type: &str) -> Value {
    json!({ "message_type": message_type })
}

#[tokio::test]
async fn attempts_are_spread_over_three_seconds_and_then_over_times_that_double_to_thirty() {
    let page = Alone::waiting().await;
    for percent in [0, 25, 99] {
        page.world(&format!("chance({percent} / 100)")).await;
        for bound in [3, 6, 12, 24, 30, 30] {
            page.world("end(1006)").await;
            page.tries_again_in(bound * 10 * percent, Some(KEY)).await;
        }
        // Only a code proves that somebody serves again.
        page.say(&code(120)).await;
    }
}

#[tokio::test]
async fn a_lost_connection_is_resumed_and_its_code_is_not_on_show_meanwhile() {
    let page = Alone::waiting().await;
    for lost in [1000, 1001, 1005, 1006, 1011, 1012] {
        let seen = page.world(&format!("end({lost})")).await;
        is(&seen, "connecting");
        assert_eq!(seen["status"], "Connection lost, reconnecting…");
        page.tries_again_in(1500, Some(KEY)).await;
        is(&page.world("look()").await, "connecting");
        let seen = page.say(&code(99)).await;
        is(&seen, "waiting");
        assert_eq!(seen["countdown"], "Expires in 01:39");
    }
    page.world("end(1006)").await;
    page.pass(1500).await;
    let seen = page.world("end(1006)").await;
    is(&seen, "offline");
    has(&seen, &json!({ "status": "The server cannot be reached", "button": "Try again" }));
    assert_eq!(page.world("press()").await["holds"], true);
}

#[tokio::test]
async fn a_picture_that_is_still_there_is_not_sent_again() {
    let page = Alone::open().await;
    let first = page.say(&code(120)).await;
    let picture = first["picture"].as_str().unwrap();
    assert!(first["keeps"] == "" && picture.starts_with("data:image/gif"), "{first}");
    page.world("end(1006)").await;
    let seen = page.pass(3500).await;
    has(&seen, &json!({ "offers": offers(Some(KEY)), "keeps": "kept" }));
    let mut without = code(99);
    without.as_object_mut().unwrap().remove("image");
    let seen = page.say(&without).await;
    is(&seen, "waiting");
    assert_eq!(seen["picture"], picture);

    // Of another login it is no picture, and a page that was opened anew has none.
    page.world("end(4001)").await;
    has(&page.pass(3500).await, &json!({ "offers": offers(None), "keeps": "" }));
    page.say(&code(120)).await;
    page.browser.client.refresh().await.unwrap();
    has(&page.world("look()").await, &json!({ "offers": offers(Some(KEY)), "keeps": "" }));
}

#[tokio::test]
async fn what_is_empty_in_its_address_is_not_passed_on_and_the_language_is_one_that_it_knows() {
    let page = Alone::open().await;
    let own = page.browser.value("location.href").await;
    for (query, passed_on) in [
        ("lang=&nonce=&site=", "lang=en&subprotocol=offered&picture="),
        ("lang=fr", "lang=en&subprotocol=offered&picture="),
        ("lang=&lang=zh&lang=en&site=shop", "site=shop&lang=zh-CN&subprotocol=offered&picture="),
    ] {
        page.browser.open(&format!("{}?{query}", own.as_str().unwrap())).await;
        assert_eq!(page.world("look()").await["query"], passed_on, "{query}");
    }
}

#[tokio::test]
async fn a_login_that_is_over_is_not_come_back_for() {
    let page = Alone::waiting().await;
    page.say(&said("denied")).await;
    let seen = page.world("end(1006)").await;
    is(&seen, "denied");
    page.stays_as_it_is().await;
    has(&page.world("press()").await, &json!({ "holds": true, "offers": offers(None) }));
}

#[tokio::test]
async fn an_unknown_login_is_replaced_after_any_time_up_to_three_seconds() {
    let page = Alone::waiting().await;
    for percent in [0, 50, 99] {
        page.world(&format!("chance({percent} / 100)")).await;
        let seen = page.world("end(4001)").await;
        is(&seen, "connecting");
        assert_eq!(seen["status"], "Preparing the QR code…");
        page.tries_again_in(30 * percent, None).await;
        page.say(&code(120)).await;
    }
    // Where no login lasts, this is a renewal like any other, and nobody is there.
    let seen = page.world("end(4001)").await;
    is(&seen, "expired");
    page.stays_as_it_is().await;
}

#[tokio::test]
async fn some_ends_are_final_until_somebody_presses_the_button() {
    let page = Alone::open().await;
    let ends = [
        (4002, "This login continues in another window", "Try again", Some(KEY)),
        (1002, "The server refused this login", "Try again", None),
        (1007, "The server refused this login", "Try again", None),
        (1008, "The server refused this login", "Try again", None),
        (1009, "The server refused this login", "Try again", None),
    ];
    for (end, status, button, resumes) in ends {
        page.anew().await;
        let seen = page.world(&format!("end({end})")).await;
        is(&seen, "stopped");
        has(&seen, &json!({ "status": status, "button": button }));
        page.stays_as_it_is().await;
        let seen = page.world("press()").await;
        has(&seen, &json!({ "holds": true, "offers": offers(resumes) }));
    }
}

#[tokio::test]
async fn a_login_whose_end_was_not_understood_is_replaced_when_somebody_returns() {
    let page = Alone::waiting().await;
    let seen = page.world("end(4010)").await;
    is(&seen, "expired");
    has(&seen, &json!({ "button": "New QR code" }));
    assert_eq!(page.pass(3_600_000).await["attempts"], 1);
    has(&page.world("see(true)").await, &json!({ "attempts": 2, "offers": offers(None) }));
}

#[tokio::test]
async fn a_page_that_is_told_to_wait_does_so_whatever_happens() {
    for close in [1013, 4008] {
        let page = Alone::waiting().await;
        page.say(&error(20_000)).await;
        let seen = page.world(&format!("end({close})")).await;
        is(&seen, "connecting");
        has(&seen, &json!({ "status": "One moment, please…", "detail": "The reason" }));
        assert_eq!(seen["countdown"], "Trying again in 00:22");
        for does in ["tell('offline')", "tell('online')", "see(false)", "see(true)"] {
            assert_eq!(page.world(does).await["attempts"], 1, "{does}");
        }
        page.tries_again_in(20_000 + 1500, Some(KEY)).await;
        // Not told for how long, or told of something that is over: then as after any loss.
        page.world(&format!("end({close})")).await;
        page.tries_again_in(1500, Some(KEY)).await;
        page.say(&error(20_000)).await;
        page.say(&code(120)).await;
        has(&page.world(&format!("end({close})")).await, &json!({ "detail": "" }));
        page.tries_again_in(1500, Some(KEY)).await;
    }
}

#[tokio::test]
async fn while_the_gateway_cannot_look_the_page_asks_for_patience_and_then_goes_on() {
    let page = Alone::waiting().await;
    let wait = async || {
        let seen = page.say(&error(2000)).await;
        is(&seen, "connecting");
        has(&seen, &json!({ "status": "One moment, please…", "detail": "The reason" }));
        assert_eq!(seen["countdown"], "Trying again in 00:02");
        let seen = page.pass(20_000).await;
        is(&seen, "connecting");
        has(&seen, &json!({ "countdown": "", "attempts": 1 }));
    };
    wait().await;
    let seen = page.say(&code(70)).await;
    is(&seen, "waiting");
    has(&seen, &json!({ "countdown": "Expires in 01:10", "detail": "" }));
    wait().await;
    let seen = page.say(&said("expired")).await;
    has(&seen, &json!({ "refreshes": 1, "status": "Preparing the QR code…" }));
    // Without a login there is only a code to be waited for.
    let seen = page.say(&error(2000)).await;
    is(&seen, "busy");
    assert_eq!(seen["status"], "One moment, please…");
    page.say(&code(120)).await;
    wait().await;
    is(&page.say(&scanned(120, "42")).await, "scanned");
    let seen = page.say(&error(2000)).await;
    is(&seen, "scanned");
    has(&seen, &json!({ "number": "42", "status": NUMBER, "detail": "The reason" }));
    let seen = page.say(&json!({ "message_type": "scan_success", "user": "A" })).await;
    is(&seen, "granted");
    assert_eq!(seen["detail"], "");
}

#[tokio::test]
async fn a_scanned_login_that_is_resumed_does_not_flicker() {
    let page = Alone::waiting().await;
    page.say(&scanned(100, "42")).await;
    page.pass(10_000).await;
    let seen = page.world("end(1006)").await;
    has(&seen, &json!({ "number": "42", "status": NUMBER, "countdown": "Expires in 01:30" }));
    has(&seen, &json!({ "detail": "Connection lost, reconnecting…" }));
    page.pass(3000).await;
    let seen = page.say(&code(85)).await;
    has(&seen, &json!({ "number": "42", "status": NUMBER, "countdown": "Expires in 01:25", "detail": "" }));
    let seen = page.say(&scanned(84, "42")).await;
    has(&seen, &json!({ "number": "42", "status": NUMBER, "countdown": "Expires in 01:24" }));
    let shown: Vec<String> = serde_json::from_value(page.world("states()").await).unwrap();
    let scanned = shown.iter().skip_while(|state| *state != "scanned");
    assert!(scanned.clone().count() > 0 && scanned.clone().all(|state| state == "scanned"), "{shown:?}");
}

#[tokio::test]
async fn a_login_that_ended_meanwhile_shows_its_end_and_not_its_code() {
    let page = Alone::waiting().await;
    page.world("end(1006)").await;
    page.pass(3000).await;
    let seen = page.say(&code(0)).await;
    is(&seen, "connecting");
    has(&seen, &json!({ "status": "Connection lost, reconnecting…" }));
    page.say(&json!({ "message_type": "scan_success", "user": "A" })).await;
    is(&page.world("end(4010)").await, "granted");
    page.stays_as_it_is().await;
}

#[tokio::test]
async fn the_countdown_hides_the_code_and_only_the_gateway_renews_it() {
    let page = Alone::waiting().await;
    let seen = page.pass(119_000).await;
    is(&seen, "waiting");
    assert_eq!(seen["countdown"], "Expires in 00:01");
    let seen = page.pass(1000).await;
    is(&seen, "connecting");
    assert_eq!(seen["status"], "One moment, please…");
    let seen = page.pass(3_600_000).await;
    is(&seen, "connecting");
    has(&seen, &json!({ "refreshes": 0, "attempts": 1 }));
    assert_eq!(page.say(&said("expired")).await["refreshes"], 1);
}

#[tokio::test]
async fn an_unattended_page_renews_three_times_and_an_unseen_one_not_at_all() {
    let page = Alone::waiting().await;
    for renewals in 1..=3 {
        assert_eq!(page.say(&said("expired")).await["refreshes"], renewals);
        page.say(&code(120)).await;
    }
    let seen = page.say(&said("expired")).await;
    is(&seen, "expired");
    has(&seen, &json!({ "refreshes": 3, "button": "New QR code" }));
    is(&page.world("see(true)").await, "expired");
    assert_eq!(page.world("press()").await["refreshes"], 4);
    page.say(&code(120)).await;
    is(&page.say(&said("expired")).await, "connecting");

    // Whoever does anything at all, or scans, is there.
    for does in ["tell('keydown')", "tell('click')", &format!("say({})", scanned(120, "42"))] {
        for _ in 0..4 {
            page.say(&code(120)).await;
            page.say(&said("expired")).await;
        }
        is(&page.world("look()").await, "expired");
        page.say(&code(120)).await;
        page.world(does).await;
        is(&page.say(&said("expired")).await, "connecting");
    }

    page.say(&code(120)).await;
    page.world("see(false)").await;
    let unseen = page.say(&said("expired")).await;
    is(&unseen, "expired");
    let seen = page.world("see(true)").await;
    is(&seen, "connecting");
    assert_eq!(seen["refreshes"], unseen["refreshes"].as_u64().unwrap() + 1);
}

#[tokio::test]
async fn every_state_has_its_words_in_both_languages() {
    let page = Alone::open().await;
    let (code, error) = (format!("say({})", code(120)), format!("say({})", error(2000)));
    let (expired, denied) = (format!("say({})", said("expired")), format!("say({})", said("denied")));
    let granted = format!("say({})", said("scan_success"));
    let (scanned, numbered) = (format!("say({})", scanned(9, "")), format!("say({})", scanned(9, "42")));
    let ways = [
        vec!["look()"],
        vec![&error],
        vec![&code],
        vec![&error],
        vec![&code, "end(1006)"],
        vec!["pass(3000)", "end(1006)"],
        vec!["pass(9000)", &code, &expired, &code, "see(false)", &expired],
        vec!["see(true)", &code, &scanned],
        vec![&numbered],
        vec!["end(4002)"],
        vec!["press()", "end(1008)"],
        vec!["press()", &denied],
        vec!["press()", &granted],
    ];
    let mut heard = std::collections::HashSet::new();
    for way in ways {
        for does in &way {
            page.world(does).await;
        }
        for (language, is_chinese) in [("en", false), ("zh-CN", true)] {
            let seen = page.world("look()").await;
            for said in ["status", "button", "countdown"] {
                let said = seen[said].as_str().unwrap();
                let has_chinese = said.chars().any(|it| ('\u{4e00}'..'\u{9fff}').contains(&it));
                assert_eq!(has_chinese, is_chinese && !said.is_empty(), "{seen}");
            }
            assert_eq!(page.browser.value("document.documentElement.lang").await, language);
            assert!(!is_chinese || seen["detail"] == "", "the gateway's words were English: {seen}");
            let news = format!("{} {}", seen["state"], seen["status"]);
            assert!(heard.insert(news), "{way:?} shows what was shown before: {seen}");
            page.browser.click("#language").await;
        }
    }
    assert_eq!(page.browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn nothing_moves_for_those_who_asked_for_that() {
    let page = Alone::open().await;
    let motion = "getComputedStyle(document.querySelector('.saoma-mark')).animationName";
    assert_eq!(page.browser.value(motion).await, "saoma-turn");
    let wish = json!({ "features": [{ "name": "prefers-reduced-motion", "value": "reduce" }] });
    page.browser.devtools("Emulation.setEmulatedMedia", wish).await;
    assert_eq!(page.browser.value(motion).await, "none");
}

/// WCAG 2.2, 1.4.3: every word that is on the screen, by its own colour and what is behind it.
#[tokio::test]
async fn every_word_stands_out_in_light_and_dark() {
    const FAINT: &str = "(() => {
        const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
        const light = (colour) => {
            const linear = (it) => it <= .04045 ? it / 12.92 : ((it + .055) / 1.055) ** 2.4;
            const [r, g, b] = channels(colour).map((it) => linear(it / 255));
            return .2126 * r + .7152 * g + .0722 * b;
        };
        const behind = (node) => {
            const colour = getComputedStyle(node).backgroundColor;
            return channels(colour)[3] === 0 ? behind(node.parentElement) : colour;
        };
        const words = [...document.querySelectorAll('body *')].filter((node) => node.checkVisibility()
            && [...node.childNodes].some((it) => it.nodeType === 3 && it.data.trim()));
        return words.map((node) => {
            const pair = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => b - a);
            return [node.className || node.id || node.tagName, (pair[0] + .05) / (pair[1] + .05)];
        });
    })()";
    let page = Alone::waiting().await;
    for scheme in ["light", "dark"] {
        let wish = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        page.browser.devtools("Emulation.setEmulatedMedia", wish).await;
        for does in [
            "look()",
            &format!("say({})", scanned(9, "42")),
            "end(1006)",
            &format!("say({})", said("denied")),
        ] {
            if does.starts_with("say") && page.world("look()").await["holds"] == false {
                page.pass(3000).await;
            }
            page.world(does).await;
            let words = page.browser.value(FAINT).await;
            let words = words.as_array().unwrap();
            assert!(words.len() > 2, "{words:?}");
            for word in words {
                assert!(word[1].as_f64().unwrap() >= 4.5, "{scheme}, after {does}: {word}");
            }
        }
        page.world("press()").await;
        page.say(&code(120)).await;
    }
}
