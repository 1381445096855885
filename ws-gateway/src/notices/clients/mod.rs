//! The back ends that may send notices, their keys, and what each may send.

pub(crate) mod entry;
pub(crate) mod file;
mod rate;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use protocol::Key;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use self::rate::Rate;
use crate::logins::rights::Rights;
use crate::metrics::{self, ClientKey, NoticeCounts};

/// The name of the client whose key is `NOTIFY_KEY`.
pub(crate) const CALLBACK: &str = "callback";

/// A back end that may send notices.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Its name, as its auth frame says it.
    pub(crate) name: String,
    /// Its keys: one, or two while a new one replaces the old one.
    pub(crate) keys: Vec<Key>,
    /// What it may send.
    pub(crate) may: Rights,
    /// Notices a second, and as many at once; unlimited if `None`.
    pub(crate) rate: Option<NonZeroU32>,
    /// The client is rejected from this time on.
    pub(crate) expires: Option<SystemTime>,
}

impl Client {
    /// The time until the client expires, if it ever does.
    fn lives(&self) -> Option<Duration> {
        self.expires.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

/// All clients, as they were read last, with what each uses of its limits.
#[derive(Debug)]
pub(crate) struct Clients(Vec<Arc<Known>>);

/// A client, with what all its connections together use of its limits.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) client: Client,
    rate: Mutex<Option<Rate>>,
    places: Arc<Semaphore>,
    /// The counts of its notices.
    pub(crate) counts: NoticeCounts,
}

/// A client that has proved one of its keys.
#[derive(Debug, Clone)]
pub(crate) struct Proved {
    pub(crate) known: Arc<Known>,
    /// Which of the client's keys, counted from 0.
    pub(crate) key: usize,
}

/// Why a client is rejected, now or on an open connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unproved {
    #[error("unknown client, or the proof does not hold")]
    Unknown,
    #[error("this client has expired")]
    Expired,
    #[error("this key is no longer accepted")]
    Withdrawn,
}

impl Clients {
    /// A set of clients, each with at most `places` connections at once.
    #[must_use]
    pub(crate) fn new(clients: Vec<Client>, places: usize) -> Self {
        let known = |client: Client| {
            let rate = Mutex::new(client.rate.map(|rate| Rate::new(rate, Instant::now())));
            let (places, counts) = (Arc::new(Semaphore::new(places)), NoticeCounts::default());
            Arc::new(Known { client, rate, places, counts })
        };
        Self(clients.into_iter().map(known).collect())
    }

    /// The clients that replace these. A client that is in both sets keeps its connections, and what it has used of its
    /// rate, unless the rate has changed.
    #[must_use]
    pub(crate) fn replaced_by(&self, clients: Vec<Client>, places: usize) -> Self {
        let Self(mut new) = Self::new(clients, places);
        for known in new.iter_mut().filter_map(Arc::get_mut) {
            let Some(before) = self.named(&known.client.name) else { continue };
            known.places = Arc::clone(&before.places);
            if known.client.rate == before.client.rate {
                let rate = before.rate.lock().clone();
                known.rate = Mutex::new(rate);
            }
        }
        Self(new)
    }

    fn named(&self, name: &str) -> Option<&Arc<Known>> {
        self.0.iter().find(|known| known.client.name == name)
    }

    /// Each key of a client that expires, as the metrics name it, and when, in seconds since 1970.
    pub(crate) fn expiring(&self) -> impl Iterator<Item = (ClientKey, i64)> {
        self.0.iter().flat_map(|known| {
            let Client { name, keys, expires, .. } = &known.client;
            let at = expires.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
            let at = at.map(|at| i64::try_from(at.as_secs()).unwrap_or(i64::MAX));
            at.into_iter()
                .flat_map(move |at| (0..keys.len()).map(move |key| (metrics::client_key(name, key), at)))
        })
    }

    /// Whether there is a client with this name.
    #[must_use]
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.named(name).is_some()
    }

    /// Finds the client that `name` and `proof` prove.
    ///
    /// # Errors
    /// When the proof fits no client, or the client has expired.
    pub(crate) fn prove(&self, name: &str, challenge: &str, proof: &str) -> Result<Proved, Unproved> {
        let known = self.named(name).ok_or(Unproved::Unknown)?;
        let key = known.client.keys.iter().position(|key| key.verifies(challenge, proof));
        let proved = Proved { known: Arc::clone(known), key: key.ok_or(Unproved::Unknown)? };
        if proved.is_over() { Err(Unproved::Expired) } else { Ok(proved) }
    }

    /// Finds the new entry of a client that proved a key before the clients were replaced.
    ///
    /// # Errors
    /// When the client no longer has that key, or has expired.
    pub(crate) fn prove_again(&self, before: &Proved) -> Result<Proved, Unproved> {
        let (known, key) = (&before.known.client, before.key);
        let known_now = self.named(&known.name).ok_or(Unproved::Withdrawn)?;
        let key = known_now.client.keys.iter().position(|now| *now == known.keys[key]);
        let proved = Proved { known: Arc::clone(known_now), key: key.ok_or(Unproved::Withdrawn)? };
        if proved.is_over() { Err(Unproved::Expired) } else { Ok(proved) }
    }
}

