//! What the service remembers: how often each person has logged in, and what became of recent scans.
//!
//! Counts are kept by scene, so that a repeated push and a second scan of an ended login add none and
//! get the same words, also after a restart.

#[cfg(test)]
mod contract;
mod redis;
mod sqlite;

use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::Scene;

pub(crate) use self::redis::RedisStore;
pub(crate) use self::sqlite::SqliteStore;

/// How long what became of a scan is remembered: far longer than a login and WeChat's repeats live.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// How long a repeat gets the same words without asking the gateway: as long as the gateway keeps an end.
const SAME_WORDS: Duration = Duration::from_secs(180);

/// One scan of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The login that was scanned.
    pub scene: Scene,
    /// Who scanned it: the openid.
    pub openid: String,
    /// The person came by following the account.
    pub first: bool,
    /// The push's CreateTime, in seconds since 1970.
    pub created_at: i64,
}

/// A login that the gateway has recorded, as it was told to the phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// The person came by following the account.
    pub first: bool,
    /// The nickname, when WeChat gave one.
    pub nickname: Option<String>,
    /// The person's how-manieth login it was.
    pub count: u32,
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

/// A store. Each call is atomic; dropping its future does not undo it.
pub(crate) trait Store: Send + Sync {
    /// Remembers what became of a scan.
    fn recall<'a>(&'a self, scan: &'a Scan) -> BoxFuture<'a, Result<Memory, StoreError>>;

    /// Notes that the gateway is going to be asked to end the login.
    fn attempt<'a>(&'a self, scan: &'a Scan) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Counts a recorded login, unless this scene of this person has been counted; gives what was kept.
    fn record<'a>(
        &'a self,
        scan: &'a Scan,
        nickname: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Recorded, StoreError>>;

    /// Notes the signature of a push in plaintext mode with what stands for its body, until `until` in Unix seconds,
    /// and says whether it may come with that: it is new, or it has come with the same before.
    fn admit<'a>(
        &'a self,
        signature: &'a str,
        body: &'a str,
        until: u64,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Forgets a person who has unfollowed at `at` (CreateTime), unless they have logged in since.
    fn forget<'a>(&'a self, openid: &'a str, at: i64) -> BoxFuture<'a, Result<(), StoreError>>;
}
