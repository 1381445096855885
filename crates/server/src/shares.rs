//! What one address may have of something that all share, such as a port's places.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::Mutex;

/// One address may have at least this many, which is enough for a household or a small office.
const LEAST: usize = 64;

/// What counts as one address: an IPv4 address, also when it is written as IPv6, or an IPv6 /64, which is the least
/// that one subscriber gets.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// The share of one address in this many `places`: a quarter, and at least 64.
#[must_use]
pub fn of(places: usize) -> usize {
    (places / 4).max(LEAST)
}

/// How much each address has.
#[derive(Debug)]
pub struct Shares {
    most: usize,
    trusted: Vec<IpNet>,
    /// Never held across an await.
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One of an address's share, until it is dropped.
#[derive(Debug)]
pub struct Share {
    network: IpAddr,
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Shares {
    /// Each address may have `most`. `trusted` ones have no limit, because many people share a proxy.
    #[must_use]
    pub fn new(most: usize, trusted: Vec<IpNet>) -> Self {
        Self { most, trusted, held: Arc::default() }
    }

    /// What each address may have.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// Takes one for `address`. `Ok(None)` means that the address has no limit.
    ///
    /// # Errors
    /// When the address has its whole share already.
    pub fn take(&self, address: IpAddr) -> Result<Option<Share>, AllTaken> {
        let address = address.to_canonical();
        if self.trusted.iter().any(|network| network.contains(&address)) {
            return Ok(None);
        }
        let network = network(address);
        let mut held = self.held.lock();
        let of_this = held.entry(network).or_default();
        if *of_this >= self.most {
            return Err(AllTaken);
        }
        *of_this += 1;
        Ok(Some(Share { network, held: Arc::clone(&self.held) }))
    }
}

impl Share {
    /// The address or IPv6 network that has it.
    #[must_use]
    pub fn network(&self) -> IpAddr {
        self.network
    }
}

/// The address has its whole share already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllTaken;

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        if let Some(of_this) = held.get_mut(&self.network) {
            *of_this -= 1;
            if *of_this == 0 {
                held.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_address_has_its_share_and_gives_it_back() {
        let shares = Shares::new(2, vec!["10.0.0.0/8".parse().unwrap()]);
        let take = |address: &str| shares.take(address.parse().unwrap());
        let first = take("192.0.2.1").unwrap();
        let second = take("::ffff:192.0.2.1").unwrap();
        assert_eq!(take("192.0.2.1").unwrap_err(), AllTaken);
        assert!(take("192.0.2.2").unwrap().is_some(), "others have theirs");
        let of_a_64 = [take("2001:db8:0:1::1").unwrap(), take("2001:db8:0:1:ffff::").unwrap()];
        assert_eq!(take("2001:db8:0:1::2").unwrap_err(), AllTaken);
        assert!(take("2001:db8:0:2::1").is_ok());
        for _ in 0..10 {
            assert!(take("::ffff:10.1.2.3").unwrap().is_none(), "a proxy has no limit");
        }
        drop(second);
        assert!(take("192.0.2.1").is_ok());
        drop((first, of_a_64));
        assert!(shares.held.lock().is_empty(), "nothing is kept of who has left");
    }
}
