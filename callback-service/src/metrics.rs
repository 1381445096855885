//! What the operator sees at `/metrics`: what this room counts. Others are those of the rooms that know them: the store's
//! (`records`), WeChat's calls (`wechat`), what waits for sites, and the link to the gateways.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use server::metrics::{Limits, buckets};
use wechat::CallMetrics;

use crate::account::names::Names;

/// The limits that this service meets, by their names in docs/limits.md.
const LIMITS: &[&str] = &[
    "CALLBACK_ADDRESS_RATE",
    "CALLBACK_MAX_CONNECTIONS",
    "CALLBACK_QR_PER_DAY",
    "callback_service::logins",
    "callback_service::logins::code",
    "callback_service::logins::confirmation",
    "callback_service::outbox",
    "callback_service::pushes::bodies",
    "callback_service::relay",
    "callback_service::web",
    "callback_service::wechat_server",
    "server::places",
    "server::shares",
    "wechat::push",
];

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
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Pushes that were believed, by kind, what came of them, and the account.
    pub pushes: Family<OfAccount<Labels>, Counter>,
    /// From their arrival to the answer.
    pub push_seconds: Histogram,
    /// Limits that were met.
    pub limits: Limits,
    /// Calls to WeChat's API.
    pub wechat: CallMetrics,
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

/// What is delivered to sites, by the names of the outbox.
const DELIVERED: [&str; 4] = ["logout", "login", "denial", "unsubscribe"];

/// Deliveries by kind. They are shown from the start, with 0: a rate needs a value before the first one.
fn deliveries() -> Family<Label, Counter> {
    let family = Family::default();
    for kind in DELIVERED {
        family.get_or_create_owned(&[("kind", kind)]);
    }
    family
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            pushes: Family::default(),
            push_seconds: buckets::push(),
            limits: Limits::new(LIMITS),
            wechat: CallMetrics::default(),
            scans: Family::default(),
            confirmations: Family::default(),
            web_authorizations: Family::default(),
            wechat_server: Family::default(),
            refused: Family::default(),
            audit_failures: Counter::default(),
            connections_refused: Counter::default(),
            outbox_delivered: deliveries(),
            outbox_failed: deliveries(),
            outbox_dead: deliveries(),
            outbox_refused: deliveries(),
        }
    }
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
        server::metrics::register(&mut registry);
        self.limits.register(&mut registry);
        self.wechat.register(&mut registry);
        registry.register(
            "pushes",
            "Pushes that were believed, by kind (scan, subscribe, unsubscribe, text, message, event, verification, rehearsal), \
             result (done, ignored, relayed) and account",
            self.pushes.clone(),
        );
        registry.register_with_unit(
            "push",
            "From the arrival of a push that was believed to its answer",
            Unit::Seconds,
            self.push_seconds.clone(),
        );
        registry.register(
            "scans",
            "Scans, typed codes and logins inside WeChat (way), by what the phone was told, and account",
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
            "Pushes that were refused or could not be read, by the check that failed (stage) and account",
            self.refused.clone(),
        );
        registry.register(
            "audit_failures",
            "Entries of the audit that were not written because the store failed",
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
        registry
    }
}
