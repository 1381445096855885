//! A callback-service whose ports are bound, and its life from there to the end of its drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use clap::Args;
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use records::Replicas;
use secrecy::SecretString;
use server::listen::{self, Accepted, Places};
use server::metrics::Expiry;
use server::service::{Port, Service};
use server::settings::{self, SettingError};
use server::shares::{self, Shares};
use server::stop::{self, Drain, HangUps};
use server::{address, admin, clock, descriptors, http as web};
use wechat::push::Mode;

use crate::account::names::Names;
use crate::account::{Official, Officials};
use crate::audit::Audit;
use crate::callback::{Callback, Parts};
use crate::config::Config;
use crate::live::{Links, Live};
use crate::logins::link::{Gateways, Link};
use crate::metrics::Metrics;
use crate::outbox::post::Poster;
use crate::outbox::{self, Outbox};
use crate::probe::Probes;
use crate::provider::Provider;
use crate::pushes::ReplayGuard;
use crate::relay;
use crate::routes;
use crate::storage::Opened;
use crate::wechat_server::WeChatServer;

/// Where operators ask, unless it is set.
pub(crate) const ADMIN_LISTEN: &str = "127.0.0.1:8081";

/// What an operator sets about the ports.
#[derive(Debug, Clone, Args)]
pub(crate) struct Ports {
    /// Where WeChat's pushes come, at the path /wechat, and sites and their people.
    #[arg(long, env, default_value = "0.0.0.0:8080")]
    callback_listen: SocketAddr,

    /// Where operators find /livez, /readyz, /metrics, and at / the live view.
    #[arg(long, env, default_value = ADMIN_LISTEN)]
    callback_admin_listen: SocketAddr,
}

impl Ports {
    /// Refuses addresses of [`relay`] that lead back here.
    ///
    /// # Errors
    /// Which setting does.
    pub(crate) fn refuse_loops(&self, accounts: &Officials) -> Result<(), SettingError> {
        let port = self.callback_listen.port();
        match accounts.iter().find(|official| official.relay.lead_to(port)) {
            None => Ok(()),
            Some(official) => {
                let setting =
                    if official.names.name().is_none() { relay::RELAY_URL } else { account_file::SETTING };
                let problem = "relay: leads back to this service (CALLBACK_LISTEN); write the address of the back end that \
                               had the pushes before";
                Err(SettingError::new(setting, problem))
            }
        }
    }

    /// Where WeChat's pushes come.
    pub(crate) fn pushes(&self) -> SocketAddr {
        self.callback_listen
    }

    /// Where operators ask.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.callback_admin_listen
    }
}

/// What an operator sets about connections and their end.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connections {
    /// Networks of proxies whose X-Forwarded-For is believed.
    #[arg(long, env, value_delimiter = ',', value_parser = address::network)]
    callback_trusted_proxies: Vec<IpNet>,

    /// From SIGTERM to exit; pushes in hand are finished.
    #[arg(long, env, default_value = "8s", value_parser = settings::duration)]
    callback_drain_time: Duration,

    /// Connections at once, as far as the limit on open files allows: each may need two. WeChat opens one a
    /// push and is answered within 4 s, so the default is hundreds of scans a second.
    #[arg(long, env, default_value_t = 2048)]
    callback_max_connections: usize,

    /// How long a connection may be idle between requests. It must be longer than the proxy or balancer in front
    /// keeps its own connections, which is 60 s with most: else requests are lost.
    #[arg(long, env, default_value = "75s", value_parser = settings::keep_alive)]
    callback_keep_alive: Duration,
}

impl Connections {
    /// Checks the settings.
    ///
    /// # Errors
    /// When the number of connections is none or far too many.
    pub(crate) fn checked(self) -> Result<Self, SettingError> {
        match listen::PLACES.contains(&self.callback_max_connections) {
            true => Ok(self),
            false => Err(SettingError::new("CALLBACK_MAX_CONNECTIONS", "must be between 1 and 1000000")),
        }
    }

