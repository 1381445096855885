//! A breaker: whoever has failed several times in a row is left alone for a while, and then one request tries.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// It opens after so many failures in a row.
const FAILURES: u32 = 5;

/// It is open for this, and then one request may try.
pub(super) const OPEN: Duration = Duration::from_secs(10);

/// A try that has not come back within this was cut off, and another may try.
const TRIED: Duration = Duration::from_secs(6);

/// The breaker of one address.
#[derive(Debug)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Clone, Copy)]
enum State {
    /// Everybody may ask.
    Closed { failures: u32 },
    /// Nobody may until then, and then one.
    Open { until: Instant },
}

impl Default for Breaker {
    fn default() -> Self {
        Self(Mutex::new(State::Closed { failures: 0 }))
    }
}

impl Breaker {
    /// Whether this request may be made now.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.0.lock();
        match *state {
            State::Closed { .. } => true,
            State::Open { until } if now < until => false,
            State::Open { .. } => {
                // This one tries.
                *state = State::Open { until: now + TRIED };
                true
            }
        }
    }

    /// A request was answered. Says whether the breaker was open.
    pub(super) fn succeeded(&self) -> bool {
        let before = std::mem::replace(&mut *self.0.lock(), State::Closed { failures: 0 });
        matches!(before, State::Open { .. })
    }

    /// A request has failed. Says whether the breaker has opened because of it.
    pub(super) fn failed(&self, now: Instant) -> bool {
        let mut state = self.0.lock();
        let (next, has_opened) = match *state {
            State::Closed { failures } if failures + 1 < FAILURES => {
                (State::Closed { failures: failures + 1 }, false)
            }
            State::Closed { .. } => (State::Open { until: now + OPEN }, true),
            // The one that tries, or one that was under way when it opened.
            State::Open { until } => (State::Open { until: until.max(now + OPEN) }, false),
        };
        *state = next;
        has_opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_request_tries_again() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 1..FAILURES {
            assert!(breaker.admits(now) && !breaker.failed(now));
        }
        assert!(!breaker.succeeded(), "it was not open");
        for _ in 1..FAILURES {
            assert!(!breaker.failed(now), "a success in between begins the count anew");
        }
        assert!(breaker.failed(now) && !breaker.admits(now));
        assert!(!breaker.failed(now), "what was under way opens it no second time");
        assert!(!breaker.admits(now + OPEN - SECOND));
        assert!(breaker.admits(now + OPEN) && !breaker.admits(now + OPEN), "one tries");
        assert!(!breaker.failed(now + OPEN + SECOND));
        assert!(!breaker.admits(now + 2 * OPEN), "it is open for as long again");
        let later = now + 2 * OPEN + SECOND;
        assert!(breaker.admits(later) && !breaker.admits(later + SECOND));
        assert!(breaker.admits(later + TRIED), "a try that was cut off does not keep it open");
        assert!(breaker.succeeded() && breaker.admits(later) && breaker.admits(later));
    }
}
