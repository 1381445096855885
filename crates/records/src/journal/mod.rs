//! A journal: lines that are appended, read page by page from the newest back, and taken out by their age. Nothing
//! changes a line, but that a person may be taken out of it.
//!
//! A line has two parts: an entry, which stays for the journal's time, and what is personal in it, which may be erased
//! before that for one subject, all lines at once. An entry must not say by itself whom it is about.
//!
//! A line may have a name. Of lines of the same name only the first is written, for an hour or longer: so whoever does not know
//! whether a line was written may write it again.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Failure, Moment, Redis, Sqlite};

/// How long a line's name keeps another line of that name out, at least.
pub(crate) const NAMED: Duration = Duration::from_secs(3600);

/// Lines that are taken out in one step, so that a step is short for whoever waits behind it.
pub(crate) const STEP: u32 = 500;

/// How much a journal keeps.
#[derive(Debug, Clone, Copy)]
pub struct Keeps {
    /// Lines of this age are not read any more, and are taken out by [`Journal::trim`].
    pub age: Duration,
    /// The most lines, about; the oldest give way.
    pub most: u32,
}

/// A line to be written.
#[derive(Debug, Clone)]
pub struct Note<E, P> {
    /// Its name, of up to a hundred bytes, where it must not be written twice. No line about somebody else has the same.
    pub name: Option<String>,
    /// What stays.
    pub entry: E,
    /// Whom it is about, as [`Journal::erase`] is told, and what is personal.
    pub about: Option<(String, P)>,
}

/// A line that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<E, P> {
    /// Where it stands.
    pub place: Place,
    /// What stays.
    pub entry: E,
    /// What is personal; nothing where it was erased, or there never was anything.
    pub personal: Option<P>,
}

/// Where a line stands. Later lines have greater places, as far as the store's clock does not go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it was written, by the store's clock.
    pub at: Moment,
    /// Which of that moment's lines it is.
    pub number: u64,
}

/// Which lines are read.
#[derive(Debug, Clone, Default)]
pub struct Range {
    /// Those of this moment and later; nothing for all.
    pub since: Option<Moment>,
    /// Those before this moment; nothing for all.
    pub until: Option<Moment>,
    /// Those about one of these subjects; nothing for all.
    pub about: Option<Vec<String>>,
}

/// Lines that were read, the newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<E, P> {
    /// The lines. There may be fewer than were asked for, although there are more.
    pub lines: Vec<Line<E, P>>,
    /// Lines that are not of this version, and were left out.
    pub unreadable: u64,
    /// From where to read on; nothing at the end.
    pub next: Option<Place>,
    /// The store's clock.
    pub now: Moment,
}

/// A line as a store has it.
#[derive(Debug, Clone)]
pub(crate) struct TextLine {
    pub place: Place,
    pub entry: String,
    pub personal: Option<String>,
}

/// Lines as a store has them.
#[derive(Debug)]
pub(crate) struct TextPage {
    pub lines: Vec<TextLine>,
    pub next: Option<Place>,
    pub now: Moment,
}

/// A store of a journal's texts.
pub(crate) trait TextJournal: fmt::Debug + Send + Sync {
    /// Appends a line; says whether there was none of its name.
    fn append<'a>(
        &'a self,
        kind: &'static str,
        note: Note<String, String>,
        keeps: Keeps,
    ) -> BoxFuture<'a, Result<bool, Failure>>;

    /// Reads lines of `range` before a place.
    fn page<'a>(
        &'a self,
        kind: &'static str,
        range: &'a Range,
        before: Option<Place>,
        most: u32,
    ) -> BoxFuture<'a, Result<TextPage, Failure>>;

    /// Takes what is personal out of all lines about a subject up to a moment; says how many.
    fn erase<'a>(
        &'a self,
        kind: &'static str,
        subject: &'a str,
        until: Moment,
    ) -> BoxFuture<'a, Result<u64, Failure>>;

    /// Takes out up to [`STEP`] lines that are not kept any more; says how many.
    fn trim<'a>(&'a self, kind: &'static str, keeps: Keeps) -> BoxFuture<'a, Result<u32, Failure>>;
}

