//! Several gateways and callback services as real processes on one Redis. A test may kill, stop and start each
//! one again; it keeps its ports.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitStatus;
use std::time::Duration;

use simulator::{Settings, Simulator};
use test_redis::free_port;
use tokio::net::TcpListener;
use tokio::task::block_in_place;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::programs::Program;
use crate::proxy::{Place, Proxy};

/// The key of the internal ports.
pub const NOTIFY_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The setup of a fleet.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The gateways' URL of Redis.
    pub gateway_store: String,
    /// The callback services' URL of Redis.
    pub callback_store: String,
    /// The number of gateways.
    pub gateways: usize,
    /// The number of callback services.
    pub callbacks: usize,
    /// More settings for the gateways.
    pub gateway: Vec<(&'static str, String)>,
    /// Whether people log in by every way: pages show a code to type, and logins open inside WeChat.
    pub all_ways: bool,
    /// The addresses at which callback services reach the gateways' internal ports. Empty: the ports
    /// themselves.
    pub notices: Vec<SocketAddr>,
}

impl Options {
    /// One gateway and one callback service, which keep everything in memory.
    #[must_use]
    pub fn one_of_each() -> Self {
        Self {
            gateway_store: "memory:".to_owned(),
            callback_store: "sqlite::memory:".to_owned(),
            gateways: 1,
            callbacks: 1,
            ..Self::default()
        }
    }
}

/// The fleet. Dropping it kills every process.
pub struct Fleet {
    /// The simulated WeChat, which gives nicknames.
    pub wechat: Simulator,
    /// The gateways.
    pub gateways: Vec<Node>,
    /// The callback services.
    pub callbacks: Vec<Node>,
    /// The proxy between WeChat and the callback services.
    pub pushes: Proxy,
    _wechat: DropGuard,
}

/// One process of the fleet, running or not.
pub struct Node {
    name: &'static str,
    settings: HashMap<&'static str, String>,
    /// The folder of another build's programs.
    pub folder: Option<std::path::PathBuf>,
    /// The port for browsers, or for WeChat.
    pub public: SocketAddr,
    /// The port for operators.
    pub admin: SocketAddr,
    /// The internal port of a gateway.
    pub notices: SocketAddr,
    program: Option<Program>,
}

fn address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

impl Fleet {
    /// Prepares a fleet. [`Node::start`] starts one of its processes.
    pub async fn prepare(options: Options) -> Self {
        let answer_within = Duration::from_millis(4500);
        let settings = Settings { nicknames: true, answer_within, ..Settings::default() };
        let wechat = Simulator::new(settings).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(wechat.clone().serve(listener, stop.clone(), TaskTracker::new()));
        let account = wechat.settings();
        let common = HashMap::from([
            ("WECHAT_APP_ID", account.app_id.clone()),
            ("WECHAT_APP_SECRET", account.app_secret.clone()),
            ("WECHAT_API_URL", api),
            ("NOTIFY_KEY", NOTIFY_KEY.to_owned()),
        ]);
        let gateways: Vec<Node> = (0..options.gateways)
            .map(|_| {
                let (public, admin, notices) = (address(), address(), address());
                let mut settings = common.clone();
                settings.extend([
                    ("GATEWAY_LISTEN", public.to_string()),
                    ("GATEWAY_NOTIFY_LISTEN", notices.to_string()),
                    ("GATEWAY_ADMIN_LISTEN", admin.to_string()),
                    ("GATEWAY_STORE", options.gateway_store.clone()),
                    ("GATEWAY_ADDRESS_RATE", "1000000".to_owned()),
                ]);
                if options.all_ways {
                    settings.insert("GATEWAY_WAYS", "scan,typed".to_owned());
                }
                settings.extend(options.gateway.iter().cloned());
                Node { name: "ws-gateway", settings, folder: None, public, admin, notices, program: None }
            })
            .collect();
        let notices = match options.notices.is_empty() {
            true => gateways.iter().map(|gateway| gateway.notices).collect(),
            false => options.notices,
        };
        let notices = notices.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let callbacks: Vec<Node> = (0..options.callbacks)
            .map(|_| {
                let (public, admin) = (address(), address());
                let mut settings = common.clone();
                settings.extend([
                    ("CALLBACK_LISTEN", public.to_string()),
                    ("CALLBACK_ADMIN_LISTEN", admin.to_string()),
                    ("CALLBACK_GATEWAY", notices.clone()),
                    ("CALLBACK_STORE", options.callback_store.clone()),
                    // Tests count notices.
                    ("CALLBACK_PROBE_EVERY", "off".to_owned()),
                    ("WECHAT_TOKEN", account.token.clone()),
                    ("WECHAT_AES_KEY", account.aes_key.clone()),
                    ("WECHAT_ORIGINAL_ID", account.original_id.clone()),
                ]);
                let (name, folder, notices) = ("callback-service", None, public);
                Node { name, settings, folder, public, admin, notices, program: None }
            })
            .collect();
        let pushes = Proxy::balance(&places(&callbacks)).await;
        wechat.set_push_url(format!("http://{}/wechat", pushes.address()));
        let fleet = Self { wechat, gateways, callbacks, pushes, _wechat: stop.drop_guard() };
        if options.all_ways { fleet.with_web() } else { fleet }
    }

