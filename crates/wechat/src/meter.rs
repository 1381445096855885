//! Who pays for the requests of a call.
//!
//! WeChat counts requests, and gives an account so many a day. Only the client knows how many a call takes: none while
//! its breaker answers or there is no token, up to four where tries fail. So the owner of a budget gives a [`Meter`]
//! along, which is asked right before each request goes out, and gets back what certainly never reached WeChat.

use std::convert::Infallible;

use crate::Error;

/// Pays for requests, one by one.
pub trait Meter: Sync {
    /// Why a request must not be made.
    type Refusal: Send;
    /// That a request is paid for. Whoever drops it leaves it so: the request may have gone out.
    type Receipt: Send;

    /// Pays for a request that goes out as soon as this has said yes.
    ///
    /// # Errors
    /// Then it does not go out, and the call ends.
    fn pay(&self) -> impl Future<Output = Result<Self::Receipt, Self::Refusal>> + Send;

    /// Takes back a payment: no connection came about, so its request never reached WeChat.
    fn refund(&self, receipt: Self::Receipt) -> impl Future<Output = ()> + Send;
}

/// Why a call that is paid for gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmade<R> {
    /// The meter refused.
    Unpaid(R),
    /// WeChat refused, or could not be asked.
    Failed(Error),
}

impl<R> From<Error> for Unmade<R> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Unmade<Infallible>> for Error {
    fn from(unmade: Unmade<Infallible>) -> Self {
        match unmade {
            Unmade::Unpaid(never) => match never {},
            Unmade::Failed(error) => error,
        }
    }
}

/// For calls that nobody counts.
pub(crate) struct Free;

impl Meter for Free {
    type Refusal = Infallible;
    type Receipt = ();

    async fn pay(&self) -> Result<(), Infallible> {
        Ok(())
    }

    async fn refund(&self, (): ()) {}
}
