//! What the operator sees at `/metrics`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A notice's type and status. Label values come from our own code, never from outside.
pub(crate) type Labels = [(&'static str, &'static str); 2];

/// Why a new login was told to wait.
pub(crate) type Reason = [(&'static str, &'static str); 1];

/// The gateway's counters and gauges.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Pages connected now.
    pub pages: Gauge,
    /// Logins that were shown a QR code.
    pub logins: Counter,
    /// Pages that came back to their login.
    pub resumed: Counter,
    /// QR codes that could not be had.
    pub qr_failures: Counter,
    /// Calls to WeChat for QR codes, whatever became of them.
    pub qr_calls: Counter,
    /// QR codes that were made ahead and wait for their pages.
    pub qr_ready: Gauge,
    /// New logins that were told to wait, by the limit that they met.
    pub logins_refused: Family<Reason, Counter>,
    /// Connections of browsers that were refused because the port was full.
    pub refused: Counter,
    /// Notices, by type and by what came of them.
    pub notices: Family<Labels, Counter>,
    /// Connections to the internal port that proved no key.
    pub unauthorized: Counter,
}

impl Metrics {
    /// Registers everything under names that begin with `gateway_`.
    #[must_use]
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("gateway");
        registry.register("pages", "Pages connected now", self.pages.clone());
        registry.register("logins", "Logins that were shown a QR code", self.logins.clone());
        registry.register("resumed", "Pages that came back to their login", self.resumed.clone());
        registry.register("qr_failures", "QR codes that could not be had", self.qr_failures.clone());
        registry.register("qr_calls", "Calls to WeChat for QR codes", self.qr_calls.clone());
        registry.register("qr_ready", "QR codes made ahead that wait for pages", self.qr_ready.clone());
        registry.register(
            "logins_refused",
            "New logins told to wait, by the limit that they met",
            self.logins_refused.clone(),
        );
        registry.register("refused", "Connections refused because the port was full", self.refused.clone());
        registry.register("notices", "Notices by type and status", self.notices.clone());
        registry.register(
            "unauthorized",
            "Connections to the internal port that proved no key",
            self.unauthorized.clone(),
        );
        registry
    }
}
