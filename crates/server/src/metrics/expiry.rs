//! Until when the certificates of a service hold.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// When each file of certificates ends to hold: the earliest end of a certificate in it. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Expiry(Family<[(&'static str, &'static str); 1], Gauge<i64, AtomicI64>>);

impl Expiry {
    /// Notes when a file ends to hold, in seconds since 1970; `None` when there is no such file, or it cannot be read.
    pub fn note(&self, file: &'static str, ends_at: Option<i64>) {
        match ends_at {
            Some(at) => _ = self.0.get_or_create(&[("file", file)]).set(at),
            None => _ = self.0.remove(&[("file", file)]),
        }
    }

    /// When a file ends to hold, as it was noted last.
    #[must_use]
    pub fn get(&self, file: &'static str) -> Option<i64> {
        self.0.get(&[("file", file)]).map(|gauge| gauge.get())
    }

    /// Registers them under the prefix of `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "certificate_expires_timestamp",
            "When the first certificate of a file expires, in seconds since 1970, by the file's setting",
            Unit::Seconds,
            self.0.clone(),
        );
    }
}
