//! A gateway without ports, for the tests of what it says to pages and to clients.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, ready};
use protocol::Scene;
use secrecy::SecretString;
use tokio::time::{Instant, sleep};
use wechat::Meter;

use crate::Gateway;
use crate::codes::admission::Addresses;
use crate::codes::{NoQrCode, Pictures, QrCodes, Source};
use crate::config::{Config, Secrets};
use crate::gateway::Parts;
use crate::logins::seats::Pages;
use crate::logins::{MemoryLogins, QrCode};
use crate::metrics::Metrics;
use crate::notices::credentials::Credentials;

/// The key of the client `callback`.
pub(crate) const KEY: &str = "a key for tests: 32 bytes or more";

/// Gives codes, after as many failures as it is told.
struct Codes {
    failures: Mutex<u32>,
}

impl QrCodes for Codes {
    fn take(&self, _: IpAddr) -> BoxFuture<'_, Result<(Scene, QrCode), NoQrCode>> {
        let mut failures = self.failures.lock().unwrap();
        if let Some(left) = failures.checked_sub(1) {
            *failures = left;
            return ready(Err(NoQrCode::Slow)).boxed();
        }
        let scene = Scene::random();
        ready(Ok((scene, code_of(scene)))).boxed()
    }

    fn scanned(&self, _: IpAddr) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// A code that says its scene, as WeChat's do not.
pub(crate) fn code_of(scene: Scene) -> QrCode {
    let url = format!("http://pictures/{scene}");
    QrCode { url, content: format!("http://weixin.qq.com/q/{scene}") }
}

/// A WeChat that takes its time over each code, and fails as often as it is told.
pub(crate) struct PlayedWeChat {
    pub takes: Duration,
    pub failures: Mutex<usize>,
    pub mood: Mutex<Mood>,
    /// The scenes that it was asked for.
    pub asked: Mutex<Vec<Scene>>,
}

/// How WeChat takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// The first try is answered.
    Well,
    /// The third try is.
    Busy,
    /// It has refused lately, and is not asked.
    Refuses,
    /// Nobody gets a connection.
    Unreachable,
}

impl PlayedWeChat {
    pub(crate) fn new(takes: Duration) -> Arc<Self> {
        let (failures, mood, asked) = (Mutex::default(), Mutex::new(Mood::Well), Mutex::default());
        Arc::new(Self { takes, failures, mood, asked })
    }

    pub(crate) fn calls(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    pub(crate) fn feels(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

impl Source for Arc<PlayedWeChat> {
    async fn ask<M>(&self, scene: Scene, meter: &M) -> Result<QrCode, NoQrCode>
    where
        M: Meter<Refusal = NoQrCode>,
    {
        let mood = *self.mood.lock().unwrap();
        let call = "qrcode/create";
        let tries = match mood {
            Mood::Refuses => {
                let message = "api unauthorized".to_owned();
                return Err(NoQrCode::Refused(wechat::Error::Api { code: 48001, message, call }));
            }
            Mood::Unreachable => {
                let receipt = meter.pay().await?;
                sleep(self.takes).await;
                meter.refund(receipt).await;
                let reason = "connection refused".to_owned();
                return Err(NoQrCode::Refused(wechat::Error::Unreachable { call, reason }));
            }
            Mood::Busy => 3,
            Mood::Well => 1,
        };
        for _ in 0..tries {
            let _receipt = meter.pay().await?;
            self.asked.lock().unwrap().push(scene);
            sleep(self.takes).await;
        }
        let mut failures = self.failures.lock().unwrap();
        match failures.checked_sub(1) {
            Some(left) => *failures = left,
            None => return Ok(code_of(scene)),
        }
        Err(NoQrCode::Slow)
    }
}

thread_local! {
    static BEGAN: Instant = Instant::now();
    static STOOD_STILL: Cell<u64> = const { Cell::new(0) };
}

/// The wall clock: noon in China when a test begins, and then as late as the test's own clock says.
pub(crate) fn noon() -> u64 {
    4 * 3600 + STOOD_STILL.get() + BEGAN.with(Instant::elapsed).as_secs()
}

/// The machine stands still: only the wall clock goes on.
pub(crate) fn stand_still(seconds: u64) {
    STOOD_STILL.set(STOOD_STILL.get() + seconds);
}

/// A gateway with default settings, whose first `failures` QR codes cannot be had.
pub(crate) fn gateway_with(failures: u32) -> Gateway {
    let secrets = Secrets {
        notify_key: Some(SecretString::from(KEY)),
        wechat_app_secret: Some("secret".into()),
        ..Secrets::default()
    };
    let config = Config::of(&["--wechat-app-id", "wx0123456789abcdef"], secrets).unwrap();
    let (pages, metrics) = (Arc::new(Pages::default()), Metrics::default());
    let parts = Parts {
        credentials: Credentials::new(&config, config.gateway_max_clients).unwrap(),
        logins: Arc::new(MemoryLogins::new(Arc::clone(&pages), config.gateway_max_logins)),
        pages,
        qr: Arc::new(Codes { failures: Mutex::new(failures) }),
        pictures: Pictures::new(&metrics),
        addresses: Addresses::new(config.gateway_address_rate, None),
        metrics,
    };
    Gateway::new(config, parts)
}
