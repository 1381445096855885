//! Why a store did not do something. The caller always hears whether anything can have been changed.

/// Why a store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing was changed: the store is away, or refused.
    #[error("{0}")]
    NotDone(String),
    /// Nothing was changed: a store in memory holds as many records as it may.
    #[error("there is no room for another record")]
    Full,
    /// Perhaps it was done: the answer did not come, or too few replicas have it.
    #[error("{0}; perhaps it was done")]
    Unknown(String),
}

impl Failure {
    /// Its name, for metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotDone(_) => "not_done",
            Self::Full => "full",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The same failure, of something that cannot have changed anything.
    #[must_use]
    pub fn certain(self) -> Self {
        match self {
            Self::Unknown(why) => Self::NotDone(why),
            certain => certain,
        }
    }
}
