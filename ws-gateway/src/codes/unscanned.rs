//! How many of the day's codes one address may leave unscanned. The limit on its new logins alone would let it have all
//! codes by noon, every day.
//!
//! A code counts against the address that it is made for and against the network around it, until it is scanned. So
//! people who log in use nothing up, and a flood ends at its share. Networks where somebody has scanned a code are
//! remembered for some days: part of each hour's codes, and the last of the day, are kept for them.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join;
use parking_lot::Mutex;
use records::{Moment, Records, Redis, Step, Write};
use server::allowance::network;
use tokio::time::{Instant, sleep};

use super::NoQrCode;
use super::admission::SWEEP_EVERY;
use super::limit::{Limit, NotTaken};

/// An address's share is a fiftieth of the day's budget, if `GATEWAY_ADDRESS_RATE` is 120 or less. An operator who
/// raises that rate says that more people share an address, and the share grows with it.
const PARTS: u32 = 50;
const USUAL_RATE: u32 = 120;

/// The smallest share, for somebody who tries the login out with a small budget.
const LEAST: u32 = 20;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long a network with a scan is remembered. Somebody who logs in once a week stays known.
const REMEMBERED: Duration = Duration::from_secs(8 * 24 * 3600);

/// Networks that are remembered in memory, at about 100 bytes each. No more are added beyond that.
const MOST_REMEMBERED: usize = 100_000;

/// How long a gateway does not ask again whether a network is remembered, and how many it knows.
const LATELY: Duration = Duration::from_secs(3600);
const MOST_LATELY: usize = 10_000;

/// What came of an address's share, which was asked for when the address was admitted. The code that it pays for is still
/// to be taken.
#[derive(Debug)]
pub(crate) struct Prepaid(Result<(), NotTaken>);

impl From<NotTaken> for NoQrCode {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Wait(wait) => Self::Unscanned(wait),
            NotTaken::Uncounted(failure) => Self::Uncounted(failure),
        }
    }
}

/// What each address has left unscanned, and the networks where somebody has scanned.
#[derive(Debug)]
pub(crate) struct Unscanned {
    shares: Limit,
    /// When a network has had a scan. It is written anew once a day at most.
    scanned: Records<Moment>,
    /// What stands before a network in the names of these records: the account's appid, where it has a name.
    of: String,
    lately: Mutex<Lately>,
}

/// Networks that this gateway knows to be remembered, so that the store need not be asked at each scan. They are forgotten now
/// and then, in case the store has lost them.
#[derive(Debug)]
struct Lately {
    networks: HashSet<String>,
    since: Instant,
}

impl Lately {
    fn contains(&self, network: &str) -> bool {
        self.since.elapsed() < LATELY && self.networks.contains(network)
    }

    fn note(&mut self, network: String) {
        if self.since.elapsed() >= LATELY || self.networks.len() >= MOST_LATELY {
            *self = Self::default();
        }
        self.networks.insert(network);
    }
}

impl Default for Lately {
    fn default() -> Self {
        Self { networks: HashSet::new(), since: Instant::now() }
    }
}

impl Unscanned {
    /// Shares of a budget of `per_day`, for addresses that may ask for `a_minute` logins. They are counted in `shared`,
    /// if there is one.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub(crate) fn new(per_day: u32, a_minute: u32, shared: Option<Redis>) -> Self {
        Self::of_account(None, per_day, a_minute, shared)
    }

    /// The same of an account that has a name of its own, by its appid: a scan of one account's codes says nothing of
    /// another's.
    #[must_use]
    pub(crate) fn of_account(
        app_id: Option<&str>,
        per_day: u32,
        a_minute: u32,
        shared: Option<Redis>,
    ) -> Self {
        let of = app_id.map_or_else(String::new, |app_id| format!("{app_id}:"));
        let scanned = match &shared {
            Some(redis) => Records::in_redis("scanned", redis),
            None => Records::in_memory("scanned", MOST_REMEMBERED),
        };
        let name = app_id.map_or_else(|| "unscanned".to_owned(), |app_id| format!("unscanned:{app_id}"));
        Self {
            shares: Limit::new(name, share(per_day, a_minute), DAY, shared),
            scanned,
            of,
            lately: Mutex::default(),
        }
    }

    /// Counts a code for `address`.
    ///
    /// # Errors
    /// [`NoQrCode::Unscanned`] or [`NoQrCode::Uncounted`]. The address then gets no code.
    pub(crate) async fn take(&self, address: IpAddr) -> Result<(), NoQrCode> {
        Ok(self.shares.take(address).await?)
    }

    /// The same, after one of `limit` was taken for `address`; nothing where that is still to be done.
    ///
    /// # Errors
    /// Why there is none of `limit`.
    pub(super) async fn take_after(
        &self,
        limit: &Limit,
        address: IpAddr,
    ) -> Result<Option<Prepaid>, NotTaken> {
        Ok(limit.take_and(&self.shares, address).await?.map(Prepaid))
    }

    /// A code for `address`, of which perhaps something came before.
    ///
    /// # Errors
    /// As [`Unscanned::take`].
    pub(super) async fn use_prepaid(
        &self,
        prepaid: Option<Prepaid>,
        address: IpAddr,
    ) -> Result<(), NoQrCode> {
        match prepaid {
            Some(Prepaid(taken)) => Ok(taken?),
            None => self.take(address).await,
        }
    }

    /// Takes off a code that could not be had.
    pub(crate) async fn give_back(&self, address: IpAddr) {
        self.shares.give_back(address).await;
    }

    /// Notes that somebody has scanned a code that was made for `address`.
    pub(crate) async fn note_scan(&self, address: IpAddr) {
        self.shares.give_back(address).await;
        let network = self.name(address);
        if self.lately.lock().contains(&network) {
            return;
        }
        let noted = self.scanned.update(&network, |at, now| match at {
            Some(at) if now.since(*at) < DAY => Step::Keep(()),
            _ => Step::Write(Write::new(now, now + REMEMBERED), ()),
        });
        match noted.await {
            Ok(()) => self.lately.lock().note(network),
            Err(failure) => tracing::debug!("a network that has had a scan is not noted: {failure}"),
        }
    }

    /// Whether the network of `address` has had a scan; `false` if the store fails.
    pub(crate) async fn has_scanned(&self, address: IpAddr) -> bool {
        let found = self.scanned.read(&self.name(address)).await;
        found.is_ok_and(|found| found.record.is_some())
    }

    fn name(&self, address: IpAddr) -> String {
        format!("{}{}", self.of, network(address))
    }

    /// Forgets what is over, for as long as it is polled.
    pub(crate) async fn sweep(&self) {
        let rested = async {
            loop {
                sleep(SWEEP_EVERY).await;
                self.shares.forget_rested();
            }
        };
        join(rested, self.scanned.sweep()).await;
    }
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
