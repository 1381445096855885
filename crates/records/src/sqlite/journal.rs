//! A journal in the SQLite file: one table beside that of records. Versions that know nothing of it leave it alone.

use futures_util::future::{BoxFuture, FutureExt};
use rusqlite::{Transaction, params};

use super::{Sqlite, integer};
use crate::journal::{Keeps, Note, Place, Range, STEP, TextJournal, TextLine, TextPage};
use crate::moment::milliseconds;
use crate::{Failure, Moment};

/// The table, made at each opening unless it is there.
///
/// Where a line's place in an index is random, writing it costs a page of the file and of the log. So there is one such index,
/// which keeps repeats out and finds whom a line is about. Versions before that had two, and make them again.
pub(super) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS journal (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, at INTEGER NOT NULL,
        name TEXT, subject TEXT, entry TEXT NOT NULL, personal TEXT
    );
    CREATE INDEX IF NOT EXISTS journal_by_time ON journal (kind, at);
    CREATE UNIQUE INDEX IF NOT EXISTS journal_of_subject ON journal (kind, subject, name) WHERE subject IS NOT NULL;
    CREATE UNIQUE INDEX IF NOT EXISTS journal_of_nobody ON journal (kind, name) WHERE subject IS NULL AND name IS NOT NULL;
    DROP INDEX IF EXISTS journal_by_name;
    DROP INDEX IF EXISTS journal_by_subject;";

impl TextJournal for Sqlite {
    fn append<'a>(
        &'a self,
        kind: &'static str,
        note: Note<String, String>,
        _keeps: Keeps,
    ) -> BoxFuture<'a, Result<bool, Failure>> {
        self.ask(move |transaction| {
            let Note { name, entry, about } = &note;
            let now = integer(Moment::by_this_machine());
            let (subject, personal) = about.as_ref().map(|(subject, personal)| (subject, personal)).unzip();
            let written = transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO journal (kind, at, name, subject, entry, personal)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![kind, now, name, subject, entry, personal])?;
            Ok(written > 0)
        })
    }

    fn page<'a>(
        &'a self,
        kind: &'static str,
        range: &'a Range,
        before: Option<Place>,
        most: u32,
    ) -> BoxFuture<'a, Result<TextPage, Failure>> {
        let range = range.clone();
        async move { self.ask(move |transaction| page(transaction, kind, &range, before, most)).await }
            .boxed()
    }

    fn erase<'a>(
        &'a self,
        kind: &'static str,
        subject: &'a str,
        until: Moment,
    ) -> BoxFuture<'a, Result<u64, Failure>> {
        let subject = subject.to_owned();
        self.ask(move |transaction| {
            let erased = transaction
                .prepare_cached(
                    "UPDATE journal INDEXED BY journal_of_subject SET name = NULL, subject = NULL, personal = NULL
                     WHERE kind = ?1 AND subject = ?2 AND at <= ?3",
                )?
                .execute(params![kind, subject, integer(until)])?;
            Ok(u64::try_from(erased).unwrap_or(u64::MAX))
        })
    }

    fn trim<'a>(&'a self, kind: &'static str, keeps: Keeps) -> BoxFuture<'a, Result<u32, Failure>> {
        self.ask(move |transaction| trim(transaction, kind, keeps))
    }
}

fn page(
    transaction: &Transaction<'_>,
    kind: &str,
    range: &Range,
    before: Option<Place>,
    most: u32,
) -> rusqlite::Result<TextPage> {
    let now = Moment::by_this_machine();
    let since = integer(range.since.unwrap_or(Moment(0)));
    let until = range.until.map(|at| Place { at, number: 0 });
    // Before the greatest place there is.
    let before = [before, until].into_iter().flatten().min();
    let (at, number) = before.map_or((i64::MAX, i64::MAX), |place| {
        (integer(place.at), i64::try_from(place.number).unwrap_or(i64::MAX))
    });
    let read = |row: &rusqlite::Row<'_>| {
        let place = |at: i64, id: i64| Place {
            at: Moment(u64::try_from(at).unwrap_or_default()),
            number: u64::try_from(id).unwrap_or_default(),
        };
        Ok(TextLine { place: place(row.get(0)?, row.get(1)?), entry: row.get(2)?, personal: row.get(3)? })
    };
    let lines: rusqlite::Result<Vec<_>> = match &range.about {
        None => transaction
            .prepare_cached(
                "SELECT at, id, entry, personal FROM journal
                 WHERE kind = ?1 AND at >= ?2 AND (at, id) < (?3, ?4) ORDER BY at DESC, id DESC LIMIT ?5",
            )?
            .query_map(params![kind, since, at, number, most], read)?
            .collect(),
        Some(subjects) => transaction
            .prepare_cached(
                "SELECT at, id, entry, personal FROM journal INDEXED BY journal_of_subject
                 WHERE kind = ?1 AND at >= ?2 AND (at, id) < (?3, ?4)
                     AND subject IN (SELECT value FROM json_each(?6)) ORDER BY at DESC, id DESC LIMIT ?5",
            )?
            .query_map(params![kind, since, at, number, most, as_json(subjects)], read)?
            .collect(),
    };
    let lines = lines?;
    let is_whole = u32::try_from(lines.len()).is_ok_and(|len| len < most);
    let next = lines.last().map(|line| line.place).filter(|_| !is_whole);
    Ok(TextPage { lines, next, now })
}

fn as_json(subjects: &[String]) -> String {
    serde_json::Value::from(subjects.to_vec()).to_string()
}

/// Takes lines out by their age and by their number. Their names stay as long as they: to take them out would write each line
/// once more. Lines are taken out at the
/// old end alone, so the ids of those that stay follow each other, and nobody has to count them.
fn trim(transaction: &Transaction<'_>, kind: &str, keeps: Keeps) -> rusqlite::Result<u32> {
    let now = Moment::by_this_machine().0;
    let before = |age| integer(Moment(now.saturating_sub(milliseconds(age))));
    let trimmed = transaction
        .prepare_cached(
            "DELETE FROM journal WHERE id IN (
                 SELECT id FROM journal WHERE kind = ?1 AND at <= ?2 ORDER BY at LIMIT ?3)",
        )?
        .execute(params![kind, before(keeps.age), STEP])?;
    let over = transaction
        .prepare_cached(
            "DELETE FROM journal WHERE id IN (
                 SELECT id FROM journal WHERE kind = ?1 AND id <= (SELECT max(id) FROM journal) - ?2
                 ORDER BY id LIMIT ?3)",
        )?
        .execute(params![kind, keeps.most, STEP])?;
    Ok(u32::try_from(trimmed.max(over)).unwrap_or(u32::MAX))
}
