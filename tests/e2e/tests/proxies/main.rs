//! The proxies' configurations in deploy/, as an operator would use them: TLS, WeChat's pushes and pages go through
//! them, the browser's address arrives, a page that only waits outlives their time-outs, and a second upstream that is
//! dead costs nobody the answer. Sites reach the provider, and no request of theirs is made twice.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod proxy;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use demo::{NOTIFY_KEY, Options, Stack};
use e2e::page::{PATIENCE, Page};
use protocol::client::{Client, Settings};
use protocol::{Key, Notice};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use self::proxy::{Dead, DeadUpstream, FOUND_OUT, start, start_beside, status};

/// Longer than any time-out for idle connections in the three.
const IDLE: Duration = Duration::from_secs(63);

/// Where the browser is, so that it is not where the proxy is.
const BROWSER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);

const NAME: &str = "login.example.com";

/// The issuer's name, where it has one of its own.
const ISSUER: &str = "id.example.com";

const PROXIES: [&str; 3] = ["nginx.conf", "Caddyfile", "haproxy.cfg"];

/// WeChat waits so long for the answer to a push.
const WECHATS_PATIENCE: Duration = Duration::from_secs(5);

/// An answer for which nobody waited until something else had failed, on a machine with much to do.
const AT_ONCE: Duration = Duration::from_millis(900);

