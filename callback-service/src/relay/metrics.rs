//! What the operator sees of the relay at `/metrics`.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Kind;
use crate::metrics::Labels;

/// Seconds: a back end beside this one takes a few thousandths, and WeChat waits for five.
const BUCKETS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 4.3];

/// The counts of the relays of all accounts. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    relayed: Family<Labels, Counter>,
    seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { relayed: Family::default(), seconds: Histogram::new(BUCKETS) }
    }
}

impl Metrics {
    /// Counts a push by what became of it.
    pub(super) fn count(&self, kind: Kind, outcome: &'static str) {
        self.relayed.get_or_create(&[("kind", kind.name()), ("outcome", outcome)]).inc();
    }

    /// Notes how long WeChat has waited for the back end.
    pub(super) fn took(&self, time: Duration) {
        self.seconds.observe(time.as_secs_f64());
    }

    /// Registers everything.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "relayed",
            "Pushes for the back end of CALLBACK_RELAY_URL by kind and outcome: replied, empty, copied, late, refused, \
             failed, unfit, breaker, dropped",
            self.relayed.clone(),
        );
        registry.register_with_unit(
            "relay",
            "Time from passing a push on to the back end's answer, or to giving it up",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }
}
