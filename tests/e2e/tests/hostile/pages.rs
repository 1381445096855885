//! At the browsers' door: handshakes that may not be, pages that misbehave, and keys that open nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use demo::{NOTIFY_KEY, Stack};
use e2e::page::{Heard, Page};
use e2e::raw::{End, Raw, UPGRADE, masked, metric, metric_becomes};
use serde_json::{Value, json};

use super::{AT_ONCE, client, log_in, log_in_at_once, stack, stack_with, state_of};

#[tokio::test]
async fn a_handshake_that_may_not_be_is_refused_by_its_status() {
    let stack = stack().await;
    let without = |name: &str| {
        let lines = UPGRADE.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with(name)).collect::<String>()
    };
    let and = |more: &str| format!("{UPGRADE}{more}\r\n");
    let cookies = format!("Cookie: {}", "c".repeat(20_000));
    let many_lines: String = (0..100).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let cases = [
        ("GET /ws", and("Origin: https://evil.example"), 403),
        ("GET /ws", and("Origin: http://localhost.evil.example"), 403),
        ("GET /ws", and("Origin: null"), 403),
        ("GET /ws", and("Origin: "), 403),
        ("GET /", and("Origin: null"), 403),
        ("GET /ws", without("Sec-WebSocket-Version"), 426),
        ("GET /ws", without("Sec-WebSocket-Version") + "Sec-WebSocket-Version: 8\r\n", 426),
        ("GET /ws", "Host: localhost\r\n".to_owned(), 426),
        ("GET /ws", without("Sec-WebSocket-Key"), 400),
        ("GET /ws", without("Sec-WebSocket-Key") + "Sec-WebSocket-Key: short\r\n", 400),
        ("GET /ws", without("Connection"), 400),
        ("GET /ws", and("Origin: https://localhost\r\nOrigin: https://localhost"), 400),
        // What a page asks whose WebSocket has failed.
        ("POST /ws", UPGRADE.to_owned(), 426),
        ("POST /ws", "Host: localhost\r\nOrigin: http://evil.example\r\n".to_owned(), 403),
        ("PUT /ws", UPGRADE.to_owned(), 405),
        ("GET /ws?subprotocol=offered", UPGRADE.to_owned(), 400),
        ("POST /", "Host: x\r\nContent-Length: 2\r\n\r\nhi".to_owned(), 405),
        ("HEAD /ws", UPGRADE.to_owned(), 426),
        ("GET /ws", and(&cookies), 431),
        ("GET /ws", and(&many_lines), 431),
        ("GET /admin", "Host: localhost\r\n".to_owned(), 404),
        ("GET /metrics", "Host: localhost\r\n".to_owned(), 404),
        ("GET /admin", UPGRADE.to_owned(), 404),
        ("GET /../login.js", "Host: localhost\r\n".to_owned(), 404),
    ];
    for (line, headers, status) in cases {
        let mut raw = Raw::connect(stack.gateway.browsers).await;
        raw.write(format!("{line} HTTP/1.1\r\n{headers}\r\n")).await;
        let head = raw.head().await.expect("the refusal is read");
        let shown = &headers[..headers.len().min(300)];
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{line} {shown}: {head}");
        assert!(!head.contains("evil"), "{head}");
        // A script of any origin may read why its WebSocket has failed, and no other answer.
        let is_told = head.contains("\r\naccess-control-allow-origin: *\r\n");
        assert_eq!(is_told, line == "POST /ws", "{line}: {head}");
        if status == 426 {
            assert!(head.contains("\r\nsec-websocket-version: 13\r\n"), "{head}");
        }
    }
    // What is wrong with a query is told after the upgrade, where scripts can read it.
    for path in ["/ws?site=a&request=b", "/ws?site=a&site=b", "/ws?nonce=a&nonce=b"] {
        let mut page = Page::offer(stack.gateway.browsers, path, &["saoma.v1"]).await.unwrap();
        assert_eq!(page.expect("error").await["code"], "bad_request", "{path}");
        assert_eq!(page.closed().await, 1008, "{path}");
    }
    assert_eq!(metric(stack.gateway.admin, "gateway_logins_total").await, 0);
    // The same handshakes with what was wrong put right.
    let own = Raw::connect(stack.gateway.browsers).await;
    let opened = own.upgrade("/ws?site=a", &[("Origin", "https://localhost")]).await;
    opened.unwrap().expect("qrcode_url").await;
}

