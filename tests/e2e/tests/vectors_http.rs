//! WeChat's recorded pushes against the whole callback service over HTTP: byte for byte as they were made, one service
//! for each of their accounts, and, signed anew, against the whole system with logins that are alive.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

#[path = "../../../crates/wechat/tests/wechat_vectors/mod.rs"]
mod wechat_vectors;

use std::time::{SystemTime, UNIX_EPOCH};

use callback_service::config::{Config, Secrets};
use callback_service::{BoundAddresses, Server, account};
use demo::{NOTIFY_KEY, Options, Stack};
use e2e::page::{Code, Page};
use e2e::raw::{Raw, Reply, metric};
use serde_json::Value;
use sha1::{Digest, Sha1};
use simulator::{Envelope, Mode, Settings, Simulator};
use wechat_vectors::{account_of, body, expected_stage, expected_status, group, is_taken, string, vectors};

/// What any message is answered.
const GREETING: &str = "您好！打开网站的登录页，用微信扫一扫页面上的二维码即可登录。";

/// What whoever follows the account without a code of ours is told.
const WELCOME: &str = "感谢关注！打开网站的登录页，用微信扫一扫页面上的二维码即可登录。";

/// The words that answer a push whose scene is not of our form.
fn words(xml: &str) -> Option<&'static str> {
    if xml.contains("<MsgType><![CDATA[text]]>") {
        return Some(GREETING);
    }
    xml.contains("<Event><![CDATA[subscribe]]>").then_some(WELCOME)
}

/// The account of a vector as a service of its own, which no gateway hears.
struct Service {
    at: BoundAddresses,
    account: Settings,
}

impl Service {
    /// `max_age` is `off` where old vectors must be taken.
    fn start(account: &Value, max_age: &str) -> Self {
        Self::start_on("sqlite::memory:", account, max_age)
    }

    fn start_on(store: &str, account: &Value, max_age: &str) -> Self {
        let account = Settings {
            app_id: string(account, "appid").to_owned(),
            original_id: string(account, "original_id").to_owned(),
            token: string(account, "token").to_owned(),
            aes_key: string(account, "encoding_aes_key").to_owned(),
            mode: mode(string(account, "mode")),
            ..Settings::default()
        };
        let flags = [
            "--callback-listen=127.0.0.1:0",
            "--callback-admin-listen=127.0.0.1:0",
            "--callback-gateway=127.0.0.1:1",
            &format!("--callback-store={store}"),
            "--wechat-api-url=http://127.0.0.1:1",
            &format!("--wechat-push-max-age={max_age}"),
            &format!("--wechat-mode={}", mode_name(account.mode)),
            &format!("--wechat-app-id={}", account.app_id),
            &format!("--wechat-original-id={}", account.original_id),
        ];
        let secrets = Secrets {
            notify_key: Some(NOTIFY_KEY.into()),
            account: account::Secrets {
                app_secret: Some("secret".into()),
                token: Some(account.token.as_str().into()),
                aes_key: Some(account.aes_key.as_str().into()),
                ..account::Secrets::default()
            },
            ..Secrets::default()
        };
        let server = Server::bind(Config::of(&flags, secrets).unwrap()).unwrap();
        let at = server.addresses().unwrap();
        // The test's runtime ends it.
        tokio::spawn(server.run(std::future::pending()));
        Self { at, account }
    }

    /// Sends a vector, exactly.
    async fn send(&self, vector: &Value) -> Reply {
        let method = vector["method"].as_str().unwrap_or("POST");
        let body = if method == "GET" { Vec::new() } else { body(vector) };
        send(&self.at, method, string(vector, "query_string"), &body).await
    }

