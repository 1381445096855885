//! Typed records of one kind, in any store: read one, or change one by a rule.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Instant;

use crate::as_text::{AsText, Compared, TextStore};
use crate::memory::Memory;
use crate::{Failure, Moment, Operation, Redis, Sqlite, StoreMetrics};

/// A record that was read, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<R> {
    /// The record; nothing where there is none.
    pub record: Option<R>,
    /// The store's clock, no later than the reading.
    pub now: Moment,
}

/// What a rule makes of a record that was read, and what it tells the caller.
#[derive(Debug)]
pub enum Step<R, T> {
    /// The record stays as it is.
    Keep(T),
    /// The record becomes another one.
    Write(Write<R>, T),
}

/// A change of a record.
#[derive(Debug, Clone)]
pub struct Write<R> {
    /// What the record becomes.
    pub to: R,
    /// When it is forgotten.
    pub forget_at: Moment,
    /// It must not be written at this moment or later.
    pub only_before: Option<Moment>,
    /// Who is told: a channel of the same Redis, and the message. A message that cannot be sent is no failure.
    pub tell: Option<(String, String)>,
    /// It counts only once enough replicas have it.
    pub durably: bool,
    /// Somebody in this process is told of it, and will ask for it with [`Records::news`].
    pub is_news: bool,
}

impl<R> Write<R> {
    /// A change that nobody is told of and that waits for no replica.
    #[must_use]
    pub fn new(to: R, forget_at: Moment) -> Self {
        Self { to, forget_at, only_before: None, tell: None, durably: false, is_news: false }
    }
}

/// How much is known of a record on which a rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It is what this process had last. A change of it is compared by the store; to leave it as it is takes more.
    Guessed,
    /// The store has said what the record is, and its clock may be known less well.
    Glanced,
    /// The store has said both.
    Read,
}

/// Attempts of one update. Each fails only because another process's succeeded, or because its moment came.
const ATTEMPTS: usize = 16;

/// The records of one kind. Clones share them.
pub struct Records<R> {
    kind: &'static str,
    store: Store<R>,
    metrics: StoreMetrics,
}

enum Store<R> {
    Memory(Arc<Memory<R>>),
    Texts(Arc<dyn TextStore>),
}

impl<R> Records<R> {
    /// Records in this process's memory, `most` of them. They are measured by themselves, until they are
    /// [`measured_by`](Self::measured_by) others.
    #[must_use]
    pub fn in_memory(kind: &'static str, most: usize) -> Self {
        Self { kind, store: Store::Memory(Arc::new(Memory::new(most))), metrics: StoreMetrics::default() }
    }

    /// The same records, measured together with others.
    #[must_use]
    pub fn measured_by(self, metrics: &StoreMetrics) -> Self {
        Self { metrics: metrics.clone(), ..self }
    }

    /// Whether they are in this process's memory, and so nowhere else.
    #[must_use]
    pub fn are_in_memory(&self) -> bool {
        matches!(self.store, Store::Memory(_))
    }

    /// What measures them: that of their SQLite file or their Redis, where they are in one.
    #[must_use]
    pub fn metrics(&self) -> &StoreMetrics {
        &self.metrics
    }

    /// Records in a SQLite file, under keys `<kind>:<name>`.
    #[must_use]
    pub fn in_sqlite(kind: &'static str, sqlite: &Sqlite) -> Self {
        Self { kind, store: Store::Texts(Arc::new(sqlite.clone())), metrics: sqlite.metrics().clone() }
    }

    /// Records in Redis, under keys `<prefix><kind>:<name>`.
    #[must_use]
    pub fn in_redis(kind: &'static str, redis: &Redis) -> Self {
        Self { kind, store: Store::Texts(Arc::new(redis.clone())), metrics: redis.metrics().clone() }
    }

    /// Takes forgotten records out of memory, for as long as it is polled. SQLite and Redis do so by themselves.
    pub async fn sweep(&self) {
        match &self.store {
            Store::Memory(memory) => memory.sweep().await,
            Store::Texts(_) => pending().await,
        }
    }
}

