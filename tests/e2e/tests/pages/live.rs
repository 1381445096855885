//! The live view of both services: real logins in it, in a real browser, followed as they go on, and ended.

use e2e::fleet::{Fleet, Options};
use e2e::page::PATIENCE;
use e2e::raw::Raw;
use protocol::{LoginId, Scene};
use serde_json::json;

use crate::stage::{DESK, PHONE, Stage};

const TOKEN: &str = "a token that nobody guesses";

const BROWSERS: [(&str, &str); 4] = [
    ("203.0.113.9", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0.0.0 Safari/537.36"),
    (
        "198.51.100.23",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1",
    ),
    ("2001:db8:17:4::1", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("192.0.2.77", "curl/8.5.0"),
];

/// A page, and the login that it shows.
struct Shown {
    page: Raw,
    content: String,
    scene: String,
    key: String,
    id: String,
}

async fn shown(fleet: &Fleet, path: &str, browser: usize) -> Shown {
    let (address, agent) = BROWSERS[browser];
    let headers =
        [("X-Forwarded-For", address), ("User-Agent", agent), ("Sec-WebSocket-Protocol", "saoma.v1")];
    let mut page = Raw::connect(fleet.gateways[0].public).await.upgrade(path, &headers).await.unwrap();
    let code = page.expect("qrcode_url").await;
    let key = code["resume"].as_str().unwrap().to_owned();
    let scene = key.split('.').next().unwrap().to_owned();
    let id = LoginId::of(scene.parse::<Scene>().unwrap()).to_string();
    Shown { page, content: code["content"].as_str().unwrap().to_owned(), scene, key, id }
}

/// Whether a part of the page names a login.
fn names(part: &str, id: &str, also: &str) -> String {
    let short = &id[..8];
    format!(
        "[...document.querySelectorAll('#{part} tbody tr')]
            .some(({{ textContent: it }}) => it.includes('{short}') && it.includes('{also}'))"
    )
}

async fn enter(stage: &Stage, token: &str) {
    stage.browser.value(&format!("(document.querySelector('#token').value = {token:?})")).await;
    stage.browser.click("form button").await;
}

async fn watch(language: &'static str) {
    let says = |zh: &'static str, en: &'static str| if language == "en" { en } else { zh };
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    fleet.gateways[0].set("GATEWAY_ADMIN_TOKEN", TOKEN.to_owned());
    fleet.gateways[0].set("GATEWAY_TRUSTED_PROXIES", "127.0.0.0/8".to_owned());
    fleet.gateways[0].start();
    fleet.callbacks[0].start();
    fleet.until_ready().await;
    let mut stage = Stage::start(language).await;
    stage.show_on(DESK).await;

    // Something to see: logins that have ended in several ways, others in progress, and a warning.
    let granted = shown(&fleet, "/ws", 0).await;
    // Nobody has registered that site.
    let denied = shown(&fleet, "/ws?site=shop", 0).await;
    let left = shown(&fleet, "/ws", 3).await;
    let waiting = shown(&fleet, "/ws?site=forum", 1).await;
    let people: Vec<String> =
        ["阿狸", "Zoë"].iter().map(|name| fleet.wechat.invent_person(name, true).openid).collect();
    for login in [&granted, &denied] {
        fleet.wechat.scan(&people[0], &login.content).await.unwrap();
    }
    drop(left.page);
    let elsewhere = [("Origin", "http://elsewhere.example")];
    assert!(Raw::connect(fleet.gateways[0].public).await.upgrade("/ws", &elsewhere).await.is_err());

    let gateway = format!("http://localhost:{}/", fleet.gateways[0].admin.port());
    stage.browser.open(&gateway).await;
    stage.see("live view, token").await;
    enter(&stage, "another token that nobody guesses").await;
    stage.browser.until("document.querySelector('[role=alert]')").await;
    stage.see("live view, wrong token").await;
    enter(&stage, TOKEN).await;
    stage.browser.until("document.querySelector('#live').dataset.is === 'on'").await;
    stage.browser.until(&names("logins", &waiting.id, "forum")).await;
    stage.browser.until(&names("ended", &granted.id, says("登录成功", "Granted"))).await;
    stage.browser.until(&names("ended", &denied.id, says("被拒绝", "Denied"))).await;
    stage.browser.until(&names("ended", &left.id, says("页面已离开", "Page left"))).await;
    stage
        .browser
        .until("document.querySelector('#problems').textContent.includes('a page was refused')")
        .await;
    stage.browser.until("document.querySelector('#clients').textContent.includes('callback')").await;

    // Followed live: a login comes, somebody scans it, and it is over.
    let next = shown(&fleet, "/ws", 2).await;
    stage.browser.until(&names("logins", &next.id, says("等待扫码", "waiting"))).await;
    stage.see("live view of the gateway").await;
    // For the documents.
    stage.keep("live-view-gateway", "body", "light", DESK).await;
    stage.keep("live-view-logins", "#logins", "dark", PHONE).await;
    fleet.wechat.scan(&people[1], &next.content).await.unwrap();
    stage.browser.until(&names("ended", &next.id, says("登录成功", "Granted"))).await;

    // Nothing there that a log may not say, in what is shown and in what is sent.
    let all = stage.browser.value("document.documentElement.outerHTML").await.to_string();
    for login in [&granted, &waiting, &next] {
        assert!(all.contains(&login.id[..8]));
        assert!(!all.contains(&login.scene) && !all.contains(&login.key), "{all}");
    }
    for secret in people.iter().map(String::as_str).chain([TOKEN, "203.0.113.9", "192.0.2.77", "阿狸"]) {
        assert!(!all.contains(secret), "{secret}: {all}");
    }

    // One is ended by a button, and its page hears so.
    let mut waiting = waiting;
    stage.browser.click(&format!("[aria-label$=\"{}\"]", &waiting.id[..8])).await;
    stage.browser.until("document.querySelector('.said')").await;
    tokio::time::timeout(PATIENCE, waiting.page.expect("expired")).await.unwrap();
    stage.browser.until("document.querySelector('#live').dataset.is === 'on'").await;
    stage.browser.until(&names("ended", &waiting.id, says("已过期", "Expired"))).await;

    // Without its script the page says the same.
    stage.browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    stage.browser.open(&gateway).await;
    let text = stage.browser.client.source().await.unwrap();
    assert!(text.contains(&waiting.id[..8]) && text.contains(says("刷新</a>", "Refresh</a>")), "{text}");
    stage.browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": false })).await;

    // The other service's, on this machine without a token.
    stage.browser.open(&format!("http://localhost:{}/", fleet.callbacks[0].admin.port())).await;
    stage.browser.until("document.querySelector('#live').dataset.is === 'on'").await;
    stage.browser.until(&names("scans", &next.id, says("登录成功", "logged in"))).await;
    stage.browser.until("document.querySelector('#gateways [data-tone=good]')").await;
    stage.see("live view of callback-service").await;
    stage.keep("live-view-callback", "body", "dark", DESK).await;

    // A refusal of the wrong token, and nothing else.
    let complaints = stage.browser.complaints().await;
    let others: Vec<_> = complaints.iter().filter(|it| !it.contains("401 (Unauthorized)")).collect();
    assert_eq!(others, [""; 0]);
    stage.end_without_looks();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_live_view_is_followed_and_open_to_everybody_in_chinese() {
    watch("zh-CN").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_live_view_is_followed_and_open_to_everybody_in_english() {
    watch("en").await;
}
