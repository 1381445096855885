//! The end of logins: a person logs out, stops following, or is forgotten at the operator's word. Sites hear of it.

use records::Moment;
use tracing::Instrument as _;

use super::accounts::Login;
use super::sites::Site;
use super::{Incoming, Provider};
use crate::account::names::Names;
use crate::audit::{Fact, Outcome, Whence};
use crate::outbox::{EventName, Message};
use crate::store::StoreError;
use crate::trace;

impl Provider {
    /// Ends one login of a person: its session, and what sites made of it. A browser `asked` for it, perhaps sent by a
    /// site.
    pub(super) async fn log_out(
        &self,
        person: &wechat::Person,
        sid: &str,
        asked: &Incoming<'_>,
        site: Option<&Site>,
    ) -> Result<(), StoreError> {
        let key = person.key();
        let Some(login) = self.accounts.end(&key, sid).await? else { return Ok(()) };
        self.tell_of_logout(sid, &login).await?;
        if let Some(session) = &login.session {
            self.sessions.end(session).await?;
        }
        let fact = Fact {
            login: login.id.map(|login| login.to_string()),
            site: site.map(|site| site.id.clone()),
            session: Some(sid.to_owned()),
            from: Whence::request(asked.from, &asked.head.headers),
            ..Fact::of(Outcome::LoggedOut, person)
        };
        // One that the sites have heard of was noted before.
        if login.session.is_some() || !login.sites.is_empty() {
            self.note(fact).await;
        }
        self.accounts.told(&key, sid).await
    }

    /// Writes into the audit what has become of a person's login.
    pub(super) async fn note(&self, fact: Fact<'_>) {
        let account = fact.person.account();
        let official = self.officials.all().iter().find(|official| official.knows(account)).cloned();
        // An account that is gone has lost its name.
        let official = official.unwrap_or_else(|| Names::new(account, account.unwrap_or_default()));
        self.audit.note(&official, fact).await;
    }

    /// Whether anything is kept of a person.
    pub(crate) async fn knows(&self, person: &str) -> Result<bool, StoreError> {
        self.accounts.knows(person).await
    }

    /// As [`Provider::forget`], up to now.
    pub(crate) async fn forget_all(&self, person: &str) -> Result<(), StoreError> {
        let now = self.accounts.now().await?;
        self.forget(person, now).await
    }

    /// Ends all logins of a person up to `until`, and erases what is kept. Sites are told before anything is erased, so
    /// that a process that dies on the way can be asked again, and tells them again.
    pub(crate) async fn forget(&self, person: &str, until: Moment) -> Result<(), StoreError> {
        let leaving = self.accounts.leave(person, until).await?;
        for (sid, login) in &leaving.logins {
            self.tell_of_logout(sid, login).await?;
            if let Some(session) = &login.session {
                self.sessions.end(session).await?;
            }
        }
        for (site, sub) in &leaving.sites {
            if self.sites.get(site).is_some_and(|site| site.webhook.is_some()) {
                let (sub, at) = (sub.clone(), leaving.until.0 / 1000);
                let (name, login, login_id) = (EventName::Unsubscribe, None, None);
                let event = Message::Event { name, sub, at, login, login_id, reason: None };
                self.outbox.put(site, event).await?;
            }
        }
        self.accounts.erase(person, leaving.until).await
    }

    async fn tell_of_logout(&self, sid: &str, login: &Login) -> Result<(), StoreError> {
        self.tell_each(sid, login).instrument(trace::login(login.id)).await
    }

    async fn tell_each(&self, sid: &str, login: &Login) -> Result<(), StoreError> {
        for (site, sub) in &login.sites {
            if self.sites.get(site).is_some_and(|site| site.backchannel_logout_uri.is_some()) {
                let (sub, sid) = (sub.clone(), sid.to_owned());
                let logout = Message::Logout { sub, sid, login_id: login.id };
                self.outbox.put(site, logout).await?;
            }
        }
        Ok(())
    }
}