impl<R: AsText + Clone> Records<R> {
    /// Reads a record.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed.
    pub async fn read(&self, name: &str) -> Result<Found<R>, Failure> {
        let began = Instant::now();
        self.metrics.note(Operation::Read, began, self.found(name).await)
    }

    async fn found(&self, name: &str) -> Result<Found<R>, Failure> {
        match &self.store {
            Store::Memory(memory) => Ok(memory.read(name)),
            Store::Texts(texts) => {
                let Found { record, now } = texts.read(&self.key(name)).await?;
                let record = record.map(|text| self.typed(&**texts, &text)).transpose()?;
                Ok(Found { record, now })
            }
        }
    }

    /// Reads a record, and gives what `look` sees in it: a record in memory is not copied for that. It gets the record and
    /// the store's clock.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed.
    pub async fn look<T>(
        &self,
        name: &str,
        look: impl FnOnce(Option<&R>, Moment) -> T,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        let seen = match &self.store {
            Store::Memory(memory) => Ok(memory.look(name, look)),
            Store::Texts(_) => self.found(name).await.map(|found| look(found.record.as_ref(), found.now)),
        };
        self.metrics.note(Operation::Read, began, seen)
    }

    /// As [`Records::look`], where it is no harm if the store's clock is a little later than is said. With Redis that is one command
    /// instead of two. Where its clock was set a second ago at most, it may even be earlier.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed.
    pub async fn glance<T>(
        &self,
        name: &str,
        look: impl FnOnce(Option<&R>, Moment) -> T,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        let seen = match &self.store {
            Store::Memory(memory) => Ok(memory.look(name, look)),
            Store::Texts(texts) => {
                let found = self.glanced(&**texts, name, false).await;
                found.map(|found| look(found.record.as_ref(), found.now))
            }
        };
        self.metrics.note(Operation::Read, began, seen)
    }

    /// The same, of a record that the caller is probably going to change.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed.
    pub async fn glance_to_change(&self, name: &str) -> Result<Found<R>, Failure> {
        let began = Instant::now();
        let found = match &self.store {
            Store::Memory(memory) => Ok(memory.read(name)),
            Store::Texts(texts) => self.glanced(&**texts, name, true).await,
        };
        self.metrics.note(Operation::Read, began, found)
    }

    async fn glanced(
        &self,
        texts: &dyn TextStore,
        name: &str,
        change_follows: bool,
    ) -> Result<Found<R>, Failure> {
        let Found { record, now } = texts.glance(&self.key(name), change_follows).await?;
        Ok(Found { record: record.map(|text| self.typed(texts, &text)).transpose()?, now })
    }

    /// What this process has just written as news ([`Write::is_news`]), unless it is known that another one has changed it
    /// since. It is said once. `None` where the store has to be asked.
    #[must_use]
    pub fn news(&self, name: &str) -> Option<Found<R>> {
        let Store::Texts(texts) = &self.store else { return None };
        let Found { record, now } = texts.news(&self.key(name))?;
        Some(Found { record: Some(R::from_text(&record?).ok()?), now })
    }

    /// Notes that another process says that it has changed a record.
    pub fn outdate(&self, name: &str) {
        if let Store::Texts(texts) = &self.store {
            texts.outdate(&self.key(name));
        }
    }

    /// Writes a record, whatever was there. `make` gets the store's clock, as [`Records::glance`] knows it.
    ///
    /// # Errors
    /// As [`Records::update`].
    pub async fn put(&self, name: &str, make: impl FnOnce(Moment) -> Write<R>) -> Result<(), Failure> {
        let began = Instant::now();
        let put = async {
            match &self.store {
                Store::Memory(memory) => {
                    let mut make = Some(make);
                    memory.update(name, |_, now| match make.take() {
                        Some(make) => Step::Write(make(now), ()),
                        None => Step::Keep(()),
                    })
                }
                Store::Texts(texts) => {
                    let now = texts.now().await.map_err(Failure::certain)?;
                    texts.put(&self.key(name), &text_of(make(now))?).await
                }
            }
        };
        self.metrics.note(Operation::Update, began, put.await)
    }

