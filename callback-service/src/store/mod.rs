//! What the service remembers: how often each person has logged in, what became of recent scans, and in plaintext mode
//! which signatures have come with which bodies.
//!
//! There is a record a person ([`person`]) and one a signature ([`signature`]), in a SQLite file or in Redis. What may
//! become of a person's record are pure functions, whichever store holds it. Rooms above keep records of their own
//! kinds here ([`Store::records`]).

mod person;
mod signature;
mod way;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::{BoxFuture, FutureExt, pending};
use protocol::Scene;
use records::{
    Failure, Found, Journal, Keeper, Keeps, Kept, Moment, Records, Redis, RedisUrl, Replicas, Sqlite, Step,
    StoreMetrics, StoreUrl, Write,
};

use self::person::Person;
use self::signature::Body;
pub(crate) use self::way::Way;

/// How the tables that the first versions made in a SQLite file become records.
const FROM_SCHEMA_1: &str = include_str!("from_schema_1.sql");

/// One scan of one person, or what stands for a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The login that was scanned.
    pub scene: Scene,
    /// Who scanned it.
    pub openid: wechat::Person,
    /// The person came by following the account.
    pub first: bool,
    /// The push's CreateTime, in seconds since 1970.
    pub created_at: i64,
    /// How the person came to it.
    pub way: Way,
}

/// A login that the gateway has recorded, as it was told to the phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// The person came by following the account.
    pub first: bool,
    /// The nickname, when WeChat gave one.
    pub nickname: Option<String>,
    /// The person's login number (first is 1).
    pub count: u32,
    /// The language in which it was told, as HTML names it.
    pub language: Option<String>,
}

/// What is remembered of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Nothing.
    Nothing,
    /// An attempt to end the login was begun, and perhaps it was recorded.
    Attempted,
    /// The login was recorded and counted, and its repeats get the same words.
    Recorded(Recorded),
    /// The login was recorded, but so long ago that the gateway has forgotten it.
    LongAgo,
}

/// The store did not do it; `0` says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store does not answer: {0}")]
pub(crate) struct StoreError(pub String);

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self(failure.to_string())
    }
}

/// Tries of a change that must not be left in doubt.
const TRIES: u32 = 3;

/// The pause before such a change is made again.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Makes a change of the store again if it is not certain that it was made. The change must be one that may be repeated.
pub(crate) async fn repeated<T, F: Future<Output = Result<T, StoreError>>>(
    change: impl Fn() -> F,
) -> Result<T, StoreError> {
    let mut tries = 1;
    loop {
        match change().await {
            Err(_) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            done => return done,
        }
    }
}

/// The store. Each call is atomic; dropping its future does not undo what was begun. Clones share
/// what is kept.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    place: Place,
    people: Records<Kept<Person>>,
    signatures: Records<Body>,
    /// Of Redis, where that is the store.
    replicas: Option<Replicas>,
    /// What tests let go wrong.
    #[cfg(test)]
    pub(crate) faults: faults::Faults,
}

/// Where records are kept.
#[derive(Debug, Clone)]
enum Place {
    Sqlite(Sqlite),
    Redis(Redis),
}

impl Place {
    fn records<R>(&self, kind: &'static str) -> Records<R> {
        match self {
            Self::Sqlite(sqlite) => Records::in_sqlite(kind, sqlite),
            Self::Redis(redis) => Records::in_redis(kind, redis),
        }
    }
}

impl Store {
    /// What measures the store.
    pub(crate) fn metrics(&self) -> &StoreMetrics {
        self.people.metrics()
    }

    /// What `CALLBACK_STORE` names, and what keeps its connections for as long as it is polled. In Redis keys begin with
    /// `prefix`.
    ///
    /// # Errors
    /// When a file cannot be opened, or was written by a newer version.
    pub(crate) fn new(url: StoreUrl, prefix: &str) -> anyhow::Result<(Self, BoxFuture<'static, ()>)> {
        match url {
            StoreUrl::Redis { url, replicas } => {
                let (store, keeper) = Self::in_redis(url, prefix, replicas);
                Ok((store, keeper.run().boxed()))
            }
            StoreUrl::Sqlite(path) => Ok((Self::in_sqlite(&path)?, pending().boxed())),
            StoreUrl::Memory => Ok((Self::in_sqlite(Path::new(":memory:"))?, pending().boxed())),
        }
    }

    /// A store in a SQLite file.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version.
    pub(crate) fn in_sqlite(path: &Path) -> anyhow::Result<Self> {
        let sqlite = Sqlite::open(path, FROM_SCHEMA_1)
            .with_context(|| format!("CALLBACK_STORE: cannot use the SQLite file {}", path.display()))?;
        Ok(Self::of(Place::Sqlite(sqlite), None))
    }

