//! A running provider: the whole system in one process, with a file of sites.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use demo::{Options, Ports, Stack};
use e2e::page::Page;
use reqwest::Client;
use serde_json::Value;
use simulator::Simulator;
use tempfile::TempDir;
use test_redis::free_port;

use crate::agent::client;
use crate::instances::rotate_key;
use crate::relying_party::Site;

/// Where the parts of a provider are.
#[derive(Clone)]
pub(crate) struct Provider {
    /// The issuer, as everybody knows it.
    pub(crate) issuer: String,
    /// Where requests to it are sent.
    pub(crate) address: SocketAddr,
    /// The gateway's port for browsers.
    pub(crate) gateway: SocketAddr,
    /// Where people scan.
    pub(crate) wechat: Simulator,
    /// Where people scan the codes of the other official accounts.
    pub(crate) others: Vec<Simulator>,
    /// What asks it. One is costly to make, and a test may ask a hundred times at once.
    pub(crate) http: Client,
}

impl Provider {
    /// A new person with a phone.
    pub(crate) fn person(&self) -> String {
        self.wechat.invent_person("阿狸", true).openid
    }

    /// The page of a login that `/authorize` has begun.
    pub(crate) async fn page(&self, handle: &str) -> Page {
        let path = format!("/ws?request={handle}");
        Page::of(Some(&self.issuer), self.gateway, &path).await.expect("the issuer's page may connect")
    }

    /// A person scans the code of such a page. Gives what the page posts: the code.
    pub(crate) async fn scan(&self, handle: &str, person: &str) -> String {
        let mut page = self.page(handle).await;
        code_of(&self.scan_page(&mut page, person).await)
    }

    /// A person scans a page's code. Gives what the page hears at the end.
    pub(crate) async fn scan_page(&self, page: &mut Page, person: &str) -> Value {
        let shown = page.code().await;
        let delivery = self.wechat.scan(person, &shown.content).await.unwrap();
        assert!(delivery.is_ok(), "{delivery:?}");
        page.expect("scanned").await;
        page.expect("scan_success").await
    }

    /// The discovery document.
    pub(crate) async fn discovery(&self) -> Value {
        self.json("/.well-known/openid-configuration").await
    }

    /// The JSON at this path.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.http.get(format!("http://{}{path}", self.address)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        answer.json().await.unwrap()
    }
}

/// The code in a page's last message.
pub(crate) fn code_of(said: &Value) -> String {
    said["code"].as_str().unwrap_or_else(|| panic!("no code in {said}")).to_owned()
}

/// A provider with all that it needs. Dropping it ends it.
pub(crate) struct Running {
    provider: Provider,
    _stack: Stack,
    _folder: TempDir,
}

impl Deref for Running {
    type Target = Provider;

    fn deref(&self) -> &Provider {
        &self.provider
    }
}

/// The setup of a provider. Flags replace ours of the same name.
#[derive(Default)]
pub(crate) struct Setup {
    /// The sites. None: those of [`Site::all`].
    pub(crate) sites: Vec<Site>,
    /// The issuer, where it is not the address itself.
    pub(crate) issuer: Option<&'static str>,
    /// More flags for the gateway.
    pub(crate) gateway: Vec<String>,
    /// More flags for the callback service.
    pub(crate) callback: Vec<String>,
    /// The simulated account.
    pub(crate) wechat: simulator::Settings,
    /// More official accounts, by name.
    pub(crate) others: Vec<String>,
    /// Signing keys of this provider's own, which end with it.
    pub(crate) keys_in_memory: bool,
}

impl Running {
    /// Starts a provider of [`Site::all`].
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// Starts a provider.
    pub(crate) async fn with(setup: Setup) -> Self {
        let Setup { sites, issuer, mut gateway, mut callback, wechat, others, keys_in_memory } = setup;
        let sites = if sites.is_empty() { Site::all() } else { sites };
        let folder = tempfile::tempdir().unwrap();
        let file = sites_file(&folder, &sites);
        let ports = Ports { gateway: free_port(), callback: free_port(), ..Ports::default() };
        let issuer = issuer.map_or_else(|| format!("http://127.0.0.1:{}", ports.callback), str::to_owned);
        let ours = [
            format!("--callback-sites={file}"),
            format!("--callback-public-url={issuer}"),
            format!("--callback-browser-url=http://127.0.0.1:{}", ports.gateway),
        ];
        if !keys_in_memory {
            callback.push(format!("--callback-signing-keys={}", keys().display()));
        }
        let is_given = |flag: &String| callback.iter().any(|given| name(given) == name(flag));
        let ours: Vec<_> = ours.into_iter().filter(|flag| !is_given(flag)).collect();
        callback.extend(ours);
        if !gateway.iter().any(|flag| name(flag) == "--gateway-allowed-origins") {
            gateway.push(format!("--gateway-allowed-origins={issuer},https://shop.example.cn"));
        }
        let options = Options { ports, gateway, callback, wechat, others, ..Options::default() };
        let stack = Stack::start(options).await.unwrap();
        let provider = Provider {
            issuer,
            address: stack.callback.pushes,
            gateway: stack.gateway.browsers,
            wechat: stack.wechat.clone(),
            others: stack.others.clone(),
            http: client(),
        };
        Self { provider, _stack: stack, _folder: folder }
    }
}

/// The file of signing keys of all providers here. Making a key takes as long as many logins, and there is nothing in a
/// key that would tell two providers apart.
fn keys() -> &'static Path {
    static KEYS: OnceLock<PathBuf> = OnceLock::new();
    KEYS.get_or_init(|| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oidc.keys.json");
        if !file.exists() {
            rotate_key(&file, &[]);
        }
        file
    })
}

/// A flag without its value.
fn name(flag: &str) -> &str {
    flag.split('=').next().unwrap_or(flag)
}

/// Writes the file of sites; gives its path.
pub(crate) fn sites_file(folder: &TempDir, sites: &[Site]) -> String {
    let path = folder.path().join("sites.toml");
    let entries: Vec<_> = sites.iter().map(Site::entry).collect();
    std::fs::write(&path, entries.join("\n")).unwrap();
    path.to_str().unwrap().to_owned()
}
