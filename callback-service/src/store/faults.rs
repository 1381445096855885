//! Faults of a store, for the tests of what a phone is told meanwhile.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{Store, StoreError};

/// What goes wrong, by call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub recall: Fault,
    pub attempt: Fault,
    pub record: Fault,
    pub forget: Fault,
    pub confirm: Fault,
    pub typing: Fault,
}

/// What goes wrong in a call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    Fails,
    /// It fails so many times, and then works.
    FailsFirst(&'static AtomicU32),
    Hangs,
    /// It works, after this time.
    Late(Duration),
}

impl Fault {
    pub(crate) async fn happen(self) -> Result<(), StoreError> {
        match self {
            Self::None => Ok(()),
            Self::Fails => Err(StoreError("played".to_owned())),
            Self::FailsFirst(left) => {
                let less = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
                less.map_or(Ok(()), |_| Err(StoreError("played".to_owned())))
            }
            Self::Hangs => pending().await,
            Self::Late(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }
}

impl Store {
    /// The same store, with faults.
    pub(crate) fn with(&self, faults: Faults) -> Arc<Self> {
        Arc::new(Self { faults, ..self.clone() })
    }
}
