//! The internal port as other back ends meet it: real programs, keys and certificates that change while notices
//! flow, many clients at once, and the program `notify`.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod keys;
mod load;
mod notify;
mod probe;
mod tls;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::fleet::{Fleet, Options};
use e2e::page::{PATIENCE, Page};
use protocol::client::{Link, Settings};
use protocol::message::Status;
use protocol::tls::ClientTls;
use protocol::{Client, Key, Notice, Scene};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const SHOP_KEY: &str = "the shop's key, of 32 bytes or more";

/// A gateway in memory, and a callback service that is not started.
struct Port {
    fleet: Fleet,
    folder: TempDir,
    clients: PathBuf,
}

impl Port {
    /// Starts a gateway with this file of clients, and `callback` beside them by `NOTIFY_KEY`.
    async fn start(clients: &str) -> Self {
        Self::start_with(clients, |_, _| Vec::new()).await
    }

    /// The same, with more settings.
    async fn start_with(
        clients: &str,
        more: impl FnOnce(&TempDir, &Fleet) -> Vec<(&'static str, String)>,
    ) -> Self {
        let mut fleet = Fleet::prepare(Options::one_of_each()).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clients.toml");
        std::fs::write(&file, clients).unwrap();
        let more = more(&folder, &fleet);
        let gateway = &mut fleet.gateways[0];
        gateway.set("GATEWAY_NOTIFY_CLIENTS", file.to_str().unwrap().to_owned());
        for (name, value) in more {
            gateway.set(name, value);
        }
        gateway.start();
        Self { fleet, folder, clients: file }
    }

    fn address(&self) -> String {
        self.fleet.gateways[0].notices.to_string()
    }

    /// A client that speaks as the settings say, and keeps at it.
    fn client(&self, name: &str, key: &str, tls: Option<ClientTls>) -> Client {
        let key = Key::new(&key.into()).unwrap();
        Client::start(Settings { name: name.to_owned(), key, addresses: vec![self.address()], tls })
    }

    async fn page(&self) -> (Page, Scene) {
        let mut page = Page::open(self.fleet.gateways[0].public).await;
        let scene = page.code().await.scene().parse().unwrap();
        (page, scene)
    }

    /// Replaces the file of clients and lets the gateway read it; gives what it logs about that.
    async fn replace(&self, clients: &str) -> String {
        std::fs::write(&self.clients, clients).unwrap();
        self.read_again("the clients ").await
    }

    /// Sends SIGHUP and waits until the gateway has logged a line with this word.
    async fn read_again(&self, word: &str) -> String {
        let program = self.fleet.gateways[0].program();
        let mut log = program.log();
        log.clear();
        program.hang_up();
        let told = async {
            while !log.contains(word) {
                tokio::time::sleep(Duration::from_millis(5)).await;
                log += &program.log();
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("it says so");
        log
    }

    async fn metric(&self, name: &str) -> u64 {
        self.fleet.gateways[0].metric(name).await
    }

    async fn metric_becomes(&self, name: &str, wanted: u64) {
        let reached = async {
            while self.metric(name).await != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{name} is not {wanted}"));
    }
}

fn entry(name: &str, keys: &[&str], may: &[&str]) -> String {
    format!("[[client]]\nname = {name:?}\nkeys = {keys:?}\nmay = {may:?}\n")
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

async fn status(client: &Client, notice: Notice) -> Status {
    client.send(notice, soon()).await.unwrap().status
}

fn scan(scene: Scene, by: &str) -> Notice {
    Notice::Scan { scene, nickname: None, code: None, by: Some(by.to_owned()) }
}

/// What became of a client that is not wanted, or that does not want the gateway.
async fn turned_away(client: &Client) -> Link {
    let is_over = |link: &Link| matches!(link, Link::Refused { .. } | Link::Broken(_));
    tokio::time::timeout(PATIENCE, client.wait_for(is_over)).await.expect("it is turned away")
}

/// Notices that flow until they are stopped, four at a time, and what came of them by their status.
struct Flow {
    stop: Arc<AtomicBool>,
    task: JoinHandle<HashMap<Status, u32>>,
}

impl Flow {
    fn start(client: &Client, scene: Scene) -> Self {
        let (stop, client) = (Arc::new(AtomicBool::new(false)), client.clone());
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut counts = HashMap::new();
            while !stopped.load(Ordering::Relaxed) {
                let ask = || status(&client, Notice::Query { scene });
                let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
                for status in [a, b, c, d] {
                    *counts.entry(status).or_default() += 1;
                }
            }
            counts
        });
        Self { stop, task }
    }

    /// Stops it; every notice must have been answered `ok`.
    async fn end(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        let counts = self.task.await.unwrap();
        assert_eq!(counts.keys().collect::<Vec<_>>(), [&Status::Ok], "{counts:?}");
        counts[&Status::Ok]
    }
}
