//! The store in one SQLite file, with a thread of its own: SQLite blocks, and what comes together is
//! written in one transaction.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures_util::future::{BoxFuture, FutureExt};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use server::clock;

use super::{Memory, REMEMBERED, Recorded, SAME_WORDS, Scan, Store, StoreError};

/// The version of the tables, kept in the file's `user_version`.
const SCHEMA: i64 = 1;

/// Requests that may wait for the thread; the next one is refused. A transaction takes about a
/// millisecond and holds a batch.
const QUEUE: usize = 4096;

/// Requests in one transaction.
const BATCH: usize = 256;

/// How often forgotten scans are taken out.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How long the start waits for another process that begins on the same file.
const PATIENCE: Duration = Duration::from_secs(2);

type Work = Box<dyn FnOnce(&Transaction<'_>) -> Done + Send>;
/// Tells the caller, once the transaction stands or has failed.
type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The store `sqlite:`.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    work: blocking::SyncSender<Work>,
}

impl SqliteStore {
    /// Opens or makes the file, and starts the thread.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let connection = connect(path)
            .with_context(|| format!("CALLBACK_STORE: cannot use the SQLite file {}", path.display()))?;
        let (work, queue) = blocking::sync_channel(QUEUE);
        std::thread::Builder::new().name("sqlite".to_owned()).spawn(move || run(connection, &queue))?;
        Ok(Self { work })
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |transaction| {
            let result = work(transaction);
            Box::new(move |committed| {
                let result = result.map_err(|error| StoreError(error.to_string()));
                // The caller may have given up. Its own error says more than what became of the others.
                let _ = reply.send(result.and_then(|value| committed.map(|()| value)));
            })
        });
        let queued = self.work.try_send(work).map_err(|error| StoreError(error.to_string()));
        async move {
            queued?;
            answer.await.unwrap_or_else(|_| Err(StoreError("nothing was written".to_owned())))
        }
        .boxed()
    }
}

impl Store for SqliteStore {
    fn recall<'a>(&'a self, scan: &'a Scan) -> BoxFuture<'a, Result<Memory, StoreError>> {
        let scan = scan.clone();
        self.ask(move |transaction| recall(transaction, &scan))
    }

    fn attempt<'a>(&'a self, scan: &'a Scan) -> BoxFuture<'a, Result<(), StoreError>> {
        let scan = scan.clone();
        self.ask(move |transaction| {
            transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO scans (scene, openid, first, created_at, noted_at)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![scan.scene.as_str(), scan.openid, scan.first, scan.created_at, now()])
                .map(|_| ())
        })
    }

    fn record<'a>(
        &'a self,
        scan: &'a Scan,
        nickname: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Recorded, StoreError>> {
        let (scan, nickname) = (scan.clone(), nickname.map(str::to_owned));
        self.ask(move |transaction| record(transaction, &scan, nickname))
    }

    fn admit<'a>(
        &'a self,
        signature: &'a str,
        body: &'a str,
        until: u64,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let (signature, body) = (signature.to_owned(), body.to_owned());
        let until = i64::try_from(until).unwrap_or(i64::MAX);
        self.ask(move |transaction| {
            transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO signatures (signature, body, forget_at) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![signature, body, until])?;
            transaction
                .prepare_cached("SELECT body = ?2 FROM signatures WHERE signature = ?1")?
                .query_row(params![signature, body], |row| row.get(0))
        })
    }

    fn forget<'a>(&'a self, openid: &'a str, at: i64) -> BoxFuture<'a, Result<(), StoreError>> {
        let openid = openid.to_owned();
        self.ask(move |transaction| {
            transaction
                .prepare_cached("DELETE FROM people WHERE openid = ?1 AND last_login_at <= ?2")?
                .execute(params![openid, at])?;
            transaction
                .prepare_cached("DELETE FROM scans WHERE openid = ?1 AND created_at <= ?2")?
                .execute(params![openid, at])?;
            Ok(())
        })
    }
}

fn connect(path: &Path) -> anyhow::Result<Connection> {
    make_private(path)?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    // A commit survives the process's death; the last ones may be lost with the machine's power, which
    // costs a number in a greeting.
    patiently(|| connection.pragma_update(None, "journal_mode", "WAL"))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // Whoever reads the version may write the tables: two processes that begin on one new file take turns.
    let tables = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match tables.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? {
        0 => tables.execute_batch(&format!(
            "CREATE TABLE people (
                 openid TEXT PRIMARY KEY, logins INTEGER NOT NULL, last_login_at INTEGER NOT NULL
             ) WITHOUT ROWID;
             CREATE TABLE scans (
                 scene TEXT NOT NULL, openid TEXT NOT NULL, first INTEGER NOT NULL,
                 created_at INTEGER NOT NULL, noted_at INTEGER NOT NULL, count INTEGER, nickname TEXT,
                 PRIMARY KEY (scene, openid)
             ) WITHOUT ROWID;
             CREATE INDEX scans_by_age ON scans (noted_at);
             CREATE INDEX scans_by_person ON scans (openid);
             PRAGMA user_version = {SCHEMA};"
        ))?,
        SCHEMA => {}
        newer => bail!("it was written by a newer version (schema {newer}; this one knows {SCHEMA})"),
    }
    // Older versions of this schema do without, so it needs no number of its own.
    tables.execute_batch(
        "CREATE TABLE IF NOT EXISTS signatures (
             signature TEXT PRIMARY KEY, body TEXT NOT NULL, forget_at INTEGER NOT NULL
         ) WITHOUT ROWID;
         CREATE INDEX IF NOT EXISTS signatures_by_age ON signatures (forget_at);",
    )?;
    tables.commit()?;
    Ok(connection)
}

