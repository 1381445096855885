//! The live view's port: who may look, how many, and that whoever looks disturbs nobody.

use std::time::Duration;

use e2e::fleet::{Fleet, Node, Options};
use e2e::page::{PATIENCE, Page};
use e2e::raw::{Raw, Reply};

use crate::nginx::Nginx;

const TOKEN: &str = "a token that nobody guesses";

/// Viewers at once.
const MOST_VIEWERS: usize = 8;

/// Wrong tokens of an address that are answered at once.
const GUESSES: usize = 10;

/// Asks for a path, with these header lines more.
async fn get(node: &Node, path: &str, more: &str) -> Reply {
    let host = format!("localhost:{}", node.admin.port());
    get_as(node, path, &host, more).await
}

async fn get_as(node: &Node, path: &str, host: &str, more: &str) -> Reply {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
    Raw::ask(node.admin, &head, b"").await
}

async fn post(node: &Node, path: &str, form: &str, more: &str) -> Reply {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost:{}\r\n{more}Connection: close\r\nContent-Length: {}\r\n\r\n",
        node.admin.port(),
        form.len()
    );
    Raw::ask(node.admin, &head, form.as_bytes()).await
}

/// Looks at the events, and gives the first one.
async fn look(node: &Node, more: &str) -> (Raw, String) {
    let mut raw = Raw::connect(node.admin).await;
    raw.write(format!("GET /events?lang=en HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")).await;
    let head = raw.head().await.unwrap();
    assert!(head.starts_with("http/1.1 200 ") && head.contains("text/event-stream"), "{head}");
    let mut event = Vec::new();
    while !(event.ends_with(b"\n\n\r\n") && event.windows(5).any(|part| part == b"data:")) {
        event.extend(raw.read(1).await.unwrap());
    }
    (raw, String::from_utf8(event).unwrap())
}

