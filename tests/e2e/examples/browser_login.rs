//! Logs two people in through a real browser, against a deployment that runs anywhere:
//! `cargo run --locked -p e2e --example browser_login -- LOGIN_PAGE_URL PHONE_URL [FOLDER]`.
//!
//! The phone is the simulator's. One person scans on its page, which the code's own URL opens, the other over its
//! API. FOLDER gets pictures of the login page. The exit code is 0 only if both are logged in and no console
//! complained.

#![allow(clippy::unwrap_used, reason = "a panic is told in one line, and is the exit code")]

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use e2e::browser::Browser;
use futures_util::FutureExt;
use serde_json::{Value, json};

const USAGE: &str = "give the login page's URL, the phone's URL, and perhaps a folder for pictures";

/// How somebody scans.
#[derive(Debug, Clone, Copy)]
enum Phone {
    Page,
    Api,
}

/// A login to try: the browser's language, what its page says before and after, and how it is scanned.
struct Plan {
    language: &'static str,
    waiting: &'static str,
    granted: &'static str,
    phone: Phone,
}

const PLANS: [Plan; 2] = [
    Plan {
        language: "zh-CN", waiting: "请用微信“扫一扫”扫码登录", granted: "登录成功", phone: Phone::Page
    },
    Plan {
        language: "en-GB",
        waiting: "Scan with WeChat to log in",
        granted: "You are logged in",
        phone: Phone::Api,
    },
];

/// Where it is tried.
struct Deployment {
    login_page: String,
    phone: String,
    pictures: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(login_page), Some(phone)) = (arguments.next(), arguments.next()) else {
        eprintln!("browser_login: {USAGE}");
        return ExitCode::FAILURE;
    };
    let pictures = arguments.next().map(PathBuf::from);
    let deployment = Deployment { login_page, phone: phone.trim_end_matches('/').to_owned(), pictures };

    std::panic::set_hook(Box::new(|panic| {
        let said = panic.payload();
        let said = said.downcast_ref::<String>().map(String::as_str).or(said.downcast_ref().copied());
        eprintln!("browser_login: {}", said.unwrap_or("something without words"));
    }));
    for plan in PLANS {
        // Unwinding ends the browsers.
        if AssertUnwindSafe(log_in(&deployment, plan)).catch_unwind().await.is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "this is what it is run for")]
async fn log_in(deployment: &Deployment, plan: Plan) {
    let Plan { language, waiting, granted, phone } = plan;
    let computer = Browser::start(language).await;
    computer.open(&deployment.login_page).await;
    computer.until_state("waiting").await;
    assert_eq!(
        computer.text(".saoma-status").await,
        waiting,
        "the {language} page has other words while it waits"
    );
    let code = computer.read_code(".saoma-code", &[]).await;
    let pictures = deployment.pictures.as_deref();
    picture(&computer, pictures, language, "waiting").await;

    let reply = match phone {
        Phone::Page => scan_on_the_page(&code).await,
        Phone::Api => scan_by_api(&deployment.phone, &code).await,
    };
    assert!(reply.contains("登录成功"), "the phone is told: {reply}");
    computer.until_state("granted").await;
    let status = computer.text(".saoma-status").await;
    assert_eq!(status, granted, "the {language} page has other words after the login");
    picture(&computer, pictures, language, "granted").await;
    complains_of_nothing(&computer, "the login page").await;
    println!("{language}: the page says \"{status}\", the phone \"{}\"", reply.replace('\n', " "));
}

/// The code opened in a phone's browser, whose page begins as somebody new and asks before it scans.
async fn scan_on_the_page(code: &str) -> String {
    let phone = Browser::start("zh-CN").await;
    phone.open(code).await;
    // The phone becomes somebody first; the button says who.
    phone.until("document.querySelector('#preselected-scan')?.textContent").await;
    assert_eq!(phone.text("#preselected-text").await, code, "the phone's page offers another code");
    phone.click("#preselected-scan").await;
    let reply = phone.until("document.querySelector('#chat .theirs')?.textContent").await;
    complains_of_nothing(&phone, "the phone's page").await;
    reply.as_str().unwrap().to_owned()
}

async fn scan_by_api(phone: &str, code: &str) -> String {
    let person = post(&format!("{phone}/phone/people"), &json!({ "nickname": "阿狸" })).await;
    let scan = json!({ "openid": person["openid"], "text": code });
    let delivery = post(&format!("{phone}/phone/scan"), &scan).await;
    let reply = delivery["reply"].as_str();
    reply.unwrap_or_else(|| panic!("the phone is told nothing: {delivery}")).to_owned()
}

async fn post(url: &str, body: &Value) -> Value {
    // Whatever proxy this machine uses, the deployment is on the machine itself.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.post(url).json(body).send().await;
    let answer = answer.unwrap_or_else(|error| panic!("no answer from the phone: {error}"));
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    assert!(status.is_success(), "{url} answers {status}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{url} answers no JSON: {text}"))
}

async fn complains_of_nothing(browser: &Browser, page: &str) {
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{page} has in its console: {complaints:?}");
}

async fn picture(browser: &Browser, folder: Option<&Path>, language: &str, state: &str) {
    let Some(folder) = folder else { return };
    std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let file = folder.join(format!("{language}-{state}.png"));
    let png = browser.client.screenshot().await.unwrap();
    std::fs::write(&file, png).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
