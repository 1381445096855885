//! The widget in a real browser, in pages of another origin that allow nothing but it: before the whole system, and
//! alone in the world of `chromium_alone`.

#![allow(clippy::unwrap_used)]

mod alone;
mod site;
mod ways;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use demo::{Options, Stack};
use e2e::browser::Browser;
use e2e::sites;
use serde_json::{Value, json};
use site::Site;

const NAME: &str = "阿狸🦊";

/// The whole system, and a site that it knows as `shop`.
struct World {
    site: Site,
    shop: sites::Site,
    stack: Stack,
}

impl World {
    async fn start() -> Self {
        let site = Site::start().await;
        let shop = sites::Site { origin: site.origin(), ..sites::Site::new("shop") };
        let wechat = simulator::Settings { nicknames: true, ..simulator::Settings::default() };
        let gateway = vec![format!("--gateway-allowed-origins={}", site.origin())];
        let sites = Some(shop.entry());
        let stack = Stack::start(Options { wechat, gateway, sites, ..Options::default() }).await.unwrap();
        site.gateway(stack.gateway.browsers);
        Self { site, shop, stack }
    }

    async fn scan(&self, code: &str) {
        let person = self.stack.wechat.invent_person(NAME, false);
        let delivery = self.stack.wechat.scan(&person.openid, code).await.unwrap();
        assert!(delivery.reply.as_deref().unwrap_or_default().contains("登录成功"), "{delivery:?}");
    }

    /// What the site's back end learns for a code and its verifier: the claims of the ID token.
    async fn redeem(&self, code: &str, verifier: &str) -> Value {
        let form = [("grant_type", "authorization_code"), ("code", code), ("code_verifier", verifier)];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = request.post(format!("http://{}/token", self.stack.callback.pushes));
        let request = request.basic_auth(&self.shop.id, Some(&self.shop.secret));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let said: Value = request.send().await.unwrap().json().await.unwrap();
        let token = said["id_token"].as_str().unwrap_or_else(|| panic!("{said}"));
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice(&claims).unwrap()
    }
}

/// What a page was told of its widgets, without what it was told twice.
async fn told(browser: &Browser) -> Vec<Value> {
    let mut told: Vec<Value> = serde_json::from_value(browser.value("told").await).unwrap();
    told.dedup();
    told
}

/// Waits until a widget of the page has this state.
async fn until(browser: &Browser, widget: usize, state: &str) {
    browser
        .until(&format!("document.querySelectorAll('.saoma-box')[{widget}]?.dataset.state === '{state}'"))
        .await;
}

#[tokio::test]
async fn a_page_without_a_script_of_its_own_logs_in_and_posts_what_its_back_end_needs() {
    let mut world = World::start().await;
    for (language, waiting) in [("en", "Scan with WeChat to log in"), ("zh", "请用微信“扫一扫”扫码登录")]
    {
        let browser = Browser::start("fr").await;
        let attributes = format!("saoma-site=shop&nonce=n-{language}&login-uri=/login/saoma&lang={language}");
        browser.open(&world.site.declared(&attributes)).await;
        until(&browser, 0, "waiting").await;
        assert_eq!(browser.text(".saoma-status").await, waiting);
        let code = browser.read_code(".saoma-code", &[]).await;
        world.scan(&code).await;

        let posted = world.site.posted().await;
        let token = posted.field("saoma_csrf_token");
        assert!(
            token.len() >= 43 && posted.cookies.contains(&format!("saoma_csrf_token={token}")),
            "{}",
            posted.cookies
        );
        assert_eq!(posted.fields.len(), 3, "{:?}", posted.fields);
        let claims = world.redeem(posted.field("code"), posted.field("verifier")).await;
        assert_eq!((&claims["nonce"], &claims["aud"]), (&json!(format!("n-{language}")), &json!("shop")));
        browser.until("document.body.textContent === 'logged in'").await;
        assert_eq!(browser.complaints().await, [""; 0]);
    }
}

#[tokio::test]
async fn a_page_that_mounts_it_is_told_every_state_in_order_and_gets_code_and_verifier() {
    let world = World::start().await;
    let browser = Browser::start("en").await;
    browser.open(&world.site.mounted(&json!([{ "site": "shop", "nonce": "of the session" }]))).await;
    let code = browser.read_code(".saoma-code", &[]).await;
    world.scan(&code).await;
    let login = browser.until("told.find((it) => it.login)?.login").await;
    assert_eq!(login["user"], NAME);
    assert_eq!(browser.text(".saoma-user").await, NAME);
    let claims = world.redeem(login["code"].as_str().unwrap(), login["verifier"].as_str().unwrap()).await;
    assert_eq!(claims["nonce"], "of the session");
    let states =
        ["connecting", "waiting", "scanned", "granted"].map(|state| json!({ "widget": 0, "state": state }));
    assert_eq!(told(&browser).await, [&states[..], &[json!({ "widget": 0, "login": login })]].concat());
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn two_widgets_on_one_page_have_each_its_own_login_also_after_a_reload() {
    let world = World::start().await;
    let browser = Browser::start("en").await;
    let same = json!({ "site": "shop", "nonce": "n" });
    browser.open(&world.site.mounted(&json!([same, same]))).await;
    let mut codes = Vec::new();
    for widget in ["section:nth-of-type(1)", "section:nth-of-type(2)"] {
        codes.push(browser.read_code(&format!("{widget} .saoma-code"), &codes).await);
    }
    browser.client.refresh().await.unwrap();
    for (widget, code) in codes.iter().enumerate() {
        let selector = format!("section:nth-of-type({}) .saoma-code", widget + 1);
        assert_eq!(browser.read_code(&selector, &[]).await, *code);
    }
    world.scan(&codes[1]).await;
    until(&browser, 1, "granted").await;
    until(&browser, 0, "waiting").await;
    let login = browser.until("told.filter((it) => it.login)").await;
    assert_eq!((login.as_array().unwrap().len(), &login[0]["widget"]), (1, &json!(1)));
    let login = &login[0]["login"];
    world.redeem(login["code"].as_str().unwrap(), login["verifier"].as_str().unwrap()).await;
}

#[tokio::test]
async fn a_page_that_the_gateway_does_not_know_says_so_and_tells_its_developer() {
    let world = World::start().await;
    let foreign = Site::start().await;
    foreign.gateway(world.stack.gateway.browsers);
    let browser = Browser::start("en").await;
    browser.run_first("Math.random = () => 0.1").await;
    browser.open(&foreign.mounted(&json!([{ "site": "shop", "nonce": "n" }]))).await;
    let error = browser.until("told.find((it) => it.error)?.error").await;
    assert_eq!(error["code"], "refused");
    assert!(error["message"].as_str().unwrap().contains("GATEWAY_ALLOWED_ORIGINS"), "{error}");
    let shown = browser.text(".saoma-detail").await;
    assert_eq!(shown, error["message"]);
    until(&browser, 0, "offline").await;
}
