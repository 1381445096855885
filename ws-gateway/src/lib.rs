//! The gateway: holds the browsers' WebSockets, shows each a QR code, and takes notices from back ends.
//!
//! Two journeys cross here. A browser: [`routes`] → [`opening`] (may this page connect?) → [`browser`]
//! (its task), which gets a code from [`qr`], records a login in [`logins`], and speaks [`message`]s. A
//! notice: [`notices`] (who are you?) → [`clients`] → [`logins`] (record first), which wakes the page
//! through [`pages`]. The rest decides small things without I/O: [`origin`], [`address`], [`heartbeat`],
//! [`pace`], [`language`].

pub mod address;
pub mod browser;
pub mod clients;
pub mod config;
pub mod heartbeat;
pub mod language;
pub mod logins;
pub mod message;
pub mod metrics;
pub mod notices;
pub mod opening;
pub mod origin;
pub mod pace;
pub mod page;
pub mod pages;
pub mod qr;
pub mod routes;
#[cfg(test)]
mod test_gateway;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use service::listen::{self, Accepted};
use service::settings::SettingError;
use service::{admin, stop};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::clients::Client;
use self::config::Config;
use self::logins::{Logins, MemoryLogins};
use self::metrics::Metrics;
use self::pages::Pages;
use self::qr::{OnDemand, QrCodes};

/// What every connection of this gateway shares.
pub(crate) struct Gateway {
    config: Config,
    clients: Vec<Client>,
    page: Bytes,
    logins: Arc<dyn Logins>,
    pages: Arc<Pages>,
    qr: Arc<dyn QrCodes>,
    metrics: Metrics,
    /// The drain has begun.
    leaving: CancellationToken,
    tasks: TaskTracker,
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
        self.leaving.cancelled().await;
        let mut random = [0; 2];
        // Without randomness all leave at once, which still works.
        let _ = aws_lc_rs::rand::fill(&mut random);
        let share = f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX);
        let spread = self
            .config
            .gateway_drain_time
            .saturating_sub(browser::CLOSE_WITHIN + MARGIN);
        tokio::time::sleep(spread.mul_f64(share)).await;
    }
}

/// A gateway whose ports are bound.
pub struct Server {
    gateway: Arc<Gateway>,
    memory: Arc<MemoryLogins>,
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
    /// When a port cannot be bound, or the WeChat client cannot be set up.
    pub fn bind(config: Config) -> anyhow::Result<Self> {
        let app_secret = config.secrets.wechat_app_secret.clone();
        let wechat = wechat::Client::new(wechat::Settings {
            app_id: config.wechat_app_id.clone(),
            app_secret: app_secret.ok_or_else(|| SettingError::new("WECHAT_APP_SECRET", "is not set"))?,
            api_url: config.wechat_api_url.clone(),
        })
        .context("WECHAT_API_URL")?;
        let pages = Arc::new(Pages::default());
        let memory = Arc::new(MemoryLogins::new(Arc::clone(&pages), config.gateway_max_logins));
        let gateway = Gateway {
            clients: config.clients()?,
            page: Bytes::from(page::render(
                &config.gateway_title,
                config.gateway_logo.as_deref(),
            )),
            logins: Arc::clone(&memory) as Arc<dyn Logins>,
            pages,
            qr: Arc::new(OnDemand::new(wechat, config.qr_url().to_owned())),
            metrics: Metrics::default(),
            leaving: CancellationToken::new(),
            tasks: TaskTracker::new(),
            config,
        };
        let config = &gateway.config;
        Ok(Self {
            browsers: listen::bind("GATEWAY_LISTEN", config.gateway_listen)?,
            notices: listen::bind("GATEWAY_NOTIFY_LISTEN", config.gateway_notify_listen)?,
            admin: listen::bind("GATEWAY_ADMIN_LISTEN", config.gateway_admin_listen)?,
            memory,
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
        let Self {
            gateway,
            memory,
            browsers,
            notices,
            admin,
        } = self;
        let drain_time = gateway.config.gateway_drain_time;
        let (tasks, accepting, ended) = (
            gateway.tasks.clone(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let _end = ended.clone().drop_guard();

        let readiness = Arc::clone(&gateway);
        let ready: admin::Readiness = Arc::new(move || {
            if readiness.leaving.is_cancelled() {
                Err("draining".to_owned())
            } else {
                Ok(())
            }
        });
        let operators = admin::serve(
            admin,
            gateway.metrics.registry(),
            ready,
            ended.clone(),
            TaskTracker::new(),
        );
        let operators = tokio::spawn(operators);
        let sweeping = tokio::spawn(async move { ended.run_until_cancelled(memory.sweep()).await });

        let pages = accept_browsers(&gateway, browsers, &accepting);
        let clients = accept_clients(&gateway, notices, &accepting);
        let stopping = async {
            stopped.await;
            // Load balancers need a moment to see that /readyz fails; until then pages are still taken.
            gateway.leaving.cancel();
            tokio::time::sleep(drain_time / 4).await;
            accepting.cancel();
            Ok(())
        };
        tokio::try_join!(pages, clients, stopping)?;
        let clean = stop::drain(
            &accepting,
            &tasks,
            drain_time - drain_time / 4 - MARGIN.min(drain_time / 4),
        )
        .await;
        operators.abort();
        sweeping.abort();
        Ok(clean)
    }
}

/// Taken off the drain time, so that the process has really gone when it is over.
const MARGIN: Duration = Duration::from_millis(250);

async fn accept_browsers(
    gateway: &Arc<Gateway>,
    listener: TcpListener,
    accepting: &CancellationToken,
) -> anyhow::Result<()> {
    let limit = gateway.config.gateway_max_pages;
    let tasks = gateway.tasks.clone();
    listen::accept(listener, limit, accepting.clone(), tasks, |accepted| {
        routes::serve(Arc::clone(gateway), accepted, accepting.clone())
    })
    .await
    .context("GATEWAY_LISTEN")
}

async fn accept_clients(
    gateway: &Arc<Gateway>,
    listener: TcpListener,
    accepting: &CancellationToken,
) -> anyhow::Result<()> {
    let tasks = gateway.tasks.clone();
    listen::accept(
        listener,
        gateway.config.gateway_max_clients,
        accepting.clone(),
        tasks,
        |accepted| {
            let (gateway, accepting) = (Arc::clone(gateway), accepting.clone());
            async move {
                let Accepted { stream, peer, permit } = accepted;
                match permit {
                    Some(_place) => notices::serve(&gateway, stream, peer, &accepting).await,
                    None => notices::refuse(stream).await,
                }
            }
        },
    )
    .await
    .context("GATEWAY_NOTIFY_LISTEN")
}
