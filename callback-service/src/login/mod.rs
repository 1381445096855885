//! A scan's way to its words: claim, then scan, then count, then what the phone is told.
//!
//! The work runs in a task of its own, which WeChat's hanging up does not stop, and of which there is one
//! for each scene and person: a repeated push waits for the first one's outcome. The phone is told "logged
//! in" only when the gateway has recorded it, and "try again" only when no attempt, of this process or an
//! earlier one, can have recorded an end.

mod times;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::message::{Context, State, Status};
use protocol::{Answer, Client, NoAnswer, Notice, Scene};
use server::tell;
use server::told::Told;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use self::times::{TIMES, Times};
use crate::gateway;
use crate::store::{Memory, Recorded, Scan, Store, StoreError};
use crate::texts::Outcome;

/// Scans that may be worked on at once; the next one is told to look at the page.
const MAX_RUNNING: usize = 10_000;

/// Everything that a scan needs on its way.
pub(crate) struct Logins {
    gateway: Client,
    wechat: wechat::Client,
    store: Arc<dyn Store>,
    nickname_within: Duration,
    running: Mutex<HashMap<Key, watch::Receiver<Option<Outcome>>>>,
    tasks: TaskTracker,
    times: Times,
    told: Arc<Told>,
}

type Key = (Scene, String);

