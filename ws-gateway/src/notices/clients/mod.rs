//! The back ends that may send notices, what proves them, and what each may send.

pub(crate) mod entry;
pub(crate) mod file;
mod rate;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use protocol::Key;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use self::rate::Rate;

/// The client whose key `NOTIFY_KEY` is.
pub(crate) const CALLBACK: &str = "callback";

/// One thing that a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// End a login as granted.
    Scan = 1,
    /// Say that a person has scanned.
    Claim = 2,
    /// End a login as denied.
    Deny = 4,
    /// Ask for a login's state.
    Query = 8,
    /// Do all of it on logins that name a site or a request, and bring the code.
    Grant = 16,
}

impl Right {
    /// Every right there is, by the name that the file of clients gives it.
    pub(crate) const NAMES: [(&str, Self); 5] = [
        ("scan", Self::Scan),
        ("claim", Self::Claim),
        ("deny", Self::Deny),
        ("query", Self::Query),
        ("grant", Self::Grant),
    ];

    /// The right of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, right)| *right)
    }
}

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights(u8);

impl Rights {
    /// Exactly these rights.
    #[must_use]
    pub(crate) fn of(rights: &[Right]) -> Self {
        Self(rights.iter().fold(0, |all, right| all | *right as u8))
    }

    /// Every right there is.
    #[must_use]
    pub(crate) fn all() -> Self {
        Self::of(&Right::NAMES.map(|(_, right)| right))
    }

    /// Whether `right` is among them.
    #[must_use]
    pub(crate) fn has(self, right: Right) -> bool {
        self.0 & right as u8 != 0
    }
}

/// A back end that may send notices.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Its name, as its auth frame says it.
    pub(crate) name: String,
    /// Its keys: one, or two while one takes the other's place.
    pub(crate) keys: Vec<Key>,
    /// What it may send.
    pub(crate) may: Rights,
    /// Notices a second, and as many at once; unlimited without it.
    pub(crate) rate: Option<NonZeroU32>,
    /// From then on nothing is believed of it.
    pub(crate) expires: Option<SystemTime>,
}

impl Client {
    /// How long it still is believed, if that ends.
    fn lives(&self) -> Option<Duration> {
        self.expires.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

/// All clients, as they were read the last time, with what each uses now.
#[derive(Debug)]
pub(crate) struct Clients(Vec<Arc<Known>>);

/// A client and what it uses, over all of its connections.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) client: Client,
    rate: Mutex<Option<Rate>>,
    places: Arc<Semaphore>,
}

/// Whoever has proved a key.
#[derive(Debug, Clone)]
pub(crate) struct Proved {
    pub(crate) known: Arc<Known>,
    /// Which of its keys, counted from 0.
    pub(crate) key: usize,
}

/// Why somebody is not, or no longer, believed.
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
    /// These clients, each with at most `places` connections at once.
    #[must_use]
    pub(crate) fn new(clients: Vec<Client>, places: usize) -> Self {
        let known = |client: Client| {
            let rate = Mutex::new(client.rate.map(|rate| Rate::new(rate, Instant::now())));
            Arc::new(Known { client, rate, places: Arc::new(Semaphore::new(places)) })
        };
        Self(clients.into_iter().map(known).collect())
    }

    /// These clients in the place of the ones before them: who stays keeps its places, and its pace unless the
    /// rate is another.
    #[must_use]
    pub(crate) fn replaced_by(&self, clients: Vec<Client>, places: usize) -> Self {
        let Self(mut new) = Self::new(clients, places);
        for known in new.iter_mut().filter_map(Arc::get_mut) {
            let Some(before) = self.named(&known.client.name) else { continue };
            known.places = Arc::clone(&before.places);
            if known.client.rate == before.client.rate {
                let rate = before.rate.lock().unwrap_or_else(PoisonError::into_inner).clone();
                known.rate = Mutex::new(rate);
            }
        }
        Self(new)
    }

    fn named(&self, name: &str) -> Option<&Arc<Known>> {
        self.0.iter().find(|known| known.client.name == name)
    }

    /// Whether there is a client of this name.
    #[must_use]
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.named(name).is_some()
    }

    /// Who it is that `name` and `proof` prove.
    ///
    /// # Errors
    /// When they prove nobody, or somebody whose time is over.
    pub(crate) fn prove(&self, name: &str, challenge: &str, proof: &str) -> Result<Proved, Unproved> {
        let known = self.named(name).ok_or(Unproved::Unknown)?;
        let key = known.client.keys.iter().position(|key| key.verifies(challenge, proof));
        let proved = Proved { known: Arc::clone(known), key: key.ok_or(Unproved::Unknown)? };
        if proved.is_over() { Err(Unproved::Expired) } else { Ok(proved) }
    }

    /// Who somebody is now, who proved a key when other clients were known.
    ///
    /// # Errors
    /// When that key is none of this client's any more, or its time is over.
    pub(crate) fn prove_again(&self, before: &Proved) -> Result<Proved, Unproved> {
        let (known, key) = (&before.known.client, before.key);
        let known_now = self.named(&known.name).ok_or(Unproved::Withdrawn)?;
        let key = known_now.client.keys.iter().position(|now| *now == known.keys[key]);
        let proved = Proved { known: Arc::clone(known_now), key: key.ok_or(Unproved::Withdrawn)? };
        if proved.is_over() { Err(Unproved::Expired) } else { Ok(proved) }
    }
}

impl Known {
    /// Takes a place for one more connection; `None` when the client has too many.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Takes one notice's share of the rate.
    ///
    /// # Errors
    /// How long until there is one for this notice.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.as_mut().map_or(Ok(()), |rate| rate.take(Instant::now()))
    }
}

impl Proved {
    /// Waits until the client's time is over; for ever where it has none.
    pub(crate) async fn expired(&self) {
        // Piece by piece, because the clock of the wall may be set meanwhile.
        const PIECE: Duration = Duration::from_secs(600);
        loop {
            match self.known.client.lives() {
                None => std::future::pending().await,
                Some(Duration::ZERO) => return,
                Some(left) => tokio::time::sleep(left.min(PIECE)).await,
            }
        }
    }

    /// Whether the client's time is over.
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
