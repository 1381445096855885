//! Pays for the requests that a code takes: each is counted in the day's budget, and in the operator's metric.

use prometheus_client::metrics::counter::Counter;
use wechat::Meter;

use super::NoQrCode;
use super::budget::{Budget, Payment, Purpose};

/// Pays for the requests that one code takes.
pub(crate) struct Purse<'a> {
    pub(super) budget: &'a Budget,
    pub(super) purpose: Purpose,
    /// Requests that may have reached WeChat.
    pub(super) calls: &'a Counter,
}

/// A request that is under way. However it ends, it counts as made, unless it is paid back.
pub(crate) struct Request {
    payment: Payment,
    made: Made,
}

/// Counts a request when it is dropped.
struct Made(Option<Counter>);

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(calls) = self.0.take() {
            calls.inc();
        }
    }
}

impl Meter for Purse<'_> {
    type Refusal = NoQrCode;
    type Receipt = Request;

    async fn pay(&self) -> Result<Request, NoQrCode> {
        let payment = self.budget.spend(self.purpose).await?;
        Ok(Request { payment, made: Made(Some(self.calls.clone())) })
    }

    async fn refund(&self, request: Request) {
        let Request { payment, mut made } = request;
        made.0 = None;
        self.budget.refund(payment).await;
    }
}
