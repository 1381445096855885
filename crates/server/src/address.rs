//! The address that a request came from, behind any number of proxies that we trust, and how it is shown.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The address that a request with these `headers` came from, as [`client_address`] says.
#[must_use]
pub fn of_request(headers: &HeaderMap, peer: SocketAddr, trusted: &[IpNet]) -> IpAddr {
    // Proxies append to whatever line the browser sent, so rubbish at its start must not hide the rest.
    let forwarded: Vec<_> = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    client_address(peer, forwarded.iter().map(|line| line.as_ref()), trusted)
}

/// Reads a network such as 10.0.0.0/8, or a single address, for use as a clap value parser.
///
/// # Errors
/// When the text is neither.
pub fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| "write networks such as 10.0.0.0/8,fd00::/8".to_owned())
}

/// The address that a request came from: the peer, or, when the peer is a trusted proxy, the right-most
/// address of X-Forwarded-For that is not one. What an untrusted peer says there is ignored.
///
/// `forwarded` are the header's values in the order in which they came.
#[must_use]
pub fn client_address<'a>(
    peer: SocketAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[IpNet],
) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut nearest = peer.ip().to_canonical();
    for hop in forwarded.rev().flat_map(|line| line.rsplit(',')) {
        if !is_trusted(nearest) {
            break;
        }
        match parse(hop.trim()) {
            Some(address) => nearest = address,
            // This hop cannot be read, so the last one before it counts.
            None => break,
        }
    }
    nearest
}

/// Some proxies write the port too: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
fn parse(hop: &str) -> Option<IpAddr> {
    let address = hop.parse().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.ok().or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

/// The first half of an address: enough for a person to know their own network again, and not more of somebody else's.
#[must_use]
pub fn shortened(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, ..] = Ipv4Addr::octets(&address);
            format!("{a}.{b}.*.*")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:*")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), forwarded.iter().copied(), &trusted).to_string()
    }

    #[test]
    fn the_right_most_hop_that_is_not_trusted_counts() {
        let proxies = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(of("198.51.100.7:1", &["1.2.3.4"], &proxies), "198.51.100.7", "ignored from others");
        assert_eq!(of("10.0.0.1:1", &["6.6.6.6, 203.0.113.9, 10.0.0.2"], &proxies), "203.0.113.9");
        assert_eq!(of("10.0.0.1:1", &["6.6.6.6", "203.0.113.9"], &proxies), "203.0.113.9", "two headers");
        assert_eq!(of("10.0.0.1:1", &["203.0.113.9:4711"], &proxies), "203.0.113.9");
        assert_eq!(of("[fd00::1]:1", &["[2001:db8::1]:4711"], &proxies), "2001:db8::1");
        assert_eq!(of("[::ffff:10.0.0.1]:1", &["203.0.113.9"], &proxies), "203.0.113.9", "mapped IPv4");
        assert_eq!(of("10.0.0.1:1", &["6.6.6.6, unknown"], &proxies), "10.0.0.1");
        assert_eq!(of("10.0.0.1:1", &["10.0.0.3"], &proxies), "10.0.0.3");
        assert_eq!(of("10.0.0.1:1", &[], &proxies), "10.0.0.1");
        assert_eq!(of("10.0.0.1:1", &["1.2.3.4"], &[]), "10.0.0.1", "nobody is trusted by default");
    }
}
