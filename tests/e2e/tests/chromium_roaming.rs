//! The login page on a bad line, in a real browser and before a real gateway: cut off, offline, hung up,
//! frozen, asleep, in two tabs at once. A login is found as it stands, and a code on show can be scanned.

#![allow(clippy::unwrap_used)]

use demo::{NOTIFY_KEY, Options, Ports, Stack};
use e2e::browser::{Browser, PATIENCE};
use e2e::picture;
use e2e::proxy::{Direction, Proxy};
use fantoccini::wd::WindowHandle;
use protocol::{Client, Key, Notice, Scene, Status};
use secrecy::SecretString;
use serde_json::json;
use test_redis::Redis;
use tokio::time::Instant;

/// Keeps a record of what there was time to show, a clock that runs on while nothing else does, and the waits
/// for another attempt short: how long they are is tested elsewhere.
const WITNESS: &str = "
    const clock = Date.now;
    window.asleep = 0;
    Date.now = () => clock() + asleep;
    Math.random = () => 0.1;
    window.states = [];
    const note = (state) => { if (states.at(-1) !== state) states.push(state); };
    document.addEventListener('freeze', () => note('frozen'));
    new MutationObserver(() => note(document.body.dataset.state))
        .observe(document, { subtree: true, attributeFilter: ['data-state'] });";

/// A page that shows its code, the line to its gateway, and the system there.
struct Roaming {
    browser: Browser,
    line: Proxy,
    stack: Stack,
    code: String,
}

impl Roaming {
    async fn start(gateway: &[&str]) -> Self {
        let stack = stack(gateway, Ports::default()).await;
        let line = Proxy::before(stack.gateway.browsers).await;
        let browser = Browser::start("en").await;
        browser.run_first(WITNESS).await;
        browser.open(&format!("http://{}/", line.address())).await;
        let code = browser.read_code(".saoma-code", &[]).await;
        Self { browser, line, stack, code }
    }

    /// Waits until the code has left the screen, where no camera finds it any more.
    async fn hides_its_code(&self) {
        self.browser.until("document.querySelector('.saoma-code').hidden").await;
        let stage = self.browser.picture_of(".saoma-stage").await.unwrap();
        assert_eq!(picture::scan(&stage), None);
    }

    /// Cuts the page off, until the line is healed.
    fn cut_off(&self) {
        self.line.refuse();
        self.line.cut();
    }

    /// An hour passes in which the computer does nothing. The page lets go of its connection before the line,
    /// which lost nothing, can bring it up to date.
    async fn sleep(&self) {
        self.browser.value("asleep = 3600000").await;
        self.browser
            .until("document.querySelector('.saoma-status').textContent.startsWith('Connection lost')")
            .await;
        self.line.heal();
    }

    /// Somebody scans what was on show; the phone is told of a login.
    async fn scan(&self) {
        scan(&self.stack, &self.code).await;
    }

    async fn is_granted(&self) {
        self.browser.until_state("granted").await;
        self.hides_its_code().await;
    }

    async fn offline(&self, offline: bool) {
        let network =
            json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.browser.devtools("Network.emulateNetworkConditions", network).await;
    }

    /// All states that there was time to show, in order.
    async fn states(&self) -> Vec<String> {
        serde_json::from_value(self.browser.value("states").await).unwrap()
    }
}

async fn stack(gateway: &[&str], ports: Ports) -> Stack {
    let gateway = gateway.iter().copied().map(str::to_owned).collect();
    Stack::start(Options { gateway, ports, ..Options::default() }).await.unwrap()
}

async fn scan(stack: &Stack, code: &str) {
    let person = stack.wechat.invent_person("阿狸", false);
    let delivery = stack.wechat.scan(&person.openid, code).await.unwrap();
    assert!(delivery.reply.as_deref().unwrap_or_default().contains("登录成功"), "{delivery:?}");
}

#[tokio::test]
async fn a_login_made_while_the_line_is_cut_is_shown_when_it_is_mended() {
    let page = Roaming::start(&[]).await;
    page.cut_off();
    page.hides_its_code().await;
    page.scan().await;
    page.line.heal();
    page.is_granted().await;
}

#[tokio::test]
async fn a_login_made_while_the_computer_is_offline_is_shown_when_it_is_online() {
    let page = Roaming::start(&[]).await;
    // Chromium cuts no WebSocket for this, as a network does; it only tells the page.
    page.offline(true).await;
    page.cut_off();
    page.hides_its_code().await;
    page.scan().await;
    page.line.heal();
    page.offline(false).await;
    page.is_granted().await;
}

#[tokio::test]
async fn a_login_made_while_the_computer_sleeps_is_shown_when_it_wakes() {
    let page = Roaming::start(&[]).await;
    // Nothing closes, and nothing comes.
    page.line.stall(Direction::Both);
    page.scan().await;
    page.sleep().await;
    page.is_granted().await;
}

#[tokio::test]
async fn a_login_made_while_the_tab_is_frozen_is_shown_when_somebody_returns_to_it() {
    let page = Roaming::start(&[]).await;
    page.browser.devtools("Page.setWebLifecycleState", json!({ "state": "frozen" })).await;
    page.scan().await;
    page.browser.devtools("Page.setWebLifecycleState", json!({ "state": "active" })).await;
    page.browser.devtools("Page.bringToFront", json!({})).await;
    page.is_granted().await;
    let states = page.states().await;
    assert_eq!(states[..3], ["connecting", "waiting", "frozen"], "{states:?}");
}

