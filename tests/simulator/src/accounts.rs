//! Several official accounts at one simulated WeChat, and the people whom they share.
//!
//! Each is a [`Simulator`] of its own, with its own codes, tokens, faults and counts. A person has another openid at each
//! account, and one unionid at all. A call says for which account it is: by its appid, its access token or its ticket. The
//! phone says it by `account=` and the appid in its address.

use tokio::time::Instant;

use crate::people::Person;
use crate::server::Asked;
use crate::tokens::Worth;
use crate::{Settings, Simulator, State, lock, unix_now};

impl Simulator {
    /// One more account at the same WeChat, whose API is the same.
    ///
    /// # Errors
    /// As [`Simulator::new`].
    pub fn beside(&self, settings: Settings) -> anyhow::Result<Self> {
        let other = Self { accounts: self.accounts.clone(), ..Self::new(settings)? };
        if !self.public_url().is_empty() {
            other.set_public_url(self.public_url());
        }
        lock(&self.accounts).push(other.state.clone());
        Ok(other)
    }

    /// The person who has this openid at another account, as this account knows them. `None`: nobody has it there.
    #[must_use]
    pub fn same_person(&self, other: &Self, openid: &str) -> Option<Person> {
        let (there, unionid) = {
            let people = lock(&other.state.people);
            (people.get(openid)?, people.unionid(openid)?)
        };
        let mut people = lock(&self.state.people);
        if let Some(known) = people.by_unionid(&unionid) {
            return Some(known);
        }
        let Person { nickname, language, .. } = there;
        let new = people.add(Person { nickname, language, ..Person::default() }, unix_now());
        people.name(&new.openid, unionid);
        Some(new)
    }

    /// The account that a request is for; this one, if it does not say.
    pub(crate) fn meant(&self, asked: &Asked) -> Self {
        let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let app_id = ["account", "appid"].into_iter().find_map(|name| asked.query(name));
        let app_id = app_id.as_deref().or(body["appid"].as_str());
        let (token, ticket) = (asked.query("access_token"), asked.query("ticket"));
        let is_meant = |state: &State| match (app_id, &token, &ticket) {
            (Some(app_id), ..) => state.settings.app_id == app_id,
            (None, Some(token), _) => {
                lock(&state.tokens).worth(token, Instant::now()) != Worth::Unknown
                    || lock(&state.grants).of_token(token).is_some()
            }
            (None, None, Some(ticket)) => lock(&state.codes).by_ticket(ticket).is_some(),
            (None, None, None) => false,
        };
        let accounts = lock(&self.accounts);
        let state = accounts.iter().find(|state| is_meant(state)).unwrap_or(&self.state).clone();
        Self { state, accounts: self.accounts.clone() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_person_has_an_openid_at_each_account_and_one_unionid() {
        let one = Simulator::new(Settings::default()).unwrap();
        let other = one.beside(Settings { app_id: "wx2".to_owned(), ..Settings::default() }).unwrap();
        let person = one.invent_person("Anna", true);
        let same = other.same_person(&one, &person.openid).unwrap();
        assert!(same.openid != person.openid && same.nickname == "Anna" && !same.follower);
        assert_eq!(other.same_person(&one, &person.openid), Some(same.clone()), "once");
        let unionid = |at: &Simulator, openid: &str| lock(&at.state.people).unionid(openid).unwrap();
        assert_eq!(unionid(&one, &person.openid), unionid(&other, &same.openid));
        assert!(one.person(&same.openid).is_none() && one.same_person(&other, "nobody").is_none());
    }
}
