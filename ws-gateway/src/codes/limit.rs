//! A limit for one address and for the network around it: as [`server::allowance`] counts it, but gateways that share
//! their logins in Redis count there together.

use std::net::IpAddr;
use std::time::Duration;

use records::{Bucket, Failure, Redis, Take, Taken};
use server::allowance::{Allowance, NETWORK, network};
use server::shares::network as host;

/// A number for each address at once, and then one more after each `refill`.
#[derive(Debug)]
pub(super) struct Limit {
    name: String,
    most: u32,
    refill: Duration,
    shared: Option<Redis>,
    here: Allowance,
}

/// Why an address gets none.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// There is one after this time.
    Wait(Duration),
    /// The store cannot count.
    Uncounted(Failure),
}

impl Limit {
    /// `most` at once for each address. Used up, they come back evenly within `time`. They are counted under `name` in
    /// `shared`, if there is one.
    #[must_use]
    pub(super) fn new(name: impl Into<String>, most: u32, time: Duration, shared: Option<Redis>) -> Self {
        let name = name.into();
        Self { name, most, refill: time / most.max(1), shared, here: Allowance::new(most, time) }
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

    /// Takes one for `address` and its network, and then one of `other`, where gateways share both: that is one round trip
    /// instead of two. Says what came of `other`; nothing where it is still to be asked for.
    ///
    /// # Errors
    /// [`NotTaken`] of this limit; then nothing of the other was taken.
    pub(super) async fn take_and(
        &self,
        other: &Self,
        address: IpAddr,
    ) -> Result<Option<Result<(), NotTaken>>, NotTaken> {
        let Some(redis) = &self.shared else { return self.take(address).await.map(|()| None) };
        let ([host, network], [other_host, other_network]) = (self.names(address), other.names(address));
        let (first, second) = (self.buckets(&host, &network), other.buckets(&other_host, &other_network));
        let takes = [&first, &second].map(|from| Take { from, count: None });
        let told = redis.take_in_turn(&takes).await.map_err(NotTaken::Uncounted)?;
        let taken = |turn: usize| match told.get(turn) {
            Some((Taken::Wait(wait), _)) => Some(Err(NotTaken::Wait(*wait))),
            Some((Taken::Yes | Taken::Full, _)) => Some(Ok(())),
            None => None,
        };
        match taken(0) {
            Some(Err(why)) => Err(why),
            _ => Ok(taken(1)),
        }
    }

    /// The same, counted by this gateway alone.
    ///
    /// # Errors
    /// The time until there is one.
    pub(super) fn take_here(&self, address: IpAddr) -> Result<(), Duration> {
        self.here.take(address)
    }

    /// Gives back one that was taken for `address`. If the store fails, it stays taken.
    pub(super) async fn give_back(&self, address: IpAddr) {
        let Some(redis) = &self.shared else { return self.here.give_back(address) };
        let [host, network] = self.names(address);
        if let Err(failure) = redis.give_back(&self.buckets(&host, &network), None).await {
            tracing::debug!(%address, "what was not used stays counted: {failure}");
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
        self.here.forget_rested();
    }
}