    /// Logins open inside WeChat, too.
    fn with_web(mut self) -> Self {
        let web = self.web();
        for callback in &mut self.callbacks {
            callback.set("CALLBACK_WEB_AUTHORIZATION", "base".to_owned());
            callback.set("CALLBACK_PUBLIC_URL", web.clone());
            // All phones have one address.
            callback.set("CALLBACK_ADDRESS_RATE", "1000000".to_owned());
        }
        self
    }

    /// Prepares a fleet and starts all of its processes.
    pub async fn start(options: Options) -> Self {
        let mut fleet = Self::prepare(options).await;
        for node in fleet.gateways.iter_mut().chain(&mut fleet.callbacks) {
            node.start();
        }
        fleet.until_ready().await;
        fleet
    }

    /// Waits until every running process is ready.
    pub async fn until_ready(&self) {
        for node in self.gateways.iter().chain(&self.callbacks) {
            if node.is_running() {
                node.until_ready().await;
            }
        }
        for callback in self.callbacks.iter().filter(|callback| callback.is_running()) {
            self.pushes.until_ready(callback.public, true).await;
        }
    }

    /// Where phones open the pages of logins: the proxy between WeChat and the callback services.
    #[must_use]
    pub fn web(&self) -> String {
        format!("http://{}", self.pushes.address())
    }

    /// The gateways' addresses for browsers.
    #[must_use]
    pub fn browsers(&self) -> Vec<SocketAddr> {
        self.gateways.iter().map(|gateway| gateway.public).collect()
    }

    /// The gateways as places of a balancer.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        places(&self.gateways)
    }
}

fn places(nodes: &[Node]) -> Vec<Place> {
    nodes.iter().map(|node| Place { address: node.public, admin: node.admin }).collect()
}

impl Node {
    /// Starts it on its ports, and waits until it listens.
    pub fn start(&mut self) {
        let (name, folder) = (self.name, self.folder.as_deref());
        self.program = Some(block_in_place(|| Program::start_from(folder, name, &self.settings)));
    }

    /// Changes a setting. The next start uses it.
    pub fn set(&mut self, name: &'static str, value: String) {
        self.settings.insert(name, value);
    }

    /// Its settings, for a command beside it.
    #[must_use]
    pub fn settings(&self) -> &HashMap<&'static str, String> {
        &self.settings
    }

    /// Whether it was started and has not been ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.program.is_some()
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut program) = self.program.take() {
            block_in_place(|| program.kill());
        }
    }

    /// Asks it to end, and waits until it has ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        let mut program = self.program.take().unwrap();
        tokio::task::spawn_blocking(move || program.terminate()).await.unwrap()
    }

    /// Its process.
    #[must_use]
    pub fn program(&self) -> &Program {
        self.program.as_ref().unwrap()
    }

    /// Its process, to end it.
    pub fn program_mut(&mut self) -> &mut Program {
        self.program.as_mut().unwrap()
    }

    /// Waits until `/readyz` answers that it is ready.
    pub async fn until_ready(&self) {
        let url = format!("http://{}/readyz", self.admin);
        let ready = async {
            loop {
                if reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(crate::page::PATIENCE, ready).await.expect("it gets ready");
    }

    /// One value of `/metrics`.
    pub async fn metric(&self, name: &str) -> u64 {
        let page =
            reqwest::get(format!("http://{}/metrics", self.admin)).await.unwrap().text().await.unwrap();
        let line = page.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name}")).rsplit(' ').next().unwrap().parse().unwrap()
    }
}
