//! What the operator sees at `/metrics`, as far as it is counted here; [`logins`] follow a login to its end. Other rooms
//! register what they know by themselves: what is left of an account's day, the keys of the internal port, the store.

pub(crate) mod logins;
mod notices;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use server::metrics::{Limits, buckets};
use wechat::CallMetrics;

pub(crate) use self::logins::LoginMetrics;
pub(crate) use self::notices::NoticeCounts;

/// The limits that a gateway meets, by their names in docs/limits.md.
const LIMITS: &[&str] = &[
    "GATEWAY_ADDRESS_RATE",
    "GATEWAY_MAX_CLIENTS",
    "GATEWAY_MAX_LOGINS",
    "GATEWAY_MAX_PAGES",
    "GATEWAY_QR_PER_DAY",
    "browsers::conversation",
    "browsers::socket",
    "codes::admission",
    "codes::free",
    "codes::unscanned",
    "logins::typed",
    "notices::clients",
    "notices::credentials",
    "protocol::codec",
    "server::places",
    "server::shares",
    "ws_gateway::codes",
    "ws_gateway::server",
];

/// A client's name, which is the operator's, and a notice's type and status, which are our own code's.
pub(crate) type Notices = ([(&'static str, String); 1], [(&'static str, &'static str); 2]);

/// A client's name, and its key's place in the file, counted from 1. The name is the operator's, from that file.
pub(crate) type ClientKey = [(&'static str, String); 2];

/// A notice's type.
type NoticeType = [(&'static str, &'static str); 1];

/// What a page was shown for a new login.
pub(crate) type Shows = [(&'static str, &'static str); 1];

/// The name of an official account, which is the operator's. The account of the variables has none, and no label.
pub(crate) type ByAccount = Vec<(&'static str, String)>;

/// What is counted of one official account's QR codes.
#[derive(Debug, Clone)]
pub(crate) struct OfAccount {
    /// Requests that went out to WeChat.
    pub calls: Counter,
    /// Codes that were made ahead.
    pub ready: Gauge,
    /// Times that a page could not have one.
    pub failures: Counter,
}

/// Why a page was refused, or a new login was told to wait.
pub(crate) type Reason = [(&'static str, &'static str); 1];

/// The gateway's counters and gauges.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Pages connected now.
    pub pages: Gauge,
    /// Logins that were shown to their pages.
    pub logins: Counter,
    /// What becomes of them.
    pub of_logins: LoginMetrics,
    /// The same by the QR code that they had: the account's, a web code, or none but a code to type.
    pub logins_shown: Family<Shows, Counter>,
    /// Pages that came back to their login.
    pub resumed: Counter,
    /// Times that a page could not have a QR code, by account.
    qr_failures: Family<ByAccount, Counter>,
    /// Requests for QR codes that went out to WeChat, whatever became of them.
    qr_calls: Family<ByAccount, Counter>,
    /// QR codes that were made ahead and wait for pages.
    qr_ready: Family<ByAccount, Gauge>,
    /// Pages that were told to wait, with a new login or to come back to one, by the limit that they met.
    pub logins_refused: Family<Reason, Counter>,
    /// Pages whose WebSocket was refused before it began, by the step that failed.
    pub pages_refused: Family<Reason, Counter>,
    /// Times that a page was told to wait because the store of logins could not be used.
    pub pages_without_store: Counter,
    /// Limits that were met.
    pub limits: Limits,
    /// Calls to WeChat's API.
    pub wechat: CallMetrics,
    /// Connections of browsers that were refused because the port was full.
    pub refused: Counter,
    /// Notices, by client, type, and what came of them.
    notices: Family<Notices, Counter>,
    /// From a notice's frame to its answer, by type.
    notice_seconds: Family<NoticeType, Histogram, fn() -> Histogram>,
    /// Connections to the internal port that proved no key.
    pub unauthorized: Counter,
    /// Connections to the internal port whose TLS handshake failed.
    pub tls_failures: Counter,
    /// Connections to the internal port that were refused because it, or the client's half of it, was full.
    pub clients_refused: Counter,
    /// Clients that are connected now, by name and by which of its keys.
    pub clients: Family<ClientKey, Gauge>,
    /// Proofs that held, by client and key.
    pub proofs: Family<ClientKey, Counter>,
}

/// Counts as one in a gauge until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    /// Counts in this gauge.
    pub(crate) fn by(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The labels of the account of this name.
pub(crate) fn by_account(name: &str) -> ByAccount {
    if name.is_empty() { Vec::new() } else { vec![("account", name.to_owned())] }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            pages: Gauge::default(),
            logins: Counter::default(),
            of_logins: LoginMetrics::default(),
            logins_shown: Family::default(),
            resumed: Counter::default(),
            qr_failures: Family::default(),
            qr_calls: Family::default(),
            qr_ready: Family::default(),
            logins_refused: Family::default(),
            pages_refused: Family::default(),
            pages_without_store: Counter::default(),
            limits: Limits::new(LIMITS),
            wechat: CallMetrics::default(),
            refused: Counter::default(),
            notices: Family::default(),
            notice_seconds: Family::new_with_constructor(buckets::work as fn() -> Histogram),
            unauthorized: Counter::default(),
            tls_failures: Counter::default(),
            clients_refused: Counter::default(),
            clients: Family::default(),
            proofs: Family::default(),
        }
    }
}

impl Metrics {
    /// The counts of the account of this name.
    #[must_use]
    pub(crate) fn of_account(&self, name: &str) -> OfAccount {
        let labels = by_account(name);
        OfAccount {
            calls: self.qr_calls.get_or_create(&labels).clone(),
            ready: self.qr_ready.get_or_create(&labels).clone(),
            failures: self.qr_failures.get_or_create(&labels).clone(),
        }
    }

    /// Counts a page.
    #[must_use]
    pub(crate) fn count_page(&self) -> Counted {
        Counted::by(self.pages.clone())
    }

    /// Counts a client's connection.
    #[must_use]
    pub(crate) fn count_client(&self, client: &ClientKey) -> Counted {
        Counted::by(self.clients.get_or_create(client).clone())
    }

    /// Counts a proof that held.
    pub(crate) fn count_proof(&self, client: &ClientKey) {
        self.proofs.get_or_create(client).inc();
    }

    /// Registers everything under names that begin with `gateway_`.
    #[must_use]
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("gateway");
        server::metrics::register(&mut registry);
        self.of_logins.register(&mut registry);
        self.limits.register(&mut registry);
        self.wechat.register(&mut registry);
        registry.register("pages", "Pages connected now", self.pages.clone());
        registry.register("logins", "Logins that were shown to their pages", self.logins.clone());
        registry.register(
            "logins_shown",
            "Logins by the QR code that their pages were shown: account (WeChat's), web, or typed (none)",
            self.logins_shown.clone(),
        );
        registry.register("resumed", "Pages that came back to their login", self.resumed.clone());
        registry.register(
            "qr_failures",
            "QR codes that could not be had, by account",
            self.qr_failures.clone(),
        );
        registry.register(
            "qr_calls",
            "Requests for QR codes that went out to WeChat, each try, by account",
            self.qr_calls.clone(),
        );
        registry.register(
            "qr_ready",
            "QR codes made ahead that wait for pages, by account",
            self.qr_ready.clone(),
        );
        registry.register(
            "logins_refused",
            "Pages told to wait with a new login, or on their way back to one, by the limit that they met",
            self.logins_refused.clone(),
        );
        registry.register(
            "pages_refused",
            "WebSockets refused before they began, by what failed: origin, upgrade, subprotocol, handshake",
            self.pages_refused.clone(),
        );
        registry.register(
            "pages_without_store",
            "Pages told to wait because the store of logins could not be used",
            self.pages_without_store.clone(),
        );
        registry.register("refused", "Connections refused because the port was full", self.refused.clone());
        registry.register(
            "notices",
            "Notices by client, type and status of the answer",
            self.notices.clone(),
        );
        registry.register_with_unit(
            "notice",
            "From a notice's frame to its answer, by type",
            Unit::Seconds,
            self.notice_seconds.clone(),
        );
        registry.register(
            "unauthorized",
            "Connections to the internal port that proved no key",
            self.unauthorized.clone(),
        );
        registry.register(
            "tls_failures",
            "Connections to the internal port whose TLS handshake failed",
            self.tls_failures.clone(),
        );
        registry.register(
            "clients_refused",
            "Connections to the internal port refused because it, or the client's half of it, was full",
            self.clients_refused.clone(),
        );
        registry.register(
            "clients",
            "Connections of clients now, by client and by which of its keys, 1 or 2",
            self.clients.clone(),
        );
        registry.register(
            "proofs",
            "Proofs of clients that held, by client and by which of its keys, 1 or 2",
            self.proofs.clone(),
        );
        registry
    }
}

/// The labels of a client's key. `key` is its place in the file, counted from 0.
#[must_use]
pub(crate) fn client_key(client: &str, key: usize) -> ClientKey {
    [("client", client.to_owned()), ("key", (key + 1).to_string())]
}
