//! Whoever reads a log, a trace, the store or an error page must not be able to log in with it. Real processes that log all
//! they can, every secret that a login has, and then a search for each of them. The number of a page that is confirmed is no
//! secret: it opens nothing without the phone of whoever scanned, and a test here says where it is kept.

use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::fleet::NOTIFY_KEY;
use e2e::page::Page;
use serde_json::Value;
use simulator::{Client, Webview};
use test_redis::Redis;
use tokio::task::block_in_place;

use crate::agent::{Agent, Answer};
use crate::backchannel::BackEnd;
use crate::collector::Collector;
use crate::confirmation::{Asked, says};
use crate::instances::Instances;
use crate::parameters::Parameters;
use crate::provider::{Provider, code_of};
use crate::relying_party::{Authentication, Site, Tokens, came_back, pkce, random};

/// What the shop proves its webhooks' sender with.
const WEBHOOK_KEY: &str = "webhook-canary-0123456789abcdef0123456789";

/// What the services show the collector of traces.
const COLLECTOR_KEY: &str = "collector-canary-0123456789abcdef0123456789";

/// The acr of a login that its person has confirmed in the chat.
const CONFIRMED: &str = "urn:saoma:scan-confirmed";

/// Secrets, each with what it is.
#[derive(Default)]
struct Canaries(HashMap<String, String>);

impl Canaries {
    fn add(&mut self, secret: &str, what: &str) {
        assert!(secret.len() >= 20, "{what} is too short to be found, or to be one: {secret}");
        self.0.insert(secret.to_owned(), what.to_owned());
    }

    fn tokens(&mut self, tokens: &Tokens) {
        self.add(&tokens.access_token, "an access token");
        self.add(&tokens.id_token, "an ID token");
        self.add(tokens.id_token.rsplit('.').next().unwrap(), "an ID token's signature");
    }

    fn cookies(&mut self, agent: &Agent) {
        for (name, value) in &agent.jar {
            self.add(value, name);
        }
    }

    /// None of them is in there.
    fn search(&self, text: &[u8], place: &str) {
        // What is not UTF-8 becomes something else, and secrets are ASCII.
        let text = String::from_utf8_lossy(text);
        for (secret, what) in &self.0 {
            if let Some((before, after)) = text.split_once(secret.as_str()) {
                let last: String = before.chars().rev().take(120).collect();
                let before: String = last.chars().rev().collect();
                let after: String = after.chars().take(40).collect();
                panic!("{place} has {what}: …{before}{secret}{after}…");
            }
        }
    }
}

/// Answers that are no redirect and no success, which a person may photograph and send to somebody.
#[derive(Default)]
struct Shown(Vec<String>);

impl Shown {
    fn see(&mut self, answer: &Answer) {
        assert!(answer.status >= 400, "{answer:?}");
        self.0.push(format!("{:?} {}", answer.headers, answer.body));
    }
}

/// What the services themselves are set up with, and what they get from WeChat by it.
async fn own_secrets(provider: &Provider) -> Canaries {
    let mut canaries = Canaries::default();
    let account = provider.wechat.settings();
    canaries.add(&account.app_secret, "the AppSecret");
    canaries.add(&account.token, "the token of the push settings");
    canaries.add(&account.aes_key, "the EncodingAESKey");
    canaries.add(NOTIFY_KEY, "the key of the internal port");
    canaries.add(COLLECTOR_KEY, "the key of the collector");
    // WeChat gives everybody the same, until it is old.
    let asked = serde_json::json!({
        "grant_type": "client_credential",
        "appid": account.app_id,
        "secret": account.app_secret,
    });
    let url = format!("{}/cgi-bin/stable_token", provider.wechat.public_url());
    let given: Value = provider.http.post(url).json(&asked).send().await.unwrap().json().await.unwrap();
    canaries.add(given["access_token"].as_str().unwrap(), "WeChat's access token");
    canaries
}

