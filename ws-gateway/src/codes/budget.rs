//! The budget of calls to WeChat for QR codes. WeChat gives an account 100,000 codes a day, and anybody can open a
//! page.
//!
//! Every request is counted before it goes out, whatever becomes of it. One that found no connection is taken off
//! again. Near the end of the day's budget no more codes are made ahead. After that only networks get one where
//! somebody has scanned a code before, and at the end nobody does. There is a pace within the day, too: without it a
//! flood of minutes would end the logins of a whole day. As each login costs a call, it is the limit on the new logins
//! of all addresses together.
//!
//! Gateways that share their logins in Redis count there together. Otherwise the count is in memory, and a restart
//! forgets it.

use std::time::Duration;

use parking_lot::Mutex;
use records::{Bucket, Count, Redis, Taken};
use tokio::time::Instant;

use super::NoQrCode;
use server::pace::Pace;

/// WeChat's day begins at midnight in China: UTC+8, without summer time.
const CHINA: u64 = 8 * 3600;

const DAY: u64 = 24 * 3600;

/// How long a day's count is kept after the last call.
const KEPT: Duration = Duration::from_secs(DAY);

/// When only a tenth of the day's budget is left, no more codes are made ahead. When half of that is left, strangers
/// get none.
const LAST_PART: u32 = 10;

/// A quarter of an hour's share is kept from strangers.
const KEPT_PART: u32 = 4;

/// Hours in which the whole budget may be used, which is a working day of visitors. A flood needs as long, which gives
/// an operator the time to act. One hour's share may be used at once.
const HOURS: u32 = 8;

/// Calls that may always be made at once, however small the budget: a classroom with a test account.
const LEAST_RUSH: u32 = 100;

/// Pages look again after this at the latest. An operator may have raised the budget.
const LONGEST_WAIT: Duration = Duration::from_secs(8 * 60);

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A page waits where somebody has scanned a code before.
    Page,
    /// A page waits where nobody has.
    Stranger,
    /// A page may come.
    Ahead,
}

/// The proof that a call was counted on this day.
#[derive(Debug)]
pub(crate) struct Payment {
    day: u64,
}

/// The calls of today.
#[derive(Debug)]
pub(crate) struct Budget {
    per_day: u32,
    shared: Option<Redis>,
    unix_now: fn() -> u64,
    today: Mutex<Today>,
    /// What the names of shared counts begin with.
    prefix: String,
}

#[derive(Debug)]
struct Today {
    day: u64,
    calls: u32,
    pace: Pace,
}

impl Budget {
    /// A budget of `per_day` calls, counted in `shared`, if there is one. `unix_now` is the wall clock.
    #[must_use]
    pub(crate) fn new(per_day: u32, shared: Option<Redis>, unix_now: fn() -> u64) -> Self {
        let pace = Pace::new(rush(per_day), refill(per_day), Instant::now());
        Self {
            per_day,
            shared,
            unix_now,
            today: Mutex::new(Today { day: 0, calls: 0, pace }),
            prefix: "qr".to_owned(),
        }
    }

    /// The same of an account that has a name of its own, by its appid: WeChat counts each account's calls for itself.
    #[must_use]
    pub(crate) fn of_account(self, app_id: Option<&str>) -> Self {
        Self { prefix: app_id.map_or(self.prefix, |app_id| format!("qr:{app_id}")), ..self }
    }

    /// The wall clock, in seconds since 1970.
    pub(super) fn unix_now(&self) -> u64 {
        (self.unix_now)()
    }

    /// Counts a call that is about to be made.
    ///
    /// # Errors
    /// [`NoQrCode::Spent`], [`NoQrCode::Rush`], or [`NoQrCode::Uncounted`] when the store cannot count. The call must
    /// then not be made.
    pub(crate) async fn spend(&self, purpose: Purpose) -> Result<Payment, NoQrCode> {
        let most = match purpose {
            Purpose::Page => self.per_day,
            Purpose::Stranger => self.per_day - self.per_day / (2 * LAST_PART),
            Purpose::Ahead => self.per_day - self.per_day.div_ceil(LAST_PART),
        };
        let stay = if purpose == Purpose::Page { 0 } else { self.per_day / HOURS / KEPT_PART };
        let now = self.unix_now() + CHINA;
        match &self.shared {
            None => self.spend_here(now, most, stay),
            Some(redis) => self.spend_together(redis, now, most, stay).await,
        }?;
        Ok(Payment { day: now / DAY })
    }

