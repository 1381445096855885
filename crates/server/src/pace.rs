//! How often something may happen: a token bucket. It has no clock of its own, so it is a pure decision.

use std::time::Duration;

use tokio::time::Instant;

/// `most` at once, and then one more after each `refill`: the generic cell rate algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// As many as a full bucket holds.
    pub most: u32,
    /// The time after which one more is allowed.
    pub refill: Duration,
}

/// What is left of a [`Rate`], for those who keep very many: whoever takes says of which rate it is.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// When it holds all again.
    full_at: Instant,
}

/// A rate and its bucket.
#[derive(Debug, Clone)]
pub struct Pace {
    rate: Rate,
    bucket: Bucket,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes one, or says how long until there is one.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.take_but_leave(0, rate, now)
    }

    fn take_but_leave(&mut self, stay: u32, rate: Rate, now: Instant) -> Result<(), Duration> {
        let Rate { most, refill } = rate;
        let full_at = self.full_at.max(now) + refill;
        let wait = full_at.saturating_duration_since(now + refill * most.saturating_sub(stay));
        if !wait.is_zero() {
            return Err(wait);
        }
        self.full_at = full_at;
        Ok(())
    }

    /// Gives back one that was taken and not used. A full bucket stays full.
    pub fn give_back(&mut self, rate: Rate) {
        self.full_at = self.full_at.checked_sub(rate.refill).unwrap_or(self.full_at);
    }

    /// Whether the bucket is full.
    #[must_use]
    pub fn is_rested(&self, now: Instant) -> bool {
        now >= self.full_at
    }
}

impl Pace {
    /// A full bucket of `most`.
    #[must_use]
    pub fn new(most: u32, refill: Duration, now: Instant) -> Self {
        Self { rate: Rate { most, refill }, bucket: Bucket::full(now) }
    }

    /// Takes one, or says how long until there is one.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.bucket.take(self.rate, now)
    }

    /// Takes one if more than `stay` are left, or says how long until there are.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take_but_leave(&mut self, stay: u32, now: Instant) -> Result<(), Duration> {
        self.bucket.take_but_leave(stay, self.rate, now)
    }

    /// Gives back one that was taken and not used. A full bucket stays full.
    pub fn give_back(&mut self) {
        self.bucket.give_back(self.rate);
    }

    /// Whether the bucket is full.
    #[must_use]
    pub fn is_rested(&self, now: Instant) -> bool {
        self.bucket.is_rested(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_pace() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::new(2, second, start);
        assert_eq!([pace.take(start), pace.take(start)], [Ok(()), Ok(())]);
        assert_eq!(pace.take(start + second / 4), Err(second * 3 / 4));
        assert_eq!(pace.take(start + second), Ok(()));
        assert_eq!(pace.take(start + second), Err(second));
        assert_eq!([pace.is_rested(start + second * 2), pace.is_rested(start + second * 3)], [false, true]);
        // A long rest fills the bucket, and no more than that.
        let later = start + second * 1000;
        assert_eq!([pace.take(later), pace.take(later)], [Ok(()), Ok(())]);
        assert_eq!(pace.take(later), Err(second));
    }

    #[test]
    fn what_must_stay_is_left_for_others() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::new(3, second, start);
        assert_eq!([pace.take_but_leave(2, start), pace.take_but_leave(2, start)], [Ok(()), Err(second)]);
        assert_eq!([pace.take(start), pace.take(start), pace.take(start)], [Ok(()), Ok(()), Err(second)]);
        assert_eq!(pace.take_but_leave(2, start + second), Err(second * 2));
    }

    #[test]
    fn what_is_given_back_may_be_taken_again_and_no_more() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::new(2, second, start);
        assert_eq!([pace.take(start), pace.take(start)], [Ok(()), Ok(())]);
        pace.give_back();
        assert_eq!([pace.take(start), pace.take(start)], [Ok(()), Err(second)]);
        for _ in 0..9 {
            pace.give_back();
        }
        assert_eq!([pace.take(start), pace.take(start)], [Ok(()), Ok(())]);
        assert_eq!(pace.take(start), Err(second));
    }
}
