//! What the operator sees at `/metrics`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// A label. Its values come from our own code, never from outside.
pub(crate) type Label = [(&'static str, &'static str); 1];

/// The service's counters. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    /// Scans, by what the phone was told.
    pub scans: Family<Label, Counter>,
    /// Pushes that were refused or could not be read, by the check that failed.
    pub refused: Family<Label, Counter>,
    /// Connections that were refused because the port was full.
    pub connections_refused: Counter,
}

impl Metrics {
    /// Registers everything under names that begin with `callback_`.
    #[must_use]
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("callback");
        registry.register("scans", "Scans by what the phone was told", self.scans.clone());
        registry.register(
            "refused",
            "Pushes that were refused or could not be read, by the check that failed",
            self.refused.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections refused because the port was full",
            self.connections_refused.clone(),
        );
        registry.register(
            "log_lines_dropped",
            "Log lines dropped because nobody read the log in time, or it could not be written",
            server::logging::lines_dropped(),
        );
        registry
    }
}
