//! `callback-service doctor`, beside a service and without one.

mod front;
mod gateways;
mod pushes;
mod settings;
mod sites;
mod store;
mod wechat;

use std::collections::HashMap;
use std::net::Ipv4Addr;

use e2e::fleet::NOTIFY_KEY;
use e2e::programs::{Program, output};
use serde_json::Value;
use server::listen;
use simulator::Simulator;
use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::seen::{Seen, on_loopback};

const PROGRAM: &str = "callback-service";

/// A simulated WeChat, and the settings of both services there, which may run.
struct Place {
    wechat: Simulator,
    folder: TempDir,
    settings: HashMap<&'static str, String>,
    gateway: HashMap<&'static str, String>,
    running: Vec<Program>,
    _stop: DropGuard,
}

impl Place {
    async fn new() -> Self {
        Self::with(simulator::Settings::default()).await
    }

    async fn with(account: simulator::Settings) -> Self {
        let wechat = Simulator::new(account).unwrap();
        let listener = listen::bind("WeChat", (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(wechat.clone().serve(listener, stop.clone(), TaskTracker::new()));
        let folder = tempfile::tempdir().unwrap();
        let account = wechat.settings();
        let common = HashMap::from([
            ("WECHAT_API_URL", api),
            ("WECHAT_APP_ID", account.app_id.clone()),
            ("WECHAT_APP_SECRET", account.app_secret.clone()),
            ("NOTIFY_KEY", NOTIFY_KEY.to_owned()),
        ]);
        let notices = on_loopback();
        let (mut settings, mut gateway) = (common.clone(), common);
        settings.extend([
            ("WECHAT_TOKEN", account.token.clone()),
            ("WECHAT_AES_KEY", account.aes_key.clone()),
            ("CALLBACK_LISTEN", on_loopback().to_string()),
            ("CALLBACK_ADMIN_LISTEN", on_loopback().to_string()),
            ("CALLBACK_GATEWAY", notices.to_string()),
            ("CALLBACK_MAX_CONNECTIONS", "100".to_owned()),
            ("CALLBACK_STORE", format!("sqlite:{}", folder.path().join("callback.db").display())),
        ]);
        gateway.extend([
            ("GATEWAY_LISTEN", on_loopback().to_string()),
            ("GATEWAY_NOTIFY_LISTEN", notices.to_string()),
            ("GATEWAY_ADMIN_LISTEN", on_loopback().to_string()),
            ("GATEWAY_QR_READY", "0".to_owned()),
        ]);
        settings.insert("CALLBACK_PROBE_URL", format!("http://{}", gateway["GATEWAY_LISTEN"]));
        wechat.set_push_url(format!("http://{}/wechat", settings["CALLBACK_LISTEN"]));
        Self { wechat, folder, settings, gateway, running: Vec::new(), _stop: stop.drop_guard() }
    }

    /// The same, with both services running.
    async fn running() -> Self {
        let mut place = Self::new().await;
        place.start_gateway();
        place.start();
        place
    }

    fn start_gateway(&mut self) {
        self.running.push(block_in_place(|| Program::start("ws-gateway", &self.gateway)));
    }

    /// Starts the service with the present settings.
    fn start(&mut self) {
        self.running.push(block_in_place(|| Program::start(PROGRAM, &self.settings)));
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.insert(name, value.into());
    }

    /// The address of WeChat's pushes, without anything between.
    fn url(&self) -> String {
        format!("http://{}/wechat", self.settings["CALLBACK_LISTEN"])
    }

    /// Asks the doctor with the present settings.
    fn doctor(&self, flags: &[&str]) -> Seen {
        let words = [&["doctor", "--json", "--lang", "en"], flags].concat();
        let ended = block_in_place(|| output(PROGRAM, &self.settings, &words));
        Seen::of(&ended)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_beside_a_service_that_runs_and_nothing_is_changed() {
    let place = Place::running().await;
    let seen = place.doctor(&["--url", &place.url()]);
    let names: Vec<_> = seen.json["categories"].as_array().unwrap().iter().collect();
    let names: Vec<_> = names.iter().map(|it| it["categoryName"].as_str().unwrap()).collect();
    assert_eq!(names, ["settings", "system", "wechat", "callback", "gateway", "delivery", "store"]);
    for name in names.iter().filter(|name| **name != "callback") {
        seen.is_well(name);
    }
    // Tests cannot have port 80.
    let told: Vec<_> =
        seen.checks("callback").into_iter().filter(|check| check["result"] != "success").collect();
    assert!(told.len() == 1 && told[0]["hint"].as_str().unwrap().contains("port 80"), "{told:#?}");
    assert_eq!((seen.code, &seen.json["success"]), (0, &Value::Bool(true)));
    assert_eq!(place.wechat.counters().qr_calls, 0, "no QR code was made");
    let store = place.folder.path().join("callback.db");
    let records = rusqlite::Connection::open(store).unwrap();
    let left: i64 = records.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "no record is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_service_it_says_what_it_could_not_see() {
    let place = Place::new().await;
    let seen = place.doctor(&["--only", "callback,store,wechat"]);
    assert_eq!(seen.code, 0, "nothing that it saw is wrong: {:#}", seen.json);
    seen.has("callback", "warning", "nothing answers at 127.0.0.1:", "start");
    seen.has("callback", "warning", "it is not known", "--url");
    seen.is_well("store");
    seen.is_well("wechat");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_when_what_failed_is_well() {
    let mut place = Place::new().await;
    place.start_gateway();
    let gateway = place.running.pop().unwrap();
    drop(gateway);
    let words = ["doctor", "--json", "--only", "gateway", "--wait", "60s"];
    let mut waiting = e2e::programs::command(PROGRAM, &place.settings);
    let waiting = waiting.args(words).stdout(std::process::Stdio::piped()).spawn().unwrap();
    assert_eq!(place.doctor(&["--only", "gateway"]).code, 1, "there is none yet");
    place.start_gateway();
    let ended = tokio::task::spawn_blocking(|| waiting.wait_with_output()).await.unwrap().unwrap();
    Seen::of(&ended).is_well("gateway");
}