#[tokio::test]
async fn what_follows_a_request_at_once_is_read_as_what_it_is() {
    let stack = stack().await;
    let mut raw = Raw::connect(stack.gateway.browsers).await;
    raw.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03\x01garbage\r\n\r\n").await;
    assert_eq!(raw.reply().await.unwrap().status, 200);
    assert_eq!(raw.reply().await.unwrap().status, 400);
    assert_eq!(raw.ended().await, End::Closed);

    // A second request behind an upgrade is no WebSocket frame.
    let mut raw = Raw::connect(stack.gateway.browsers).await;
    let smuggled = "GET /login.js HTTP/1.1\r\nHost: x\r\n\r\n";
    raw.write(format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n{smuggled}")).await;
    assert_eq!(raw.reply().await.unwrap().status, 101);
    assert_eq!(raw.closed().await, 1002);

    // A frame behind it is one.
    let mut raw = Raw::connect(stack.gateway.browsers).await;
    let mut bytes = format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n").into_bytes();
    bytes.extend(masked(8, &[0x03, 0xe8]));
    raw.write(bytes).await;
    assert_eq!(raw.reply().await.unwrap().status, 101);
    assert_eq!(raw.closed().await, 1000);
    assert_eq!(raw.ended().await, End::Closed);
    log_in(&stack).await;
}

#[tokio::test]
async fn a_page_that_breaks_the_rules_is_told_so_and_loses_its_own_socket() {
    let stack = stack().await;
    let mut witness = Page::open(stack.gateway.browsers).await;
    let code = witness.code().await;
    let rubbish: Vec<u8> = (0..60).flat_map(|_| masked(1, b"{\"message_type\":\"scan_success\"}")).collect();
    let pings: Vec<u8> = (0..60).flat_map(|_| masked(9, b"ping")).collect();
    let fragments: Vec<u8> = std::iter::once((1, 2000))
        .chain(std::iter::repeat_n((0, 2000), 4))
        .flat_map(|(opcode, length)| {
            let mut frame = masked(opcode, &vec![b'x'; length]);
            frame[0] &= 0x7f;
            frame
        })
        .collect();
    let huge = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4], &[7; 100_000]].concat();
    for (fault, bytes, close) in [
        ("a flood of rubbish", rubbish, 4008),
        ("a flood of pings", pings, 4008),
        ("a message of 4,097 bytes", masked(1, &[b'x'; 4097]), 1009),
        ("a message of 60,000 bytes", masked(2, &[b'x'; 60_000]), 1009),
        ("a frame of 16 EiB", huge, 1009),
        ("fragments of 10,000 bytes", fragments, 1009),
        ("a frame without a mask", b"\x81\x02hi".to_vec(), 1002),
        ("a reserved opcode", masked(3, b""), 1002),
        ("a reserved bit", vec![0xc1, 0x80, 0, 0, 0, 0], 1002),
        ("a ping of 126 bytes", masked(9, &[b'x'; 126]), 1002),
        ("a continuation of nothing", masked(0, b"x"), 1002),
        ("bad UTF-8", masked(1, b"\xff\xfe"), 1007),
    ] {
        let raw = Raw::connect(stack.gateway.browsers).await;
        let mut raw = raw.upgrade("/ws", &[]).await.unwrap();
        raw.expect("qrcode_url").await;
        raw.write(&bytes).await;
        assert_eq!(raw.closed().await, close, "{fault}");
        raw.write(masked(8, &close.to_be_bytes())).await;
        assert_eq!(raw.ended().await, End::Closed, "{fault}: no reset");
    }
    // Within the limits, rubbish is only not listened to.
    let raw = Raw::connect(stack.gateway.browsers).await;
    let mut raw = raw.upgrade("/ws", &[]).await.unwrap();
    raw.expect("qrcode_url").await;
    for said in
        ["", "null", "[[[[", "{\"message_type\":7}", "<script>", "{\"message_type\":\"scan_success\"}"]
    {
        raw.write(masked(1, said.as_bytes())).await;
    }
    raw.write(masked(2, &[0; 4096])).await;
    raw.write(masked(1, b"{\"message_type\":\"refresh\"}")).await;
    raw.expect("qrcode_url").await;

    let openid = stack.wechat.invent_person("", true).openid;
    stack.wechat.scan(&openid, &code.content).await.unwrap();
    witness.expect("scanned").await;
    witness.expect("scan_success").await;
}

#[tokio::test]
async fn idle_connections_keep_no_page_from_logging_in() {
    let stack = stack().await;
    let mut idle = Vec::new();
    for number in 0..1000 {
        let mut raw = Raw::connect(stack.gateway.browsers).await;
        if number % 2 == 0 {
            raw.write("GET /ws HTTP/1.1\r\nHost: localh").await;
        }
        idle.push(raw);
    }
    log_in_at_once(&stack, "beside 1,000 idle connections").await;
    let began = Instant::now();
    for raw in &mut idle {
        raw.ended().await;
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(7), "they are let go of: {took:?}");
}

