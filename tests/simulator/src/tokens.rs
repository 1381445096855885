//! Access tokens: the two families that WeChat keeps, independent of each other.
//!
//! `stable_token` hands everybody the same token until its last five minutes. `token` makes a new
//! one with each call and lets the one before live five minutes more. Pure: the time is given.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::random;

/// A token's life: 7,200 s.
const LIFE: Duration = Duration::from_secs(7200);

/// How long an old and a new token are valid side by side.
const OVERLAP: Duration = Duration::from_secs(300);

/// A forced refresh sooner than this after the last one refreshes nothing.
const FORCE_PAUSE: Duration = Duration::from_secs(30);

/// Dead tokens that are still told from invented ones, in each family.
const REMEMBERED: usize = 8;

/// What an access token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    Valid,
    Expired,
    Unknown,
}

/// Every access token of the account.
#[derive(Default)]
pub(crate) struct Tokens {
    stable: Family,
    classic: Family,
    forced: Option<Instant>,
}

#[derive(Default)]
struct Family(VecDeque<Token>);

struct Token {
    text: String,
    until: Instant,
}

impl Tokens {
    /// What `stable_token` answers: the token, and the seconds it is still good for.
    pub(crate) fn stable(&mut self, force: bool, now: Instant) -> (String, u64) {
        let may_force = self.forced.is_none_or(|last| now >= last + FORCE_PAUSE);
        if force && may_force {
            self.forced = Some(now);
            // The old token dies at once, and WeChat then does not know it.
            self.stable.0.clear();
            return self.stable.renew(now);
        }
        match self.stable.0.front() {
            Some(token) if token.until > now + OVERLAP => (token.text.clone(), (token.until - now).as_secs()),
            _ => self.stable.renew(now),
        }
    }

    /// What `token` answers.
    pub(crate) fn classic(&mut self, now: Instant) -> (String, u64) {
        self.classic.renew(now)
    }

    /// Whether a call may be made with `text`.
    pub(crate) fn worth(&self, text: &str, now: Instant) -> Worth {
        let mut known = self.stable.0.iter().chain(&self.classic.0);
        match known.find(|token| token.text == text) {
            Some(token) if token.until > now => Worth::Valid,
            Some(_) => Worth::Expired,
            None => Worth::Unknown,
        }
    }

    /// Lets every token expire now.
    pub(crate) fn expire(&mut self, now: Instant) {
        for token in self.stable.0.iter_mut().chain(&mut self.classic.0) {
            token.until = token.until.min(now);
        }
    }
}

impl Family {
    fn renew(&mut self, now: Instant) -> (String, u64) {
        for (age, token) in self.0.iter_mut().enumerate() {
            let left = if age == 0 { now + OVERLAP } else { now };
            token.until = token.until.min(left);
        }
        let text = format!("98_{}", random::name::<96>());
        self.0.push_front(Token { text: text.clone(), until: now + LIFE });
        self.0.truncate(REMEMBERED);
        (text, LIFE.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_stable_token_stays_until_its_last_five_minutes() {
        let (mut tokens, start) = (Tokens::default(), Instant::now());
        let (first, life) = tokens.stable(false, start);
        assert_eq!(life, 7200);
        let late = start + LIFE - OVERLAP - SECOND;
        assert_eq!(tokens.stable(false, late), (first.clone(), 301));
        let (second, life) = tokens.stable(false, late + SECOND);
        assert_ne!(first, second);
        assert_eq!(life, 7200);
        assert_eq!(tokens.worth(&first, start + LIFE - SECOND), Worth::Valid);
        assert_eq!(tokens.worth(&first, start + LIFE), Worth::Expired);
        assert_eq!(tokens.worth(&second, start + LIFE), Worth::Valid);
    }

    #[test]
    fn a_forced_refresh_kills_at_once_but_not_twice_in_half_a_minute() {
        let (mut tokens, start) = (Tokens::default(), Instant::now());
        let (first, _) = tokens.stable(false, start);
        let (second, _) = tokens.stable(true, start);
        assert_eq!(tokens.worth(&first, start), Worth::Unknown);
        assert_eq!(tokens.stable(true, start + SECOND).0, second);
        assert_ne!(tokens.stable(true, start + FORCE_PAUSE).0, second);
    }

    #[test]
    fn the_classic_token_dies_five_minutes_after_the_next_and_leaves_the_stable_one_alone() {
        let (mut tokens, start) = (Tokens::default(), Instant::now());
        let (stable, _) = tokens.stable(false, start);
        let (first, _) = tokens.classic(start);
        let (second, _) = tokens.classic(start);
        assert_eq!(tokens.worth(&first, start + OVERLAP - SECOND), Worth::Valid);
        assert_eq!(tokens.worth(&first, start + OVERLAP), Worth::Expired);
        tokens.classic(start + SECOND);
        assert_eq!(tokens.worth(&first, start + SECOND), Worth::Expired, "only one before the newest");
        for text in [&stable, &second] {
            assert_eq!(tokens.worth(text, start + SECOND), Worth::Valid);
        }
    }

    #[test]
    fn expired_tokens_are_replaced() {
        let (mut tokens, start) = (Tokens::default(), Instant::now());
        let (first, _) = tokens.stable(false, start);
        tokens.expire(start);
        assert_eq!(tokens.worth(&first, start), Worth::Expired);
        assert_ne!(tokens.stable(false, start).0, first);
    }
}
