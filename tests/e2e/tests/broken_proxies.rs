//! Proxies that break WebSockets in the ways that people meet: the page and the operator learn which, and where it
//! can be helped the page helps itself.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::process::{Child, Command, Stdio};

use demo::{Options, Stack};
use e2e::browser::{Browser, PATIENCE};
use tempfile::TempDir;
use test_redis::free_port;
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep, timeout};

/// nginx before a gateway, with these lines in its only location.
struct Nginx {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its workers too.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

const UPGRADE: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
                       proxy_set_header Connection upgrade;";

impl Nginx {
    async fn start(stack: &Stack, lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let gateway = stack.gateway.browsers;
        let path = |file: &str| folder.path().join(file).display().to_string();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {};\n", path(kind)))
            .collect();
        let whole = format!(
            "daemon off;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{gateway}; {lines} }} }}\n}}\n",
            path("pid"),
        );
        std::fs::write(path("nginx.conf"), whole).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-c", &path("nginx.conf"), "-p", &path("")]).stdin(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("nginx is needed: {error}"));
        let nginx = Self { child, port, _folder: folder };
        let listens = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, listens).await.expect("nginx listens");
        nginx
    }

    fn page(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

/// One of the gateway's counters.
async fn metric(stack: &Stack, name: &str) -> u64 {
    let text = reqwest::get(format!("http://{}/metrics", stack.gateway.admin)).await.unwrap();
    let text = text.text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

#[tokio::test]
async fn a_page_logs_in_where_a_proxy_drops_the_subprotocol_and_takes_one_code() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let lines =
        format!("{UPGRADE} proxy_set_header Host $http_host; proxy_set_header Sec-WebSocket-Protocol '';");
    let nginx = Nginx::start(&stack, &lines).await;
    let browser = Browser::start("zh-CN").await;
    browser.open(&nginx.page()).await;
    browser.until_state("waiting").await;
    assert_eq!(metric(&stack, "gateway_logins_total").await, 1, "the tries before took no code");
    assert!(metric(&stack, "gateway_pages_refused_total{reason=\"subprotocol\"}").await >= 2);

    let code = browser.read_code(".saoma-code", &[]).await;
    let person = stack.wechat.invent_person("", true);
    stack.wechat.scan(&person.openid, &code).await.unwrap();
    browser.until_state("granted").await;
}

#[tokio::test]
async fn a_page_and_the_operator_are_told_what_a_proxy_breaks() {
    let stack = Stack::start(Options::default()).await.unwrap();
    for (lines, reason, said) in [
        (format!("{UPGRADE} proxy_set_header Host $host;"), "origin", "$http_host"),
        (format!("{UPGRADE} proxy_set_header Host upstream;"), "origin", "changed the name"),
        ("proxy_set_header Host $http_host;".to_owned(), "upgrade", "Upgrade and Connection"),
    ] {
        let nginx = Nginx::start(&stack, &lines).await;
        let browser = Browser::start("en").await;
        let counter = format!("gateway_pages_refused_total{{reason=\"{reason}\"}}");
        let before = metric(&stack, &counter).await;
        browser.open(&nginx.page()).await;
        browser
            .until(&format!("document.querySelector('.saoma-detail').textContent.includes({said:?})"))
            .await;
        browser.until_state("offline").await;
        assert!(metric(&stack, &counter).await > before, "{reason}");
    }
    assert_eq!(metric(&stack, "gateway_logins_total").await, 0);
}

#[tokio::test]
async fn a_trusted_proxy_may_name_the_host_that_the_browser_asked_for() {
    let gateway = vec!["--gateway-trusted-proxies=127.0.0.1".to_owned()];
    let stack = Stack::start(Options { gateway, ..Options::default() }).await.unwrap();
    for lines in [
        format!("{UPGRADE} proxy_set_header Host upstream; proxy_set_header X-Forwarded-Host $http_host;"),
        format!("{UPGRADE} proxy_set_header Host $host; proxy_set_header X-Forwarded-Port $server_port;"),
    ] {
        let nginx = Nginx::start(&stack, &lines).await;
        let browser = Browser::start("en").await;
        browser.open(&nginx.page()).await;
        browser.until_state("waiting").await;
    }
}
