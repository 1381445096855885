//! Sessions: a browser whose person has scanned need not scan again for the next site, until the session is too old, has
//! not been used for long, or is ended.

use std::time::Duration;

use records::{AsText, Kept, Moment, Records, Step, Write};
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use super::token::{Hash, Token};
use crate::store::{Store, StoreError};

/// A use is noted when the last one that was noted is older than this, so that not every redirect writes.
const NOTED_AFTER: Duration = Duration::from_secs(60);

/// How long a session lives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lives {
    /// Without being used.
    pub idle: Duration,
    /// From the scan, however much it is used.
    pub life: Duration,
}

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Session {
    /// Nobody, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    who: Option<Kept<Identity>>,
    used_at: Moment,
}

impl AsText for Session {}

impl Session {
    /// When it is over, if it is not used again.
    fn until(&self, lives: Lives) -> Moment {
        let from = self.who.as_ref().map_or(self.used_at, |who| who.at);
        (self.used_at + lives.idle).min(from + lives.life)
    }
}

/// The sessions.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    records: Records<Kept<Session>>,
    lives: Lives,
}

impl Sessions {
    pub(super) fn new(store: &Store, lives: Lives) -> Self {
        Self { records: store.records("session"), lives }
    }

    /// Begins a session of a person; gives its cookie.
    pub(super) async fn begin(&self, cookie: &Token, who: &Identity) -> Result<(), StoreError> {
        let name = cookie.hash();
        let begun = self.records.update(name.as_str(), |_, now| {
            let session = Session { who: Some(who.clone().into()), used_at: now };
            let until = session.until(self.lives);
            Step::Write(Write::new(session.into(), until), ())
        });
        Ok(begun.await?)
    }

    /// Who has the session of a cookie, and the store's clock; and notes that it is used.
    pub(super) async fn find(&self, cookie: &Token) -> Result<Option<(Identity, Moment)>, StoreError> {
        let name = cookie.hash();
        let found = self.records.update(name.as_str(), |found, now| {
            let Some(session) = found.filter(|session| now < session.until(self.lives)) else {
                return Step::Keep(None);
            };
            let Some(who) = &session.who else { return Step::Keep(None) };
            let who = Some((Identity::clone(who), now));
            if now.since(session.used_at) < NOTED_AFTER {
                return Step::Keep(who);
            }
            let mut session = session.clone();
            session.used_at = now;
            let until = session.until(self.lives);
            Step::Write(Write::new(session, until), who)
        });
        Ok(found.await?)
    }

    /// Ends a session.
    pub(super) async fn end(&self, cookie: &Hash) -> Result<(), StoreError> {
        let ended = self.records.update(cookie.as_str(), |found, now| match found {
            Some(session) => {
                let mut session = session.clone();
                session.who = None;
                let until = session.until(self.lives).max(now);
                Step::Write(Write { durably: true, ..Write::new(session, until) }, ())
            }
            None => Step::Keep(()),
        });
        Ok(ended.await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_idle_or_old() {
        let lives = Lives { idle: Duration::from_secs(10), life: Duration::from_secs(25) };
        let who = Identity {
            openid: "o".to_owned(),
            account: None,
            unionid: None,
            nickname: None,
            picture: None,
            at: Moment(1_000),
            sid: "s".to_owned(),
            confirmed: false,
            login: None,
        };
        let session = |used_at| Session { who: Some(who.clone().into()), used_at: Moment(used_at) };
        assert_eq!(session(1_000).until(lives), Moment(11_000));
        assert_eq!(session(20_000).until(lives), Moment(26_000), "however much it is used");
    }
}