#[tokio::test]
async fn a_scanned_login_keeps_its_number_on_show_while_the_line_is_mended() {
    let page = Roaming::start(&[]).await;
    let notices = Client::start(protocol::client::Settings {
        name: "callback".to_owned(),
        key: Key::new(&SecretString::from(NOTIFY_KEY)).unwrap(),
        addresses: vec![page.stack.gateway.notices.to_string()],
        tls: None,
    });
    let tell = async |notice| notices.send(notice, Instant::now() + PATIENCE).await.unwrap().status;
    let scene = page.browser.value("JSON.parse(sessionStorage['saoma.'])[0].split('.')[0]").await;
    let scene: Scene = scene.as_str().unwrap().parse().unwrap();
    let by = "somebody".to_owned();
    let claim = Notice::Claim { scene, by: by.clone(), number: Some("42".to_owned()) };
    assert_eq!(tell(claim).await, Status::Delivered);
    page.browser.until_state("scanned").await;

    page.cut_off();
    let detail = "document.querySelector('.saoma-detail').textContent";
    page.browser.until(&format!("{detail}.startsWith('Connection lost')")).await;
    page.line.heal();
    page.browser.until(&format!("{detail} === ''")).await;
    assert_eq!(page.browser.text(".saoma-number").await, "42");
    let granted = Notice::Scan { scene, nickname: None, code: None, by: Some(by) };
    assert!(tell(granted).await.is_recorded());
    page.is_granted().await;
    assert_eq!(page.states().await, ["connecting", "waiting", "scanned", "granted"]);
}

#[tokio::test]
async fn a_code_whose_gateway_is_not_heard_leaves_the_screen_in_time_and_is_replaced_when_it_is() {
    let page = Roaming::start(&["--gateway-login-ttl=8s"]).await;
    page.line.stall(Direction::Both);
    page.hides_its_code().await;
    assert_eq!(page.browser.text(".saoma-status").await, "One moment, please…");
    page.sleep().await;
    let next = page.browser.read_code(".saoma-code", std::slice::from_ref(&page.code)).await;
    assert_ne!(next, page.code);
}

#[tokio::test]
async fn a_gateway_that_goes_and_comes_back_with_an_empty_memory_is_followed() {
    let Roaming { browser, line: _line, stack: first, code } = Roaming::start(&[]).await;
    let ports = Ports { gateway: first.gateway.browsers.port(), ..Ports::default() };
    first.run(async {}).await.unwrap();
    let second = stack(&[], ports).await;
    let next = browser.read_code(".saoma-code", &[code]).await;
    scan(&second, &next).await;
    browser.until_state("granted").await;
}

#[tokio::test]
async fn a_page_that_returns_while_the_store_is_away_waits_and_gets_its_code_back() {
    let redis = Redis::start().await;
    let page = Roaming::start(&[&format!("--gateway-store={}", redis.url())]).await;
    redis.freeze();
    page.browser.client.refresh().await.unwrap();
    page.is_told_to_wait().await;
    redis.thaw();
    assert_eq!(page.browser.read_code(".saoma-code", &[]).await, page.code);
    page.scan().await;
    page.is_granted().await;
}

#[tokio::test]
async fn a_page_that_is_there_while_the_store_is_away_waits_and_hears_how_its_login_stands() {
    let redis = Redis::start().await;
    let store = format!("--gateway-store={}", redis.url());
    let page = Roaming::start(&[&store, "--gateway-login-ttl=8s"]).await;
    let connections = page.line.counts().accepted;
    redis.freeze();
    page.is_told_to_wait().await;
    redis.thaw();
    page.browser.read_code(".saoma-code", std::slice::from_ref(&page.code)).await;
    assert_eq!(page.line.counts().accepted, connections, "all that over one connection");
}

#[tokio::test]
async fn a_duplicated_tab_takes_the_login_over_and_gives_it_back() {
    let page = Roaming::start(&[]).await;
    let Roaming { browser, code, .. } = &page;
    let old = browser.client.window().await.unwrap();
    browser.value("!!window.open(location.href)").await;
    page.is_elsewhere().await;
    let tabs = browser.client.windows().await.unwrap();
    let new = tabs.into_iter().find(|tab| *tab != old).unwrap();

    page.turn_to(&new).await;
    assert_eq!(browser.read_code(".saoma-code", &[]).await, *code);
    page.turn_to(&old).await;
    page.is_elsewhere().await;
    browser.click(".saoma-button").await;
    assert_eq!(browser.read_code(".saoma-code", &[]).await, *code);
    page.turn_to(&new).await;
    page.is_elsewhere().await;

    page.scan().await;
    page.turn_to(&old).await;
    page.is_granted().await;
    page.turn_to(&new).await;
    page.is_elsewhere().await;
}

impl Roaming {
    /// Waits until the page asks for patience, because the gateway does.
    async fn is_told_to_wait(&self) {
        self.browser
            .until("document.querySelector('.saoma-status').textContent === 'One moment, please…'")
            .await;
        assert_eq!(self.browser.text(".saoma-detail").await, "The server is busy, please wait");
        self.hides_its_code().await;
    }

    async fn turn_to(&self, tab: &WindowHandle) {
        self.browser.client.switch_to_window(tab.clone()).await.unwrap();
    }

    /// Waits until the page in front says that another one has its login.
    async fn is_elsewhere(&self) {
        self.browser.until_state("stopped").await;
        self.hides_its_code().await;
        assert_eq!(self.browser.text(".saoma-status").await, "This login continues in another window");
        assert_eq!(self.browser.text(".saoma-button").await, "Try again");
    }
}
