//! The callback service: takes WeChat's pushes, decides, tells the gateway, and answers the phone.
//!
//! A scan's journey is a straight line: [`routes`] (size, time, room in [`bodies`]) → [`push`] (signature, mode,
//! freshness, XML: what is believed) → [`login`] (claim, scan, count), which asks the gateway through [`gateway`] and
//! remembers in [`store`] → [`texts`] (the words) → [`push`] again (the sealed reply). [`one_body`] is
//! plaintext mode's own rule.

mod bodies;
pub mod commands;
pub mod config;
mod gateway;
mod login;
mod metrics;
mod one_body;
pub mod push;
mod routes;
mod store;
mod texts;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures_util::future::{BoxFuture, FutureExt};
use http::StatusCode;
use ipnet::IpNet;
use protocol::Client;
use records::Replicas;
use server::http::{self as web, Answer};
use server::listen::{self, Accepted};
use server::shares::{self, Shares};
use server::stop::{self, Drain};
use server::told::Told;
use server::{admin, clock, descriptors, tell};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::bodies::Bodies;
use self::config::{Config, Store};
use self::login::Logins;
use self::metrics::Metrics;
use self::one_body::OneBody;
use self::push::{Account, Mode, Refusal};
use self::store::{RedisStore, SqliteStore};
use self::texts::{Messages, Texts};

/// What every request of this service shares.
pub(crate) struct Callback {
    account: Account,
    one_body: Option<OneBody>,
    bodies: Bodies,
    logins: Arc<Logins>,
    messages: Messages,
    texts: Texts,
    metrics: Metrics,
    /// Whose X-Forwarded-For is believed.
    trusted_proxies: Vec<IpNet>,
    /// What the log has said of strangers.
    told: Told,
}

impl Callback {
    /// Refuses a push: undifferentiated outwards, by its stage in the log. An authentic one has no effect.
    fn refuse(&self, refusal: Refusal, from: IpAddr) -> Answer {
        let stage = refusal.stage();
        self.metrics.refused.get_or_create(&[("stage", stage)]).inc();
        if refusal.is_authentic() {
            let reason = format!("unreadable: {stage}");
            tell!(
                warn,
                self.told,
                reason,
                [stage],
                "a push of WeChat's could not be read and has no effect: {refusal}"
            );
        } else {
            tell!(warn, self.told, stage, [%from, stage], "a push was refused: {refusal}");
        }
        refused(refusal)
    }

    /// Refuses what nobody signed and nobody meant to: no setting is wrong.
    fn pass(&self, refusal: Refusal, from: IpAddr) -> Answer {
        self.metrics.refused.get_or_create(&[("stage", refusal.stage())]).inc();
        tell!(
            info,
            self.told,
            "no parameters",
            [%from],
            "a request without WeChat's parameters came to /wechat and was refused: a browser, a health check or a \
             scanner; health checks find /readyz at CALLBACK_ADMIN_LISTEN"
        );
        refused(refusal)
    }
}

fn refused(refusal: Refusal) -> Answer {
    web::text(StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::FORBIDDEN), "")
}

/// A service whose ports are bound.
pub struct Server {
    config: Config,
    account: Account,
    one_body: Option<OneBody>,
    store: Arc<dyn store::Store>,
    /// What keeps the store's connections.
    work: BoxFuture<'static, ()>,
    /// Of Redis, where that is the store.
    replicas: Option<Replicas>,
    wechat: wechat::Client,
    pushes: TcpListener,
    admin: TcpListener,
}

/// Where a service listens, with the ports that were really bound.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// `CALLBACK_LISTEN`.
    pub pushes: SocketAddr,
    /// `CALLBACK_ADMIN_LISTEN`.
    pub admin: SocketAddr,
}

impl Server {
    /// Opens the store and binds all ports.
    ///
    /// # Errors
    /// When the store cannot be used, a port cannot be bound, or the WeChat client cannot be set up.
    pub fn bind(config: Config) -> anyhow::Result<Self> {
        let (store, replicas, work): (Arc<dyn store::Store>, _, _) = match config.store()? {
            Store::Sqlite(path) => {
                (Arc::new(SqliteStore::open(&path)?), None, std::future::pending().boxed())
            }
            Store::Redis { place, replicas } => {
                let (store, keeper) = RedisStore::new(place, &config.callback_redis_prefix, replicas);
                let replicas = store.replicas().clone();
                (Arc::new(store), Some(replicas), keeper.run().boxed())
            }
        };
        let one_body = match (config.wechat_mode, config.wechat_push_max_age.0) {
            (Mode::Plaintext, Some(max_age)) => {
                let forgets = matches!(config.store()?, Store::Sqlite(path) if path.as_os_str() == MEMORY);
                // Before the port is there, so that no push that comes to it can be older.
                let blind_before = forgets.then(clock::unix_now);
                Some(OneBody::new(Arc::clone(&store), max_age, blind_before))
            }
            _ => None,
        };
        Ok(Self {
            account: config.account()?,
            one_body,
            store,
            work,
            replicas,
            wechat: config.wechat()?,
            pushes: listen::bind("CALLBACK_LISTEN", config.callback_listen)?,
            admin: listen::bind("CALLBACK_ADMIN_LISTEN", config.callback_admin_listen)?,
            config,
        })
    }

