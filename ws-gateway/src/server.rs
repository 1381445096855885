//! A gateway's life: its ports are bound, it serves, and it drains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures_util::future::BoxFuture;
use records::Replicas;
use secrecy::SecretString;
use server::listen::{Accepted, Places};
use server::service::{Port, Service};
use server::shares::{self, Shares};
use server::stop::{self, HangUps};
use server::{admin, descriptors, http as web, settings};

use crate::account::official::Official;
use crate::account::{Account, Accounts, Budgets};
use crate::browsers::assets::LoginPage;
use crate::browsers::routes;
use crate::codes::Ready;
use crate::config::Config;
use crate::gateway::{Gateway, Parts};
use crate::live::Live;
use crate::logins::seats::Pages;
use crate::metrics::Metrics;
use crate::notices;
use crate::notices::credentials::Credentials;
use crate::stores::Stores;

/// A gateway whose ports are bound.
pub struct Server {
    gateway: Arc<Gateway>,
    /// The background work of the stores.
    work: BoxFuture<'static, ()>,
    replicas: Option<Replicas>,
    browsers: Port,
    notices: Port,
    admin: Port,
    most_pages: usize,
    most_clients: usize,
    /// The token of the live view.
    admin_token: Option<SecretString>,
    /// SIGHUPs since the ports were bound.
    hang_ups: HangUps,
}

/// The setting of the live view's token.
pub(crate) const ADMIN_TOKEN: &str = "GATEWAY_ADMIN_TOKEN";

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

/// The settings of the process.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Where operators find /livez, /readyz, /metrics, and at / the live view.
    #[arg(long = "gateway-admin-listen", env = "GATEWAY_ADMIN_LISTEN", display_order = 8,
          default_value = ADMIN_LISTEN)]
    pub(crate) admin_listen: SocketAddr,

    /// From SIGTERM to exit; new connections are taken for its first quarter.
    #[arg(long = "gateway-drain-time", env = "GATEWAY_DRAIN_TIME", display_order = 15, default_value = "8s",
          value_parser = settings::duration)]
    pub drain_time: Duration,
}

/// Where operators ask, unless it is set.
pub(crate) const ADMIN_LISTEN: &str = "127.0.0.1:1098";

impl Server {
    /// Binds all ports.
    ///
    /// # Errors
    /// When a port cannot be bound.
    pub fn bind(config: Config) -> anyhow::Result<Self> {
        let Config { mut browsers, notices, files, storage, codes, officials, ports, admin_token, .. } =
            config;
        let (most_pages, most_clients) = places(browsers.max_pages, notices.max_clients);
        // The number of pages that there is room for is the limit everywhere.
        browsers.max_pages = most_pages;
        let pages = Arc::new(Pages::default());
        let Stores { logins, addresses, limits, replicas, work } = Stores::new(storage, &codes, &pages);
        let metrics = Metrics::default();
        let login_page = LoginPage::new(&officials, &browsers, codes.qr_url());
        let account = |official: Official| {
            official.source.count(&metrics.wechat, official.id.as_deref());
            let (budget, unscanned) = limits.of(official.app_id_of_named(), official.per_day);
            let (ahead, metrics) = (codes.qr_ready.into(), metrics.of_account(official.label()));
            let source = Box::new(official.source);
            let qr = Ready::new(source, budget, unscanned, ahead, codes.login_ttl, &metrics);
            let Official { id, presented, .. } = official;
            Account::new(id, presented, qr, limits.free.clone())
        };
        let accounts = Arc::new(Accounts::new(officials.into_iter().map(account)));
        let listen = browsers.listen;
        let gateway = Gateway::new(Parts {
            browsers,
            login_page,
            login_ttl: codes.login_ttl,
            drain_time: ports.drain_time,
            most_clients,
            credentials: Credentials::new(files, most_clients),
            logins,
            pages,
            accounts,
            addresses,
            metrics,
        });
        Ok(Self {
            browsers: Port::bind("GATEWAY_LISTEN", listen)?,
            notices: Port::bind("GATEWAY_NOTIFY_LISTEN", notices.notify_listen)?,
            admin: Port::bind("GATEWAY_ADMIN_LISTEN", ports.admin_listen)?,
            most_pages,
            most_clients,
            work,
            replicas,
            gateway: Arc::new(gateway),
            admin_token,
            hang_ups: HangUps::taken_over(),
        })
    }

