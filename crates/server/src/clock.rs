//! The wall clock, for what is told to others; lengths of time are measured by tokio's own clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970; 0 on a machine whose clock stands before that.
#[must_use]
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
