//! What every request of this service shares.

use std::sync::Arc;

use ipnet::IpNet;
use protocol::Client;
use server::stop::Drain;

use crate::account::Official;
use crate::logins::words::Texts;
use crate::logins::{self, Scans, Shared};
use crate::metrics::Metrics;
use crate::provider::Provider;
use crate::pushes::doors::Doors;
use crate::pushes::{self, Bodies, Pushes, ReplayGuard};
use crate::store::Store;

/// The state of a callback-service.
pub(crate) struct Callback {
    /// WeChat's, one for each official account.
    pub doors: Doors,
    /// Where there are sites.
    pub provider: Option<Arc<Provider>>,
    pub gateway: Client,
    pub metrics: Metrics,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNet>,
    pub drain: Drain,
}

/// What a [`Callback`] is put together from.
pub(crate) struct Parts {
    /// The official accounts, each with its guard where its pushes come in plaintext mode.
    pub accounts: Vec<(Official, Option<ReplayGuard>)>,
    pub gateway: Client,
    pub store: Arc<Store>,
    pub provider: Option<Arc<Provider>>,
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
        let Parts { accounts, gateway, store, provider, metrics, logins, pushes, texts, .. } = parts;
        let (trusted_proxies, drain) = (parts.trusted_proxies, parts.drain);
        // What all accounts share: none of them may use up more of this process than one alone could.
        let (bodies, shared) = (Bodies::default(), Shared::default());
        let doors = accounts.into_iter().map(|(Official { names, account }, replay)| {
            let scans = Scans::new(logins::Parts {
                account: names,
                gateway: gateway.clone(),
                wechat: account.api,
                store: Arc::clone(&store),
                provider: provider.clone(),
                settings: logins.clone(),
                metrics: metrics.clone(),
                tasks: drain.tasks().clone(),
                shared: shared.clone(),
            });
            let (texts, metrics) = (texts.clone(), metrics.clone());
            Pushes::new(account.push, replay, bodies.clone(), scans, &pushes, texts, metrics)
        });
        let doors = Doors::new(doors.collect());
        Self { doors, provider, gateway, metrics, trusted_proxies, drain }
    }
}
