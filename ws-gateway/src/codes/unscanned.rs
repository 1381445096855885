//! What one address may have of the day's codes without anybody's scanning them. Its pace alone would let it have all
//! of them by noon, every day.
//!
//! A code costs the share of the address that it is made for and of the network around it, and a scan gives it back: so
//! people cost nothing, and a flood ends at its share. Where somebody has scanned a code is noted for some days, by
//! network: part of each hour's codes, and the day's last, are kept for such places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use records::{Failure, Moment, Records, Step, Write};
use tokio::time::{Instant, sleep};

use super::NoQrCode;
use super::admission::SWEEP_EVERY;
use super::limit::{Limit, network};

/// One part in so many of the day's budget is one address's share, at the usual rate for addresses or less. Whoever
/// raises that rate says that so many more people share an address, and the share grows likewise.
const PARTS: u32 = 50;
const USUAL_RATE: u32 = 120;

/// The least share: somebody who tries the login out with a small budget.
const LEAST: u32 = 20;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long it is remembered that a network has had a scan: who logs in once a week is known.
const REMEMBERED: Duration = Duration::from_secs(8 * 24 * 3600);

/// Networks that are remembered in memory at once, at about 100 bytes each; no more are taken in beyond that.
const MOST_REMEMBERED: usize = 100_000;

/// What each address has left unscanned, and where somebody has scanned.
#[derive(Debug)]
pub(crate) struct Unscanned {
    shares: Limit,
    shared: Option<Records>,
    /// Networks that have had a scan, and when. Never held across an await.
    scanned: Mutex<HashMap<IpNet, Instant>>,
}

impl Unscanned {
    /// Shares of a budget of `per_day`, where an address may ask for `a_minute` logins; counted in `shared` where there
    /// is one.
    #[must_use]
    pub(crate) fn new(per_day: u32, a_minute: u32, shared: Option<Records>) -> Self {
        let shares = Limit::new("unscanned", share(per_day, a_minute), DAY, shared.clone());
        Self { shares, shared, scanned: Mutex::default() }
    }

    /// Counts a code for `address`.
    ///
    /// # Errors
    /// [`NoQrCode::Unscanned`] and [`NoQrCode::Uncounted`]: then it gets none.
    pub(crate) async fn take(&self, address: IpAddr) -> Result<(), NoQrCode> {
        self.shares.take(address).await.map_err(NoQrCode::Uncounted)?.map_err(NoQrCode::Unscanned)
    }

    /// Takes a code off again that was not to be had.
    pub(crate) async fn give_back(&self, address: IpAddr) {
        self.shares.give_back(address).await;
    }

    /// Notes that somebody has scanned the code that was made for `address`.
    pub(crate) async fn note_scan(&self, address: IpAddr) {
        self.shares.give_back(address).await;
        match &self.shared {
            Some(records) => {
                if let Err(failure) = remember(records, network(address)).await {
                    tracing::debug!("a network that has had a scan is not noted: {failure}");
                }
            }
            None => {
                let mut scanned = self.lock();
                if scanned.len() < MOST_REMEMBERED || scanned.contains_key(&network(address)) {
                    scanned.insert(network(address), Instant::now());
                }
            }
        }
    }

    /// Whether the network of `address` has had a scan. Nobody's has while the store does not say.
    pub(crate) async fn has_scanned(&self, address: IpAddr) -> bool {
        match &self.shared {
            Some(records) => {
                records.read(&name(network(address))).await.is_ok_and(|found| found.record.is_some())
            }
            None => self.lock().get(&network(address)).is_some_and(|at| at.elapsed() < REMEMBERED),
        }
    }

