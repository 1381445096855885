//! The clients that are connected to the internal port, as an operator sees them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

/// All of them. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connected(Arc<Mutex<Known>>);

/// Never locked across an await.
#[derive(Debug, Default)]
struct Known {
    next: u64,
    clients: BTreeMap<u64, Connection>,
}

/// One client's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    /// The client's name, from the operator's file.
    pub(crate) client: String,
    /// Which of its keys, counted from 0.
    pub(crate) key: usize,
    pub(crate) peer: SocketAddr,
    pub(crate) since: SystemTime,
}

/// A connection's place in the list, until it is dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    of: Connected,
    number: u64,
}

impl Connected {
    /// A client has proved this key.
    #[must_use]
    pub(crate) fn list(&self, client: &str, key: usize, peer: SocketAddr) -> Listed {
        let connection = Connection { client: client.to_owned(), key, peer, since: SystemTime::now() };
        let mut known = self.0.lock();
        let number = known.next;
        known.next += 1;
        known.clients.insert(number, connection);
        Listed { of: self.clone(), number }
    }

    /// The connections, the newest first, at most so many, and how many there are.
    #[must_use]
    pub(crate) fn look(&self, most: usize) -> (Vec<Connection>, usize) {
        let known = self.0.lock();
        (known.clients.values().rev().take(most).cloned().collect(), known.clients.len())
    }
}

impl Listed {
    /// The client's key has another place in the file now.
    pub(crate) fn has_key(&self, key: usize) {
        if let Some(connection) = self.of.0.lock().clients.get_mut(&self.number) {
            connection.key = key;
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.of.0.lock().clients.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_client_is_listed_for_as_long_as_it_is_connected() {
        let connected = Connected::default();
        let peer = "192.0.2.1:1".parse().unwrap();
        let (first, second) = (connected.list("one", 0, peer), connected.list("two", 1, peer));
        let (seen, all) = connected.look(1);
        assert_eq!((seen.len(), all, seen[0].client.as_str()), (1, 2, "two"), "the newest");
        let (seen, _) = connected.look(9);
        assert_eq!(seen.iter().map(|it| it.client.as_str()).collect::<Vec<_>>(), ["two", "one"]);
        drop(first);
        second.has_key(0);
        let (seen, all) = connected.look(9);
        assert_eq!((seen.len(), all, seen[0].client.as_str(), seen[0].key), (1, 1, "two", 0));
    }
}