/// What people are and say, which stands in the store and in no log; and the key of a page that comes back.
async fn people(provider: &Provider) -> Canaries {
    const TEXT: &str = "我的密码是一二三四五六七八九十";
    let mut canaries = Canaries::default();
    canaries.add(TEXT, "a message");
    let person = provider.person();
    says(provider, &person, TEXT).await;
    let mut page = Page::open(provider.gateway).await;
    let shown = page.code().await;
    canaries.add(&shown.resume, "a resume key");
    canaries.add(shown.resume.split('.').nth(1).unwrap(), "the secret part of a resume key");
    let mut back = Page::resume(provider.gateway, &shown.resume).await;
    back.code().await;
    provider.wechat.scan(&person, &shown.content).await.unwrap();
    back.expect("scanned").await;
    back.expect("scan_success").await;
    // Inside WeChat, with a code of WeChat's in an address.
    let mut page = Page::open(provider.gateway).await;
    let scene = page.code().await.scene();
    canaries.add(&scene, "a scene, by which others could come to the login");
    let mut webview = Webview::of(&provider.wechat, &person, Client::Phone);
    let question = webview.open(&format!("{}/login/{scene}", provider.issuer)).await.unwrap();
    webview.press(&question, "1").await.unwrap();
    page.expect("scanned").await;
    page.expect("scan_success").await;
    let came = Parameters::parse(question.url.split_once('?').unwrap().1);
    canaries.add(came.value("code"), "a code of a web authorization");
    canaries.add(came.value("state"), "the state of a visit");
    provider.wechat.unfollow(&person).await.unwrap();
    canaries.add(&person, "an openid");
    canaries
}

/// Every way in and out, with its faults. Gives the secrets of all of them.
async fn use_everything(instances: &Instances, shop: &Site) -> Canaries {
    let provider = instances.at(0);
    let (mut canaries, mut shown) = (Canaries::default(), Shown::default());
    let secret = shop.secret.clone().unwrap();
    canaries.add(&secret, "the site's secret");
    canaries.add(&STANDARD.encode(format!("shop:{secret}")), "the header of client_secret_basic");
    canaries.add(WEBHOOK_KEY, "the webhook's key");

    // A login with all that may go wrong in it.
    let (mut agent, mut thief) = (Agent::new(&provider), Agent::new(&provider));
    let (verifier, challenge) = pkce();
    canaries.add(&verifier, "a verifier");
    let request = shop.request().with("scope", "openid profile email");
    let request = request.with("code_challenge", &challenge).with("code_challenge_method", "S256");
    let handle = agent.authorize(&request).await.handle();
    canaries.cookies(&agent);
    let posted = provider.scan(&handle, &provider.person()).await;
    canaries.add(&posted, "the code that the page posts");
    shown.see(&thief.go_on(&handle, &posted).await);
    shown.see(&agent.go_on(&handle, &random()).await);
    let answer = agent.go_on(&handle, &posted).await;
    canaries.cookies(&agent);
    let code = came_back(&provider, &request, &answer);
    canaries.add(&code, "a site's code");
    shown.see(&agent.go_on(&handle, &posted).await);
    let grant = shop.grant(&code).with("code_verifier", &verifier);
    shown.see(&Site::cafe().redeem(&provider, &grant).await);
    let wrong = Site { secret: Some(random()), ..shop.clone() };
    shown.see(&wrong.redeem_by(&provider, Authentication::Post, &grant).await);
    canaries.add(wrong.secret.as_ref().unwrap(), "a secret that was nearly right");
    let both = grant.clone().with("client_secret", &secret);
    shown.see(&shop.redeem(&provider, &both).await);

    // Each of these is good once, so every other way has a code of its own.
    for json in [false, true] {
        let request = shop.request();
        let code = came_back(&provider, &request, &agent.authorize(&request).await);
        canaries.add(&code, "a silent login's code");
        let grant = shop.grant(&code);
        let answer = match json {
            false => shop.redeem(&provider, &grant).await,
            true => shop.redeem_as_json(&provider, Authentication::Post, &grant).await,
        };
        let tokens = shop.take(&provider, &request, &answer).await;
        canaries.tokens(&tokens);
        shown.see(&shop.redeem(&provider, &grant).await);
        let query = Parameters::of(&[("access_token", &tokens.access_token)]).encoded();
        shown.see(&agent.get(&format!("/userinfo?{query}")).await);
        let hint = shop.request().with("id_token_hint", &format!("{}x", tokens.id_token));
        agent.authorize(&hint).await;
        let hint = Parameters::of(&[("id_token_hint", tokens.id_token.as_str()), ("client_id", "cafe")]);
        agent.get(&format!("/logout?{}", hint.encoded())).await;
        // What should be in a body may come in a query, from a client that is wrong.
        let query = grant.with("client_id", "shop").with("client_secret", &secret).encoded();
        shown.see(&agent.get(&format!("/token?{query}")).await);
    }

    // The widget, and a page that comes back.
    let (verifier, challenge) = pkce();
    canaries.add(&verifier, "a widget's verifier");
    let query = Parameters::of(&[("site", "shop"), ("nonce", &random()), ("code_challenge", &challenge)]);
    let path = format!("/ws?{}", query.encoded());
    let mut page = Page::of(Some("https://shop.example.cn"), provider.gateway, &path).await.unwrap();
    let code = code_of(&provider.scan_page(&mut page, &provider.person()).await);
    canaries.add(&code, "a widget's code");
    let grant = shop.grant(&code).without("redirect_uri").with("code_verifier", &verifier);
    let answer = shop.redeem(&provider, &grant).await;
    canaries.tokens(&shop.take(&provider, &query, &answer).await);

    // A login that is confirmed, after a wrong number.
    let request = shop.request().with("prompt", "login").with("acr_values", CONFIRMED);
    let (handle, person) = (agent.authorize(&request).await.handle(), provider.person());
    let mut asked = Asked::of(&provider, provider.page(&handle).await, &person).await;
    for text in [asked.wrong(), &asked.number] {
        says(&provider, &person, text).await;
    }
    let posted = code_of(&asked.page.expect("scan_success").await);
    canaries.add(&posted, "the code of a confirmed login");
    let code = came_back(&provider, &request, &agent.go_on(&handle, &posted).await);
    canaries.add(&code, "a site's code after a confirmed login");
    let tokens = shop.take(&provider, &request, &shop.redeem(&provider, &shop.grant(&code)).await).await;
    canaries.tokens(&tokens);

    let tokens = shop.log_in(&mut agent, &shop.request().with("prompt", "login"), &provider.person()).await;
    canaries.tokens(&tokens);
    canaries.cookies(&agent);
    let logout = Parameters::of(&[("id_token_hint", &tokens.id_token)]);
    let asked = agent.get(&format!("/logout?{}", logout.encoded())).await;
    agent.say_yes(asked).await;
    for shown in shown.0 {
        canaries.search(shown.as_bytes(), "an error page");
    }
    canaries
}

