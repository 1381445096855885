//! Records in this process's memory: typed, bounded, and swept. They are gone with the process.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::{Failure, Found, Moment, Step};

/// How often forgotten records are taken out.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct Memory<R> {
    /// Never held across an await.
    records: Mutex<HashMap<Box<str>, Entry<R>>>,
    most: usize,
    /// Moments are counted from here.
    started: Instant,
}

struct Entry<R> {
    record: R,
    forget_at: Moment,
}

impl<R> Memory<R> {
    /// Room for `most` records. Forgotten ones count until they are taken out.
    pub(crate) fn new(most: usize) -> Self {
        Self { records: Mutex::default(), most, started: Instant::now() }
    }

    /// Reads, decides and writes under one lock.
    pub(crate) fn update<T>(
        &self,
        name: &str,
        mut rule: impl FnMut(Option<&R>, Moment) -> Step<R, T>,
    ) -> Result<T, Failure> {
        let mut records = self.records.lock();
        let (now, len) = (self.now(), records.len());
        let entry = records.get_mut(name);
        let record = entry.as_ref().filter(|entry| now < entry.forget_at).map(|entry| &entry.record);
        let (write, value) = match rule(record, now) {
            Step::Keep(value) => return Ok(value),
            Step::Write(write, value) => (write, value),
        };
        let new = Entry { record: write.to, forget_at: write.forget_at };
        match entry {
            Some(entry) => *entry = new,
            None if len >= self.most => return Err(Failure::Full),
            None => drop(records.insert(name.into(), new)),
        }
        Ok(value)
    }

    /// Gives what `look` sees in a record, under the lock and without a copy.
    pub(crate) fn look<T>(&self, name: &str, look: impl FnOnce(Option<&R>, Moment) -> T) -> T {
        let (records, now) = (self.records.lock(), self.now());
        let entry = records.get(name).filter(|entry| now < entry.forget_at);
        look(entry.map(|entry| &entry.record), now)
    }

    /// Takes forgotten records out, for as long as it is polled.
    pub(crate) async fn sweep(&self) {
        loop {
            sleep(SWEEP_EVERY).await;
            let now = self.now();
            let mut records = self.records.lock();
            records.retain(|_, entry| now < entry.forget_at);
            if records.capacity() > 4 * records.len() + 1024 {
                records.shrink_to_fit();
            }
        }
    }

    fn now(&self) -> Moment {
        Moment(0) + self.started.elapsed()
    }
}

impl<R: Clone> Memory<R> {
    pub(crate) fn read(&self, name: &str) -> Found<R> {
        self.look(name, |record, now| Found { record: record.cloned(), now })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::time::advance;

    use super::*;
    use crate::Write;

    const LIVES: Duration = Duration::from_secs(25);

    fn insert(memory: &Memory<u32>, name: &str, record: u32) -> Result<(), Failure> {
        memory.update(name, |_, now| Step::Write(Write::new(record, now + LIVES), ()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forgotten_is_gone_at_once_and_makes_room_when_it_is_swept() {
        let memory = Memory::new(2);
        insert(&memory, "a", 1).unwrap();
        insert(&memory, "b", 2).unwrap();
        assert_eq!(insert(&memory, "c", 3), Err(Failure::Full));
        insert(&memory, "b", 4).unwrap();
        assert_eq!([memory.read("a").record, memory.read("b").record], [Some(1), Some(4)]);
        let sweeping = memory.sweep();
        tokio::pin!(sweeping);
        advance(LIVES - Duration::from_millis(1)).await;
        assert!(futures_util::poll!(&mut sweeping).is_pending());
        assert_eq!(memory.read("a").record, Some(1));
        advance(Duration::from_millis(1)).await;
        assert_eq!(memory.read("a").record, None);
        assert_eq!(memory.update("a", |found, _| Step::Keep(found.copied())), Ok(None));
        assert_eq!(insert(&memory, "c", 3), Err(Failure::Full), "not swept yet");
        advance(SWEEP_EVERY).await;
        assert!(futures_util::poll!(&mut sweeping).is_pending());
        assert_eq!(memory.records.lock().len(), 0);
        insert(&memory, "c", 3).unwrap();
    }
}
