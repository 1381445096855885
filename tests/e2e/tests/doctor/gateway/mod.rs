//! `ws-gateway doctor`, beside a gateway and without one.

mod browsers;
mod internal;
mod settings;
mod wechat;

use std::collections::HashMap;
use std::net::Ipv4Addr;

use e2e::fleet::NOTIFY_KEY;
use e2e::programs::{Program, output};
use serde_json::Value;
use server::listen;
use simulator::Simulator;
use tokio::task::block_in_place;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::seen::{Seen, on_loopback};

const PROGRAM: &str = "ws-gateway";

/// A simulated WeChat, and the settings of a gateway there, which may run.
struct Place {
    wechat: Simulator,
    settings: HashMap<&'static str, String>,
    running: Option<Program>,
    _stop: DropGuard,
}

impl Place {
    async fn new() -> Self {
        let wechat = Simulator::new(simulator::Settings::default()).unwrap();
        let listener = listen::bind("WeChat", (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let api = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(wechat.clone().serve(listener, stop.clone(), TaskTracker::new()));
        let account = wechat.settings();
        let settings = HashMap::from([
            ("WECHAT_API_URL", format!("http://{api}")),
            ("WECHAT_APP_ID", account.app_id.clone()),
            ("WECHAT_APP_SECRET", account.app_secret.clone()),
            ("NOTIFY_KEY", NOTIFY_KEY.to_owned()),
            ("GATEWAY_LISTEN", on_loopback().to_string()),
            ("GATEWAY_NOTIFY_LISTEN", on_loopback().to_string()),
            ("GATEWAY_ADMIN_LISTEN", on_loopback().to_string()),
            ("GATEWAY_QR_READY", "0".to_owned()),
            ("GATEWAY_MAX_PAGES", "100".to_owned()),
            ("GATEWAY_MAX_CLIENTS", "10".to_owned()),
        ]);
        Self { wechat, settings, running: None, _stop: stop.drop_guard() }
    }

    /// The same, with a gateway that runs.
    async fn running() -> Self {
        let mut place = Self::new().await;
        place.start();
        place
    }

    /// Starts the gateway with the present settings.
    fn start(&mut self) {
        self.running = None;
        self.running = Some(block_in_place(|| Program::start(PROGRAM, &self.settings)));
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.insert(name, value.into());
    }

    /// Asks the doctor with the present settings.
    fn doctor(&self, flags: &[&str]) -> Seen {
        let words = [&["doctor", "--json", "--lang", "en"], flags].concat();
        let ended = block_in_place(|| output(PROGRAM, &self.settings, &words));
        Seen::of(&ended)
    }

    /// The address of the browsers' port as a URL.
    fn gateway_url(&self) -> String {
        format!("http://{}", self.settings["GATEWAY_LISTEN"])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_beside_a_gateway_that_runs_and_no_code_is_taken() {
    let place = Place::running().await;
    let seen = place.doctor(&["--gateway-url", &place.gateway_url()]);
    let names: Vec<_> = seen.json["categories"].as_array().unwrap().iter().collect();
    let names: Vec<_> = names.iter().map(|it| it["categoryName"].as_str().unwrap()).collect();
    assert_eq!(names, ["settings", "system", "wechat", "gateway", "browsers", "store"]);
    names.iter().for_each(|name| seen.is_well(name));
    assert_eq!((seen.code, &seen.json["success"]), (0, &Value::Bool(true)));
    assert_eq!(place.wechat.counters().qr_calls, 0);
    let made = place.doctor(&["--only", "wechat", "--make-qr-code"]);
    assert!(made.checks("wechat").iter().any(|it| it["description"] == "WeChat makes a QR code"));
    assert_eq!(place.wechat.counters().qr_calls, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_gateway_it_says_what_it_could_not_see() {
    let place = Place::new().await;
    let seen = place.doctor(&[]);
    assert_eq!(seen.code, 0, "nothing that it saw is wrong: {:#}", seen.json);
    seen.has("gateway", "warning", "nothing answers at 127.0.0.1:", "start it");
    seen.has("gateway", "warning", "nothing answers at 127.0.0.1:", "start the gateway");
    seen.has("browsers", "warning", "nothing answers at 127.0.0.1:", "start the gateway");
    seen.has("browsers", "warning", "the address is not known here", "--gateway-url");
}
