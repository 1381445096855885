//! The day's calls to WeChat for QR codes of sites. WeChat gives each account 100,000 a day, of which the gateways take up
//! to `GATEWAY_QR_PER_DAY`; the rest is for these. All instances count together, in the store.

use std::time::Duration;

use records::{Kept, Moment, Records, Step, Write};
use serde::{Deserialize, Serialize};
use wechat::Meter;

use super::of_account;
use crate::account::names::Names;
use crate::store::{Store, StoreError};

/// The kind of its record, and its name within the account's.
const KIND: &str = "qr-calls";
const NAME: &str = "today";

/// WeChat's day begins at midnight in China: UTC+8, without summer time.
const CHINA: Duration = Duration::from_secs(8 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The calls of a day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Calls {
    day: u64,
    calls: u32,
}

impl Calls {
    fn spend(found: Option<&Kept<Self>>, most: u32, now: Moment) -> Step<Kept<Self>, bool> {
        let day = (now + CHINA).since(Moment(0)).as_secs() / DAY.as_secs();
        let calls = found.filter(|calls| calls.day == day).map_or(0, |calls| calls.calls);
        match calls < most {
            true => Step::Write(Write::new(Self { day, calls: calls + 1 }.into(), now + DAY), true),
            false => Step::Keep(false),
        }
    }

    fn refund(found: Option<&Kept<Self>>, now: Moment) -> Step<Kept<Self>, ()> {
        match found {
            Some(calls) if calls.calls > 0 => {
                let mut less = calls.clone();
                less.calls -= 1;
                Step::Write(Write::new(less, now + DAY), ())
            }
            _ => Step::Keep(()),
        }
    }
}

/// Why a call is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unpaid {
    /// The day's calls are used up.
    Spent,
    /// The store cannot count.
    Store(StoreError),
}

/// The budget of one official account.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    calls: Records<Kept<Calls>>,
    name: String,
    per_day: u32,
}

impl Budget {
    pub(super) fn new(store: &Store, account: &Names, per_day: u32) -> Self {
        let name = of_account(account.of_people().map(AsRef::as_ref), NAME).into_owned();
        Self { calls: store.records(KIND), name, per_day }
    }
}

impl Meter for Budget {
    type Refusal = Unpaid;
    type Receipt = ();

    async fn pay(&self) -> Result<(), Unpaid> {
        match self.calls.update(&self.name, |found, now| Calls::spend(found, self.per_day, now)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unpaid::Spent),
            Err(failure) => Err(Unpaid::Store(failure.into())),
        }
    }

    async fn refund(&self, (): ()) {
        if let Err(failure) = self.calls.update(&self.name, Calls::refund).await {
            tracing::debug!("a call that never reached WeChat stays counted: {failure}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::tests::on_each_store;

    #[test]
    fn the_count_begins_anew_at_midnight_in_china() {
        let mut kept = None;
        let mut spend = |seconds: u64| match Calls::spend(kept.as_ref(), 2, Moment(seconds * 1000)) {
            Step::Keep(paid) => paid,
            Step::Write(write, paid) => {
                kept = Some(write.to);
                paid
            }
        };
        // 16:00 in London's winter.
        let midnight = 20_000 * 24 * 3600 + 16 * 3600;
        assert_eq!([spend(midnight - 9), spend(midnight - 5), spend(midnight - 1)], [true, true, false]);
        assert_eq!([spend(midnight), spend(midnight), spend(midnight)], [true, true, false]);
    }

    #[tokio::test]
    async fn instances_count_together_and_what_was_not_sent_is_paid_back() {
        on_each_store(async |here, there| {
            let (account, other) = (Names::new(None, "wx0"), Names::new(Some("tea"), "wx1"));
            let others = Budget::new(here, &other, 1);
            let (here, there) = (Budget::new(here, &account, 2), Budget::new(there, &account, 2));
            here.pay().await.unwrap();
            there.pay().await.unwrap();
            assert_eq!(here.pay().await, Err(Unpaid::Spent));
            there.refund(()).await;
            here.pay().await.unwrap();
            assert_eq!(there.pay().await, Err(Unpaid::Spent));
            others.pay().await.unwrap();
            assert_eq!(others.pay().await, Err(Unpaid::Spent), "another account has a day of its own");
        })
        .await;
    }
}