    /// Sends a vector as the simulated WeChat does, which has a cipher of its own and judges the answer strictly.
    async fn judge(&self, vector: &Value) -> Option<String> {
        let wechat = Simulator::new(self.account.clone()).unwrap();
        wechat.set_push_url(format!("http://{}/wechat", self.at.pushes));
        let xml = vector["plaintext"].as_str().unwrap_or_else(|| string(vector, "body"));
        let query = ["signature", "timestamp", "nonce", "openid", "encrypt_type", "msg_signature"]
            .into_iter()
            .filter_map(|name| Some((name, vector["query"][name].as_str()?.to_owned())))
            .collect();
        let envelope = Envelope { query, body: string(vector, "body").to_owned() };
        let attempt = wechat.send(&envelope, sender(xml)).await;
        assert_eq!(attempt.error, None, "{}", vector["id"]);
        attempt.reply
    }

    async fn refused(&self, stage: &str) -> u64 {
        metric(self.at.admin, &format!("callback_refused_total{{stage=\"{stage}\"}}")).await
    }

    /// Sends what must be refused, and checks how: with its status, for its reason, and saying nothing.
    async fn refuses(&self, vector: &Value) {
        let (id, stage) = (string(vector, "id"), expected_stage(vector));
        let before = self.refused(stage).await;
        let reply = self.send(vector).await;
        assert_eq!(reply.status, expected_status(vector), "{id}: {reply:?}");
        assert_eq!(self.refused(stage).await, before + 1, "{id} is refused for its {stage}");
        assert_eq!(reply.body, "", "{id}: no input comes back");
        for forbidden in ["must_not_echo", "must_not_contain"] {
            assert!(
                vector[forbidden].as_str().is_none_or(|text| !reply.head.contains(text)),
                "{id}: {reply:?}"
            );
        }
    }
}

fn mode(name: &str) -> Mode {
    match name {
        "safe" => Mode::Safe,
        "compatible" => Mode::Compatible,
        "plaintext" => Mode::Plaintext,
        other => panic!("{other} is no mode"),
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Safe => "safe",
        Mode::Compatible => "compatible",
        Mode::Plaintext => "plaintext",
    }
}

