//! The logins: one small trait, so that a gateway's memory and Redis can both hold them.
//!
//! The record is the truth, and a push to the page is only a wake-up: whoever holds a page reads the
//! record when it is woken, when it comes back, with every heartbeat, and when the time is over. An end is
//! recorded before anybody hears of it. What may become of a record is one pure function, [`record`],
//! whichever store holds it.

#[cfg(test)]
mod contract;
mod memory;
mod record;
mod redis;
mod resume_key;
pub(crate) mod seats;

use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::message::{Answer, Code, Context, State};
use protocol::{Notice, Scene};
use serde::{Deserialize, Serialize};

pub(crate) use self::memory::MemoryLogins;
pub(crate) use self::record::{Done, Record, Sender};
pub(crate) use self::redis::RedisLogins;
pub(crate) use self::resume_key::{ResumeKey, SecretHash};
use crate::logins::seats::SeatName;
use crate::notices::clients::Right;

/// How long an end can be had again, by resume or by a repeated notice; then the login is unknown.
pub(crate) const KEPT_AFTER_END: Duration = Duration::from_secs(180);

/// A claim leaves the person at least this long to finish.
pub(crate) const AFTER_CLAIM: Duration = Duration::from_secs(120);

/// What was shown for a login; enough to show it again when its page comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QrCode {
    /// WeChat's own picture of it.
    pub url: String,
    /// The text that the picture encodes.
    pub content: String,
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
    /// Who asked.
    pub context: Context,
    /// What was shown.
    pub qr: QrCode,
    /// What the resume key must match.
    pub secret: SecretHash,
    /// The page that shows it.
    pub seat: Option<SeatName>,
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

/// A login as it is now; `None` when it is unknown.
pub(crate) type Looked<'a> = BoxFuture<'a, Result<Option<Snapshot>, StoreError>>;

/// A store of logins. Everything it does is atomic for one login, and decided by one clock.
///
/// Dropping a future does not undo what was begun.
pub(crate) trait Logins: Send + Sync {
    /// Records a new login that lives for `ttl` from now and is shown by the page in `seat`.
    fn open(
        &self,
        scene: Scene,
        new: NewLogin,
        ttl: Duration,
        seat: SeatName,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Takes a notice and wakes the login's page if it changed something. Where the store cannot be used,
    /// the answer says whether the notice can have been recorded: `busy` or `unsure`.
    fn notify<'a>(&'a self, notice: &'a Notice, from: &'a Sender) -> BoxFuture<'a, Answer>;

    /// Reads a login; `None` when it is unknown.
    fn look(&self, scene: Scene) -> Looked<'_>;

    /// Makes the page in `seat` the one that shows the login, and wakes the one that did before, wherever it
    /// is; `None` when the login is unknown.
    fn sit<'a>(&'a self, scene: Scene, seat: &'a SeatName) -> Looked<'a>;

    /// Notes that the page in `seat` has gone, if that can be noted: all that hangs on it is whether a
    /// notice is answered `delivered` or `stored`.
    fn leave<'a>(&'a self, scene: Scene, seat: &'a SeatName) -> BoxFuture<'a, ()>;

    /// Ends a live login as expired, because its page takes a new code, and reads it.
    fn expire(&self, scene: Scene) -> Looked<'_>;

    /// Whether the store has ever been reached.
    fn is_ready(&self) -> bool;
}

/// What is known of a login when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewLogin {
    /// Who asks.
    pub context: Context,
    /// What is shown.
    pub qr: QrCode,
    /// What the resume key must match.
    pub secret: SecretHash,
}

/// The right that a notice needs.
fn right_for(notice: &Notice) -> Right {
    match notice {
        Notice::Scan { .. } => Right::Scan,
        Notice::Claim { .. } => Right::Claim,
        Notice::Deny { .. } => Right::Deny,
        Notice::Query { .. } => Right::Query,
    }
}
