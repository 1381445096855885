//! A site's back end, and the account that it asks.

use std::net::SocketAddr;

use demo::{Options, Stack};
use e2e::programs::{output, text};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use simulator::Simulator;
use tempfile::TempDir;
use tokio::task::block_in_place;

/// What the site's page says where `data` is empty.
pub(crate) const NOBODY: &str = r#"{"message":"","success":true,"data":""}"#;
pub(crate) const NO_RIGHT: &str = r#"{"message":"无权进行此操作，未登录或 token 无效","success":false}"#;
pub(crate) const NO_CODE: &str = r#"{"message":"无效的参数","success":false}"#;

/// An entry of the file, and its token, as `callback-service new-token` prints them.
pub(crate) fn new_token(name: &str) -> (String, String) {
    let printed = block_in_place(|| output("callback-service", &[].into(), &["new-token", name]));
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    let printed = text(&printed.stdout);
    let token = printed.split_once("# token: ").unwrap().1.trim().to_owned();
    (printed, token)
}

/// The file of sites.
pub(crate) struct File {
    folder: TempDir,
}

impl File {
    pub(crate) fn of(entries: &str) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        file.write(entries);
        file
    }

    pub(crate) fn write(&self, entries: &str) {
        std::fs::write(self.path(), entries).unwrap();
    }

    pub(crate) fn path(&self) -> String {
        self.folder.path().join("wechat-server.toml").display().to_string()
    }
}

/// A site's back end.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) server: SocketAddr,
    pub(crate) token: String,
    http: reqwest::Client,
}

impl Site {
    pub(crate) fn new(server: SocketAddr, token: &str) -> Self {
        Self { server, token: token.to_owned(), http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// The body of an answer, whose status is always 200.
    pub(crate) async fn ask(&self, method: Method, path: &str, header: Option<&str>) -> String {
        let request = self.http.request(method, format!("http://{}{path}", self.server));
        let request = match header {
            Some(header) => request.header("Authorization", header),
            None => request,
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/json"));
        assert_eq!(answer.headers()["cache-control"], "no-store");
        answer.text().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        self.ask(Method::GET, path, Some(&self.token)).await
    }

    /// Whose a code is.
    pub(crate) async fn user(&self, code: &str) -> String {
        self.get(&format!("/api/wechat/user?code={code}")).await
    }

    /// A new QR code for a login.
    pub(crate) async fn create(&self) -> Value {
        let answer = self.ask(Method::POST, "/api/wechat/create_login_qrcode", Some(&self.token)).await;
        serde_json::from_str(&answer).unwrap()
    }

    /// What has become of a login.
    pub(crate) async fn status(&self, login_token: &str) -> Value {
        let answer = self.get(&format!("/api/wechat/login_status?login_token={login_token}")).await;
        serde_json::from_str(&answer).unwrap()
    }
}

/// The answer for a good code.
pub(crate) fn good(openid: &str) -> String {
    format!(r#"{{"message":"","success":true,"data":"{openid}"}}"#)
}

/// The system, with one site.
pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) site: Site,
    pub(crate) file: File,
}

impl World {
    /// With a site whose entry has these keys, too.
    pub(crate) async fn with(more: &str) -> Self {
        Self::of(more, &[]).await
    }

    /// As [`World::with`], with more flags for the callback service.
    pub(crate) async fn of(more: &str, flags: &[&str]) -> Self {
        Self::beside(more, flags, &[]).await
    }

    /// As [`World::of`], with more flags for the gateway.
    pub(crate) async fn beside(more: &str, flags: &[&str], gateway: &[&str]) -> Self {
        let (entry, token) = new_token("AI 网关");
        let file = File::of(&format!("{entry}{more}\n"));
        let mut callback = vec![format!("--callback-wechat-server={}", file.path())];
        callback.extend(flags.iter().map(|&flag| flag.to_owned()));
        let gateway = gateway.iter().map(|&flag| flag.to_owned()).collect();
        let stack = Stack::start(Options { callback, gateway, ..Options::default() }).await.unwrap();
        let site = Site::new(stack.callback.pushes, &token);
        Self { stack, site, file }
    }

    /// A follower of the account.
    pub(crate) fn person(&self) -> String {
        self.stack.wechat.invent_person("阿狸", true).openid
    }

    /// What the account replies to a text.
    pub(crate) async fn says(&self, person: &str, text: &str) -> String {
        says(&self.stack.wechat, person, text).await
    }

    /// The code that a person gets.
    pub(crate) async fn code(&self, person: &str) -> String {
        digits(&self.says(person, "验证码").await)
    }
}

pub(crate) async fn says(wechat: &Simulator, person: &str, text: &str) -> String {
    wechat.say(person, text).await.unwrap().reply.expect("the account replies")
}

/// The code in a reply.
pub(crate) fn digits(reply: &str) -> String {
    let line = reply.lines().next().unwrap();
    let code: String = line.chars().filter(char::is_ascii_digit).collect();
    assert!(code.len() >= 6, "no code in {reply}");
    code
}