/// A gateway beside the stack's own, whose codes have a URL of 28 KiB: a few of them fill a connection.
fn wordy_gateway(stack: &Stack) -> ws_gateway::BoundAddresses {
    let account = stack.wechat.settings();
    let flags = [
        "--gateway-listen=127.0.0.1:0".to_owned(),
        "--gateway-notify-listen=127.0.0.1:0".to_owned(),
        "--gateway-admin-listen=127.0.0.1:0".to_owned(),
        format!("--wechat-app-id={}", account.app_id),
        format!("--wechat-api-url=http://{}", stack.wechat_address),
        format!("--wechat-qr-url=http://{}", "x".repeat(28 * 1024)),
    ];
    let secrets = ws_gateway::config::Secrets {
        notify_key: Some(NOTIFY_KEY.into()),
        wechat_app_secret: Some(account.app_secret.clone().into()),
        ..ws_gateway::config::Secrets::default()
    };
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let config = ws_gateway::config::Config::of(&flags, secrets).unwrap();
    let server = ws_gateway::Server::bind(config).unwrap();
    let addresses = server.addresses().unwrap();
    tokio::spawn(server.run(std::future::pending()));
    addresses
}

#[tokio::test]
async fn a_page_that_never_reads_loses_its_own_socket_only() {
    let stack = stack().await;
    let gateway = wordy_gateway(&stack);
    let narrow = Raw::connect_narrow(gateway.browsers).await;
    let mut deaf = narrow.upgrade("/ws", &[]).await.unwrap();
    for code in 1..=4 {
        // As many as a page may have at once, or fewer where they fill the connection already.
        let counted = metric_becomes(gateway.admin, "gateway_logins_total", code);
        if tokio::time::timeout(AT_ONCE, counted).await.is_err() {
            break;
        }
        deaf.write(masked(1, b"{\"message_type\":\"refresh\"}")).await;
    }

    let began = Instant::now();
    let mut client = Raw::connect(gateway.notices).await;
    client.prove().await;
    let mut page = Page::open(gateway.browsers).await;
    let scene = page.code().await.scene();
    let scan = json!({"type": "scan", "id": "1", "scene": scene});
    assert_eq!(client.notify(&scan).await["status"], "delivered");
    page.expect("scan_success").await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert_eq!(page.closed().await, 4010);
    drop(page);

    metric_becomes(gateway.admin, "gateway_pages", 1).await;
    metric_becomes(gateway.admin, "gateway_pages", 0).await;
    // Before its heartbeat is due: because of what it did not read.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    drop(deaf);
}