    /// Reads a record, lets `rule` decide, and writes what it decided if the record is still the same; if not,
    /// `rule` decides anew. It gets the record and the store's clock.
    ///
    /// A store may know what the record probably is, and spare the reading: then the rule is asked first what it would do
    /// with that. So it may be called with a record that is not there any more, and what it says then does not count
    /// unless the store finds it to be true.
    ///
    /// # Errors
    /// [`Failure`]. A change that too few replicas have in time is [`Failure::Unknown`]: this Redis has it, and may
    /// fail over to one that has not. Dropping the future leaves what was begun.
    pub async fn update<T>(
        &self,
        name: &str,
        rule: impl FnMut(Option<&R>, Moment) -> Step<R, T>,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        self.metrics.note(Operation::Update, began, self.updated(name, rule).await)
    }

    async fn updated<T>(
        &self,
        name: &str,
        mut rule: impl FnMut(Option<&R>, Moment) -> Step<R, T>,
    ) -> Result<T, Failure> {
        let texts = match &self.store {
            Store::Memory(memory) => return memory.update(name, rule),
            Store::Texts(texts) => &**texts,
        };
        let key = self.key(name);
        // Reading changes nothing, whatever becomes of it.
        let read = async || texts.read(&key).await.map_err(Failure::certain);
        let (mut found, mut known) = match texts.guess(&key) {
            Some(guess) => (guess, Known::Guessed),
            None => (read().await?, Known::Read),
        };
        let mut attempts = 0;
        while attempts < ATTEMPTS {
            let record = match found.record.as_deref().map(|text| self.typed(texts, text)).transpose() {
                Err(_) if known != Known::Read => {
                    (found, known) = (read().await?, Known::Read);
                    continue;
                }
                record => record?,
            };
            let (write, value) = match rule(record.as_ref(), found.now) {
                Step::Keep(value) => (None, value),
                Step::Write(write, value) => {
                    let write = text_of(write)?;
                    // A repeat is written as well, because replicas can only be asked about what was written.
                    let is_old = found.record.as_ref() == Some(&write.to)
                        && !(write.durably && texts.writes_repeats());
                    ((!is_old).then_some(write), value)
                }
            };
            let Some(write) = write else {
                // Whoever hears of a record that stays as it is hears what the store says, by its own clock.
                (found, known) = match (known, &found.record) {
                    (Known::Read, _) | (Known::Glanced, None) => return Ok(value),
                    // There is no copy, so it is probably some other process's record.
                    (Known::Guessed, None) => {
                        (texts.glance(&key, true).await.map_err(Failure::certain)?, Known::Glanced)
                    }
                    (Known::Guessed | Known::Glanced, Some(_)) => (read().await?, Known::Read),
                };
                continue;
            };
            match texts.compare_and_set(&key, found.record.as_deref(), &write).await? {
                Compared::Written => return Ok(value),
                Compared::Not(present) => (found, known) = (present, Known::Read),
            }
            attempts += 1;
        }
        Err(Failure::NotDone("too many others change the same record".to_owned()))
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.kind)
    }

    fn typed(&self, texts: &dyn TextStore, text: &str) -> Result<R, Failure> {
        R::from_text(text).map_err(|error| {
            let (kind, store) = (self.kind, texts.name());
            tracing::error!("a record of the kind {kind} in {store} is not one of this version's: {error}");
            Failure::NotDone("the record cannot be read".to_owned())
        })
    }
}

fn text_of<R: AsText>(write: Write<R>) -> Result<Write<String>, Failure> {
    let Write { to, forget_at, only_before, tell, durably, is_news } = write;
    let to = to.to_text().map_err(|error| Failure::NotDone(error.to_string()))?;
    Ok(Write { to, forget_at, only_before, tell, durably, is_news })
}

impl<R> Clone for Records<R> {
    fn clone(&self) -> Self {
        let store = match &self.store {
            Store::Memory(memory) => Store::Memory(Arc::clone(memory)),
            Store::Texts(texts) => Store::Texts(Arc::clone(texts)),
        };
        Self { kind: self.kind, store, metrics: self.metrics.clone() }
    }
}

impl<R> fmt::Debug for Records<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("kind", &self.kind).finish_non_exhaustive()
    }
}
