//! The audit: who logged in to which site, when, from where and how, and what came of it.
//!
//! [`entry`] is one line of it. Whatever ends a login, or learns of one, hands a [`Fact`] to [`Audit::note`]; it is written to
//! the store's journal before the phone or the site is answered. So whoever hears that somebody is logged in can be sure of
//! the entry: a process that dies before has not answered, WeChat repeats its push, and the entry is written then. A repeat
//! adds none. The one exception is a store that does not answer: the login goes on all the same, and the missing entry is
//! counted and told in the log.
//!
//! [`settings`] says for how long entries are kept, and [`list`] is the operator's command, with [`filter`], [`text`] and
//! [`export`].

mod entry;
mod export;
mod filter;
pub(crate) mod list;
pub(crate) mod settings;
mod text;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use protocol::LoginId;
use records::{Journal, Moment, Note};
use server::tell;
use server::told::Told;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;
use wechat::Person;

pub(crate) use self::entry::{Confirmed, Outcome, Way, Whence};
use self::entry::{Entry, Personal};
use self::settings::Keep;
use crate::account::names::Names;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};

/// The kind of its journal.
const KIND: &str = "logins";

/// How long somebody who is to be answered waits for an entry. It is written all the same after that.
const WITHIN: Duration = Duration::from_millis(250);

/// How often what is too old is taken out.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// The pause between two steps of that, so that logins come in between.
const BETWEEN_STEPS: Duration = Duration::from_millis(20);

/// Entries about a person with a time up to so much later than an unfollow's belong to logins before it. An unclear login is
/// asked about for a minute, and the store's clock, which entries have, may be five minutes ahead of WeChat's.
const AFTER_UNFOLLOW: Duration = Duration::from_secs(60 + 300);

/// What happened.
#[derive(Debug, Clone)]
pub(crate) struct Fact<'f> {
    /// What it came to.
    pub outcome: Outcome,
    /// The login's id, where it has one.
    pub login: Option<String>,
    /// The person.
    pub person: &'f Person,
    /// The site's id, or the name that a site of wechat-server's protocol has.
    pub site: Option<String>,
    /// How the person came to the login.
    pub way: Option<Way>,
    /// How they confirmed it.
    pub confirmed: Option<Confirmed>,
    /// The session at the issuer, by the name that sites know (`sid`).
    pub session: Option<String>,
    /// The browser.
    pub from: Whence,
    /// A repeat of the same is not written again; else each is.
    pub once: bool,
}

impl<'f> Fact<'f> {
    /// Nothing but what it came to, for whom.
    pub(crate) fn of(outcome: Outcome, person: &'f Person) -> Self {
        Self {
            outcome,
            login: None,
            person,
            site: None,
            way: None,
            confirmed: None,
            session: None,
            from: Whence::default(),
            once: true,
        }
    }

    /// The same, of a login of a gateway.
    pub(crate) fn of_login(self, login: LoginId) -> Self {
        Self { login: Some(login.to_string()), ..self }
    }

    /// What a repeat of this has as well, and nothing else has. A person's login that has ended without them is refused again
    /// in other words, when they scan once more: the first entry says why.
    fn name(&self) -> Option<String> {
        let Self { outcome, login, person, session, .. } = self;
        let which = login.as_ref().or(session.as_ref()).filter(|_| self.once)?;
        let what = if outcome.is_refusal() { "refused" } else { outcome.name() };
        let hash = digest(&SHA256, format!("{what} {which} {}", person.key()).as_bytes());
        Some(HEXLOWER.encode(hash.as_ref()))
    }
}

/// The audit of all official accounts. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    journal: Journal<Entry, Personal>,
    keep: Keep,
    metrics: Metrics,
    /// On which entries are written.
    tasks: TaskTracker,
    told: Arc<Told>,
}

impl Audit {
    /// An audit in `store`.
    #[must_use]
    pub(crate) fn new(store: &Store, keep: Keep, metrics: Metrics, tasks: TaskTracker) -> Self {
        Self { journal: store.journal(KIND, keep.keeps()), keep, metrics, tasks, told: Arc::default() }
    }

