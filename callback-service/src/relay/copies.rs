//! Copies: pushes that are ours and of which the back end hears afterwards. Nobody waits for its answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

use super::answer::Fault;
use super::{Kind, Original, Relay};

/// Copies that wait or are under way at once, of all accounts; for one host half of them. The next is dropped.
pub(super) const MOST: usize = 64;

/// Limit for one try, as WeChat's own.
const TRY: Duration = Duration::from_secs(5);

/// The pauses before the second try and the third, which is the last one.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

impl Relay {
    /// Sends a copy of a push that was answered, in three tries at most. The end of the service makes no more of them.
    pub(crate) fn copy(self: &Arc<Self>, kind: Kind, original: Original) {
        let Some(target) = self.target(kind).map(Arc::clone) else { return };
        let copying = [&target.host().copying, &self.shared.copying].map(Arc::clone);
        let [Ok(at_host), Ok(of_all)] = copying.map(Semaphore::try_acquire_owned) else {
            self.count(kind, &Fault::Full);
            return self.tell(kind, &target, &Fault::Full, "it does not hear of it");
        };
        let relay = Arc::clone(self);
        let sent = async move {
            let _places = (at_host, of_all);
            let mut pauses = PAUSES.into_iter();
            loop {
                let fault = match target.post(&original, Instant::now() + TRY).await {
                    // What it says does not matter.
                    Ok(_) | Err(Fault::Unfit(_)) => return relay.shared.metrics.count(kind, "copied"),
                    Err(fault) => fault,
                };
                let pause = pauses.next().filter(|_| fault.is_passing());
                let is_over = match pause {
                    None => true,
                    Some(pause) => tokio::select! {
                        () = sleep(pause) => false,
                        () = relay.shared.leaving.cancelled() => true,
                    },
                };
                if is_over {
                    relay.count(kind, &fault);
                    return relay.tell(kind, &target, &fault, "it does not hear of it");
                }
            }
        };
        self.shared.tasks.spawn(sent.in_current_span());
    }
}