    /// Forgets what is over, for as long as it is polled.
    pub(crate) async fn sweep(&self) {
        loop {
            sleep(SWEEP_EVERY).await;
            self.shares.forget_rested();
            let mut scanned = self.lock();
            scanned.retain(|_, at| at.elapsed() < REMEMBERED);
            if scanned.capacity() > 4 * scanned.len() + 1024 {
                scanned.shrink_to_fit();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpNet, Instant>> {
        // Nothing that is done under the lock can panic half-way.
        self.scanned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record says when it was written; it is written anew once a day at most.
async fn remember(records: &Records, network: IpNet) -> Result<(), Failure> {
    records
        .update(&name(network), |found, now| {
            let written = found.and_then(|at| at.parse().ok()).map(Moment);
            if written.is_some_and(|at| now.since(at) < DAY) {
                return Ok(Step::Keep(()));
            }
            let (to, forget_at) = (now.0.to_string(), now + REMEMBERED);
            Ok(Step::Write(Write { to, forget_at, only_before: None, tell: None, durably: false }, ()))
        })
        .await
}

fn name(network: IpNet) -> String {
    format!("scanned:{network}")
}

fn share(per_day: u32, a_minute: u32) -> u32 {
    let share = u64::from(per_day) * u64::from(a_minute.max(USUAL_RATE)) / u64::from(PARTS * USUAL_RATE);
    u32::try_from(share).unwrap_or(u32::MAX).min(per_day).max(LEAST)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::time::advance;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    async fn taken(unscanned: &Unscanned, from: &str, times: usize) -> usize {
        let mut taken = 0;
        for _ in 0..times {
            match unscanned.take(address(from)).await {
                Ok(()) => taken += 1,
                Err(NoQrCode::Unscanned(wait)) => assert!(wait <= DAY / LEAST),
                Err(other) => panic!("{other}"),
            }
        }
        taken
    }

    #[test]
    fn a_share_is_two_percent_and_more_where_many_share_an_address() {
        assert_eq!([share(90_000, 120), share(9_000, 120), share(90_000, 1)], [1_800, 180, 1_800]);
        assert_eq!([share(90_000, 600), share(90_000, 1_000_000)], [9_000, 90_000]);
        assert_eq!([share(100, 120), share(1, 120)], [LEAST, LEAST]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_its_share_a_network_four_and_a_scan_gives_back() {
        let unscanned = Unscanned::new(9_000, 120, None);
        assert_eq!(taken(&unscanned, "192.0.2.1", 9_000).await, 180);
        for n in 2..=4 {
            assert_eq!(taken(&unscanned, &format!("192.0.2.{n}"), 9_000).await, 180);
        }
        assert_eq!(taken(&unscanned, "192.0.2.5", 9_000).await, 0, "the network has had four");
        unscanned.note_scan(address("192.0.2.1")).await;
        assert_eq!(taken(&unscanned, "192.0.2.1", 9).await, 1);
        assert_eq!(taken(&unscanned, "2001:db8::1", 9_000).await, 180);
        advance(DAY).await;
        assert_eq!(taken(&unscanned, "192.0.2.5", 9_000).await, 180);
    }

    #[tokio::test(start_paused = true)]
    async fn people_who_scan_use_nothing_up() {
        let unscanned = Unscanned::new(9_000, 120, None);
        for _ in 0..5_000 {
            assert_eq!(taken(&unscanned, "192.0.2.1", 1).await, 1);
            unscanned.note_scan(address("192.0.2.1")).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_somebody_has_scanned_is_remembered_for_days() {
        let unscanned = Unscanned::new(9_000, 120, None);
        assert!(!unscanned.has_scanned(address("192.0.2.1")).await);
        unscanned.note_scan(address("192.0.2.1")).await;
        assert!(unscanned.has_scanned(address("192.0.2.77")).await, "the whole network");
        assert!(!unscanned.has_scanned(address("192.0.3.1")).await);
        advance(7 * DAY).await;
        assert!(unscanned.has_scanned(address("192.0.2.1")).await);
        advance(DAY).await;
        assert!(!unscanned.has_scanned(address("192.0.2.1")).await);
    }
}
