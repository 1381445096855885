//! Records that several processes share in Redis, or Valkey: one key a record.
//!
//! A record is text that only its owner understands. It is read together with Redis's clock, and changed by
//! compare-and-set: the change happens only if the record is still what was read, and, where the change
//! rests on a moment not having come yet, only before that moment by the same clock. So the rules of a
//! record stay one pure function of its owner, whatever store holds it, and no two processes can decide
//! differently.
//!
//! [`place`] says where Redis is, [`sentinel`] who the master is, [`link`] keeps the connection, [`replicas`] waits for
//! copies, and [`limits`] counts what all processes together may do, which [`mod@give_back`] undoes. Every failure
//! says whether anything can have been changed.

mod give_back;
mod kept;
mod limits;
mod link;
mod place;
mod replicas;
mod sentinel;

use std::ops::Add;
use std::time::Duration;

use redis::Script;
use serde::{Deserialize, Serialize};

pub use self::kept::Kept;
pub use self::limits::{Bucket, Count, Taken};
use self::link::Link;
pub use self::link::{Ears, Failure, Heard, Keeper};
pub use self::place::Place;
pub use self::replicas::Replicas;

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
    /// It counts only once enough replicas have it.
    pub durably: bool,
}

/// Attempts of one update. Each fails only because somebody else's succeeded, or because its moment came.
const ATTEMPTS: usize = 16;

/// The records under one prefix.
#[derive(Debug, Clone)]
pub struct Records {
    link: Link,
    replicas: Replicas,
    prefix: String,
}

impl Records {
    /// Records at `place` whose keys begin with `prefix`, and what keeps the connections to them. What has to be
    /// durable counts once `replicas` of Redis have it, or as many as there are. `ears` hear what is published.
    #[must_use]
    pub fn new(place: Place, prefix: String, replicas: u32, ears: Option<Ears>) -> (Self, Keeper) {
        let replicas = Replicas::new(replicas);
        let (link, keeper) = Link::new(place, ears, replicas.clone());
        (Self { link, replicas, prefix }, keeper)
    }

    /// What is known of Redis's replicas.
    #[must_use]
    pub fn replicas(&self) -> &Replicas {
        &self.replicas
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
            let is_old = record.as_ref() == Some(&write.to) && !(write.durably && self.replicas.are_wanted());
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
        if !(write.durably && self.replicas.are_wanted()) {
            return self.link.ask(|mut redis| async move { call.invoke_async(&mut redis).await }).await;
        }
        self.link.ask_durably(|mut redis| async move { call.invoke_async::<bool>(&mut redis).await }).await
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

#[cfg(test)]
mod tests;
