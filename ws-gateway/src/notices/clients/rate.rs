//! A client's notices a second. After a quiet second a client may send as many at once. Each notice that is too
//! many gets its own time to come back at.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::pace::Pace;

/// The longest wait that is given because of other callers.
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) struct Rate {
    pace: Pace,
    step: Duration,
    /// The latest time that any caller was given.
    told: Instant,
}

impl Rate {
    pub(super) fn new(a_second: NonZeroU32, now: Instant) -> Self {
        let step = Duration::from_secs(1) / a_second.get();
        Self { pace: Pace::new(a_second.get(), step, now), step, told: now }
    }

    /// Takes room for one notice.
    ///
    /// # Errors
    /// Time to wait. Each caller gets a later time, up to [`LONGEST`], so that they do not all return together.
    /// The room is not reserved: the first notice to come takes it.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.pace.take(now).map_err(|wait| {
            let behind_the_others = (self.told + self.step).min(now + LONGEST);
            self.told = behind_the_others.max(now + wait);
            self.told - now
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn everybody_who_was_too_many_has_a_time_at_which_there_is_room() {
        let start = Instant::now();
        let mut rate = Rate::new(NonZeroU32::new(10).unwrap(), start);
        let asked: Vec<_> = (0..15).map(|_| rate.take(start)).collect();
        assert_eq!(asked[..10], [Ok(()); 10]);
        let waits: Vec<Duration> = asked[10..].iter().map(|asked| asked.unwrap_err()).collect();
        assert_eq!(waits, [1, 2, 3, 4, 5].map(|tenths| Duration::from_millis(100 * tenths)));
        for wait in waits {
            assert_eq!(rate.take(start + wait), Ok(()));
        }
    }

    #[test]
    fn who_is_told_and_does_not_come_back_keeps_nobody_away() {
        let start = Instant::now();
        let mut rate = Rate::new(NonZeroU32::MIN, start);
        rate.take(start).unwrap();
        let latest = (0..1000).map(|_| rate.take(start).unwrap_err()).max();
        assert_eq!(latest, Some(LONGEST));
        let later = start + Duration::from_millis(1500);
        assert_eq!(rate.take(later), Ok(()));
    }
}
