//! A gateway without ports, for the tests of what it says to pages and to clients.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, ready};
use parking_lot::Mutex;
use protocol::Scene;
use secrecy::SecretString;
use tokio::time::{Instant, sleep};
use wechat::Meter;

use crate::Gateway;
use crate::account::{Account, Accounts};
use crate::browsers::assets::LoginPage;
use crate::codes::admission::Addresses;
use crate::codes::{Budget, Free, NoQrCode, Purse, Ready, Source, Unscanned};
use crate::config::{Config, Secrets};
use crate::gateway::Parts;
use crate::logins::seats::Pages;
use crate::logins::{Logins, QrCode};
use crate::metrics::Metrics;
use crate::notices::credentials::Credentials;

/// The key of the client `callback`.
pub(crate) const KEY: &str = "a key for tests: 32 bytes or more";

/// Gives codes, after as many failures as it is told.
struct Codes {
    failures: Mutex<u32>,
}

impl Source for Codes {
    fn ask<'a>(&'a self, scene: Scene, _: &'a Purse<'a>) -> BoxFuture<'a, Result<QrCode, NoQrCode>> {
        let mut failures = self.failures.lock();
        if let Some(left) = failures.checked_sub(1) {
            *failures = left;
            return ready(Err(NoQrCode::Slow)).boxed();
        }
        ready(Ok(code_of(scene))).boxed()
    }
}

/// A code that shows its scene. WeChat's codes do not.
pub(crate) fn code_of(scene: Scene) -> QrCode {
    let url = format!("http://pictures/{scene}");
    QrCode::Account { url, content: format!("http://weixin.qq.com/q/{scene}") }
}

/// A WeChat that takes some time for each code, and fails as often as it is told.
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
        self.asked.lock().len()
    }

    pub(crate) fn feels(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }
}

impl Source for Arc<PlayedWeChat> {
    fn ask<'a>(&'a self, scene: Scene, purse: &'a Purse<'a>) -> BoxFuture<'a, Result<QrCode, NoQrCode>> {
        self.answer(scene, purse).boxed()
    }
}

impl PlayedWeChat {
    async fn answer(&self, scene: Scene, purse: &Purse<'_>) -> Result<QrCode, NoQrCode> {
        let mood = *self.mood.lock();
        let call = "qrcode/create";
        let tries = match mood {
            Mood::Refuses => {
                let message = "api unauthorized".to_owned();
                return Err(NoQrCode::Refused(wechat::Error::Api { code: 48001, message, call }));
            }
            Mood::Unreachable => {
                let receipt = purse.pay().await?;
                sleep(self.takes).await;
                purse.refund(receipt).await;
                let reason = "connection refused".to_owned();
                return Err(NoQrCode::Refused(wechat::Error::Unreachable { call, reason }));
            }
            Mood::Busy => 3,
            Mood::Well => 1,
        };
        for _ in 0..tries {
            let _receipt = purse.pay().await?;
            self.asked.lock().push(scene);
            sleep(self.takes).await;
        }
        let mut failures = self.failures.lock();
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

/// Default settings, but for these flags.
pub(crate) fn config(flags: &[&str]) -> Config {
    let secrets = Secrets {
        notify_key: Some(SecretString::from(KEY)),
        wechat_app_secret: Some("secret".into()),
        ..Secrets::default()
    };
    Config::of(&[&["--wechat-app-id", "wx0123456789abcdef"], flags].concat(), secrets).unwrap()
}

/// How long the drain of [`gateway_with`] takes.
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(8);

/// A gateway with default settings, whose first `failures` QR codes cannot be had.
pub(crate) fn gateway_with(failures: u32) -> Gateway {
    gateway_of(&[], failures)
}

/// The same with these flags.
pub(crate) fn gateway_of(flags: &[&str], failures: u32) -> Gateway {
    let Config { browsers, notices, files, codes, officials, .. } = config(flags);
    let (pages, metrics) = (Arc::new(Pages::default()), Metrics::default());
    let budget = Budget::new(codes.qr_per_day, None, noon);
    let unscanned = Unscanned::new(codes.qr_per_day, codes.address_rate, None);
    let (source, ahead) = (Box::new(Codes { failures: Mutex::new(failures) }), 0);
    let qr = Ready::new(source, budget, unscanned, ahead, codes.login_ttl, &metrics.of_account(""));
    let presented = officials[0].presented.clone();
    let first = Account::new(None, presented, qr, Free::new(None));
    Gateway::new(Parts {
        login_page: LoginPage::new(&officials, &browsers, codes.qr_url()),
        login_ttl: codes.login_ttl,
        drain_time: DRAIN_TIME,
        most_clients: notices.max_clients,
        credentials: Credentials::new(files, notices.max_clients),
        logins: Arc::new(Logins::in_memory(Arc::clone(&pages), 200_000)),
        pages,
        accounts: Arc::new(Accounts::new([first])),
        addresses: Addresses::new(codes.address_rate, None),
        metrics,
        browsers,
    })
}