async fn send(at: &BoundAddresses, method: &str, query: &str, body: &[u8]) -> Reply {
    let length = body.len();
    let head = format!(
        "{method} /wechat?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    Raw::ask(at.pushes, &head, body).await
}

fn query_of(envelope: &Envelope) -> String {
    let pairs: Vec<String> = envelope.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// The openid in a push's XML.
fn sender(xml: &str) -> &str {
    let (_, rest) = xml.split_once("<FromUserName><![CDATA[").unwrap();
    rest.split_once("]]>").unwrap().0
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A query for `account` as WeChat signs it in plaintext mode.
fn signed_query(account: &Settings, timestamp: u64) -> String {
    let (timestamp, nonce) = (timestamp.to_string(), "1234567890");
    let mut parts = [account.token.as_str(), &timestamp, nonce];
    parts.sort_unstable();
    let hash = Sha1::digest(parts.concat());
    let signature: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("signature={signature}&timestamp={timestamp}&nonce={nonce}")
}

// === The recorded vectors, verbatim ===

#[tokio::test]
async fn every_address_verification_is_echoed_as_plain_text() {
    let vectors = vectors();
    let group = group(&vectors, "url_verification");
    for vector in group {
        let reply = Service::start(account_of(&vectors, vector), "off").send(vector).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, string(vector, "expect_body")), "{vector}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
    assert_eq!(group.len(), 7);
}

/// Their scenes are not of our form, so only messages and follows get words; in live logins they are tried further down.
#[tokio::test]
async fn every_good_push_is_answered_200_and_messages_and_follows_with_words_that_wechat_can_read() {
    let vectors = vectors();
    let (mut sent, mut answered) = (0, 0);
    for vector in [group(&vectors, "plaintext_events"), group(&vectors, "encrypted_pushes")].concat() {
        let service = Service::start(account_of(&vectors, &vector), "off");
        let reply = service.send(&vector).await;
        let id = string(&vector, "id");
        assert_eq!(reply.status, 200, "{id}: {reply:?}");
        sent += 1;

        let words = words(vector["plaintext"].as_str().unwrap_or_else(|| string(&vector, "body")));
        assert_eq!(reply.body.is_empty(), words.is_none(), "{id}: {reply:?}");
        if words.is_some() {
            let is_sealed = service.account.mode != Mode::Plaintext;
            assert_eq!(reply.body.contains("<Encrypt>"), is_sealed, "{id}: {reply:?}");
            assert_eq!(service.judge(&vector).await.as_deref(), words, "{id}");
            answered += 1;
        }
    }
    assert_eq!((sent, answered), (31, 14));
}

#[tokio::test]
async fn every_hostile_request_is_refused_with_its_status_for_its_reason_in_silence() {
    let vectors = vectors();
    let (mut refused, mut taken, mut stricter) = (0, Vec::new(), 0);
    for vector in group(&vectors, "negative") {
        let id = string(vector, "id");
        let max_age = if vector["stage"] == "freshness" { "300s" } else { "off" };
        let service = Service::start(account_of(&vectors, vector), max_age);
        if is_taken(vector) {
            // Taken as what it is, which is no scan by anybody of a login of ours.
            let reply = service.send(vector).await;
            assert_eq!((reply.status, reply.body.as_str()), (expected_status(vector), ""), "{id}");
            taken.push(id);
            continue;
        }
        service.refuses(vector).await;
        refused += 1;
        stricter +=
            usize::from(vector["wechatpy_1_8_18"].as_str().is_some_and(|it| it.starts_with("ACCEPTED")));
    }
    assert_eq!(refused, 73);
    assert_eq!(
        taken,
        ["neg-openid-query-mismatch", "neg-scan-lowercase"],
        "what they do is tried further down"
    );
    assert_eq!(stricter, 20, "what wechatpy 1.8.18 takes and we do not");
}

/// With the window on, whatever was recorded is old; this is what makes the refusals of age above mean something.
#[tokio::test]
async fn the_window_takes_what_is_fresh_and_without_it_the_age_alone_is_no_fault() {
    let vectors = vectors();
    let by_id = |id: &str| {
        let mut all = group(&vectors, "negative").iter().chain(group(&vectors, "plaintext_events"));
        all.find(|vector| vector["id"] == id).unwrap()
    };
    let account = account_of(&vectors, by_id("plain-scan-int"));
    // A store in memory takes nothing that is older than itself.
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("callback.db").display());
    let (windowed, open) = (Service::start_on(&store, account, "300s"), Service::start(account, "off"));

    let body = body(by_id("plain-scan-int"));
    for (timestamp, status) in [(now(), 200), (now() - 290, 200), (now() - 310, 403), (now() + 310, 403)] {
        let query = signed_query(&windowed.account, timestamp);
        assert_eq!(send(&windowed.at, "POST", &query, &body).await.status, status, "{query}");
    }
    assert_eq!(windowed.refused("freshness").await, 2);

    for (id, status) in [
        ("neg-stale-timestamp", 200),
        ("neg-future-timestamp", 200),
        ("neg-timestamp-not-integer", 403),
        ("neg-resplit-timestamp-nonce", 403),
    ] {
        assert_eq!(open.send(by_id(id)).await.status, status, "{id}");
    }
}

#[tokio::test]
async fn every_sequence_is_taken_verbatim_step_by_step() {
    let vectors = vectors();
    let group = group(&vectors, "sequences");
    let mut steps = 0;
    for sequence in group {
        let service = Service::start(account_of(&vectors, sequence), "off");
        for step in sequence["steps"].as_array().unwrap() {
            let reply = service.send(step).await;
            let words = words(string(step, "body"));
            assert_eq!(reply.status, 200, "{sequence}: {reply:?}");
            assert!(words.is_none_or(|words| reply.body.contains(words)), "{sequence}: {reply:?}");
            assert_eq!(reply.body.is_empty(), words.is_none(), "{sequence}: {reply:?}");
            steps += 1;
        }
    }
    assert_eq!((group.len(), steps), (5, 11));
}

// === Signed anew, with logins that are alive ===

async fn stack(mode: Mode) -> Stack {
    let wechat = Settings { mode, ..Settings::default() };
    Stack::start(Options { wechat, ..Options::default() }).await.unwrap()
}

/// A page that shows its code.
struct Login {
    page: Page,
    code: Code,
}

impl Login {
    async fn open(stack: &Stack) -> Self {
        let mut page = Page::open(stack.gateway.browsers).await;
        let code = page.code().await;
        Self { page, code }
    }

    fn scan(&self, stack: &Stack, openid: &str) -> String {
        event(stack, openid, "SCAN", &self.code.scene())
    }

    async fn ends_well(mut self) {
        self.page.expect("scanned").await;
        self.page.expect("scan_success").await;
        assert_eq!(self.page.closed().await, 4010);
    }
}

fn event(stack: &Stack, openid: &str, event: &str, key: &str) -> String {
    let (to, at) = (&stack.wechat.settings().original_id, now());
    format!(
        "<xml><ToUserName><![CDATA[{to}]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName>\
         <CreateTime>{at}</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{event}]]></Event>\
         <EventKey><![CDATA[{key}]]></EventKey></xml>"
    )
}

/// Pushes `envelope`, and gives what the phone reads.
async fn told(stack: &Stack, envelope: &Envelope, openid: &str) -> Option<String> {
    let attempt = stack.wechat.send(envelope, openid).await;
    assert_eq!(attempt.error, None, "{envelope:?}");
    attempt.reply
}

/// Plays a sequence with `scene` for its own, and gives what the phone reads at each step. A step that has the query
/// and the body of the one before is the very same request.
async fn play(stack: &Stack, sequence: &Value, account: &Value, scene: &str) -> Vec<String> {
    const RECORDED: &str = "Wg9v1BwAvbIUs5zH1O6lDSSr-b_ZpgH4";
    let mut words = Vec::new();
    let mut last: Option<(&Value, Envelope)> = None;
    for step in sequence["steps"].as_array().unwrap() {
        let xml = string(step, "body").replace(RECORDED, scene);
        let xml = xml.replace(string(account, "original_id"), &stack.wechat.settings().original_id);
        let openid = sender(&xml);
        let envelope = match last {
            Some((before, envelope)) if before == step => envelope,
            _ => stack.wechat.seal(&xml, openid),
        };
        words.push(told(stack, &envelope, openid).await.unwrap());
        last = Some((step, envelope));
    }
    words
}

#[tokio::test]
async fn every_sequence_is_one_login_and_the_same_words() {
    let vectors = vectors();
    let group = group(&vectors, "sequences");
    for mode in [Mode::Plaintext, Mode::Compatible, Mode::Safe] {
        for sequence in group {
            let stack = stack(mode).await;
            let login = Login::open(&stack).await;
            let (id, scene) = (string(sequence, "id"), login.code.scene());
            let words = play(&stack, sequence, account_of(&vectors, sequence), &scene).await;
            if id == "seq-text-retry" {
                assert_eq!(words, [GREETING, GREETING]);
                continue;
            }
            login.ends_well().await;

            let first = if id.contains("subscribe") { "登录成功" } else { "欢迎回来" };
            assert!(words[0].contains(first) && words[0].contains("第1次"), "{id}: {words:?}");
            let (taken, same): (Vec<_>, Vec<_>) =
                words.iter().partition(|words| words.contains("已经被使用过"));
            assert_eq!(taken.len(), usize::from(id == "seq-two-users-one-scene"), "{id}: {words:?}");
            assert!(same.iter().all(|words| **words == **same[0]), "{id}: {words:?}");

            // Had a repeat been counted, this would not be the second login.
            let again = Login::open(&stack).await;
            let openid = sender(string(&sequence["steps"][0], "body"));
            let scan = stack.wechat.seal(&again.scan(&stack, openid), openid);
            let words = told(&stack, &scan, openid).await.unwrap();
            assert!(words.contains("第2次"), "{id}: {words}");
            again.ends_well().await;
        }
    }
    assert_eq!(group.len(), 5);
}

/// The end of `neg-openid-query-mismatch` and `neg-scan-lowercase`, whose scenes are nobody's.
#[tokio::test]
async fn the_body_alone_says_who_it_is_and_only_a_scan_is_a_scan() {
    let stack = stack(Mode::Safe).await;
    let login = Login::open(&stack).await;
    let lower_case = event(&stack, "o-scanner", "scan", &login.code.scene());
    let lower_case = stack.wechat.seal(&lower_case, "o-scanner");
    assert_eq!(told(&stack, &lower_case, "o-scanner").await, None);

    let xml = login.scan(&stack, "o-scanner");
    let words = told(&stack, &stack.wechat.seal(&xml, "o-other"), "o-scanner").await.unwrap();
    assert!(words.contains("第1次"), "{words}");
    let other = login.scan(&stack, "o-other");
    let others_words = told(&stack, &stack.wechat.seal(&other, "o-other"), "o-other").await.unwrap();
    assert!(others_words.contains("已经被使用过"), "the query made nobody the scanner: {others_words}");
    login.ends_well().await;
}

#[tokio::test]
async fn compatible_mode_refuses_what_is_not_encrypted_or_only_half() {
    let stack = stack(Mode::Compatible).await;
    let login = Login::open(&stack).await;
    let xml = login.scan(&stack, "o-scanner");
    let good = stack.wechat.seal(&xml, "o-scanner");
    let signed_only = Envelope {
        query: good
            .query
            .iter()
            .filter(|(name, _)| !name.starts_with("encrypt") && !name.starts_with("msg"))
            .cloned()
            .collect(),
        body: good.body.clone(),
    };
    let mut raw = good.clone();
    raw.query.retain(|(name, _)| *name != "encrypt_type");
    raw.query.push(("encrypt_type", "raw".to_owned()));
    let unsealed = |envelope: &Envelope| Envelope { body: xml.clone(), ..envelope.clone() };
    for (fault, envelope) in [
        ("nothing encrypted", &unsealed(&signed_only)),
        ("a query that says so, and a body that is not", &unsealed(&good)),
        ("a body that is, and a query that says nothing", &signed_only),
        ("a body that is, and a query that denies it", &raw),
        ("nothing, and a query that says raw", &unsealed(&raw)),
    ] {
        let reply = send(&stack.callback, "POST", &query_of(envelope), envelope.body.as_bytes()).await;
        assert_eq!((reply.status, reply.body.as_str()), (403, ""), "{fault}");
    }
    assert_eq!(metric(stack.callback.admin, "callback_refused_total{stage=\"mode\"}").await, 5);
    let words = told(&stack, &good, "o-scanner").await.unwrap();
    assert!(words.contains("第1次"), "{words}");
    login.ends_well().await;
}

/// Only the `Encrypt` is signed; whoever carries a push could have written the rest.
#[tokio::test]
async fn compatible_mode_believes_the_encrypted_copy_where_the_two_differ() {
    let stack = stack(Mode::Compatible).await;
    let (login, decoy) = (Login::open(&stack).await, Login::open(&stack).await);
    let real = login.scan(&stack, "o-scanner");
    let mut envelope = stack.wechat.seal(&real, "o-scanner");
    let forged = decoy.scan(&stack, "o-forger");
    let (_, encrypt) = envelope.body.split_once("<Encrypt>").unwrap();
    envelope.body = format!("{}<Encrypt>{encrypt}", forged.strip_suffix("</xml>").unwrap());

    // Judged as an answer to the one who is in the encrypted copy.
    let words = told(&stack, &envelope, "o-scanner").await.unwrap();
    assert!(words.contains("欢迎回来") && words.contains("第1次"), "{words}");
    login.ends_well().await;

    // The scene and the person in the clear are untouched.
    let fresh = stack.wechat.seal(&forged, "o-forger");
    let words = told(&stack, &fresh, "o-forger").await.unwrap();
    assert!(words.contains("第1次"), "{words}");
    decoy.ends_well().await;
}
