//! Plaintext mode's replay guard: each signature is taken with one body only.
//!
//! WeChat's plaintext signature does not cover the body, so a stranger who has seen one query could send any event with
//! it. The same body again is WeChat's repeat; another body is a forgery. The guard remembers signatures, because the
//! timestamp and nonce of one signature can be exchanged or divided elsewhere. It remembers each until no such reading
//! of it can be fresh any more. It does so in the store, which instances share and which survives a restart.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use tokio::time::{Instant, timeout};
use wechat::push::{Endpoint, Query, Refusal};

use crate::store::{Store, StoreError};

/// Limit for the store's answer: a login may follow it.
const WITHIN: Duration = Duration::from_secs(1);

/// How far the clocks of instances may differ, in seconds.
const SKEW: u64 = 60;

/// Nothing is kept longer, in seconds. A nonce of ten digits may be a timestamp decades ahead; by then the token will be
/// another.
const LONGEST: u64 = 10 * 365 * 24 * 3600;

/// Noted in place of a body's hash when no body may come with a signature.
const NO_BODY: &str = "-";

/// The guard.
pub(crate) struct ReplayGuard {
    store: Arc<Store>,
    max_age: Duration,
    /// The start, in Unix seconds, if the store has forgotten what was before it.
    blind_before: Option<u64>,
    started: Instant,
}

impl ReplayGuard {
    /// `max_age` is how far a push's timestamp may be from now. `blind_before` is the start, in Unix seconds, if the
    /// store has forgotten what was before it.
    #[must_use]
    pub(crate) fn new(store: Arc<Store>, max_age: Duration, blind_before: Option<u64>) -> Self {
        Self { store, max_age, blind_before, started: Instant::now() }
    }

    /// Refuses a signed query from before the start, if the store has forgotten whether it was used.
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
        endpoint: &Endpoint,
        query: &Query,
        body: &[u8],
        now: u64,
    ) -> Result<bool, StoreError> {
        let hash = digest::digest(&digest::SHA256, body);
        self.note(endpoint, query, &HEXLOWER.encode(hash.as_ref()), now).await
    }

    /// Notes that no body may come with this query's signature, because it verified the address, or is too old, and
    /// could come again in another form. A query that is not signed is ignored.
    pub(crate) async fn use_up(
        &self,
        endpoint: &Endpoint,
        query: &Query,
        now: u64,
    ) -> Result<(), StoreError> {
        self.note(endpoint, query, NO_BODY, now).await.map(|_| ())
    }

    async fn note(
        &self,
        endpoint: &Endpoint,
        query: &Query,
        body: &str,
        now: u64,
    ) -> Result<bool, StoreError> {
        let Some(latest) = endpoint.latest_reading(query) else { return Ok(false) };
        let until = latest.saturating_add(self.max_age.as_secs() + SKEW).min(now.saturating_add(LONGEST));
        if until < now {
            // No reading of it can be fresh again.
            return Ok(false);
        }
        let noted = timeout(WITHIN, self.store.admit(query.signature(), body, until)).await;
        noted.unwrap_or_else(|_| Err(StoreError(format!("not within {WITHIN:?}"))))
    }
}
