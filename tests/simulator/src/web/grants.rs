//! The codes of web authorizations, and the tokens that they are exchanged for: each is one person's.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::random;

/// How long a code may be exchanged.
const CODE_LIFE: Duration = Duration::from_secs(300);

/// The most codes and tokens kept; the oldest are removed first.
const MOST: usize = 10_000;

/// What a person has agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Who; a name of nobody in a snapshot.
    pub(crate) openid: String,
    /// Whether nickname and picture may be told.
    pub(crate) with_profile: bool,
    /// The page was a snapshot.
    pub(crate) is_snapshot: bool,
}

#[derive(Debug)]
struct Code {
    grant: Grant,
    made: Instant,
    is_used: bool,
}

/// All codes and tokens.
#[derive(Default)]
pub(crate) struct Grants {
    codes: HashMap<String, Code>,
    tokens: HashMap<String, Grant>,
    order: VecDeque<String>,
}

/// Why a code is worth nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Worthless {
    Unknown,
    Used,
}

impl Grants {
    /// Makes a code.
    pub(crate) fn code(&mut self, grant: Grant, now: Instant) -> String {
        let code = format!("0{}", random::name::<23>());
        self.codes.insert(code.clone(), Code { grant, made: now, is_used: false });
        self.keep(code.clone());
        code
    }

    /// Exchanges a code, once, for a token.
    pub(crate) fn exchange(&mut self, code: &str, now: Instant) -> Result<(String, Grant), Worthless> {
        let found = self.codes.get_mut(code).filter(|code| now < code.made + CODE_LIFE);
        let found = found.ok_or(Worthless::Unknown)?;
        if std::mem::replace(&mut found.is_used, true) {
            return Err(Worthless::Used);
        }
        let grant = found.grant.clone();
        let token = random::name::<64>();
        self.tokens.insert(token.clone(), grant.clone());
        self.keep(token.clone());
        Ok((token, grant))
    }

    /// Whose a token is.
    pub(crate) fn of_token(&self, token: &str) -> Option<Grant> {
        self.tokens.get(token).cloned()
    }

    fn keep(&mut self, name: String) {
        self.order.push_back(name);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.codes.remove(&oldest);
            self.tokens.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_code_is_exchanged_once_within_five_minutes() {
        let (mut grants, now) = (Grants::default(), Instant::now());
        let grant = Grant { openid: "oA".to_owned(), with_profile: false, is_snapshot: false };
        let code = grants.code(grant.clone(), now);
        let (token, given) = grants.exchange(&code, now).unwrap();
        assert_eq!((given, grants.of_token(&token)), (grant.clone(), Some(grant.clone())));
        assert_eq!(grants.exchange(&code, now), Err(Worthless::Used));
        assert_eq!(grants.exchange("nothing", now), Err(Worthless::Unknown));
        let late = grants.code(grant, now);
        assert_eq!(grants.exchange(&late, now + CODE_LIFE), Err(Worthless::Unknown));
        assert_eq!(grants.of_token("nothing"), None);
    }

    #[test]
    fn codes_are_bounded() {
        let (mut grants, now) = (Grants::default(), Instant::now());
        for number in 0..MOST + 5 {
            grants.code(Grant { openid: number.to_string(), with_profile: false, is_snapshot: false }, now);
        }
        assert_eq!(grants.codes.len(), MOST);
    }
}
