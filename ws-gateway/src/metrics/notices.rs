//! Notices, as they are counted: by client, type and status, and by the time that each took.
//!
//! A client has what counts its notices at hand. Looking for it by all its labels would cost each notice a lock, a hash and
//! a copy of the client's name.

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Duration;

use super::Metrics;

/// What counts one client's notices, as far as it has been looked for: one for each type and status.
#[derive(Debug, Default)]
pub(crate) struct NoticeCounts(Mutex<Vec<Count>>);

#[derive(Debug)]
struct Count {
    kind: &'static str,
    status: &'static str,
    notices: Counter,
    seconds: Histogram,
}

impl Metrics {
    /// Counts a notice of this client that was answered after this time.
    pub(crate) fn count_notice(
        &self,
        counts: &NoticeCounts,
        client: &str,
        kind: &'static str,
        status: &'static str,
        took: Duration,
    ) {
        let mut counts = counts.0.lock();
        let known = counts.iter().position(|count| (count.kind, count.status) == (kind, status));
        let at = known.unwrap_or_else(|| {
            let labels = ([("client", client.to_owned())], [("type", kind), ("status", status)]);
            let notices = self.notices.get_or_create_owned(&labels);
            let seconds = self.notice_seconds.get_or_create_owned(&[("type", kind)]);
            counts.push(Count { kind, status, notices, seconds });
            counts.len() - 1
        });
        counts[at].notices.inc();
        counts[at].seconds.observe(took.as_secs_f64());
    }
}
