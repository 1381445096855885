//! What is kept of a person who logs in to sites: which logins live, at which sites, and when all before was ended. So a
//! person who leaves can be logged out everywhere and forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::LoginId;
use records::{AsText, Kept, Moment, Records, Step, Write};
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use super::token::Hash;
use crate::store::{Store, StoreError};

/// How long it is remembered at which sites a person was, so that these hear of an unsubscribe.
const SITES_KEPT: Duration = Duration::from_secs(400 * 24 * 3600);

/// A visit is noted when the last one that was noted is older than this. So a silent login writes nothing here, and
/// requests at the same moment do not wait for each other.
const NOTED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Logins of one person that live at once. The oldest gives way: its browser has to scan again, and sites do not hear of its
/// end.
const MOST_LOGINS: usize = 64;

/// What is kept of a person.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    /// Whatever was begun before or at this moment is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Moment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unionid: Option<String>,
    /// By `sid`.
    #[serde(default)]
    logins: BTreeMap<String, Kept<Login>>,
    /// By the site's id.
    #[serde(default)]
    sites: BTreeMap<String, Kept<Visit>>,
}

impl AsText for Account {}

/// A login that lives: a session of a browser, or one that a page of a site has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Login {
    at: Moment,
    until: Moment,
    /// It was ended, and is kept so that an old code does not bring it back.
    #[serde(default)]
    is_ended: bool,
    /// The cookie of its session, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Hash>,
    /// The sites that know of it, and what each calls the person.
    #[serde(default)]
    pub sites: BTreeMap<String, String>,
    /// By which the person came last, for the log and for what sites are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<LoginId>,
}

/// What is kept of a person at a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Visit {
    /// What the site calls the person.
    sub: String,
    at: Moment,
}

/// What has to be told and ended when a person leaves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaving {
    /// What ends: all up to this moment.
    pub until: Moment,
    /// The logins, by `sid`.
    pub logins: Vec<(String, Login)>,
    /// Every site, and what it calls the person.
    pub sites: Vec<(String, String)>,
}

impl Account {
    fn is_over(&self, who: &Identity) -> bool {
        self.ended_at.is_some_and(|ended_at| who.at <= ended_at)
    }

    /// Whether a login that was begun still lives.
    fn lives(&self, who: &Identity) -> bool {
        !self.is_over(who) && self.logins.get(&who.sid).is_some_and(|login| !login.is_ended)
    }

    /// Ends a login, and gives it with the sites that have to hear of that.
    fn end(&mut self, sid: &str) -> Option<Login> {
        let login = self.logins.get_mut(sid)?;
        login.is_ended = true;
        Some(Login::clone(login))
    }

    /// The sites have heard of a login's end.
    fn told(&mut self, sid: &str) {
        if let Some(login) = self.logins.get_mut(sid) {
            login.sites.clear();
            login.session = None;
        }
    }

    /// The login of a session, made if it is not there; nothing if it is over.
    fn login(&mut self, who: &Identity, until: Moment) -> Option<&mut Login> {
        if self.is_over(who) {
            return None;
        }
        if who.unionid.is_some() {
            self.unionid.clone_from(&who.unionid);
        }
        if !self.logins.contains_key(&who.sid) {
            while self.logins.len() >= MOST_LOGINS {
                let oldest =
                    self.logins.iter().min_by_key(|(_, login)| login.at).map(|(sid, _)| sid.clone())?;
                self.logins.remove(&oldest);
            }
        }
        let made =
            Login { at: who.at, until, is_ended: false, session: None, sites: BTreeMap::new(), id: None };
        let login = self.logins.entry(who.sid.clone()).or_insert_with(|| made.into());
        if login.is_ended {
            return None;
        }
        login.at = login.at.max(who.at);
        login.id = who.login.or(login.id);
        login.until = login.until.max(until);
        Some(login)
    }

    fn visit(&mut self, who: &Identity, until: Moment, site: &str, sub: &str, now: Moment) -> bool {
        let Some(login) = self.login(who, until) else { return false };
        login.sites.insert(site.to_owned(), sub.to_owned());
        match self.sites.get_mut(site) {
            Some(visit) if visit.sub == sub && now.since(visit.at) < NOTED_AFTER => {}
            Some(visit) => **visit = Visit { sub: sub.to_owned(), at: now },
            None => drop(self.sites.insert(site.to_owned(), Visit { sub: sub.to_owned(), at: now }.into())),
        }
        true
    }

