//! What only a SQLite file can do: be full, be another process's, be of an older or a newer version.

#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::thread::{transact, work_off};
use super::*;
use crate::contract::Plain;
use crate::{Journal, Keeps, Note, Records, Step};

const MINUTE: Duration = Duration::from_secs(60);

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.db");
    (folder, path)
}

fn records(path: &Path) -> Records<Plain> {
    Records::in_sqlite("plain", &Sqlite::open(path, "").unwrap())
}

async fn write(records: &Records<Plain>, name: &str, text: &str, lives: Duration) {
    let write = |now| Write::new(Plain(text.to_owned()), now + lives);
    records.update(name, |_, now| Step::Write(write(now), ())).await.unwrap();
}

async fn read(records: &Records<Plain>, name: &str) -> Option<String> {
    records.read(name).await.unwrap().record.map(|Plain(text)| text)
}

#[test]
fn behind_a_full_disk_nothing_is_written_without_its_transaction() {
    let (_folder, path) = folder();
    let mut connection = file::open(&path, "").unwrap();
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    connection.pragma_update(None, "max_page_count", pages + 2).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut keys = 0;
    let mut work = |text: &str| -> Work {
        keys += 1;
        let (key, told) = (keys.to_string(), Arc::clone(&told));
        let write = Write::new(text.to_owned(), Moment::by_this_machine() + MINUTE);
        Box::new(move |transaction| {
            let is_alone = transaction.is_autocommit();
            let result = compare_and_set(transaction, &key, None, &write);
            Box::new(move |committed| {
                let is_written = matches!(result, Ok(Compared::Written)) && committed.is_ok();
                told.lock().unwrap().push((is_alone, is_written));
            })
        })
    };
    let too_long = "x".repeat(1_000_000);
    let batch = vec![work("a"), work(&too_long), work("b"), work("c")];
    work_off(&mut connection, batch, false);
    // The first is undone with the second; the others are written in a transaction of their own.
    let told = told.lock().unwrap().clone();
    assert_eq!(told, [(false, false), (false, false), (false, true), (false, true)]);
    let kept: u32 = connection.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 2);
}

