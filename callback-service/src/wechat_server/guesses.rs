//! How many wrong codes a site may ask about. Whoever tries codes on a site's page logs in as a stranger if one happens to
//! be good: six digits, a few minutes, and as many good codes as people have asked for.
//!
//! One is taken before a code is looked at, and given back if the code was good. So tries at once cannot outrun the limit,
//! at however many instances.

use std::borrow::Cow;
use std::time::Duration;

use tokio::sync::Mutex;

use super::of_account;
use super::pace::{Pace, Paces};
use crate::account::names::Names;
use crate::store::{Store, StoreError};

/// Wrong codes of one site: people mistype a few, and 2,880 a day come back.
const OF_SITE: Pace = Pace { most: 10, refill: Duration::from_secs(30) };

/// Wrong codes of all sites of one official account together: the same codes are good at each of them.
const OF_ALL: Pace = Pace { most: 50, refill: Duration::from_secs(6) };

/// The name of the pace of all. No site's is like it, also behind an appid.
const ALL: &str = "wrong";

/// The limit.
#[derive(Debug)]
pub(super) struct Guesses {
    paces: Paces,
    /// Held while one is taken: tries of this process need not outrun each other at the store.
    turn: Mutex<()>,
}

impl Guesses {
    pub(super) fn new(store: &Store) -> Self {
        Self { paces: Paces::new(store), turn: Mutex::default() }
    }

    /// Takes a try for a site of an account; says whether there was one.
    pub(super) async fn take(&self, account: &Names, site: &str) -> Result<bool, StoreError> {
        let _turn = self.turn.lock().await;
        if self.paces.take(&of(site), OF_SITE).await?.is_err() {
            return Ok(false);
        }
        let taken = self.paces.take(&of_all(account), OF_ALL).await;
        if !matches!(taken, Ok(Ok(()))) {
            self.paces.give_back(&of(site), OF_SITE).await?;
        }
        Ok(taken?.is_ok())
    }

    /// Gives a try back: the code was good.
    pub(super) async fn give_back(&self, account: &Names, site: &str) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        self.paces.give_back(&of(site), OF_SITE).await?;
        self.paces.give_back(&of_all(account), OF_ALL).await
    }
}

fn of(site: &str) -> String {
    format!("wrong:{site}")
}

fn of_all(account: &Names) -> Cow<'static, str> {
    of_account(account.of_people().map(AsRef::as_ref), ALL)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::tests::on_each_store;

    #[tokio::test]
    async fn a_site_has_ten_tries_and_all_of_an_account_together_fifty_at_whichever_instance() {
        on_each_store(async |here, there| {
            let (here, there) = (Guesses::new(here), Guesses::new(there));
            let (account, other) = (Names::new(None, "wx0"), Names::new(Some("tea"), "wx1"));
            let tries = async |account: &Names, site: &str, times: usize| {
                let mut taken = 0;
                for n in 0..times {
                    let guesses = if n % 2 == 0 { &here } else { &there };
                    taken += usize::from(guesses.take(account, site).await.unwrap());
                }
                taken
            };
            assert_eq!(tries(&account, "a", 40).await, 10);
            here.give_back(&account, "a").await.unwrap();
            assert_eq!(tries(&account, "a", 40).await, 1, "a good code costs nothing");
            let mut all = 10;
            for site in ["b", "c", "d", "e", "f", "g"] {
                all += tries(&account, site, 20).await;
            }
            assert!((50..=52).contains(&all), "{all}");
            assert_eq!(tries(&other, "h", 20).await, 10, "another account's codes are others");
        })
        .await;
    }
}
