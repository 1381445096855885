//! How often things happen, by the minute, for the last ten of them.

use std::time::Duration;

use tokio::time::Instant;

/// The minutes that are kept, the present one among them.
pub const MINUTES: usize = 10;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts of `KINDS` things in each of the last minutes.
#[derive(Debug, Clone)]
pub struct Rates<const KINDS: usize> {
    began: Instant,
    /// The minute since `began` that the last row is of.
    minute: u64,
    counts: [[u64; MINUTES]; KINDS],
}

impl<const KINDS: usize> Rates<KINDS> {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { began: now, minute: 0, counts: [[0; MINUTES]; KINDS] }
    }

    /// One more of this kind.
    pub fn count(&mut self, kind: usize, now: Instant) {
        self.turn(now);
        if let Some([.., present]) = self.counts.get_mut(kind) {
            *present += 1;
        }
    }

    /// The counts of each kind, the present minute last.
    pub fn minutes(&mut self, now: Instant) -> [Vec<u64>; KINDS] {
        self.turn(now);
        self.counts.map(Vec::from)
    }

    /// Begins the minutes that have come since.
    fn turn(&mut self, now: Instant) {
        let minute = now.saturating_duration_since(self.began).as_secs() / MINUTE.as_secs();
        let passed = usize::try_from(minute.saturating_sub(self.minute)).unwrap_or(MINUTES).min(MINUTES);
        for counts in &mut self.counts {
            counts.rotate_left(passed % MINUTES);
            counts[MINUTES - passed..].fill(0);
        }
        self.minute = self.minute.max(minute);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_minute_has_its_own_count_and_ten_of_them_are_kept() {
        let start = Instant::now();
        let mut rates = Rates::<2>::new(start);
        let at = |minutes: u32| start + MINUTE * minutes;
        rates.count(0, at(0));
        rates.count(0, at(0));
        rates.count(1, at(3));
        let of = |rates: &mut Rates<2>, minutes| {
            rates.minutes(at(minutes)).map(|counts| counts.iter().map(u64::to_string).collect::<String>())
        };
        assert_eq!(of(&mut rates, 3), ["0000002000", "0000000001"]);
        assert_eq!(of(&mut rates, 9), ["2000000000", "0001000000"]);
        assert_eq!(of(&mut rates, 10), ["0000000000", "0010000000"]);
        rates.count(1, at(10));
        assert_eq!(of(&mut rates, 15), ["0000000000", "0000100000"]);
        assert_eq!(of(&mut rates, 1000), ["0000000000", "0000000000"]);
    }
}
