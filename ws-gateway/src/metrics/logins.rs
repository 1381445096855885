//! The logins of this gateway's pages: how many are in progress, how they end, and how long each step takes.
//!
//! Each page's task counts what its page sees: a login that a page comes back to is in progress here again, and one whose
//! page goes has been left, whatever becomes of its record. So `logins + resumed = the ends + those in progress`, at every
//! moment.

use std::sync::{Arc, OnceLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use server::metrics::buckets;
use tokio::time::Duration;

use super::Counted;

/// The state of a login in progress.
type State = [(&'static str, &'static str); 1];

/// How a login ended.
type Ended = [(&'static str, &'static str); 1];

/// What is counted of logins. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoginMetrics(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    in_progress: Family<State, Gauge>,
    ended: Family<Ended, Counter>,
    shown_seconds: Histogram,
    scanned_seconds: Histogram,
    ended_seconds: Family<Ended, Histogram, fn() -> Histogram>,
    /// Those of the families that each login has to do with, at hand.
    waiting: Gauge,
    scanned: Gauge,
    ends: [(Counter, OnceLock<Histogram>); End::ALL.len()],
}

impl Default for Counts {
    fn default() -> Self {
        let in_progress = Family::<State, Gauge>::default();
        let ended = Family::<Ended, Counter>::default();
        // They are shown from the start, with 0: a rate needs a value before the first one.
        let [waiting, scanned] =
            [WAITING, SCANNED].map(|state| in_progress.get_or_create_owned(&[("state", state)]));
        let ends = End::ALL.map(|end| (ended.get_or_create_owned(&end.labels()), OnceLock::new()));
        Self {
            in_progress,
            ended,
            shown_seconds: buckets::shown(),
            scanned_seconds: buckets::person(),
            ended_seconds: Family::new_with_constructor(buckets::person as fn() -> Histogram),
            waiting,
            scanned,
            ends,
        }
    }
}

/// Nobody has scanned it.
pub(crate) const WAITING: &str = "waiting";

/// Somebody has scanned it, and perhaps is to confirm it.
pub(crate) const SCANNED: &str = "scanned";

/// How a login ends for its page, in the order of [`End::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its person has logged in.
    Granted,
    /// Its person, or the back end, said no.
    Denied,
    /// Its time was over.
    Expired,
    /// The page took another one.
    Replaced,
    /// The page went away. It may come back.
    Left,
}

impl End {
    const ALL: [Self; 5] = [Self::Granted, Self::Denied, Self::Expired, Self::Replaced, Self::Left];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
            Self::Left => "left",
        }
    }

    fn labels(self) -> Ended {
        [("end", self.name())]
    }
}

impl LoginMetrics {
    /// A login is in progress until what this gives is dropped.
    pub(crate) fn begin(&self, is_scanned: bool) -> Counted {
        Counted::by(if is_scanned { &self.0.scanned } else { &self.0.waiting }.clone())
    }

    /// A page was shown its QR code after this time.
    pub(crate) fn shown(&self, after: Duration) {
        self.0.shown_seconds.observe(after.as_secs_f64());
    }

    /// A login was scanned after this time.
    pub(crate) fn scanned(&self, after: Duration) {
        self.0.scanned_seconds.observe(after.as_secs_f64());
    }

    /// A login has ended after this time.
    pub(crate) fn end(&self, end: End, after: Duration) {
        let (ended, seconds) = &self.0.ends[end as usize];
        ended.inc();
        let known = || self.0.ended_seconds.get_or_create_owned(&end.labels());
        seconds.get_or_init(known).observe(after.as_secs_f64());
    }

    /// Logins in progress in this state: `waiting` or `scanned`.
    #[cfg(test)]
    pub(crate) fn in_progress(&self, state: &'static str) -> i64 {
        self.0.in_progress.get_or_create(&[("state", state)]).get()
    }

    /// Logins that have ended like this.
    #[cfg(test)]
    pub(crate) fn ended(&self, end: End) -> u64 {
        self.0.ended.get_or_create(&end.labels()).get()
    }

    /// Registers everything under the prefix of `registry`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "logins_in_progress",
            "Logins that pages show now: waiting for a scan, or scanned",
            self.0.in_progress.clone(),
        );
        registry.register(
            "logins_ended",
            "Logins that ended for their pages: granted, denied, expired, replaced (the page took another), left (it went \
             away, and may come back)",
            self.0.ended.clone(),
        );
        registry.register_with_unit(
            "login_shown",
            "From a page's opening, or its wish for another login, to its QR code",
            Unit::Seconds,
            self.0.shown_seconds.clone(),
        );
        registry.register_with_unit(
            "login_scanned",
            "From a login's QR code to its scan",
            Unit::Seconds,
            self.0.scanned_seconds.clone(),
        );
        registry.register_with_unit(
            "login_ended",
            "From a login's QR code to its end",
            Unit::Seconds,
            self.0.ended_seconds.clone(),
        );
    }
}
