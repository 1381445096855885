//! Records in Redis, or Valkey, that any number of processes share: one key a record.
//!
//! [`url`] says where Redis is, [`sentinel`] who the master is. [`keeper`] makes the connection and watches it,
//! [`greeting`] is what it asks a server first, and [`link`] is what everybody else holds. [`inspection`] asks for an operator. [`replicas`] waits for
//! copies. [`buckets`] count what all processes together may do. A record is read together with Redis's clock and
//! written by `change.lua`, which compares and sets. [`mod@journal`] is a stream beside them.

mod buckets;
mod greeting;
mod inspection;
mod journal;
mod keeper;
mod link;
mod replicas;
mod sentinel;
mod url;

use futures_util::future::{BoxFuture, FutureExt};
use redis::Script;

pub use self::buckets::{Bucket, Count, Take, Taken};
pub use self::inspection::RedisState;
pub use self::keeper::{Heard, Keeper, Subscription};
use self::link::Link;
pub use self::replicas::Replicas;
pub use self::url::RedisUrl;
use crate::as_text::TextStore;
use crate::{Failure, Found, Moment, StoreMetrics, Write};

/// What `TIME` answers: seconds since 1970, and microseconds.
type Time = (u64, u64);

fn moment((seconds, microseconds): Time) -> Moment {
    Moment(seconds * 1000 + microseconds / 1000)
}

/// A Redis, and a prefix of the keys there. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Redis {
    link: Link,
    replicas: Replicas,
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
        let (link, keeper) = Link::new(url, subscription, replicas.clone());
        (Self { link, replicas, prefix, metrics: StoreMetrics::default() }, keeper)
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
            Ok(Found { record, now: moment(time) })
        }
        .boxed()
    }

    fn compare_and_set<'a>(
        &'a self,
        key: &'a str,
        from: Option<&'a str>,
        write: &'a Write<String>,
    ) -> BoxFuture<'a, Result<bool, Failure>> {
        async move {
            let script = Script::new(include_str!("change.lua"));
            let (channel, message) = write.tell.as_ref().map_or_else(
                || (String::new(), ""),
                |(channel, message)| (self.key(channel), message.as_str()),
            );
            let mut call = script.key(self.key(key));
            // No record is the empty text.
            call.arg(from.unwrap_or_default()).arg(&write.to).arg(write.forget_at.0);
            call.arg(write.only_before.map_or(u64::MAX, |moment| moment.0)).arg(channel).arg(message);
            if write.durably && self.replicas.are_wanted() {
                let durably = |mut redis| async move { call.invoke_async::<bool>(&mut redis).await };
                return self.link.ask_durably(durably).await;
            }
            self.link.ask(|mut redis| async move { call.invoke_async(&mut redis).await }).await
        }
        .boxed()
    }

    fn writes_repeats(&self) -> bool {
        self.replicas.are_wanted()
    }
}

#[cfg(test)]
mod tests;
