//! What is counted of probes.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use server::clock;

use super::broken::{Broken, Fault};

/// Upper ends of the buckets, in seconds. On one machine a probe takes milliseconds; a person notices a second; after ten
/// it is given up.
const SECONDS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The outcome of a probe that is no fault.
const DELIVERED: &str = "delivered";

/// The counts of probes.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    probes: Family<[(&'static str, &'static str); 1], Counter>,
    last_success: Gauge,
    seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let probes = Family::default();
        // Every outcome is there from the start, so that the first of each is seen as an increase.
        for outcome in Fault::ALL.map(Fault::name).into_iter().chain([DELIVERED]) {
            drop(probes.get_or_create(&[("outcome", outcome)]));
        }
        Self { probes, last_success: Gauge::default(), seconds: Histogram::new(SECONDS) }
    }
}

impl Metrics {
    /// Registers them.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "probes",
            "Logins of no person by which this service sees whether logins are delivered, by outcome: delivered, or where \
             it ended",
            self.probes.clone(),
        );
        registry.register_with_unit(
            "probe_last_success_timestamp",
            "When a probe's login was last delivered, in seconds since 1970; 0 before the first",
            Unit::Seconds,
            self.last_success.clone(),
        );
        registry.register_with_unit(
            "probe",
            "How long a probe's login took that was delivered, from its making to the close of its page's socket",
            Unit::Seconds,
            self.seconds.clone(),
        );
    }

    /// Counts one.
    pub(super) fn count(&self, probed: &Result<Duration, Broken>) {
        let outcome = match probed {
            Ok(took) => {
                self.last_success.set(i64::try_from(clock::unix_now()).unwrap_or(i64::MAX));
                self.seconds.observe(took.as_secs_f64());
                DELIVERED
            }
            Err(broken) => broken.fault.name(),
        };
        self.probes.get_or_create(&[("outcome", outcome)]).inc();
    }
}
