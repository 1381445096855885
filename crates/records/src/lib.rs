//! Records that several processes share in Redis, or Valkey: one key a record.
//!
//! A record is text that only its owner understands. It is read together with Redis's clock, and changed by
//! compare-and-set: the change happens only if the record is still what was read, and, where the change
//! rests on a moment not having come yet, only before that moment by the same clock. So the rules of a
//! record stay one pure function of its owner, whatever store holds it, and no two processes can decide
//! differently.
//!
//! [`place`] says where Redis is, [`sentinel`] who the master is, [`link`] keeps the connection, and [`limits`]
//! counts what all processes together may do, which [`mod@give_back`] undoes. Every failure says whether anything can have been changed.

mod give_back;
mod limits;
mod link;
mod place;
mod sentinel;

use std::ops::Add;
use std::time::Duration;

use redis::Script;
use serde::{Deserialize, Serialize};

pub use self::limits::{Bucket, Count, Taken};
pub use self::link::{Ears, Failure, Heard};
use self::link::{Keeper, Link};
pub use self::place::Place;

/// How long a change waits for replicas to say that they have it.
const REPLICAS_WITHIN: Duration = Duration::from_millis(300);

/// A moment by Redis's own clock, in milliseconds since 1970. The owner of a record in memory counts from
/// where it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// The time from `earlier` to this moment; nothing if it was later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(time)))
    }
}

/// What `TIME` answers: seconds since 1970, and microseconds.
type Time = (u64, u64);

fn moment((seconds, microseconds): Time) -> Moment {
    Moment(seconds * 1000 + microseconds / 1000)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A record that was read, and when.
#[derive(Debug, Clone)]
pub struct Found {
    /// The record; nothing where there is none.
    pub record: Option<String>,
    /// Redis's clock, no later than the reading.
    pub now: Moment,
}

/// What an owner makes of a record that was read.
#[derive(Debug)]
pub enum Step<T> {
    /// It stays as it is.
    Keep(T),
    /// It becomes another one.
    Write(Write, T),
}

/// A new text for a record.
#[derive(Debug, Clone)]
pub struct Write {
    /// What the record shall be.
    pub to: String,
    /// When the record is forgotten.
    pub forget_at: Moment,
    /// It must not be written at this moment or later.
    pub only_before: Option<Moment>,
    /// Who is told: a channel, and the message. That may fail without anybody's hearing of it.
    pub tell: Option<(String, String)>,
    /// It counts only once the configured number of replicas have it.
    pub durably: bool,
}

/// Attempts of one update. Each fails only because somebody else's succeeded, or because its moment came.
const ATTEMPTS: usize = 16;

/// The records under one prefix.
#[derive(Debug, Clone)]
pub struct Records {
    link: Link,
    /// For changes that wait for replicas: waiting holds up what comes behind it on the same connection.
    durable: Option<(Link, u32)>,
    prefix: String,
}

impl Records {
    /// Records at `place` whose keys begin with `prefix`, and what keeps the connections to them. What has to be
    /// durable counts once `replicas` of Redis have it. `ears` hear what is published.
    #[must_use]
    pub fn new(place: Place, prefix: String, replicas: u32, ears: Option<Ears>) -> (Self, Keepers) {
        let durable = (replicas > 0).then(|| Link::new(place.clone(), None));
        let (link, keeper) = Link::new(place, ears);
        let (durable, durable_keeper) = durable.unzip();
        let durable = durable.map(|link| (link, replicas));
        (Self { link, durable, prefix }, Keepers { keeper, durable: durable_keeper })
    }

    /// Waits until there is a connection (`true`), or none (`false`).
    pub async fn is_connected(&self, wanted: bool) {
        self.link.is(wanted).await;
    }

    /// The name of a channel of these records.
    #[must_use]
    pub fn channel(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed.
    pub async fn read(&self, name: &str) -> Result<Found, Failure> {
        let mut both = redis::pipe();
        both.cmd("TIME").cmd("GET").arg(self.key(name));
        let (time, record): (Time, Option<String>) =
            self.link.ask(|mut redis| async move { both.query_async(&mut redis).await }).await?;
        Ok(Found { record, now: moment(time) })
    }

    /// Reads a record, lets `step` decide, and writes what it decided if the record is still the same; if not,
    /// it decides anew. `step` gets the record and Redis's clock.
    ///
    /// # Errors
    /// [`Failure`], also from `step`. A record that too few replicas have in time is [`Failure::Unknown`]: this
    /// Redis has it, and may fail over to one that has not. Dropping the future leaves what was begun.
    pub async fn update<T>(
        &self,
        name: &str,
        mut step: impl FnMut(Option<&str>, Moment) -> Result<Step<T>, Failure>,
    ) -> Result<T, Failure> {
        for _ in 0..ATTEMPTS {
            // Reading changes nothing, whatever becomes of it.
            let Found { record, now } = self.read(name).await.map_err(Failure::certain)?;
            let (write, value) = match step(record.as_deref(), now)? {
                Step::Keep(value) => return Ok(value),
                Step::Write(write, value) => (write, value),
            };
            // A repeat is written as well, because replicas can only be asked about what was written.
            let is_old = record.as_ref() == Some(&write.to) && !(write.durably && self.durable.is_some());
            if is_old || self.compare_and_set(name, record.as_deref(), &write).await? {
                return Ok(value);
            }
        }
        Err(Failure::NotDone("too many others change the same record".to_owned()))
    }

    async fn compare_and_set(&self, name: &str, from: Option<&str>, write: &Write) -> Result<bool, Failure> {
        let script = Script::new(include_str!("change.lua"));
        let (channel, message) =
            write.tell.as_ref().map_or(("", ""), |(channel, message)| (channel, message));
        let mut call = script.key(self.key(name));
        // No record is the empty text.
        call.arg(from.unwrap_or_default()).arg(&write.to).arg(write.forget_at.0);
        call.arg(write.only_before.map_or(u64::MAX, |moment| moment.0)).arg(channel).arg(message);
        let durable = self.durable.as_ref().filter(|_| write.durably);
        let (link, wanted) = durable.map_or((&self.link, 0), |(link, wanted)| (link, *wanted));
        let (done, had) = link
            .ask(|mut redis| async move {
                let done = call.invoke_async::<bool>(&mut redis).await?;
                if wanted == 0 || !done {
                    return Ok((done, 0));
                }
                // WAIT speaks of what its own connection has written.
                let mut wait = redis::cmd("WAIT");
                wait.arg(wanted).arg(milliseconds(REPLICAS_WITHIN));
                // It is written by now: a WAIT that fails, such as at a demotion, must not deny that.
                Ok((done, wait.query_async::<u32>(&mut redis).await.unwrap_or(0)))
            })
            .await?;
        match done && had < wanted {
            true => Err(Failure::Unknown(format!("{had} of {wanted} replicas have it"))),
            false => Ok(done),
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// What keeps the connections of [`Records`].
#[derive(Debug)]
pub struct Keepers {
    keeper: Keeper,
    durable: Option<Keeper>,
}

impl Keepers {
    /// Connects, and connects again whenever that is needed, for as long as it is polled.
    pub async fn run(self) {
        match self.durable {
            None => self.keeper.run().await,
            Some(durable) => {
                tokio::join!(self.keeper.run(), durable.run());
            }
        }
    }
}

#[cfg(test)]
mod tests;
