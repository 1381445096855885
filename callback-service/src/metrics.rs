//! What the operator sees at `/metrics`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::account::names::Names;

/// A label. Its values come from our own code, never from outside.
pub(crate) type Label = [(&'static str, &'static str); 1];

/// Two of them.
pub(crate) type Labels = [(&'static str, &'static str); 2];

/// One of them, beside the name of an official account, which is the operator's. The account of the variables has none,
/// and no label.
pub(crate) type OfAccount<L> = (L, Vec<(&'static str, String)>);

/// These labels, of something of an account.
pub(crate) fn of_account<L>(labels: L, account: &Names) -> OfAccount<L> {
    (labels, account.name().map(|name| ("account", name.to_owned())).into_iter().collect())
}

/// The service's counters. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    /// Scans and what stands for one, by what the phone was told, by the way, and by the account.
    pub scans: Family<OfAccount<Labels>, Counter>,
    /// Confirmations in the chat, by what happened.
    pub confirmations: Family<Label, Counter>,
    /// Web authorizations by what WeChat said: came, refused, snapshot, bad_code, failed.
    pub web_authorizations: Family<Label, Counter>,
    /// What came of wechat-server's protocol.
    pub wechat_server: Family<Label, Counter>,
    /// Pushes that were refused or could not be read, by the check that failed and the account.
    pub refused: Family<OfAccount<Label>, Counter>,
    /// Entries of the audit that were not written.
    pub audit_failures: Counter,
    /// Connections that were refused because the port was full.
    pub connections_refused: Counter,
    /// Deliveries to sites that have arrived, by kind.
    pub outbox_delivered: Family<Label, Counter>,
    /// Tries of deliveries to sites that have failed, by kind.
    pub outbox_failed: Family<Label, Counter>,
    /// Deliveries to sites that were given up, by kind.
    pub outbox_dead: Family<Label, Counter>,
    /// Deliveries to sites that were dropped because too many waited, by kind.
    pub outbox_refused: Family<Label, Counter>,
}

impl Metrics {
    /// Counts a push that was refused or could not be read, by the check that failed.
    pub(crate) fn count_refused(&self, account: &Names, stage: &'static str) {
        self.refused.get_or_create(&of_account([("stage", stage)], account)).inc();
    }

    /// Registers everything under names that begin with `callback_`.
    #[must_use]
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("callback");
        registry.register(
            "scans",
            "Scans, typed codes and logins inside WeChat (way), by what the phone was told",
            self.scans.clone(),
        );
        registry.register(
            "confirmations",
            "Confirmations in the chat by what happened: asked, right, wrong, not_me, wrong_numbers, replaced, late",
            self.confirmations.clone(),
        );
        registry.register(
            "web_authorizations",
            "Web authorizations by what WeChat said: came, refused, snapshot, bad_code, failed",
            self.web_authorizations.clone(),
        );
        registry.register(
            "wechat_server",
            "What came of wechat-server's protocol: code, right, wrong, limited, no_right, qr_made, qr_limited, qr_failed",
            self.wechat_server.clone(),
        );
        registry.register(
            "refused",
            "Pushes that were refused or could not be read, by the check that failed",
            self.refused.clone(),
        );
        registry.register(
            "audit_failures",
            "Entries of the audit that were not written because the store did not answer",
            self.audit_failures.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections refused because the port was full",
            self.connections_refused.clone(),
        );
        registry.register(
            "outbox_delivered",
            "Deliveries to sites that have arrived, by kind",
            self.outbox_delivered.clone(),
        );
        registry.register(
            "outbox_failed",
            "Tries of deliveries to sites that have failed, by kind",
            self.outbox_failed.clone(),
        );
        registry.register(
            "outbox_dead",
            "Deliveries to sites that were given up after a day, by kind",
            self.outbox_dead.clone(),
        );
        registry.register(
            "outbox_refused",
            "Deliveries to sites that were dropped because too many waited, by kind",
            self.outbox_refused.clone(),
        );
        registry.register(
            "log_lines_dropped",
            "Log lines dropped because nobody read the log in time, or it could not be written",
            server::logging::lines_dropped(),
        );
        registry
    }
}