impl Known {
    /// Takes a place for one more connection; `None` when the client has no place left.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Takes room for one notice within the rate.
    ///
    /// # Errors
    /// The time until there is room for this notice.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        let mut rate = self.rate.lock();
        rate.as_mut().map_or(Ok(()), |rate| rate.take(Instant::now()))
    }
}

impl Proved {
    /// The client and its key, as the metrics name them.
    #[must_use]
    pub(crate) fn labels(&self) -> ClientKey {
        metrics::client_key(&self.known.client.name, self.key)
    }

    /// Waits until the client expires; forever if it never does.
    pub(crate) async fn expired(&self) {
        // It sleeps in pieces, because the system's clock may be set meanwhile.
        const PIECE: Duration = Duration::from_secs(600);
        loop {
            match self.known.client.lives() {
                None => std::future::pending().await,
                Some(Duration::ZERO) => return,
                Some(left) => tokio::time::sleep(left.min(PIECE)).await,
            }
        }
    }

    /// Whether the client has expired.
    pub(crate) fn is_over(&self) -> bool {
        self.known.client.lives() == Some(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn key(text: &str) -> Key {
        Key::new(&format!("{text}: of 32 bytes, for tests, or more").into()).unwrap()
    }

    fn shop(keys: &[&str]) -> Client {
        let keys = keys.iter().map(|text| key(text)).collect();
        Client { name: "shop".to_owned(), keys, may: Rights::all(), rate: None, expires: None }
    }

    fn prove(clients: &Clients, text: &str) -> Result<Proved, Unproved> {
        clients.prove("shop", "challenge", &key(text).proof("challenge"))
    }

    #[test]
    fn two_keys_hold_and_a_key_is_the_same_wherever_it_stands() {
        let before = Clients::new(vec![shop(&["old", "new"])], 1);
        let (old, new) = (prove(&before, "old").unwrap(), prove(&before, "new").unwrap());
        assert_eq!((old.key, new.key), (0, 1));
        assert_eq!(prove(&before, "other").unwrap_err(), Unproved::Unknown);
        let proof = key("old").proof("challenge");
        assert_eq!(before.prove("nobody", "challenge", &proof).unwrap_err(), Unproved::Unknown);

        let now = before.replaced_by(vec![shop(&["new"])], 1);
        assert_eq!(now.prove_again(&new).unwrap().key, 0);
        assert_eq!(now.prove_again(&old).unwrap_err(), Unproved::Withdrawn);
        assert_eq!(now.replaced_by(Vec::new(), 1).prove_again(&new).unwrap_err(), Unproved::Withdrawn);
    }

    #[test]
    fn an_expired_client_is_not_believed() {
        let now = SystemTime::now();
        let until = |expires| Client { expires: Some(expires), ..shop(&["old"]) };
        let good = Clients::new(vec![until(now + Duration::from_secs(60))], 1);
        let proved = prove(&good, "old").unwrap();
        let over = good.replaced_by(vec![until(now)], 1);
        assert_eq!(prove(&over, "old").unwrap_err(), Unproved::Expired);
        assert_eq!(over.prove_again(&proved).unwrap_err(), Unproved::Expired);
    }

    #[tokio::test(start_paused = true)]
    async fn rates_and_places_are_the_clients_own_and_outlive_what_is_read_again() {
        let rated = |rate| Client { rate: NonZeroU32::new(rate), ..shop(&["old"]) };
        let before = Clients::new(vec![rated(2)], 1);
        let known = prove(&before, "old").unwrap().known;
        assert_eq!([known.take(), known.take()], [Ok(()), Ok(())]);
        assert_eq!(known.take(), Err(Duration::from_millis(500)));
        let held = known.place().unwrap();

        let same = before.replaced_by(vec![rated(2)], 1);
        let known = prove(&same, "old").unwrap().known;
        assert_eq!(known.take(), Err(Duration::from_millis(1000)), "behind the other");
        assert!(known.place().is_none());
        drop(held);
        assert!(known.place().is_some());
        let other = same.replaced_by(vec![rated(3)], 1);
        assert_eq!(prove(&other, "old").unwrap().known.take(), Ok(()));
    }
}
