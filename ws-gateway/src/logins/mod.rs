//! The logins, in this process's memory or in Redis.
//!
//! The record is the truth, and a push to the page is only a wake-up: whoever holds a page reads the
//! record when it is woken, when it comes back, with every heartbeat, and when the time is over. An end is
//! recorded before anybody hears of it. What may become of a record is one pure function, [`record`],
//! whichever store holds it. The record names the gateway that holds the page; a change elsewhere is told to it by
//! [`connection`]. What an operator sees of all that is [`watched`], and [`presence`] which
//! gateways there are.

mod connection;
pub(crate) mod presence;
mod probes;
mod record;
mod resume_key;
pub(crate) mod rights;
pub(crate) mod seats;
mod typed;
pub(crate) mod watched;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use protocol::message::{Answer, Code, Context, State, Status};
use protocol::{Notice, Scene};
use records::{Failure, Found, Keeper, Moment, Records, Redis, RedisUrl, Step, StoreMetrics, Write};

use self::connection::Connection;
use self::presence::Presence;
use self::probes::Probes;
pub(crate) use self::record::{Done, Opened, Record, Sender};
pub(crate) use self::resume_key::{ResumeKey, SecretHash};
use self::seats::{Pages, SeatName};
use self::typed::TypedCodes;

/// How long an end can be had again, by resume or by a repeated notice; then the login is unknown.
pub(crate) const KEPT_AFTER_END: Duration = Duration::from_secs(180);

/// A claim leaves the person at least this long to finish.
pub(crate) const AFTER_CLAIM: Duration = Duration::from_secs(120);

/// When a notice that was not recorded may be sent again, in milliseconds.
const BUSY: u64 = 250;

/// A QR code that was shown for a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QrCode {
    /// The official account's, made by WeChat.
    Account {
        /// WeChat's own picture of it.
        url: String,
        /// The text that the picture encodes.
        content: String,
    },
    /// The address of the login's page at callback-service.
    Web {
        /// The text that the picture encodes.
        address: String,
    },
}

impl QrCode {
    /// The text that the picture encodes.
    #[must_use]
    pub(crate) fn content(&self) -> &str {
        match self {
            Self::Account { content, .. } => content,
            Self::Web { address } => address,
        }
    }
}

/// What was shown for a login; enough to show it again when its page comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The QR code, where there was one.
    pub qr: Option<QrCode>,
    /// The short code to type, where there was one; from [`Logins::typed_code`].
    pub typed: Option<String>,
}

/// A login as it is now, by the store's clock.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// Where it stands.
    pub state: State,
    /// How long it still lives; nothing once it has ended.
    pub expires_in: Duration,
    /// A person has scanned it, whatever came of it since.
    pub is_claimed: bool,
    /// The two digits that go with `scanned`.
    pub number: Option<String>,
    /// The display name that goes with `granted`; may be empty.
    pub user: String,
    /// The code that goes with `granted`.
    pub code: Option<Code>,
    /// Who asked, what was shown, and what the resume key must match.
    pub opened: Opened,
    /// The page that shows it.
    pub seat: Option<SeatName>,
}

impl Snapshot {
    /// It is a client's probe and no person's login, so nothing may count it as one.
    #[must_use]
    pub(crate) fn is_probe(&self) -> bool {
        self.opened.probe_of().is_some()
    }
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// No room for another login.
    #[error("the store of logins is full")]
    Full,
    /// The store does not answer, or refuses. Perhaps it has done what was asked.
    #[error("the store of logins cannot be used: {0}")]
    Away(String),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full => Self::Full,
            other => Self::Away(other.to_string()),
        }
    }
}

/// What is known of a login when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewLogin {
    /// Who asks.
    pub context: Arc<Context>,
    /// What is shown.
    pub shown: Shown,
    /// What the resume key must match.
    pub secret: SecretHash,
    /// The client whose probe it is; nothing for a page's login.
    pub probe_of: Option<String>,
}

/// What a notice came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answered {
    /// For the client.
    pub answer: Answer,
    /// The login, where this was the first to say that somebody has scanned the QR code that WeChat made for it.
    pub scanned: Option<Opened>,
    /// The login is a probe's.
    pub is_probe: bool,
}

impl Answered {
    /// An answer that says nothing of a login.
    pub(crate) fn of(answer: Answer) -> Self {
        Self { answer, scanned: None, is_probe: false }
    }
}

#[cfg(test)]
type Delay = Box<dyn Fn(&Notice) -> Duration + Send + Sync>;

/// The store of logins. Everything it does is atomic for one login, and decided by one clock.
///
/// Dropping a future does not undo what was begun.
pub(crate) struct Logins {
    records: Records<Record>,
    typed: TypedCodes,
    probes: Probes,
    pages: Arc<Pages>,
    /// To Redis, where the logins are there.
    connection: Option<Connection>,
    presence: Presence,
    /// How long tests let a notice wait.
    #[cfg(test)]
    pub(crate) delay: Option<Delay>,
}

