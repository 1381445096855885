//! What an operator sees of a store: how long its operations take, and which fail.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::Failure;

/// Bounds of an operation's time, in seconds: microseconds in memory, about a millisecond elsewhere, and 500 ms is the end
/// of a command to Redis.
const BUCKETS: [f64; 9] = [0.000_1, 0.000_5, 0.001, 0.002_5, 0.01, 0.05, 0.1, 0.25, 0.5];

/// What a store is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A record is read.
    Read,
    /// A record is read, decided upon, and perhaps written, as often as it takes.
    Update,
    /// One is taken from what all processes share, and counted.
    Take,
    /// One is given back.
    GiveBack,
}

impl Operation {
    /// How many there are.
    const COUNT: usize = Self::GiveBack as usize + 1;

    /// Its name, for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Update => "update",
            Self::Take => "take",
            Self::GiveBack => "give_back",
        }
    }
}

type ByOperation = [(&'static str, &'static str); 1];

/// Measures one store. Clones count together.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    seconds: Family<ByOperation, Histogram, fn() -> Histogram>,
    /// Those of `seconds` that have been asked for, because each operation would look for its own in there.
    at_hand: Arc<[OnceLock<Histogram>; Operation::COUNT]>,
    failures: Family<[(&'static str, &'static str); 2], Counter>,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        let seconds = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        Self { seconds, at_hand: Arc::default(), failures: Family::default() }
    }
}

impl StoreMetrics {
    /// How often an operation failed in this way: `not_done`, `full` or `unknown`.
    #[must_use]
    pub fn failures(&self, operation: Operation, failure: &'static str) -> u64 {
        let labels = [("operation", operation.name()), ("failure", failure)];
        self.failures.get(&labels).map_or(0, |failures| failures.get())
    }

    /// Registers everything under the prefix of `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "store",
            "Operations of the store, whatever came of them: read, update, take, give_back",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register(
            "store_failures",
            "Operations of the store that failed: not_done, full, or unknown (perhaps done)",
            self.failures.clone(),
        );
    }

    /// An operation that began then has ended. One whose caller gave up is not counted.
    pub(crate) fn note<T>(
        &self,
        operation: Operation,
        began: Instant,
        outcome: Result<T, Failure>,
    ) -> Result<T, Failure> {
        let took = began.elapsed().as_secs_f64();
        let known = || self.seconds.get_or_create_owned(&[("operation", operation.name())]);
        self.at_hand[operation as usize].get_or_init(known).observe(took);
        if let Err(failure) = &outcome {
            let labels = [("operation", operation.name()), ("failure", failure.name())];
            self.failures.get_or_create(&labels).inc();
        }
        outcome
    }
}
