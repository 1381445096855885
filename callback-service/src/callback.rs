//! What every request of this service shares.

use std::sync::Arc;

use ipnet::IpNet;
use protocol::Client;
use server::stop::Drain;
use wechat::Account;

use crate::logins::words::Texts;
use crate::logins::{self, Scans};
use crate::metrics::Metrics;
use crate::provider::Provider;
use crate::pushes::{self, Pushes, ReplayGuard};
use crate::store::Store;
use crate::wechat_server::WeChatServer;

/// The state of a callback-service.
pub(crate) struct Callback {
    pub pushes: Pushes,
    /// Where there are sites.
    pub provider: Option<Arc<Provider>>,
    /// Where its protocol is spoken.
    pub wechat_server: Option<Arc<WeChatServer>>,
    pub gateway: Client,
    pub metrics: Metrics,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNet>,
    pub drain: Drain,
}

/// What a [`Callback`] is put together from.
pub(crate) struct Parts {
    pub account: Account,
    pub replay: Option<ReplayGuard>,
    pub gateway: Client,
    pub store: Arc<Store>,
    pub provider: Option<Arc<Provider>>,
    pub wechat_server: Option<Arc<WeChatServer>>,
    pub metrics: Metrics,
    pub logins: logins::Checked,
    pub pushes: pushes::Settings,
    pub texts: Texts,
    pub trusted_proxies: Vec<IpNet>,
    pub drain: Drain,
}

impl Callback {
    /// Puts a callback-service together.
    #[must_use]
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { account, replay, gateway, store, provider, metrics, logins, pushes, texts, .. } = parts;
        let (wechat_server, trusted_proxies, drain) =
            (parts.wechat_server, parts.trusted_proxies, parts.drain);
        let tasks = drain.tasks().clone();
        let scans =
            Scans::new(gateway.clone(), account.api, store, provider.clone(), logins, metrics.clone(), tasks);
        let at_sites = wechat_server.clone();
        let pushes = Pushes::new(account.push, replay, scans, at_sites, &pushes, texts, metrics.clone());
        Self { pushes, provider, wechat_server, gateway, metrics, trusted_proxies, drain }
    }
}
