//! Plaintext mode's one-body rule: each signature is taken with one body only.
//!
//! WeChat's plaintext signature does not cover the body, so whoever sees one query string could send any
//! event with it for as long as its timestamp is fresh. A repeat of the same body is a repeat; another
//! body is a forgery. The signature is the key: timestamp and nonce can be exchanged, or divided elsewhere,
//! and it stays the same. So it is kept until no such reading of it can be fresh any more. The store keeps
//! it, which instances share and which survives a restart.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::time::{Instant, timeout};

use crate::push::{Account, Query, Refusal, hex};
use crate::store::{Store, StoreError};

/// The store's answer must be there within this: a login may come after it.
const WITHIN: Duration = Duration::from_secs(1);

/// The clocks of several instances differ, in seconds.
const SKEW: u64 = 60;

/// Nothing is kept longer, in seconds. A nonce of ten digits may be a moment decades ahead; the token will be
/// another one by then.
const LONGEST: u64 = 10 * 365 * 24 * 3600;

/// What is kept of a signature with which no body may come any more.
const NO_BODY: &str = "-";

/// The rule.
pub(crate) struct OneBody {
    store: Arc<dyn Store>,
    max_age: Duration,
    /// This start, in Unix seconds, where the store knows nothing of the time before.
    blind_before: Option<u64>,
    started: Instant,
}

impl OneBody {
    /// `max_age` is how far a push's timestamp may be from now. `blind_before` is this start, in Unix seconds, if
    /// the store has forgotten what was before it.
    #[must_use]
    pub(crate) fn new(store: Arc<dyn Store>, max_age: Duration, blind_before: Option<u64>) -> Self {
        Self { store, max_age, blind_before, started: Instant::now() }
    }

    /// Refuses a signed query of which nobody remembers whether it was used.
    pub(crate) fn is_remembered(&self, query: &Query) -> Result<(), Refusal> {
        let blind = self.blind_before.filter(|_| self.started.elapsed() < self.max_age);
        match blind.zip(query.timestamp()) {
            Some((start, timestamp)) if timestamp < start => Err(Refusal::BeforeStart),
            _ => Ok(()),
        }
    }

    /// Whether a signed query may come with `body`: it is new, or it came with the same body before.
    pub(crate) async fn admits(
        &self,
        account: &Account,
        query: &Query,
        body: &[u8],
        now: u64,
    ) -> Result<bool, StoreError> {
        let hash = digest::digest(&digest::SHA256, body);
        self.note(account, query, &hex(hash.as_ref()), now).await
    }

    /// Notes that no body may come with a query, which has verified the address or is too old: both can be seen, and
    /// read otherwise. One that nobody has signed is nothing.
    pub(crate) async fn use_up(&self, account: &Account, query: &Query, now: u64) -> Result<(), StoreError> {
        self.note(account, query, NO_BODY, now).await.map(|_| ())
    }

    async fn note(&self, account: &Account, query: &Query, body: &str, now: u64) -> Result<bool, StoreError> {
        let Some(latest) = account.latest_reading(query) else { return Ok(false) };
        let until = latest.saturating_add(self.max_age.as_secs() + SKEW).min(now.saturating_add(LONGEST));
        if until < now {
            // It can never be fresh again.
            return Ok(false);
        }
        let noted = timeout(WITHIN, self.store.admit(query.signature(), body, until)).await;
        noted.unwrap_or_else(|_| Err(StoreError(format!("not within {WITHIN:?}"))))
    }
}
