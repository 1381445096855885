//! Log lines about what strangers do. Each reason is logged once, and again after a minute at the earliest, with the
//! number of cases in between. Otherwise anybody could fill the disk.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A reason is told again after this.
pub const TELL_AGAIN: Duration = Duration::from_secs(60);

/// The most reasons that are remembered. They come from our own code and the operator's files, so there are a few
/// dozen. A reason that finds no place is not logged.
const MOST_REASONS: usize = 1024;

/// When each reason was logged last. All cases are counted by metrics, not here.
#[derive(Debug, Default)]
pub struct Told {
    /// Never held across an await.
    reasons: Mutex<HashMap<Cow<'static, str>, Last>>,
}

#[derive(Debug)]
struct Last {
    told: Instant,
    since: u64,
}

/// How many cases were not logged since the last line. It is written at the end of the next line, and is empty for
/// none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct More(u64);

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, " (and {more} more since this was last told)"),
        }
    }
}

impl Told {
    /// Counts one more case of `reason`, which must not come from outside. `None` when it is not to be logged now.
    /// [`tell!`](crate::tell) does this and logs the line.
    pub fn again(&self, reason: impl Into<Cow<'static, str>>) -> Option<More> {
        let (reason, now) = (reason.into(), Instant::now());
        let mut reasons = self.reasons.lock();
        match reasons.get_mut(&reason) {
            Some(last) if now < last.told + TELL_AGAIN => {
                last.since += 1;
                return None;
            }
            Some(last) => {
                let more = More(last.since);
                *last = Last { told: now, since: 0 };
                return Some(more);
            }
            None => {}
        }
        if reasons.len() >= MOST_REASONS {
            reasons.retain(|_, last| now < last.told + TELL_AGAIN);
        }
        if reasons.len() >= MOST_REASONS {
            return None;
        }
        reasons.insert(reason, Last { told: now, since: 0 });
        Some(More(0))
    }
}

/// Logs a line at `$level` if `$told` says that it is time to tell `$reason`, and at debug level if not.
///
/// ```
/// # let (told, peer) = (server::told::Told::default(), "192.0.2.1");
/// server::tell!(warn, told, "rubbish", [peer], "{} bytes of rubbish", 7);
/// ```
#[macro_export]
macro_rules! tell {
    ($level:ident, $told:expr, $reason:expr, [$($fields:tt)*], $($message:tt)+) => {
        match $told.again($reason) {
            Some(more) => ::tracing::$level!($($fields)*, "{}{more}", ::std::format_args!($($message)+)),
            None => ::tracing::debug!($($fields)*, "{}", ::std::format_args!($($message)+)),
        }
    };
    ($level:ident, $told:expr, $reason:expr, $($message:tt)+) => {
        match $told.again($reason) {
            Some(more) => ::tracing::$level!("{}{more}", ::std::format_args!($($message)+)),
            None => ::tracing::debug!("{}", ::std::format_args!($($message)+)),
        }
    };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_reason_is_told_once_a_minute_with_the_number_since() {
        let told = Told::default();
        assert_eq!(told.again("one").unwrap().to_string(), "");
        for _ in 0..1000 {
            assert_eq!(told.again("one"), None);
        }
        assert_eq!(told.again("other"), Some(More(0)), "each by itself");
        advance(TELL_AGAIN).await;
        assert_eq!(told.again("one").unwrap().to_string(), " (and 1000 more since this was last told)");
        assert_eq!(told.again("one"), None);
        advance(TELL_AGAIN).await;
        assert_eq!(told.again("one"), Some(More(1)));
        advance(TELL_AGAIN * 10).await;
        assert_eq!(told.again("one"), Some(More(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn more_reasons_than_there_could_be_take_no_more_memory() {
        let told = Told::default();
        for reason in 0..MOST_REASONS {
            assert!(told.again(format!("{reason}")).is_some());
        }
        assert_eq!(told.again("one more"), None);
        advance(TELL_AGAIN).await;
        assert_eq!(told.again("one more"), Some(More(0)));
        assert_eq!(told.reasons.lock().len(), 1);
    }
}