/// A journal of one kind. Clones share it.
pub struct Journal<E, P> {
    kind: &'static str,
    store: Arc<dyn TextJournal>,
    keeps: Keeps,
    types: PhantomData<fn() -> (E, P)>,
}

impl<E, P> Journal<E, P> {
    /// A journal in a SQLite file.
    #[must_use]
    pub fn in_sqlite(kind: &'static str, sqlite: &Sqlite, keeps: Keeps) -> Self {
        Self { kind, store: Arc::new(sqlite.clone()), keeps, types: PhantomData }
    }

    /// A journal in Redis: a stream under `<prefix>journal:<kind>`, with what is personal beside it. A line waits for no
    /// replica.
    #[must_use]
    pub fn in_redis(kind: &'static str, redis: &Redis, keeps: Keeps) -> Self {
        Self { kind, store: Arc::new(redis.clone()), keeps, types: PhantomData }
    }

    /// Takes what is personal out of all lines about `subject` up to `until`, for good; says how many lines that were.
    ///
    /// # Errors
    /// [`Failure`]. It may be done again.
    pub async fn erase(&self, subject: &str, until: Moment) -> Result<u64, Failure> {
        self.store.erase(self.kind, subject, until).await
    }

    /// Takes out some of the lines that are too old or too many; says whether there may be more of them.
    ///
    /// # Errors
    /// [`Failure`]. It may be done again.
    pub async fn trim(&self) -> Result<bool, Failure> {
        Ok(self.store.trim(self.kind, self.keeps).await? >= STEP)
    }
}

impl<E: Serialize + DeserializeOwned, P: Serialize + DeserializeOwned> Journal<E, P> {
    /// Appends a line under the store's clock; says whether it was written, and not one of its name before.
    ///
    /// # Errors
    /// [`Failure`]. A line with a name may be appended again where that is not certain. Dropping the future leaves what was
    /// begun.
    pub async fn append(&self, note: Note<E, P>) -> Result<bool, Failure> {
        let Note { name, entry, about } = note;
        let about = about.map(|(subject, personal)| Ok((subject, text_of(&personal)?))).transpose()?;
        let note = Note { name, entry: text_of(&entry)?, about };
        self.store.append(self.kind, note, self.keeps).await
    }

    /// Reads up to `most` lines of `range`, from the newest back, or those before a place. What is too old is not there, also
    /// before it is taken out.
    ///
    /// # Errors
    /// [`Failure`]; nothing was changed.
    pub async fn page(&self, range: &Range, before: Option<Place>, most: u32) -> Result<Page<E, P>, Failure> {
        let TextPage { lines: texts, next, now } =
            self.store.page(self.kind, range, before, most).await.map_err(Failure::certain)?;
        let kept_since = Moment(now.0.saturating_sub(crate::moment::milliseconds(self.keeps.age)));
        let (mut lines, mut unreadable, mut next) = (Vec::with_capacity(texts.len()), 0, next);
        for TextLine { place, entry, personal } in texts {
            if place.at <= kept_since {
                next = None;
                break;
            }
            match (serde_json::from_str(&entry), personal.as_deref().map(serde_json::from_str).transpose()) {
                (Ok(entry), Ok(personal)) => lines.push(Line { place, entry, personal }),
                _ => unreadable += 1,
            }
        }
        Ok(Page { lines, unreadable, next, now })
    }
}

fn text_of(part: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(part).map_err(|error| Failure::NotDone(error.to_string()))
}

impl<E, P> Clone for Journal<E, P> {
    fn clone(&self) -> Self {
        let Self { kind, store, keeps, .. } = self;
        Self { kind, store: Arc::clone(store), keeps: *keeps, types: PhantomData }
    }
}

impl<E, P> fmt::Debug for Journal<E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod contract;
