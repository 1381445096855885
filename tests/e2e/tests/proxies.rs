//! The proxies' configurations in deploy/, as an operator would use them: TLS, WeChat's pushes and pages go through
//! them, the browser's address arrives, a page that only waits outlives their time-outs, and a second upstream that is
//! dead costs nobody the answer. Sites reach the provider, and no request of theirs is made twice.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use demo::{NOTIFY_KEY, Options, Stack};
use e2e::page::{PATIENCE, Page, Stream};
use protocol::client::{Client, Settings};
use protocol::tls::ClientTls;
use protocol::{Key, Notice};
use tempfile::TempDir;
use test_certificates::Authority;
use test_redis::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

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

/// A proxy at work. Dropping it ends it.
struct Proxy {
    child: Child,
    _folder: TempDir,
    authority: PathBuf,
    http: SocketAddr,
    https: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its workers too.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// What an operator changes in a configuration: ports, certificates, and where the services are.
struct Changes(Vec<(String, String)>);

impl Changes {
    fn make(&self, name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name);
        let mut text = std::fs::read_to_string(path).unwrap();
        for (from, to) in &self.0 {
            assert!(text.contains(from), "{name} has no {from:?}");
            text = text.replace(from, to);
        }
        text
    }
}

/// Within this the proxies that ask each second have found out.
const FOUND_OUT: Duration = Duration::from_secs(4);

/// What stands beside the living one in an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dead {
    /// It takes connections and never answers, as a process that is stopped.
    Hung,
    /// It answers no packet, as a host that is gone.
    Gone,
}

/// A dead upstream. Dropping it lets go of its port.
struct DeadUpstream {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl DeadUpstream {
    async fn of(dead: Dead) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        // Nobody accepts: the system takes connections for it as far as it has room, and drops what comes then.
        let listener = socket.listen(if dead == Dead::Gone { 0 } else { 1024 }).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        if dead == Dead::Gone {
            let more = async || timeout(Duration::from_millis(300), TcpStream::connect(address)).await;
            while let Ok(connected) = more().await {
                queued.push(connected.unwrap());
            }
        }
        Self { address, _listener: listener, _queued: queued }
    }
}

async fn start(name: &str, stack: &Stack) -> Proxy {
    start_beside(name, stack, None).await
}

