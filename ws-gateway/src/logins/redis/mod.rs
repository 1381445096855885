//! Logins in Redis: for as many gateways as you like.
//!
//! A login is one key, whose JSON any gateway may change by compare-and-set under Redis's clock; the rules
//! are those of [`Record`], as for every store. The record names the gateway that holds the page, and a
//! change is published to that gateway's own channel. Such a wake-up may be lost: the pages read their
//! records with every heartbeat, and all of them once there is a connection again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use protocol::message::{Answer, Status};
use protocol::{Notice, Scene};
use records::{Ears, Failure, Found, Heard, Keeper, Moment, Place, Records, Step, Write};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::{Done, Logins, Looked, NewLogin, Record, Sender, Snapshot, StoreError, right_for};
use crate::browsers::message::milliseconds;
use crate::logins::seats::{Pages, SeatName};

/// When a notice that was not recorded may be sent again.
const BUSY: Duration = Duration::from_millis(250);

/// An outage of this length is told to the pages; most are over sooner.
const PATIENCE: Duration = Duration::from_secs(2);

/// The store `redis:`.
pub(crate) struct RedisLogins {
    records: Records,
    pages: Arc<Pages>,
    is_ready: AtomicBool,
    connected: Arc<Notify>,
}

impl RedisLogins {
    /// A store at `place`, under keys that begin with `prefix`, that wakes `pages`. An end counts once
    /// `replicas` of Redis have it, or as many as there are. Nothing is connected before the keeper runs.
    #[must_use]
    pub(crate) fn new(place: Place, prefix: &str, replicas: u32, pages: Arc<Pages>) -> (Self, Keeper) {
        let prefix = format!("{prefix}1:");
        let connected = Arc::new(Notify::new());
        let ears = {
            let (pages, connected) = (Arc::clone(&pages), Arc::clone(&connected));
            Ears {
                channel: format!("{prefix}{}", pages.gateway()),
                hear: Box::new(move |heard| match heard {
                    Heard::Connected => connected.notify_one(),
                    Heard::Message(scene) => {
                        if let Ok(scene) = scene.parse() {
                            pages.wake(scene);
                        }
                    }
                }),
            }
        };
        let (records, keeper) = Records::new(place, prefix, replicas, Some(ears));
        (Self { records, pages, is_ready: AtomicBool::new(false), connected }, keeper)
    }

    /// What is kept beside the logins.
    #[must_use]
    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    /// Works on a login's record, if it is known, and tells the gateway that holds its page.
    async fn change<T>(
        &self,
        scene: Scene,
        work: impl Fn(&mut Record, Moment) -> Done<T>,
    ) -> Result<Option<T>, Failure> {
        let mut is_here = false;
        let changed = self
            .records
            .update(&key(scene), |found, now| {
                let Some(found) = found else { return Ok(Step::Keep(None)) };
                let before = read(found)?;
                let mut after = before.clone();
                let Done { value, wake, durably } = work(&mut after, now);
                is_here = wake.as_ref().is_some_and(|seat| seat.gateway() == self.pages.gateway());
                let elsewhere = wake.filter(|_| !is_here);
                let write = Write {
                    to: write(&after)?,
                    forget_at: after.forget_at(),
                    only_before: before.holds_until(now),
                    tell: elsewhere
                        .map(|seat| (self.records.channel(seat.gateway()), scene.as_str().to_owned())),
                    durably,
                };
                Ok(Step::Write(write, Some(value)))
            })
            .await;
        // Also where it is not clear whether anything was written: a page may always read its record.
        if is_here {
            self.pages.wake(scene);
        }
        changed
    }

    async fn find(&self, scene: Scene) -> Result<Option<Snapshot>, Failure> {
        let Found { record, now } = self.records.read(&key(scene)).await?;
        record.map(|record| Ok(read(&record)?.snapshot(now))).transpose()
    }

    /// Lets the pages read their records whenever wake-ups may have been lost, and when an outage lasts, for
    /// as long as it is polled.
    pub(crate) async fn heal(&self) {
        let mut is_told = false;
        loop {
            tokio::select! {
                () = self.connected.notified() => {
                    self.is_ready.store(true, Ordering::Relaxed);
                    is_told = false;
                }
                // Once: from then on the pages look again by themselves.
                () = self.lasting_outage(), if !is_told => is_told = true,
            }
            self.pages.wake_all().await;
        }
    }

    async fn lasting_outage(&self) {
        loop {
            self.records.is_connected(false).await;
            tokio::select! {
                () = self.records.is_connected(true) => {}
                () = sleep(PATIENCE) => break,
            }
        }
    }
}

impl Logins for RedisLogins {
    fn open(
        &self,
        scene: Scene,
        new: NewLogin,
        ttl: Duration,
        seat: SeatName,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            // An attempt that was lost has shown nobody anything, so a login that is there already is no harm.
            self.records
                .update(&key(scene), |_, now| {
                    let record = Record::new(new.clone(), now, ttl, Some(seat.clone()));
                    let (to, forget_at) = (write(&record)?, record.forget_at());
                    Ok(Step::Write(
                        Write { to, forget_at, only_before: None, tell: None, durably: false },
                        (),
                    ))
                })
                .await?;
            Ok(())
        }
        .boxed()
    }

    fn notify<'a>(&'a self, notice: &'a Notice, from: &'a Sender) -> BoxFuture<'a, Answer> {
        async move {
            if !from.may.has(right_for(notice)) {
                return Answer::new(Status::Forbidden);
            }
            match self.change(notice.scene(), |login, now| login.apply(notice, from, now)).await {
                Ok(answer) => answer.unwrap_or_else(|| Answer::new(Status::Unknown)),
                Err(failure) => {
                    tracing::debug!(scene = %notice.scene(), "a notice was not clearly recorded: {failure}");
                    match failure {
                        Failure::NotDone(_) => {
                            Answer { retry_in: Some(milliseconds(BUSY)), ..Answer::new(Status::Busy) }
                        }
                        Failure::Unknown(_) => Answer::new(Status::Unsure),
                    }
                }
            }
        }
        .boxed()
    }

    fn look(&self, scene: Scene) -> Looked<'_> {
        async move { Ok(self.find(scene).await?) }.boxed()
    }

    fn sit<'a>(&'a self, scene: Scene, seat: &'a SeatName) -> Looked<'a> {
        async move { Ok(self.change(scene, |login, now| login.sit(seat, now)).await?) }.boxed()
    }

    fn leave<'a>(&'a self, scene: Scene, seat: &'a SeatName) -> BoxFuture<'a, ()> {
        async move {
            if let Err(failure) = self.change(scene, |login, _| login.leave(seat)).await {
                tracing::debug!(%scene, "a page's leave is not noted: {failure}");
            }
        }
        .boxed()
    }

    fn expire(&self, scene: Scene) -> Looked<'_> {
        async move { Ok(self.change(scene, |login, now| login.expire(now)).await?) }.boxed()
    }

    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::Away(failure.to_string())
    }
}

fn key(scene: Scene) -> String {
    format!("login:{scene}")
}

fn read(record: &str) -> Result<Record, Failure> {
    serde_json::from_str(record).map_err(|error| {
        tracing::error!("a login's record in Redis is not one of this version's: {error}");
        Failure::NotDone("the record cannot be read".to_owned())
    })
}

fn write(record: &Record) -> Result<String, Failure> {
    serde_json::to_string(record).map_err(|error| Failure::NotDone(error.to_string()))
}

#[cfg(test)]
mod tests;
