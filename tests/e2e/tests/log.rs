//! A log that nobody reads: behind a log driver that hangs, a pager that was stopped, a terminal on hold. It costs
//! lines and nothing else.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use e2e::fleet::{Fleet, Node, Options};
use e2e::page::{PATIENCE, Page};
use e2e::programs::{Program, output, text};
use e2e::raw::{Raw, UPGRADE, metric};
use tokio::task::block_in_place;

/// A gateway and a callback service that log all they can.
async fn talkative() -> Fleet {
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    for (node, drain) in
        [(&mut fleet.gateways[0], "GATEWAY_DRAIN_TIME"), (&mut fleet.callbacks[0], "CALLBACK_DRAIN_TIME")]
    {
        node.set("RUST_LOG", "debug".to_owned());
        node.set(drain, "2s".to_owned());
        node.start();
    }
    fleet.until_ready().await;
    fleet
}

/// Makes a program log until it has dropped lines; gives how many.
async fn overflow(node: &Node, dropped: &str) -> u64 {
    node.program().read_log(false);
    let overflown = async {
        loop {
            be_refused_often(node.public).await;
            match metric(node.admin, dropped).await {
                0 => {}
                lines => return lines,
            }
        }
    };
    tokio::time::timeout(PATIENCE, overflown).await.expect("the program goes on while nobody reads its log")
}