/// As [`start`], with an upstream that is dead before the living one, of the gateways and of the callback-services.
async fn start_beside(name: &str, stack: &Stack, dead: Option<SocketAddr>) -> Proxy {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ours");
    let own = authority.sign("own", &[NAME, ISSUER]);
    let [http, https] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let path = |file: &str| folder.path().join(file).display().to_string();
    let change = |from: &str, to: String| (from.to_owned(), to);
    let gateway = change("127.0.0.1:1099", stack.gateway.browsers.to_string());
    let callback = change("127.0.0.1:8080", stack.callback.pushes.to_string());
    // As an operator adds one: the line that waits for that, or an address more.
    let mut added = Vec::new();
    if let Some(dead) = dead {
        added = match name {
            "nginx.conf" => ["10.0.0.2:1099", "10.0.0.3:8080"]
                .map(|example| (format!("# server {example}"), format!("server {dead}")))
                .into(),
            "haproxy.cfg" => [("gateway2", "10.0.0.2:1099"), ("callback2", "10.0.0.3:8080")]
                .map(|(server, example)| {
                    (format!("# server {server} {example}\n"), format!("server {server} {dead}\n"))
                })
                .into(),
            _ => {
                let kept = "# lb_try_duration 4500ms\n\t\t\t# buffer_requests\n";
                let beside = |living: &str| {
                    (format!("reverse_proxy {living}"), format!("reverse_proxy {dead} {living}"))
                };
                vec![
                    beside("127.0.0.1:1099"),
                    beside("127.0.0.1:8080"),
                    (kept.to_owned(), kept.replace("# ", "")),
                ]
            }
        };
    }
    let changes = |more: Vec<(String, String)>| Changes(added.iter().cloned().chain(more).collect());
    let mut command = match name {
        "nginx.conf" => {
            let site = changes(vec![
                gateway,
                callback,
                change("listen 80;", format!("listen {http};")),
                change("listen 443 ssl;", format!("listen {https} ssl;")),
                change("    listen [::]:80;\n", String::new()),
                change("    listen [::]:443 ssl;\n", String::new()),
                change("/etc/ssl/login.example.com.pem", own.certificate.display().to_string()),
                change("/etc/ssl/login.example.com.key", own.key.display().to_string()),
            ])
            .make(name);
            std::fs::write(path("site.conf"), site).unwrap();
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|kind| format!("{kind}_temp_path {};\n", path(kind)))
                .collect();
            let whole = format!(
                "daemon off;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}include {};\n}}\n",
                path("pid"),
                path("site.conf"),
            );
            std::fs::write(path("nginx.conf"), whole).unwrap();
            let mut command = Command::new("nginx");
            command.args(["-c", &path("nginx.conf"), "-p", &path("")]);
            command
        }
        "Caddyfile" => {
            // Here nobody gives certificates for the name, so its own are shown.
            let tls = format!("tls {} {}", own.certificate.display(), own.key.display());
            let site = changes(vec![
                gateway,
                callback,
                change(
                    "\nlogin.example.com {",
                    format!(
                        "\nhttps://{NAME}:{0}, https://{ISSUER}:{0} {{\n\tbind 127.0.0.1\n\t{tls}",
                        https.port()
                    ),
                ),
            ])
            .make(name);
            let options =
                format!("{{\n\tadmin off\n\tauto_https disable_redirects\n\thttp_port {}\n}}\n", http.port());
            std::fs::write(path("Caddyfile"), options + &site).unwrap();
            let mut command = Command::new("caddy");
            command.args(["run", "--adapter", "caddyfile", "--config", &path("Caddyfile")]);
            command
                .env("HOME", path(""))
                .env("XDG_DATA_HOME", path("data"))
                .env("XDG_CONFIG_HOME", path("config"));
            command
        }
        _ => {
            let both =
                [&own.certificate, &own.key].map(|file| std::fs::read_to_string(file).unwrap()).concat();
            std::fs::write(path("both.pem"), both).unwrap();
            let whole = changes(vec![
                gateway,
                callback,
                // This machine may not let a process open so many files.
                change("maxconn 40000", "maxconn 1000".to_owned()),
                change("bind :80\n", format!("bind {http}\n")),
                change("bind :443 ", format!("bind {https} ")),
                change("/etc/ssl/login.example.com.both.pem", path("both.pem")),
            ])
            .make(name);
            std::fs::write(path("haproxy.cfg"), whole).unwrap();
            let mut command = Command::new("haproxy");
            command.args(["-db", "-f", &path("haproxy.cfg")]);
            command
        }
    };
    let program = command.get_program().to_owned();
    let child = command.stdin(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{program:?} is needed: {error}"));
    let proxy = Proxy { child, authority: authority.certificate, _folder: folder, http, https };
    let listens = async {
        while TcpStream::connect(proxy.https).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, listens).await.unwrap_or_else(|_| panic!("{name}: it does not listen"));
    proxy
}

impl Proxy {
    /// A connection from [`BROWSER`].
    async fn connect(&self) -> Box<dyn Stream> {
        let tls = ClientTls { ca: Some(self.authority.clone()), ..ClientTls::default() };
        let connector = tokio_rustls::TlsConnector::from(tls.load().unwrap());
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((BROWSER, 0).into()).unwrap();
        let stream = socket.connect(self.https).await.unwrap();
        Box::new(connector.connect(NAME.try_into().unwrap(), stream).await.unwrap())
    }

    /// The answer to a request, over TLS.
    async fn answer(&self, request: &str, body: &str) -> String {
        self.answer_at(NAME, request, body).await
    }

    /// The same under a name of the proxy's.
    async fn answer_at(&self, name: &str, request: &str, body: &str) -> String {
        let mut stream = self.connect().await;
        let length = body.len();
        let whole = format!(
            "{request} HTTP/1.1\r\nhost: {name}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        stream.write_all(whole.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Some close without TLS's own goodbye.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status of an answer, over TLS.
    async fn ask(&self, path: &str) -> String {
        status(&self.answer(&format!("GET {path}"), "").await)
    }
}

fn status(answer: &str) -> String {
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

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

/// A stack with the provider; the folder has its files.
async fn stack_with_sites() -> (Arc<Stack>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let sites = folder.path().join("sites.toml");
    let site =
        "[[site]]\nid = \"app\"\nname = \"App\"\npublic = true\nredirect_uris = [\"com.example.app:/cb\"]\n";
    std::fs::write(&sites, site).unwrap();
    let callback = vec![
        format!("--callback-sites={}", sites.display()),
        format!("--callback-public-url=https://{ISSUER}"),
        format!("--callback-browser-url=https://{NAME}"),
        "--callback-web-authorization=base".to_owned(),
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
                ("GET /login.js", "200"),
                ("GET /login.css", "200"),
                ("GET /wechat", "403"),
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
