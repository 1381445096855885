//! A scan's way to its words. [`Scans`] runs one task for each scene and person, in the chat and on a page each; a repeated
//! push waits for that task.
//!
//! The task goes on when WeChat hangs up. `attempt` is what it does: recall, claim, ask the person and the provider where
//! the login wants it, end, count. `verdict` decides what follows from each answer. [`confirmation`] asks the person for
//! the number that the page shows, and `answer` is what they type. [`answered`] is what an operator sees. [`code`] finds the login whose code a person has sent,
//! and [`way`] says how the ways to a login differ. `gateway` asks until an answer is clear, [`link`] is the
//! way there, `outcome` is what an attempt came to, `times` shares out the seconds that WeChat waits, and [`words`] turns the reply into a text.

pub(crate) mod answer;
pub(crate) mod answered;
mod attempt;
pub(crate) mod code;
pub(crate) mod confirmation;
pub(crate) mod gateway;
pub(crate) mod link;
mod nickname;
mod outcome;
mod times;
mod verdict;
pub(crate) mod way;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use login_page::Language;
use parking_lot::Mutex;
use protocol::message::{Context, State};
use protocol::{Client, Scene};
use records::Moment;
use server::settings::{self, SettingError};
use server::tell;
use server::told::Told;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use wechat::{Person, User};

use self::answered::Answered;
use self::attempt::Attempt;
use self::code::Codes;
use self::confirmation::place::Places;
use self::confirmation::{Asking, Confirmations, Login, Verdict};
use self::nickname::Nicknames;
use self::outcome::Ended;
use self::times::{TIMES, Times};
use self::way::Way;
use self::words::{PhoneReply, ToPhone};
use crate::account::names::Names;
use crate::audit::{Audit, Outcome};
use crate::metrics::Metrics;
use crate::provider::Provider;
use crate::store::{Scan, Store, StoreError};
use crate::trace;

/// Scans that are worked on at once, and typed numbers. The next person is told to look at the page.
const MAX_RUNNING: usize = 10_000;

/// The pause before a person is forgotten once more, after the store has failed. It doubles, up to the last one.
const FORGET_AGAIN: Duration = Duration::from_secs(1);
const LAST_FORGET: Duration = Duration::from_secs(256);

/// People who wait to be forgotten at once, while the store is away. It is an outage, and not a crowd, that makes many.
const MOST_FORGETTING: usize = 1000;

/// What an operator sets about logins.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// How long WeChat is asked for a nickname, which it rarely gives since 2021; 0s does not ask.
    #[arg(long, env, default_value = "1500ms", value_parser = settings::duration)]
    pub callback_user_info_within: Duration,

    /// Ask people to confirm logins that are for no site, by the two digits that the page shows. For sites their entry
    /// says so, and unless it says no they are asked.
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set)]
    pub callback_confirm: bool,

    /// A file in MaxMind's format, such as GeoLite2-City.mmdb, by which people are told the place of a login's address.
    /// Unset: they are told half of the address. It is read at the start, into memory.
    #[arg(long, env)]
    pub callback_geo_file: Option<PathBuf>,

    /// How log lines name people.
    #[arg(long, env, value_enum, default_value = "short")]
    pub log_openids: Openids,
}

/// How log lines name people (`LOG_OPENIDS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Openids {
    /// By the beginning of their openid, which many of an account share.
    Short,
    /// By their openid. Whoever reads the log then knows who logged in.
    Full,
}

impl Openids {
    /// A person, as a log line names them.
    fn shown(self, person: &Person) -> String {
        match self {
            Self::Short => person.short(),
            Self::Full => person.as_str().to_owned(),
        }
    }
}

/// What logins run with.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    user_info_within: Duration,
    confirms: bool,
    places: Places,
    log_openids: Openids,
}

impl Settings {
    /// Checks the settings.
    ///
    /// # Errors
    /// When the file of places cannot be used.
    pub(crate) fn checked(self) -> Result<Checked, SettingError> {
        let places = self.callback_geo_file.as_deref().map(Places::open).transpose();
        Ok(Checked {
            user_info_within: self.callback_user_info_within,
            confirms: self.callback_confirm,
            places: places
                .map_err(|problem| SettingError::new("CALLBACK_GEO_FILE", problem))?
                .unwrap_or_default(),
            log_openids: self.log_openids,
        })
    }
}

/// Limits of the process, which the scans of all official accounts share, and what an operator sees of all of them.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    /// Places for scans that are worked on.
    running: Arc<Semaphore>,
    /// Places for typed numbers that are being taken.
    answering: Arc<Semaphore>,
    /// Places for people who are forgotten later.
    forgetting: Arc<Semaphore>,
    /// The last answers.
    pub(crate) answered: Answered,
}

impl Default for Shared {
    fn default() -> Self {
        let places = |most| Arc::new(Semaphore::new(most));
        Self {
            running: places(MAX_RUNNING),
            answering: places(MAX_RUNNING),
            forgetting: places(MOST_FORGETTING),
            answered: Answered::default(),
        }
    }
}

