//! What is counted of pushes that are believed: their kind, what came of them, and how long WeChat waited.

use protocol::Scene;
use tokio::time::Instant;
use wechat::push::{Kind, Push, REHEARSAL};

use super::Pushes;
use super::events::Reply;
use crate::account::names::Names;
use crate::metrics::{Metrics, of_account};

/// It had an effect, or an answer in words.
const DONE: &str = "done";

/// It is nothing for us: WeChat got its empty answer.
const IGNORED: &str = "ignored";

/// Another back end was asked for the answer.
const RELAYED: &str = "relayed";

/// Shows from the start what proves that pushes come, with 0: a rate needs a value before the first one.
pub(super) fn show(metrics: &Metrics, account: &Names) {
    for kind in ["scan", "subscribe", "text"] {
        metrics.pushes.get_or_create_owned(&of_account([("kind", kind), ("result", DONE)], account));
    }
}

impl Pushes {
    /// Counts a push that was answered with this.
    pub(super) fn count_push(&self, push: &Push, reply: Option<&Reply>, arrived: Instant) {
        let is_ours = |key: &str| self.is_of_a_site(key) || key.parse::<Scene>().is_ok();
        let result = match &push.kind {
            Kind::Unsubscribe => DONE,
            Kind::Scan { key } | Kind::Subscribe { key: Some(key) } if is_ours(key) => DONE,
            _ if reply.is_some() => DONE,
            _ => IGNORED,
        };
        self.count_answered(kind(&push.kind), result, arrived);
    }

    /// Counts a push that was passed on to another back end.
    pub(super) fn count_passed_on(&self, push: &Push, arrived: Instant) {
        self.count_answered(kind(&push.kind), RELAYED, arrived);
    }

    /// Counts a verification of the address that was answered.
    pub(super) fn count_verification(&self, arrived: Instant) {
        self.count_answered("verification", DONE, arrived);
    }

    fn count_answered(&self, kind: &'static str, result: &'static str, arrived: Instant) {
        let labels = of_account([("kind", kind), ("result", result)], self.names());
        self.metrics.pushes.get_or_create(&labels).inc();
        self.metrics.push_seconds.observe(arrived.elapsed().as_secs_f64());
    }
}

/// The kind of a push, by our own names: what WeChat calls it comes from outside.
fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Subscribe { .. } => "subscribe",
        Kind::Scan { .. } => "scan",
        Kind::Unsubscribe => "unsubscribe",
        Kind::OtherEvent { name, .. } if name == REHEARSAL => "rehearsal",
        Kind::OtherEvent { .. } => "event",
        Kind::Message { msg_type, .. } if msg_type == "text" => "text",
        Kind::Message { .. } => "message",
    }
}