impl Logins {
    /// At most `most` logins in this process's memory, which wake `pages`.
    #[must_use]
    pub(crate) fn in_memory(pages: Arc<Pages>, most: usize) -> Self {
        let records = Records::in_memory("login", most);
        let typed = TypedCodes::in_memory(most).measured_by(records.metrics());
        Self::new(records, typed, pages, None)
    }

    /// Logins in Redis, under keys that begin with `prefix`, which wake `pages` here and tell other gateways. An end
    /// counts once `replicas` of Redis have it, or as many as there are. Nothing is connected before the keeper runs.
    #[must_use]
    pub(crate) fn in_redis(url: RedisUrl, prefix: &str, replicas: u32, pages: Arc<Pages>) -> (Self, Keeper) {
        let (connection, keeper) = Connection::new(url, prefix, replicas, Arc::clone(&pages));
        let (records, typed) = (connection.records.clone(), TypedCodes::in_redis(&connection.redis));
        (Self::new(records, typed, pages, Some(connection)), keeper)
    }

    fn new(
        records: Records<Record>,
        typed: TypedCodes,
        pages: Arc<Pages>,
        connection: Option<Connection>,
    ) -> Self {
        let redis = connection.as_ref().map(|connection| &connection.redis);
        Self {
            records,
            typed,
            presence: Presence::new(redis, Arc::clone(&pages)),
            probes: Probes::default(),
            pages,
            connection,
            #[cfg(test)]
            delay: None,
        }
    }

    /// The Redis that holds the logins, where one does.
    #[must_use]
    pub(crate) fn redis(&self) -> Option<&Redis> {
        self.connection.as_ref().map(|connection| &connection.redis)
    }

    /// The gateways that share these logins, as far as is known just now; `None` without a Redis.
    #[must_use]
    pub(crate) fn gateways(&self) -> Option<Vec<presence::Present>> {
        self.presence.heard()
    }

    /// Whether they are in this process's memory, where reading one fails for nobody.
    #[must_use]
    pub(crate) fn are_in_memory(&self) -> bool {
        self.records.are_in_memory()
    }

    /// What measures the store.
    #[must_use]
    pub(crate) fn metrics(&self) -> &StoreMetrics {
        self.records.metrics()
    }

    /// Whether the store has ever been reached.
    #[must_use]
    pub(crate) fn is_ready(&self) -> bool {
        self.connection.as_ref().is_none_or(Connection::was_there)
    }

    /// What the store does by itself, for as long as it is polled: it forgets logins, and heals lost wake-ups.
    pub(crate) async fn run(&self) {
        match &self.connection {
            Some(connection) => _ = join(connection.heal(), self.presence.run()).await,
            None => _ = join(self.records.sweep(), self.typed.sweep()).await,
        }
    }

    /// Takes a short code for `scene`, which is about to be opened for `ttl` and is `account`'s.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Full`] also where so many codes are in use that no free one was drawn.
    pub(crate) async fn typed_code(
        &self,
        scene: Scene,
        account: Option<&str>,
        ttl: Duration,
    ) -> Result<String, StoreError> {
        self.typed.take(scene, account, ttl).await
    }

    /// Records a new login that lives for `ttl` from now and is shown by the page in `seat`.
    pub(crate) async fn open(
        &self,
        scene: Scene,
        new: impl Into<Opened>,
        ttl: Duration,
        seat: SeatName,
    ) -> Result<(), StoreError> {
        Ok(self.write_new(scene, new.into(), ttl, Some(seat)).await?)
    }

    async fn write_new(
        &self,
        scene: Scene,
        new: Opened,
        ttl: Duration,
        seat: Option<SeatName>,
    ) -> Result<(), Failure> {
        // An attempt that was lost has shown nobody anything, so a login that is there already is no harm.
        let opening = self.records.put(scene.as_str(), |now| {
            let login = Record::new(new, now, ttl, seat);
            let forget_at = login.forget_at();
            Write::new(login, forget_at)
        });
        opening.await
    }

    /// Takes a notice and wakes the login's page if it changed something. Where the store cannot be used,
    /// the answer says whether the notice can have been recorded: `busy` or `unsure`.
    pub(crate) async fn notify(&self, notice: &Notice, from: &Sender) -> Answered {
        #[cfg(test)]
        if let Some(delay) = &self.delay {
            tokio::time::sleep(delay(notice)).await;
        }
        // Also where the login is unknown, or the store away.
        if !from.may_send(notice) {
            return Answered::of(Answer::new(Status::Forbidden));
        }
        if matches!(notice, Notice::Probe) {
            return Answered::of(self.probe(from).await);
        }
        match self.record(notice, from).await {
            Ok(answered) => answered.unwrap_or_else(|| Answered::of(Answer::new(Status::Unknown))),
            Err(failure) => Answered::of(not_recorded(notice, &failure)),
        }
    }

