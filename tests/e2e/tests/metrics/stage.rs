//! The whole system with everything switched on that has a metric: certificates, two accounts, every way to log in, sites
//! that are told, and wechat-server's protocol.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use demo::{Options, Stack};
use e2e::page::Page;
use e2e::programs::{output, text};
use protocol::client::Settings;
use protocol::message::Answer;
use protocol::tls::{ClientTls, Identity};
use protocol::{Client, Key, Notice};
use tempfile::TempDir;
use test_certificates::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::block_in_place;
use tokio::time::{Duration, Instant};

use crate::scrape::Scrape;

/// The key of a back end that expires and may send one notice a second.
pub(crate) const SHOP_KEY: &str = "the shop's key, of 32 bytes or more";

/// Pages at once, and new logins a minute: few, so that a test meets the limits.
pub(crate) const PAGES: usize = 12;
pub(crate) const RATE: usize = 60;

/// Connections that callback-service serves at once.
pub(crate) const CONNECTIONS: usize = 8;

/// The system.
pub(crate) struct Stage {
    pub(crate) stack: Stack,
    /// The token of a site that speaks wechat-server's protocol.
    pub(crate) token: String,
    /// A site's back end, which fails as long as this says so.
    pub(crate) is_down: Arc<AtomicBool>,
    ca: Authority,
    own: test_certificates::Identity,
    _folder: TempDir,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new(folder.path(), "ours");
        let (gateway, own) = (ca.sign("gateway", &["127.0.0.1"]), ca.sign("callback", &[]));
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let clients = format!(
            "[[client]]\nname = \"shop\"\nkeys = [{SHOP_KEY:?}]\nmay = [\"deny\", \"query\"]\nrate = 1\n\
             expires = 2199-01-01T00:00:00Z\n"
        );
        let clients = file("clients.toml", &clients);
        let made = block_in_place(|| output("callback-service", &[].into(), &["new-token", "ai"]));
        let entry = text(&made.stdout);
        let token = entry.split_once("# token: ").unwrap().1.trim().to_owned();
        let asking = file("wechat-server.toml", &entry);
        let is_down = Arc::new(AtomicBool::new(true));
        let hook = back_end(Arc::clone(&is_down)).await;
        let sites = format!(
            "[[site]]\nid = \"asks\"\nname = \"Asks\"\npublic = true\nredirect_uris = [\"https://asks.example/cb\"]\n\
             origins = [\"https://asks.example\"]\nwebhook_url = \"{hook}\"\n\
             webhook_key = \"0123456789abcdef0123456789abcdef\"\n"
        );
        let shown = |path: &Path| path.display().to_string();
        let flags = |flags: &[(&str, String)]| -> Vec<String> {
            flags.iter().map(|(name, value)| format!("--{name}={value}")).collect()
        };
        let options = Options {
            sites: Some(sites),
            web: true,
            others: vec!["other".to_owned()],
            account_name: Some("店".to_owned()),
            gateway: flags(&[
                ("gateway-notify-tls-cert", shown(&gateway.certificate)),
                ("gateway-notify-tls-key", shown(&gateway.key)),
                ("gateway-notify-tls-client-ca", shown(&ca.certificate)),
                ("gateway-notify-clients", clients),
                // Each client may have half of them.
                ("gateway-max-clients", "4".to_owned()),
                ("gateway-max-pages", PAGES.to_string()),
                ("gateway-address-rate", RATE.to_string()),
            ]),
            callback: flags(&[
                ("callback-gateway-tls", "true".to_owned()),
                ("callback-gateway-ca", shown(&ca.certificate)),
                ("callback-gateway-cert", shown(&own.certificate)),
                ("callback-gateway-key", shown(&own.key)),
                ("callback-wechat-server", asking),
                ("callback-relay-url", format!("events={hook}")),
                ("callback-max-connections", CONNECTIONS.to_string()),
            ]),
            ..Options::default()
        };
        let stack = Stack::start(options).await.unwrap();
        Self { stack, token, is_down, ca, own, _folder: folder }
    }

    /// What both services say now.
    pub(crate) async fn scrape(&self) -> Scrape {
        let Stack { gateway, callback, .. } = &self.stack;
        Scrape::of(gateway.admin).await.and(callback_of(Scrape::of(callback.admin).await))
    }

    /// Both, once this is true of them; `what` says what that is.
    pub(crate) async fn until(&self, what: &str, is: impl Fn(&Scrape) -> bool) -> Scrape {
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        let reached = async {
            loop {
                pace.tick().await;
                let now = self.scrape().await;
                if is(&now) {
                    return now;
                }
            }
        };
        tokio::time::timeout(e2e::page::PATIENCE, reached).await.unwrap_or_else(|_| panic!("in vain: {what}"))
    }

    /// A new page.
    pub(crate) async fn page(&self) -> Page {
        Page::open(self.stack.gateway.browsers).await
    }

    /// Somebody who follows the account.
    pub(crate) fn person(&self) -> String {
        self.stack.wechat.invent_person("阿狸", true).openid
    }

    /// A back end with a certificate.
    pub(crate) fn client(&self, name: &str, key: &str) -> Client {
        let identity = Identity { certificate: self.own.certificate.clone(), key: self.own.key.clone() };
        let tls = ClientTls { ca: Some(self.ca.certificate.clone()), identity: Some(identity), name: None };
        Client::start(Settings {
            name: name.to_owned(),
            key: Key::new(&key.into()).unwrap(),
            addresses: vec![self.stack.gateway.notices.to_string()],
            tls: Some(tls),
        })
    }

    /// Lets the site's back end answer again.
    pub(crate) fn is_up(&self) {
        self.is_down.store(false, Ordering::Relaxed);
    }
}

/// Both services are one process here, which tells its own metrics at both ports.
fn callback_of(mut scrape: Scrape) -> Scrape {
    scrape.0.retain(|name, _| !name.starts_with("process_"));
    scrape
}

pub(crate) async fn ask(client: &Client, notice: Notice) -> Answer {
    client.send(notice, Instant::now() + Duration::from_secs(10)).await.unwrap()
}

/// A site's back end; gives its address.
async fn back_end(is_down: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // All of the request comes at once, as it is short.
            let _ = stream.read(&mut [0; 4096]).await;
            let status = if is_down.load(Ordering::Relaxed) { 503 } else { 200 };
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}
