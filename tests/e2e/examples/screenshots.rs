//! Makes the README's picture: the login page with its code, the simulated phone after the scan, and the page
//! again. Run as `cargo run -p e2e --example screenshots docs/login.png`, and look at what it made.

#![allow(clippy::unwrap_used, reason = "whoever makes the picture reads the panic")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use demo::{Options, Stack};
use e2e::browser::Browser;

const WIDTH: u32 = 400;
/// What the login page needs without a scrollbar.
const HEIGHT: u32 = 560;

const FRAME: &str = "<!doctype html><meta charset=utf-8><style>
    body { margin: 0 }
    main { display: inline-flex; align-items: center; gap: 20px; padding: 20px; background: #e4e8ec }
    img { border-radius: 10px; box-shadow: 0 1px 6px #0003 }
</style><main>";

#[tokio::main]
async fn main() {
    let target = std::env::args().nth(1).expect("name the PNG file to write");
    let wechat = simulator::Settings { nicknames: true, ..simulator::Settings::default() };
    let stack = Stack::start(Options { wechat, ..Options::default() }).await.unwrap();
    let person = stack.wechat.invent_person("阿狸", false);

    let computer = Browser::start("zh-CN").await;
    resize(&computer, WIDTH, HEIGHT).await;
    computer.open(&format!("http://{}/", stack.gateway.browsers)).await;
    let code = computer.read_code(".saoma-code", &[]).await;
    let waiting = computer.client.screenshot().await.unwrap();

    let phone = Browser::start("zh-CN").await;
    // The phone takes a share of the window, so a tall one lets it have all it wants.
    resize(&phone, WIDTH, 2 * HEIGHT).await;
    phone.run_first(&format!("localStorage.openid = {:?}", person.openid)).await;
    phone.open(&code).await;
    phone.until("document.querySelector('#preselected-scan').textContent").await;
    phone.click("#preselected-scan").await;
    phone.until("document.querySelector('#chat .theirs')").await;
    let chat = phone.picture_of("#phone").await.unwrap();

    computer.until_state("granted").await;
    let granted = computer.client.screenshot().await.unwrap();

    let pictures =
        [waiting, chat, granted].map(|it| format!("<img src=data:image/png;base64,{}>", STANDARD.encode(it)));
    resize(&computer, 4 * WIDTH, 2 * HEIGHT).await;
    let html = STANDARD.encode(format!("{FRAME}{}", pictures.concat()));
    computer.open(&format!("data:text/html;base64,{html}")).await;
    let picture = computer.picture_of("main").await.unwrap();
    std::fs::write(&target, picture).unwrap();
}

/// Makes the page itself this large, whatever the window has around it.
async fn resize(browser: &Browser, width: u32, height: u32) {
    browser.client.set_window_size(width, height).await.unwrap();
    let lost = browser.value("outerHeight - innerHeight").await.as_u64().unwrap();
    let height = height + u32::try_from(lost).unwrap();
    browser.client.set_window_size(width, height).await.unwrap();
}
