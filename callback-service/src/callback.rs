//! What every request of this service shares.

use std::sync::Arc;

use ipnet::IpNet;
use protocol::Client;
use server::stop::Drain;

use crate::account::Official;
use crate::audit::Audit;
use crate::logins::answered::Answered;
use crate::logins::words::Texts;
use crate::logins::{self, Scans, Shared};
use crate::metrics::Metrics;
use crate::provider::Provider;
use crate::pushes::doors::Doors;
use crate::pushes::{self, Bodies, Pushes, ReplayGuard};
use crate::relay::{self, Relay};
use crate::store::Store;
use crate::web::settings::VerifyFiles;
use crate::web::{self, Web};
use crate::wechat_server::WeChatServer;

/// The state of a callback-service.
pub(crate) struct Callback {
    /// WeChat's, one for each official account.
    pub doors: Doors,
    /// Where there are sites.
    pub provider: Option<Arc<Provider>>,
    /// Where people log in inside WeChat.
    pub web: Option<Web>,
    /// What WeChat asks for at the root, to know whose the domain is.
    pub verify_files: VerifyFiles,
    /// Where its protocol is spoken.
    pub wechat_server: Option<Arc<WeChatServer>>,
    /// Who logged in where.
    pub audit: Audit,
    pub gateway: Client,
    pub store: Arc<Store>,
    pub metrics: Metrics,
    /// What an operator sees of the scans.
    pub answered: Answered,
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
    pub web: Option<web::settings::Checked>,
    /// Where browsers are sent for a web authorization.
    pub open_url: String,
    pub verify_files: VerifyFiles,
    pub wechat_server: Option<Arc<WeChatServer>>,
    pub audit: Audit,
    pub relay: relay::Shared,
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
        let Parts { accounts, gateway, store, provider, relay, metrics, logins, pushes, texts, .. } = parts;
        let (web, open_url, verify_files) = (parts.web, parts.open_url, parts.verify_files);
        let (wechat_server, audit, trusted_proxies, drain) =
            (parts.wechat_server, parts.audit, parts.trusted_proxies, parts.drain);
        // What all accounts share: none of them may use up more of this process than one alone could.
        let (bodies, shared) = (Bodies::default(), Shared::default());
        let answered = shared.answered.clone();
        let mut inside = Vec::new();
        let doors = accounts.into_iter().map(|(Official { names, account, relay: routes }, replay)| {
            let relay = Relay::new(&routes, names.label(), &relay);
            let scans = Scans::new(logins::Parts {
                account: names.clone(),
                gateway: gateway.clone(),
                wechat: account.api.clone(),
                store: Arc::clone(&store),
                provider: provider.clone(),
                settings: logins.clone(),
                audit: audit.clone(),
                metrics: metrics.clone(),
                tasks: drain.tasks().clone(),
                shared: shared.clone(),
            });
            inside.push(web::Official { names, wechat: account.api, scans: Arc::clone(&scans) });
            Pushes::new(pushes::Parts {
                endpoint: account.push,
                replay,
                bodies: bodies.clone(),
                scans,
                wechat_server: wechat_server.clone(),
                relay,
                messages: pushes.callback_messages,
                texts: texts.clone(),
                metrics: metrics.clone(),
            })
        });
        let doors = Doors::new(doors.collect());
        let web = web.map(|checked| {
            let (provider, metrics) = (provider.clone(), metrics.clone());
            Web::new(web::Parts { checked, officials: inside, open_url, provider, metrics }, &store)
        });
        Self {
            doors,
            provider,
            web,
            verify_files,
            wechat_server,
            audit,
            gateway,
            store,
            metrics,
            answered,
            trusted_proxies,
            drain,
        }
    }
}
