//! Redis's clock, as this process knows it without asking.
//!
//! Redis has told its time at some moment, and since then this machine's clock has counted. What was told took its way here,
//! so Redis's clock is a little later than what is known of it, and never earlier, unless it is set back. The keeper
//! asks again each second. Whatever rests on a moment not having come yet is judged by Redis itself when it is written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::Moment;

/// What was told longer ago is not believed: the keeper asks each second, so it does not get answers.
const BELIEVED: Duration = Duration::from_secs(5);

/// What is known of Redis's clock; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock(Arc<Mutex<Option<(Moment, Instant)>>>);

impl Clock {
    /// Redis has just said that it is this moment.
    pub(super) fn is_told(&self, now: Moment) {
        *self.0.lock() = Some((now, Instant::now()));
    }

    /// There is no connection any more, and the next one may be to another Redis.
    pub(super) fn forget(&self) {
        *self.0.lock() = None;
    }

    /// Redis's clock now, or a little earlier; nothing where it is not known.
    pub(super) fn now(&self) -> Option<Moment> {
        let (told, at) = (*self.0.lock())?;
        let since = at.elapsed();
        (since < BELIEVED).then(|| told + since)
    }
}
