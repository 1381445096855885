//! Access tokens. WeChat keeps two families of them, independent of each other.
//!
//! `stable_token` gives everybody the same token until its last five minutes. `token` makes a new one at each
//! call, and the one before stays valid for five minutes more. This code is pure: the caller gives the time.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::random;

/// A token's life: 7,200 s.
const LIFE: Duration = Duration::from_secs(7200);

/// How long an old and a new token are both valid.
const OVERLAP: Duration = Duration::from_secs(300);

/// A forced refresh that comes sooner than this after the last one has no effect.
const FORCE_PAUSE: Duration = Duration::from_secs(30);

/// Dead tokens of each family that are remembered, to tell them from invented ones.
const REMEMBERED: usize = 8;

/// Whether an access token is valid, and if not, why.
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
    /// The answer of `stable_token`: the token, and the seconds that it is still valid.
    pub(crate) fn stable(&mut self, force: bool, now: Instant) -> (String, u64) {
        let may_force = self.forced.is_none_or(|last| now >= last + FORCE_PAUSE);
        if force && may_force {
            self.forced = Some(now);
            // The old token dies at once, and WeChat then treats it as unknown.
            self.stable.0.clear();
            return self.stable.renew(now);
        }
        match self.stable.0.front() {
            Some(token) if token.until > now + OVERLAP => (token.text.clone(), (token.until - now).as_secs()),
            _ => self.stable.renew(now),
        }
    }

    /// The answer of `token`.
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

    /// Makes every token expire now.
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