    /// Ends all up to `until`, and gives what has to be told and ended. A clock of WeChat's that is ahead of the store's
    /// ends nothing that is still to come.
    fn leave(&mut self, until: Moment, now: Moment) -> Leaving {
        let until = until.min(now);
        self.ended_at = self.ended_at.max(Some(until));
        let logins = self.logins.iter().filter(|(_, login)| login.at <= until);
        let logins: Vec<_> = logins.map(|(sid, login)| (sid.clone(), Login::clone(login))).collect();
        let is_whole = logins.len() == self.logins.len();
        let sites = self.sites.iter().filter(|_| is_whole);
        let sites = sites.map(|(site, visit)| (site.clone(), visit.sub.clone())).collect();
        Leaving { until, logins, sites }
    }

    /// Forgets all up to `until`; the sites stay if the person has logged in since.
    fn erase(&mut self, until: Moment) {
        self.ended_at = self.ended_at.max(Some(until));
        self.logins.retain(|_, login| login.at > until);
        if self.logins.is_empty() {
            self.unionid = None;
            self.sites.clear();
        }
    }

    fn sweep(&mut self, now: Moment) {
        self.logins.retain(|_, login| now < login.until);
    }

    fn forget_at(&self, life: Duration, now: Moment) -> Moment {
        let sites = self.sites.values().map(|visit| visit.at + SITES_KEPT).max();
        // As long as what it ends may be tried.
        let longest = now + life + Duration::from_secs(24 * 3600);
        sites.unwrap_or(longest).max(longest)
    }
}

/// The accounts, by the key of a person.
#[derive(Debug, Clone)]
pub(super) struct Accounts {
    records: Records<Kept<Account>>,
    /// How long a login lives at most.
    life: Duration,
}

impl Accounts {
    pub(super) fn new(store: &Store, life: Duration) -> Self {
        Self { records: store.records("account"), life }
    }

    /// Notes a session; says whether it may begin. It may not if the person has been forgotten since the scan.
    pub(super) async fn begin(&self, who: &Identity, session: &Hash) -> Result<bool, StoreError> {
        self.change(&who.key(), |account, _| {
            let Some(login) = account.login(who, who.at + self.life) else { return false };
            login.session = Some(session.clone());
            true
        })
        .await
    }

    /// Notes that a site learns of a login, under the name `sub`; says whether the login still lives.
    pub(super) async fn visit(&self, who: &Identity, site: &str, sub: &str) -> Result<bool, StoreError> {
        self.change(&who.key(), |account, now| account.visit(who, who.at + self.life, site, sub, now)).await
    }

    /// Whether a login that was begun has not been ended.
    pub(super) async fn lives(&self, who: &Identity) -> Result<bool, StoreError> {
        let found = self.records.read(&who.key()).await?.record;
        Ok(found.is_some_and(|account| account.lives(who)))
    }

    /// Whether anything is kept of a person.
    pub(super) async fn knows(&self, person: &str) -> Result<bool, StoreError> {
        Ok(self.records.read(person).await?.record.is_some())
    }

    /// The store's clock.
    pub(super) async fn now(&self) -> Result<Moment, StoreError> {
        Ok(self.records.read("").await?.now)
    }

    /// The unionid that WeChat gave for a person earlier.
    pub(super) async fn unionid(&self, person: &str) -> Result<Option<String>, StoreError> {
        Ok(self.records.read(person).await?.record.and_then(|account| account.unionid.clone()))
    }

    /// Ends a login: from now on no site learns of it. Gives it, with the sites that have to hear of its end.
    pub(super) async fn end(&self, person: &str, sid: &str) -> Result<Option<Login>, StoreError> {
        self.change(person, |account, _| account.end(sid)).await
    }

    /// Notes that the sites have heard of a login's end.
    pub(super) async fn told(&self, person: &str, sid: &str) -> Result<(), StoreError> {
        self.change(person, |account, _| account.told(sid)).await
    }

    /// Ends all logins up to `until`: from now on no site learns of them. Gives what has to be told before everything is
    /// erased.
    pub(super) async fn leave(&self, person: &str, until: Moment) -> Result<Leaving, StoreError> {
        self.change(person, |account, now| account.leave(until, now)).await
    }

    /// Erases everything up to `until`.
    pub(super) async fn erase(&self, person: &str, until: Moment) -> Result<(), StoreError> {
        self.change(person, |account, _| account.erase(until)).await
    }