impl Logins {
    /// The tasks run on `tasks`; WeChat is asked for a nickname for `nickname_within`, zero for not at all.
    #[must_use]
    pub(crate) fn new(
        gateway: Client,
        wechat: wechat::Client,
        store: Arc<dyn Store>,
        nickname_within: Duration,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            gateway,
            wechat,
            store,
            nickname_within,
            running: Mutex::default(),
            tasks,
            times: TIMES,
            told: Arc::default(),
        })
    }

    /// Logs a person in, or waits for the task that already does, and gives what the phone is told, in
    /// time after the push has `arrived`.
    ///
    /// Dropping the future does not stop the task.
    pub(crate) async fn log_in(self: &Arc<Self>, scan: Scan, arrived: Instant) -> Outcome {
        let Some(mut outcome) = self.join(scan, arrived) else {
            // An earlier push of the same scan may have recorded an end.
            return Outcome::Look;
        };
        match timeout_at(arrived + self.times.words, outcome.wait_for(Option::is_some)).await {
            Ok(Ok(known)) => known.clone().unwrap_or(Outcome::Look),
            // Not clear yet; or the task is gone, which only a panic can do.
            _ => Outcome::Look,
        }
    }

    /// Forgets a person who has unfollowed.
    pub(crate) async fn forget(&self, openid: &str, at: i64) {
        if let Err(error) = self.in_time(self.store.forget(openid, at)).await {
            tracing::error!("a person who has unfollowed is not forgotten: {error}");
        }
    }

    fn join(self: &Arc<Self>, scan: Scan, arrived: Instant) -> Option<watch::Receiver<Option<Outcome>>> {
        let key = (scan.scene, scan.openid.clone());
        let mut running = self.lock();
        if let Some(outcome) = running.get(&key) {
            return Some(outcome.clone());
        }
        if running.len() >= MAX_RUNNING {
            tell!(warn, self.told, "scans", "too many scans at once; a person was told to look at the page");
            return None;
        }
        let (tell, outcome) = watch::channel(None);
        running.insert(key.clone(), outcome.clone());
        drop(running);
        let logins = Arc::clone(self);
        self.tasks.spawn(async move {
            let _left = Left { logins: &logins, key };
            let known = logins.run(&scan, arrived).await;
            tracing::info!(scene = %scan.scene, outcome = known.name(), "a scan was answered");
            tell.send_replace(Some(known));
        });
        Some(outcome)
    }

    async fn run(&self, scan: &Scan, arrived: Instant) -> Outcome {
        let before = self.in_time(self.store.recall(scan)).await;
        // What the phone may be told when this attempt has recorded nothing, and when the gateway does not
        // know the login: it may have recorded an earlier attempt and forgotten it since.
        let (nothing, unknown) = match before {
            Ok(Memory::Recorded(recorded)) => return logged_in(recorded),
            Ok(Memory::Nothing) => (Outcome::TryAgain, Outcome::Expired),
            Ok(Memory::LongAgo) => (Outcome::Look, Outcome::Expired),
            Ok(Memory::Attempted) => (Outcome::Look, Outcome::Look),
            Err(error) => {
                tracing::error!("{error}");
                (Outcome::Look, Outcome::Look)
            }
        };

        // Who cannot be told to scan again is told to look at the page, and may be logged in a little later: an
        // outage of the store is over before people have given up.
        let (claim_until, scan_until) = match nothing {
            Outcome::Look => (arrived + self.times.clear, arrived + self.times.clear),
            _ => (arrived + self.times.claim, arrived + self.times.scan),
        };

        let nickname = self.ask_nickname(&scan.openid);
        let claim = Notice::Claim { scene: scan.scene, by: scan.openid.clone(), number: None };
        match gateway::ask(&self.gateway, &claim, claim_until, false).await {
            // A claim is no end: whether it was recorded or not, nobody is logged in by it.
            Err(_) => return nothing,
            Ok(answer) if answer.status == Status::Unknown => return unknown,
            Ok(answer) => match self.after_claim(scan, answer, scan_until).await {
                Some(Outcome::TryAgain) => return nothing,
                Some(outcome) => return outcome,
                None => {}
            },
        }
        let nickname = nickname.await.unwrap_or_default();

        // A later process must know that an end may have been recorded. Without that, it may only say
        // "look at the page", and so may this one.
        let noted = self.in_time(self.store.attempt(scan)).await;
        let (nothing, scan_until) = match noted {
            Ok(()) => (nothing, scan_until),
            Err(_) => (Outcome::Look, arrived + self.times.clear),
        };
        match self.scan(scan, nickname.clone(), scan_until, arrived).await {
            Ok(answer) => match answer.status {
                Status::Delivered | Status::Stored => self.count(scan, nickname).await,
                Status::Unknown => unknown,
                Status::Expired => Outcome::Expired,
                Status::Taken if answer.state == Some(State::Denied) => Outcome::Denied,
                Status::Taken => Outcome::Taken,
                _ => misunderstood(&answer, nothing),
            },
            Err(NoAnswer::NotSent) => nothing,
            Err(NoAnswer::Unknown) => Outcome::Look,
        }
    }

    /// What a claim's answer decides by itself; nothing when the scan may go on.
    async fn after_claim(&self, scan: &Scan, answer: Answer, until: Instant) -> Option<Outcome> {
        match answer.status {
            Status::Delivered | Status::Stored => {}
            Status::Expired => return Some(Outcome::Expired),
            Status::Taken => return Some(Outcome::Taken),
            _ => return Some(misunderstood(&answer, Outcome::TryAgain)),
        }
        let Context { site, request, .. } = *answer.context.unwrap_or_default();
        match answer.state {
            Some(State::Expired) => Some(Outcome::Expired),
            // This service knows no sites yet, so every site is an unknown one. A repeated push finds the
            // login denied already, denies it again and says the same.
            _ if site.is_some() || request.is_some() => Some(self.deny(scan, until).await),
            Some(State::Denied) => Some(Outcome::Denied),
            _ => None,
        }
    }

    async fn deny(&self, scan: &Scan, until: Instant) -> Outcome {
        let deny = Notice::Deny { scene: scan.scene, by: Some(scan.openid.clone()) };
        match gateway::ask(&self.gateway, &deny, until, false).await {
            Ok(answer) if answer.status.is_recorded() => Outcome::UnknownSite,
            Ok(answer) if matches!(answer.status, Status::Unknown | Status::Expired) => Outcome::Expired,
            Ok(answer) => misunderstood(&answer, Outcome::Look),
            Err(_) => Outcome::Look,
        }
    }

    /// Asks for the end. Once it may have been recorded it is repeated until that is clear, although the
    /// phone has long been told to look at the page: a recorded login is counted.
    async fn scan(
        &self,
        scan: &Scan,
        nickname: Option<String>,
        until: Instant,
        arrived: Instant,
    ) -> Result<Answer, NoAnswer> {
        let by = Some(scan.openid.clone());
        let notice = Notice::Scan { scene: scan.scene, nickname, code: None, by };
        match gateway::ask(&self.gateway, &notice, until, false).await {
            Err(NoAnswer::Unknown) => {
                gateway::ask(&self.gateway, &notice, arrived + self.times.clear, true).await
            }
            clear => clear,
        }
    }

    async fn count(&self, scan: &Scan, nickname: Option<String>) -> Outcome {
        match self.in_time(self.store.record(scan, nickname.as_deref())).await {
            Ok(recorded) => logged_in(recorded),
            Err(error) => {
                tracing::error!("a login is recorded but not counted: {error}");
                Outcome::LoggedIn { first: scan.first, nickname, count: None }
            }
        }
    }

    /// Asks WeChat for the nickname beside everything else. It is decoration: nobody waits for it longer
    /// than the setting says or than a claim may take, and its failure changes nothing.
    fn ask_nickname(&self, openid: &str) -> impl Future<Output = Option<Option<String>>> + use<> {
        let asked = (!self.nickname_within.is_zero()).then(|| {
            let (wechat, openid, told) = (self.wechat.clone(), openid.to_owned(), Arc::clone(&self.told));
            let within = self.nickname_within.min(self.times.claim);
            self.tasks.spawn(async move {
                match timeout(within, wechat.user(&openid)).await {
                    Ok(Ok(user)) => user.nickname,
                    Ok(Err(error)) => {
                        tell!(warn, told, "nickname", "no nickname: {error}");
                        None
                    }
                    Err(_) => {
                        tracing::debug!("no nickname in time");
                        None
                    }
                }
            })
        });
        async { asked?.await.ok() }
    }

    /// Waits for the store, which goes on with a call that nobody waits for any more.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        timeout(self.times.store, call)
            .await
            .unwrap_or_else(|_| Err(StoreError(format!("not within {:?}", self.times.store))))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<Option<Outcome>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn logged_in(recorded: Recorded) -> Outcome {
    let Recorded { first, nickname, count } = recorded;
    Outcome::LoggedIn { first, nickname, count: Some(count) }
}

/// `forbidden` and `bad` are faults of the settings or of ours. They record nothing.
fn misunderstood(answer: &Answer, nothing: Outcome) -> Outcome {
    let (status, message) = (answer.status.as_str(), answer.message.as_deref().unwrap_or_default());
    tracing::error!(status, "the gateway did not take a notice: {message:?}; check the client's rights");
    nothing
}

/// Takes a scan off the list however its task ends.
struct Left<'l> {
    logins: &'l Logins,
    key: Key,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.logins.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests;