/// What the [`Scans`] of an official account are made of.
pub(crate) struct Parts {
    pub account: Names,
    pub gateway: Client,
    pub wechat: wechat::Client,
    pub store: Arc<Store>,
    pub provider: Option<Arc<Provider>>,
    pub settings: Checked,
    pub audit: Audit,
    pub metrics: Metrics,
    /// On which the tasks run.
    pub tasks: TaskTracker,
    pub shared: Shared,
}

/// The scans of one official account that are being worked on, and what they need.
pub(crate) struct Scans {
    /// Whose people these are. Whoever comes here is one of its own, whatever openid was said.
    account: Names,
    gateway: Client,
    nicknames: Nicknames,
    /// What people are asked before a login.
    confirmations: Confirmations,
    /// Which codes they have sent.
    codes: Codes,
    /// Whether logins without a site are confirmed, too.
    confirms: bool,
    /// Who logged in where.
    audit: Audit,
    metrics: Metrics,
    /// Whom logins for sites go through, where there are sites.
    provider: Option<Arc<Provider>>,
    store: Arc<Store>,
    shared: Shared,
    running: Mutex<HashMap<Key, watch::Receiver<Option<ToPhone>>>>,
    tasks: TaskTracker,
    times: Times,
    told: Arc<Told>,
    log_openids: Openids,
}

/// A login, a person, and whether they come by a page of ours inside WeChat. A question that is told in the chat is answered
/// there, so a scan asks one of its own, and does not wait for the page's.
type Key = (Scene, Person, bool);

