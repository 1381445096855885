//! What follows from each kind of WeChat's errors: a test for each row of the table in docs/wechat-errors.md.
//!
//! The client is the one that both services use, with its real limits; WeChat is the simulator. That refusals are
//! probed once a minute, and what the operator's log says, is tested where time can be moved: in the crate `wechat`.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::time::{Duration, Instant};

use demo::{Options, Stack};
use e2e::page::Page;
use secrecy::SecretString;
use serde_json::json;
use simulator::{Call, Counters, Fault, Settings, Simulator};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use wechat::{Class, Client, Error, QrCode};

/// A WeChat and a client that already has its token.
struct World {
    wechat: Simulator,
    api: String,
    client: Client,
    _stop: DropGuard,
}

impl World {
    async fn new() -> Self {
        let world = Self::without_token().await;
        world.create().await.unwrap();
        world
    }

    async fn without_token() -> Self {
        let wechat = Simulator::new(Settings::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(wechat.clone().serve(listener, stop.clone(), TaskTracker::new()));
        let client = client_of(&wechat, &api);
        Self { wechat, api, client, _stop: stop.drop_guard() }
    }

    async fn create(&self) -> Result<QrCode, Error> {
        create(&self.client).await
    }

    /// A hundred QR codes asked for at once.
    async fn create_hundred(&self) -> Vec<Result<QrCode, Error>> {
        let mut calls = JoinSet::new();
        for _ in 0..100 {
            let client = self.client.clone();
            calls.spawn(async move { create(&client).await });
        }
        calls.join_all().await
    }

    fn fail(&self, call: Call, fault: Fault) {
        self.wechat.switches().fail(call, fault);
    }

    /// The calls since `before`: of the token, of QR codes, of user info.
    fn since(&self, before: Counters) -> (u64, u64, u64) {
        let now = self.wechat.counters();
        (
            now.token_calls - before.token_calls,
            now.qr_calls - before.qr_calls,
            now.user_info_calls - before.user_info_calls,
        )
    }

    /// QR codes are refused with `code`: this is told as `class` after a single call, which costs no token and
    /// leaves user info alone, and from then on at once and without asking WeChat.
    async fn stands(&self, code: i64, class: Class) -> Error {
        let person = self.wechat.invent_person("阿狸", true).openid;
        self.fail(Call::QrcodeCreate, Fault::errcode(code));
        let before = self.wechat.counters();
        let refusal = self.create().await.unwrap_err();
        assert_eq!(refusal.class(), class, "{refusal}");
        assert_eq!(self.since(before), (0, 1, 0), "{refusal}");
        self.remembers(&refusal).await;
        self.client.user(&person).await.unwrap();
        refusal
    }

    async fn remembers(&self, refusal: &Error) {
        let (before, began) = (self.wechat.counters(), Instant::now());
        for outcome in self.create_hundred().await {
            assert_eq!(outcome.as_ref().unwrap_err(), refusal);
        }
        assert_eq!(self.since(before), (0, 0, 0), "{refusal}");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

fn client_of(wechat: &Simulator, api: &str) -> Client {
    let account = wechat.settings();
    let settings = wechat::Settings {
        app_id: account.app_id.clone(),
        app_secret: SecretString::from(account.app_secret.clone()),
        api_url: api.to_owned(),
    };
    Client::new(settings).unwrap()
}

async fn create(client: &Client) -> Result<QrCode, Error> {
    client.create_qr_code("AAAAAAAAAAAAAAAAAAAAAA", Duration::from_secs(300)).await
}

#[tokio::test]
async fn token_a_hundred_calls_with_a_stolen_token_cost_one_token_call_and_succeed() {
    let world = World::new().await;
    let account = world.wechat.settings();
    let force = json!({
        "grant_type": "client_credential", "appid": account.app_id, "secret": account.app_secret, "force_refresh": true,
    });
    let url = format!("{}/cgi-bin/stable_token", world.api);
    reqwest::Client::builder().no_proxy().build().unwrap().post(url).json(&force).send().await.unwrap();
    let before = world.wechat.counters();
    for outcome in world.create_hundred().await {
        outcome.unwrap();
    }
    assert_eq!(world.since(before), (1, 200, 0), "each call was refused once and made once more");
}

#[tokio::test]
async fn token_each_code_of_the_class_costs_one_token_call_and_one_try() {
    for code in [40001, 40014, 42001] {
        let world = World::new().await;
        world.fail(Call::QrcodeCreate, Fault::errcode(code).times(1));
        let before = world.wechat.counters();
        world.create().await.unwrap();
        assert_eq!(world.since(before), (1, 2, 0), "{code}");
    }
}

#[tokio::test]
async fn token_a_hundred_calls_that_no_token_helps_cost_one_token_call_and_then_stand() {
    let world = World::new().await;
    world.fail(Call::QrcodeCreate, Fault::errcode(40001));
    let before = world.wechat.counters();
    for outcome in world.create_hundred().await {
        assert_eq!(outcome.unwrap_err().class(), Class::Token);
    }
    assert_eq!(world.since(before).0, 1);
    let refusal = world.create().await.unwrap_err();
    assert_eq!(refusal.class(), Class::Token);
    world.remembers(&refusal).await;
}

#[tokio::test]
async fn theft_each_change_of_the_token_is_followed_with_one_token_call() {
    let world = World::new().await;
    for _ in 0..4 {
        world.wechat.expire_tokens();
        let before = world.wechat.counters();
        world.create().await.unwrap();
        assert_eq!(world.since(before), (1, 2, 0));
    }
    world.wechat.expire_tokens();
    let before = world.wechat.counters();
    assert_eq!(world.create().await.unwrap_err().class(), Class::Token);
    assert_eq!(world.since(before), (0, 1, 0), "a fifth within a minute is a loop, and is not followed");
}

#[tokio::test]
async fn busy_is_tried_twice_more_and_then_told_but_never_stands() {
    let world = World::new().await;
    world.fail(Call::QrcodeCreate, Fault::errcode(-1).times(2));
    let before = world.wechat.counters();
    world.create().await.unwrap();
    assert_eq!(world.since(before), (0, 3, 0));

    world.fail(Call::QrcodeCreate, Fault::errcode(-1));
    for calls in [6, 9] {
        assert_eq!(world.create().await.unwrap_err().class(), Class::Busy);
        assert_eq!(world.since(before), (0, calls, 0));
    }
    world.wechat.switches().heal(Call::QrcodeCreate);
    world.create().await.unwrap();
}

#[tokio::test]
async fn quota_of_the_day_stands() {
    let refusal = World::new().await.stands(45009, Class::Quota).await;
    assert!(refusal.to_string().contains("until tomorrow"), "{refusal}");
}

#[tokio::test]
async fn quota_of_the_minute_stands() {
    World::new().await.stands(45011, Class::Quota).await;
}

#[tokio::test]
async fn permission_stands_and_names_the_kind_of_account() {
    let refusal = World::new().await.stands(48001, Class::Permission).await;
    assert!(refusal.to_string().contains("verified service account"), "{refusal}");
}

#[tokio::test]
async fn address_not_allowed_stands_and_names_the_address_to_allow() {
    let world = World::without_token().await;
    world.fail(Call::StableToken, Fault::errcode(40164));
    let before = world.wechat.counters();
    let refusal = world.create().await.unwrap_err();
    assert_eq!(refusal.class(), Class::IpNotAllowed);
    assert_eq!(world.since(before), (1, 0, 0));
    assert!(refusal.to_string().contains("add 203.0.113.7 to the account's IP allowlist"), "{refusal}");
    world.remembers(&refusal).await;
    let waits = World::new().await.stands(89503, Class::IpNotAllowed).await;
    assert!(waits.to_string().contains("administrator"), "{waits}");
}

#[tokio::test]
async fn credentials_stand_and_name_the_setting() {
    for (code, word) in [(40013, "WECHAT_APP_ID"), (40125, "WECHAT_APP_SECRET"), (40243, "frozen")] {
        let world = World::without_token().await;
        world.fail(Call::StableToken, Fault::errcode(code));
        let before = world.wechat.counters();
        let refusal = world.create().await.unwrap_err();
        assert_eq!(refusal.class(), Class::Credentials, "{refusal}");
        assert!(refusal.to_string().contains(word), "{refusal}");
        assert_eq!(world.since(before), (1, 0, 0), "{refusal}");
        world.remembers(&refusal).await;
    }
}

#[tokio::test]
async fn transport_a_failing_front_is_tried_twice_more() {
    let world = World::new().await;
    for call in [Call::QrcodeCreate, Call::StableToken] {
        world.wechat.expire_tokens();
        world.fail(call, Fault { http_status: Some(502), times: Some(2), ..Fault::default() });
        world.create().await.unwrap();
    }
    world.fail(Call::QrcodeCreate, Fault { http_status: Some(502), ..Fault::default() });
    let before = world.wechat.counters();
    assert!(matches!(world.create().await, Err(Error::Status { status: 502, .. })));
    assert_eq!(world.since(before), (0, 3, 0));
    world.wechat.switches().heal_all();
    world.create().await.unwrap();
}

#[tokio::test]
async fn transport_a_host_that_hangs_or_is_gone_is_given_up_within_eight_seconds() {
    let world = World::new().await;
    world.fail(Call::QrcodeCreate, Fault::delay(Duration::from_secs(20)).times(1));
    let (before, began) = (world.wechat.counters(), Instant::now());
    world.create().await.unwrap();
    assert_eq!(world.since(before), (0, 2, 0), "the try that hung was given up for another");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());

    world.fail(Call::QrcodeCreate, Fault::delay(Duration::from_secs(20)));
    // Bound but not listening: nobody answers, and nobody else gets the port.
    let bound = TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = client_of(&world.wechat, &format!("http://{}", bound.local_addr().unwrap()));
    for (client, class) in [(&world.client, Class::Timeout), (&nobody, Class::Transport)] {
        let began = Instant::now();
        let error = create(client).await.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        assert!(began.elapsed() < wechat::CALL_LIMIT + Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn other_refusals_are_told_once_and_stand_for_nobody_else() {
    let world = World::new().await;
    let person = world.wechat.invent_person("阿狸", true).openid;
    let before = world.wechat.counters();
    let refusal = world.client.user("nobody").await.unwrap_err();
    assert!(matches!(refusal, Error::Api { code: 40003, .. }), "{refusal}");
    assert_eq!(world.since(before), (0, 0, 1));
    world.client.user(&person).await.unwrap();
}

#[tokio::test]
async fn a_page_hears_of_a_refusal_that_stands_at_once() {
    let gateway = vec!["--gateway-qr-ready=0".to_owned(), "--gateway-ways=scan".to_owned()];
    let stack = Stack::start(Options { gateway, ..Options::default() }).await.unwrap();
    stack.wechat.switches().fail(Call::QrcodeCreate, Fault::errcode(48001));
    let mut calls = Vec::new();
    for _ in 0..3 {
        let error = Page::open(stack.gateway.browsers).await.expect("error").await;
        assert_eq!(error["code"], "wechat_unavailable");
        assert!(error["retry_in"].as_u64().unwrap() >= 30_000, "{error}");
        calls.push(stack.wechat.counters().qr_calls);
    }
    assert_eq!(calls, [1, 1, 1]);
}