    /// How many connections there is room for. Each may need an open file of its own and one for a call to WeChat, and a
    /// flood of them must not stop the rest of the service.
    fn places(&self) -> usize {
        self.port().places(descriptors::raise())
    }

    /// What connections cost in open files.
    pub(crate) fn port(&self) -> descriptors::Port {
        let (setting, wanted) = ("CALLBACK_MAX_CONNECTIONS", self.callback_max_connections);
        descriptors::Port { setting, wanted, each: 2, beside: FILES_BESIDE }
    }
}

/// Open files that connections leave to the gateway's connection, the store, the admin port (40), refusals under way
/// (64), and the program's own.
const FILES_BESIDE: usize = 128;

/// A service whose ports are bound.
pub struct Server {
    callback: Arc<Callback>,
    link: Link,
    /// What sees whether logins are delivered, where it is told how.
    probes: Option<Probes>,
    /// What calls sites, where there are any.
    poster: Option<Poster>,
    relayed: relay::Metrics,
    /// Keeps the store's connections.
    work: BoxFuture<'static, ()>,
    /// Redis's replicas, where that is the store.
    replicas: Option<Replicas>,
    pushes: Port,
    admin: Port,
    most: usize,
    keep_alive: Duration,
    /// The official accounts, each with its API.
    clients: Vec<(Names, wechat::Client)>,
    /// The token of the live view.
    admin_token: Option<SecretString>,
    /// SIGHUPs since the ports were bound.
    hang_ups: HangUps,
}

/// The setting of the live view's token.
pub(crate) const ADMIN_TOKEN: &str = "CALLBACK_ADMIN_TOKEN";

/// Where a service listens, with the ports that were really bound.
#[derive(Debug, Clone, Copy)]
pub struct BoundAddresses {
    /// `CALLBACK_LISTEN`.
    pub pushes: SocketAddr,
    /// `CALLBACK_ADMIN_LISTEN`.
    pub admin: SocketAddr,
}

impl Server {
    /// Opens the store and binds all ports.
    ///
    /// # Errors
    /// When the store cannot be used, or a port cannot be bound.
    pub fn bind(config: Config) -> anyhow::Result<Self> {
        let Config { ports, connections, link, probe, storage, accounts, sites, logins, pushes, .. } = config;
        let keep = config.audit;
        let (inside, open_url, verify_files) = (config.web, config.open_url, config.verify_files);
        let (asking, texts) = (config.wechat_server, config.texts);
        let forgets = storage.ends_with_the_process();
        let Opened { store, work, replicas } = storage.open()?;
        let directory = accounts.directory();
        let guarded = |official: Official| {
            let push = &official.account.push;
            let guard = match (push.mode(), push.max_age()) {
                (Mode::Plaintext, Some(max_age)) => {
                    // Before the port is there, so that no push that comes to it can be older.
                    let blind_before = forgets.then(clock::unix_now);
                    Some(ReplayGuard::new(Arc::clone(&store), max_age, blind_before))
                }
                _ => None,
            };
            (official, guard)
        };
        let clients: Vec<_> =
            accounts.iter().map(|official| (official.names.clone(), official.account.api.clone())).collect();
        let accounts = accounts.into_iter().map(guarded).collect();
        let metrics = Metrics::default();
        let drain = Drain::new(connections.callback_drain_time);
        let audit = Audit::new(&store, keep, metrics.clone(), drain.tasks().clone());
        for (names, client) in &clients {
            client.count(&metrics.wechat, names.name());
        }
        let provider = match sites {
            None => None,
            Some(sites) => {
                let outbox = Outbox::new(store.records(outbox::KIND), metrics.clone());
                let (audit, limits) = (audit.clone(), metrics.limits.clone());
                Some(Provider::open(sites, &store, outbox, directory, audit, limits)?)
            }
        };
        let wechat_server = asking.map(|checked| {
            let (texts, metrics) = (texts.clone(), metrics.clone());
            WeChatServer::new(checked, &store, clients.clone(), texts, metrics, audit.clone())
        });
        let poster = provider.is_some().then(Poster::new).transpose()?;
        let port = Port::bind("CALLBACK_LISTEN", ports.callback_listen)?;
        let admin = Port::bind("CALLBACK_ADMIN_LISTEN", ports.callback_admin_listen)?;
        let (most, keep_alive) = (connections.places(), connections.callback_keep_alive);
        let relayed = relay::Metrics::default();
        let relay = relay::Shared::new(&drain, relayed.clone(), metrics.limits.clone())?;
        let callback = Callback::new(Parts {
            accounts,
            gateway: link.connect(),
            store,
            provider,
            web: inside,
            open_url,
            verify_files,
            wechat_server,
            audit,
            metrics,
            logins,
            pushes,
            texts,
            trusted_proxies: connections.callback_trusted_proxies,
            relay,
            drain,
        });
        Ok(Self {
            probes: Probes::new(probe, callback.gateway.clone()),
            callback: Arc::new(callback),
            link,
            poster,
            relayed,
            work,
            replicas,
            pushes: port,
            admin,
            most,
            keep_alive,
            clients,
            admin_token: config.admin_token,
            hang_ups: HangUps::taken_over(),
        })
    }

