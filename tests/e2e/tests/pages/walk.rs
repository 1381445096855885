//! A walk through every page that we serve, and through every state of those that have some.

use demo::{Options, Stack};
use e2e::page::Page;
use serde_json::json;

use crate::stage::Stage;
use crate::{played, shop};

/// A world in which the gateway is played, and no form leads away from a page that is looked at.
pub(crate) const PLAYED: &str = concat!(
    include_str!("../chromium_alone/world.js"),
    "HTMLFormElement.prototype.submit = HTMLFormElement.prototype.requestSubmit = () => {};"
);

/// The same, but for the simulated phone, which asks the simulator.
pub(crate) fn played_but_on(port: u16) -> String {
    format!("if (location.port !== '{port}') {{ {PLAYED} }}")
}

const LOGO: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 120 40'%3E\
    %3Crect width='120' height='40' rx='8' fill='%231d4ed8'/%3E%3Ccircle cx='60' cy='20' r='9' fill='white'/%3E%3C/svg%3E";

/// What an operator can put on the pages of a service, all of it.
fn brand(service: &str) -> Vec<String> {
    let settings = [
        ("logo", LOGO),
        ("accent", "#1d4ed8"),
        ("line", "本服务由示例科技提供 · Run by Example Ltd"),
        ("links", "隐私政策=https://a.example/privacy,Terms=https://a.example/terms"),
        ("account-name", "示例科技"),
    ];
    settings.map(|(name, value)| format!("--{service}-{name}={value}")).into()
}

pub(crate) async fn walk(language: &'static str) {
    let start = async |branded: bool| {
        let wechat = simulator::Settings { nicknames: true, ..simulator::Settings::default() };
        // No code is there before a page is.
        let mut gateway = vec!["--gateway-qr-ready=0".to_owned()];
        let mut callback = vec!["--callback-confirm=true".to_owned()];
        if branded {
            gateway.push("--gateway-title=示例科技".to_owned());
            gateway.extend(brand("gateway"));
            callback.extend(brand("callback"));
        }
        let options = Options { wechat, sites: Some(String::new()), gateway, callback, ..Options::default() };
        Stack::start(options).await.unwrap()
    };
    let (plain, branded, mut stage) = tokio::join!(start(false), start(true), Stage::start(language));
    real(&plain, &mut stage).await;

    // From here on the gateway is a played one, and the phone has no part.
    stage.browser.run_first(PLAYED).await;
    at_the_gateway(&plain, &mut stage, "login", &played::states()).await;
    at_the_issuer(&plain, &mut stage, "authorize", &["waiting", "number", "granted"]).await;
    let some: Vec<_> = played::states();
    let some: Vec<_> = some
        .into_iter()
        .filter(|(name, _)| ["waiting", "number", "granted", "denied"].contains(name))
        .collect();
    at_the_gateway(&branded, &mut stage, "branded login", &some).await;
    at_the_issuer(&branded, &mut stage, "branded authorize", &["waiting"]).await;
    let site = format!("http://{}", plain.example_site.unwrap());
    let shop = shop::start(plain.gateway.browsers, language).await;
    for (name, url) in [
        ("site with widget", format!("{site}/widget")),
        ("site that mounts", format!("{site}/mount")),
        ("shop", shop),
    ] {
        in_a_site(&mut stage, name, &url, &some).await;
    }
    // Two of the pages say that a request was wrong, and so does their status.
    let complaints = stage.browser.complaints().await;
    let complaints = complaints.iter().filter(|it| !it.ends_with("a status of 400 (Bad Request)"));
    assert_eq!(complaints.collect::<Vec<_>>(), [""; 0]);
    stage.end();
}