#[test]
fn those_who_begin_on_one_new_file_take_turns() {
    for _ in 0..10 {
        let (_folder, path) = folder();
        let begin = Barrier::new(8);
        std::thread::scope(|threads| {
            let beginning: Vec<_> = (0..8)
                .map(|_| {
                    threads.spawn(|| {
                        begin.wait();
                        file::open(&path, "").map(drop)
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
    let (folder, path) = folder();
    let one = records(&path);
    write(&one, "a", "x", MINUTE).await;
    let mut files = 0;
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
        files += 1;
    }
    assert_eq!(files, 3, "the file, its journal and what its readers share");
    drop(one);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    write(&records(&path), "b", "x", MINUTE).await;
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[tokio::test]
async fn a_record_survives_a_restart_and_a_forgotten_one_is_taken_out() {
    let (_folder, path) = folder();
    write(&records(&path), "a", "kept", MINUTE).await;
    write(&records(&path), "b", "old", Duration::ZERO).await;
    let mut connection = file::open(&path, "").unwrap();
    let rows = |connection: &Connection| {
        connection.query_row("SELECT count(*) FROM records", [], |row| row.get::<_, u32>(0)).unwrap()
    };
    assert_eq!(rows(&connection), 2);
    transact(&mut connection, &mut std::iter::empty(), &mut Vec::new(), true).unwrap();
    assert_eq!(rows(&connection), 1);
    assert_eq!(read(&records(&path), "a").await.as_deref(), Some("kept"));
}

#[tokio::test]
async fn what_is_written_late_is_not_written() {
    let (_folder, path) = folder();
    let one = records(&path);
    let late = |found: Option<&Plain>, now: Moment| {
        // Somebody decided by a moment that comes before the writing.
        let write = Write { only_before: Some(now), ..Write::new(Plain("late".to_owned()), now + MINUTE) };
        assert!(found.is_none());
        Step::Write(write, ())
    };
    assert!(matches!(one.update("a", late).await, Err(Failure::NotDone(_))));
    assert_eq!(read(&one, "a").await, None);
}

#[test]
fn a_newer_file_is_left_alone() {
    let (_folder, path) = folder();
    file::open(&path, "").unwrap().pragma_update(None, "user_version", 3).unwrap();
    let error = file::open(&path, "").unwrap_err().to_string();
    assert!(error.contains("newer version (schema 3"), "{error}");
    assert!(file::open(Path::new("/nowhere/records.db"), "").is_err());
}

/// A file of schema 1, as one who has such tables makes it.
const SCHEMA_1: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE words (word TEXT PRIMARY KEY, means TEXT NOT NULL) WITHOUT ROWID;
    WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
    INSERT INTO words SELECT 'word' || n, printf('means %d', n) FROM n;
    PRAGMA user_version = 1;";

const FROM_SCHEMA_1: &str = "
    INSERT INTO records SELECT 'plain:' || word, means, 9000000000000 FROM words;
    DROP TABLE words;";

fn older(path: &Path) {
    Connection::open(path).unwrap().execute_batch(SCHEMA_1).unwrap();
}

fn words(path: &Path) -> u32 {
    let words = Connection::open(path).unwrap();
    words.query_row("SELECT count(*) FROM words WHERE means LIKE 'means %'", [], |row| row.get(0)).unwrap()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

#[tokio::test]
async fn an_older_file_is_copied_and_becomes_records() {
    let (_folder, path) = folder();
    older(&path);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let opened = Records::in_sqlite("plain", &Sqlite::open(&path, FROM_SCHEMA_1).unwrap());
    assert_eq!(read(&opened, "word7").await.as_deref(), Some("means 7"));
    let copy = beside(&path, ".schema-1");
    assert_eq!(words(&copy), 1000);
    let version = |path: &Path| -> i64 {
        Connection::open(path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    };
    assert_eq!([version(&path), version(&copy)], [2, 1]);
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o640, "as the file's own");
    assert!(!beside(&path, ".schema-1.part").exists());
    drop(opened);
    // The next start has nothing to change.
    fs::remove_file(&copy).unwrap();
    Sqlite::open(&path, FROM_SCHEMA_1).unwrap();
    assert!(!copy.exists());
}

#[test]
fn those_who_begin_on_one_older_file_change_it_once() {
    let (_folder, path) = folder();
    older(&path);
    let begin = Barrier::new(4);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                begin.wait();
                let opened = file::open(&path, FROM_SCHEMA_1).unwrap();
                let all = "SELECT count(*) FROM records";
                assert_eq!(opened.query_row(all, [], |row| row.get::<_, u32>(0)).unwrap(), 1000);
            });
        }
    });
    assert_eq!(words(&beside(&path, ".schema-1")), 1000);
}

#[test]
fn a_change_that_is_cut_off_has_changed_nothing_and_is_done_by_the_next_start() {
    let (folder, path) = folder();
    older(&path);
    // What an earlier attempt has left of a copy.
    fs::write(beside(&path, ".schema-1.part"), "half of a file").unwrap();
    let mut connection = Connection::open(&path).unwrap();
    // So little memory that the change is in the journal before it stands.
    connection.pragma_update(None, "cache_size", 1).unwrap();
    let tables = connection.transaction().unwrap();
    file::change_tables(&tables, FROM_SCHEMA_1).unwrap();
    // The machine stops: all that is left is the files, as they are now.
    let after = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        // What its readers share is no part of it.
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), after.path().join(file.file_name())).unwrap();
        }
    }
    let path = after.path().join("records.db");
    let journal = beside(&path, "-wal").metadata().unwrap().len();
    assert!(journal > 0, "the change had been begun");
    assert_eq!(words(&path), 1000, "nothing is changed");
    let opened = file::open(&path, FROM_SCHEMA_1).unwrap();
    let all = "SELECT count(*) FROM records";
    assert_eq!(opened.query_row(all, [], |row| row.get::<_, u32>(0)).unwrap(), 1000);
    assert_eq!(words(&beside(&path, ".schema-1")), 1000);
}

