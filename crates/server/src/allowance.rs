//! How often each address may do something, in this process's memory: a number at once, which comes back with time.
//!
//! An address is an IPv4 address or an IPv6 /64, the least that one subscriber gets. Its network is the /24 or /48
//! around it, which may have four times as much. So somebody with many addresses of one network gains little, and
//! cannot fill the table of addresses: an address gets a place only after its network's limit has let it through. While
//! the table of addresses is full, only the limits of networks count. Networks beyond the table of networks share one
//! limit.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::pace::{Bucket, Rate};
use crate::shares::network as host;

/// A network may have this many times what one address may have.
pub const NETWORK: u32 = 4;

/// Addresses in the table, and networks in theirs, at about 100 bytes each. One is forgotten when it has its whole
/// allowance again.
const MOST: usize = 100_000;

/// A number for each address at once, and then one more after a time.
#[derive(Debug)]
pub struct Allowance(Mutex<Known>);

/// Never locked across an await.
#[derive(Debug)]
struct Known {
    rate: Rate,
    of_networks: Rate,
    hosts: HashMap<IpAddr, Bucket>,
    networks: HashMap<IpNet, Bucket>,
    /// Shared by networks that find no place in the table.
    beyond: Bucket,
}

impl Allowance {
    /// `most` at once for each address. Used up, they come back evenly within `time`.
    #[must_use]
    pub fn new(most: u32, time: Duration) -> Self {
        let refill = time / most.max(1);
        let of_networks = Rate { most: most.saturating_mul(NETWORK), refill: refill / NETWORK };
        Self(Mutex::new(Known {
            rate: Rate { most, refill },
            of_networks,
            hosts: HashMap::new(),
            networks: HashMap::new(),
            beyond: Bucket::full(Instant::now()),
        }))
    }

    /// Takes one for `address` and its network.
    ///
    /// # Errors
    /// The time until there is one.
    pub fn take(&self, address: IpAddr) -> Result<(), Duration> {
        let now = Instant::now();
        let mut known = self.0.lock();
        let Known { rate, of_networks, hosts, networks, beyond } = &mut *known;
        let network = place(networks, network(address), now).unwrap_or(beyond);
        network.take(*of_networks, now)?;
        match place(hosts, host(address), now) {
            Some(host) => host.take(*rate, now).inspect_err(|_| network.give_back(*of_networks)),
            None => Ok(()),
        }
    }

    /// Gives back one that was taken for `address`.
    pub fn give_back(&self, address: IpAddr) {
        let mut known = self.0.lock();
        let Known { rate, of_networks, hosts, networks, beyond } = &mut *known;
        networks.get_mut(&network(address)).unwrap_or(beyond).give_back(*of_networks);
        if let Some(host) = hosts.get_mut(&host(address)) {
            host.give_back(*rate);
        }
    }

    /// Forgets addresses and networks that have their whole allowance again.
    pub fn forget_rested(&self) {
        let (mut known, now) = (self.0.lock(), Instant::now());
        let Known { hosts, networks, .. } = &mut *known;
        forget_rested(hosts, now);
        forget_rested(networks, now);
    }
}

fn place<K: Copy + Eq + Hash>(known: &mut HashMap<K, Bucket>, whose: K, now: Instant) -> Option<&mut Bucket> {
    let has_place = known.len() < MOST || known.contains_key(&whose);
    has_place.then(|| known.entry(whose).or_insert_with(|| Bucket::full(now)))
}

fn forget_rested<K: Eq + Hash>(known: &mut HashMap<K, Bucket>, now: Instant) {
    known.retain(|_, bucket| !bucket.is_rested(now));
    if known.capacity() > 4 * known.len() + 1024 {
        known.shrink_to_fit();
    }
}

/// The network around an address: a /24 of IPv4, or a /48.
#[must_use]
pub fn network(address: IpAddr) -> IpNet {
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

    fn taken(limit: &Allowance, from: &[&str], times: usize) -> usize {
        let from: Vec<IpAddr> = from.iter().map(|address| address.parse().unwrap()).collect();
        (0..times).filter(|at| limit.take(from[at % from.len()]).is_ok()).count()
    }

    fn sizes(limit: &Allowance) -> (usize, usize) {
        let here = limit.0.lock();
        (here.hosts.len(), here.networks.len())
    }

    /// An address in the `n`th /48, or /64.
    fn address(n: u128, length: u8) -> IpAddr {
        Ipv6Addr::from_bits((0x2000_u128 << 112) | (n << (128 - length))).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_minutes_worth_at_once_and_then_so_many_a_minute() {
        let limit = Allowance::new(120, MINUTE);
        assert_eq!(taken(&limit, &["192.0.2.1"], 10_000), 120);
        let refused = limit.take("192.0.2.1".parse().unwrap());
        assert_eq!(refused, Err(Duration::from_millis(500)));
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
        let limit = Allowance::new(120, MINUTE);
        let one = ["2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1:8000::"];
        assert_eq!(taken(&limit, &one, 10_000), 120);
        assert_eq!(taken(&limit, &["2001:db8:0:2::1"], 10_000), 120);
        assert_eq!(taken(&limit, &["::ffff:192.0.2.1", "192.0.2.1"], 10_000), 120);
        assert_eq!(taken(&limit, &["::ffff:192.0.2.2"], 10_000), 120, "no /64 of all of IPv4");
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_may_have_four_times_as_much_and_what_was_refused_costs_it_nothing() {
        let limit = Allowance::new(120, MINUTE);
        assert_eq!(taken(&limit, &["192.0.2.1"], 10_000), 120);
        let neighbours: Vec<String> = (2..250).map(|n| format!("192.0.2.{n}")).collect();
        let neighbours: Vec<&str> = neighbours.iter().map(String::as_str).collect();
        assert_eq!(taken(&limit, &neighbours, 10_000), 360, "also of addresses that had none yet");
        assert_eq!(taken(&limit, &["192.0.3.1"], 10_000), 120, "others are not touched");
        limit.give_back("192.0.2.9".parse().unwrap());
        assert_eq!(taken(&limit, &["192.0.2.9"], 10), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_64s_fills_no_table_and_leaves_others_their_places() {
        let limit = Allowance::new(120, MINUTE);
        let admitted = (0..200_000).filter(|n| limit.take(address(*n, 64)).is_ok()).count();
        assert_eq!(admitted, 4 * 480, "they are of four networks");
        assert_eq!(limit.0.lock().hosts.len(), admitted);
        assert_eq!(taken(&limit, &["192.0.2.1"], 10_000), 120);
    }

    #[tokio::test(start_paused = true)]
    async fn the_tables_are_bounded_and_forget_who_has_rested() {
        let limit = Allowance::new(2, MINUTE);
        let admitted = (0..200_000).filter(|n| limit.take(address(*n, 48)).is_ok()).count();
        assert_eq!(admitted, MOST + 8, "those beyond share one place");
        assert_eq!(sizes(&limit), (MOST, MOST));
        // Who has no place among the addresses goes by its network.
        let first: IpAddr = "2000::1:0:0:0:1".parse().unwrap();
        assert_eq!((0..100).filter(|_| limit.take(first).is_ok()).count(), 7);
        sleep(Duration::from_secs(29)).await;
        limit.forget_rested();
        assert_eq!(limit.0.lock().hosts.len(), MOST, "half rested is not rested");
        sleep(Duration::from_secs(31)).await;
        limit.forget_rested();
        assert_eq!(sizes(&limit), (0, 0));
        assert_eq!(taken(&limit, &["192.0.2.1"], 10), 2);
    }
}