    async fn change<T>(
        &self,
        person: &str,
        work: impl Fn(&mut Account, Moment) -> T,
    ) -> Result<T, StoreError> {
        let changed = self.records.update(person, |found, now| {
            let mut account = found.cloned().unwrap_or_default();
            account.sweep(now);
            let value = work(&mut account, now);
            let forget_at = account.forget_at(self.life, now);
            Step::Write(Write { durably: true, ..Write::new(account, forget_at) }, value)
        });
        Ok(changed.await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(100);

    fn who(sid: &str, at: u64) -> Identity {
        Identity {
            openid: "o".into(),
            account: None,
            unionid: Some("u".into()),
            nickname: None,
            picture: None,
            at: Moment(at),
            sid: sid.into(),
            confirmed: false,
            login: None,
        }
    }

    #[test]
    fn whoever_leaves_leaves_everywhere_and_can_come_back() {
        let mut account = Account::default();
        let until = Moment(200_000);
        assert!(account.visit(&who("one", 1_000), until, "shop", "o", Moment(1_000)));
        assert!(account.visit(&who("one", 1_000), until, "forum", "u", Moment(1_500)));
        assert!(account.visit(&who("two", 2_000), until, "shop", "o", Moment(2_000)));
        let leaving = account.clone().leave(Moment(1_999), Moment(2_000));
        assert_eq!(leaving.logins.len(), 1, "a login after the unsubscribe stays");
        assert_eq!(leaving.logins[0].1.sites.len(), 2);
        assert!(leaving.sites.is_empty(), "and so do the sites");
        let leaving = account.leave(Moment(9_000), Moment(2_000));
        assert!(!account.visit(&who("two", 2_000), until, "other", "o", Moment(2_500)), "nobody is left out");
        assert_eq!((leaving.logins.len(), leaving.sites.len()), (2, 2));
        assert_eq!(leaving.until, Moment(2_000), "WeChat's clock may be ahead");
        account.erase(leaving.until);
        assert_eq!((account.unionid.as_deref(), account.logins.len(), account.sites.len()), (None, 0, 0));
        assert!(!account.visit(&who("one", 1_000), until, "shop", "o", Moment(3_000)), "an old code");
        assert!(account.visit(&who("new", 2_001), until, "shop", "o", Moment(3_000)));
    }

    #[test]
    fn an_old_code_does_not_bring_back_a_login_that_was_ended() {
        let mut account = Account::default();
        let until = Moment(200_000);
        let one = who("one", 1_000);
        assert!(account.visit(&one, until, "shop", "o", Moment(1_000)) && account.lives(&one));
        let ended = account.end("one").map(|login| login.sites);
        assert_eq!(ended, Some(BTreeMap::from([("shop".to_owned(), "o".to_owned())])));
        assert!(!account.lives(&one) && !account.visit(&one, until, "forum", "o", Moment(2_000)));
        account.told("one");
        assert_eq!(
            account.leave(Moment(3_000), Moment(3_000)).logins[0].1.sites.len(),
            0,
            "they hear of it once"
        );
        assert_eq!(account.end("other"), None);
    }

    #[test]
    fn a_visit_that_was_noted_today_changes_nothing() {
        let mut account = Account::default();
        let (one, until, day) = (who("one", 1_000), Moment(200_000), Duration::from_secs(24 * 3600));
        assert!(account.visit(&one, until, "shop", "o", Moment(1_000)));
        let noted = account.clone();
        assert!(account.visit(&one, until, "shop", "o", Moment(1_000 - 1) + day));
        assert_eq!(account, noted);
        assert!(account.visit(&one, until, "shop", "o", Moment(1_000) + day));
        assert_eq!(account.sites["shop"].at, Moment(1_000) + day);
        assert!(account.visit(&one, until, "shop", "u", Moment(1_000) + day));
        assert_eq!(account.sites["shop"].sub, "u", "the site may call the person otherwise now");
    }

    #[test]
    fn logins_have_a_number_and_a_time() {
        let mut account = Account::default();
        for login in 0..100 {
            account.visit(&who(&login.to_string(), login), Moment(1_000 + login), "shop", "o", Moment(login));
        }
        assert_eq!(account.logins.len(), MOST_LOGINS);
        assert!(account.logins.contains_key("99") && !account.logins.contains_key("0"));
        account.sweep(Moment(1_099));
        assert_eq!(account.logins.len(), 0);
        assert!(account.forget_at(LIFE, Moment(2_000)) >= Moment(0) + SITES_KEPT, "the sites are remembered");
    }
}
