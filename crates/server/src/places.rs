//! The places of a port: one for each connection that it serves at once.
//!
//! A connection that waits for a request can be spared. When a port is full, the connection that has waited longest
//! gives its place to the new one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::shares::{self, AllTaken, Share, Shares};

/// The most connections that have given way and not ended yet; beyond that a full port refuses. A small port has fewer.
const MOST_LEAVING: usize = 64;

/// A place that was given up, with its part of the address's share.
type Given = (OwnedSemaphorePermit, Option<Share>);

/// How many waiting connections are searched for one of the same address. The search must stay cheap in a flood.
const MOST_ASKED: usize = 64;

/// The places of one port.
#[derive(Debug)]
pub(crate) struct Room {
    free: Arc<Semaphore>,
    /// Places for connections that have given way. Each still holds an open file.
    leaving: Arc<Semaphore>,
    shares: Option<Shares>,
    idle: Arc<Mutex<Idle>>,
    /// Counts connections that gave way.
    gave_way: Counter,
}

/// The connections that wait for their peers, the one that has waited longest first.
#[derive(Debug, Default)]
struct Idle {
    /// Never held across an await.
    waiting: BTreeMap<u64, Weak<Held>>,
    next: u64,
}

/// A connection's place at its port, until every clone is dropped.
#[derive(Debug, Clone)]
pub struct Place(Arc<Held>);

#[derive(Debug)]
struct Held {
    now: Mutex<Now>,
    idle: Arc<Mutex<Idle>>,
    given: Notify,
}

#[derive(Debug)]
struct Now {
    /// `None` when another connection has got the place.
    permit: Option<OwnedSemaphorePermit>,
    share: Option<Share>,
    /// Held from then until the connection has ended.
    leaving: Option<OwnedSemaphorePermit>,
    /// Its number among those that wait; `None` while it works.
    number: Option<u64>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All are taken.
    Full,
    /// The address has its whole share, which is this many.
    Share(usize),
}

impl Room {
    /// Places for `limit` connections. `gave_way` counts those that give theirs to others.
    pub(crate) fn new(limit: usize, shares: Option<Shares>, gave_way: Counter) -> Self {
        let leaving = Arc::new(Semaphore::new((limit / 4).clamp(1, MOST_LEAVING)));
        Self { free: Arc::new(Semaphore::new(limit)), leaving, shares, idle: Arc::default(), gave_way }
    }

    /// Takes a place for a connection from `address`, which waits for its first request.
    pub(crate) fn take(&self, address: IpAddr) -> Result<Place, NoPlace> {
        let taken = self.shares.as_ref().map(|shares| (shares.most(), shares.take(address)));
        let (permit, share) = match taken {
            Some((most, Err(AllTaken))) => self.given_way_by(address).ok_or(NoPlace::Share(most))?,
            Some((_, Ok(share))) => (self.free().ok_or(NoPlace::Full)?, share),
            None => (self.free().ok_or(NoPlace::Full)?, None),
        };
        let now = Mutex::new(Now { permit: Some(permit), share, leaving: None, number: None });
        let place = Place(Arc::new(Held { now, idle: Arc::clone(&self.idle), given: Notify::new() }));
        place.waits();
        Ok(place)
    }

    /// A free place, or that of the connection that has waited longest.
    fn free(&self) -> Option<OwnedSemaphorePermit> {
        let free = Arc::clone(&self.free).try_acquire_owned().ok();
        free.or_else(|| {
            let mut leaving = Arc::clone(&self.leaving).try_acquire_owned().ok()?;
            loop {
                let (_, longest) = self.idle.lock().waiting.pop_first()?;
                let Some(held) = longest.upgrade() else { continue };
                match held.give_way(leaving) {
                    Ok((permit, _)) => {
                        self.gave_way.inc();
                        return Some(permit);
                    }
                    Err(unused) => leaving = unused,
                }
            }
        })
    }

    /// The place of another connection of the same address, if one of the first [`MOST_ASKED`] that wait is of it.
    fn given_way_by(&self, address: IpAddr) -> Option<Given> {
        let network = shares::network(address);
        let mut leaving = Arc::clone(&self.leaving).try_acquire_owned().ok()?;
        let longest: Vec<_> = self.idle.lock().waiting.values().take(MOST_ASKED).cloned().collect();
        let is_of_it =
            |held: &Arc<Held>| held.now.lock().share.as_ref().is_some_and(|share| share.network() == network);
        for held in longest.iter().filter_map(Weak::upgrade).filter(is_of_it) {
            match held.give_way(leaving) {
                Ok(given) => {
                    self.gave_way.inc();
                    return Some(given);
                }
                Err(unused) => leaving = unused,
            }
        }
        None
    }
}

