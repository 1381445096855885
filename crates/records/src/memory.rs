//! Records in this process's memory: typed, bounded, and swept. They are gone with the process.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

use crate::{Failure, Found, Moment, Step};

/// How often forgotten records are taken out, or a little later.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Tables in which the records are. One is swept at a time, and grows by itself, so a million of them make nobody wait.
const TABLES: usize = 64;

pub(crate) struct Memory<R> {
    /// Never held across an await.
    tables: [Mutex<Table<R>>; TABLES],
    /// Says which table a name is in.
    hasher: RandomState,
    /// Records in all tables.
    len: AtomicUsize,
    most: usize,
    /// Moments are counted from here.
    started: Instant,
}

type Table<R> = HashMap<Box<str>, Entry<R>>;

struct Entry<R> {
    record: R,
    forget_at: Moment,
}

impl<R> Memory<R> {
    /// Room for `most` records. Forgotten ones count until they are taken out.
    pub(crate) fn new(most: usize) -> Self {
        let tables = std::array::from_fn(|_| Mutex::default());
        Self { tables, hasher: RandomState::new(), len: AtomicUsize::new(0), most, started: Instant::now() }
    }

    /// Reads, decides and writes under one lock.
    pub(crate) fn update<T>(
        &self,
        name: &str,
        mut rule: impl FnMut(Option<&R>, Moment) -> Step<R, T>,
    ) -> Result<T, Failure> {
        let mut records = self.table_of(name);
        let now = self.now();
        let entry = records.get_mut(name);
        let record = entry.as_ref().filter(|entry| now < entry.forget_at).map(|entry| &entry.record);
        let (write, value) = match rule(record, now) {
            Step::Keep(value) => return Ok(value),
            Step::Write(write, value) => (write, value),
        };
        let new = Entry { record: write.to, forget_at: write.forget_at };
        match entry {
            Some(entry) => *entry = new,
            None if self.len.fetch_add(1, Ordering::Relaxed) >= self.most => {
                self.len.fetch_sub(1, Ordering::Relaxed);
                return Err(Failure::Full);
            }
            None => drop(records.insert(name.into(), new)),
        }
        Ok(value)
    }

    /// Gives what `look` sees in a record, under the lock and without a copy.
    pub(crate) fn look<T>(&self, name: &str, look: impl FnOnce(Option<&R>, Moment) -> T) -> T {
        let (records, now) = (self.table_of(name), self.now());
        let entry = records.get(name).filter(|entry| now < entry.forget_at);
        look(entry.map(|entry| &entry.record), now)
    }

    /// Takes forgotten records out, for as long as it is polled: one table after the other.
    pub(crate) async fn sweep(&self) {
        for table in self.tables.iter().cycle() {
            sleep(SWEEP_EVERY / TABLES as u32).await;
            let (mut records, now) = (table.lock(), self.now());
            let lives = |entry: &Entry<R>| now < entry.forget_at;
            let (before, left) = (records.len(), records.values().filter(|entry| lives(entry)).count());
            if left < before {
                // A new table, because one that is emptied and filled again doubles after some time, however few are in it.
                let old = std::mem::replace(&mut *records, HashMap::with_capacity(left));
                records.extend(old.into_iter().filter(|(_, entry)| lives(entry)));
                self.len.fetch_sub(before - left, Ordering::Relaxed);
            }
        }
    }

    fn table_of(&self, name: &str) -> MutexGuard<'_, Table<R>> {
        // The low bits are enough: each table hashes with a key of its own.
        let at = self.hasher.hash_one(name) as usize % TABLES;
        self.tables[at].lock()
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

    use tokio::time::{advance, timeout};

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
        advance(LIVES - Duration::from_millis(1)).await;
        assert_eq!(memory.read("a").record, Some(1));
        advance(Duration::from_millis(1)).await;
        assert_eq!(memory.read("a").record, None);
        assert_eq!(memory.update("a", |found, _| Step::Keep(found.copied())), Ok(None));
        assert_eq!(insert(&memory, "c", 3), Err(Failure::Full), "not swept yet");
        assert!(timeout(2 * SWEEP_EVERY, memory.sweep()).await.is_err(), "it never ends");
        assert_eq!(memory.tables.iter().map(|table| table.lock().len()).sum::<usize>(), 0);
        insert(&memory, "c", 3).unwrap();
        insert(&memory, "d", 3).unwrap();
        assert_eq!(insert(&memory, "e", 3), Err(Failure::Full), "as many as before");
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_and_goes_takes_no_more_room_with_time() {
        const AT_ONCE: u32 = 20_000;
        let memory = Memory::new(usize::MAX);
        let room = || memory.tables.iter().map(|table| table.lock().capacity()).sum::<usize>();
        let mut most = 0;
        let mut sweeping = std::pin::pin!(memory.sweep());
        for second in 0..200 {
            // As many each second as are forgotten.
            for number in 0..AT_ONCE / 35 {
                insert(&memory, &format!("{second}.{number}"), number).unwrap();
            }
            assert!(timeout(Duration::from_secs(1), sweeping.as_mut()).await.is_err());
            if second == 100 {
                most = room();
            }
            assert!(second <= 100 || room() <= most + most / 3, "{second}: {} and {most}", room());
        }
    }
}
