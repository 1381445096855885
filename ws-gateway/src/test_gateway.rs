//! A gateway without ports, for the tests of what it says to pages and to clients.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, ready};
use protocol::Scene;
use secrecy::SecretString;
use service::stop::Drain;

use crate::Gateway;
use crate::config::{Config, Secrets};
use crate::logins::{MemoryLogins, QrCode};
use crate::metrics::Metrics;
use crate::pages::Pages;
use crate::qr::{NoQrCode, QrCodes};

/// The key of the client `callback`.
pub(crate) const KEY: &str = "a key for tests: 32 bytes or more";

/// Gives codes, after as many failures as it is told.
struct Codes {
    failures: Mutex<u32>,
}

impl QrCodes for Codes {
    fn make(&self, scene: Scene) -> BoxFuture<'_, Result<QrCode, NoQrCode>> {
        let mut failures = self.failures.lock().unwrap();
        if let Some(left) = failures.checked_sub(1) {
            *failures = left;
            return ready(Err(NoQrCode::Slow)).boxed();
        }
        let url = format!("http://pictures/{scene}");
        ready(Ok(QrCode { url, content: format!("http://weixin.qq.com/q/{scene}") })).boxed()
    }
}

/// A gateway with default settings, whose first `failures` QR codes cannot be had.
pub(crate) fn gateway_with(failures: u32) -> Gateway {
    let secrets =
        Secrets { notify_key: Some(SecretString::from(KEY)), wechat_app_secret: Some("secret".into()) };
    let config = Config::of(&["--wechat-app-id", "wx0123456789abcdef"], secrets).unwrap();
    let pages = Arc::new(Pages::default());
    Gateway {
        clients: config.clients().unwrap(),
        page: Bytes::new(),
        logins: Arc::new(MemoryLogins::new(Arc::clone(&pages), config.gateway_max_logins)),
        pages,
        qr: Arc::new(Codes { failures: Mutex::new(failures) }),
        metrics: Metrics::default(),
        is_out_of_codes: false.into(),
        drain: Drain::new(config.gateway_drain_time),
        config,
    }
}
