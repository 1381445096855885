//! The gateway: holds the browsers' WebSockets, shows each a QR code, and takes notices from back ends.
//!
//! Two journeys cross here. A browser: [`routes`] → [`opening`] (may this page connect?) → [`upgrade`] →
//! [`browser`] (its task), which asks [`admission`], takes a code from [`qr`], records a login in [`logins`],
//! and speaks [`message`]s. A notice: [`notices`] (who are you?) → [`clients`] → [`logins`] (record first),
//! which wakes the page through [`pages`]. The rest decides small things without I/O: [`origin`],
//! [`address`], [`heartbeat`], [`pace`], [`language`].

mod address;
mod admission;
mod browser;
mod clients;
pub mod config;
#[doc(hidden)]
pub mod echo;
mod heartbeat;
mod language;
mod logins;
mod message;
mod metrics;
mod notices;
mod opening;
mod origin;
mod pace;
mod page;
mod pages;
mod qr;
mod routes;
#[cfg(test)]
mod test_gateway;
mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use service::listen::{self, Accepted};
use service::stop::Drain;
use service::{admin, clock, descriptors};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::clients::Client;
use self::config::Config;
use self::logins::{Logins, MemoryLogins};
use self::metrics::Metrics;
use self::pages::Pages;
use self::qr::{Budget, QrCodes, Ready, WeChat};

/// What every connection of this gateway shares.
pub(crate) struct Gateway {
    config: Config,
    clients: Vec<Client>,
    page: Bytes,
    logins: Arc<dyn Logins>,
    pages: Arc<Pages>,
    qr: Arc<dyn QrCodes>,
    addresses: admission::Addresses,
    metrics: Metrics,
    /// The last QR code that was asked for could not be had.
    is_out_of_codes: AtomicBool,
    drain: Drain,
}

impl Gateway {
    /// Counts a page for as long as the guard lives.
    fn count_page(&self) -> impl Drop + use<> {
        struct Counted(Gauge);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.dec();
            }
        }
        self.metrics.pages.inc();
        Counted(self.metrics.pages.clone())
    }

    /// Waits for the drain, and then for this page's share of it: pages are let go spread over the drain
    /// time, so that they do not come to the next gateway all at once.
    async fn time_to_leave(&self) {
        self.drain.share(chance(), browser::CLOSE_WITHIN).await;
    }
}

/// A random number from 0 to 1. Without randomness everything happens at once, which still works.
fn chance() -> f64 {
    let mut random = [0; 2];
    let _ = aws_lc_rs::rand::fill(&mut random);
    f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX)
}

/// A gateway whose ports are bound.
pub struct Server {
    gateway: Arc<Gateway>,
    memory: Arc<MemoryLogins>,
    qr: Arc<Ready<WeChat>>,
    browsers: TcpListener,
    notices: TcpListener,
    admin: TcpListener,
}

/// Where a gateway listens, with the ports that were really bound.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// `GATEWAY_LISTEN`.
    pub browsers: SocketAddr,
    /// `GATEWAY_NOTIFY_LISTEN`.
    pub notices: SocketAddr,
    /// `GATEWAY_ADMIN_LISTEN`.
    pub admin: SocketAddr,
}

impl Server {
    /// Binds all ports.
    ///
    /// # Errors
    /// When a port cannot be bound.
    pub fn bind(config: Config) -> anyhow::Result<Self> {
        let wechat = config.wechat()?;
        let pages = Arc::new(Pages::default());
        let memory = Arc::new(MemoryLogins::new(Arc::clone(&pages), config.gateway_max_logins));
        let metrics = Metrics::default();
        let qr = Arc::new(Ready::new(
            WeChat::new(wechat, config.qr_url().to_owned()),
            Budget::new(config.gateway_qr_per_day, clock::unix_now),
            config.gateway_qr_ready.into(),
            config.gateway_login_ttl,
            &metrics,
        ));
        let gateway = Gateway {
            clients: config.clients()?,
            page: Bytes::from(page::render(&config.gateway_title, config.gateway_logo.as_deref())),
            logins: Arc::clone(&memory) as Arc<dyn Logins>,
            pages,
            qr: Arc::clone(&qr) as Arc<dyn QrCodes>,
            addresses: admission::Addresses::new(config.gateway_address_rate),
            metrics,
            is_out_of_codes: AtomicBool::new(false),
            drain: Drain::new(config.gateway_drain_time),
            config,
        };
        let config = &gateway.config;
        Ok(Self {
            browsers: listen::bind("GATEWAY_LISTEN", config.gateway_listen)?,
            notices: listen::bind("GATEWAY_NOTIFY_LISTEN", config.gateway_notify_listen)?,
            admin: listen::bind("GATEWAY_ADMIN_LISTEN", config.gateway_admin_listen)?,
            memory,
            qr,
            gateway: Arc::new(gateway),
        })
    }

