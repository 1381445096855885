//! The real programs as processes: killed, absent and restarted, with the truth told all the while.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use e2e::page::{Heard, Page};
use e2e::programs::Program;
use simulator::{Call, Fault, Settings, Simulator};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const NOTIFY_KEY: &str = "0123456789abcdef0123456789abcdef";

/// A simulated WeChat whose retries come soon.
async fn wechat() -> (Simulator, String) {
    let settings =
        Settings { nicknames: true, answer_within: Duration::from_millis(4500), ..Settings::default() };
    let wechat = Simulator::new(settings).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(wechat.clone().serve(listener, CancellationToken::new(), TaskTracker::new()));
    (wechat, format!("http://{address}"))
}

fn common(wechat: &Simulator, api: &str) -> HashMap<&'static str, String> {
    let account = wechat.settings();
    HashMap::from([
        ("WECHAT_APP_ID", account.app_id.clone()),
        ("WECHAT_APP_SECRET", account.app_secret.clone()),
        ("WECHAT_API_URL", api.to_owned()),
        ("NOTIFY_KEY", NOTIFY_KEY.to_owned()),
    ])
}

fn gateway(wechat: &Simulator, api: &str, browsers: &str, notices: &str) -> Program {
    let mut settings = common(wechat, api);
    settings.insert("GATEWAY_LISTEN", browsers.to_owned());
    settings.insert("GATEWAY_NOTIFY_LISTEN", notices.to_owned());
    settings.insert("GATEWAY_ADMIN_LISTEN", "127.0.0.1:0".to_owned());
    settings.insert("GATEWAY_DRAIN_TIME", "2s".to_owned());
    Program::start("ws-gateway", &settings)
}

fn callback(wechat: &Simulator, api: &str, listen: &str, gateway: &str, store: &Path) -> Program {
    let account = wechat.settings();
    let mut settings = common(wechat, api);
    settings.insert("CALLBACK_LISTEN", listen.to_owned());
    settings.insert("CALLBACK_ADMIN_LISTEN", "127.0.0.1:0".to_owned());
    settings.insert("CALLBACK_GATEWAY", gateway.to_owned());
    settings.insert("CALLBACK_STORE", format!("sqlite:{}", store.display()));
    settings.insert("WECHAT_TOKEN", account.token.clone());
    settings.insert("WECHAT_AES_KEY", account.aes_key.clone());
    settings.insert("WECHAT_ORIGINAL_ID", account.original_id.clone());
    let program = Program::start("callback-service", &settings);
    wechat.set_push_url(format!("http://{}/wechat", program.address("pushes")));
    program
}

#[tokio::test]
async fn killed_between_claim_and_scan_wechats_retry_completes_the_login_once() {
    let (wechat, api) = wechat().await;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("callback.db");
    let gateway = gateway(&wechat, &api, "127.0.0.1:0", "127.0.0.1:0");
    let notices = gateway.address("notices").to_string();
    let mut service = callback(&wechat, &api, "127.0.0.1:0", &notices, &store);
    let listen = service.address("pushes").to_string();

    // WeChat takes its time for the nickname, so that the page hears of the claim long before the scan.
    wechat.switches().fail(Call::UserInfo, Fault::delay(Duration::from_secs(3)));
    let openid = wechat.invent_person("阿狸", true).openid;
    let mut page = Page::open(gateway.address("browsers")).await;
    let code = page.code().await;
    let (delivery, _service) = tokio::join!(wechat.scan(&openid, &code.content), async {
        page.expect("scanned").await;
        service.kill();
        wechat.switches().heal(Call::UserInfo);
        callback(&wechat, &api, &listen, &notices, &store)
    });
    let delivery = delivery.unwrap();
    assert!(delivery.attempts.len() > 1, "{delivery:?}");
    assert_eq!(delivery.reply.as_deref(), Some("阿狸，欢迎回来！\n这是你第1次登录，玩的开心！"));
    assert_eq!(page.expect("scan_success").await["user"], "阿狸");

    let mut page = Page::open(gateway.address("browsers")).await;
    let code = page.code().await;
    let next = wechat.scan(&openid, &code.content).await.unwrap();
    assert!(next.reply.as_deref().unwrap().contains("第2次"), "counted once: {next:?}");
}

#[tokio::test]
async fn without_the_gateway_the_phone_is_told_the_truth_in_time_and_recovery_is_by_itself() {
    let (wechat, api) = wechat().await;
    let folder = tempfile::tempdir().unwrap();
    let mut first = gateway(&wechat, &api, "127.0.0.1:0", "127.0.0.1:0");
    let (browsers, notices) = (first.address("browsers"), first.address("notices").to_string());
    let store = folder.path().join("callback.db");
    let mut service = callback(&wechat, &api, "127.0.0.1:0", &notices, &store);
    let openid = wechat.invent_person("阿狸", true).openid;
    let mut page = Page::open(browsers).await;
    let code = page.code().await;
    first.kill();
    assert!(matches!(page.hear().await, Heard::Closed(_)));

    let began = Instant::now();
    let delivery = wechat.scan(&openid, &code.content).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let words = delivery.reply.unwrap();
    assert!(words.contains("再试一次") || words.contains("看一下网页"), "{words}");
    assert!(!words.contains("登录成功") && !words.contains("欢迎回来"), "{words}");

    let mut second = gateway(&wechat, &api, &browsers.to_string(), &notices);
    let mut page = Page::open(browsers).await;
    let code = page.code().await;
    let delivery = wechat.scan(&openid, &code.content).await.unwrap();
    assert_eq!(delivery.reply.as_deref(), Some("阿狸，欢迎回来！\n这是你第1次登录，玩的开心！"));
    page.expect("scanned").await;
    page.expect("scan_success").await;

    // Both end by themselves when asked to.
    let mut waiting = Page::open(browsers).await;
    waiting.code().await;
    let ending = tokio::task::spawn_blocking(move || (second.terminate(), second.log()));
    assert_eq!(waiting.closed().await, 1001);
    let (ended, log) = ending.await.unwrap();
    assert!(ended.success(), "{log}");
    assert!(service.terminate().success(), "{}", service.log());
}

#[tokio::test]
async fn a_log_holds_no_secret() {
    let (wechat, api) = wechat().await;
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = gateway(&wechat, &api, "127.0.0.1:0", "127.0.0.1:0");
    let notices = gateway.address("notices").to_string();
    let mut service = callback(&wechat, &api, "127.0.0.1:0", &notices, &folder.path().join("callback.db"));
    let openid = wechat.invent_person("\u{1b}[2J\nforged line", true).openid;
    wechat.switches().fail(Call::UserInfo, Fault::errcode(40001).times(5));
    let mut page = Page::open(gateway.address("browsers")).await;
    let code = page.code().await;
    wechat.scan(&openid, &code.content).await.unwrap();
    page.expect("scanned").await;
    page.expect("scan_success").await;
    gateway.terminate();
    service.terminate();
    let account = wechat.settings();
    let secret = code.resume.split('.').nth(1).unwrap();
    for log in [gateway.log(), service.log()] {
        assert!(log.contains("stopped"), "{log}");
        for secret in [&account.app_secret, &account.token, &account.aes_key, NOTIFY_KEY, secret, "\u{1b}"] {
            assert!(!log.contains(secret), "{log}");
        }
    }
}