/// Comes with five hundred requests that are refused, whichever the door is.
async fn be_refused_often(door: SocketAddr) {
    let mut raw = Raw::connect(door).await;
    for _ in 0..10 {
        let handshake = format!("GET /ws HTTP/1.1\r\n{UPGRADE}Origin: http://elsewhere.example\r\n\r\n");
        let push = "GET /wechat?signature=forged&timestamp=1&nonce=1&echostr=1 HTTP/1.1\r\nHost: x\r\n\r\n";
        raw.write([handshake.as_str(), push].concat().repeat(25)).await;
        for _ in 0..50 {
            let status = raw.reply().await.expect("an answer").status;
            assert!([403, 404].contains(&status), "{status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_holds_nothing_up() {
    let fleet = talkative().await;
    let (gateway, callback) = (&fleet.gateways[0], &fleet.callbacks[0]);
    overflow(gateway, "gateway_log_lines_dropped_total").await;
    overflow(callback, "callback_log_lines_dropped_total").await;

    let mut page = Page::open(gateway.public).await;
    let code = page.code().await;
    let openid = fleet.wechat.invent_person("阿狸", true).openid;
    let began = Instant::now();
    let delivery = fleet.wechat.scan(&openid, &code.content).await.unwrap();
    assert!(delivery.reply.as_deref().is_some_and(|words| words.contains("欢迎回来")), "{delivery:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    page.expect("scanned").await;
    page.expect("scan_success").await;
    for node in [gateway, callback] {
        let alive = Raw::ask(node.admin, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"");
        assert_eq!(alive.await.status, 200);
    }

    let Fleet { gateways, callbacks, wechat: _wechat, pushes: _pushes, .. } = fleet;
    for mut node in callbacks.into_iter().chain(gateways) {
        let ended = block_in_place(|| node.program_mut().terminate_within(PATIENCE));
        assert!(ended.expect("it ends when it is asked to").success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_again_is_told_what_was_lost() {
    let fleet = talkative().await;
    let gateway = &fleet.gateways[0];
    overflow(gateway, "gateway_log_lines_dropped_total").await;
    gateway.program().read_log(true);
    let told = async {
        while !gateway.program().log().contains("log lines were dropped") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the log says so");
}

/// What a new operator gets wrong first is said where he looks, with the cure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_setting_of_the_console_is_told_in_the_log() {
    let fleet = Fleet::start(Options::one_of_each()).await;
    let callback = &fleet.callbacks[0];
    let envelope = fleet.wechat.seal("<xml/>", "");
    let query: Vec<String> = envelope.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let query = query.join("&");
    for (request, body, told) in [
        (
            format!("GET /WeChat?{query}&echostr=1"),
            "",
            "end the URL of WeChat's message push settings with /wechat",
        ),
        (
            format!("POST /wechat?{query}"),
            r#"{"ToUserName": "gh_1", "Encrypt": "x"}"#,
            "set the data format (数据格式) of WeChat's message push settings to XML",
        ),
    ] {
        let length = body.len();
        let head =
            format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        let reply = Raw::ask(callback.public, &head, body.as_bytes()).await;
        assert!([400, 404].contains(&reply.status), "{reply:?}");
        logged(callback, told).await;
    }
}

/// Event names are compared exactly; one that is nearly a scan's is told, because its person waits for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_under_another_name_is_told_in_the_log() {
    let fleet = Fleet::start(Options::one_of_each()).await;
    let callback = &fleet.callbacks[0];
    let openid = fleet.wechat.invent_person("", true).openid;
    for (event, key) in
        [("scan", "12345"), ("VIEW", "AAAAAAAAAAAAAAAAAAAAAA"), ("scan", "qrscene_AAAAAAAAAAAAAAAAAAAAAA")]
    {
        assert!(!callback.program().log().contains("logs nobody in"), "{event} {key}");
        let delivery = fleet.wechat.push_event(&openid, event, key).await;
        assert!(delivery.is_ok() && delivery.reply.is_none(), "{delivery:?}");
    }
    logged(callback, "does something between WeChat and here change it?").await;
}

/// Waits for a line of a program's log.
async fn logged(node: &Node, line: &str) {
    let told = async {
        while !node.program().log().contains(line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("the log does not say {line:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_get_one_line_for_each_reason_however_often_they_come() {
    let mut fleet = Fleet::start(Options::one_of_each()).await;
    let (gateway, callback) = (&fleet.gateways[0], &fleet.callbacks[0]);
    be_refused_often(gateway.public).await;
    be_refused_often(callback.public).await;
    for client in ["callback", "callback", "stranger", "another stranger"] {
        let mut wrong = Raw::connect(gateway.notices).await;
        let proof = wrong.proof(client, "a key that is long enough and wrong").await;
        wrong.write(proof).await;
        assert_eq!(wrong.message().await.unwrap()["code"], "unauthorized");
    }
    for _ in 0..20 {
        let mut wrong = Raw::connect(gateway.notices).await;
        wrong.write([0, 0, 0, 2, b'n', b'o']).await;
        wrong.message().await.unwrap();
        assert_eq!(wrong.message().await.unwrap()["code"], "bad_json");
    }
    assert_eq!(gateway.metric("gateway_pages_refused_total{reason=\"origin\"}").await, 250);
    assert_eq!(gateway.metric("gateway_unauthorized_total").await, 24);
    assert_eq!(callback.metric("callback_refused_total{stage=\"signature\"}").await, 250);

    let mut log = String::new();
    for node in [&mut fleet.callbacks[0], &mut fleet.gateways[0]] {
        let program = node.program_mut();
        assert!(block_in_place(|| program.terminate()).success());
        log += &program.log();
    }
    for (line, times) in [
        ("a page was refused", 1),
        ("a push was refused", 1),
        // One for the client that there is, and one for all that there are not.
        ("a proof is refused", 2),
        // Without a proof that holds, and without JSON.
        ("a connection to the internal port was refused", 2),
    ] {
        assert_eq!(log.matches(line).count(), times, "{line}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_refused_behind_a_proxy_is_named_and_the_proxy_is_not() {
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    fleet.gateways[0].set("GATEWAY_TRUSTED_PROXIES", "127.0.0.0/8".to_owned());
    fleet.callbacks[0].set("CALLBACK_TRUSTED_PROXIES", "127.0.0.0/8".to_owned());
    let forwarded = "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nConnection: close\r\n";
    let push = format!("GET /wechat?signature=x&timestamp=1&nonce=1 HTTP/1.1\r\nHost: x\r\n{forwarded}\r\n");
    let page = format!(
        "GET /ws HTTP/1.1\r\n{UPGRADE}Origin: http://elsewhere.example\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
    );
    for (node, request, line) in [
        (&mut fleet.callbacks[0], push, "a push was refused"),
        (&mut fleet.gateways[0], page, "a page was refused"),
    ] {
        node.start();
        assert_eq!(Raw::ask(node.public, &request, b"").await.status, 403);
        let program = node.program_mut();
        assert!(block_in_place(|| program.terminate()).success());
        let log = program.log();
        let told = log.lines().find(|told| told.contains(line)).unwrap_or_else(|| panic!("{log}"));
        assert!(told.contains(r#""from":"203.0.113.9""#) && !told.contains("127.0.0.1"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_health_check_at_wechats_door_is_no_wrong_token() {
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    let node = &mut fleet.callbacks[0];
    node.start();
    for request in ["GET /wechat", "GET /wechat?", "GET /wechat?from=monitor", "HEAD /wechat", "GET /wechat"]
    {
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let status = Raw::ask(node.public, &request, b"").await.status;
        assert_eq!(status, if request.starts_with("HEAD") { 200 } else { 403 }, "{request}");
    }
    assert_eq!(node.metric("callback_refused_total{stage=\"no_parameters\"}").await, 4);
    // A push that has lost its query on the way is another thing.
    let push = "POST /wechat HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nConnection: close\r\n\r\n";
    assert_eq!(Raw::ask(node.public, push, b"<xml/>").await.status, 403);
    assert_eq!(node.metric("callback_refused_total{stage=\"signature\"}").await, 1);
    let program = node.program_mut();
    assert!(block_in_place(|| program.terminate()).success());
    let log = program.log();
    assert_eq!(log.matches("a request without WeChat's parameters").count(), 1, "{log}");
    assert!(!log.contains("WECHAT_TOKEN") && !log.contains("a push was refused"), "{log}");
    assert_eq!(log.matches("a proxy that drops the query").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_protocol_header_is_told_with_its_cure() {
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    for node in [&mut fleet.callbacks[0], &mut fleet.gateways[0]] {
        node.start();
        let request = b"GET /wechat HTTP/1.1\r\nHost: x\r\n\r\n";
        for header in [
            &b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n"[..],
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\x0a\0\0\x01\x12\x67\0\x50",
        ] {
            let mut raw = Raw::connect(node.public).await;
            raw.write([header, request].concat()).await;
            assert_eq!(raw.reply().await.unwrap().status, 400);
        }
        let program = node.program_mut();
        assert!(block_in_place(|| program.terminate()).success());
        let log = program.log();
        assert_eq!(log.matches("begins with a PROXY protocol header").count(), 1, "{log}");
    }
}

#[test]
fn the_last_line_is_written_before_the_end() {
    let store = tempfile::tempdir().unwrap();
    let mut settings = HashMap::from([
        ("WECHAT_APP_ID", "wx0123456789abcdef".to_owned()),
        ("WECHAT_APP_SECRET", "secret".to_owned()),
        ("WECHAT_TOKEN", "token".to_owned()),
        ("WECHAT_AES_KEY", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".to_owned()),
        ("NOTIFY_KEY", "0123456789abcdef0123456789abcdef".to_owned()),
        ("CALLBACK_LISTEN", "127.0.0.1:0".to_owned()),
        ("CALLBACK_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("CALLBACK_STORE", format!("sqlite:{}", store.path().join("callback.db").display())),
    ]);
    let first = Program::start("callback-service", &settings);
    settings.insert("CALLBACK_LISTEN", first.address("pushes").to_string());
    // It ends right after it has found the port taken, which it says in its only line.
    for _ in 0..10 {
        let said = text(&output("callback-service", &settings, &[]).stderr);
        assert!(said.contains("is another program using the port?"), "{said:?}");
    }
}
