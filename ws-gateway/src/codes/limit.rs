//! A limit for one address and for the network around it.
//!
//! An address is an IPv4 address or an IPv6 /64, the least that one subscriber gets. Its network is the /24 or /48
//! around it, which may have four times as much. So somebody with many addresses of one network gains little, and
//! cannot fill the table of addresses: an address gets a place only after its network's limit has let it through. While
//! the table of addresses is full, only the limits of networks count. Networks beyond the table of networks share one
//! limit.
//!
//! Gateways that share their logins in Redis count there together. Otherwise each counts in its memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::Mutex;
use records::{Bucket, Failure, Redis, Taken};
use server::shares::network as host;
use tokio::time::Instant;

use crate::pace::Pace;

/// A network may have this many times what one address may have.
const NETWORK: u32 = 4;

/// Addresses in the table, and networks in theirs, at about 100 bytes each. One is forgotten when it has its whole
/// allowance again.
const MOST: usize = 100_000;

/// A number for each address at once, and then one more after each `refill`.
#[derive(Debug)]
pub(super) struct Limit {
    name: &'static str,
    most: u32,
    refill: Duration,
    shared: Option<Redis>,
    /// Never held across an await.
    here: Mutex<Here>,
}

/// Why an address gets none.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// There is one after this time.
    Wait(Duration),
    /// The store cannot count.
    Uncounted(Failure),
}

#[derive(Debug)]
struct Here {
    hosts: HashMap<IpAddr, Pace>,
    networks: HashMap<IpNet, Pace>,
    /// Shared by networks that find no place in the table.
    beyond: Pace,
}

impl Limit {
    /// `most` at once for each address. Used up, they come back evenly within `time`. They are counted under `name` in
    /// `shared`, if there is one.
    #[must_use]
    pub(super) fn new(name: &'static str, most: u32, time: Duration, shared: Option<Redis>) -> Self {
        let refill = time / most.max(1);
        let beyond = Pace::new(most.saturating_mul(NETWORK), refill / NETWORK, Instant::now());
        let here = Mutex::new(Here { hosts: HashMap::new(), networks: HashMap::new(), beyond });
        Self { name, most, refill, shared, here }
    }

    /// Takes one for `address` and its network.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub(super) async fn take(&self, address: IpAddr) -> Result<(), NotTaken> {
        let Some(redis) = &self.shared else { return self.take_here(address).map_err(NotTaken::Wait) };
        let [host, network] = self.names(address);
        match redis.take(&self.buckets(&host, &network), None).await.map_err(NotTaken::Uncounted)? {
            Taken::Wait(wait) => Err(NotTaken::Wait(wait)),
            Taken::Yes | Taken::Full => Ok(()),
        }
    }

    /// The same, counted by this gateway alone.
    ///
    /// # Errors
    /// The time until there is one.
    pub(super) fn take_here(&self, address: IpAddr) -> Result<(), Duration> {
        let now = Instant::now();
        let mut here = self.here.lock();
        let Here { hosts, networks, beyond } = &mut *here;
        let full = Pace::new(self.most.saturating_mul(NETWORK), self.refill / NETWORK, now);
        let network = place(networks, network(address), full).unwrap_or(beyond);
        network.take(now)?;
        match place(hosts, host(address), Pace::new(self.most, self.refill, now)) {
            Some(host) => host.take(now).inspect_err(|_| network.give_back()),
            None => Ok(()),
        }
    }

    /// Gives back one that was taken for `address`. If the store fails, it stays taken.
    pub(super) async fn give_back(&self, address: IpAddr) {
        let Some(redis) = &self.shared else { return self.give_back_here(address) };
        let [host, network] = self.names(address);
        if let Err(failure) = redis.give_back(&self.buckets(&host, &network), None).await {
            tracing::debug!(%address, "what was not used stays counted: {failure}");
        }
    }

    fn give_back_here(&self, address: IpAddr) {
        let mut here = self.here.lock();
        let Here { hosts, networks, beyond } = &mut *here;
        networks.get_mut(&network(address)).unwrap_or(beyond).give_back();
        if let Some(host) = hosts.get_mut(&host(address)) {
            host.give_back();
        }
    }

    fn names(&self, address: IpAddr) -> [String; 2] {
        [format!("{}:{}", self.name, host(address)), format!("{}:{}", self.name, network(address))]
    }

    fn buckets<'a>(&self, host: &'a str, network: &'a str) -> [Bucket<'a>; 2] {
        let Self { most, refill, .. } = *self;
        let (of_network, sooner) = (most.saturating_mul(NETWORK), refill / NETWORK);
        [
            Bucket { name: host, most, refill, stay: 0 },
            Bucket { name: network, most: of_network, refill: sooner, stay: 0 },
        ]
    }

    /// Forgets addresses and networks that have their whole allowance again.
    pub(super) fn forget_rested(&self) {
        let (mut here, now) = (self.here.lock(), Instant::now());
        let Here { hosts, networks, .. } = &mut *here;
        forget_rested(hosts, now);
        forget_rested(networks, now);
    }
}