async fn a_login_through(name: &'static str, stack: Arc<Stack>) {
    let proxy = start(name, &stack).await;
    assert_eq!(proxy.ask("/").await, "200", "{name}: the login page");
    let front = proxy.answer("GET /", "").await.to_lowercase();
    assert!(front.contains("\r\nstrict-transport-security: max-age=31536000\r\n"), "{name}: {front}");
    assert_eq!(proxy.ask("/wechat").await, "403", "{name}: callback-service wants a signature");
    // What people write in WeChat's console is for callback-service to answer, which knows what is wrong with it.
    for path in ["/wechat/", "/wechat/callback", "//wechat", "/WeChat"] {
        let direct = reqwest::get(format!("http://{}{path}", stack.callback.pushes)).await.unwrap();
        let direct = direct.text().await.unwrap();
        let through = proxy.answer(&format!("GET {path}"), "").await;
        assert!(through.ends_with(&direct) && !through.contains("login page"), "{name} {path}: {through}");
    }
    let url = format!("wss://{NAME}/ws");
    let mut page =
        Page::over(proxy.connect().await, &url, &["saoma.v1"]).await.expect("the page gets through");
    let code = page.code().await;
    let began = Instant::now();
    let mut heartbeats = 0;
    while began.elapsed() < IDLE {
        let said = page.next().await;
        assert_eq!(format!("{said:?}").matches("heartbeat").count(), 1, "{name}: {said:?}");
        heartbeats += 1;
    }
    assert!(heartbeats >= 2, "{name}");

    // The gateway knows the browser's own address.
    let address = stack.gateway.notices.to_string();
    let key = Key::new(&NOTIFY_KEY.into()).unwrap();
    let client =
        Client::start(Settings { name: "callback".to_owned(), key, addresses: vec![address], tls: None });
    let scene = code.scene().parse().unwrap();
    let person = stack.wechat.invent_person("阿狸", true);
    let claim = Notice::Claim { scene, by: person.openid.clone(), number: None };
    let answer = client.send(claim, Instant::now() + PATIENCE).await.unwrap();
    assert_eq!(answer.context.unwrap().ip, BROWSER.to_string(), "{name}");
    page.expect("scanned").await;

    stack.wechat.scan(&person.openid, &code.content).await.unwrap();
    page.expect("scan_success").await;
    assert_eq!(page.closed().await, 4010, "{name}");

    // Nobody is told who does not come by TLS, but for WeChat.
    let nobody = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    if name != "Caddyfile" {
        let answer = nobody.get(format!("http://{}/", proxy.http)).header("host", NAME).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 308, "{name}");
        assert!(
            !answer.headers().contains_key("strict-transport-security"),
            "{name}: without TLS it means nothing"
        );
        let pushed =
            nobody.get(format!("http://{}/wechat", proxy.http)).header("host", NAME).send().await.unwrap();
        assert_eq!(pushed.status().as_u16(), 403, "{name}: unsigned");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_logs_in_through_nginx_caddy_and_haproxy() {
    let gateway = vec!["--gateway-trusted-proxies=127.0.0.1".to_owned(), "--gateway-login-ttl=5m".to_owned()];
    let stack = Arc::new(Stack::start(Options { gateway, ..Options::default() }).await.unwrap());
    let through = PROXIES.map(|name| {
        let stack = Arc::clone(&stack);
        tokio::spawn(a_login_through(name, stack))
    });
    for through in through {
        through.await.unwrap();
    }
}

async fn pushes_beside(name: &'static str, stack: Arc<Stack>, dead: Dead) {
    let upstream = DeadUpstream::of(dead).await;
    let proxy = start_beside(name, &stack, Some(upstream.address)).await;
    // Nothing that callback-service believes, but as long as a push is: what counts is that it answers.
    let push = format!("<xml>{}</xml>", "x".repeat(700));
    let began = Instant::now();
    let (mut slow, mut at_once) = (Vec::new(), 0);
    while at_once < 12 || (slow.is_empty() && began.elapsed() < FOUND_OUT) {
        let began = Instant::now();
        let answer = timeout(WECHATS_PATIENCE, proxy.answer("POST /wechat?signature=no", &push)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{name}, {dead:?}: WeChat hangs up; before: {slow:?}"));
        let status = status(&answer);
        if began.elapsed() < AT_ONCE {
            at_once += 1;
        } else {
            at_once = 0;
            slow.push((began.elapsed(), status.clone()));
            assert!(slow.len() <= 3, "{name}, {dead:?}: it does not learn: {slow:?}");
        }
        // By callback-service, which does not know who asks. A proxy says 502, 503 or 504; its file says where Caddy
        // 2.6 has to.
        let is_answered = ["400", "403"].contains(&&*status);
        let has_to = (name, dead, &*status) == ("Caddyfile", Dead::Hung, "504");
        assert!(is_answered || has_to, "{name}, {dead:?}: {answer}");
    }
    // And people at the gateway. nginx has one time-out for an answer and for silence, which here is too long to wait for.
    if (name, dead) != ("nginx.conf", Dead::Hung) {
        for _ in 0..6 {
            let answer = timeout(WECHATS_PATIENCE, proxy.ask("/")).await;
            assert_eq!(answer.as_deref(), Ok("200"), "{name}, {dead:?}: a page");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_upstream_costs_no_push_its_answer() {
    let stack = Arc::new(Stack::start(Options::default()).await.unwrap());
    let all = PROXIES.into_iter().flat_map(|name| [Dead::Hung, Dead::Gone].map(|dead| (name, dead)));
    let beside: Vec<_> =
        all.map(|(name, dead)| tokio::spawn(pushes_beside(name, Arc::clone(&stack), dead))).collect();
    for beside in beside {
        beside.await.unwrap();
    }
}

const APP: &str = "[[site]]\nid='app'\nname='App'\npublic=true\nredirect_uris=['com.example.app:/cb']\n";

/// A stack with the provider; the folder has its files.
async fn stack_with_sites() -> (Arc<Stack>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let [sites, asking, verified] =
        ["sites.toml", "wechat-server.toml", "MP_verify_aB3.txt"].map(|name| folder.path().join(name));
    std::fs::write(&sites, APP).unwrap();
    std::fs::write(&asking, format!("[[site]]\nname = \"api\"\ntoken_sha256 = \"{:064}\"\n", 0)).unwrap();
    std::fs::write(&verified, "aB3").unwrap();
    let callback = vec![
        format!("--callback-sites={}", sites.display()),
        format!("--callback-public-url=https://{ISSUER}"),
        format!("--callback-browser-url=https://{NAME}"),
        format!("--callback-wechat-server={}", asking.display()),
        "--callback-web-authorization=base".to_owned(),
        format!("--callback-mp-verify={}", verified.display()),
    ];
    (Arc::new(Stack::start(Options { callback, ..Options::default() }).await.unwrap()), folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sites_reach_the_issuer_through_nginx_caddy_and_haproxy() {
    let (stack, _folder) = stack_with_sites().await;
    for file in PROXIES {
        let proxy = start(file, &stack).await;
        for name in [NAME, ISSUER] {
            let ask = async |request: &str, body: &str| {
                let answer = proxy.answer_at(name, request, body).await;
                (status(&answer), answer.to_lowercase())
            };
            let (found, answer) = ask("GET /.well-known/openid-configuration", "").await;
            assert!(
                found == "200" && answer.contains(&format!("\"issuer\":\"https://{ISSUER}\"")),
                "{file}: {answer}"
            );
            assert!(answer.contains("strict-transport-security: max-age=31536000"), "{file}: {answer}");
            let (refused, answer) =
                ask("POST /token", "grant_type=authorization_code&client_id=app&code=x").await;
            assert!(refused == "400" && answer.contains("invalid_"), "{file} {name}: {answer}");
            // Each has a status of the provider's own, which the gateway does not give.
            for (request, expected) in [
                ("GET /authorize", "400"),
                ("POST /authorize/continue", "400"),
                ("GET /authorize.js", "200"),
                ("GET /userinfo", "401"),
                ("GET /jwks.json", "200"),
                ("GET /logout", "200"),
                ("GET /logout/confirm", "405"),
                ("GET /login/back", "403"),
                ("POST /login/answer", "400"),
                ("GET /MP_verify_aB3.txt", "200"),
                ("GET /login.js", "200"),
                ("GET /login.css", "200"),
                ("GET /wechat", "403"),
                ("GET /api/wechat", "403"),
                ("GET /api/wechat/user", "200"),
            ] {
                let (given, answer) = ask(request, "").await;
                assert_eq!(given, expected, "{file}: {request} at {name}: {answer}");
            }
            // What is neither's: the login page is the gateway's, on its own name.
            let (root, answer) = ask("GET /", "").await;
            assert_eq!((&*root, answer.contains("<html")), ("200", name == NAME), "{file}: {name}: {answer}");
        }
    }
}

/// An upstream that says that it is well, takes requests for tokens, and hangs up without an answer. It counts those.
async fn swallows() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, swallowed) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&swallowed);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap_or(0);
                if head[..length].starts_with(b"POST /token ") {
                    count.fetch_add(1, Ordering::SeqCst);
                } else {
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                        .await;
                }
            });
        }
    });
    (address, swallowed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_an_upstream_has_taken_is_not_given_to_another() {
    let (stack, _folder) = stack_with_sites().await;
    for file in PROXIES {
        let (address, swallowed) = swallows().await;
        let proxy = start_beside(file, &stack, Some(address)).await;
        let (mut lost, began) = (0, Instant::now());
        while swallowed.load(Ordering::SeqCst) == 0 {
            assert!(began.elapsed() < PATIENCE, "{file}: the upstream has its turn");
            let answer = proxy.answer_at(ISSUER, "POST /token", "client_id=app&code=x").await;
            match &*status(&answer) {
                "400" => {}
                "502" | "504" => lost += 1,
                _ => panic!("{file}: {answer}"),
            }
        }
        assert_eq!(swallowed.load(Ordering::SeqCst), lost, "{file}: one was made twice");
    }
}
