//! The simulated phone's page in a real browser: a conversation of two sides, a camera that shows what there is to
//! scan, and people who deny, mistype and do nothing.

#![allow(clippy::unwrap_used)]

use demo::{Options, Stack};
use e2e::browser::Browser;
use e2e::page::Page;
use fantoccini::Locator;
use fantoccini::key::Key;

/// The system, and a page that shows a code.
async fn stack() -> (Stack, Page, String) {
    let gateway = vec!["--gateway-qr-ready=0".to_owned()];
    let stack = Stack::start(Options { gateway, ..Options::default() }).await.unwrap();
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await.content;
    (stack, page, code)
}

/// The words of the conversation's entries, in order.
async fn conversation(browser: &Browser) -> Vec<(String, String)> {
    let entries =
        "[...document.querySelectorAll('#chat .mine, #chat .theirs, #chat .entry.scan, #chat .system')]
        .map((it) => [it.className, it.textContent])";
    serde_json::from_value(browser.value(entries).await).unwrap()
}

/// Writes into the field and presses Enter, as people do.
async fn write(browser: &Browser, words: &str) {
    let field = browser.client.find(Locator::Id("words")).await.unwrap();
    field.send_keys(&format!("{words}{}", char::from(Key::Enter))).await.unwrap();
}

/// Waits for so many entries of the account.
async fn until_answers(browser: &Browser, number: usize) {
    browser.until(&format!("document.querySelectorAll('#chat .theirs').length === {number}")).await;
}

#[tokio::test]
async fn a_scan_and_messages_become_a_conversation_of_two_sides() {
    let (stack, mut page, code) = stack().await;
    let phone = Browser::start("en").await;
    phone.open(&stack.wechat.public_url()).await;
    // The camera sees the page's own code, and the person presses.
    phone.until("document.querySelector('#codes .picture')?.complete").await;
    assert_eq!(phone.read_code("#codes .picture", &[]).await, code);
    phone.click("#codes .scan").await;
    until_answers(&phone, 1).await;
    page.expect("scanned").await;
    page.expect("scan_success").await;

    write(&phone, "when do you close?").await;
    until_answers(&phone, 2).await;
    assert_eq!(phone.value("document.activeElement.id").await, "words", "the next message can be typed");
    assert_eq!(phone.value("document.querySelector('#words').value").await, "");
    let shown = conversation(&phone).await;
    let sides: Vec<_> = shown.iter().map(|(side, _)| side.as_str()).collect();
    assert_eq!(sides, ["entry scan", "theirs", "mine", "theirs"], "{shown:?}");
    assert_eq!(shown[2].1, "when do you close?");
    assert_eq!(
        phone.value("document.querySelectorAll('#chat time').length").await,
        1,
        "one time for one moment"
    );

    // What the person sends by other ways is in the same conversation, and all of it is there after a reload.
    let openid = phone.value("sessionStorage.openid").await;
    stack.wechat.say(openid.as_str().unwrap(), "by the API").await.unwrap();
    until_answers(&phone, 3).await;
    phone.client.refresh().await.unwrap();
    until_answers(&phone, 3).await;
    let shown = conversation(&phone).await;
    assert_eq!((shown.len(), shown[4].1.as_str()), (6, "by the API"));
    assert_eq!(phone.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_code_that_was_scanned_cannot_be_pressed_again() {
    let (stack, _page, code) = stack().await;
    let phone = Browser::start("en").await;
    phone.open(&code).await;
    let button = "document.querySelector('#preselected-scan')";
    phone.until(&format!("{button}.textContent && document.querySelector('#codes .scan')")).await;
    phone.click("#codes .scan").await;
    until_answers(&phone, 1).await;
    phone.until(&format!("{button}.disabled && {button}.textContent.includes('scanned already')")).await;
    assert_eq!(phone.value("document.querySelectorAll('#codes .scan').length").await, 0);
    phone.click("#used summary").await;
    assert_eq!(phone.value("document.querySelector('#used-codes .scan').checkVisibility()").await, false);
    let by = phone.text("#used-codes .left").await;
    assert!(by.starts_with("scanned by "), "{by}");
    // Another page's code is there to be scanned.
    let other = Page::open(stack.gateway.browsers).await.code().await.content;
    phone.until("document.querySelectorAll('#codes .scan').length === 1").await;
    assert_eq!(phone.read_code("#codes .picture", &[code]).await, other);
}

#[tokio::test]
async fn who_denies_mistypes_or_does_nothing_is_one_press_away() {
    let (stack, _page, _) = stack().await;
    let phone = Browser::start("zh-CN").await;
    phone.open(&stack.wechat.public_url()).await;
    phone.until("document.querySelector('#codes .scan')").await;
    assert_eq!(
        phone.value("document.querySelector('[data-quick=deny]').disabled").await,
        true,
        "no chat yet"
    );
    phone.click("#codes .scan").await;
    until_answers(&phone, 1).await;

    phone.click("[data-quick=deny]").await;
    until_answers(&phone, 2).await;
    phone.click("[data-quick=mistype]").await;
    until_answers(&phone, 3).await;
    phone.until("document.querySelector('#told').textContent.includes('随手输入了')").await;
    phone.click("[data-quick=nothing]").await;
    assert!(phone.text("#told").await.starts_with("你什么都没做"));
    let said: Vec<_> = conversation(&phone).await.into_iter().filter(|(side, _)| side == "mine").collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0].1, "0");
    let random: u32 = said[1].1.parse().unwrap();
    assert!((10..=99).contains(&random));
    // The person of a Chinese page has a Chinese WeChat, until they choose another one.
    let openid = phone.value("sessionStorage.openid").await;
    let language = || stack.wechat.person(openid.as_str().unwrap()).unwrap().language;
    assert_eq!(language(), "zh_CN");
    phone.client.find(Locator::Css("#speaks option[value=en]")).await.unwrap().click().await.unwrap();
    phone.until("document.querySelector('#speaks').value === 'en'").await;
    while language() != "en" {
        tokio::task::yield_now().await;
    }
    assert_eq!(phone.complaints().await, [""; 0]);
}

