//! The journeys, one after another in one browser.

use demo::Stack;
use e2e::page::Page;
use serde_json::Value;
use simulator::{Call, Fault};

use crate::device::{ACCOUNT, Device, Screen, stack};

/// What somebody reads on the way.
pub(crate) struct Words {
    /// Where the code is to be sent.
    send: &'static str,
    /// The site greets whoever is logged in.
    hello: &'static str,
    /// The button inside WeChat.
    inside: &'static str,
    /// The question with three numbers.
    which: &'static str,
    /// Where the number is to be used.
    use_number: &'static str,
    done: &'static str,
}

impl Words {
    pub(crate) const CHINESE: Self = Self {
        send: "把登录码发给公众号“",
        hello: "你好，",
        inside: "用微信登录",
        which: "登录页上显示的是哪个数字",
        use_number: "请在微信里继续，需要时用这两位数字",
        done: "登录成功",
    };
    pub(crate) const ENGLISH: Self = Self {
        send: "Send this code to “",
        hello: "Hello, ",
        inside: "Log in with WeChat",
        which: "Which number does the login page show?",
        use_number: "Please continue in WeChat; it may ask for this number",
        done: "You are logged in",
    };
}

/// Whether the chat says that a login is recorded.
fn is_logged_in(reply: &str) -> bool {
    ["登录成功", "欢迎回来", "you are logged in", "You are logged in"].iter().any(|it| reply.contains(it))
}

pub(crate) async fn all(language: &'static str, words: &Words) {
    let device = Device::start(language).await;
    let usual = stack(true, &[], &["--callback-confirm=true"]).await;
    on_a_phone(&device, &usual, words).await;
    inside_wechat(&device, &usual, words).await;
    in_a_frame(&device, &usual).await;
    without_permission(&device, words).await;
    once_the_day_is_spent(&device, words).await;
    assert_eq!(device.browser.complaints().await, [""; 0]);
}

/// The page's code is copied, the person leaves for WeChat, sends it there and says that it was them; the page goes on when
/// they come back. On the gateway's own page, and at a site.
async fn on_a_phone(device: &Device, stack: &Stack, words: &Words) {
    device.becomes(Screen::Phone).await;
    let person = device.somebody(stack);
    let site = format!("http://{}/", stack.example_site.unwrap());
    for (name, address) in
        [("gateway", format!("http://{}/", stack.gateway.browsers)), ("site", format!("{site}login"))]
    {
        device.browser.open(&address).await;
        device.says(words.send).await;
        device.keep(&format!("phone, {name}")).await;
        let code = device.copies().await;
        let shown = device.browser.text(".saoma-digits").await;
        assert!(shown.len() == 6 && code == shown, "{code} {shown}");
        device
            .leaves_for(async {
                let asked = stack.wechat.say(&person, &code).await.unwrap().reply.unwrap();
                assert!(!is_logged_in(&asked), "{asked}");
                let done = stack.wechat.say(&person, "1").await.unwrap().reply.unwrap();
                assert!(is_logged_in(&done), "{done}");
            })
            .await;
        if name == "gateway" {
            device.browser.until_state("granted").await;
            device.says(words.done).await;
            device.keep("phone, back").await;
            continue;
        }
        device
            .browser
            .until(&format!("location.href === '{site}' && document.querySelector('#claims')"))
            .await;
        device.says(words.hello).await;
    }
}

/// The gateway's own page in WeChat: a button leads to WeChat's own login, and that back to the page; also where the page's
/// number is asked for, which the person has not seen yet.
async fn inside_wechat(device: &Device, stack: &Stack, words: &Words) {
    device.becomes(Screen::WeChat).await;
    let person = device.somebody(stack);
    let page = format!("http://{}/", stack.gateway.browsers);
    device.opens_in_wechat(stack, &person, &page).await;
    device.says(words.inside).await;
    device.keep("inside, button").await;
    device.browser.click(".saoma-go").await;
    let number = device.number().await;
    device.keep("inside, number").await;
    device.browser.click(".saoma-go").await;
    device.says(words.which).await;
    device.keep("inside, question").await;
    // Who has forgotten the number can look again.
    device.browser.click("#page").await;
    assert_eq!(device.number().await, number);
    device.browser.click(".saoma-go").await;
    device.says(words.which).await;
    device.browser.click(&format!("button[value=\"{number}\"]")).await;
    device.browser.until_state("granted").await;
    assert!(device.browser.client.current_url().await.unwrap().as_str().starts_with(&page));
    device.says(words.done).await;
}

