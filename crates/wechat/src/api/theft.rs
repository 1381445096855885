//! Tells a token that another system replaced from one that has expired.
//!
//! WeChat announces how long a token lives. If it refuses a token long before that and gives another one,
//! somebody else has made a new token: most often another system of the same account that calls `stable_token`
//! with `force_refresh`. One such replacement is normal. Several in an hour mean that two systems fight over
//! the token, which only a person can end, so a warning is logged. Replacements are also limited, so that such
//! a fight never becomes a loop.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The most refused tokens that are replaced in a minute. WeChat itself changes a token at most twice a minute.
const REPLACED_A_MINUTE: usize = 4;

/// Early replacements in an hour that cause a warning. An operator who resets the secret causes one.
const THEFTS_AN_HOUR: usize = 3;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The early replacements of an account's tokens.
#[derive(Debug, Default)]
pub(crate) struct Thefts {
    replaced: Recent<REPLACED_A_MINUTE>,
    stolen: Recent<THEFTS_AN_HOUR>,
    said: Option<Instant>,
}

impl Thefts {
    /// Whether a refused token may be replaced now. Each yes is counted.
    pub(crate) fn may_replace(&mut self, now: Instant) -> bool {
        let may = !self.replaced.all_within(MINUTE, now);
        if may {
            self.replaced.note(now);
        }
        may
    }

    /// Records a token replaced before its expiry; warns at the third within an hour.
    pub(crate) fn stolen(&mut self, now: Instant) {
        self.stolen.note(now);
        let said_lately = self.said.is_some_and(|said| now < said + HOUR);
        if self.stolen.all_within(HOUR, now) && !said_lately {
            self.said = Some(now);
            tracing::warn!(
                times = THEFTS_AN_HOUR,
                "WeChat refused access tokens long before their end, and gave others in their place, several times \
                 within an hour: another system of this account replaces them, most likely by calling \
                 /cgi-bin/stable_token with force_refresh; let it ask with force_refresh false, which gives all the \
                 same token. Logins go on meanwhile, each change costs one call more"
            );
        }
    }
}

/// The last `N` times something happened.
#[derive(Debug, Default)]
struct Recent<const N: usize>(VecDeque<Instant>);

impl<const N: usize> Recent<N> {
    fn note(&mut self, now: Instant) {
        self.0.push_back(now);
        if self.0.len() > N {
            self.0.pop_front();
        }
    }

    fn all_within(&self, span: Duration, now: Instant) -> bool {
        self.0.len() == N && self.0.front().is_some_and(|first| now < *first + span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::logged::Logged;

    #[test]
    fn four_replacements_a_minute_and_no_more() {
        let (mut thefts, start) = (Thefts::default(), Instant::now());
        for second in [0, 10, 20, 30] {
            assert!(thefts.may_replace(start + Duration::from_secs(second)), "{second}");
        }
        assert!(!thefts.may_replace(start + Duration::from_secs(31)));
        assert!(!thefts.may_replace(start + Duration::from_secs(59)));
        assert!(thefts.may_replace(start + Duration::from_secs(60)));
        assert!(!thefts.may_replace(start + Duration::from_secs(61)));
        assert!(thefts.may_replace(start + Duration::from_secs(70)));
    }

    #[test]
    fn the_third_theft_within_an_hour_is_said_and_then_once_an_hour() {
        let log = Logged::start();
        let (mut thefts, start) = (Thefts::default(), Instant::now());
        let said_after = |thefts: &mut Thefts, minutes: u64| {
            thefts.stolen(start + Duration::from_secs(60 * minutes));
            log.count("force_refresh")
        };
        let said = [0, 31, 62, 80, 85, 90, 100, 139, 140].map(|minutes| said_after(&mut thefts, minutes));
        assert_eq!(said, [0, 0, 0, 1, 1, 1, 1, 1, 2], "{log}");
    }
}