/// Makes a new file for its owner alone, because it says who logs in where; SQLite gives the files beside it the same
/// rights. One that exists keeps what its operator gave it.
fn make_private(path: &Path) -> anyhow::Result<()> {
    // Names of SQLite's own, for no file or with its own parameters.
    if path == Path::new(":memory:") || path.as_os_str().as_encoded_bytes().starts_with(b"file:") {
        return Ok(());
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// Does it again while another process is at it: not everything waits for others by itself.
fn patiently(mut work: impl FnMut() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    let began = Instant::now();
    loop {
        match work() {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && began.elapsed() < PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

/// Works until the store is dropped.
fn run(mut connection: Connection, queue: &blocking::Receiver<Work>) {
    let mut swept = Instant::now();
    loop {
        let batch: Vec<Work> = match queue.recv_timeout(SWEEP_EVERY) {
            Ok(first) => std::iter::once(first).chain(queue.try_iter().take(BATCH - 1)).collect(),
            Err(blocking::RecvTimeoutError::Timeout) => Vec::new(),
            Err(blocking::RecvTimeoutError::Disconnected) => return,
        };
        let sweep = swept.elapsed() >= SWEEP_EVERY;
        if sweep {
            swept = Instant::now();
        }
        work_off(&mut connection, batch, sweep);
    }
}

/// Does a batch in one transaction; what comes behind a failure that undid the transaction, in one of its own.
fn work_off(connection: &mut Connection, batch: Vec<Work>, sweep: bool) {
    let mut batch = batch.into_iter();
    loop {
        let mut done = Vec::with_capacity(batch.len());
        let committed = transact(connection, &mut batch, &mut done, sweep);
        if let Err(error) = &committed {
            tracing::error!("{error}");
        }
        // Where not even a transaction could be begun, whoever is left hears that nothing was written.
        let goes_on = !done.is_empty() && batch.len() > 0;
        for tell in done {
            tell(committed.clone());
        }
        if !goes_on {
            return;
        }
    }
}

fn transact(
    connection: &mut Connection,
    batch: &mut impl Iterator<Item = Work>,
    done: &mut Vec<Done>,
    sweep: bool,
) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| StoreError(error.to_string());
    // Immediate, because what reads and then writes must wait for another process before it reads.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    if sweep {
        transaction.execute("DELETE FROM scans WHERE noted_at < ?1", [before(REMEMBERED)]).map_err(failed)?;
        transaction.execute("DELETE FROM signatures WHERE forget_at < ?1", [now()]).map_err(failed)?;
    }
    for work in batch {
        done.push(work(&transaction));
        // A full disk and the like undo the whole of it, and what followed would be written by itself.
        if transaction.is_autocommit() {
            return Err(StoreError("SQLite has undone a transaction in which one write failed".to_owned()));
        }
    }
    transaction.commit().map_err(failed)
}

fn now() -> i64 {
    i64::try_from(clock::unix_now()).unwrap_or(i64::MAX)
}

/// The moment that lies so far back.
fn before(time: Duration) -> i64 {
    now() - i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// What is kept of a scan, and since when; without a login where it was only attempted.
fn find(transaction: &Transaction<'_>, scan: &Scan) -> rusqlite::Result<Option<(Option<Recorded>, i64)>> {
    transaction
        .prepare_cached(
            "SELECT first, count, nickname, noted_at FROM scans WHERE scene = ?1 AND openid = ?2",
        )?
        .query_row(params![scan.scene.as_str(), scan.openid], |row| {
            let (first, nickname) = (row.get(0)?, row.get(2)?);
            let recorded = row.get::<_, Option<u32>>(1)?.map(|count| Recorded { first, nickname, count });
            Ok((recorded, row.get(3)?))
        })
        .optional()
}

fn recall(transaction: &Transaction<'_>, scan: &Scan) -> rusqlite::Result<Memory> {
    Ok(match find(transaction, scan)? {
        None => Memory::Nothing,
        Some((None, _)) => Memory::Attempted,
        Some((Some(recorded), noted_at)) if noted_at > before(SAME_WORDS) => Memory::Recorded(recorded),
        Some((Some(_), _)) => Memory::LongAgo,
    })
}

fn record(
    transaction: &Transaction<'_>,
    scan: &Scan,
    nickname: Option<String>,
) -> rusqlite::Result<Recorded> {
    if let Some((Some(counted), _)) = find(transaction, scan)? {
        return Ok(counted);
    }
    let count: u32 = transaction
        .prepare_cached(
            "INSERT INTO people (openid, logins, last_login_at) VALUES (?1, 1, ?2)
             ON CONFLICT (openid) DO UPDATE
             SET logins = logins + 1, last_login_at = max(last_login_at, excluded.last_login_at)
             RETURNING logins",
        )?
        .query_row(params![scan.openid, scan.created_at], |row| row.get(0))?;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO scans (scene, openid, first, created_at, noted_at, count, nickname)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            scan.scene.as_str(),
            scan.openid,
            scan.first,
            scan.created_at,
            now(),
            count,
            nickname
        ])?;
    Ok(Recorded { first: scan.first, nickname, count })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Arc, Barrier, Mutex};

    use super::*;
    use crate::store::contract::scan;

    #[tokio::test]
    async fn long_after_it_the_gateway_is_asked_again_but_nothing_is_counted_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("callback.db");
        let (store, one) = (SqliteStore::open(&path).unwrap(), scan("a", 100));
        store.record(&one, None).await.unwrap();
        Connection::open(&path).unwrap().execute("UPDATE scans SET noted_at = noted_at - 181", []).unwrap();
        assert_eq!(store.recall(&one).await.unwrap(), Memory::LongAgo);
        assert_eq!(store.record(&one, None).await.unwrap().count, 1);
    }

    #[test]
    fn behind_a_full_disk_nothing_is_written_without_its_transaction() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = connect(&folder.path().join("callback.db")).unwrap();
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        connection.pragma_update(None, "max_page_count", pages + 2).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let work = |nickname: &str| -> Work {
            let (scan, nickname, told) = (scan("a", 100), nickname.to_owned(), Arc::clone(&told));
            Box::new(move |transaction| {
                let is_alone = transaction.is_autocommit();
                let result = record(transaction, &scan, Some(nickname)).map(|recorded| recorded.count);
                Box::new(move |committed| {
                    let is_recorded = result.is_ok() && committed.is_ok();
                    told.lock().unwrap().push((is_alone, is_recorded.then(|| result.unwrap())));
                })
            })
        };
        let too_long = "x".repeat(1_000_000);
        work_off(&mut connection, vec![work(""), work(&too_long), work(""), work("")], false);
        // The first is undone with the second; the others are counted in a transaction of their own.
        let told = told.lock().unwrap().clone();
        assert_eq!(told, [(false, None), (false, None), (false, Some(1)), (false, Some(2))]);
        let kept = |of: &str| connection.query_row(of, [], |row| row.get::<_, u32>(0)).unwrap();
        assert_eq!(kept("SELECT logins FROM people"), 2);
        assert_eq!(kept("SELECT count(*) FROM scans"), 2);
    }

    #[test]
    fn those_who_begin_on_one_new_file_take_turns() {
        for _ in 0..10 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("callback.db");
            let begin = Barrier::new(8);
            std::thread::scope(|threads| {
                let beginning: Vec<_> = (0..8)
                    .map(|_| {
                        threads.spawn(|| {
                            begin.wait();
                            connect(&path).map(drop)
                        })
                    })
                    .collect();
                for begun in beginning {
                    begun.join().unwrap().unwrap();
                }
            });
        }
    }

    #[tokio::test]
    async fn a_new_file_and_those_beside_it_are_the_owners_alone_and_an_old_one_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("callback.db");
        let store = SqliteStore::open(&path).unwrap();
        store.record(&scan("a", 100), None).await.unwrap();
        let mut files = 0;
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", file.file_name());
            files += 1;
        }
        assert_eq!(files, 3, "the file, its journal and what its readers share");
        drop(store);
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        SqliteStore::open(&path).unwrap().record(&scan("a", 101), None).await.unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[tokio::test]
    async fn a_signature_survives_a_restart_and_is_forgotten_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("callback.db");
        let until = clock::unix_now() + 600;
        assert!(SqliteStore::open(&path).unwrap().admit("s", "one", until).await.unwrap());
        assert!(SqliteStore::open(&path).unwrap().admit("old", "one", 1).await.unwrap());
        let mut connection = connect(&path).unwrap();
        transact(&mut connection, &mut std::iter::empty(), &mut Vec::new(), true).unwrap();
        let store = SqliteStore::open(&path).unwrap();
        assert!(!store.admit("s", "two", until).await.unwrap());
        assert!(store.admit("old", "two", until).await.unwrap());
    }

    #[tokio::test]
    async fn what_was_counted_survives_and_a_newer_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("callback.db");
        let one = scan("a", 100);
        let kept = SqliteStore::open(&path).unwrap().record(&one, None).await.unwrap();
        assert_eq!(SqliteStore::open(&path).unwrap().recall(&one).await.unwrap(), Memory::Recorded(kept));

        Connection::open(&path).unwrap().pragma_update(None, "user_version", SCHEMA + 1).unwrap();
        let error = format!("{:#}", SqliteStore::open(&path).unwrap_err());
        assert!(error.contains("CALLBACK_STORE") && error.contains("newer"), "{error}");
        let nowhere = SqliteStore::open(Path::new("/nowhere/callback.db")).unwrap_err();
        assert!(format!("{nowhere:#}").contains("/nowhere/callback.db"), "{nowhere:#}");
    }
}
