//! How fast a page may be: a token bucket, as a decision without a clock of its own.

use std::time::Duration;

use tokio::time::Instant;

/// So much at once, and then one more each `refill`.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    tokens: u32,
    most: u32,
    refill: Duration,
    counted_at: Instant,
}

impl Pace {
    /// A full bucket of `most`.
    #[must_use]
    pub(crate) fn new(most: u32, refill: Duration, now: Instant) -> Self {
        Self { tokens: most, most, refill, counted_at: now }
    }

    /// Takes one, or says how long until there is one.
    ///
    /// # Errors
    /// The time to wait.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        while self.tokens < self.most && now >= self.counted_at + self.refill {
            self.tokens += 1;
            self.counted_at += self.refill;
        }
        if self.tokens == self.most {
            self.counted_at = now;
        }
        if self.tokens == 0 {
            return Err((self.counted_at + self.refill).saturating_duration_since(now));
        }
        self.tokens -= 1;
        Ok(())
    }

    /// Whether so much time has passed that it is as good as new.
    #[must_use]
    pub(crate) fn is_rested(&self, now: Instant) -> bool {
        now >= self.counted_at + self.refill * (self.most - self.tokens)
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
}
