//! Records in one SQLite file, for one machine with nothing to install.
//!
//! [`mod@file`] opens the file, makes its table, and turns an older version's tables into records. [`thread`] is the one
//! thread that works on it, and [`inspection`] looks for an operator: SQLite blocks, and what comes together is written in one
//! transaction. A change begins with the [copy](crate::copies) that this process had last. [`log`] has the write-ahead log copied into the file meanwhile. [`mod@journal`] is a table beside that of records.

mod file;
mod inspection;
mod journal;
mod log;
mod thread;

use std::path::Path;
use std::sync::mpsc::SyncSender;

use futures_util::future::{BoxFuture, FutureExt};
use rusqlite::{OptionalExtension, Transaction, params};
use tokio::sync::oneshot;

pub use self::file::OpenError;
pub use self::inspection::{SqliteState, inspect};
use self::log::Log;
use self::thread::Work;
use crate::as_text::{Compared, TextStore};
use crate::copies::Copies;
use crate::{Failure, Found, Moment, StoreMetrics, Write};

/// A SQLite file. Clones share its thread, which ends with the last of them.
#[derive(Debug, Clone)]
pub struct Sqlite {
    work: SyncSender<Work>,
    copies: Copies,
    metrics: StoreMetrics,
}

impl Sqlite {
    /// Opens or makes the file, and starts the thread. `from_schema_1` is the SQL that turns the tables of schema 1, which
    /// the file's owner made by itself, into records, and takes them away; a copy of the file as it was stays beside it.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version.
    pub fn open(path: &Path, from_schema_1: &str) -> Result<Self, OpenError> {
        let mut connection = file::open(path, from_schema_1)?;
        let log = Log::of(&mut connection, log::LENGTHS)?;
        let work = thread::start(connection, log)?;
        Ok(Self { work, copies: Copies::default(), metrics: StoreMetrics::default() })
    }

    /// What measures all records in this file.
    #[must_use]
    pub fn metrics(&self) -> &StoreMetrics {
        &self.metrics
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Failure>> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |transaction| {
            let result = work(transaction);
            Box::new(move |committed| {
                let result = result.map_err(|error| Failure::NotDone(error.to_string()));
                // The caller may have given up. Its own error says more than what became of the others.
                let _ = reply.send(result.and_then(|value| committed.map(|()| value)));
            })
        });
        let queued = self.work.try_send(work).map_err(|error| Failure::NotDone(error.to_string()));
        async move {
            queued?;
            answer.await.unwrap_or_else(|_| Err(Failure::NotDone("nothing was written".to_owned())))
        }
        .boxed()
    }
}

impl TextStore for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Found<String>, Failure>> {
        let key = key.to_owned();
        self.ask(move |transaction| {
            let now = Moment::by_this_machine();
            Ok(Found { record: find(transaction, &key, now)?, now })
        })
    }

    fn glance<'a>(
        &'a self,
        key: &'a str,
        change_follows: bool,
    ) -> BoxFuture<'a, Result<Found<String>, Failure>> {
        if !change_follows {
            return self.read(key);
        }
        async move {
            let before = self.copies.before(key);
            let found = self.read(key).await?;
            self.copies.put(key, &before, found.record.as_deref(), false);
            Ok(found)
        }
        .boxed()
    }

    fn guess(&self, key: &str) -> Option<Found<String>> {
        let record = self.copies.get(key).map(|text| text.to_string());
        Some(Found { record, now: Moment::by_this_machine() })
    }

    fn compare_and_set<'a>(
        &'a self,
        key: &'a str,
        from: Option<&'a str>,
        write: &'a Write<String>,
    ) -> BoxFuture<'a, Result<Compared, Failure>> {
        async move {
            let before = self.copies.before(key);
            let (owned, from, to) = (key.to_owned(), from.map(str::to_owned), write.clone());
            let set = self.ask(move |transaction| compare_and_set(transaction, &owned, from.as_deref(), &to));
            let compared = set.await.inspect_err(|_| self.copies.outdate(key))?;
            let record = match &compared {
                Compared::Written => Some(&write.to),
                Compared::Not(found) => found.record.as_ref(),
            };
            self.copies.put(key, &before, record.map(String::as_str), false);
            Ok(compared)
        }
        .boxed()
    }

    fn now(&self) -> BoxFuture<'_, Result<Moment, Failure>> {
        async { Ok(Moment::by_this_machine()) }.boxed()
    }

    fn put<'a>(&'a self, key: &'a str, write: &'a Write<String>) -> BoxFuture<'a, Result<(), Failure>> {
        self.copies.outdate(key);
        let (key, write) = (key.to_owned(), write.clone());
        self.ask(move |transaction| put(transaction, &key, &write))
    }
}

fn find(transaction: &Transaction<'_>, key: &str, now: Moment) -> rusqlite::Result<Option<String>> {
    transaction
        .prepare_cached("SELECT record FROM records WHERE key = ?1 AND forget_at > ?2")?
        .query_row(params![key, integer(now)], |row| row.get(0))
        .optional()
}

fn compare_and_set(
    transaction: &Transaction<'_>,
    key: &str,
    from: Option<&str>,
    write: &Write<String>,
) -> rusqlite::Result<Compared> {
    let now = Moment::by_this_machine();
    if write.only_before.is_some_and(|moment| now >= moment) {
        return Ok(Compared::Not(Found { record: find(transaction, key, now)?, now }));
    }
    // Each looks for the key once. What is forgotten may still be there.
    let (to, forget_at, at) = (&write.to, integer(write.forget_at), integer(now));
    let changed = match from {
        Some(from) => transaction
            .prepare_cached(
                "UPDATE records SET record = ?2, forget_at = ?3 WHERE key = ?1 AND record = ?4 AND forget_at > ?5",
            )?
            .execute(params![key, to, forget_at, from, at])?,
        None => transaction
            .prepare_cached(
                "INSERT INTO records (key, record, forget_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (key) DO UPDATE SET record = excluded.record, forget_at = excluded.forget_at
                 WHERE records.forget_at <= ?4",
            )?
            .execute(params![key, to, forget_at, at])?,
    };
    match changed {
        0 => Ok(Compared::Not(Found { record: find(transaction, key, now)?, now })),
        _ => Ok(Compared::Written),
    }
}

fn put(transaction: &Transaction<'_>, key: &str, write: &Write<String>) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO records (key, record, forget_at) VALUES (?1, ?2, ?3)")?
        .execute(params![key, write.to, integer(write.forget_at)])?;
    Ok(())
}

/// A moment as SQLite keeps it.
fn integer(moment: Moment) -> i64 {
    i64::try_from(moment.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