#[tokio::test]
async fn two_people_have_two_phones_in_one_browser() {
    let (stack, _page, _) = stack().await;
    let browser = Browser::start("en").await;
    let openid = "document.querySelector('#people').value && sessionStorage.openid";
    browser.open(&stack.wechat.public_url()).await;
    let first = browser.until(openid).await;
    let one = browser.client.window().await.unwrap();
    let other = browser.client.new_window(true).await.unwrap();
    browser.client.switch_to_window(other.handle).await.unwrap();
    let link = format!("{}/?new", stack.wechat.public_url());
    browser.open(&link).await;
    let second = browser.until(openid).await;
    assert_ne!(first, second);
    browser.client.refresh().await.unwrap();
    assert_eq!(browser.until(openid).await, second);
    browser.client.switch_to_window(one).await.unwrap();
    browser.client.refresh().await.unwrap();
    assert_eq!(browser.until(openid).await, first, "each tab keeps its own person");
}

/// Fills in a field of the phone and presses Enter.
async fn enter(phone: &Browser, field: &str, words: &str) {
    let field = phone.client.find(Locator::Css(field)).await.unwrap();
    field.send_keys(&format!("{words}{}", char::from(Key::Enter))).await.unwrap();
}

/// Waits until WeChat's browser on the phone shows this.
async fn until_page_says(phone: &Browser, words: &str) {
    let text = "document.querySelector('#webview-page').contentDocument.body?.innerText";
    phone.until(&format!("{text}?.includes({words:?})")).await;
}

/// Presses something there.
async fn press(phone: &Browser, selector: &str) {
    phone.client.enter_frame(0).await.unwrap();
    phone.click(selector).await;
    phone.client.enter_parent_frame().await.unwrap();
}

#[tokio::test]
async fn the_phone_opens_what_a_code_or_a_link_leads_to_as_wechat_does() {
    let gateway = vec!["--gateway-qr-ready=0".to_owned(), "--gateway-qr=web".to_owned()];
    let callback = vec!["--callback-confirm=true".to_owned()];
    let options = Options { sites: Some(String::new()), web: true, gateway, callback, ..Options::default() };
    let stack = Stack::start(options).await.unwrap();
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await.content;
    let phone = Browser::start("en").await;
    phone.open(&stack.wechat.public_url()).await;
    phone.until("document.querySelector('#people').value").await;

    // The code leads to a page that asks for the number of the login page.
    enter(&phone, "#text", &code).await;
    until_page_says(&phone, "Which number does the login page show?").await;
    let number = loop {
        if let Some(number) = page.expect("scanned").await["number"].as_str() {
            break number.to_owned();
        }
    };
    let styled = "getComputedStyle(document.querySelector('#webview-page').contentDocument.querySelector('main')).borderRadius";
    phone.until(&format!("{styled} !== '0px'")).await;
    press(&phone, &format!("button[value=\"{number}\"]")).await;
    until_page_says(&phone, "You are logged in").await;
    page.expect("scan_success").await;

    // A site knows the same person after a tap, by a link that somebody was sent.
    let site = stack.example_site.unwrap();
    enter(&phone, "#link", &site.to_string()).await;
    until_page_says(&phone, "Log in by redirect").await;
    press(&phone, "#login").await;
    until_page_says(&phone, "will learn who you are").await;
    press(&phone, "#go").await;
    until_page_says(&phone, "Hello,").await;
    let openid = phone.value("sessionStorage.openid").await;
    until_page_says(&phone, openid.as_str().unwrap()).await;

    // The account's own code is followed, and leads to the chat.
    phone.click("#webview-close").await;
    assert!(!stack.wechat.person(openid.as_str().unwrap()).unwrap().follower);
    enter(&phone, "#text", &stack.wechat.account_code()).await;
    until_answers(&phone, 1).await;
    assert!(stack.wechat.person(openid.as_str().unwrap()).unwrap().follower);
    assert_eq!(phone.complaints().await, [""; 0]);
}