fn place<K: Copy + Eq + Hash>(known: &mut HashMap<K, Pace>, whose: K, full: Pace) -> Option<&mut Pace> {
    let has_place = known.len() < MOST || known.contains_key(&whose);
    has_place.then(|| known.entry(whose).or_insert(full))
}

fn forget_rested<K: Eq + Hash>(known: &mut HashMap<K, Pace>, now: Instant) {
    known.retain(|_, pace| !pace.is_rested(now));
    if known.capacity() > 4 * known.len() + 1024 {
        known.shrink_to_fit();
    }
}

/// The network around an address: a /24 of IPv4, or a /48.
pub(super) fn network(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let length = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, length).unwrap_or_else(|_| address.into()).trunc()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::Ipv6Addr;

    use tokio::time::{advance, sleep};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn taken(limit: &Limit, from: &[&str], times: usize) -> usize {
        let from: Vec<IpAddr> = from.iter().map(|address| address.parse().unwrap()).collect();
        (0..times).filter(|at| limit.take_here(from[at % from.len()]).is_ok()).count()
    }

    fn sizes(limit: &Limit) -> (usize, usize) {
        let here = limit.here.lock();
        (here.hosts.len(), here.networks.len())
    }

    /// An address in the `n`th /48, or /64.
    fn address(n: u128, length: u8) -> IpAddr {
        Ipv6Addr::from_bits((0x2000_u128 << 112) | (n << (128 - length))).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_minutes_worth_at_once_and_then_so_many_a_minute() {
        let limit = Limit::new("address", 120, MINUTE, None);
        assert_eq!(taken(&limit, &["192.0.2.1"], 10_000), 120);
        let refused = limit.take("192.0.2.1".parse().unwrap()).await.unwrap_err();
        assert!(matches!(refused, NotTaken::Wait(wait) if wait == Duration::from_millis(500)), "{refused:?}");
        advance(Duration::from_millis(500)).await;
        assert_eq!(taken(&limit, &["192.0.2.1"], 2), 1);
        let mut within_a_minute = 0;
        for _ in 0..600 {
            advance(Duration::from_millis(100)).await;
            within_a_minute += taken(&limit, &["192.0.2.1"], 1);
        }
        assert_eq!(within_a_minute, 120);
        assert_eq!(taken(&limit, &["192.0.2.2"], 10_000), 120, "others are not touched");
    }

    #[tokio::test(start_paused = true)]
    async fn a_64_is_one_address_and_mapped_ipv4_is_ipv4() {
        let limit = Limit::new("address", 120, MINUTE, None);
        let one = ["2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1:8000::"];
        assert_eq!(taken(&limit, &one, 10_000), 120);
        assert_eq!(taken(&limit, &["2001:db8:0:2::1"], 10_000), 120);
        assert_eq!(taken(&limit, &["::ffff:192.0.2.1", "192.0.2.1"], 10_000), 120);
        assert_eq!(taken(&limit, &["::ffff:192.0.2.2"], 10_000), 120, "no /64 of all of IPv4");
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_may_have_four_times_as_much_and_what_was_refused_costs_it_nothing() {
        let limit = Limit::new("address", 120, MINUTE, None);
        assert_eq!(taken(&limit, &["192.0.2.1"], 10_000), 120);
        let neighbours: Vec<String> = (2..250).map(|n| format!("192.0.2.{n}")).collect();
        let neighbours: Vec<&str> = neighbours.iter().map(String::as_str).collect();
        assert_eq!(taken(&limit, &neighbours, 10_000), 360, "also of addresses that had none yet");
        assert_eq!(taken(&limit, &["192.0.3.1"], 10_000), 120, "others are not touched");
        limit.give_back("192.0.2.9".parse().unwrap()).await;
        assert_eq!(taken(&limit, &["192.0.2.9"], 10), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_64s_fills_no_table_and_leaves_others_their_places() {
        let limit = Limit::new("address", 120, MINUTE, None);
        let admitted = (0..200_000).filter(|n| limit.take_here(address(*n, 64)).is_ok()).count();
        assert_eq!(admitted, 4 * 480, "they are of four networks");
        assert_eq!(limit.here.lock().hosts.len(), admitted);
        assert_eq!(taken(&limit, &["192.0.2.1"], 10_000), 120);
    }

    #[tokio::test(start_paused = true)]
    async fn the_tables_are_bounded_and_forget_who_has_rested() {
        let limit = Limit::new("address", 2, MINUTE, None);
        let admitted = (0..200_000).filter(|n| limit.take_here(address(*n, 48)).is_ok()).count();
        assert_eq!(admitted, MOST + 8, "those beyond share one place");
        assert_eq!(sizes(&limit), (MOST, MOST));
        // Who has no place among the addresses goes by its network.
        let first: IpAddr = "2000::1:0:0:0:1".parse().unwrap();
        assert_eq!((0..100).filter(|_| limit.take_here(first).is_ok()).count(), 7);
        sleep(Duration::from_secs(29)).await;
        limit.forget_rested();
        assert_eq!(limit.here.lock().hosts.len(), MOST, "half rested is not rested");
        sleep(Duration::from_secs(31)).await;
        limit.forget_rested();
        assert_eq!(sizes(&limit), (0, 0));
        assert_eq!(taken(&limit, &["192.0.2.1"], 10), 2);
    }
}
