//! Replicas: a change that must be durable counts once enough replicas have it.
//!
//! A setting says how many are wanted. If the master says that fewer are connected, those are enough, and the operator
//! is told: to wait for the others would end everybody's logins for the loss of one machine. A replica that is connected
//! and silent is waited for, because nobody knows what it has.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use redis::aio::MultiplexedConnection;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use crate::Failure;
use crate::moment::milliseconds;

/// How long a change waits for replicas to say that they have it.
const WITHIN: Duration = Duration::from_millis(300);

/// After a wait in vain, changes fail at once for this long. A wait holds up what is written behind it, so all writers
/// would queue for a silent replica.
const PAUSE: Duration = Duration::from_millis(500);

/// After a wait in vain, time for the keeper to ask whether the replicas are still connected.
const LOOKED_WITHIN: Duration = Duration::from_millis(300);

/// After the operator has been told twice in an outage, how long until the next line.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

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
    /// The master has said that it has fewer than wanted.
    short: Option<Short>,
    /// What the operator has been told of it.
    told: Option<Told>,
}

/// The master has too few replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Short {
    connected: u32,
    wanted: u32,
    /// Most Sentinels name it as the master. If they do not, they may have made another one.
    is_master: bool,
}

/// What the operator was told last in an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    is_master: bool,
    /// How often it had turned out otherwise before.
    turns: u32,
    at: Instant,
}

impl Told {
    /// What the operator is told now, if there is news. A replica more or less, of too few, is not news; whether logins
    /// go on is. Right after a failover most Sentinels may not name the master yet, so it may turn out otherwise at once.
    /// A Sentinel that answers now and then would turn it each second, so later turns wait.
    fn next(before: Option<Self>, is_master: bool, now: Instant) -> Option<Self> {
        let Some(before) = before else { return Some(Self { is_master, turns: 0, at: now }) };
        let may_tell = before.turns == 0 || now >= before.at + TOLD_AGAIN;
        (before.is_master != is_master && may_tell).then_some(Self {
            is_master,
            turns: before.turns + 1,
            at: now,
        })
    }
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
    pub(super) fn new(wanted: u32) -> Self {
        let (known, _) = watch::channel(Known::default());
        Self { wanted, known, connected: Gauge::default(), missed: Counter::default() }
    }

    /// Says in words that the master has too few replicas, if that is so.
    #[must_use]
    pub fn shortage(&self) -> Option<String> {
        self.known.borrow().short.map(|short| short.to_string())
    }

    /// Registers the metrics of replicas, where any are wanted.
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

    pub(super) fn are_wanted(&self) -> bool {
        self.wanted > 0
    }

    /// How many must have a change now.
    fn needed(&self) -> u32 {
        match self.known.borrow().short {
            Some(Short { connected, is_master: true, .. }) => connected,
            _ => self.wanted,
        }
    }

    /// Whether a master that has said this has too few.
    pub(super) fn are_too_few(&self, connected: Option<u32>) -> bool {
        connected.is_some_and(|connected| connected < self.wanted)
    }

    /// Notes how many replicas a master has said that it has; `None` if it does not say, and then all are waited for. The
    /// operator is told at the beginning and the end of an outage, and when it turns out whether logins go on meanwhile.
    pub(super) fn note(&self, connected: Option<u32>, is_master: bool) {
        let wanted = self.wanted;
        if let Some(connected) = connected {
            self.connected.set(connected.into());
        }
        let short = connected.filter(|connected| *connected < wanted);
        let short = short.map(|connected| Short { connected, wanted, is_master });
        let (was_short, told) = {
            let known = self.known.borrow();
            (known.short.is_some(), known.told)
        };
        let news = short.and_then(|short| Told::next(told, short.is_master, Instant::now()));
        // This also wakes those who wait to hear of it. The keeper alone notes, so nothing has changed meanwhile.
        self.known.send_replace(Known { short, told: short.and(news.or(told)) });
        match short {
            Some(short) if news.is_some() => tracing::warn!(
                "{short}; bring the replicas back, or set GATEWAY_REDIS_REPLICAS and CALLBACK_REDIS_REPLICAS to \
                 as many as there are"
            ),
            None if was_short && connected.is_some() => {
                tracing::info!("Redis's master has the {wanted} replicas that are wanted again");
            }
            _ => {}
        }
    }
}

/// The connection for changes that wait for replicas. A wait holds up what comes behind it.
#[derive(Debug)]
pub(super) struct Durable {
    pub(super) connection: MultiplexedConnection,
    /// How many changes have been written.
    written: AtomicU64,
    /// One waits at a time, for all changes that were written before.
    confirmed: Mutex<Confirmed>,
}

/// The result of the last wait.
#[derive(Debug, Default)]
struct Confirmed {
    /// It was for all changes up to this one.
    up_to: u64,
    had_by: u32,
    pause_until: Option<Instant>,
}

impl Durable {
    pub(super) fn new(connection: MultiplexedConnection) -> Self {
        Self { connection, written: AtomicU64::new(0), confirmed: Mutex::default() }
    }

    /// Waits until enough replicas have what was just written on this connection. `look` has the master asked for
    /// its replicas, which [`Replicas::note`] is told.
    pub(super) async fn confirm(&self, replicas: &Replicas, look: impl Fn()) -> Result<(), Failure> {
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
        // WAIT is about what its own connection has written. If it fails, as at a demotion, the change may be written all
        // the same.
        let had_by = wait.query_async::<u32>(&mut self.connection.clone()).await.unwrap_or(0);
        *confirmed = Confirmed { up_to, had_by, pause_until: None };
        if had_by < needed {
            let mut looked = replicas.known.subscribe();
            look();
            // If the keeper does not look any more, the connection is over, too.
            let _ = timeout(LOOKED_WITHIN, looked.changed()).await;
            if had_by < replicas.needed() {
                confirmed.pause_until = Some(Instant::now() + PAUSE);
            }
        }
        had_by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_once_and_again_when_it_turns_out_whether_logins_go_on() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let told = |before, is_master, seconds| Told::next(before, is_master, at(seconds));
        let first = told(None, false, 0);
        assert!(first.is_some());
        assert_eq!(told(first, false, 3600), None);
        // Right after a failover most Sentinels may not name the new master yet.
        let second = told(first, true, 1);
        assert!(second.is_some());
        // A Sentinel that answers now and then.
        assert_eq!(told(second, false, 2), None);
        assert_eq!(told(second, false, 60), None);
        let third = told(second, false, 61);
        assert!(third.is_some());
        assert_eq!(told(third, true, 62), None);
        assert!(told(third, true, 121).is_some());
    }
}
