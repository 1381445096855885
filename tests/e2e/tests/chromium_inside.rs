//! Logins inside WeChat in a real browser that has WeChat's User-Agent: at a site, and by the address that a QR code holds;
//! in Chinese and English. `WRITE_SCREENSHOTS=folder` keeps the pictures.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use demo::{Options, Stack};
use e2e::browser::Browser;
use e2e::page::Page;
use serde_json::json;
use simulator::{Client, Person};

async fn stack(scope: &str) -> Stack {
    let callback =
        vec![format!("--callback-web-authorization={scope}"), "--callback-confirm=true".to_owned()];
    let gateway = vec!["--gateway-qr-ready=0".to_owned()];
    let options = Options { sites: Some(String::new()), gateway, callback, ..Options::default() };
    Stack::start(options).await.unwrap()
}

/// The WeChat of somebody who speaks this language, on a phone.
struct WeChat {
    browser: Browser,
    openid: String,
    language: &'static str,
}

impl WeChat {
    async fn of_somebody(stack: &Stack, language: &'static str) -> Self {
        let own = if language == "en" { "en" } else { "zh_CN" };
        let person = Person { language: own.to_owned(), ..Person::default() };
        let openid = stack.wechat.add_person(person).openid;
        let browser = Browser::start(language).await;
        let agent = json!({ "userAgent": Client::Phone.user_agent(own), "acceptLanguage": language });
        browser.devtools("Network.setUserAgentOverride", agent).await;
        let phone = json!({ "width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true });
        browser.devtools("Emulation.setDeviceMetricsOverride", phone).await;
        Self { browser, openid, language }
    }

    /// Opens an address in it, as a scan of a QR code does.
    async fn open(&self, stack: &Stack, url: &str) {
        let query = [("openid", self.openid.as_str()), ("url", url)];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.browser.open(&format!("{}/connect/phone?{query}", stack.wechat.public_url())).await;
    }

    async fn says(&self, words: &str) {
        self.browser.until(&format!("document.body.innerText.includes({words:?})")).await;
    }

    /// Keeps a picture of what it shows, by day and by night, where somebody wants to look at it.
    async fn keep(&self, name: &str) {
        let Ok(folder) = std::env::var("WRITE_SCREENSHOTS") else { return };
        for scheme in ["light", "dark"] {
            let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            self.browser.devtools("Emulation.setEmulatedMedia", feature).await;
            let picture = self.browser.client.screenshot().await.unwrap();
            let file = format!("inside {name}, {}, {scheme}.png", self.language);
            std::fs::write(Path::new(&folder).join(file), picture).unwrap();
        }
    }
}

async fn logs_in_at_a_site(language: &'static str, words: [&str; 2]) {
    let [tap, hello] = words;
    let stack = stack("base").await;
    let wechat = WeChat::of_somebody(&stack, language).await;
    let site = format!("http://{}/", stack.example_site.unwrap());
    wechat.open(&stack, &site).await;
    wechat.browser.until("document.querySelector('#login')").await;
    wechat.browser.click("#login").await;
    wechat.says(tap).await;
    wechat.keep("tap for a site").await;
    // The other ways are the login page, for the same site.
    let there = wechat.browser.client.current_url().await.unwrap();
    wechat.browser.click("#other").await;
    wechat.browser.until_state("waiting").await;
    wechat.browser.open(there.as_str()).await;
    wechat.says(tap).await;
    wechat.browser.click("#go").await;
    wechat.browser.until(&format!("location.href === '{site}' && document.querySelector('#claims')")).await;
    wechat.says(hello).await;
    let row =
        "[...document.querySelectorAll('#claims tr')].find((row) => row.cells[0].textContent === 'sub')";
    assert_eq!(wechat.browser.value(&format!("{row}.cells[1].textContent")).await, wechat.openid.as_str());
    assert_eq!(wechat.browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_person_logs_in_at_a_site_inside_a_chinese_wechat() {
    logs_in_at_a_site("zh-CN", ["用微信登录", "你好"]).await;
}

#[tokio::test]
async fn a_person_logs_in_at_a_site_inside_an_english_wechat() {
    logs_in_at_a_site("en", ["Log in with WeChat", "Hello"]).await;
}

async fn logs_a_page_in(language: &'static str, words: [&str; 5]) {
    let [other, tap, question, done, cancelled] = words;
    let stack = stack("userinfo").await;
    let wechat = WeChat::of_somebody(&stack, language).await;
    for is_right in [true, false] {
        let mut page = Page::open(stack.gateway.browsers).await;
        let address = format!("http://{}/login/{}", stack.callback.pushes, page.code().await.scene());
        wechat.open(&stack, &address).await;
        wechat.says(tap).await;
        wechat.keep("tap").await;
        wechat.browser.click("#go").await;
        wechat.browser.until("document.querySelector('#allow')").await;
        wechat.browser.click("#allow").await;
        wechat.says(question).await;
        wechat.keep("question").await;
        let number = loop {
            if let Some(number) = page.expect("scanned").await["number"].as_str() {
                break number.to_owned();
            }
        };
        let buttons = "[...document.querySelectorAll('.numbers button')].map((it) => it.value)";
        let numbers: Vec<String> = serde_json::from_value(wechat.browser.value(buttons).await).unwrap();
        let chosen = numbers.iter().find(|it| (**it == number) == is_right).unwrap();
        wechat.browser.click(&format!("button[value=\"{chosen}\"]")).await;
        wechat.says(if is_right { done } else { cancelled }).await;
        wechat.keep(if is_right { "done" } else { "wrong number" }).await;
        page.expect(if is_right { "scan_success" } else { "denied" }).await;
    }
    // Outside WeChat it is a page that says so.
    let agent = json!({ "userAgent": Client::Other.user_agent(""), "acceptLanguage": language });
    wechat.browser.devtools("Network.setUserAgentOverride", agent).await;
    let nowhere = format!("http://{}/login/{}", stack.callback.pushes, protocol::Scene::random());
    wechat.browser.open(&nowhere).await;
    wechat.says(other).await;
    wechat.keep("another browser").await;
    assert_eq!(wechat.browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_code_that_holds_an_address_logs_a_page_in_by_a_chinese_wechat() {
    let words = ["请用微信打开", "微信会询问", "登录页上显示的是哪个数字", "登录成功", "数字不对"];
    logs_a_page_in("zh-CN", words).await;
}

#[tokio::test]
async fn a_code_that_holds_an_address_logs_a_page_in_by_an_english_wechat() {
    let words = [
        "Please open this in WeChat",
        "WeChat will ask",
        "Which number does the login page show?",
        "You are logged in",
        "That is not the number",
    ];
    logs_a_page_in("en", words).await;
}
