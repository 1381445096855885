//! The limit on a client's notices: so many a second, and after a quiet second as many at once.
//!
//! A notice too many is told when there is room for it. Each is told a later time than the one before, so that they do
//! not come back together and find room for one.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use server::pace::Pace;

/// The longest wait because of notices that were refused before.
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) struct Rate {
    pace: Pace,
    step: Duration,
    /// The latest time that a notice was told.
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
    /// The time until there is room, and later than what others were told, up to [`LONGEST`]. The room is not reserved:
    /// the next notice takes it.
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
    fn notices_that_do_not_come_back_keep_no_others_away() {
        let start = Instant::now();
        let mut rate = Rate::new(NonZeroU32::MIN, start);
        rate.take(start).unwrap();
        let latest = (0..1000).map(|_| rate.take(start).unwrap_err()).max();
        assert_eq!(latest, Some(LONGEST));
        let later = start + Duration::from_millis(1500);
        assert_eq!(rate.take(later), Ok(()));
    }
}