    /// Where the service listens.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn addresses(&self) -> anyhow::Result<BoundAddresses> {
        Ok(BoundAddresses { pushes: self.pushes.address()?, admin: self.admin.address()? })
    }

    /// Serves until `stopped`, then finishes the pushes in hand. Says whether they ended within the drain time.
    ///
    /// # Errors
    /// When a listening socket itself fails.
    pub async fn run(self, stopped: impl Future<Output = ()>) -> anyhow::Result<bool> {
        let Self { callback, link, probes, poster, relayed, work, replicas, pushes, admin, most, .. } = self;
        let (keep_alive, hang_ups) = (self.keep_alive, self.hang_ups);
        let (accounts, token) = (self.clients, self.admin_token);
        for account in callback.doors.all().filter(|pushes| pushes.mode() == Mode::Plaintext) {
            tracing::warn!(
                account = account.names().label(),
                "plaintext mode: WeChat's signature does not cover what a push says; use safe mode outside of tests"
            );
        }
        let stop = callback.drain.closed();
        let (expiry, watched) = (Expiry::default(), link.clone());
        let mut service = Service::new(&callback.drain);
        service.port(pushes, places(&callback, most), |accepted| {
            let (callback, stop) = (Arc::clone(&callback), stop.clone());
            async move {
                let Accepted { stream, peer, permit } = accepted;
                match permit {
                    Some(place) => {
                        web::serve(stream, &stop, keep_alive, Some(&place), |request| {
                            routes::route(&callback, request, peer)
                        })
                        .await;
                    }
                    // WeChat makes another try.
                    None => web::refuse(stream, &stop).await,
                }
            }
        });
        service.work(work);
        let audit = callback.audit.clone();
        service.work(async move { audit.keep().await });
        let links = Links::new(link.addresses().to_vec(), &callback.gateway);
        service.work(links.watch());
        service.work(watched.watch_expiry(&expiry));
        service.work(reading_again(
            link,
            callback.provider.clone(),
            callback.wechat_server.clone(),
            hang_ups,
        ));
        if let (Some(provider), Some(poster)) = (&callback.provider, &poster) {
            service.work(provider.keep());
            service.work(provider.tell_sites(poster));
        }
        if let Some(inside) = &callback.web {
            service.work(inside.keep());
        }
        let mut registry = callback.metrics.registry();
        relayed.register(&mut registry);
        callback.store.metrics().register(&mut registry);
        expiry.register(&mut registry);
        registry.register_collector(Box::new(Gateways(callback.gateway.clone())));
        if let Some(provider) = &callback.provider {
            registry.register_collector(Box::new(provider.backlog().clone()));
        }
        if let Some(probes) = &probes {
            probes.register(&mut registry);
            service.work(probes.run());
        }
        if let Some(replicas) = &replicas {
            replicas.register(&mut registry);
        }
        let ready = readiness(&callback, replicas);
        let source = Live {
            answered: callback.answered.clone(),
            links,
            accounts,
            metrics: callback.metrics.clone(),
            probe: probes.as_ref().map(|probes| probes.last().clone()),
            relayed: relayed.clone(),
            backlog: callback.provider.as_ref().map(|provider| provider.backlog().clone()),
            ready: Arc::clone(&ready),
            began: SystemTime::now(),
        };
        service.pages(live_view::pages(live_view::Setup {
            program: "callback-service",
            token_setting: ADMIN_TOKEN,
            token,
            listens: admin.address()?,
            trusted_proxies: callback.trusted_proxies.clone(),
            source: Arc::new(source),
        }));
        service.run(admin, registry, ready, stopped).await
    }
}

