//! Pays for the requests of a call out of a budget.
//!
//! WeChat counts requests, and allows an account only so many a day. Only the client knows how many requests a call
//! takes: none while its breaker is open or there is no token, up to four when tries fail. So the owner of a
//! budget passes a [`Meter`]. The client asks the meter right before each request, and gives back the payment for a
//! request that certainly never reached WeChat.

use std::convert::Infallible;

use super::Error;

/// Pays for requests, one by one.
pub trait Meter: Sync {
    /// Why a request must not be made.
    type Refusal: Send;
    /// The proof of one payment. Dropping it keeps the payment, because the request may have reached WeChat.
    type Receipt: Send;

    /// Pays for one request, which is sent as soon as this succeeds.
    ///
    /// # Errors
    /// The request is then not sent, and the call ends.
    fn pay(&self) -> impl Future<Output = Result<Self::Receipt, Self::Refusal>> + Send;

    /// Takes back a payment: the connection failed, so the request never reached WeChat.
    fn refund(&self, receipt: Self::Receipt) -> impl Future<Output = ()> + Send;
}

/// Why a paid call gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmade<R> {
    /// The meter refused.
    Unpaid(R),
    /// WeChat refused the call, or could not be reached.
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

/// A meter for calls without a budget.
pub(crate) struct Free;

impl Meter for Free {
    type Refusal = Infallible;
    type Receipt = ();

    async fn pay(&self) -> Result<(), Infallible> {
        Ok(())
    }

    async fn refund(&self, (): ()) {}
}
