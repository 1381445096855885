//! A host of back ends: the places and the breaker that all addresses on it share, of whichever account.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::breaker::Breaker;
use super::copies;

/// Pushes at one host at once: half of what all have, so that one that hangs leaves room for the others.
pub(super) const MOST: usize = super::MOST / 2;

/// A host: scheme, name and port.
#[derive(Debug)]
pub(super) struct Host {
    /// What the log calls it. The rest of an address may be a secret.
    pub at: String,
    pub places: Semaphore,
    /// For copies, which are under way for longer.
    pub copying: Arc<Semaphore>,
    pub breaker: Breaker,
}

impl Host {
    pub(super) fn new(at: String) -> Self {
        let copying = Arc::new(Semaphore::new(copies::MOST / 2));
        Self { at, places: Semaphore::new(MOST), copying, breaker: Breaker::default() }
    }
}