    /// Where the service listens.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn addresses(&self) -> anyhow::Result<Addresses> {
        Ok(Addresses { pushes: self.pushes.local_addr()?, admin: self.admin.local_addr()? })
    }

    /// Serves until `stopped`, then finishes the pushes in hand; says whether they ended within the drain
    /// time.
    ///
    /// # Errors
    /// When a listening socket itself fails.
    pub async fn run(self, stopped: impl Future<Output = ()>) -> anyhow::Result<bool> {
        let Self { config, account, one_body, store, work, replicas, wechat, pushes, admin } = self;
        if config.wechat_mode == Mode::Plaintext {
            tracing::warn!(
                "plaintext mode: WeChat's signature does not cover what a push says; use safe mode outside of tests"
            );
        }
        let gateway = Client::start(protocol::client::Settings {
            name: "callback".to_owned(),
            key: config.notify_key()?,
            addresses: config.callback_gateway.iter().map(|address| address.0.clone()).collect(),
            tls: config.gateway_tls()?,
        });
        let drain = Drain::new(config.callback_drain_time);
        // The admin port answers until the very end.
        let ended = CancellationToken::new();
        let _end = ended.clone().drop_guard();
        let within = config.callback_user_info_within;
        let logins = Logins::new(gateway.clone(), wechat, store, within, drain.tasks().clone());
        let callback = Arc::new(Callback {
            account,
            one_body,
            bodies: Bodies::default(),
            logins,
            messages: config.callback_messages,
            texts: config.texts.clone(),
            metrics: Metrics::default(),
            trusted_proxies: config.callback_trusted_proxies.clone(),
            told: Told::default(),
        });

        let mut registry = callback.metrics.registry();
        if let Some(replicas) = &replicas {
            replicas.register(&mut registry);
        }
        let leaving = drain.leaving().clone();
        let was_connected = AtomicBool::new(false);
        // Once it has been there, a gateway that is away changes nothing: a person is told to try again, which a
        // load balancer without any callback-service could not do. All of them change gateways together.
        let ready: admin::Readiness = Arc::new(move || match () {
            () if leaving.is_cancelled() => Err("draining".to_owned()),
            () if was_connected.fetch_or(gateway.is_connected(), Ordering::Relaxed)
                || gateway.is_connected() =>
            {
                Ok(replicas.as_ref().and_then(Replicas::shortage))
            }
            () => Err(format!("no gateway has been reached yet: {}", gateway.link())),
        });
        let operators = admin::serve(admin, registry, ready, ended.clone(), TaskTracker::new());
        let most = places(&config);
        let serving = async {
            let pushes = accept_pushes(&callback, pushes, most, config.callback_keep_alive, &drain);
            let draining = async {
                drain.begin_when(stopped).await;
                Ok(())
            };
            tokio::try_join!(pushes, draining)?;
            Ok(drain.finish().await)
        };
        tokio::select! {
            served = serving => served,
            () = work => Ok(false),
            () = reading_again(config.clone()) => Ok(false),
            failed = operators => failed.context("CALLBACK_ADMIN_LISTEN").map(|()| false),
        }
    }
}

/// At each SIGHUP: there is nothing to take over, because the files of TLS are read for each connection and all else
/// at the start. But whoever has just replaced them hears whether they are good.
async fn reading_again(config: Config) {
    let read = move || config.gateway_tls();
    let told = |files| match files {
        Ok(Some(_)) => tracing::info!(
            "SIGHUP: the TLS files are good, and are read for each new connection; settings and secrets are read at the \
             start"
        ),
        Ok(None) => tracing::info!(
            "SIGHUP: there is nothing to read again; settings and secrets are read at the start"
        ),
        Err(error) => {
            tracing::error!("SIGHUP: {error}; the next connection to a gateway uses what was read before");
        }
    };
    stop::hung_up(read, told).await;
}

/// The path of SQLite's that is this process alone.
const MEMORY: &str = ":memory:";

/// Open files that pushes leave to the gateway's connection, the store, the admin port (40), refusals under way
/// (64), and the program's own.
const FILES_BESIDE: usize = 128;

/// How many of WeChat's connections there is room for: each may be an open file of its own and a call to WeChat
/// for a nickname, and a flood of them must not take the rest of the service down.
fn places(config: &Config) -> usize {
    let (setting, wanted) = ("CALLBACK_MAX_CONNECTIONS", config.callback_max_connections);
    descriptors::Port { setting, wanted, each: 2, beside: FILES_BESIDE }.places(descriptors::raise())
}

async fn accept_pushes(
    callback: &Arc<Callback>,
    listener: TcpListener,
    most: usize,
    keep_alive: Duration,
    drain: &Drain,
) -> anyhow::Result<()> {
    let places = listen::Places::new(most, callback.metrics.connections_refused.clone(), web::FULL);
    let places = places.shared(
        Shares::new(shares::of(most), callback.trusted_proxies.clone()),
        "name it in CALLBACK_TRUSTED_PROXIES if it is your proxy, or raise CALLBACK_MAX_CONNECTIONS",
    );
    listen::accept(listener, places, drain.closed().clone(), drain.tasks().clone(), |accepted| {
        let (callback, stop) = (Arc::clone(callback), drain.closed().clone());
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
    })
    .await
    .context("CALLBACK_LISTEN")
}
