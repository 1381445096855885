//! How many new logins one address may ask for: each costs a call to WeChat, and one visitor must not
//! spend what all of them share.
//!
//! Coming back to a login costs no code, but work: an address may do it ten times as often, which each gateway counts
//! for itself, because the work is its own. An IPv6 address counts as its /64, which is the least that one
//! subscriber gets. The limit on all addresses together is the pace of the QR codes' budget. Gateways that
//! share their logins in Redis count there, together; otherwise each counts in its memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use records::{Bucket, Records, Taken};
use server::shares::network;
use tokio::time::{Instant, sleep};

use crate::logins::StoreError;
use crate::pace::Pace;

/// Addresses that are counted at once, at about 100 bytes each; one is forgotten after a minute's rest.
/// More than that are no visitors but a flood, and share one place.
const MAX_ADDRESSES: usize = 100_000;

/// How many pages of an address may come back for each new login that it may have. All of an office do at once, when
/// a gateway was restarted.
const RETURNS: u32 = 10;

/// How often addresses that have rested are taken out.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Log lines about refusals: one, and the next no sooner than this. A flood must not fill the disk.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The addresses that have lately asked for logins.
#[derive(Debug)]
pub(crate) struct Addresses {
    a_minute: u32,
    shared: Option<Records>,
    /// Never held across an await.
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    logins: Paces,
    returns: Paces,
    log: Pace,
}

/// How fast each address may ask for one thing: so many a minute, and as many at once.
#[derive(Debug)]
struct Paces {
    a_minute: u32,
    known: HashMap<IpAddr, Pace>,
    /// Whoever finds no place in the table.
    beyond: Pace,
}

impl Paces {
    fn new(a_minute: u32, now: Instant) -> Self {
        let beyond = Pace::new(a_minute, refill(a_minute), now);
        Self { a_minute, known: HashMap::new(), beyond }
    }

    fn take(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let Self { a_minute, known, beyond } = self;
        let has_place = known.len() < MAX_ADDRESSES || known.contains_key(&address);
        let pace = match has_place {
            true => known.entry(address).or_insert_with(|| Pace::new(*a_minute, refill(*a_minute), now)),
            false => beyond,
        };
        pace.take(now)
    }

    fn forget_rested(&mut self, now: Instant) {
        let known = &mut self.known;
        known.retain(|_, pace| !pace.is_rested(now));
        if known.capacity() > 4 * known.len() + 1024 {
            known.shrink_to_fit();
        }
    }
}

impl Addresses {
    /// Each address may ask for `a_minute` logins at once, and then for so many a minute, evenly. They are
    /// counted in `shared` where there is one.
    #[must_use]
    pub(crate) fn new(a_minute: u32, shared: Option<Records>) -> Self {
        let now = Instant::now();
        let (logins, returns) =
            (Paces::new(a_minute, now), Paces::new(a_minute.saturating_mul(RETURNS), now));
        let table = Table { logins, returns, log: Pace::new(1, LOG_EVERY, now) };
        Self { a_minute, shared, table: Mutex::new(table) }
    }

    /// Counts a new login of `address`. One too many gets the time until there may be another.
    ///
    /// # Errors
    /// When the store cannot count.
    pub(crate) async fn admit(&self, address: IpAddr) -> Result<Result<(), Duration>, StoreError> {
        let address = network(address);
        let admitted = match &self.shared {
            None => self.admit_here(address),
            Some(records) => {
                let name = format!("address:{address}");
                let bucket = Bucket { name: &name, most: self.a_minute, refill: refill(self.a_minute) };
                match records.take(bucket, None).await? {
                    Taken::Wait(wait) => Err(wait),
                    Taken::Yes | Taken::Full => Ok(()),
                }
            }
        };
        if admitted.is_err() {
            self.tell(address, "new logins");
        }
        Ok(admitted)
    }

    /// Counts a page of `address` that comes back to its login. One too many gets the time until there may be
    /// another.
    ///
    /// # Errors
    /// The time to wait.
    pub(crate) fn admit_back(&self, address: IpAddr) -> Result<(), Duration> {
        let address = network(address);
        let admitted = self.lock().returns.take(address, Instant::now());
        if admitted.is_err() {
            self.tell(address, "pages that come back");
        }
        admitted
    }

