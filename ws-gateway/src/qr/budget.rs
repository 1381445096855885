//! What WeChat may be asked for in a day: anybody can open a page, and 100,000 pages are all that an
//! account has codes for.
//!
//! Every call is counted before it is made, whatever becomes of it. Near the end of the budget codes are
//! made for pages only, at its end for nobody. The pace within the day is the global limit on new logins,
//! since each of them costs a call: without it a flood of minutes would end the logins of a whole day.
//! The count is in memory, so a restart forgets it, and each gateway of an account counts for itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::NoQrCode;
use crate::pace::Pace;

/// WeChat's day begins at midnight in China, UTC+8, which knows no summer time.
const CHINA: u64 = 8 * 3600;

const DAY: u64 = 24 * 3600;

/// The budget is near its end when one part in so many is left.
const LAST_PART: u32 = 10;

/// Hours in which the whole budget may be used: a working day of visitors may, and a flood needs as long,
/// which leaves an operator the time to act. One hour's share may come at once.
const HOURS: u32 = 8;

/// Calls that may come at once however small the budget is: a test account of one classroom.
const LEAST_RUSH: u32 = 100;

/// Pages look again after this at the latest, when the day's budget may have been raised or reset.
const LONGEST_WAIT: Duration = Duration::from_secs(8 * 60);

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A page waits.
    Page,
    /// A page may come.
    Ahead,
}

/// The calls of today.
#[derive(Debug)]
pub(crate) struct Budget {
    per_day: u32,
    unix_now: fn() -> u64,
    today: Mutex<Today>,
}

#[derive(Debug)]
struct Today {
    day: u64,
    calls: u32,
    pace: Pace,
}

impl Budget {
    /// A budget of `per_day` calls, with nothing spent; `unix_now` is the wall clock.
    #[must_use]
    pub(crate) fn new(per_day: u32, unix_now: fn() -> u64) -> Self {
        let rush = (per_day / HOURS).max(LEAST_RUSH);
        let pace = Pace::new(rush, Duration::from_secs(3600) * HOURS / per_day.max(1), Instant::now());
        Self { per_day, unix_now, today: Mutex::new(Today { day: 0, calls: 0, pace }) }
    }

    /// Counts a call that is about to be made.
    ///
    /// # Errors
    /// [`NoQrCode::Spent`] and [`NoQrCode::Rush`]; then it must not be made.
    pub(crate) fn spend(&self, purpose: Purpose) -> Result<(), NoQrCode> {
        let now = (self.unix_now)() + CHINA;
        let most = match purpose {
            Purpose::Page => self.per_day,
            Purpose::Ahead => self.per_day - self.per_day.div_ceil(LAST_PART),
        };
        // Nothing that is done under the lock can panic half-way.
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if today.day != now / DAY {
            today.day = now / DAY;
            today.calls = 0;
        }
        if today.calls >= most {
            return Err(NoQrCode::Spent(Duration::from_secs(DAY - now % DAY).min(LONGEST_WAIT)));
        }
        today.pace.take(Instant::now()).map_err(NoQrCode::Rush)?;
        today.calls += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::advance;

    use super::*;

    /// Midnight in China.
    const MIDNIGHT: u64 = 20_000 * DAY - CHINA;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(MIDNIGHT) };
    }

    fn budget(per_day: u32) -> Budget {
        Budget::new(per_day, || NOW.get())
    }

    /// Spends until the day's budget is spent, waiting whenever it is told to; says how often and how long.
    async fn spend_all(budget: &Budget, purpose: Purpose) -> (u32, Duration, Duration) {
        let (began, mut calls) = (Instant::now(), 0);
        loop {
            match budget.spend(purpose) {
                Ok(()) => calls += 1,
                Err(NoQrCode::Rush(wait)) => advance(wait).await,
                Err(NoQrCode::Spent(wait)) => return (calls, began.elapsed(), wait),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_tenth_is_for_pages_and_a_new_day_begins_at_midnight_in_china() {
        let budget = budget(1_001);
        assert_eq!(spend_all(&budget, Purpose::Ahead).await.0, 900);
        assert_eq!(spend_all(&budget, Purpose::Page).await.0, 101);
        assert_eq!(spend_all(&budget, Purpose::Page).await.2, LONGEST_WAIT);
        NOW.set(MIDNIGHT + DAY - 7);
        assert_eq!(spend_all(&budget, Purpose::Page).await, (0, Duration::ZERO, Duration::from_secs(7)));
        NOW.set(MIDNIGHT + DAY);
        assert_eq!(spend_all(&budget, Purpose::Page).await.0, 1_001);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_needs_hours_to_spend_the_day() {
        let budget = budget(90_000);
        let at_once = (0..).take_while(|_| budget.spend(Purpose::Page).is_ok()).count();
        assert_eq!(at_once, 90_000 / 8);
        let (calls, lasted, _) = spend_all(&budget, Purpose::Page).await;
        assert_eq!(calls, 90_000 / 8 * 7);
        assert_eq!(lasted.as_secs() / 60, 7 * 60, "{lasted:?}");
    }
}