/// What a real login leads to: pages of the simulated phone, of the example site, and the issuer's short ones.
async fn real(stack: &Stack, stage: &mut Stage) {
    let (wechat, site) = (&stack.wechat, format!("http://{}", stack.example_site.unwrap()));
    let issuer = format!("http://{}", stack.callback.pushes);
    let person = wechat.invent_person("阿狸", false).openid;
    for (name, url) in [
        ("site", format!("{site}/")),
        ("site, trouble", format!("{site}/callback?state=unknown")),
        ("site, logged out", format!("{site}/logged-out")),
        ("error", format!("{issuer}/authorize?client_id=nobody")),
    ] {
        stage.browser.open(&url).await;
        stage.see(name).await;
    }

    stage.browser.open(&format!("{site}/login?confirm=no")).await;
    stage.browser.until_state("waiting").await;
    let code = stage.browser.read_code(".saoma-code", &[]).await;
    wechat.scan(&person, &code).await.unwrap();
    stage.browser.until(&format!("location.href === '{site}/' && document.querySelector('#claims')")).await;
    stage.see("site, logged in").await;
    for (answer, name) in [("no", "still logged in"), ("yes", "logged out")] {
        stage.browser.open(&format!("{issuer}/logout")).await;
        if answer == "no" {
            stage.see("logout").await;
        }
        stage.browser.click(&format!("button[value={answer}]")).await;
        stage.browser.until("location.pathname === '/logout/confirm'").await;
        stage.see(name).await;
    }

    // A phone on which nobody has scanned anything but the code above; then one with a code before it, and a question.
    let phone = wechat.public_url();
    stage.browser.open(&phone).await;
    stage.browser.value(&format!("localStorage.openid = sessionStorage.openid = {person:?}")).await;
    stage.browser.open(&phone).await;
    stage.browser.until("document.querySelector('#chat .theirs')").await;
    stage.see("phone").await;
    let mut page = Page::open(stack.gateway.browsers).await;
    let content = page.code().await.content;
    let _other = Page::open(stack.gateway.browsers).await;
    wechat.scan(&person, &content).await.unwrap();
    stage.browser.until("document.querySelectorAll('#chat .theirs').length > 1").await;
    stage.browser.until("document.querySelector('#codes .picture')?.complete").await;
    stage.see("phone, asked").await;
    stage.browser.open(&content).await;
    stage.browser.until("document.querySelector('#preselected-scan').textContent").await;
    stage.browser.until("document.querySelectorAll('#chat .theirs').length > 1").await;
    stage.see("phone, opened by its camera").await;
    // It keeps asking, which a played world would not answer.
    stage.browser.open("about:blank").await;
}

type States = [(&'static str, Vec<String>)];

async fn at_the_gateway(stack: &Stack, stage: &mut Stage, name: &str, states: &States) {
    lead(stage, name, &format!("http://{}/", stack.gateway.browsers), states).await;
}

/// Opens a page anew for each state, without its memory, and leads it there.
async fn lead(stage: &mut Stage, name: &str, url: &str, states: &States) {
    for (state, steps) in states {
        stage.browser.open(url).await;
        stage.browser.value("sessionStorage.clear()").await;
        stage.browser.until("document.querySelector('.saoma-box') && world.look().attempts").await;
        for step in steps {
            stage.browser.value(&format!("world.{step}")).await;
        }
        stage.see(&format!("{name} {state}")).await;
    }
}

async fn at_the_issuer(stack: &Stack, stage: &mut Stage, name: &str, states: &[&str]) {
    let url = format!("http://{}/login", stack.example_site.unwrap());
    let states: Vec<_> = played::states()
        .into_iter()
        .filter(|(state, _)| states.contains(state))
        .map(|(state, steps)| {
            (state, steps.into_iter().map(|it| it.replace(&played_empty(), "\"code\":\"c\"")).collect())
        })
        .collect();
    lead(stage, name, &url, &states).await;
}

fn played_empty() -> String {
    json!({ "code": "" }).to_string().trim_matches(['{', '}']).to_owned()
}

async fn in_a_site(stage: &mut Stage, name: &str, url: &str, states: &States) {
    lead(stage, name, url, states).await;
}
