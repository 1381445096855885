//! What every connection of this gateway shares.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use server::shares::{self, Shares};
use server::stop::Drain;
use server::told::Told;
use tokio::sync::Semaphore;

use crate::browsers::assets;
use crate::browsers::socket::CLOSE_WITHIN;
use crate::codes::admission::Addresses;
use crate::codes::{Pictures, QrCodes};
use crate::config::Config;
use crate::logins::Logins;
use crate::logins::seats::Pages;
use crate::metrics::Metrics;
use crate::notices::credentials::Credentials;

/// The state of a gateway.
pub(crate) struct Gateway {
    pub config: Config,
    pub credentials: Credentials,
    /// The login page, with the operator's title and logo in it.
    pub page: Bytes,
    pub logins: Arc<dyn Logins>,
    pub pages: Arc<Pages>,
    pub qr: Arc<dyn QrCodes>,
    pub pictures: Pictures,
    pub addresses: Addresses,
    /// Pages by the addresses from which they come, also behind proxies.
    pub shares: Shares,
    /// The internal port's places for those who have proved a key.
    pub clients: Arc<Semaphore>,
    pub metrics: Metrics,
    /// What the log has said of strangers.
    pub told: Told,
    /// The last QR code that was asked for could not be had.
    pub is_out_of_codes: AtomicBool,
    pub drain: Drain,
}

/// The parts of a [`Gateway`] that differ by store, or in tests.
pub(crate) struct Parts {
    pub credentials: Credentials,
    pub logins: Arc<dyn Logins>,
    pub pages: Arc<Pages>,
    pub qr: Arc<dyn QrCodes>,
    pub pictures: Pictures,
    pub addresses: Addresses,
    pub metrics: Metrics,
}

impl Gateway {
    /// Puts a gateway together.
    #[must_use]
    pub(crate) fn new(config: Config, parts: Parts) -> Self {
        let Parts { credentials, logins, pages, qr, pictures, addresses, metrics } = parts;
        Self {
            page: Bytes::from(assets::render(&config.gateway_title, config.gateway_logo.as_deref())),
            drain: Drain::new(config.gateway_drain_time),
            told: Told::default(),
            is_out_of_codes: AtomicBool::new(false),
            clients: Arc::new(Semaphore::new(config.gateway_max_clients)),
            shares: Shares::new(shares::of(config.gateway_max_pages), config.gateway_trusted_proxies.clone()),
            config,
            credentials,
            logins,
            pages,
            qr,
            pictures,
            addresses,
            metrics,
        }
    }

    /// Waits for the drain, and then for this page's share of it: pages are let go spread over the drain
    /// time, so that they do not come to the next gateway all at once.
    pub(crate) async fn time_to_leave(&self) {
        self.drain.share(fastrand::f64(), CLOSE_WITHIN).await;
    }

    /// Waits for the moment at which even a page that does not read must be left.
    pub(crate) async fn time_is_over(&self) {
        self.drain.share(1.0, CLOSE_WITHIN / 2).await;
    }
}