#[test]
fn an_older_file_that_cannot_be_copied_is_not_changed() {
    let (_folder, path) = folder();
    older(&path);
    // Something is in the way.
    fs::create_dir_all(beside(&path, ".schema-1").join("full")).unwrap();
    let error = file::open(&path, FROM_SCHEMA_1).unwrap_err().to_string();
    assert!(error.contains("records.db.schema-1") && error.contains("nothing was changed"), "{error}");
    assert_eq!(words(&path), 1000);
}

#[tokio::test]
async fn a_file_without_a_journal_gets_one_and_older_versions_go_on_with_it() {
    let (_folder, path) = folder();
    write(&records(&path), "a", "kept", MINUTE).await;
    let older = Connection::open(&path).unwrap();
    older.execute_batch("DROP TABLE journal").unwrap();
    drop(older);
    let keeps = Keeps { age: MINUTE, most: 10 };
    let journal = Journal::<String, String>::in_sqlite("diary", &Sqlite::open(&path, "").unwrap(), keeps);
    let note = Note { name: None, entry: "a".to_owned(), about: None };
    assert_eq!(journal.append(note).await, Ok(true));
    assert_eq!(read(&records(&path), "a").await.as_deref(), Some("kept"));
    let version = "PRAGMA user_version";
    let version = Connection::open(&path).unwrap().query_row(version, [], |row| row.get::<_, i64>(0));
    assert_eq!(version, Ok(2), "a greater one would keep older versions out");
}

/// The file's own free pages, and the write-ahead log beside it.
#[test]
fn what_was_erased_is_in_none_of_the_files_once_the_log_is_emptied() {
    let (folder, path) = folder();
    let mut connection = file::open(&path, "").unwrap();
    let log = Log::of(&mut connection, log::LENGTHS).unwrap();
    let personal = |person: u32| format!("person-{person:04}-{}", "x".repeat(700));
    for person in 0..200 {
        connection
            .execute(
                "INSERT INTO journal (kind, at, subject, entry, personal) VALUES ('k', 1, ?1, 'e', ?2)",
                params![person, personal(person)],
            )
            .unwrap();
        connection
            .execute("INSERT INTO records VALUES (?1, ?2, 9)", params![person, personal(person)])
            .unwrap();
    }
    let is_found = |person: u32| {
        let wanted = personal(person).into_bytes();
        let files = fs::read_dir(folder.path()).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
        files.into_iter().any(|bytes| bytes.windows(wanted.len()).any(|found| found == wanted))
    };
    log.empty(&connection);
    connection.execute("UPDATE journal SET personal = NULL WHERE subject >= 150", []).unwrap();
    connection.execute("DELETE FROM records WHERE CAST(key AS INTEGER) >= 150", []).unwrap();
    assert!(is_found(170));
    log.empty(&connection);
    assert!(is_found(149) && (150..200).all(|person| !is_found(person)));
}

#[test]
fn a_log_that_grows_all_the_time_is_copied_meanwhile_and_begun_anew() {
    let (_folder, path) = folder();
    let mut connection = file::open(&path, "").unwrap();
    let lengths = log::Lengths { part: 20, long: 60, most: 1000 };
    let mut log = Log::of(&mut connection, lengths).unwrap();
    for key in 0..2000 {
        let write = Write::new("x".repeat(3000), Moment::by_this_machine() + MINUTE);
        let transaction = connection.transaction().unwrap();
        let compared = compare_and_set(&transaction, &key.to_string(), None, &write);
        assert_eq!(compared, Ok(Compared::Written));
        transaction.commit().unwrap();
        log.keep_short(&connection);
    }
    // Each of them has written a page of the records at least, and one of their index.
    let length = beside(&path, "-wal").metadata().unwrap().len();
    assert!(length < 2000 * 4096, "{length}");
    let kept: u32 = connection.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 2000);
}