    fn admit_here(&self, address: IpAddr) -> Result<(), Duration> {
        self.lock().logins.take(address, Instant::now())
    }

    fn tell(&self, address: IpAddr, what: &str) {
        if self.lock().log.take(Instant::now()).is_ok() {
            tracing::warn!(
                %address,
                "too many {what} from one address; name it in GATEWAY_TRUSTED_PROXIES if it is your proxy, or \
                 raise GATEWAY_ADDRESS_RATE if many people share it"
            );
        }
    }

    /// Forgets addresses that have rested, for as long as it is polled.
    pub(crate) async fn sweep(&self) {
        loop {
            sleep(SWEEP_EVERY).await;
            let now = Instant::now();
            let mut table = self.lock();
            table.logins.forget_rested(now);
            table.returns.forget_rested(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing that is done under the lock can panic half-way.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refill(a_minute: u32) -> Duration {
    Duration::from_secs(60) / a_minute.max(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::Ipv6Addr;
    use std::sync::Arc;

    use tokio::time::advance;

    use super::*;

    fn admitted(addresses: &Addresses, from: &[&str], times: usize) -> usize {
        let from: Vec<IpAddr> = from.iter().map(|address| address.parse().unwrap()).collect();
        (0..times).filter(|at| addresses.admit_here(network(from[at % from.len()])).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_minutes_logins_at_once_and_then_so_many_a_minute() {
        let addresses = Addresses::new(120, None);
        assert_eq!(admitted(&addresses, &["192.0.2.1"], 10_000), 120);
        assert_eq!(
            addresses.admit("192.0.2.1".parse().unwrap()).await.unwrap(),
            Err(Duration::from_millis(500))
        );
        advance(Duration::from_millis(500)).await;
        assert_eq!(admitted(&addresses, &["192.0.2.1"], 2), 1);
        let mut within_a_minute = 0;
        for _ in 0..600 {
            advance(Duration::from_millis(100)).await;
            within_a_minute += admitted(&addresses, &["192.0.2.1"], 1);
        }
        assert_eq!(within_a_minute, 120);
        assert_eq!(admitted(&addresses, &["192.0.2.2"], 10_000), 120, "others are not touched");
    }

    #[tokio::test(start_paused = true)]
    async fn a_64_is_one_address_and_mapped_ipv4_is_ipv4() {
        let addresses = Addresses::new(120, None);
        let one = ["2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1:8000::"];
        assert_eq!(admitted(&addresses, &one, 10_000), 120);
        assert_eq!(admitted(&addresses, &["2001:db8:0:2::1"], 10_000), 120);
        assert_eq!(admitted(&addresses, &["::ffff:192.0.2.1", "192.0.2.1"], 10_000), 120);
        assert_eq!(admitted(&addresses, &["::ffff:192.0.2.2"], 10_000), 120, "no /64 of all of IPv4");
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded_and_forgets_who_has_rested() {
        let addresses = Arc::new(Addresses::new(2, None));
        tokio::spawn({
            let addresses = Arc::clone(&addresses);
            async move { addresses.sweep().await }
        });
        let others = (0..200_000_u128).map(|n| Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | (n << 64)));
        let admitted = others.filter(|other| addresses.admit_here((*other).into()).is_ok()).count();
        assert_eq!(admitted, MAX_ADDRESSES + 2, "those beyond share one place");
        assert_eq!(addresses.lock().logins.known.len(), MAX_ADDRESSES);
        sleep(Duration::from_secs(15)).await;
        assert_eq!(addresses.lock().logins.known.len(), MAX_ADDRESSES, "half rested is not rested");
        sleep(Duration::from_secs(30)).await;
        assert_eq!(addresses.lock().logins.known.len(), 0);
        assert_eq!(addresses.admit("192.0.2.1".parse().unwrap()).await.unwrap(), Ok(()));
    }
}