    /// Where the gateway listens.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn addresses(&self) -> anyhow::Result<Addresses> {
        Ok(Addresses {
            browsers: self.browsers.local_addr()?,
            notices: self.notices.local_addr()?,
            admin: self.admin.local_addr()?,
        })
    }

    /// Serves until `stopped`, then drains; says whether everything ended within the drain time.
    ///
    /// # Errors
    /// When a listening socket itself fails.
    pub async fn run(self, stopped: impl Future<Output = ()>) -> anyhow::Result<bool> {
        let Self { gateway, memory, qr, browsers, notices, admin } = self;
        let drain = gateway.drain.clone();
        // The admin port answers until the very end.
        let ended = CancellationToken::new();
        let _end = ended.clone().drop_guard();
        let leaving = drain.leaving().clone();
        let ready: admin::Readiness = Arc::new(move || match leaving.is_cancelled() {
            true => Err("draining".to_owned()),
            false => Ok(()),
        });
        let registry = gateway.metrics.registry();
        let operators = admin::serve(admin, registry, ready, ended.clone(), TaskTracker::new());
        let serving = async {
            let pages = accept_browsers(&gateway, browsers);
            let clients = accept_clients(&gateway, notices);
            let draining = async {
                drain.begin_when(stopped).await;
                Ok(())
            };
            tokio::try_join!(pages, clients, draining)?;
            Ok(drain.finish().await)
        };
        tokio::select! {
            served = serving => served,
            failed = operators => failed.context("GATEWAY_ADMIN_LISTEN").map(|()| false),
            () = memory.sweep() => Ok(false),
            () = gateway.addresses.sweep() => Ok(false),
            () = qr.refill() => Ok(false),
        }
    }
}

/// Open files that pages must leave to the internal port, the admin port and WeChat's API.
const FILES_BESIDE_PAGES: usize = 256;

/// Each page is an open file, and a flood of pages must not take the internal port down with it.
fn places_for_pages(config: &Config) -> usize {
    let reserved = FILES_BESIDE_PAGES + config.gateway_max_clients;
    let possible = descriptors::raise().saturating_sub(reserved).max(1);
    if possible < config.gateway_max_pages {
        tracing::warn!(
            possible,
            "GATEWAY_MAX_PAGES is {}, more than the limit on open files allows; raise that limit (ulimit -n)",
            config.gateway_max_pages
        );
    }
    possible.min(config.gateway_max_pages)
}

async fn accept_browsers(gateway: &Arc<Gateway>, listener: TcpListener) -> anyhow::Result<()> {
    let (limit, drain) = (places_for_pages(&gateway.config), &gateway.drain);
    listen::accept(listener, limit, drain.closed().clone(), drain.tasks().clone(), |accepted| {
        routes::serve(Arc::clone(gateway), accepted)
    })
    .await
    .context("GATEWAY_LISTEN")
}

async fn accept_clients(gateway: &Arc<Gateway>, listener: TcpListener) -> anyhow::Result<()> {
    let (limit, drain) = (gateway.config.gateway_max_clients, &gateway.drain);
    listen::accept(listener, limit, drain.closed().clone(), drain.tasks().clone(), |accepted| {
        let gateway = Arc::clone(gateway);
        async move {
            let Accepted { stream, peer, permit } = accepted;
            match permit {
                Some(_place) => notices::serve(&gateway, stream, peer).await,
                None => notices::refuse(stream).await,
            }
        }
    })
    .await
    .context("GATEWAY_NOTIFY_LISTEN")
}
