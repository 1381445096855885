//! Decides what a page does next, as `widget.v1.js` does: when it comes back, whether it renews its code, and when
//! it stops.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::Habits;

/// Pages whose logins all become unknown at once take new codes spread over this time.
const RENEWAL_SPREAD: Duration = Duration::from_secs(1);

/// The state of a page that outlives its sockets and codes.
pub(super) struct Course {
    habits: Habits,
    rng: Rng,
    key: Option<String>,
    /// Sockets lost since the last code was shown.
    failures: u32,
    /// Renewals since somebody last looked.
    renewals: u32,
    /// When the gateway can be tried again, as it said on this socket.
    told_to_wait_until: Option<Instant>,
}

/// The action after the end of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Open another socket after this time.
    ComeBack(Duration),
    /// Do nothing more.
    Stop,
    /// Show the button.
    GiveUp,
}

impl Course {
    /// The message with which a page asks for a new code.
    pub(super) const REFRESH: &str = r#"{"message_type":"refresh"}"#;

    pub(super) fn new(habits: Habits, rng: Rng) -> Self {
        Self { habits, rng, key: None, failures: 0, renewals: 0, told_to_wait_until: None }
    }

    /// The resume key, if it has one.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The page opens a socket.
    pub(super) fn connects(&mut self) {
        self.told_to_wait_until = None;
    }

    /// The page gets a code.
    pub(super) fn shows(&mut self, key: String) {
        self.key = Some(key);
        self.failures = 0;
        self.told_to_wait_until = None;
    }

    /// The page is told that something does not work, and when the gateway tries again.
    pub(super) fn complains(&mut self, retry_in: Option<Duration>, now: Instant) {
        self.told_to_wait_until = retry_in.map(|retry_in| now + retry_in);
    }

    /// Whether the expired code may be renewed. A yes is counted.
    pub(super) fn may_renew(&mut self) -> bool {
        let may = self.renewals < self.habits.renewals;
        self.renewals += u32::from(may);
        may
    }

    /// The socket is lost, or closed with a code.
    pub(super) fn closed(&mut self, code: u16, now: Instant) -> Next {
        match code {
            4001 => {
                self.key = None;
                let renewed = Next::ComeBack(RENEWAL_SPREAD.mul_f64(self.rng.f64()));
                if self.may_renew() { renewed } else { Next::GiveUp }
            }
            1002 | 1007 | 1008 | 1009 | 4002 | 4010 => Next::Stop,
            1013 | 4008 => {
                let spread = self.back_off();
                let wait = match self.told_to_wait_until {
                    Some(until) => until.saturating_duration_since(now),
                    None => self.habits.first_retry,
                };
                Next::ComeBack(wait + spread)
            }
            _ => Next::ComeBack(self.back_off()),
        }
    }

    /// A random number below `number`.
    pub(super) fn any_of(&mut self, number: usize) -> usize {
        self.rng.usize(..number)
    }

    /// When the person reloads the page, if they do so.
    pub(super) fn reloads_in(&mut self) -> Option<Duration> {
        self.habits.reloads.map(|within| within.mul_f64(self.rng.f64()))
    }

    /// A random time up to a limit that doubles each time.
    fn back_off(&mut self) -> Duration {
        let Habits { first_retry, longest_retry, .. } = self.habits;
        let bound = first_retry.saturating_mul(2_u32.saturating_pow(self.failures)).min(longest_retry);
        self.failures += 1;
        bound.mul_f64(self.rng.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn course(seed: u64) -> Course {
        Course::new(Habits::default(), Rng::with_seed(seed))
    }

    fn back_in(course: &mut Course, code: u16) -> Duration {
        match course.closed(code, Instant::now()) {
            Next::ComeBack(back_in) => back_in,
            other => panic!("{code}: {other:?}"),
        }
    }

    /// Asks a thousand pages the same, and returns the shortest and the longest wait.
    fn spread(mut what: impl FnMut(&mut Course) -> Duration) -> (Duration, Duration) {
        let times: Vec<_> = (0..1000).map(|seed| what(&mut course(seed))).collect();
        (times.iter().min().copied().unwrap(), times.iter().max().copied().unwrap())
    }

    /// Whether the waits fill the time between `from` and `to`, to within a tenth of it.
    fn fills((first, last): (Duration, Duration), from: Duration, to: Duration) -> bool {
        let tenth = (to - from) / 10;
        first >= from && first < from + tenth && last <= to && last > to - tenth
    }

    #[test]
    fn lost_sockets_come_back_spread_over_a_time_that_doubles() {
        for code in [1006, 1001, 1005, 1011, 1012] {
            for (losses, bound) in [3, 6, 12, 24, 30, 30, 30].into_iter().enumerate() {
                let times = spread(|course| {
                    (0..losses).for_each(|_| _ = back_in(course, code));
                    back_in(course, code)
                });
                assert!(fills(times, Duration::ZERO, bound * SECOND), "{code}, {losses}: {times:?}");
            }
        }
        let again = spread(|course| {
            (0..5).for_each(|_| _ = back_in(course, 1006));
            course.shows("scene.secret".to_owned());
            back_in(course, 1006)
        });
        assert!(fills(again, Duration::ZERO, 3 * SECOND), "a code begins it anew: {again:?}");
    }

    #[test]
    fn the_same_seed_does_the_same() {
        let all = |seed| {
            let mut course = course(seed);
            let times: Vec<_> = (0..5).map(|_| back_in(&mut course, 1006)).collect();
            (times, course.any_of(1000))
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
    }

    #[test]
    fn who_is_told_to_wait_does() {
        for code in [1013, 4008] {
            let untold = spread(|course| back_in(course, code));
            assert!(fills(untold, 3 * SECOND, 6 * SECOND), "{untold:?}");
            let told = |course: &mut Course| {
                let now = Instant::now();
                course.complains(Some(60 * SECOND), now);
                match course.closed(code, now + 20 * SECOND) {
                    Next::ComeBack(back_in) => back_in,
                    other => panic!("{other:?}"),
                }
            };
            let times = spread(told);
            assert!(fills(times, 40 * SECOND, 43 * SECOND), "{times:?}");
            let next_socket = spread(|course| {
                told(course);
                course.connects();
                back_in(course, code)
            });
            assert!(fills(next_socket, 3 * SECOND, 9 * SECOND), "what was said is over: {next_socket:?}");
        }
    }

    #[test]
    fn an_unknown_login_is_replaced_soon_and_not_for_ever() {
        let renewed = spread(|course| back_in(course, 4001));
        assert!(fills(renewed, Duration::ZERO, SECOND), "{renewed:?}");
        let mut course = course(1);
        for _ in 0..2 {
            course.shows("scene.secret".to_owned());
            back_in(&mut course, 4001);
            assert_eq!(course.key(), None);
        }
        course.shows("scene.secret".to_owned());
        assert!(course.may_renew(), "the third, after an end that it was told of");
        assert_eq!(
            course.key(),
            Some("scene.secret"),
            "it comes back to that end until there is another code"
        );
        assert!(!course.may_renew());
        assert_eq!(course.closed(4001, Instant::now()), Next::GiveUp);
    }

    #[test]
    fn what_ends_a_page_ends_it() {
        for code in [1002, 1007, 1008, 1009, 4002, 4010] {
            assert_eq!(course(1).closed(code, Instant::now()), Next::Stop, "{code}");
        }
    }
}
