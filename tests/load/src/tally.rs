//! The results of the visits: every worker counts, and the counts are read now and then.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::page::Trouble;
use crate::visit::Ended;

/// The longest login time that can be counted. A page waits for less.
const LONGEST: Duration = Duration::from_secs(60);

/// The most different faults that are kept as text. Others are only counted.
const FAULTS_KEPT: usize = 10;

/// The visits so far.
pub(crate) struct Tally(Mutex<Inner>);

struct Inner {
    counts: Counts,
    /// Since the last row of the table.
    row: Part,
    /// Since the warm-up.
    whole: Part,
}

/// Everything since the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Visits that logged somebody in.
    pub(crate) logged_in: u64,
    /// Visits that ended before a scan.
    pub(crate) left: u64,
    /// Visits whose code expired.
    pub(crate) expired: u64,
    /// Visits that were told to come back.
    pub(crate) refused: u64,
    /// Visits with a fault.
    pub(crate) faults: u64,
    /// The first different faults as text, each with its count.
    pub(crate) words: BTreeMap<String, u64>,
}

/// The measurements over a part of the time.
pub(crate) struct Part {
    /// Visits that ended properly.
    pub(crate) visits: u64,
    /// Microseconds from a press on Scan until the page was told.
    took: Histogram<u64>,
}

impl Part {
    fn new() -> Self {
        let longest = u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX);
        // Three significant digits are enough. These bounds are valid.
        Self { visits: 0, took: Histogram::new_with_max(longest, 3).expect("proper bounds") }
    }

    /// Visits that logged somebody in.
    pub(crate) fn logins(&self) -> u64 {
        self.took.len()
    }

    /// The time within which this share (0 to 1) of the logins reached their pages.
    pub(crate) fn within(&self, share: f64) -> Duration {
        Duration::from_micros(self.took.value_at_quantile(share))
    }
}

impl Tally {
    /// An empty tally.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Inner { counts: Counts::default(), row: Part::new(), whole: Part::new() }))
    }

    /// Counts a visit.
    pub(crate) fn count(&self, visit: &Result<Ended, Trouble>) {
        let mut inner = self.lock();
        let Inner { counts, row, whole } = &mut *inner;
        match visit {
            Ok(ended) => {
                row.visits += 1;
                whole.visits += 1;
                match ended {
                    Ended::LoggedIn(took) => {
                        counts.logged_in += 1;
                        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                        row.took.saturating_record(took);
                        whole.took.saturating_record(took);
                    }
                    Ended::Left => counts.left += 1,
                    Ended::Expired => counts.expired += 1,
                }
            }
            Err(Trouble::Refused(_)) => counts.refused += 1,
            Err(Trouble::Fault(error)) => {
                counts.faults += 1;
                let words = format!("{error:#}");
                if counts.words.len() < FAULTS_KEPT || counts.words.contains_key(&words) {
                    *counts.words.entry(words).or_default() += 1;
                }
            }
        }
    }

    /// The measurements since the last call.
    pub(crate) fn take_row(&self) -> Part {
        std::mem::replace(&mut self.lock().row, Part::new())
    }

    /// Visits that ended properly since [`Tally::take_whole`].
    pub(crate) fn visits(&self) -> u64 {
        self.lock().whole.visits
    }

    /// The measurements since the last call.
    pub(crate) fn take_whole(&self) -> Part {
        std::mem::replace(&mut self.lock().whole, Part::new())
    }

    /// The counts so far.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_part_that_was_asked_for() {
        let tally = Tally::new();
        for millis in 1..=100 {
            tally.count(&Ok(Ended::LoggedIn(Duration::from_millis(millis))));
        }
        tally.count(&Ok(Ended::Left));
        let row = tally.take_row();
        assert_eq!((row.visits, row.logins()), (101, 100));
        assert_eq!((row.within(0.5).as_millis(), row.within(0.99).as_millis()), (50, 99));
        tally.count(&Ok(Ended::LoggedIn(Duration::from_secs(3600))));
        assert!(tally.take_row().within(0.5) >= LONGEST);
        assert_eq!(tally.take_whole().visits, 102);
        assert_eq!(tally.take_whole().visits, 0);
    }

    #[test]
    fn faults_are_kept_in_few_words() {
        let tally = Tally::new();
        for number in 0..100 {
            tally.count(&Err(Trouble::Fault(anyhow::anyhow!("fault {}", number % 20))));
        }
        tally.count(&Err(Trouble::Refused(Duration::ZERO)));
        let counts = tally.counts();
        assert_eq!((counts.faults, counts.refused, counts.words.len()), (100, 1, FAULTS_KEPT));
        assert_eq!(counts.words["fault 0"], 5);
    }
}