/// In a frame nothing of it is shown, and no login is claimed.
async fn in_a_frame(device: &Device, stack: &Stack) {
    let person = device.somebody(stack);
    device.opens_in_wechat(stack, &person, &format!("http://{}/", stack.gateway.browsers)).await;
    device.browser.until_state("waiting").await;
    let asked = stack.wechat.counters().web_token_calls;
    let site = stack.example_site.unwrap();
    for framed in [
        format!("http://{}/login/{}?back=1", stack.callback.pushes, device.scene().await),
        format!("http://{site}/login"),
        format!("http://{}/", stack.gateway.browsers),
    ] {
        let page =
            format!("data:text/html,<iframe onload=\"top.is_loaded = true\" src=\"{framed}\"></iframe>");
        device.browser.open(&page).await;
        device.browser.until("window.is_loaded").await;
        device.browser.client.enter_frame(0).await.unwrap();
        let shown = device.browser.value("document.body.innerText").await;
        assert_eq!(device.browser.value("document.querySelector('main')").await, Value::Null, "{shown}");
        device.browser.client.enter_parent_frame().await.unwrap();
    }
    assert_eq!(stack.wechat.counters().web_token_calls, asked);
    device.browser.complaints().await;
}

/// An account that may make no QR codes: the code that is sent is all there is, on a computer and on a phone.
async fn without_permission(device: &Device, words: &Words) {
    let stack = stack(false, &[], &[]).await;
    stack.wechat.switches().fail(Call::QrcodeCreate, Fault::errcode(48001));
    let person = device.somebody(&stack);
    for (screen, name) in [(Screen::Desk, "desk"), (Screen::Phone, "phone")] {
        device.becomes(screen).await;
        device.browser.open(&format!("http://{}/", stack.gateway.browsers)).await;
        device.says(words.send).await;
        device.says(ACCOUNT).await;
        let has_code = device.browser.value("document.querySelector('.saoma-code').checkVisibility()").await;
        assert_eq!(has_code, false);
        device.keep(&format!("no permission, {name}")).await;
        let code = device.copies().await;
        let done = stack.wechat.say(&person, &code).await.unwrap().reply.unwrap();
        assert!(is_logged_in(&done), "{done}");
        device.browser.until_state("granted").await;
        device.says(words.done).await;
    }
    assert_eq!(stack.wechat.counters().qr_calls, 1);
}

/// The day's codes are spent. Then pages show a code of their own, which WeChat opens and which asks for the page's number;
/// and beside it the code that is sent.
async fn once_the_day_is_spent(device: &Device, words: &Words) {
    let stack = stack(true, &["--gateway-qr-per-day=1"], &["--callback-confirm=true"]).await;
    Page::open(stack.gateway.browsers).await.code().await;
    let person = device.somebody(&stack);
    device.becomes(Screen::Desk).await;
    device.browser.open(&format!("http://{}/", stack.gateway.browsers)).await;
    let code = device.browser.read_code(".saoma-code", &[]).await;
    assert_eq!(code, format!("http://{}/login/{}", stack.callback.pushes, device.scene().await));
    device.keep("spent, desk").await;

    // The phone is another tab.
    let client = &device.browser.client;
    let desk = client.window().await.unwrap();
    let phone = client.new_window(true).await.unwrap();
    client.switch_to_window(phone.handle).await.unwrap();
    device.becomes(Screen::WeChat).await;
    device.opens_in_wechat(&stack, &person, &code).await;
    device.says(words.which).await;
    device.keep("spent, question").await;
    let phone = client.window().await.unwrap();
    client.switch_to_window(desk.clone()).await.unwrap();
    let number = device.number().await;
    device.says(words.use_number).await;
    device.keep("spent, number").await;
    client.switch_to_window(phone).await.unwrap();
    device.browser.click(&format!("button[value=\"{number}\"]")).await;
    device.says(words.done).await;
    device.keep("spent, done").await;
    client.close_window().await.unwrap();
    client.switch_to_window(desk).await.unwrap();
    device.browser.until_state("granted").await;

    // Somebody whose phone is in their other hand sends the code in place of it.
    device.browser.open("about:blank").await;
    device.browser.open(&format!("http://{}/", stack.gateway.browsers)).await;
    device.browser.until("document.querySelector('.saoma-toggle')?.checkVisibility()").await;
    device.browser.click(".saoma-toggle").await;
    device.says(words.send).await;
    device.keep("spent, sent from a desk").await;
    let code = device.copies().await;
    stack.wechat.say(&person, &code).await.unwrap();
    let number = device.number().await;
    let done = stack.wechat.say(&person, &number).await.unwrap().reply.unwrap();
    assert!(is_logged_in(&done), "{done}");
    device.browser.until_state("granted").await;
    assert_eq!(stack.wechat.counters().qr_calls, 1);
}