/// The address that the gateway believes a page of these headers to have.
async fn address_of(stack: &Stack, forwarded: &[&str]) -> String {
    let headers: Vec<_> = forwarded.iter().map(|&value| ("X-Forwarded-For", value)).collect();
    let raw = Raw::connect(stack.gateway.browsers).await;
    let mut page = raw.upgrade("/ws", &headers).await.unwrap();
    let resume = page.expect("qrcode_url").await["resume"].as_str().unwrap().to_owned();
    let scene = resume.split('.').next().unwrap();
    let claim = json!({"type": "claim", "id": "1", "scene": scene, "by": "somebody"});
    let answer = client(stack).await.notify(&claim).await;
    assert_eq!(answer["status"], "delivered");
    answer["context"]["ip"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_forwarded_address_is_believed_from_trusted_proxies_only() {
    let strict = stack().await;
    assert_eq!(address_of(&strict, &["203.0.113.7"]).await, "127.0.0.1");
    assert_eq!(address_of(&strict, &["<script>"]).await, "127.0.0.1");
    let trusting = stack_with(&["--gateway-trusted-proxies=127.0.0.0/8,10.0.0.0/8"]).await;
    for (forwarded, believed) in [
        (vec!["203.0.113.7"], "203.0.113.7"),
        (vec!["198.51.100.1, 203.0.113.7, 10.0.0.9"], "203.0.113.7"),
        (vec!["198.51.100.1", "203.0.113.7, 10.0.0.9"], "203.0.113.7"),
        (vec!["198.51.100.1, <script>"], "127.0.0.1"),
        (vec![], "127.0.0.1"),
    ] {
        assert_eq!(address_of(&trusting, &forwarded).await, believed, "{forwarded:?}");
    }
}

#[tokio::test]
async fn a_full_gateway_says_so_and_works_on() {
    let stack = stack_with(&["--gateway-max-pages=2"]).await;
    let browsers = stack.gateway.browsers;
    let mut first = Page::open(browsers).await;
    let mut second = Page::open(browsers).await;
    let code = first.code().await;
    second.code().await;

    let third = Raw::connect(browsers).await;
    let refusal = third.upgrade("/ws", &[]).await.err().expect("the third page is refused");
    assert_eq!(refusal.status, 503);
    assert!(refusal.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    let page = Raw::ask(browsers, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"").await;
    assert_eq!(page.status, 503);
    assert_eq!(metric(stack.gateway.admin, "gateway_refused_total").await, 2);
    for admin in [stack.gateway.admin, stack.callback.admin] {
        let head = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert_eq!(Raw::ask(admin, head, b"").await.status, 200);
    }

    let openid = stack.wechat.invent_person("", true).openid;
    let delivery = stack.wechat.scan(&openid, &code.content).await.unwrap();
    assert!(delivery.reply.is_some(), "{delivery:?}");
    first.expect("scanned").await;
    first.expect("scan_success").await;
    assert_eq!(first.closed().await, 4010);
    drop(first);
    assert_eq!(admitted(browsers).await, 101, "a page that leaves makes room");
}

/// Tries to open a page until there is room, as a page does.
async fn admitted(browsers: SocketAddr) -> u16 {
    let began = Instant::now();
    loop {
        match Raw::connect(browsers).await.upgrade("/ws", &[]).await {
            Ok(_) => return 101,
            Err(refusal) if refusal.status == 503 && began.elapsed() < AT_ONCE * 3 => {}
            Err(refusal) => return refusal.status,
        }
    }
}

#[tokio::test]
async fn only_the_resume_key_opens_a_login_and_only_to_its_own_origin() {
    let stack = stack_with(&["--gateway-allowed-origins=https://a.example,https://b.example"]).await;
    let browsers = stack.gateway.browsers;
    let open = async |origin: Option<&str>, key: Option<&str>| {
        let protocols = key.map_or("saoma.v1".to_owned(), |key| format!("saoma.v1, resume.{key}"));
        let mut headers = vec![("Sec-WebSocket-Protocol", protocols.as_str())];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        Raw::connect(browsers).await.upgrade("/ws", &headers).await.unwrap()
    };
    let own = Some("https://a.example");
    let key_of = |said: &Value| said["resume"].as_str().unwrap().to_owned();
    let mut page = open(own, None).await;
    let shown = page.expect("qrcode_url").await;
    let key = key_of(&shown);
    let mut other = open(own, None).await;
    let others = key_of(&other.expect("qrcode_url").await);
    let (scene, secret) = key.split_once('.').unwrap();
    let (others_scene, others_secret) = others.split_once('.').unwrap();

    for (fault, key, close) in [
        ("another's secret", format!("{scene}.{others_secret}"), 4001),
        ("another's scene", format!("{others_scene}.{secret}"), 4001),
        ("a wrong secret", format!("{scene}.{}", "A".repeat(secret.len())), 4001),
        ("the scene alone", scene.to_owned(), 4001),
        ("no secret", format!("{scene}."), 4001),
        ("an unknown login", format!("{}.{secret}", "A".repeat(22)), 4001),
        ("rubbish", "rubbish".to_owned(), 4001),
    ] {
        let mut thief = open(own, Some(&key)).await;
        assert_eq!(thief.hear().await, Heard::Closed(close), "{fault}: closed before anything is said");
    }
    for origin in [Some("https://b.example"), None] {
        let mut thief = open(origin, Some(&key)).await;
        assert_eq!(thief.hear().await, Heard::Closed(1008), "{origin:?}");
    }

    // None of them has taken the page's seat; its own key does.
    let mut newer = open(own, Some(&key)).await;
    let again = newer.expect("qrcode_url").await;
    assert_eq!((key_of(&again), &again["content"]), (key.clone(), &shown["content"]));
    assert_eq!(page.hear().await, Heard::Closed(4002), "and the older socket hears nothing but that");

    let openid = stack.wechat.invent_person("", true).openid;
    stack.wechat.scan(&openid, shown["content"].as_str().unwrap()).await.unwrap();
    newer.expect("scanned").await;
    newer.expect("scan_success").await;
    assert_eq!(newer.closed().await, 4010);
    // An end is told again to the key alone.
    let mut back = open(own, Some(&key)).await;
    back.expect("qrcode_url").await;
    back.expect("scan_success").await;
    let mut thief = open(own, Some(&format!("{scene}.{others_secret}"))).await;
    assert_eq!(thief.hear().await, Heard::Closed(4001));
    assert_eq!(state_of(&stack, others_scene).await, "waiting");
}