    /// Takes off a call that certainly never reached WeChat. If the store fails, it stays counted.
    pub(crate) async fn refund(&self, payment: Payment) {
        let Payment { day } = payment;
        let Some(redis) = &self.shared else { return self.refund_here(day) };
        let (today, pace) = self.names(day);
        let count = Some(Count { name: &today, most: self.per_day, kept: KEPT });
        match redis.give_back(&[self.bucket(&pace, 0)], count).await {
            Ok(()) => self.today.lock().take_off(day),
            Err(failure) => tracing::debug!("a call that never reached WeChat stays counted: {failure}"),
        }
    }

    /// What is left of today's calls: by this process's own count, or as Redis said last. `None` until Redis has said
    /// anything.
    pub(crate) fn left(&self) -> Option<u32> {
        let day = (self.unix_now() + CHINA) / DAY;
        let today = self.today.lock();
        let is_known = self.shared.is_none() || today.day > 0;
        let calls = if today.day == day { today.calls } else { 0 };
        is_known.then(|| self.per_day.saturating_sub(calls))
    }

    /// The calls of a whole day.
    pub(crate) fn per_day(&self) -> u32 {
        self.per_day
    }

    async fn spend_together(&self, redis: &Redis, now: u64, most: u32, stay: u32) -> Result<(), NoQrCode> {
        let (today, pace) = self.names(now / DAY);
        let count = Some(Count { name: &today, most, kept: KEPT });
        let told = redis.take_counted(&[self.bucket(&pace, stay)], count).await;
        let (taken, calls) = told.map_err(NoQrCode::Uncounted)?;
        self.today.lock().is_told(now / DAY, calls);
        match taken {
            Taken::Yes => Ok(()),
            Taken::Wait(wait) => Err(NoQrCode::Rush(wait)),
            Taken::Full => Err(spent(now)),
        }
    }

    fn spend_here(&self, now: u64, most: u32, stay: u32) -> Result<(), NoQrCode> {
        let mut today = self.today.lock();
        if today.day != now / DAY {
            today.day = now / DAY;
            today.calls = 0;
        }
        if today.calls >= most {
            return Err(spent(now));
        }
        today.pace.take_but_leave(stay, Instant::now()).map_err(NoQrCode::Rush)?;
        today.calls += 1;
        Ok(())
    }

    fn refund_here(&self, day: u64) {
        let mut today = self.today.lock();
        today.pace.give_back();
        today.take_off(day);
    }

    /// Where the calls of a day are counted, and where their pace.
    fn names(&self, day: u64) -> (String, String) {
        (format!("{}:{day}", self.prefix), format!("{}:pace", self.prefix))
    }

    fn bucket<'a>(&self, name: &'a str, stay: u32) -> Bucket<'a> {
        Bucket { name, most: rush(self.per_day), refill: refill(self.per_day), stay }
    }
}

impl Today {
    /// Redis has counted so many calls on this day.
    fn is_told(&mut self, day: u64, calls: u32) {
        // An answer may come late.
        if day >= self.day {
            (self.day, self.calls) = (day, calls);
        }
    }

    fn take_off(&mut self, day: u64) {
        if self.day == day {
            self.calls = self.calls.saturating_sub(1);
        }
    }
}

/// What may come at once.
fn rush(per_day: u32) -> u32 {
    (per_day / HOURS).max(LEAST_RUSH)
}

fn refill(per_day: u32) -> Duration {
    Duration::from_secs(3600) * HOURS / per_day.max(1)
}