impl Place {
    /// The connection waits for its peer from now on, and gives way when the port is full.
    pub fn waits(&self) {
        let mut now = self.0.now.lock();
        if now.permit.is_none() || now.number.is_some() {
            return;
        }
        let mut idle = self.0.idle.lock();
        now.number = Some(idle.next);
        let number = idle.next;
        idle.waiting.insert(number, Arc::downgrade(&self.0));
        idle.next += 1;
    }

    /// The connection works for its peer from now on, and keeps its place.
    pub fn works(&self) {
        if let Some(number) = self.0.now.lock().number.take() {
            self.0.idle.lock().waiting.remove(&number);
        }
    }

    /// Waits until another connection has got the place. This one must then end.
    pub async fn given_away(&self) {
        self.0.given.notified().await;
    }
}

impl Held {
    /// Gives the place up, unless it was given up before.
    fn give_way(&self, leaving: OwnedSemaphorePermit) -> Result<Given, OwnedSemaphorePermit> {
        let mut now = self.now.lock();
        let Some(permit) = now.permit.take() else { return Err(leaving) };
        let given = (permit, now.share.take());
        now.leaving = Some(leaving);
        if let Some(number) = now.number.take() {
            self.idle.lock().waiting.remove(&number);
        }
        self.given.notify_one();
        Ok(given)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(number) = self.now.lock().number.take() {
            self.idle.lock().waiting.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_full_room_whoever_has_waited_longest_gives_way() {
        let gave_way = Counter::default();
        let room = Room::new(3, None, gave_way.clone());
        let [works, first, second] = [1, 2, 3].map(|last| room.take(address(last)).unwrap());
        [&works, &first, &second].into_iter().for_each(Place::works);
        assert_eq!(room.take(address(4)).unwrap_err(), NoPlace::Full, "all of them work");
        first.waits();
        second.waits();
        // It has asked again, so its wait begins anew.
        first.works();
        first.waits();
        let third = room.take(address(4)).unwrap();
        third.works();
        second.given_away().await;
        assert_eq!(
            room.take(address(5)).unwrap_err(),
            NoPlace::Full,
            "until the one has gone, no other goes"
        );
        drop(second);
        let fourth = room.take(address(5)).unwrap();
        fourth.works();
        first.given_away().await;
        assert_eq!(room.take(address(6)).unwrap_err(), NoPlace::Full);
        // A connection that gave way has no place any more, whatever it does.
        first.waits();
        drop(first);
        assert_eq!(room.take(address(6)).unwrap_err(), NoPlace::Full);
        drop((works, third));
        fourth.waits();
        assert!(room.take(address(6)).is_ok() && room.take(address(7)).is_ok());
        assert_eq!(gave_way.get(), 2, "the two above");
    }

    #[test]
    fn whoever_leaves_while_it_waits_is_not_asked_to_give_way() {
        let room = Room::new(1, None, Counter::default());
        let place = room.take(address(1)).unwrap();
        drop(place);
        assert!(room.idle.lock().waiting.is_empty());
        let one = room.take(address(2)).unwrap();
        one.works();
        assert_eq!(room.take(address(3)).unwrap_err(), NoPlace::Full);
    }

    #[test]
    fn an_address_has_its_share_of_the_room() {
        let room = Room::new(10, Some(Shares::new(2, Vec::new())), Counter::default());
        let held = [room.take(address(1)).unwrap(), room.take(address(1)).unwrap()];
        held.iter().for_each(Place::works);
        let other = room.take(address(2)).unwrap();
        assert_eq!(room.take(address(1)).unwrap_err(), NoPlace::Share(2), "and nobody else gives way for it");
        held[1].waits();
        let third = room.take(address(1)).unwrap();
        third.works();
        assert_eq!(room.take(address(1)).unwrap_err(), NoPlace::Share(2));
        drop((held, other));
        assert!(room.take(address(1)).is_ok());
    }
}
