//! Logins in a real browser: the page is Chromium's, its QR code is read from what the screen shows, and the
//! phone is the simulated WeChat's.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};

use demo::{Options, Stack};
use e2e::browser::Browser;
use hyper::StatusCode;
use serde_json::{Value, json};
use server::http as web;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const NAME: &str = "阿狸🦊";

/// The system with a WeChat that still gives nicknames, and with more flags for the gateway.
async fn stack(gateway: &[&str]) -> Stack {
    let wechat = simulator::Settings { nicknames: true, ..simulator::Settings::default() };
    let gateway = gateway.iter().copied().map(str::to_owned).collect();
    Stack::start(Options { wechat, gateway, ..Options::default() }).await.unwrap()
}

fn login_page(stack: &Stack) -> String {
    format!("http://{}/", stack.gateway.browsers)
}

/// Somebody new scans a code; returns what WeChat then shows on the phone.
async fn scan(stack: &Stack, nickname: &str, code: &str) -> String {
    let person = stack.wechat.invent_person(nickname, false);
    let delivery = stack.wechat.scan(&person.openid, code).await.unwrap();
    delivery.reply.unwrap_or_else(|| panic!("no reply: {:?}", delivery.attempts))
}

async fn assert_granted(browser: &Browser, name: &str) {
    browser.until_state("granted").await;
    assert_eq!(browser.text(".saoma-user").await, name);
    assert_eq!(browser.complaints().await, [""; 0]);
}

async fn logs_in(language: &str, waiting: &str, granted: &str) {
    let stack = stack(&[]).await;
    let browser = Browser::start(language).await;
    browser.open(&login_page(&stack)).await;
    browser.until_state("waiting").await;
    assert_eq!(browser.text(".saoma-status").await, waiting);

    let code = browser.read_code(".saoma-code", &[]).await;
    let reply = scan(&stack, NAME, &code).await;
    assert_granted(&browser, NAME).await;
    assert_eq!(browser.text(".saoma-status").await, granted);
    assert!(reply.contains(NAME) && reply.contains("登录成功") && reply.contains("第1次"), "{reply}");
}

#[tokio::test]
async fn a_person_logs_in_on_a_chinese_page() {
    logs_in("zh-CN", "请用微信“扫一扫”扫码登录", "登录成功").await;
}

#[tokio::test]
async fn a_person_logs_in_on_an_english_page() {
    logs_in("en-GB", "Scan with WeChat to log in", "You are logged in").await;
}

