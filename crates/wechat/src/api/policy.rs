//! What follows from each class of failure: a new token, another try, a rest, or only the report.
//!
//! After each failure a call asks [`Tries`] whether to go on, and its breaker asks [`rest`] how long to leave
//! WeChat alone. The rules come from WeChat's "global return codes"; the waits are ours.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::{Class, Error};

/// Tries after the first one, when WeChat was busy or out of reach.
const MORE_TRIES: u32 = 2;

/// A refusal that only a person can end is probed this often, so that its end is noticed without a restart.
/// WeChat also counts its per-minute limits over this time.
const MINUTE: Duration = Duration::from_secs(60);

/// Longest rest for a used-up daily quota. WeChat does not say when its day begins, so our guess may be wrong
/// for this long.
const QUOTA_PROBE: Duration = Duration::from_secs(600);

const DAY: u64 = 86_400;

/// Beijing is eight hours ahead of UTC, without summer time.
const BEIJING: u64 = 8 * 3600;

/// Wait after midnight. WeChat's clock and ours may differ, and a probe that comes too early costs ten minutes.
const MIDNIGHT_SLACK: Duration = Duration::from_secs(5);

/// A client's time limits; tests make them short.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// One whole call with its token and all its tries.
    pub(crate) call: Duration,
    /// One request and its answer.
    pub(crate) one_try: Duration,
    /// The longest wait before the second try; later waits double.
    pub(crate) pause: Duration,
    /// Time between two probes of a call that WeChat refuses.
    pub(crate) probe: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call: crate::api::CALL_LIMIT,
            // Three tries nearly fit into a call.
            one_try: Duration::from_millis(2500),
            // Somebody is looking at a page; most of WeChat's hiccups are shorter.
            pause: Duration::from_millis(500),
            probe: MINUTE,
        }
    }
}

/// The tries that a call has left.
pub(crate) struct Tries {
    pause: Duration,
    made: u32,
}

impl Tries {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { pause: limits.pause, made: 0 }
    }

    /// Waits until the call may be tried again after `error`; false at once if it may not be.
    ///
    /// All calls may be repeated: a second token or answer is the same one, and nobody is shown the second QR
    /// code.
    pub(crate) async fn again(&mut self, error: &Error) -> bool {
        if self.made == MORE_TRIES || !may_pass(error) {
            return false;
        }
        // The random number comes from the standard library's hash keys, which is good enough to spread many
        // callers.
        let wait = jittered(self.pause * 2u32.pow(self.made), RandomState::new().hash_one(self.made));
        self.made += 1;
        tokio::time::sleep(wait).await;
        true
    }
}

/// Whether the same request may succeed a moment later.
fn may_pass(error: &Error) -> bool {
    match error {
        // A redirect or "not found" means a wrong address or proxy, which does not end by itself.
        Error::Status { status, .. } => *status >= 500 || *status == 429,
        _ => matches!(error.class(), Class::Busy | Class::Transport | Class::Timeout),
    }
}

/// A random wait of 50 to 100 % of `longest`.
fn jittered(longest: Duration, random: u64) -> Duration {
    let half = longest / 2;
    half + half.mul_f64(random as f64 / u64::MAX as f64)
}

/// How long to rest after a call that has failed for good; `None` if the next call may be made at once.
pub(crate) fn rest(error: &Error, probe: Duration) -> Option<Duration> {
    match error {
        // The quota of the day. All other codes of the class count by the minute.
        Error::Api { code: 45009, .. } => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Some(until_midnight(now).min(QUOTA_PROBE))
        }
        _ => match error.class() {
            // A token failure gets here only if a new token did not help.
            Class::Token | Class::Quota | Class::Permission | Class::IpNotAllowed | Class::Credentials => {
                Some(probe)
            }
            Class::Busy | Class::Transport | Class::Timeout | Class::WebCode | Class::Other => None,
        },
    }
}

/// Time from `now` (since 1970, UTC) until shortly after the next midnight in Beijing.
fn until_midnight(now: Duration) -> Duration {
    let into_day = Duration::from_secs((now.as_secs() + BEIJING) % DAY);
    Duration::from_secs(DAY) - into_day + MIDNIGHT_SLACK
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::api::call::QR_CODE;
    use tokio::time::Instant;

    fn refusal(code: i64) -> Error {
        Error::Api { code, message: String::new(), call: QR_CODE }
    }

    fn hiccups() -> [Error; 5] {
        [
            refusal(-1),
            Error::Transport { call: QR_CODE, reason: String::new() },
            Error::Timeout { call: QR_CODE },
            Error::Status { call: QR_CODE, status: 502, proxy: None },
            Error::Status { call: QR_CODE, status: 429, proxy: None },
        ]
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_twice_more_with_waits_that_grow() {
        for error in hiccups() {
            let mut tries = Tries::new(&Limits::default());
            let mut waits = Vec::new();
            loop {
                let before = Instant::now();
                if !tries.again(&error).await {
                    break;
                }
                waits.push(before.elapsed().as_millis());
            }
            assert_eq!(waits.len(), 2, "{error}");
            assert!((250..=502).contains(&waits[0]), "{error}: {waits:?}");
            assert!((500..=1002).contains(&waits[1]), "{error}: {waits:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_pass_is_not_tried_again() {
        let start = Instant::now();
        for error in [45009, 45011, 48001, 40164, 40125, 40003, 40001].map(refusal) {
            assert!(!Tries::new(&Limits::default()).again(&error).await, "{error}");
        }
        for status in [302, 403, 404] {
            let error = Error::Status { call: QR_CODE, status, proxy: None };
            assert!(!Tries::new(&Limits::default()).again(&error).await, "{error}");
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[test]
    fn waits_are_spread_over_half_their_length() {
        let longest = Duration::from_secs(2);
        assert_eq!(jittered(longest, 0), Duration::from_secs(1));
        assert_eq!(jittered(longest, u64::MAX), longest);
        assert_eq!(jittered(longest, u64::MAX / 2 + 1), Duration::from_millis(1500));
    }

    #[test]
    fn refusals_rest_and_hiccups_do_not() {
        for code in [40001, 40014, 42001, 45011, 48001, 48004, 40164, 89503, 40013, 40125, 40243] {
            assert_eq!(rest(&refusal(code), MINUTE), Some(MINUTE), "{code}");
        }
        for error in hiccups().into_iter().chain([refusal(40003)]) {
            assert_eq!(rest(&error, MINUTE), None, "{error}");
        }
        let day = rest(&refusal(45009), MINUTE).unwrap();
        assert!(day > Duration::ZERO && day <= QUOTA_PROBE, "{day:?}");
    }

    #[test]
    fn the_quotas_day_ends_at_midnight_in_beijing() {
        // 2025-11-23T15:59:59Z is one second before midnight in Beijing.
        let before = Duration::from_secs(1_763_913_599);
        assert_eq!(until_midnight(before), Duration::from_secs(1) + MIDNIGHT_SLACK);
        assert_eq!(
            until_midnight(before + Duration::from_secs(1)),
            Duration::from_secs(DAY) + MIDNIGHT_SLACK
        );
    }
}
