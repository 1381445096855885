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
use crate::web::settings::VerifyFiles;
use crate::web::{self, Web};
use crate::wechat_server::WeChatServer;

/// The state of a callback-service.
pub(crate) struct Callback {
    pub pushes: Pushes,
    /// Where there are sites.
    pub provider: Option<Arc<Provider>>,
    /// Where people log in inside WeChat.
    pub web: Option<Web>,
    /// What WeChat asks for at the root, to know whose the domain is.
    pub verify_files: VerifyFiles,
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
    pub web: Option<web::settings::Checked>,
    /// Where browsers are sent for a web authorization.
    pub open_url: String,
    pub verify_files: VerifyFiles,
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
        let (web, open_url, verify_files) = (parts.web, parts.open_url, parts.verify_files);
        let (wechat_server, trusted_proxies, drain) =
            (parts.wechat_server, parts.trusted_proxies, parts.drain);
        let tasks = drain.tasks().clone();
        let (wechat, kept) = (account.api.clone(), Arc::clone(&store));
        let scans =
            Scans::new(gateway.clone(), account.api, store, provider.clone(), logins, metrics.clone(), tasks);
        let web = web.map(|checked| {
            let (scans, provider, metrics) = (Arc::clone(&scans), provider.clone(), metrics.clone());
            let app_id = account.push.app_id().to_owned();
            Web::new(web::Parts { checked, wechat, app_id, open_url, scans, provider, metrics }, &kept)
        });
        let at_sites = wechat_server.clone();
        let pushes = Pushes::new(account.push, replay, scans, at_sites, &pushes, texts, metrics.clone());
        Self { pushes, provider, web, verify_files, wechat_server, gateway, metrics, trusted_proxies, drain }
    }
}