impl Scans {
    /// Puts the scans of an account together.
    #[must_use]
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { account, gateway, wechat, store, provider, settings, audit, .. } = parts;
        let (metrics, tasks, shared) = (parts.metrics, parts.tasks, parts.shared);
        let told = Arc::<Told>::default();
        let Checked { user_info_within, confirms, places, log_openids } = settings;
        // Nobody waits for a nickname longer than a claim may take.
        let within = user_info_within.min(TIMES.claim);
        let nicknames = Nicknames::new(wechat, within, tasks.clone(), Arc::clone(&told));
        let confirmations = Confirmations::new(&store, places);
        let codes = Codes::new(&store);
        Arc::new(Self {
            account,
            gateway,
            nicknames,
            confirmations,
            codes,
            confirms,
            audit,
            metrics,
            provider,
            store,
            shared,
            running: Mutex::default(),
            tasks,
            times: TIMES,
            told,
            log_openids,
        })
    }

    /// The official account whose scans these are.
    #[must_use]
    pub(crate) fn account(&self) -> &Names {
        &self.account
    }

    /// Logs a person in, or waits for the task that already does so, and gives what the phone hears, in time for a push
    /// that has `arrived`.
    ///
    /// Dropping the future does not stop the task.
    pub(crate) async fn log_in(self: &Arc<Self>, scan: Scan, arrived: Instant) -> ToPhone {
        self.log_in_known(scan, None, arrived).await
    }

    /// As [`Scans::log_in`], for a person of whom WeChat has told something on the way here.
    pub(crate) async fn log_in_known(
        self: &Arc<Self>,
        mut scan: Scan,
        known: Option<User>,
        arrived: Instant,
    ) -> ToPhone {
        scan.openid = self.account.person(&scan.openid);
        let look = || ToPhone { reply: PhoneReply::Look, language: Language::default() };
        let Some(mut reply) = self.join(scan, known, arrived) else {
            // An earlier push of the same scan may have recorded an end.
            return look();
        };
        match timeout_at(arrived + self.times.words, reply.wait_for(Option::is_some)).await {
            Ok(Ok(known)) => known.clone().unwrap_or_else(look),
            // It is not clear yet. Or the task is gone, which takes a panic.
            _ => look(),
        }
    }

    /// Forgets a person who has unfollowed the account, here and at sites. WeChat does not say it again, so it is tried
    /// until the store answers, for minutes.
    pub(crate) async fn forget(self: &Arc<Self>, person: &Person, at: i64) {
        let person = self.account.person(person);
        let (scans, owned) = (Arc::clone(self), person.clone());
        let Err(error) = self.done_in_time(async move { scans.forget_once(&owned, at).await }).await else {
            return;
        };
        let Ok(place) = Arc::clone(&self.shared.forgetting).try_acquire_owned() else {
            self.metrics.limits.hit("callback_service::logins");
            tell!(
                error,
                self.told,
                "forgetting",
                "a person who has unfollowed is perhaps not forgotten, because {MOST_FORGETTING} others wait for the \
                 store: {error}"
            );
            return;
        };
        tell!(
            warn,
            self.told,
            "not forgotten",
            "a person who has unfollowed is not forgotten yet: {error}; it is tried again"
        );
        let scans = Arc::clone(self);
        // The end of the process does not wait for a store that is away.
        tokio::spawn(async move {
            let _place = place;
            let mut wait = FORGET_AGAIN;
            while wait <= LAST_FORGET {
                sleep(wait).await;
                match scans.forget_once(&person, at).await {
                    Ok(()) => return tracing::info!("a person who has unfollowed is forgotten now"),
                    Err(error) => tracing::debug!("not yet: {error}"),
                }
                wait *= 2;
            }
            tracing::error!(
                "a person who has unfollowed is perhaps not forgotten, because the store did not answer for minutes; \
                 callback-service forget does it by hand"
            );
        });
    }

    async fn forget_once(&self, person: &Person, at: i64) -> Result<(), StoreError> {
        let at_sites = match &self.provider {
            Some(provider) => provider.forget(&person.key(), end_of_second(at)).await,
            None => Ok(()),
        };
        let asked = self.confirmations.forget(person, at).await;
        let typed = self.codes.forget(person).await;
        let entries = self.audit.unfollowed(&self.account, person, at).await;
        self.store.forget(person, at).await.and(at_sites).and(asked).and(typed).and(entries)
    }

    /// The task of a scan, started unless it runs already; `None` when there are too many.
    fn join(
        self: &Arc<Self>,
        scan: Scan,
        known: Option<User>,
        arrived: Instant,
    ) -> Option<watch::Receiver<Option<ToPhone>>> {
        let key = (scan.scene, scan.openid.clone(), scan.way == Way::Wechat);
        let mut running = self.running.lock();
        if let Some(reply) = running.get(&key) {
            return Some(reply.clone());
        }
        let Ok(place) = Arc::clone(&self.shared.running).try_acquire_owned() else {
            self.metrics.limits.hit("callback_service::logins");
            tell!(warn, self.told, "scans", "too many scans at once; a person was told to look at the page");
            return None;
        };
        let (tell, reply) = watch::channel(None);
        running.insert(key.clone(), reply.clone());
        drop(running);
        let scans = Arc::clone(self);
        let (span, log_openids) = (trace::scan(scan.scene, scan.way), self.log_openids);
        let attempt = async move {
            let left = Left { scans: &scans, key, _place: place };
            let ended = Attempt::new(&scans, &scan, known, arrived).run().await;
            let Ended { told: reply, seen, is_noted } = ended;
            if let Some(outcome) = reply.reply.outcome().filter(|_| !is_noted) {
                scans.note(&scan, outcome, &seen, arrived).await;
            }
            let (person, outcome) = (log_openids.shown(&scan.openid), reply.reply.name());
            tracing::info!(%person, outcome, "a scan was answered");
            scans.shared.answered.note(&scans.account, scan.scene, scan.way, &reply.reply, arrived);
            // Whoever hears this reply and asks again has to find no task of this scan, or would hear it once more.
            drop(left);
            tell.send_replace(Some(reply));
        };
        self.tasks.spawn(attempt.instrument(span));
        Some(reply)
    }

    /// Asks a person for the number of a login's page, or for a yes where it shows none. The login whose place this one
    /// takes is denied.
    async fn ask_person(
        self: &Arc<Self>,
        person: &Person,
        login: &Login,
        number: Option<&str>,
        context: &Context,
    ) -> Result<Asking, StoreError> {
        let asking = self.in_time(self.confirmations.ask(person, login, number, context)).await?;
        if let Asking::Ask { replaced, is_new, .. } = &asking {
            if *is_new {
                self.count_confirmation("asked");
                tracing::debug!(number = number.is_some(), "the person is asked");
            }
            if let Some(before) = replaced {
                if *is_new {
                    self.count_confirmation(Verdict::Replaced.name());
                }
                // Its page hears it when it can, and from a repeated scan if this process ends before.
                let denied = self.deny(person, before, None);
                let (scans, person, before) = (Arc::clone(self), person.clone(), before.clone());
                self.tasks.spawn(async move {
                    // Another way, in which nobody was asked, may have been faster.
                    if !matches!(denied.await, Ok(Some(State::Granted))) {
                        scans.note_decided(&person, &before, Outcome::Denied, Instant::now()).await;
                    }
                });
            }
        }
        Ok(asking)
    }

    fn count_confirmation(&self, outcome: &'static str) {
        if outcome == Verdict::WrongNumbers.name() {
            self.metrics.limits.hit("callback_service::logins::confirmation");
        }
        self.metrics.confirmations.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Waits for a change of the store, but no longer than a login can. The change is made, although nobody waits any more.
    async fn done_in_time<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let change = self.tasks.spawn(change);
        self.in_time(async { change.await.unwrap_or_else(|error| Err(StoreError(error.to_string()))) }).await
    }

    /// Waits for the store, but no longer than a login can. A change may be left undone.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        timeout(self.times.store, call)
            .await
            .unwrap_or_else(|_| Err(StoreError(format!("not within {:?}", self.times.store))))
    }
}

/// The last moment of a second since 1970, as CreateTime counts them.
fn end_of_second(at: i64) -> Moment {
    Moment(u64::try_from(at).unwrap_or_default().saturating_mul(1000).saturating_add(999))
}

/// Takes a scan off the list when its task ends, however it ends.
struct Left<'s> {
    scans: &'s Scans,
    key: Key,
    _place: OwnedSemaphorePermit,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.scans.running.lock().remove(&self.key);
    }
}
