//! What waits for sites, for the operator: as this process saw each queue last. Every process on one store sees all of
//! them, so their numbers are the same, and not to be added up.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use tokio::time::{Duration, Instant};

/// The queues of all sites. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog(Arc<Mutex<BTreeMap<String, Waiting>>>);

/// What waits for one site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    deliveries: usize,
    /// When the oldest of them was put there.
    since: Instant,
}

impl Backlog {
    /// So many deliveries wait for a site, the oldest for so long.
    pub(super) fn note(&self, site: &str, deliveries: usize, oldest: Duration) {
        let now = Instant::now();
        let since = now.checked_sub(oldest).unwrap_or(now);
        let mut sites = self.0.lock();
        match deliveries {
            0 => _ = sites.remove(site),
            _ => _ = sites.insert(site.to_owned(), Waiting { deliveries, since }),
        }
    }

    /// Forgets sites that are no more.
    pub(super) fn keep(&self, named: &[String]) {
        self.0.lock().retain(|site, _| named.contains(site));
    }

    /// Deliveries that wait, and since when the oldest does.
    pub(crate) fn seen(&self) -> (usize, Duration) {
        let sites = self.0.lock();
        let oldest = sites.values().map(|waiting| waiting.since.elapsed()).max();
        (sites.values().map(|waiting| waiting.deliveries).sum(), oldest.unwrap_or_default())
    }
}

impl Collector for Backlog {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (waiting, oldest) = self.seen();
        let gauge = ConstGauge::new(i64::try_from(waiting).unwrap_or(i64::MAX));
        let help = "Deliveries to sites that wait, in the whole store";
        gauge.encode(encoder.encode_descriptor("outbox_waiting", help, None, gauge.metric_type())?)?;
        let gauge = ConstGauge::new(oldest.as_secs_f64());
        let help = "How long the oldest delivery that waits has waited; 0 where none does";
        let (unit, kind) = (Some(&Unit::Seconds), gauge.metric_type());
        gauge.encode(encoder.encode_descriptor("outbox_oldest", help, unit, kind)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_summed_up_and_grows_older_until_it_is_gone() {
        let (backlog, second) = (Backlog::default(), Duration::from_secs(1));
        assert_eq!(backlog.seen(), (0, Duration::ZERO));
        backlog.note("shop", 3, 5 * second);
        backlog.note("forum", 2, second);
        tokio::time::advance(second).await;
        assert_eq!(backlog.seen(), (5, 6 * second));
        backlog.note("shop", 0, Duration::ZERO);
        assert_eq!(backlog.seen(), (2, 2 * second));
        backlog.keep(&["shop".to_owned()]);
        assert_eq!(backlog.seen(), (0, Duration::ZERO));
    }
}