/// Whatever a view shows, the port does its other work.
async fn serves_others(node: &Node) {
    for path in ["/livez", "/readyz", "/metrics"] {
        let reply = get_as(node, path, "x", "").await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_the_view_is_for_this_machine_and_read_only() {
    let fleet = Fleet::start(Options::one_of_each()).await;
    for node in [&fleet.gateways[0], &fleet.callbacks[0]] {
        let page = get(node, "/?lang=en", "").await;
        assert!(page.status == 200 && page.body.contains("<table"), "{page:?}");
        assert!(page.head.contains("default-src 'none'; script-src 'self'"), "{page:?}");
        for (host, more) in [
            ("rebound.example", ""),
            ("192.0.2.1", ""),
            ("[::1].evil.example", ""),
            ("localhost", "X-Forwarded-For: 192.0.2.1\r\n"),
            ("localhost", "X-Real-IP: 192.0.2.1\r\n"),
            ("localhost", "Via: 1.1 proxy\r\n"),
        ] {
            for path in ["/", "/events", "/live.js"] {
                let refused = get_as(node, path, host, more).await;
                assert_eq!(refused.status, 403, "{host} {more} {path}");
                assert!(refused.body.contains("_ADMIN_TOKEN"), "{refused:?}");
            }
        }
        let other_site = get(node, "/events", "Sec-Fetch-Site: cross-site\r\n").await;
        assert_eq!(other_site.status, 403);
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(post(node, "/end", &format!("login={id}"), "").await.status, 403);
        assert_eq!(get(node, "/nothing", "").await.status, 404);
        assert_eq!(post(node, "/", "", "").await.status, 405);
        assert_eq!(get(node, "/end", "").await.status, 405);
        serves_others(node).await;
    }
}

/// What the log has said since it was read last, once it has said this: it is written by a thread of its own.
async fn says(node: &Node, words: &str) -> String {
    let mut log = String::new();
    let said = async {
        while !log.contains(words) {
            log += &node.program().log();
            log.push('\n');
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let is_said = tokio::time::timeout(PATIENCE, said).await.is_ok();
    assert!(is_said, "{words:?} is missing in: {log}");
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_this_machine_it_takes_a_token_and_says_so() {
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    let port = fleet.gateways[0].admin.port();
    let node = &mut fleet.gateways[0];
    node.set("GATEWAY_ADMIN_LISTEN", format!("0.0.0.0:{port}"));
    node.start();
    for path in ["/", "/events"] {
        let refused = get(node, path, "").await;
        assert_eq!(refused.status, 403);
        assert!(refused.body.contains("set GATEWAY_ADMIN_TOKEN to a token"), "{refused:?}");
    }
    serves_others(node).await;

    node.kill();
    node.set("GATEWAY_ADMIN_TOKEN", TOKEN.to_owned());
    node.start();
    let asked = get_as(node, "/", "gateway.example", "Accept-Language: en\r\n").await;
    assert!(asked.status == 401 && asked.body.contains("name=\"token\""), "{asked:?}");
    assert_eq!(get(node, "/events", "").await.status, 401);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(get_as(node, "/", "gateway.example", &bearer).await.status, 200);
    drop(look(node, &bearer).await);

    // A form of another site's page is not taken, whatever it knows.
    let form = format!("token={}", TOKEN.replace(' ', "+"));
    assert_eq!(post(node, "/enter", &form, "Origin: http://evil.example\r\n").await.status, 403);
    let entered = post(node, "/enter", &form, "").await;
    let cookie = entered.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.ends_with("; path=/; max-age=43200; httponly; samesite=strict"), "{cookie}");
    let session = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let page = get(node, "/", &session).await;
    assert!(page.status == 200 && !page.body.contains(TOKEN), "{page:?}");

    // It takes the form of one's own page to end a login.
    let mut shown = Page::open(node.public).await;
    let scene = shown.code().await.scene();
    let id = protocol::LoginId::of(scene.parse::<protocol::Scene>().unwrap()).to_string();
    let own = page.body.split("name=\"form\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    for (form, more, status) in [
        (format!("login={id}"), session.as_str(), 403),
        (format!("login={id}&form=0000"), &session, 403),
        (format!("login={id}&form={own}"), "", 403),
        (format!("login={scene}&form={own}"), &session, 403),
        (format!("login={id}&form={own}"), &session, 303),
    ] {
        let reply = post(node, "/end", &form, more).await;
        assert_eq!(reply.status, status, "{form}: {reply:?}");
    }
    shown.expect("expired").await;
    let log = says(node, "wanted to end a login").await;
    let line = log.lines().find(|line| line.contains("wanted to end a login")).unwrap();
    assert!(line.contains(&id) && line.contains("127.0.0.1") && !log.contains(TOKEN), "{log}");

    for _ in 0..GUESSES {
        assert_eq!(post(node, "/enter", "token=guess", "").await.status, 401);
    }
    let limited = post(node, "/enter", "token=guess", "").await;
    assert!(limited.status == 429 && limited.header("retry-after").is_some(), "{limited:?}");
    assert_eq!(post(node, "/enter", &form, "").await.status, 303, "nobody locks out who has the token");
    assert_eq!(get(node, "/", &bearer).await.status, 200);
    assert_eq!(get(node, "/", &session).await.status, 200, "whoever is in stays in");
    serves_others(node).await;
    assert!(!node.program().log().contains(TOKEN));
}

/// The answer to a request that comes through a proxy.
async fn through(nginx: &Nginx, request: &str, more: &str, body: &str) -> Reply {
    let head = format!(
        "{request} HTTP/1.1\r\nHost: view.example\r\n{more}Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Raw::ask(nginx.listens, &head, body.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_no_nginx_by_its_defaults_opens_the_view_to_everybody() {
    let fleet = Fleet::start(Options::one_of_each()).await;
    for node in [&fleet.gateways[0], &fleet.callbacks[0]] {
        for lines in [
            "",
            "proxy_http_version 1.1; proxy_set_header X-Real-IP $remote_addr;",
            "proxy_http_version 1.1; proxy_set_header X-Forwarded-Proto $scheme;",
            "proxy_http_version 1.1; proxy_set_header Host $http_host;",
        ] {
            let nginx = Nginx::start(node.admin, lines).await;
            for path in ["/", "/events", "/live.js"] {
                let refused = through(&nginx, &format!("GET {path}"), "", "").await;
                assert_eq!(refused.status, 403, "{lines} {path}: {refused:?}");
            }
            assert_eq!(through(&nginx, "GET /livez", "", "").await.status, 200, "{lines}");
        }
        assert_eq!(get(node, "/", "").await.status, 200, "this machine still looks");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_whoever_has_the_token_enters_and_others_are_told_apart() {
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    let node = &mut fleet.gateways[0];
    node.set("GATEWAY_ADMIN_TOKEN", TOKEN.to_owned());
    node.set("GATEWAY_TRUSTED_PROXIES", "127.0.0.1".to_owned());
    node.start();
    // Its upstream is the Host that it names.
    let nginx =
        Nginx::start(node.admin, "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;").await;
    let at = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    let (stranger, operator) = (at("192.0.2.7"), at("198.51.100.9"));
    for _ in 0..GUESSES {
        assert_eq!(through(&nginx, "POST /enter", &stranger, "token=guess").await.status, 401);
    }
    assert_eq!(through(&nginx, "POST /enter", &stranger, "token=guess").await.status, 429);
    assert_eq!(through(&nginx, "POST /enter", &operator, "token=guess").await.status, 401);

    let form = format!("token={}", TOKEN.replace(' ', "+"));
    let own = format!("{operator}Origin: https://view.example\r\n");
    // A browser that says nothing more knows no better than its Origin.
    let refused = through(&nginx, "POST /enter", &own, &form).await;
    assert!(refused.status == 403 && refused.body.contains("proxy_set_header Host"), "{refused:?}");
    let entered =
        through(&nginx, "POST /enter", &format!("{own}Sec-Fetch-Site: same-origin\r\n"), &form).await;
    assert_eq!(entered.status, 303, "{entered:?}");
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; secure"), "{cookie}");
    let other = through(&nginx, "POST /enter", &format!("{own}Sec-Fetch-Site: cross-site\r\n"), &form).await;
    assert_eq!(other.status, 403);
    let log = says(node, "somebody with the token").await;
    let line = log.lines().find(|line| line.contains("somebody with the token")).unwrap();
    assert!(line.contains("198.51.100.9"), "{line}");

    let bearer = format!("{operator}Authorization: Bearer {TOKEN}\r\n");
    let mut events = Raw::connect(nginx.listens).await;
    events.write(format!("GET /events?lang=en HTTP/1.1\r\nHost: view.example\r\n{bearer}\r\n")).await;
    assert!(events.head().await.unwrap().starts_with("http/1.1 200 "));
    let mut seen = String::new();
    while !seen.contains("\"sections\"") {
        seen.push_str(&String::from_utf8_lossy(&events.read(16).await.unwrap()));
    }

    let mut shown = Page::open(node.public).await;
    let scene = shown.code().await.scene();
    let id = protocol::LoginId::of(scene.parse::<protocol::Scene>().unwrap()).to_string();
    let ended = through(&nginx, "POST /end", &bearer, &format!("login={id}")).await;
    assert_eq!(ended.status, 303, "{ended:?}");
    let log = says(node, "wanted to end a login").await;
    let line = log.lines().find(|line| line.contains("wanted to end a login")).unwrap();
    assert!(line.contains("198.51.100.9"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_back_to_an_ended_login_is_listed_and_counted_once() {
    let fleet = Fleet::start(Options::one_of_each()).await;
    let gateway = &fleet.gateways[0];
    let mut page = Page::open(gateway.public).await;
    let code = page.code().await;
    let id = protocol::LoginId::of(code.scene().parse::<protocol::Scene>().unwrap()).to_string();
    let openid = fleet.wechat.invent_person("阿狸", true).openid;
    fleet.wechat.scan(&openid, &code.content).await.unwrap();
    page.expect("scanned").await;
    page.expect("scan_success").await;
    for _ in 0..10 {
        let mut again = Page::resume(gateway.public, &code.resume).await;
        again.code().await;
        again.expect("scan_success").await;
    }
    let (_viewer, event) = look(gateway, "").await;
    assert_eq!(event.matches(&id[..8]).count(), 1, "{event}");
    let counted = event.split("Granted\",\"tone\":\"good\",\"minutes\":[").nth(1).unwrap();
    let counted = counted.split(']').next().unwrap();
    let total: u64 = counted.split(',').map(|count| count.parse::<u64>().unwrap()).sum();
    assert_eq!(total, 1, "{counted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_look_at_once_and_leave_the_port_to_others() {
    let fleet = Fleet::start(Options::one_of_each()).await;
    for node in [&fleet.gateways[0], &fleet.callbacks[0]] {
        let mut viewers = Vec::new();
        for _ in 0..MOST_VIEWERS {
            viewers.push(look(node, "").await.0);
        }
        let full = get(node, "/events", "").await;
        assert!(full.status == 503 && full.header("retry-after").is_some(), "{full:?}");
        assert_eq!(get(node, "/", "").await.status, 200, "the page itself needs no such place");
        serves_others(node).await;
        // One goes. Its place is free once its connection is found closed.
        viewers.pop();
        while get(node, "/events", "Sec-Fetch-Site: cross-site\r\n").await.status != 403 {}
        let mut next = Raw::connect(node.admin).await;
        loop {
            next.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            if next.head().await.unwrap().starts_with("http/1.1 200 ") {
                break;
            }
            next = Raw::connect(node.admin).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_says_what_a_log_may_not_and_each_change_is_one() {
    let fleet = Fleet::start(Options::one_of_each()).await;
    let (gateway, callback) = (&fleet.gateways[0], &fleet.callbacks[0]);
    let mut page = Page::open(gateway.public).await;
    let code = page.code().await;
    let (scene, key) = (code.scene(), code.resume.clone());
    let id = protocol::LoginId::of(scene.parse::<protocol::Scene>().unwrap()).to_string();
    let (mut viewer, first) = look(gateway, "").await;
    assert!(first.contains(&id[..8]) && first.contains("waiting"), "{first}");
    let openid = fleet.wechat.invent_person("阿狸", true).openid;
    fleet.wechat.scan(&openid, &code.content).await.unwrap();
    let mut seen = first;
    while !seen.contains("Granted\",\"tone\":\"good\"},{\"text\"") {
        seen.push_str(&String::from_utf8_lossy(&viewer.read(64).await.unwrap()));
    }
    let (_other, of_callback) = look(callback, "").await;
    assert!(of_callback.contains(&id[..8]) && of_callback.contains("logged in"), "{of_callback}");
    for secret in [&scene, &key, &openid, "阿狸", e2e::fleet::NOTIFY_KEY] {
        assert!(!seen.contains(secret) && !of_callback.contains(secret), "{secret}: {seen} {of_callback}");
    }
}
