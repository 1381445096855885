//! Records in Redis, or Valkey, that any number of processes share: one key a record.
//!
//! [`url`] says where Redis is, [`sentinel`] who the master is. [`keeper`] makes the connection and watches it,
//! [`greeting`] is what it asks a server first, and [`link`] is what everybody else holds. [`inspection`] asks for an operator. [`replicas`] waits for
//! copies. [`buckets`] count what all processes together may do. A record is written by `change.lua`, which compares and
//! sets, in one round trip where [`copies`](crate::copies) has what it is and [`clock`] what time it is. [`mod@journal`] is a stream beside them.

mod buckets;
mod clock;
mod greeting;
mod inspection;
mod journal;
mod keeper;
mod link;
mod replicas;
mod sentinel;
mod url;

use std::sync::LazyLock;

use futures_util::future::{BoxFuture, FutureExt};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Script};

pub use self::buckets::{Bucket, Count, Take, Taken};
pub use self::inspection::RedisState;
pub use self::keeper::{Heard, Keeper, Subscription};
use self::link::Link;
pub use self::replicas::Replicas;
pub use self::url::RedisUrl;
use crate::as_text::{Compared, TextStore};
use crate::copies::Copies;
use crate::{Failure, Found, Moment, StoreMetrics, Write};

/// What `TIME` answers: seconds since 1970, and microseconds.
type Time = (u64, u64);

/// What `change.lua` answers: whether it has written, and if not what is there, and the time if it had to know it.
type Changed = (bool, Option<Time>, Option<String>);

static CHANGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("change.lua")));

fn moment((seconds, microseconds): Time) -> Moment {
    Moment(seconds * 1000 + microseconds / 1000)
}

/// A Redis, and a prefix of the keys there. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Redis {
    link: Link,
    replicas: Replicas,
    copies: Copies,
    prefix: String,
    metrics: StoreMetrics,
}

impl Redis {
    /// A Redis at `url`, where keys and channels begin with `prefix`, and what keeps the connections to it. What has to
    /// be durable counts once `replicas` of them have it, or as many as there are.
    #[must_use]
    pub fn new(
        url: RedisUrl,
        prefix: String,
        replicas: u32,
        subscription: Option<Subscription>,
    ) -> (Self, Keeper) {
        let replicas = Replicas::new(replicas);
        let subscription = subscription.map(|subscription| subscription.under(&prefix));
        let copies = Copies::default();
        let (link, keeper) = Link::new(url, subscription, replicas.clone(), copies.clone());
        (Self { link, replicas, copies, prefix, metrics: StoreMetrics::default() }, keeper)
    }

