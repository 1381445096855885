//! How often a site may do something, by a pace that all instances share: a token bucket as a record of the store.

use std::time::Duration;

use records::{Kept, Moment, Records, Step, Write};
use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError};

/// The kind of its records.
const KIND: &str = "pace";

/// `most` at once, and then one more after each `refill`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub most: u32,
    pub refill: Duration,
}

/// When a bucket is full again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Level {
    full_at: Moment,
}

impl Pace {
    /// Takes one, or says how long until there is one.
    fn take(self, found: Option<&Kept<Level>>, now: Moment) -> Step<Kept<Level>, Result<(), Duration>> {
        let full_at = found.map_or(now, |level| level.full_at.max(now)) + self.refill;
        let wait = full_at.since(now + self.refill * self.most);
        if !wait.is_zero() {
            return Step::Keep(Err(wait));
        }
        Step::Write(Write::new(Level { full_at }.into(), full_at), Ok(()))
    }

    /// Gives back one that was taken.
    fn give_back(self, found: Option<&Kept<Level>>, now: Moment) -> Step<Kept<Level>, ()> {
        let left = found.map_or(Duration::ZERO, |level| level.full_at.since(now));
        let full_at = now + left.saturating_sub(self.refill);
        match found {
            None => Step::Keep(()),
            Some(_) => Step::Write(Write::new(Level { full_at }.into(), full_at), ()),
        }
    }
}

/// The paces.
#[derive(Debug, Clone)]
pub(super) struct Paces(Records<Kept<Level>>);

impl Paces {
    pub(super) fn new(store: &Store) -> Self {
        Self(store.records(KIND))
    }

    /// Takes one of `name`, or says how long until there is one.
    pub(super) async fn take(&self, name: &str, pace: Pace) -> Result<Result<(), Duration>, StoreError> {
        Ok(self.0.update(name, |found, now| pace.take(found, now)).await?)
    }

    /// Gives back one that was taken of `name`.
    pub(super) async fn give_back(&self, name: &str, pace: Pace) -> Result<(), StoreError> {
        Ok(self.0.update(name, |found, now| pace.give_back(found, now)).await?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures_util::future::join_all;

    use super::*;
    use crate::store::tests::on_each_store;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_then_the_pace_and_what_is_given_back_may_be_taken_again() {
        let (pace, start) = (Pace { most: 2, refill: SECOND }, Moment(1_000));
        let mut level = None;
        let mut take = |now| match pace.take(level.as_ref(), now) {
            Step::Keep(said) => said,
            Step::Write(write, said) => {
                level = Some(write.to);
                said
            }
        };
        assert_eq!([take(start), take(start), take(start)], [Ok(()), Ok(()), Err(SECOND)]);
        assert_eq!([take(start + SECOND), take(start + SECOND)], [Ok(()), Err(SECOND)]);
        let later = start + SECOND * 1000;
        assert_eq!([take(later), take(later), take(later)], [Ok(()), Ok(()), Err(SECOND)]);
        let Step::Write(write, ()) = pace.give_back(level.as_ref(), later) else { panic!("nothing back") };
        assert_eq!(write.to.full_at, later + SECOND);
        let full = Kept::from(Level { full_at: start });
        let Step::Write(write, ()) = pace.give_back(Some(&full), later) else { panic!("nothing back") };
        assert_eq!(write.to.full_at, later, "a full bucket stays full");
    }

    #[tokio::test]
    async fn instances_take_from_one_bucket() {
        on_each_store(async |here, there| {
            let (here, there) = (Paces::new(here), Paces::new(there));
            let pace = Pace { most: 10, refill: SECOND * 3600 };
            let taking = (0..30).map(async |n| {
                let paces = if n % 2 == 0 { &here } else { &there };
                // Whoever is outrun too often has certainly taken nothing.
                loop {
                    if let Ok(taken) = paces.take("a", pace).await {
                        return taken.is_ok();
                    }
                }
            });
            assert_eq!(join_all(taking).await.into_iter().filter(|taken| *taken).count(), 10);
            here.give_back("a", pace).await.unwrap();
            assert!(there.take("a", pace).await.unwrap().is_ok());
            assert!(there.take("a", pace).await.unwrap().is_err());
            assert!(there.take("b", pace).await.unwrap().is_ok(), "another name");
        })
        .await;
    }
}
