//! Ports for servers that come and go.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Ports that no system gives to outgoing connections, or to programs that ask for any port.
const PORTS: std::ops::Range<u16> = 10_000..32_768;

/// A free port of loopback, for a server that will be stopped and started on it again.
///
/// The system never hands out this port by itself. While its server is stopped, an ordinary port could go to
/// another program, or a client that tries to reach it could even be connected to itself. One process never
/// gets a port twice. Another test's process may take it, which the server's start must notice.
///
/// # Panics
/// When there is no free port.
#[must_use]
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    for _ in 0..1000 {
        let port = fastrand::u16(PORTS);
        let is_new =
            GIVEN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(port);
        if is_new && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port among {PORTS:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_never_one_of_the_systems_own() {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let first_of_system: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        let ports: HashSet<u16> = (0..1000).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 1000);
        assert!(ports.iter().all(|port| *port < first_of_system), "the system starts at {first_of_system}");
    }
}
