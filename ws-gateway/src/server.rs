//! A gateway whose ports are bound, and its life from there to the end of its drain.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use records::Replicas;
use server::listen::{self, Accepted};
use server::shares::{self, Shares};
use server::stop;
use server::{admin, descriptors, http as web};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::browsers::routes;
use crate::codes::{Pictures, QrCodes, Ready, WeChat};
use crate::config::Config;
use crate::gateway::{Gateway, Parts};
use crate::logins::seats::Pages;
use crate::metrics::Metrics;
use crate::notices;
use crate::notices::credentials::{Credentials, Files};
use crate::stores::Stores;

/// A gateway whose ports are bound.
pub struct Server {
    gateway: Arc<Gateway>,
    /// What the stores do by themselves.
    work: BoxFuture<'static, ()>,
    replicas: Option<Replicas>,
    qr: Arc<Ready<WeChat>>,
    browsers: TcpListener,
    notices: TcpListener,
    admin: TcpListener,
    most_pages: usize,
    most_clients: usize,
}

/// Where a gateway listens, with the ports that were really bound.
#[derive(Debug, Clone, Copy)]
pub struct BoundAddresses {
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
    pub fn bind(mut config: Config) -> anyhow::Result<Self> {
        let wechat = config.wechat()?;
        let (most_pages, most_clients) = places(&config);
        // What there is room for is what counts everywhere.
        (config.gateway_max_pages, config.gateway_max_clients) = (most_pages, most_clients);
        let pages = Arc::new(Pages::default());
        let Stores { logins, addresses, budget, unscanned, replicas, work } =
            Stores::new(config.store()?, &config, &pages);
        let metrics = Metrics::default();
        let pictures = Pictures::new(&metrics);
        let qr = Arc::new(Ready::new(
            WeChat::new(wechat, config.qr_url().to_owned()),
            budget,
            unscanned,
            pictures.clone(),
            config.gateway_qr_ready.into(),
            config.gateway_login_ttl,
            &metrics,
        ));
        let credentials = Credentials::new(&config, most_clients)?;
        let codes = Arc::clone(&qr) as Arc<dyn QrCodes>;
        let parts = Parts { credentials, logins, pages, qr: codes, pictures, addresses, metrics };
        let gateway = Gateway::new(config, parts);
        let config = &gateway.config;
        Ok(Self {
            browsers: listen::bind("GATEWAY_LISTEN", config.gateway_listen)?,
            notices: listen::bind("GATEWAY_NOTIFY_LISTEN", config.gateway_notify_listen)?,
            admin: listen::bind("GATEWAY_ADMIN_LISTEN", config.gateway_admin_listen)?,
            most_pages,
            most_clients,
            work,
            replicas,
            qr,
            gateway: Arc::new(gateway),
        })
    }

    /// Where the gateway listens.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn addresses(&self) -> anyhow::Result<BoundAddresses> {
        Ok(BoundAddresses {
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
        let Self { gateway, work, replicas, qr, browsers, notices, admin, most_pages, most_clients } = self;
        let drain = gateway.drain.clone();
        // The admin port answers until the very end.
        let ended = CancellationToken::new();
        let _end = ended.clone().drop_guard();
        let mut registry = gateway.metrics.registry();
        if let Some(replicas) = &replicas {
            replicas.register(&mut registry);
        }
        let (leaving, logins) = (drain.leaving().clone(), Arc::clone(&gateway.logins));
        // During an outage of the store it stays ready: pages are told to wait in words, which a load balancer
        // without any gateway could not do.
        let ready: admin::Readiness = Arc::new(move || match () {
            () if leaving.is_cancelled() => Err("draining".to_owned()),
            () if !logins.is_ready() => Err("the store of logins has not been reached yet".to_owned()),
            () => Ok(replicas.as_ref().and_then(Replicas::shortage)),
        });
        let operators = admin::serve(admin, registry, ready, ended.clone(), TaskTracker::new());
        let serving = async {
            let pages = accept_browsers(&gateway, browsers, most_pages);
            let clients = accept_clients(&gateway, notices, most_clients);
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
            () = work => Ok(false),
            () = gateway.addresses.sweep() => Ok(false),
            () = qr.refill() => Ok(false),
            () = qr.sweep() => Ok(false),
            () = reading_again(&gateway) => Ok(false),
        }
    }
}

/// Reads the files of the internal port again at each SIGHUP.
async fn reading_again(gateway: &Arc<Gateway>) {
    let reading = Arc::clone(gateway);
    let read = move || Files::read(&reading.config);
    stop::hung_up(read, |files| gateway.credentials.renew(files)).await;
}

/// Open files that are kept beside those of pages and clients: refusals under way at both ports (64 and 16), those who
/// have not proved a key yet ([`UNPROVED`]), the admin port (40), calls to WeChat (64), and the program's own.
const FILES_BESIDE: usize = 256;

/// Connections to the internal port that have not proved a key: strangers share these and never take the place of a
/// client. Whoever is slow gives way to the next, so a proof must only be faster than their flood.
const UNPROVED: usize = 64;

/// How many pages and how many clients there is room for: each is an open file, and a flood of the ones must
/// not take the others' port down with it.
fn places(config: &Config) -> (usize, usize) {
    let files = descriptors::raise();
    let port = |setting, wanted, beside| descriptors::Port { setting, wanted, each: 1, beside }.places(files);
    let clients = port("GATEWAY_MAX_CLIENTS", config.gateway_max_clients, FILES_BESIDE);
    let pages = port("GATEWAY_MAX_PAGES", config.gateway_max_pages, FILES_BESIDE + clients);
    (pages, clients)
}

async fn accept_browsers(gateway: &Arc<Gateway>, listener: TcpListener, most: usize) -> anyhow::Result<()> {
    let (metrics, drain) = (&gateway.metrics, &gateway.drain);
    let shares = Shares::new(shares::of(most), gateway.config.gateway_trusted_proxies.clone());
    let advice = "name it in GATEWAY_TRUSTED_PROXIES if it is your proxy, or raise GATEWAY_MAX_PAGES";
    let places = listen::Places::new(most, metrics.refused.clone(), web::FULL).shared(shares, advice);
    listen::accept(listener, places, drain.closed().clone(), drain.tasks().clone(), |accepted| {
        routes::serve(Arc::clone(gateway), accepted)
    })
    .await
    .context("GATEWAY_LISTEN")
}

async fn accept_clients(gateway: &Arc<Gateway>, listener: TcpListener, most: usize) -> anyhow::Result<()> {
    let (metrics, drain) = (&gateway.metrics, &gateway.drain);
    // A small port has few of them, and an address has a few.
    let unproved = (most / 4).clamp(1, UNPROVED);
    let shares = Shares::new((unproved / 4).max(4), Vec::new());
    // The last word is none: over TLS nothing could be said before the handshake.
    let places = listen::Places::new(unproved, metrics.clients_refused.clone(), b"")
        .shared(shares, "they have not proved a key; keep strangers away from GATEWAY_NOTIFY_LISTEN");
    listen::accept(listener, places, drain.closed().clone(), drain.tasks().clone(), |accepted| {
        let gateway = Arc::clone(gateway);
        async move {
            let Accepted { stream, peer, permit } = accepted;
            match permit {
                Some(place) => notices::serve(&gateway, stream, peer, Some(place)).await,
                None => notices::refuse(&gateway, stream, peer).await,
            }
        }
    })
    .await
    .context("GATEWAY_NOTIFY_LISTEN")
}