#[tokio::test]
async fn the_code_opened_in_a_phones_browser_logs_in_too() {
    let stack = stack(&[]).await;
    let (computer, phone) = tokio::join!(Browser::start("en"), Browser::start("en"));
    computer.open(&login_page(&stack)).await;
    let code = computer.read_code(".saoma-code", &[]).await;

    phone.open(&code).await;
    phone.until("!document.querySelector('#preselected').hidden").await;
    assert_eq!(phone.text("#preselected-text").await, code);
    // The phone becomes somebody first; the button says who.
    let button = "document.querySelector('#preselected-scan').textContent";
    phone.until(button).await;
    phone.click("#preselected-scan").await;
    let reply = phone.until("document.querySelector('#chat .theirs')?.textContent").await;
    assert!(reply.as_str().unwrap().contains("you are logged in"), "{reply}");
    assert_eq!(phone.complaints().await, [""; 0]);

    computer.until_state("granted").await;
    let name = computer.text(".saoma-user").await;
    assert!(!name.is_empty() && reply.as_str().unwrap().contains(&name), "{name}");
    assert_eq!(computer.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_hostile_nickname_arrives_as_text() {
    const MARKUP: &str = "</p><img src=x onerror=hacked=1>'\"]]>&lt;🦊<script>hacked=1</script>";
    let stack = stack(&[]).await;
    let browser = Browser::start("zh-CN").await;
    browser.open(&login_page(&stack)).await;
    let code = browser.read_code(".saoma-code", &[]).await;
    let elements = browser.value("document.querySelectorAll('*').length").await;

    let reply = scan(&stack, &format!("\u{202e}\u{7}{MARKUP}{}", "长".repeat(200)), &code).await;
    let shown: String = MARKUP.chars().chain("长".repeat(200).chars()).take(64).collect();
    assert_granted(&browser, &shown).await;
    assert!(reply.contains(&shown), "{reply}");
    assert_eq!(browser.value("document.querySelectorAll('*').length").await, elements);
    assert_eq!(browser.value("typeof hacked").await, "undefined");
}

#[tokio::test]
async fn a_reload_keeps_the_code_and_a_page_that_was_away_hears_of_its_scan() {
    let stack = stack(&[]).await;
    let browser = Browser::start("zh-CN").await;
    browser.open(&login_page(&stack)).await;
    let code = browser.read_code(".saoma-code", &[]).await;
    browser.client.refresh().await.unwrap();
    assert_eq!(browser.read_code(".saoma-code", &[]).await, code);

    browser.open("about:blank").await;
    let reply = scan(&stack, NAME, &code).await;
    assert!(reply.contains("登录成功"), "{reply}");
    browser.client.back().await.unwrap();
    assert_granted(&browser, NAME).await;
}

#[tokio::test]
async fn an_expired_code_is_renewed_three_times_and_then_by_a_button() {
    let stack = stack(&["--gateway-login-ttl=2s"]).await;
    let browser = Browser::start("zh-CN").await;
    // What a camera may miss on a busy machine, the page's own element does not.
    browser
        .run_first(
            "window.shown = new Set();
             new MutationObserver(() => shown.add(document.querySelector('.saoma-code').src))
                 .observe(document, { subtree: true, attributeFilter: ['src'] })",
        )
        .await;
    browser.open(&login_page(&stack)).await;
    let first = browser.read_code(".saoma-code", &[]).await;
    browser.read_code(".saoma-code", std::slice::from_ref(&first)).await;
    browser.until("!document.querySelector('.saoma-button').hidden").await;
    assert_eq!(browser.value("document.body.dataset.state").await, "expired");
    let shown = browser.value("shown.size").await;
    assert_eq!(shown, 4, "the first code, and three renewals");

    browser.click(".saoma-button").await;
    browser.until("shown.size > 4").await;
    assert_ne!(browser.read_code(".saoma-code", &[]).await, first);
    assert_eq!(browser.complaints().await, [""; 0]);
}

/// Serves the original's page until the test ends, as some web site would.
async fn site_of_the_original() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let never = CancellationToken::new();
        while let Ok((stream, _)) = listener.accept().await {
            let never = never.clone();
            tokio::spawn(async move {
                let page = include_str!("../pages/original.html");
                let answer = |_| async { web::answer(StatusCode::OK, "text/html; charset=utf-8", page) };
                web::serve(stream, &never, web::HEAD_WITHIN, None, answer).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn the_originals_page_logs_in_unchanged() {
    let site = site_of_the_original().await;
    let stack = stack(&[&format!("--gateway-allowed-origins=http://{site}")]).await;
    let browser = Browser::start("zh-CN").await;
    browser.open(&format!("http://{site}/?{}", stack.gateway.browsers)).await;
    let code = browser.read_code("#qrcode", &[]).await;
    let image = browser.value("document.querySelector('#qrcode').src").await;
    let wechats = format!("http://{}/cgi-bin/showqrcode?ticket=", stack.wechat_address);
    assert!(image.as_str().unwrap().starts_with(&wechats), "{image}");

    scan(&stack, NAME, &code).await;
    browser.until("document.querySelector('#user').textContent").await;
    assert_eq!(browser.text("#user").await, NAME);
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_gets_nothing() {
    let site = site_of_the_original().await;
    let stack = stack(&[]).await;
    let browser = Browser::start("zh-CN").await;
    browser.open(&format!("http://{site}/?{}", stack.gateway.browsers)).await;
    browser.until("socket.readyState === WebSocket.CLOSED").await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().any(|it| it.contains("403")), "{complaints:?}");
    assert_eq!(browser.value("document.querySelector('#qrcode').hasAttribute('src')").await, false);
}

/// The login page's promise that no other script runs, and this file's that it would hear of one.
#[tokio::test]
async fn the_page_runs_no_script_but_its_own() {
    let stack = stack(&[]).await;
    let browser = Browser::start("zh-CN").await;
    browser.open(&login_page(&stack)).await;
    browser.until_state("waiting").await;
    browser.value("document.head.appendChild(document.createElement('script')).append('hacked = 1')").await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().any(|it| it.contains("Content Security Policy")), "{complaints:?}");
    assert_eq!(browser.value("typeof hacked").await, "undefined");
}

/// Where modules are unknown, or ours does not arrive.
#[tokio::test]
async fn a_logo_that_does_not_load_leaves_no_hole() {
    // A picture that is none.
    let stack = stack(&["--gateway-logo=data:image/png;base64,AAAA"]).await;
    let browser = Browser::start("en").await;
    browser.open(&login_page(&stack)).await;
    browser.until_state("waiting").await;
    browser.until("document.querySelector('.logo').complete").await;
    let logo = "[document.querySelector('.logo').naturalWidth, document.querySelector('.logo').clientHeight]";
    assert_eq!(browser.value(logo).await, json!([0, 0]));
}

#[tokio::test]
async fn a_page_whose_script_does_not_run_says_what_may_help() {
    let stack = stack(&[]).await;
    let browser = Browser::start("zh-CN").await;
    browser.open(&login_page(&stack)).await;
    browser.until_state("waiting").await;
    assert_eq!(browser.value("document.querySelector('#unsupported')").await, Value::Null);

    browser.devtools("Network.enable", json!({})).await;
    browser.devtools("Network.setBlockedURLs", json!({ "urls": ["*/widget.v1.js*"] })).await;
    browser.open(&login_page(&stack)).await;
    browser.until("getComputedStyle(document.querySelector('#unsupported')).visibility === 'visible'").await;
    let said = browser.text("#unsupported").await;
    assert!(said.contains("请更新浏览器") && said.contains("Please update it"), "{said}");
}