    /// What measures all that is done in this Redis.
    #[must_use]
    pub fn metrics(&self) -> &StoreMetrics {
        &self.metrics
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

    /// Whether there is a connection now.
    #[must_use]
    pub fn has_connection(&self) -> bool {
        self.link.is_there()
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Asks Redis to write something, and waits for its replicas where that has to last and has been written.
    async fn written<T, F>(
        &self,
        write: &Write<String>,
        work: impl FnOnce(MultiplexedConnection) -> F,
        is_written: impl FnOnce(&T) -> bool,
    ) -> Result<T, Failure>
    where
        F: Future<Output = RedisResult<T>>,
    {
        match write.durably && self.replicas.are_wanted() {
            true => self.link.ask_durably(work, is_written).await,
            false => self.link.ask(work).await,
        }
    }
}

impl TextStore for Redis {
    fn name(&self) -> &'static str {
        "Redis"
    }

    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Found<String>, Failure>> {
        async move {
            let mut both = redis::pipe();
            both.cmd("TIME").cmd("GET").arg(self.key(key));
            let (time, record): (Time, Option<String>) =
                self.link.ask(|mut redis| async move { both.query_async(&mut redis).await }).await?;
            let now = moment(time);
            self.link.clock.is_told(now);
            Ok(Found { record, now })
        }
        .boxed()
    }

    fn glance<'a>(
        &'a self,
        key: &'a str,
        change_follows: bool,
    ) -> BoxFuture<'a, Result<Found<String>, Failure>> {
        async move {
            // The clock before the question, so that it is not later than the reading.
            let Some(now) = self.link.clock.now() else { return self.read(key).await };
            let key = self.key(key);
            // Pages read their records all the time; their copies would drive out those that are needed.
            let before = change_follows.then(|| self.copies.before(&key));
            let get = Cmd::get(&key);
            let record: Option<String> =
                self.link.ask(|mut redis| async move { get.query_async(&mut redis).await }).await?;
            if let Some(before) = before {
                self.copies.put(&key, &before, record.as_deref(), false);
            }
            Ok(Found { record, now })
        }
        .boxed()
    }

    fn guess(&self, key: &str) -> Option<Found<String>> {
        let now = self.link.clock.now()?;
        Some(Found { record: self.copies.get(&self.key(key)).map(|text| text.to_string()), now })
    }

    fn news(&self, key: &str) -> Option<Found<String>> {
        let now = self.link.clock.now()?;
        Some(Found { record: Some(self.copies.take_news(&self.key(key))?.to_string()), now })
    }

    fn outdate(&self, key: &str) {
        self.copies.outdate(&self.key(key));
    }

    fn now(&self) -> BoxFuture<'_, Result<Moment, Failure>> {
        async move {
            if let Some(now) = self.link.clock.now() {
                return Ok(now);
            }
            let time = redis::cmd("TIME");
            self.link.ask(|mut redis| async move { time.query_async(&mut redis).await }).await.map(moment)
        }
        .boxed()
    }

    fn put<'a>(&'a self, key: &'a str, write: &'a Write<String>) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let key = self.key(key);
            let before = self.copies.before(&key);
            let mut set = redis::cmd("SET");
            set.arg(&key).arg(&write.to).arg("PXAT").arg(write.forget_at.0);
            let work = |mut redis| async move { set.query_async::<()>(&mut redis).await };
            let written = self.written(write, work, |()| true).await;
            written.inspect_err(|_| self.copies.outdate(&key))?;
            self.copies.put(&key, &before, Some(&write.to), false);
            Ok(())
        }
        .boxed()
    }

    fn compare_and_set<'a>(
        &'a self,
        key: &'a str,
        from: Option<&'a str>,
        write: &'a Write<String>,
    ) -> BoxFuture<'a, Result<Compared, Failure>> {
        async move {
            let (channel, message) = write.tell.as_ref().map_or_else(
                || (String::new(), ""),
                |(channel, message)| (self.key(channel), message.as_str()),
            );
            let key = self.key(key);
            let before = self.copies.before(&key);
            let mut call = CHANGE.key(&key);
            // No record is the empty text.
            call.arg(from.unwrap_or_default()).arg(&write.to).arg(write.forget_at.0);
            call.arg(write.only_before.map(|moment| moment.0.to_string()).unwrap_or_default());
            call.arg(channel).arg(message);
            let work = |mut redis| async move { call.invoke_async::<Changed>(&mut redis).await };
            let changed = self.written(write, work, |(is_written, ..)| *is_written).await;
            let (is_written, time, present) = changed.inspect_err(|_| self.copies.outdate(&key))?;
            let now = time.map(moment);
            if let Some(now) = now {
                self.link.clock.is_told(now);
            }
            let record = if is_written { Some(&write.to) } else { present.as_ref() };
            self.copies.put(&key, &before, record.map(String::as_str), is_written && write.is_news);
            Ok(match (is_written, now) {
                (true, _) => Compared::Written,
                (false, Some(now)) => Compared::Not(Found { record: present, now }),
                (false, None) => return Err(Failure::NotDone("Redis does not say its time".to_owned())),
            })
        }
        .boxed()
    }

    fn writes_repeats(&self) -> bool {
        self.replicas.are_wanted()
    }
}

#[cfg(test)]
mod tests;