/// Ends the processes and gives all that they have logged.
async fn logs(instances: &mut Instances) -> String {
    let mut log = String::new();
    for node in instances.fleet.callbacks.iter_mut().chain(&mut instances.fleet.gateways) {
        let program = node.program_mut();
        assert!(block_in_place(|| program.terminate()).success());
        log += &program.log();
    }
    log
}

/// A shop whose back end takes nothing, so that everything waits in the store.
async fn shop_before(back_end: &BackEnd) -> Site {
    let url = &back_end.url;
    Site::shop()
        .and(&format!("backchannel_logout_uri = \"{url}/backchannel_logout\""))
        .and(&format!("webhook_url = \"{url}/hook\""))
        .and(&format!("webhook_key = \"{WEBHOOK_KEY}\""))
}

async fn talkative(store: &str, shop: &Site) -> (Instances, Collector) {
    let collector = Collector::start().await;
    let mut instances = Instances::prepare(store, 1, &[shop.clone(), Site::cafe()]).await;
    for node in instances.fleet.callbacks.iter_mut().chain(&mut instances.fleet.gateways) {
        node.set("RUST_LOG", "trace".to_owned());
        let endpoint = format!("{}/v1/traces?key={COLLECTOR_KEY}", collector.url);
        node.set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint);
        node.set("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{COLLECTOR_KEY}"));
    }
    instances.fleet.callbacks[0].set("CALLBACK_WEB_AUTHORIZATION", "base".to_owned());
    instances.start_all().await;
    (instances, collector)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_a_log_or_an_error_page_or_redis() {
    let (redis, mut back_end) = (Redis::start().await, BackEnd::start(&[503]).await);
    let shop = shop_before(&back_end).await;
    let (mut instances, collector) = talkative(&redis.url(), &shop).await;
    let provider = instances.at(0);
    let own = own_secrets(&provider).await;
    let (canaries, people) = (use_everything(&instances, &shop).await, people(&provider).await);
    back_end.next().await;
    let keys = redis.cli(&["KEYS", "*"]).await;
    canaries.search(keys.as_bytes(), "the names of Redis's keys");
    assert!(keys.lines().count() > 3, "{keys}");
    for key in keys.lines() {
        let read: &[&str] = match redis.cli(&["TYPE", key]).await.as_str() {
            "string" => &["GET", key],
            "hash" => &["HGETALL", key],
            "list" => &["LRANGE", key, "0", "-1"],
            "set" => &["SMEMBERS", key],
            "zset" => &["ZRANGE", key, "0", "-1"],
            "stream" => &["XRANGE", key, "-", "+"],
            kind => panic!("{key} is a {kind}"),
        };
        let value = redis.cli(read).await;
        canaries.search(value.as_bytes(), key);
        own.search(value.as_bytes(), key);
    }
    let log = logs(&mut instances).await;
    assert!(log.contains("\"level\":\"DEBUG\"") || log.contains("\"level\":\"TRACE\""), "it logs all it can");
    let traces: Vec<_> = collector.exported().into_iter().flat_map(|span| span.texts).collect();
    assert!(traces.iter().any(|text| text == "a scan was answered"), "{traces:?}");
    for canaries in [canaries, own, people] {
        canaries.search(log.as_bytes(), "the log");
        canaries.search(traces.join("\n").as_bytes(), "a trace");
    }
    let targets: BTreeSet<_> = log.lines().filter_map(target).collect();
    for target in &targets {
        // Another one may log what it sends: look, before it is named here.
        let known = SPEAK.iter().any(|known| target.split("::").next() == Some(known));
        assert!(known, "{target} logs something: is it never a secret?");
    }
    assert!(targets.contains("ws_gateway::notices::conversation"), "{targets:?}");
}

