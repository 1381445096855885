//! The back end that had an official account's pushes before, and keeps those that are not ours. WeChat knows one address
//! for each account, so this service takes every push there and passes on what it has no use for.
//!
//! [`Kind`] says what is passed on, and [`Routes`] where to, as `CALLBACK_RELAY_URL` says it. `original` is a push as it came,
//! byte for byte. `target` is one address and the HTTP of it; its `host` has places and a `breaker`. What comes back is read as WeChat
//! would read it before it goes there (`answer`); of anything else WeChat gets an empty answer, which the person does not see.
//! `copies` are sent after a push has been answered by us.
//!
//! Logins are never behind any of this: it has connections, places and times of its own.

mod answer;
mod breaker;
mod copies;
mod host;
mod kinds;
mod metrics;
mod original;
mod routes;
mod settings;
mod target;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use reqwest::{Client, redirect};
use server::metrics::Limits;
use server::stop::Drain;
use server::tell;
use server::told::Told;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::answer::Answer;
pub(crate) use self::kinds::Kind;
pub(crate) use self::metrics::Metrics;
pub(crate) use self::original::{HOPS, Original};
pub(crate) use self::routes::Routes;
pub(crate) use self::settings::{RELAY_URL, Settings};

use self::answer::Fault;
use self::host::Host;
use self::target::Target;

/// The back end must have answered so long after a push has arrived. WeChat gives up after 5 s in all, its own way here and
/// back included.
const ANSWERED: Duration = Duration::from_millis(4300);

/// Limit for connecting.
const CONNECT: Duration = Duration::from_secs(2);

/// Idle connections kept to each address, and for how long: less than most servers keep theirs, so that no push is sent on a
/// connection that is being closed.
const MAX_IDLE: usize = 16;
const IDLE: Duration = Duration::from_secs(2);

/// Pushes at all back ends at once. The next is answered with nothing.
const MOST: usize = 256;

/// What the relays of all accounts share: none of them may use up more of this process than one alone could, and no host more
/// than half of it. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    outside: Client,
    /// For this machine's own addresses, which no proxy can reach.
    here: Client,
    /// By scheme, name and port.
    hosts: Arc<Mutex<HashMap<String, Arc<Host>>>>,
    places: Arc<Semaphore>,
    copying: Arc<Semaphore>,
    tasks: TaskTracker,
    leaving: CancellationToken,
    metrics: Metrics,
    limits: Limits,
}

impl Shared {
    /// Prepares it; nothing is connected yet. A proxy is taken from the environment.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(drain: &Drain, metrics: Metrics, limits: Limits) -> anyhow::Result<Self> {
        let build = |builder: reqwest::ClientBuilder| {
            builder
                .user_agent(concat!("saoma/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                .pool_max_idle_per_host(MAX_IDLE)
                .pool_idle_timeout(IDLE)
                // A push is for the address that the operator has written.
                .redirect(redirect::Policy::none())
                .build()
                .context("requests to CALLBACK_RELAY_URL cannot be prepared")
        };
        Ok(Self {
            outside: build(Client::builder())?,
            here: build(Client::builder().no_proxy())?,
            hosts: Arc::default(),
            places: Arc::new(Semaphore::new(MOST)),
            copying: Arc::new(Semaphore::new(copies::MOST)),
            tasks: drain.tasks().clone(),
            leaving: drain.leaving().clone(),
            metrics,
            limits,
        })
    }

    fn host(&self, at: String) -> Arc<Host> {
        let mut hosts = self.hosts.lock();
        Arc::clone(hosts.entry(at.clone()).or_insert_with(|| Arc::new(Host::new(at))))
    }
}

/// What passes on the pushes of one account. It has at least one route.
#[derive(Debug)]
pub(crate) struct Relay {
    /// By [`Kind`]. Kinds with one address have one target.
    targets: [Option<Arc<Target>>; Kind::ALL.len()],
    /// Of the account; for the log.
    account: String,
    shared: Shared,
    told: Told,
}

impl Relay {
    /// Passes on the pushes of the account of this label; `None` where there is no route.
    pub(crate) fn new(routes: &Routes, account: &str, shared: &Shared) -> Option<Arc<Self>> {
        let mut known: Vec<Arc<Target>> = Vec::new();
        let targets = Kind::ALL.map(|kind| {
            let url = routes.of(kind)?;
            if let Some(target) = known.iter().find(|target| target.url() == url) {
                return Some(Arc::clone(target));
            }
            let target = Arc::new(Target::new(url.clone(), shared));
            known.push(Arc::clone(&target));
            Some(target)
        });
        let (account, shared) = (account.to_owned(), shared.clone());
        (!known.is_empty()).then(|| Arc::new(Self { targets, account, shared, told: Told::default() }))
    }

    /// Whether pushes of a kind are passed on.
    #[must_use]
    pub(crate) fn takes(&self, kind: Kind) -> bool {
        self.target(kind).is_some()
    }

    fn target(&self, kind: Kind) -> Option<&Arc<Target>> {
        self.targets[kind as usize].as_ref()
    }

    /// Passes a push on that has `arrived`, and gives what goes back to WeChat. `None` is an empty answer: there is none from
    /// the back end in time, or none that WeChat would take. `judge` says why it would not.
    ///
    /// Dropping the future ends the request to the back end.
    pub(crate) async fn ask(
        &self,
        kind: Kind,
        original: Original,
        arrived: Instant,
        judge: impl Fn(&str) -> Result<(), String>,
    ) -> Option<Answer> {
        let target = self.target(kind)?;
        let began = Instant::now();
        let until = arrived + ANSWERED;
        let answered = async {
            // Held until the back end has answered.
            let Ok(_place) = self.shared.places.try_acquire() else { return Err(Fault::Full) };
            let answer = target.post(&original, until).await?;
            judge(answer.text()).map_err(Fault::Unfit)?;
            Ok(answer)
        };
        let answered = answered.await;
        if !matches!(answered, Err(Fault::Full | Fault::Open)) {
            self.shared.metrics.took(began.elapsed());
        }
        match answered {
            Ok(answer) => {
                self.shared.metrics.count(kind, if answer.says_something() { "replied" } else { "empty" });
                Some(answer)
            }
            Err(fault) => {
                self.count(kind, &fault);
                self.tell(kind, target, &fault, "WeChat got an empty answer");
                None
            }
        }
    }

    /// Counts a push that was passed on in vain.
    fn count(&self, kind: Kind, fault: &Fault) {
        self.shared.metrics.count(kind, fault.outcome());
        if matches!(fault, Fault::Full) {
            self.shared.limits.hit("callback_service::relay");
        }
    }

    /// Tells once a minute what went wrong, and what became of the push.
    fn tell(&self, kind: Kind, target: &Target, fault: &Fault, result: &str) {
        let (kind, at, outcome) = (kind.name(), &target.host().at, fault.outcome());
        tell!(
            warn,
            self.told,
            format!("{kind}: {outcome}"),
            [account = self.account, kind, outcome],
            "a push that is not ours was passed on to {at} (CALLBACK_RELAY_URL) in vain: {fault}; {result}"
        );
    }

    /// Tells that a push comes from a relay, which may be this one.
    pub(crate) fn tell_of_a_loop(&self) {
        tell!(
            error,
            self.told,
            "loop",
            [account = self.account],
            "a push was passed on to here by a relay, and is not passed on again: CALLBACK_RELAY_URL must be the address of \
             the back end that had the pushes before, not that of this service"
        );
    }
}
