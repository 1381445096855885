//! The end of logins: a person logs out, stops following, or is forgotten at the operator's word. Sites hear of it.

use records::Moment;

use super::Provider;
use super::accounts::Login;
use super::identity::Identity;
use crate::outbox::{EventName, Message};
use crate::store::StoreError;

impl Provider {
    /// Ends one login: its session, and what sites made of it.
    pub(super) async fn log_out(&self, who: &Identity) -> Result<(), StoreError> {
        if let Some(login) = self.accounts.login(&who.openid, &who.sid).await? {
            self.tell_of_logout(&who.sid, &login).await?;
            if let Some(session) = &login.session {
                self.sessions.end(session).await?;
            }
        }
        self.accounts.end(&who.openid, &who.sid).await
    }

    /// Ends all logins of a person up to `until`, and erases what is kept. Sites are told before anything is erased, so
    /// that a process that dies on the way tells them again.
    pub(crate) async fn forget(&self, openid: &str, until: Moment) -> Result<(), StoreError> {
        let leaving = self.accounts.leaving(openid, until).await?;
        for (sid, login) in &leaving.logins {
            self.tell_of_logout(sid, login).await?;
        }
        for (site, sub) in &leaving.sites {
            if self.sites.get(site).is_some_and(|site| site.webhook.is_some()) {
                let (sub, at) = (sub.clone(), until.0 / 1000);
                let event = Message::Event { name: EventName::Unsubscribe, sub, at, login: None };
                self.outbox.put(site, event).await?;
            }
        }
        self.accounts.erase(openid, until).await?;
        for (_, login) in &leaving.logins {
            if let Some(session) = &login.session {
                self.sessions.end(session).await?;
            }
        }
        Ok(())
    }

    async fn tell_of_logout(&self, sid: &str, login: &Login) -> Result<(), StoreError> {
        for (site, sub) in &login.sites {
            if self.sites.get(site).is_some_and(|site| site.backchannel_logout_uri.is_some()) {
                let logout = Message::Logout { sub: sub.clone(), sid: sid.to_owned() };
                self.outbox.put(site, logout).await?;
            }
        }
        Ok(())
    }
}
