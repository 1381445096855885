//! Moments by a store's clock. Whatever a record's rule decides by time, it decides by this clock, so that all
//! processes that share a store agree.

use std::ops::Add;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A moment by a store's clock, in milliseconds: Redis's and SQLite's since 1970, that of a memory since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// Now, by this machine's clock; 1970 on a machine whose clock stands before that.
    #[must_use]
    pub(crate) fn by_this_machine() -> Self {
        Self(milliseconds(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()))
    }

    /// The time from `earlier` to this moment; nothing if it was later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(time)))
    }
}

pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
