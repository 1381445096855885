//! The start page of `cargo demo` in a real browser, and the logins to which it leads: by redirect to the issuer and
//! back, and by the widget in the site's own page, which is on another origin than the gateway. The site's claims are
//! what it has verified itself.

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

/// Presses the site's button, and logs somebody new in on the page to which that leads.
async fn scan(stack: &Stack, browser: &Browser) -> String {
    browser.click("#login").await;
    browser.until_state("waiting").await;
    let person = stack.wechat.invent_person(NAME, false).openid;
    consent(stack, browser, &person, true).await;
    person
}

/// Scans the code that the page shows. Where the chat asks, the person reads the digits on the page and types them.
async fn consent(stack: &Stack, browser: &Browser, person: &str, asks: bool) {
    let text = browser.read_code(".saoma-code", &[]).await;
    let mut delivery = stack.wechat.scan(person, &text).await.unwrap();
    if asks {
        let digits = "/^[1-9][0-9]$/.exec(document.querySelector('.saoma-number').textContent)?.[0]";
        let digits = browser.until(digits).await;
        delivery = stack.wechat.say(person, digits.as_str().unwrap()).await.unwrap();
    }
    let reply = delivery.reply.unwrap_or_else(|| panic!("no reply: {:?}", delivery.attempts));
    assert!(reply.contains("登录成功"), "{reply}");
}

/// Logs somebody new in by the widget, on the page that is open.
async fn scan_here(stack: &Stack, browser: &Browser, asks: bool) -> String {
    let person = stack.wechat.invent_person(NAME, false).openid;
    consent(stack, browser, &person, asks).await;
    person
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

/// The start page links everything, in the language of the browser and in the other one.
#[tokio::test]
async fn one_page_leads_to_both_ways_and_to_the_phone() {
    let (stack, site) = stack().await;
    let browser = Browser::start("zh-CN").await;
    browser.open(&site).await;
    assert_eq!(browser.text("h1").await, "扫一扫，就登录");
    let phone = browser.value("document.querySelector('.ways a').href").await;
    assert_eq!(phone, format!("{}/", stack.wechat.public_url()));
    for (link, leads) in [("#login", "login"), ("#widget", "widget"), ("#mount", "mount")] {
        let href = browser.value(&format!("document.querySelector('{link}').href")).await;
        assert_eq!(href, format!("{site}{leads}"));
    }
    let choice = browser.value("document.querySelector('#login-unasked').href").await;
    assert_eq!(choice, format!("{site}login?confirm=no"));

    browser.click("#language").await;
    browser.until("document.querySelector('h1').textContent === 'Log in by a scan'").await;
    browser.open(&format!("{site}widget")).await;
    assert_eq!(browser.text("h1").await, "Log in with WeChat", "the choice is remembered");
    assert_eq!(browser.value("document.documentElement.lang").await, "en");
}

/// Both forms of the widget, under a policy without inline scripts and styles.
async fn logs_in_here(language: &str, hello: &str, way: &str) {
    let (stack, site) = stack().await;
    let browser = Browser::start(language).await;
    for page in ["widget", "mount"] {
        browser.open(&site).await;
        browser.click(&format!("#{page}")).await;
        let openid = scan_here(&stack, &browser, true).await;
        is_at(&browser, &site).await;
        assert_eq!(claim(&browser, "sub").await, openid, "{page}");
        assert_eq!(claim(&browser, "aud").await, "example");
        assert_eq!(browser.text("#person").await, format!("{hello}{NAME}"));
        assert_eq!(browser.text("#way").await, way);
        browser.click("#logout").await;
        is_at(&browser, &format!("{site}logged-out")).await;
    }
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_person_logs_in_on_the_sites_own_chinese_page() {
    logs_in_here("zh-CN", "你好，", "你是在本站页面里扫码登录的。").await;
}

#[tokio::test]
async fn a_person_logs_in_on_the_sites_own_english_page() {
    logs_in_here("en-GB", "Hello, ", "You logged in on this site’s own page.").await;
}

/// The site's other entry never asks.
#[tokio::test]
async fn an_entry_without_the_question_logs_in_by_the_scan_alone() {
    let (stack, site) = stack().await;
    let browser = Browser::start("en").await;
    browser.open(&format!("{site}widget?confirm=no")).await;
    let openid = scan_here(&stack, &browser, false).await;
    is_at(&browser, &site).await;
    assert_eq!(claim(&browser, "sub").await, openid);
    assert_eq!(claim(&browser, "aud").await, "example-unasked");
    browser.click("#logout").await;
    is_at(&browser, &format!("{site}logged-out")).await;
}

/// The form that brings the code is good only with this browser's own cookie, and only for the login that this
/// browser has begun.
#[tokio::test]
async fn a_code_that_somebody_elses_page_sends_logs_nobody_in() {
    let (stack, site) = stack().await;
    let (victim, attacker) = tokio::join!(Browser::start("en"), Browser::start("en"));
    // The attacker's own login, up to the code, which the page gives away in place of sending it.
    attacker.open(&format!("{site}mount")).await;
    attacker
        .value(
            "(document.querySelector('#bring').submit = function () {
                window.got = [this.elements.code.value, this.elements.verifier.value];
            }, true)",
        )
        .await;
    scan_here(&stack, &attacker, true).await;
    let got = attacker.until("window.got").await;

    victim.open(&format!("{site}mount")).await;
    victim.until("document.querySelector('.saoma-code')").await;
    let send = |token: &str| {
        format!(
            "(() => {{
                const form = document.querySelector('#bring');
                [form.elements.code.value, form.elements.verifier.value] = {got};
                form.elements.saoma_csrf_token.value = {token};
                form.submit();
                return true;
            }})()"
        )
    };
    victim.value(&send("'another'")).await;
    victim.until("document.querySelector('#said')?.className === 'trouble'").await;
    assert!(victim.text("#said").await.contains("was not sent by a page of this site"));

    // Even with the right cookie the nonce is the attacker's.
    victim.open(&format!("{site}mount")).await;
    victim.until("document.querySelector('.saoma-code')").await;
    victim.value(&send("form.elements.saoma_csrf_token.value")).await;
    victim.until("document.querySelector('#said')?.className === 'trouble'").await;
    assert!(victim.text("#said").await.contains("could not be verified"));
    victim.open(&site).await;
    victim.until("document.querySelector('#login')").await;
}