fn spent(now: u64) -> NoQrCode {
    NoQrCode::Spent(Duration::from_secs(DAY - now % DAY).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;

    use tokio::time::advance;

    use super::*;

    /// Midnight in China.
    const MIDNIGHT: u64 = 20_000 * DAY - CHINA;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(MIDNIGHT) };
    }

    fn budget(per_day: u32) -> Budget {
        Budget::new(per_day, None, || NOW.get())
    }

    /// Spends until the day's budget is spent, waiting whenever it is told to; says how often and how long.
    async fn spend_all(budget: &Budget, purpose: Purpose) -> (u32, Duration, Duration) {
        let (began, mut calls) = (Instant::now(), 0);
        loop {
            match budget.spend(purpose).await {
                Ok(_) => calls += 1,
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

    #[test]
    fn each_account_is_counted_for_itself_and_the_one_without_a_name_where_it_always_was() {
        let names = |app_id| budget(9).of_account(app_id).names(7);
        let pair = |day: &str, pace: &str| (day.to_owned(), pace.to_owned());
        assert_eq!(names(None), pair("qr:7", "qr:pace"));
        assert_eq!(names(Some("wx1")), pair("qr:wx1:7", "qr:wx1:pace"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_known_and_a_new_day_has_all_again() {
        let budget = budget(1_000);
        assert_eq!(budget.left(), Some(1_000));
        let payment = budget.spend(Purpose::Page).await.unwrap();
        budget.spend(Purpose::Page).await.unwrap();
        assert_eq!(budget.left(), Some(998));
        budget.refund(payment).await;
        assert_eq!(budget.left(), Some(999));
        NOW.set(MIDNIGHT + DAY);
        assert_eq!(budget.left(), Some(1_000), "also before anything is spent");

        let mut today = Today { day: 0, calls: 0, pace: Pace::new(1, Duration::ZERO, Instant::now()) };
        for (day, calls, known) in [(7, 5, (7, 5)), (7, 4, (7, 4)), (8, 1, (8, 1)), (7, 9, (8, 1))] {
            today.is_told(day, calls);
            assert_eq!((today.day, today.calls), known);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_needs_hours_to_spend_the_day() {
        let budget = budget(90_000);
        let mut at_once = 0;
        while budget.spend(Purpose::Page).await.is_ok() {
            at_once += 1;
        }
        assert_eq!(at_once, 90_000 / 8);
        let (calls, lasted, _) = spend_all(&budget, Purpose::Page).await;
        assert_eq!(calls, 90_000 / 8 * 7);
        assert_eq!(lasted.as_secs() / 60, 7 * 60, "{lasted:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_leave_part_of_each_hour_and_the_days_last() {
        let budget = budget(8_000);
        for purpose in [Purpose::Stranger, Purpose::Ahead] {
            while budget.spend(purpose).await.is_ok() {}
        }
        let mut left = 0;
        while budget.spend(Purpose::Page).await.is_ok() {
            left += 1;
        }
        assert_eq!(left, 250, "a quarter of an hour's thousand");
        // From here on all that comes is for whoever has scanned.
        advance(Duration::from_secs(36)).await;
        assert!(matches!(budget.spend(Purpose::Stranger).await, Err(NoQrCode::Rush(_))));
        assert!(budget.spend(Purpose::Page).await.is_ok());

        spend_all(&budget, Purpose::Stranger).await;
        assert!(matches!(budget.spend(Purpose::Ahead).await, Err(NoQrCode::Spent(_))));
        assert_eq!(spend_all(&budget, Purpose::Page).await.0, 400);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_never_made_is_taken_off_the_day_that_it_was_counted_on_and_off_the_pace() {
        let budget = budget(1_000);
        for _ in 0..2_000 {
            let payment = budget.spend(Purpose::Page).await.unwrap();
            budget.refund(payment).await;
        }
        let yesterdays = budget.spend(Purpose::Page).await.unwrap();
        NOW.set(MIDNIGHT + DAY);
        let todays = budget.spend(Purpose::Page).await.unwrap();
        budget.refund(yesterdays).await;
        assert_eq!(spend_all(&budget, Purpose::Page).await.0, 999);
        budget.refund(todays).await;
        assert_eq!(spend_all(&budget, Purpose::Page).await.0, 1);
    }
}