    /// Writes an entry, and waits for it, but no longer than [`WITHIN`]. Dropping the future leaves the entry to be written.
    ///
    /// `account` is whose person it is.
    pub(crate) async fn note(&self, account: &Names, fact: Fact<'_>) {
        self.note_by(account, fact, Instant::now() + WITHIN).await;
    }

    /// As [`Audit::note`], for somebody who has to be answered at a moment.
    pub(crate) async fn note_by(&self, account: &Names, fact: Fact<'_>, by: Instant) {
        if self.keep.is_off() {
            return;
        }
        let name = fact.name();
        let Fact { outcome, login, person, site, way, confirmed, session, from, .. } = fact;
        let Whence { address, user_agent, origin } = from;
        let entry = Entry {
            outcome,
            login,
            account: account.name().map(str::to_owned),
            site: site.map(entry::cut),
            way,
            confirmed,
            session,
            origin: origin.map(entry::cut),
            erased: None,
        };
        let personal =
            Personal { person: person.as_str().to_owned(), address, user_agent: user_agent.map(entry::cut) };
        let note = Note { name, entry, about: Some((person.key().into_owned(), personal)) };
        let audit = self.clone();
        let written = self.tasks.spawn(async move {
            if let Err(failure) = audit.journal.append(note).await {
                audit.failed(&failure);
            }
        });
        // It goes on in its task.
        let _ = timeout_at(by.min(Instant::now() + WITHIN), written).await;
    }

    /// Takes a person who has unfollowed at `at` (CreateTime) out of all entries before that. The entries stay, without
    /// the person, address and browser, and one more says how many there were.
    pub(crate) async fn unfollowed(
        &self,
        account: &Names,
        person: &Person,
        at: i64,
    ) -> Result<(), StoreError> {
        let at = Moment(u64::try_from(at).unwrap_or_default().saturating_mul(1000));
        self.erase(account, person, at + AFTER_UNFOLLOW, Outcome::Unfollowed).await?;
        Ok(())
    }

    /// The same at the operator's word, up to now; says how many entries there were.
    pub(crate) async fn forgotten(&self, account: &Names, person: &Person) -> Result<u64, StoreError> {
        self.erase(account, person, Moment(i64::MAX.unsigned_abs()), Outcome::Forgotten).await
    }

    async fn erase(
        &self,
        account: &Names,
        person: &Person,
        until: Moment,
        outcome: Outcome,
    ) -> Result<u64, StoreError> {
        let erased = self.journal.erase(&person.key(), until).await?;
        if erased > 0 && !self.keep.is_off() {
            let account = account.name().map(str::to_owned);
            let entry = Entry { account, erased: Some(erased), ..Entry::of(outcome) };
            if let Err(failure) = self.journal.append(Note { name: None, entry, about: None }).await {
                // What was to be erased is erased.
                self.failed(&failure);
            }
        }
        Ok(erased)
    }

    /// Takes out what is too old, for as long as it is polled.
    pub(crate) async fn keep(&self) {
        loop {
            match self.journal.trim().await {
                Ok(true) => sleep(BETWEEN_STEPS).await,
                Ok(false) => sleep(TRIM_EVERY).await,
                Err(failure) => {
                    tell!(
                        warn,
                        self.told,
                        "trim",
                        "old entries of the audit are not taken out yet: {failure}; it is tried again each minute"
                    );
                    sleep(TRIM_EVERY).await;
                }
            }
        }
    }

    fn failed(&self, failure: &records::Failure) {
        self.metrics.audit_failures.inc();
        tell!(
            error,
            self.told,
            "entry",
            "an entry is missing in the audit: {failure}; logins go on. Is there room for CALLBACK_STORE, and may its user \
             do what docs/stores.md names?"
        );
    }
}

#[cfg(test)]
mod tests;
