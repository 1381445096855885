//! Who is signed in at a browser: a session for each official account by which somebody has logged in there. A site is served
//! by the sessions of its own account; one that knows people by their unionid, by those of every account.

use records::Moment;

use super::Incoming;
use super::cookies::Cookie;
use crate::account::names::Names;
use crate::provider::Provider;
use crate::provider::identity::Identity;
use crate::provider::sites::{Site, Subject};
use crate::provider::token::Token;
use crate::store::StoreError;

/// Sessions of one browser that are looked up for a request.
const MOST: usize = 16;

impl Provider {
    /// The person of a browser's session at an official account, and the clock, if it has one that lives.
    pub(super) async fn session_of(
        &self,
        asked: &Incoming<'_>,
        account: Option<&str>,
    ) -> Result<Option<(Identity, Moment)>, StoreError> {
        match self.cookie(&asked.head.headers, Cookie::Session(account)) {
            Some(cookie) => self.found(&cookie, account).await,
            None => Ok(None),
        }
    }

    /// The same of every session that may serve `site`, that of its own account first; without a site, of all.
    pub(super) async fn sessions(
        &self,
        asked: &Incoming<'_>,
        site: Option<&Site>,
    ) -> Result<Vec<(Identity, Moment)>, StoreError> {
        let may_serve = |official: &Names| site.is_none_or(|site| self.may_serve(official, site));
        let cookies = self.session_cookies(&asked.head.headers).filter(|(official, _)| may_serve(official));
        let own = |official: &Names| site.and_then(|site| self.official(site)) == Some(official);
        let (own, others): (Vec<_>, Vec<_>) = cookies.partition(|(official, _)| own(official));
        let mut sessions = Vec::new();
        for (official, cookie) in own.into_iter().chain(others).take(MOST) {
            sessions.extend(self.found(&cookie, official.of_people().map(AsRef::as_ref)).await?);
        }
        Ok(sessions)
    }

    /// Whether a session of this official account may serve a site.
    pub(super) fn may_serve(&self, official: &Names, site: &Site) -> bool {
        site.subject == Subject::Unionid || self.official(site) == Some(official)
    }

    /// A browser may bring one account's session under another one's cookie, which is none.
    async fn found(
        &self,
        cookie: &Token,
        account: Option<&str>,
    ) -> Result<Option<(Identity, Moment)>, StoreError> {
        match self.sessions.find(cookie).await? {
            Some((who, now)) if who.account.as_deref() == account && self.accounts.lives(&who).await? => {
                Ok(Some((who, now)))
            }
            _ => Ok(None),
        }
    }
}