    /// Where the gateway listens.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn addresses(&self) -> anyhow::Result<BoundAddresses> {
        Ok(BoundAddresses {
            browsers: self.browsers.address()?,
            notices: self.notices.address()?,
            admin: self.admin.address()?,
        })
    }

    /// Serves until `stopped`, then drains; says whether everything ended within the drain time.
    ///
    /// # Errors
    /// When a listening socket itself fails.
    pub async fn run(self, stopped: impl Future<Output = ()>) -> anyhow::Result<bool> {
        let Self { gateway, work, replicas, browsers, notices, admin, most_pages, most_clients, .. } = self;
        let (hang_ups, token) = (self.hang_ups, self.admin_token);
        let mut service = Service::new(&gateway.drain);
        service.port(browsers, pages(&gateway, most_pages), |accepted| {
            routes::serve(Arc::clone(&gateway), accepted)
        });
        service.port(notices, unproved(&gateway, most_clients), |accepted| {
            let gateway = Arc::clone(&gateway);
            async move {
                let Accepted { stream, peer, permit } = accepted;
                match permit {
                    Some(place) => notices::serve(&gateway, stream, peer, Some(place)).await,
                    None => notices::refuse(&gateway, stream, peer).await,
                }
            }
        });
        service.work(work);
        service.work(gateway.addresses.sweep());
        for account in gateway.accounts.iter() {
            service.work(account.refill());
            service.work(account.qr.sweep());
        }
        service.work(reading_again(&gateway, hang_ups));
        let mut registry = gateway.metrics.registry();
        registry.register_collector(Box::new(Budgets(Arc::clone(&gateway.accounts))));
        gateway.logins.metrics().register(&mut registry);
        gateway.credentials.register(&mut registry);
        if let Some(replicas) = &replicas {
            replicas.register(&mut registry);
        }
        let ready = readiness(&gateway, replicas);
        service.pages(live_view::pages(live_view::Setup {
            program: "ws-gateway",
            token_setting: ADMIN_TOKEN,
            token,
            listens: admin.address()?,
            trusted_proxies: gateway.browsers.trusted_proxies.clone(),
            source: Arc::new(Live::new(Arc::clone(&gateway), Arc::clone(&ready))),
        }));
        service.run(admin, registry, ready, stopped).await
    }
}

/// Ready once the store has been reached. During an outage of the store the gateway stays ready: it tells pages to
/// wait, in words. A load balancer without any gateway could not do that.
fn readiness(gateway: &Gateway, replicas: Option<Replicas>) -> admin::Readiness {
    let (leaving, logins) = (gateway.drain.leaving().clone(), Arc::clone(&gateway.logins));
    Arc::new(move || match () {
        () if leaving.is_cancelled() => Err("draining".to_owned()),
        () if !logins.is_ready() => Err("the store of logins has not been reached yet".to_owned()),
        () => Ok(replicas.as_ref().and_then(Replicas::shortage)),
    })
}

/// Reads the files of the internal port again at each SIGHUP.
async fn reading_again(gateway: &Arc<Gateway>, hang_ups: HangUps) {
    let reading = Arc::clone(gateway);
    let read = move || reading.credentials.read_again();
    stop::hung_up(hang_ups, read, |files| gateway.credentials.renew(files)).await;
}

/// Open files that are kept free of pages and clients: for refusals under way at both ports (64 and 16), connections
/// that have not proved a key ([`UNPROVED`]), the admin port (40), calls to WeChat (64), and the program itself.
const FILES_BESIDE: usize = 256;

/// Connections to the internal port that have not proved a key. Strangers share these places, and never take that of a
/// client. When they are full, the oldest gives way to the next, so a client gets in if its proof is faster than that.
const UNPROVED: usize = 64;

/// How many pages and how many clients there is room for. Each is an open file, and a flood at one port must not take
/// down the other.
fn places(pages: usize, clients: usize) -> (usize, usize) {
    let files = descriptors::raise();
    let [of_clients, _] = ports(pages, clients);
    let clients = of_clients.places(files);
    let [_, of_pages] = ports(pages, clients);
    (of_pages.places(files), clients)
}

/// The ports of clients and of pages, and what each leaves free.
pub(crate) fn ports(pages: usize, clients: usize) -> [descriptors::Port; 2] {
    let port = |setting, wanted, beside| descriptors::Port { setting, wanted, each: 1, beside };
    [
        port("GATEWAY_MAX_CLIENTS", clients, FILES_BESIDE),
        port("GATEWAY_MAX_PAGES", pages, FILES_BESIDE + clients),
    ]
}

/// The places of pages.
fn pages(gateway: &Gateway, most: usize) -> Places {
    let shares = Shares::new(shares::of(most), gateway.browsers.trusted_proxies.clone());
    let advice = "name it in GATEWAY_TRUSTED_PROXIES if it is your proxy, or raise GATEWAY_MAX_PAGES";
    Places::new(most, gateway.metrics.refused.clone(), web::FULL)
        .shared(shares, advice)
        .counted(&gateway.metrics.limits, "GATEWAY_MAX_PAGES")
}

/// The places of those who have not proved a key, of a port for `most` clients.
fn unproved(gateway: &Gateway, most: usize) -> Places {
    // A small port has fewer such places. An address has at least four of them.
    let unproved = (most / 4).clamp(1, UNPROVED);
    let shares = Shares::new((unproved / 4).max(4), Vec::new());
    // There is no last word: with TLS nothing can be said before the handshake.
    Places::new(unproved, gateway.metrics.clients_refused.clone(), b"")
        .shared(shares, "they have not proved a key; keep strangers away from GATEWAY_NOTIFY_LISTEN")
        .counted(&gateway.metrics.limits, "ws_gateway::server")
}
