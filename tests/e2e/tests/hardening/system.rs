//! The gateway and the callback service as processes, with a simulated WeChat in the test's own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use e2e::page::{Code, Page};
use e2e::programs::Program;
use e2e::raw::{Raw, Reply};
use simulator::{Delivery, Settings, Simulator};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::process::{held, until};

/// Files that a program may open where nothing else is said: more than any of these tests uses up.
pub(crate) const PLENTY: usize = 4096;

/// How the system is put together.
pub(crate) struct Options {
    /// Files that the gateway may open.
    pub(crate) gateway_files: usize,
    /// Files that the callback service may open.
    pub(crate) callback_files: usize,
    /// What the pictures' addresses begin with, which each code brings along.
    pub(crate) qr_url: String,
    /// How long both let a connection be idle between requests.
    pub(crate) keep_alive: &'static str,
    /// Pages that the gateway may hold.
    pub(crate) max_pages: usize,
}

impl Default for Options {
    fn default() -> Self {
        let qr_url = "http://wechat.example".to_owned();
        let (gateway_files, callback_files) = (PLENTY, PLENTY);
        Self { gateway_files, callback_files, qr_url, keep_alive: "75s", max_pages: 15_000 }
    }
}

/// The system at work.
pub(crate) struct System {
    pub(crate) wechat: Simulator,
    pub(crate) gateway: Program,
    pub(crate) callback: Program,
    _store: TempDir,
}

impl System {
    pub(crate) async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let wechat = Simulator::new(Settings::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(wechat.clone().serve(listener, CancellationToken::new(), TaskTracker::new()));

        let account = wechat.settings().clone();
        let common = HashMap::from([
            ("NOTIFY_KEY", demo::NOTIFY_KEY.to_owned()),
            ("WECHAT_APP_ID", account.app_id),
            ("WECHAT_APP_SECRET", account.app_secret),
            ("WECHAT_API_URL", api),
        ]);
        let any = || "127.0.0.1:0".to_owned();
        let mut settings = common.clone();
        settings.insert("GATEWAY_LISTEN", any());
        settings.insert("GATEWAY_NOTIFY_LISTEN", any());
        settings.insert("GATEWAY_ADMIN_LISTEN", any());
        // Every page of a test comes from the same address.
        settings.insert("GATEWAY_ADDRESS_RATE", "1000000".to_owned());
        settings.insert("WECHAT_QR_URL", options.qr_url);
        settings.insert("GATEWAY_MAX_PAGES", options.max_pages.to_string());
        settings.insert("GATEWAY_KEEP_ALIVE", options.keep_alive.to_owned());
        let gateway = Program::start_within(options.gateway_files, "ws-gateway", &settings);

        let store = tempfile::tempdir().unwrap();
        let mut settings = common;
        settings.insert("CALLBACK_LISTEN", any());
        settings.insert("CALLBACK_ADMIN_LISTEN", any());
        settings.insert("CALLBACK_GATEWAY", gateway.address("notices").to_string());
        settings.insert("CALLBACK_STORE", format!("sqlite:{}", store.path().join("callback.db").display()));
        settings.insert("CALLBACK_KEEP_ALIVE", options.keep_alive.to_owned());
        settings.insert("WECHAT_TOKEN", account.token);
        settings.insert("WECHAT_AES_KEY", account.aes_key);
        let callback = Program::start_within(options.callback_files, "callback-service", &settings);
        wechat.set_push_url(format!("http://{}/wechat", callback.address("pushes")));
        let system = Self { wechat, gateway, callback, _store: store };
        system.log_in().await;
        system
    }

    /// A page that shows its code.
    pub(crate) async fn page(&self) -> (Page, Code) {
        let mut page = Page::open(self.gateway.address("browsers")).await;
        let code = page.code().await;
        (page, code)
    }

    /// Somebody scans the page's code, and the page hears of it.
    pub(crate) async fn scanned(&self, (mut page, code): (Page, Code)) -> Delivery {
        let openid = self.wechat.invent_person("", true).openid;
        let delivery = self.wechat.scan(&openid, &code.content).await.unwrap();
        assert!(delivery.is_ok(), "{delivery:?}");
        page.expect("scanned").await;
        page.expect("scan_success").await;
        delivery
    }

    /// A whole login, and how long it took.
    pub(crate) async fn log_in(&self) -> Duration {
        let began = Instant::now();
        self.scanned(self.page().await).await;
        began.elapsed()
    }

    /// A login takes less than a second `meanwhile`: the best of three, because on a machine that does other things
    /// as well any one of them may wait for the processor. What an attack slows down, it slows down thrice.
    pub(crate) async fn logs_in_at_once(&self, meanwhile: &str) {
        let took = [self.log_in().await, self.log_in().await, self.log_in().await];
        eprintln!("{meanwhile}: {took:?}");
        assert!(took.iter().min() < Some(&Duration::from_secs(1)), "{meanwhile}: {took:?}");
    }

    /// The connections that the gateway has open for browsers.
    pub(crate) fn pages_held(&self) -> usize {
        held(self.gateway.id(), self.gateway.address("browsers"))
    }

    /// The connections that the callback service has open for WeChat.
    pub(crate) fn pushes_held(&self) -> usize {
        held(self.callback.id(), self.callback.address("pushes"))
    }

    /// WeChat's own connections, which it keeps for a while after a push, are over.
    pub(crate) async fn is_unconnected(&self) {
        until("WeChat has left", || self.pushes_held() == 0).await;
    }

    /// Both operators' ports answer that all is well.
    pub(crate) async fn is_ready(&self) {
        for program in [&self.gateway, &self.callback] {
            let head = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let reply: Reply = Raw::ask(program.address("admin"), head, b"").await;
            assert_eq!((reply.status, reply.body.as_str()), (200, "ready\n"));
        }
    }
}