    /// Takes a notice; `None` when its login is unknown.
    async fn record(&self, notice: &Notice, from: &Sender) -> Result<Option<Answered>, Failure> {
        let Some(scene) = self.meant(notice).await? else { return Ok(None) };
        let (mut scanned, mut is_probe) = (None, false);
        let work = self.change(scene, |login, now| {
            let was_claimed = login.is_claimed();
            let done = login.apply(notice, from, now);
            let (opened, answer) = (login.opened(), &done.value);
            let is_scan = matches!(notice, Notice::Claim { .. } | Notice::Scan { .. });
            let is_first = answer.status.is_recorded() && !answer.repeat && !was_claimed;
            scanned = Some(opened).filter(|opened| is_scan && is_first && opened.has_account_code()).cloned();
            is_probe = opened.probe_of().is_some();
            done
        });
        let Some(mut answer) = work.await? else { return Ok(None) };
        if answer.status == Status::Ok && matches!(notice, Notice::Find { .. }) {
            answer.scene = Some(scene);
        }
        Ok(Some(Answered { answer, scanned, is_probe }))
    }

    /// The login that a notice is about, where there may be one.
    async fn meant(&self, notice: &Notice) -> Result<Option<Scene>, Failure> {
        match notice {
            Notice::Find { typed, account } => self.typed.find(typed, account.as_deref()).await,
            Notice::Scan { scene, .. }
            | Notice::Claim { scene, .. }
            | Notice::Deny { scene, .. }
            | Notice::Query { scene } => Ok(Some(*scene)),
            Notice::Probe => Ok(None),
        }
    }

    /// Reads a login; `None` when it is unknown.
    pub(crate) async fn look(&self, scene: Scene) -> Result<Option<Snapshot>, StoreError> {
        let snapshot = |login: Option<&Record>, now| login.map(|login| login.snapshot(now));
        let name = scene.as_str();
        let seen = match self.records.news(name) {
            Some(Found { record, now }) => snapshot(record.as_ref(), now),
            None => self.records.glance(name, snapshot).await?,
        };
        match seen {
            // That the clock alone has ended a login is for the store's clock to say.
            Some(login) if login.state == State::Expired => Ok(self.records.look(name, snapshot).await?),
            login => Ok(login),
        }
    }

    /// Makes the page in `seat` the one that shows the login, and wakes the one that did before, wherever it
    /// is; `None` when the login is unknown.
    pub(crate) async fn sit(&self, scene: Scene, seat: &SeatName) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.change(scene, |login, now| login.sit(seat, now)).await?)
    }

    /// Notes that the page in `seat` has gone, if that can be noted: all that hangs on it is whether a
    /// notice is answered `delivered` or `stored`.
    pub(crate) async fn leave(&self, scene: Scene, seat: &SeatName) {
        if let Err(failure) = self.change(scene, |login, _| login.leave(seat)).await {
            tracing::debug!("a page's leave is not noted: {failure}");
        }
    }

    /// Ends a live login as expired, because its page takes a new code, and reads it.
    pub(crate) async fn expire(&self, scene: Scene) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.change(scene, |login, now| login.expire(now)).await?)
    }

    /// Ends a live login as expired, because an operator wants so, and wakes its page.
    pub(crate) async fn end(&self, scene: Scene) -> Result<Option<Snapshot>, StoreError> {
        let ended = self.expire(scene).await;
        self.pages.wake(scene);
        ended
    }

    /// Works on a login's record, if it is known, and wakes the page that has to know, here or at another gateway.
    async fn change<T>(
        &self,
        scene: Scene,
        mut work: impl FnMut(&mut Record, Moment) -> Done<T>,
    ) -> Result<Option<T>, Failure> {
        let mut is_here = false;
        let changed = self
            .records
            .update(scene.as_str(), |before, now| {
                let Some(before) = before else { return Step::Keep(None) };
                let mut after = before.clone();
                let Done { value, wake, durably } = work(&mut after, now);
                is_here = wake.as_ref().is_some_and(|seat| seat.gateway() == self.pages.gateway());
                let elsewhere = wake.filter(|_| !is_here);
                let write = Write {
                    forget_at: after.forget_at(),
                    only_before: before.holds_until(now),
                    tell: elsewhere.map(|seat| (seat.gateway().to_owned(), scene.to_string())),
                    durably,
                    is_news: is_here,
                    to: after,
                };
                Step::Write(write, Some(value))
            })
            .await;
        // Also where it is not clear whether anything was written: a page may always read its record.
        if is_here {
            self.pages.wake(scene);
        }
        changed
    }
}

/// The answer to a notice that was not clearly recorded.
fn not_recorded(notice: &Notice, failure: &Failure) -> Answer {
    tracing::debug!(notice = notice.kind(), "a notice was not clearly recorded: {failure}");
    match failure {
        Failure::NotDone(_) | Failure::Full => Answer { retry_in: Some(BUSY), ..Answer::new(Status::Busy) },
        Failure::Unknown(_) => Answer::new(Status::Unsure),
    }
}

#[cfg(test)]
mod tests;