/// Ready once a gateway has been reached. After that the service stays ready when gateways go away: then it tells
/// people to try again, which a load balancer without any callback-service could not do.
fn readiness(callback: &Callback, replicas: Option<Replicas>) -> admin::Readiness {
    let (gateway, leaving) = (callback.gateway.clone(), callback.drain.leaving().clone());
    let was_connected = AtomicBool::new(false);
    Arc::new(move || {
        let is_connected = gateway.is_connected();
        if leaving.is_cancelled() {
            Err("draining".to_owned())
        } else if was_connected.fetch_or(is_connected, Ordering::Relaxed) || is_connected {
            Ok(replicas.as_ref().and_then(Replicas::shortage))
        } else {
            Err(format!("no gateway has been reached yet: {}", gateway.link()))
        }
    })
}

/// At each SIGHUP takes over the sites and signing keys, and tells whether the files of TLS are good. Those are read for
/// each connection anyway; but whoever has just replaced a file wants to know. All else is read at the start.
async fn reading_again(
    link: Link,
    provider: Option<Arc<Provider>>,
    wechat_server: Option<Arc<WeChatServer>>,
    hang_ups: HangUps,
) {
    let (files_of, asking) = (provider.clone(), wechat_server.clone());
    let read = move || {
        let sites = files_of.as_ref().map(|provider| provider.read_again());
        (link.read_again(), sites, asking.as_ref().map(|server| server.read_again()))
    };
    let told = move |(tls, sites, asking)| {
        match tls {
            Ok(true) => tracing::info!(
                "SIGHUP: the TLS files are good, and are read for each new connection; settings and secrets are read at \
                 the start"
            ),
            Ok(false) if provider.is_none() && wechat_server.is_none() => tracing::info!(
                "SIGHUP: there is nothing to read again; settings and secrets are read at the start"
            ),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(
                    "SIGHUP: {error}; the next connection to a gateway uses what was read before"
                );
            }
        }
        if let (Some(provider), Some(files)) = (&provider, sites) {
            provider.renew(files);
        }
        if let (Some(server), Some(file)) = (&wechat_server, asking) {
            server.renew(file);
        }
    };
    stop::hung_up(hang_ups, read, told).await;
}

/// The places of WeChat's connections.
fn places(callback: &Callback, most: usize) -> Places {
    let shares = Shares::new(shares::of(most), callback.trusted_proxies.clone());
    let advice = "name it in CALLBACK_TRUSTED_PROXIES if it is your proxy, or raise CALLBACK_MAX_CONNECTIONS";
    Places::new(most, callback.metrics.connections_refused.clone(), web::FULL)
        .shared(shares, advice)
        .counted(&callback.metrics.limits, "CALLBACK_MAX_CONNECTIONS")
}
