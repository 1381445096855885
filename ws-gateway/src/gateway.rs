//! What every connection of this gateway shares.

use std::sync::Arc;
use std::time::Duration;

use server::shares::{self, Shares};
use server::stop::Drain;
use server::told::Told;
use tokio::sync::Semaphore;

use crate::account::Accounts;
use crate::browsers;
use crate::browsers::assets::LoginPage;
use crate::codes::admission::Addresses;
use crate::logins::Logins;
use crate::logins::seats::Pages;
use crate::logins::watched::Watched;
use crate::metrics::Metrics;
use crate::notices::connected::Connected;
use crate::notices::credentials::Credentials;

/// The state of a gateway.
pub(crate) struct Gateway {
    /// What an operator chose about pages.
    pub browsers: browsers::Settings,
    pub login_page: LoginPage,
    /// How long a login is shown.
    pub login_ttl: Duration,
    pub credentials: Credentials,
    pub logins: Arc<Logins>,
    pub pages: Arc<Pages>,
    pub accounts: Arc<Accounts>,
    pub addresses: Addresses,
    /// Pages by the addresses from which they come, also behind proxies.
    pub shares: Shares,
    /// The internal port's places for clients that have proved a key.
    pub clients: Arc<Semaphore>,
    pub metrics: Metrics,
    /// What an operator sees of the logins.
    pub watched: Watched,
    /// The clients that are connected, as an operator sees them.
    pub connected: Connected,
    /// What the log has said of strangers.
    pub told: Told,
    pub drain: Drain,
}

/// What a [`Gateway`] is made of.
pub(crate) struct Parts {
    pub browsers: browsers::Settings,
    pub login_page: LoginPage,
    pub login_ttl: Duration,
    pub drain_time: Duration,
    /// Clients that may be connected at once.
    pub most_clients: usize,
    pub credentials: Credentials,
    pub logins: Arc<Logins>,
    pub pages: Arc<Pages>,
    pub accounts: Arc<Accounts>,
    pub addresses: Addresses,
    pub metrics: Metrics,
}

impl Gateway {
    /// Puts a gateway together.
    #[must_use]
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { browsers, login_page, login_ttl, drain_time, most_clients, .. } = parts;
        let Parts { credentials, logins, pages, accounts, addresses, metrics, .. } = parts;
        Self {
            login_page,
            shares: Shares::new(shares::of(browsers.max_pages), browsers.trusted_proxies.clone()),
            clients: Arc::new(Semaphore::new(most_clients)),
            drain: Drain::new(drain_time),
            told: Told::default(),
            watched: Watched::default(),
            connected: Connected::default(),
            browsers,
            login_ttl,
            credentials,
            logins,
            pages,
            accounts,
            addresses,
            metrics,
        }
    }
}