/// Whose lines may be in a log: our own parts, and a dependency that tells at its lowest level of connections and the hosts
/// at their other end.
const SPEAK: [&str; 7] =
    ["ws_gateway", "callback_service", "protocol", "records", "server", "wechat", "hyper_util"];

/// The part of a program that has written a line.
fn target(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    line["target"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_sqlites_files() {
    let (folder, mut back_end) = (tempfile::tempdir().unwrap(), BackEnd::start(&[503]).await);
    let shop = shop_before(&back_end).await;
    let file = folder.path().join("callback.db");
    let (mut instances, _collector) = talkative(&format!("sqlite:{}", file.display()), &shop).await;
    let canaries = use_everything(&instances, &shop).await;
    back_end.next().await;
    let search = || {
        let files: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty());
        for file in files {
            canaries.search(&std::fs::read(&file).unwrap(), &file.display().to_string());
        }
    };
    search();
    canaries.search(logs(&mut instances).await.as_bytes(), "the log");
    search();
}

/// It has to be compared, so it stands there as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_the_number_of_a_page_in_the_store_can_do_nothing_with_it() {
    let redis = Redis::start().await;
    let shop = Site::shop().and("confirm = true");
    let instances = Instances::start(&redis.url(), 1, std::slice::from_ref(&shop)).await;
    let provider = instances.at(0);
    let (mut agent, person) = (Agent::new(&provider), provider.person());
    let handle = agent.authorize(&shop.request()).await.handle();
    let mut asked = Asked::of(&provider, provider.page(&handle).await, &person).await;
    let is_number = format!("\"number\":\"{}\"", asked.number);
    let mut places = Vec::new();
    for key in redis.cli(&["KEYS", "*"]).await.lines().filter(|key| !key.is_empty()) {
        if redis.cli(&["TYPE", key]).await == "string" && redis.cli(&["GET", key]).await.contains(&is_number)
        {
            places.push(key.to_owned());
        }
    }
    assert!(matches!(&places[..], [key] if key.ends_with(&format!("confirmation:{person}"))), "{places:?}");

    // The reader has a phone, too, and even the picture.
    let reader = provider.person();
    let words = says(&provider, &reader, &asked.number).await;
    assert!(words.contains("扫一扫"), "nothing is asked of them: {words}");
    let words = provider.wechat.scan(&reader, &asked.content).await.unwrap().reply.unwrap();
    assert!(words.contains("已经被使用过"), "{words}");
    let words = says(&provider, &reader, &asked.number).await;
    assert!(words.contains("扫一扫"), "{words}");
    says(&provider, &person, &asked.number).await;
    asked.page.expect("scan_success").await;
}
