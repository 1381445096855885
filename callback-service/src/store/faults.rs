//! Faults of a store, for the tests of what a phone is told meanwhile.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use super::{Store, StoreError};

/// What goes wrong, by call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub recall: Fault,
    pub attempt: Fault,
    pub record: Fault,
}

/// What goes wrong in a call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    Fails,
    Hangs,
    /// It works, after this time.
    Late(Duration),
}

impl Fault {
    pub(super) async fn happen(self) -> Result<(), StoreError> {
        match self {
            Self::None => Ok(()),
            Self::Fails => Err(StoreError("played".to_owned())),
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
