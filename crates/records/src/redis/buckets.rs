//! What all processes together may do: buckets that set a pace, and a count beside them.
//!
//! One script takes from all buckets or from none (`take.lua`), perhaps several times for different things, and another gives
//! back what was not used after all (`give_back.lua`).

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use redis::Script;

use super::Redis;
use crate::moment::{microseconds, milliseconds};
use crate::{Failure, Operation};

/// A bucket that holds `most` and gets one more each `refill`.
#[derive(Debug, Clone, Copy)]
pub struct Bucket<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it holds when it is full.
    pub most: u32,
    /// The time until one more.
    pub refill: Duration,
    /// How many must stay in it. Somebody who takes with a smaller number here may have those.
    pub stay: u32,
}

/// A count beside the buckets.
#[derive(Debug, Clone, Copy)]
pub struct Count<'a> {
    /// Its name.
    pub name: &'a str,
    /// The most that are counted.
    pub most: u32,
    /// How long it is kept after the last one.
    pub kept: Duration,
}

/// One thing that is taken: one from each of some buckets, and counted.
#[derive(Debug, Clone, Copy)]
pub struct Take<'a> {
    /// The buckets.
    pub from: &'a [Bucket<'a>],
    /// The count.
    pub count: Option<Count<'a>>,
}

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));
static GIVE_BACK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("give_back.lua")));

/// What came of taking one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is taken, and counted.
    Yes,
    /// A bucket is empty; there is one in each after this time.
    Wait(Duration),
    /// The count is full.
    Full,
}

impl Redis {
    /// Takes one from each bucket and counts it; where one has none, or the count is full, nothing is changed.
    ///
    /// # Errors
    /// [`Failure`]; perhaps one was taken.
    pub async fn take(&self, from: &[Bucket<'_>], count: Option<Count<'_>>) -> Result<Taken, Failure> {
        self.take_counted(from, count).await.map(|(taken, _)| taken)
    }

    /// As [`Redis::take`], and tells what has been counted: this one among it, if it was taken.
    ///
    /// # Errors
    /// As [`Redis::take`].
    pub async fn take_counted(
        &self,
        from: &[Bucket<'_>],
        count: Option<Count<'_>>,
    ) -> Result<(Taken, u32), Failure> {
        let told = self.take_in_turn(&[Take { from, count }]).await?;
        told.first().copied().ok_or_else(|| Failure::NotDone("Redis does not say what was taken".to_owned()))
    }

    /// Takes one thing after the other, in one round trip, until one cannot be had; tells for each what
    /// [`Redis::take_counted`] tells, and nothing of those that come after that one.
    ///
    /// # Errors
    /// [`Failure`]; perhaps some were taken.
    pub async fn take_in_turn(&self, takes: &[Take<'_>]) -> Result<Vec<(Taken, u32)>, Failure> {
        let began = Instant::now();
        self.metrics.note(Operation::Take, began, self.taken(takes).await)
    }

    async fn taken(&self, takes: &[Take<'_>]) -> Result<Vec<(Taken, u32)>, Failure> {
        let mut call = TAKE.prepare_invoke();
        for Take { from, count } in takes {
            call.arg(from.len()).arg(u8::from(count.is_some()));
            for bucket in *from {
                call.key(self.key(bucket.name))
                    .arg(bucket.most)
                    .arg(microseconds(bucket.refill))
                    .arg(bucket.stay);
            }
            if let Some(count) = count {
                call.key(self.key(count.name)).arg(count.most).arg(milliseconds(count.kept));
            }
        }
        let told: Vec<(i64, u32)> =
            self.link.ask(|mut redis| async move { call.invoke_async(&mut redis).await }).await?;
        let taken = |(wait, counted): (i64, u32)| match u64::try_from(wait) {
            Ok(0) => (Taken::Yes, counted),
            Ok(wait) => (Taken::Wait(Duration::from_micros(wait)), counted),
            Err(_) => (Taken::Full, counted),
        };
        Ok(told.into_iter().map(taken).collect())
    }

    /// Gives one back to each bucket and takes it off the count. A full bucket and a count of 0 stay as they are.
    ///
    /// # Errors
    /// [`Failure`]; perhaps it was given back.
    pub async fn give_back(&self, to: &[Bucket<'_>], count: Option<Count<'_>>) -> Result<(), Failure> {
        let began = Instant::now();
        self.metrics.note(Operation::GiveBack, began, self.given_back(to, count).await)
    }

    async fn given_back(&self, to: &[Bucket<'_>], count: Option<Count<'_>>) -> Result<(), Failure> {
        let mut call = GIVE_BACK.arg(to.len());
        for bucket in to {
            call.key(self.key(bucket.name)).arg(microseconds(bucket.refill));
        }
        if let Some(count) = count {
            call.key(self.key(count.name)).arg(milliseconds(count.kept));
        }
        self.link.ask(|mut redis| async move { call.invoke_async(&mut redis).await }).await
    }
}