    /// A store in Redis. What is noted counts once `replicas` of Redis have it, or as many as there are. Nothing is
    /// connected before the keeper runs.
    #[must_use]
    pub(crate) fn in_redis(url: RedisUrl, prefix: &str, replicas: u32) -> (Self, Keeper) {
        // The version of all that is kept there.
        let (redis, keeper) = Redis::new(url, format!("{prefix}1:"), replicas, None);
        let replicas = redis.replicas().clone();
        (Self::of(Place::Redis(redis), Some(replicas)), keeper)
    }

    fn of(place: Place, replicas: Option<Replicas>) -> Self {
        Self {
            people: place.records("person"),
            signatures: place.records("push"),
            place,
            replicas,
            #[cfg(test)]
            faults: faults::Faults::default(),
        }
    }

    /// What is known of Redis's replicas, where that is the store.
    #[must_use]
    pub(crate) fn replicas(&self) -> Option<&Replicas> {
        self.replicas.as_ref()
    }

    /// The records of a kind that a room above keeps here, by a rule of its own.
    #[must_use]
    pub(crate) fn records<R>(&self, kind: &'static str) -> Records<R> {
        self.place.records(kind)
    }

    /// The journal of a kind that a room above keeps here.
    #[must_use]
    pub(crate) fn journal<E, P>(&self, kind: &'static str, keeps: Keeps) -> Journal<E, P> {
        match &self.place {
            Place::Sqlite(sqlite) => Journal::in_sqlite(kind, sqlite, keeps),
            Place::Redis(redis) => Journal::in_redis(kind, redis, keeps),
        }
    }

    /// Whether the store answers.
    pub(crate) async fn is_reachable(&self) -> Result<(), StoreError> {
        self.people.read("").await?;
        Ok(())
    }

    /// Whether anything is kept of a person.
    pub(crate) async fn knows(&self, openid: &wechat::Person) -> Result<bool, StoreError> {
        Ok(self.people.read(&openid.key()).await?.record.is_some())
    }

    /// Remembers what became of a scan.
    pub(crate) async fn recall(&self, scan: &Scan) -> Result<Memory, StoreError> {
        #[cfg(test)]
        self.faults.recall.happen().await?;
        let key = scan.openid.key();
        let recall = |Found { record, now }: Found<Kept<Person>>| {
            record.map_or(Memory::Nothing, |person| person.recall(scan.scene, now))
        };
        match recall(self.people.glance_to_change(&key).await?) {
            // Most scans are new, whatever the time is.
            Memory::Nothing => Ok(Memory::Nothing),
            _ => Ok(recall(self.people.read(&key).await?)),
        }
    }

    /// Notes that the gateway is going to be asked to end the login.
    pub(crate) async fn attempt(&self, scan: &Scan) -> Result<(), StoreError> {
        #[cfg(test)]
        self.faults.attempt.happen().await?;
        self.change(&scan.openid, |person, now| person.attempt(scan, now)).await
    }

    /// Counts a recorded login, unless this scene of this person has been counted; gives what was kept.
    pub(crate) async fn record(
        &self,
        scan: &Scan,
        nickname: Option<&str>,
        language: &str,
    ) -> Result<Recorded, StoreError> {
        #[cfg(test)]
        self.faults.record.happen().await?;
        self.change(&scan.openid, |person, now| person.record(scan, nickname, language, now)).await
    }

    /// Notes the signature of a push in plaintext mode with what stands for its body, until `until` in Unix seconds,
    /// and says whether it may come with that: it is new, or it has come with the same before.
    pub(crate) async fn admit(&self, signature: &str, body: &str, until: u64) -> Result<bool, StoreError> {
        let forget_at = Moment(until.saturating_mul(1000));
        let noted = self.signatures.update(signature, |found, _| match found {
            Some(before) => Step::Keep(before.0 == body),
            // It waits for no replica: an outage of one must not close the door.
            None => Step::Write(Write::new(Body(body.to_owned()), forget_at), true),
        });
        Ok(noted.await?)
    }

    /// Forgets a person who has unfollowed at `at` (CreateTime), unless they have logged in since.
    pub(crate) async fn forget(&self, openid: &wechat::Person, at: i64) -> Result<(), StoreError> {
        #[cfg(test)]
        self.faults.forget.happen().await?;
        self.change(openid, |person, _| person.forget(at)).await
    }

    async fn change<T>(
        &self,
        openid: &wechat::Person,
        work: impl Fn(&mut Person, Moment) -> T,
    ) -> Result<T, StoreError> {
        let key = openid.key();
        let changed = self.people.update(&key, |found, now| {
            let mut person = found.cloned().unwrap_or_default();
            let value = work(&mut person, now);
            person.sweep(now);
            let forget_at = person.forget_at(now);
            Step::Write(Write { durably: true, ..Write::new(person, forget_at) }, value)
        });
        Ok(changed.await?)
    }
}

#[cfg(test)]
pub(crate) mod faults;
#[cfg(test)]
pub(crate) mod tests;
