//! Replicas: a change that must be durable counts once they have it, as far as there are any.
//!
//! A setting says how many are wanted. Where the master itself says that fewer are connected, waiting for them
//! would end everybody's logins for the loss of one machine: then those that are there are enough, and the
//! operator is told. A replica that is connected and silent is waited for: nobody knows what it has.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use redis::aio::MultiplexedConnection;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use crate::{Failure, milliseconds};

/// How long a change waits for replicas to say that they have it.
const WITHIN: Duration = Duration::from_millis(300);

/// After waiting in vain nobody waits for this long: a wait holds up whatever is written behind it, and all writers
/// would queue for a replica that is silent.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a change that has waited in vain waits to hear whether the replicas are still connected.
const LOOKED_WITHIN: Duration = Duration::from_millis(300);

/// What is known of the master's replicas; clones share it.
#[derive(Debug, Clone)]
pub struct Replicas {
    wanted: u32,
    known: watch::Sender<Known>,
    connected: Gauge,
    missed: Counter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Known {
    /// Connected to the master, where it is known to have fewer than wanted.
    short: Option<Short>,
}

/// The master has too few replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Short {
    connected: u32,
    wanted: u32,
    /// It is the master all the same. Sentinels that do not say so may have made another one.
    is_master: bool,
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connected, wanted, is_master } = self;
        write!(f, "Redis's master has {connected} of the {wanted} replicas that are wanted; ")?;
        match is_master {
            true => f.write_str("logins go on, and what is recorded now is lost if this master is lost"),
            false => {
                f.write_str("most of the Sentinels do not name it, so no login is confirmed until they do")
            }
        }
    }
}

impl Replicas {
    pub(crate) fn new(wanted: u32) -> Self {
        let (known, _) = watch::channel(Known::default());
        Self { wanted, known, connected: Gauge::default(), missed: Counter::default() }
    }

    /// Says in words that the master has too few replicas, if that is so.
    #[must_use]
    pub fn shortage(&self) -> Option<String> {
        self.known.borrow().short.map(|short| short.to_string())
    }

    /// Registers what an operator has to know of replicas, where any are wanted.
    pub fn register(&self, registry: &mut Registry) {
        if self.wanted > 0 {
            registry.register(
                "redis_replicas",
                "Replicas that Redis's master has, as it said last",
                self.connected.clone(),
            );
            registry.register(
                "redis_replicas_missed",
                "Changes that fewer replicas had than wanted, because the master had no more",
                self.missed.clone(),
            );
        }
    }

    pub(crate) fn are_wanted(&self) -> bool {
        self.wanted > 0
    }

    /// How many must have a change now.
    fn needed(&self) -> u32 {
        match self.known.borrow().short {
            Some(Short { connected, is_master: true, .. }) => connected,
            _ => self.wanted,
        }
    }

    /// Whether so many, which a master has told, are too few.
    pub(crate) fn are_too_few(&self, connected: Option<u32>) -> bool {
        connected.is_some_and(|connected| connected < self.wanted)
    }

    /// Takes note of what a master has told, which the operator is told once an outage; nothing where it does not
    /// tell, and then all are waited for.
    pub(crate) fn note(&self, connected: Option<u32>, is_master: bool) {
        let wanted = self.wanted;
        if let Some(connected) = connected {
            self.connected.set(connected.into());
        }
        let short = connected.filter(|connected| *connected < wanted);
        let short = short.map(|connected| Short { connected, wanted, is_master });
        // Whoever waits for a look is woken, whatever it saw.
        match (self.known.send_replace(Known { short }).short, short) {
            (None, Some(short)) => tracing::warn!(
                "{short}; bring the replicas back, or set GATEWAY_REDIS_REPLICAS and CALLBACK_REDIS_REPLICAS to \
                 as many as there are"
            ),
            (Some(_), None) if connected.is_some() => {
                tracing::info!("Redis's master has the {wanted} replicas that are wanted again");
            }
            _ => {}
        }
    }
}

/// The connection for changes that wait for replicas, which holds up what comes behind them.
#[derive(Debug)]
pub(crate) struct Durable {
    pub(crate) connection: MultiplexedConnection,
    /// Changes that have been written.
    written: AtomicU64,
    /// One waits at a time, for all that were written before.
    confirmed: Mutex<Confirmed>,
}

/// What came of the last wait.
#[derive(Debug, Default)]
struct Confirmed {
    /// The changes that it was for: all up to this one.
    up_to: u64,
    had_by: u32,
    pause_until: Option<Instant>,
}

impl Durable {
    pub(crate) fn new(connection: MultiplexedConnection) -> Self {
        Self { connection, written: AtomicU64::new(0), confirmed: Mutex::default() }
    }

    /// Waits until enough replicas have what was just written on this connection. `look` has the master asked for
    /// its replicas, which [`Replicas::note`] is told.
    pub(crate) async fn confirm(&self, replicas: &Replicas, look: impl Fn()) -> Result<(), Failure> {
        let mine = self.written.fetch_add(1, Ordering::Relaxed) + 1;
        let had_by = match replicas.needed() {
            0 => 0,
            needed => self.wait(mine, needed, replicas, look).await,
        };
        let needed = replicas.needed();
        if had_by < needed {
            return Err(Failure::Unknown(format!("{had_by} of {needed} replicas have it")));
        }
        if had_by < replicas.wanted {
            replicas.missed.inc();
        }
        Ok(())
    }

    async fn wait(&self, mine: u64, needed: u32, replicas: &Replicas, look: impl Fn()) -> u32 {
        let mut confirmed = self.confirmed.lock().await;
        if confirmed.up_to >= mine {
            return confirmed.had_by;
        }
        if confirmed.pause_until.is_some_and(|until| Instant::now() < until) {
            return 0;
        }
        let up_to = self.written.load(Ordering::Relaxed);
        let mut wait = redis::cmd("WAIT");
        wait.arg(needed).arg(milliseconds(WITHIN));
        // WAIT speaks of what its own connection has written. That is written: a WAIT that fails, such as at a
        // demotion, must not deny it.
        let had_by = wait.query_async::<u32>(&mut self.connection.clone()).await.unwrap_or(0);
        *confirmed = Confirmed { up_to, had_by, pause_until: None };
        if had_by < needed {
            let mut looked = replicas.known.subscribe();
            look();
            // Nobody looks any more: then the connection is over, too.
            let _ = timeout(LOOKED_WITHIN, looked.changed()).await;
            if had_by < replicas.needed() {
                confirmed.pause_until = Some(Instant::now() + PAUSE);
            }
        }
        had_by
    }
}
