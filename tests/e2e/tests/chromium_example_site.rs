//! Logins at the example site of `cargo demo`, in a real browser: by redirect to the issuer, by a scan, and back. The
//! site's claims are what it has verified itself.

#![allow(clippy::unwrap_used)]

use std::time::Instant;

use demo::{Options, Stack};
use e2e::browser::{Browser, PATIENCE};
use fantoccini::Locator;

const NAME: &str = "阿狸🦊";

/// The system with an example site and a WeChat that still gives nicknames.
async fn stack() -> (Stack, String) {
    let wechat = simulator::Settings { nicknames: true, ..simulator::Settings::default() };
    let stack =
        Stack::start(Options { wechat, sites: Some(String::new()), ..Options::default() }).await.unwrap();
    let site = format!("http://{}/", stack.example_site.unwrap());
    (stack, site)
}

/// Presses the site's button, and lets somebody new scan the code to which that leads.
async fn scan(stack: &Stack, browser: &Browser) -> String {
    browser.click("#login").await;
    browser.until_state("waiting").await;
    let code = browser.read_code(".saoma-code", &[]).await;
    let person = stack.wechat.invent_person(NAME, false);
    let delivery = stack.wechat.scan(&person.openid, &code).await.unwrap();
    let reply = delivery.reply.unwrap_or_else(|| panic!("no reply: {:?}", delivery.attempts));
    assert!(reply.contains("登录成功"), "{reply}");
    person.openid
}

/// What the site shows of a claim.
async fn claim(browser: &Browser, name: &str) -> String {
    let row = format!(
        "[...document.querySelectorAll('#claims tr')].find((row) => row.cells[0].textContent === '{name}')"
    );
    let value = browser.until(&format!("{row}.cells[1].textContent")).await;
    value.as_str().unwrap().to_owned()
}

async fn is_at(browser: &Browser, url: &str) {
    browser.until(&format!("location.href === '{url}'")).await;
}

/// Somebody logs in, comes back by the session without a scan, logs out, and then has to scan again.
async fn logs_in(language: &str, words: [&str; 4]) {
    let [button, hello, log_out, logged_out] = words;
    let (stack, site) = stack().await;
    let browser = Browser::start(language).await;
    browser.open(&site).await;
    assert_eq!(browser.text("#login").await, button);

    let openid = scan(&stack, &browser).await;
    is_at(&browser, &site).await;
    assert_eq!(claim(&browser, "sub").await, openid);
    assert_eq!(claim(&browser, "name").await, NAME);
    assert_eq!(claim(&browser, "iss").await, format!("http://{}", stack.callback.pushes));
    let sid = claim(&browser, "sid").await;
    assert_eq!(browser.text("#person").await, format!("{hello}{NAME}"));
    assert_eq!(browser.text("#logout").await, log_out);

    // The site forgets who it is; the issuer does not.
    browser.client.delete_cookie("example-session").await.unwrap();
    browser.open(&site).await;
    browser.click("#login").await;
    is_at(&browser, &site).await;
    assert_eq!(claim(&browser, "sub").await, openid);
    assert_eq!(claim(&browser, "sid").await, sid);

    browser.click("#logout").await;
    is_at(&browser, &format!("{site}logged-out")).await;
    assert_eq!(browser.text("#said").await, logged_out);
    browser.open(&site).await;
    assert_eq!(browser.text("#login").await, button);

    assert_ne!(scan(&stack, &browser).await, openid);
    is_at(&browser, &site).await;
    assert_ne!(claim(&browser, "sub").await, openid);
    assert_ne!(claim(&browser, "sid").await, sid);
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_person_logs_in_at_a_chinese_site_and_out_again() {
    logs_in("zh-CN", ["用微信登录", "你好，", "退出登录", "你已退出登录。"]).await;
}

#[tokio::test]
async fn a_person_logs_in_at_an_english_site_and_out_again() {
    logs_in("en-GB", ["Log in with WeChat", "Hello, ", "Log out", "You are logged out."]).await;
}

#[tokio::test]
async fn a_logout_at_the_issuer_logs_out_at_the_site() {
    let (stack, site) = stack().await;
    let browser = Browser::start("en").await;
    browser.open(&site).await;
    scan(&stack, &browser).await;
    claim(&browser, "sub").await;
    browser.open(&format!("http://{}/logout", stack.callback.pushes)).await;
    browser.click("button[value=yes]").await;
    browser.until("document.body.innerText.includes('You are logged out')").await;
    // The site is told behind the browser's back.
    let began = Instant::now();
    browser.open(&site).await;
    while browser.client.find(Locator::Id("login")).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "still logged in");
        browser.client.refresh().await.unwrap();
    }
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_login_that_comes_to_nothing_is_told_in_plain_words() {
    let (_stack, site) = stack().await;
    for (language, went_back, not_begun) in [
        ("zh-CN", "你没有登录就返回了。", "这次登录不是在这个浏览器里开始的"),
        ("en", "You came back without logging in.", "This login was not begun in this browser"),
    ] {
        let browser = Browser::start(language).await;
        browser.open(&site).await;
        browser.click("#login").await;
        browser.until_state("waiting").await;
        browser.click("#back").await;
        browser.until("document.querySelector('#said')").await;
        assert_eq!(browser.text("#said").await, went_back);

        // An answer to another browser's question: the state is good, but not this browser's.
        browser.open(&site).await;
        browser.click("#login").await;
        browser.until_state("waiting").await;
        let back = browser.value("document.querySelector('#back').href").await;
        browser.client.delete_cookie("example-browser").await.unwrap();
        browser.open(&format!("{site}login")).await;
        browser.open(back.as_str().unwrap()).await;
        let said = browser.text("#said").await;
        assert!(said.starts_with(not_begun), "{said}");
    }
}

/// People type localhost. Its cookies would not come back to 127.0.0.1.
#[tokio::test]
async fn a_login_that_begins_at_localhost_ends_at_the_site() {
    let (stack, site) = stack().await;
    let browser = Browser::start("en").await;
    browser.open(&site.replace("127.0.0.1", "localhost")).await;
    is_at(&browser, &site).await;
    scan(&stack, &browser).await;
    assert_eq!(claim(&browser, "name").await, NAME);
}
