//! What only the SQLite file can do: keep what it holds over a restart and an upgrade, and be of a newer version.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::*;
use crate::store::FROM_SCHEMA_1;
use crate::store::person::KEPT;

#[tokio::test]
async fn long_after_it_the_gateway_is_asked_again_but_nothing_is_counted_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callback.db");
    let (store, one) = (Store::in_sqlite(&path).unwrap(), scan("a", 100));
    store.record(&one, None, "zh-CN").await.unwrap();
    let longer_ago = format!(
        "UPDATE records SET record = json_set(record, '{0}', json_extract(record, '{0}') - 181000)",
        format_args!("$.scans.\"{}\".noted_at", one.scene)
    );
    assert_eq!(Connection::open(&path).unwrap().execute(&longer_ago, []).unwrap(), 1);
    assert_eq!(store.recall(&one).await.unwrap(), Memory::LongAgo);
    assert_eq!(store.record(&one, None, "zh-CN").await.unwrap().count, 1);
}

#[tokio::test]
async fn a_signature_survives_a_restart_and_is_forgotten_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callback.db");
    let until = clock::unix_now() + 600;
    assert!(Store::in_sqlite(&path).unwrap().admit("s", "one", until).await.unwrap());
    assert!(Store::in_sqlite(&path).unwrap().admit("old", "one", 1).await.unwrap());
    let store = Store::in_sqlite(&path).unwrap();
    assert!(!store.admit("s", "two", until).await.unwrap());
    assert!(store.admit("old", "two", until).await.unwrap());
}

#[tokio::test]
async fn what_was_counted_survives_and_a_newer_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callback.db");
    let one = scan("a", 100);
    let kept = Store::in_sqlite(&path).unwrap().record(&one, None, "zh-CN").await.unwrap();
    assert_eq!(Store::in_sqlite(&path).unwrap().recall(&one).await.unwrap(), Memory::Recorded(kept));

    Connection::open(&path).unwrap().pragma_update(None, "user_version", 3).unwrap();
    let error = format!("{:#}", Store::in_sqlite(&path).unwrap_err());
    assert!(error.contains("CALLBACK_STORE") && error.contains("newer"), "{error}");
    let nowhere = Store::in_sqlite(Path::new("/nowhere/callback.db")).unwrap_err();
    assert!(format!("{nowhere:#}").contains("/nowhere/callback.db"), "{nowhere:#}");
}

/// The tables of schema 1, as its last version made them.
const SCHEMA_1: &str = "
    CREATE TABLE people (
        openid TEXT PRIMARY KEY, logins INTEGER NOT NULL, last_login_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE scans (
        scene TEXT NOT NULL, openid TEXT NOT NULL, first INTEGER NOT NULL,
        created_at INTEGER NOT NULL, noted_at INTEGER NOT NULL, count INTEGER, nickname TEXT,
        PRIMARY KEY (scene, openid)
    ) WITHOUT ROWID;
    CREATE INDEX scans_by_age ON scans (noted_at);
    CREATE INDEX scans_by_person ON scans (openid);
    PRAGMA user_version = 1;";

/// Which the first files of schema 1 did without.
const SIGNATURES: &str = "
    CREATE TABLE signatures (
        signature TEXT PRIMARY KEY, body TEXT NOT NULL, forget_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX signatures_by_age ON signatures (forget_at);";

fn file_of_schema_1(path: &Path) -> Connection {
    let file = Connection::open(path).unwrap();
    file.pragma_update(None, "journal_mode", "WAL").unwrap();
    file.execute_batch(SCHEMA_1).unwrap();
    file
}

#[tokio::test]
async fn counts_scans_and_signatures_of_the_first_version_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callback.db");
    let file = file_of_schema_1(&path);
    file.execute_batch(SIGNATURES).unwrap();
    let now = i64::try_from(clock::unix_now()).unwrap();
    let (counted, long_ago) = (scan("a", 100), Scan { first: false, ..scan("a", 99) });
    let (attempted, only_attempted, follower) = (scan("a", 101), scan("c", 102), scan("d", 103));
    file.execute("INSERT INTO people VALUES ('a', 7, 100), ('b', 3, 50), ('d', 1, 103)", []).unwrap();
    let note = |scan: &Scan, noted_at: i64, count: Option<u32>, nickname: Option<&str>| {
        let Scan { scene, openid, first, created_at, .. } = scan;
        let values = (scene.as_str(), openid.as_str(), first, created_at, noted_at, count, nickname);
        file.execute("INSERT INTO scans VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", values).unwrap();
    };
    let nickname = "阿狸 \"<b>\"\n\u{1f98a}";
    note(&counted, now, Some(7), Some(nickname));
    note(&long_ago, now - 1_000, Some(6), None);
    note(&attempted, now, None, None);
    note(&only_attempted, now, None, None);
    // Another person has scanned the same code.
    let taken = Scan { scene: counted.scene, ..follower.clone() };
    note(&taken, now, Some(1), None);
    file.execute("INSERT INTO signatures VALUES ('s', 'one', ?1), ('used', '-', ?1)", [now + 600]).unwrap();
    drop(file);

    let store = Store::in_sqlite(&path).unwrap();
    let kept = Recorded { first: true, nickname: Some(nickname.to_owned()), count: 7, language: None };
    assert_eq!(store.recall(&counted).await.unwrap(), Memory::Recorded(kept));
    assert_eq!(store.recall(&long_ago).await.unwrap(), Memory::LongAgo);
    for scan in [&attempted, &only_attempted] {
        assert_eq!(store.recall(scan).await.unwrap(), Memory::Attempted);
    }
    let kept = Recorded { first: true, nickname: None, count: 1, language: None };
    assert_eq!(store.recall(&taken).await.unwrap(), Memory::Recorded(kept));
    let again = store.record(&long_ago, None, "zh-CN").await.unwrap();
    assert_eq!(
        again,
        Recorded { first: false, nickname: None, count: 6, language: None },
        "nothing is counted twice"
    );
    for (openid, count) in [("a", 8), ("b", 4), ("c", 1), ("d", 2), ("e", 1)] {
        assert_eq!(store.record(&scan(openid, 200), None, "zh-CN").await.unwrap().count, count, "{openid}");
    }
    let until = clock::unix_now() + 600;
    assert!(store.admit("s", "one", until).await.unwrap() && !store.admit("s", "two", until).await.unwrap());
    assert!(
        !store.admit("used", "one", until).await.unwrap() && store.admit("new", "one", until).await.unwrap()
    );
    // An unfollow finds what it has to forget.
    store.forget(&wechat::Person::new("a"), 300).await.unwrap();
    assert_eq!(store.recall(&counted).await.unwrap(), Memory::Nothing);
    assert_eq!(store.record(&scan("a", 301), None, "zh-CN").await.unwrap().count, 1);

    // The version before finds all in the copy.
    let copy = Connection::open(folder.path().join("callback.db.schema-1")).unwrap();
    let logins = "SELECT group_concat(openid || logins, ' ' ORDER BY openid) FROM people";
    assert_eq!(copy.query_row(logins, [], |row| row.get::<_, String>(0)).unwrap(), "a7 b3 d1");
    let others = "SELECT (SELECT count(*) FROM scans) || ' ' || (SELECT count(*) FROM signatures)";
    assert_eq!(copy.query_row(others, [], |row| row.get::<_, String>(0)).unwrap(), "5 2");
}

#[tokio::test]
async fn what_the_upgrade_makes_is_what_this_version_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callback.db");
    let (counted, attempted) = (scan("a", 100), scan("a", 101));
    // A file from before there were signatures.
    file_of_schema_1(&path)
        .execute_batch(&format!(
            "INSERT INTO people VALUES ('a', 7, 100);
             INSERT INTO scans VALUES ('{}', 'a', 1, 100, 1000, 7, '阿狸'), ('{}', 'a', 0, 101, 1001, NULL, NULL);",
            counted.scene, attempted.scene
        ))
        .unwrap();
    let before = clock::unix_now();
    let _store = Store::in_sqlite(&path).unwrap();
    let file = Connection::open(&path).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (key, record, forget_at): (String, String, i64) =
        file.query_row("SELECT key, record, forget_at FROM records", [], row).unwrap();
    assert_eq!(key, "person:a");
    let kept_from = forget_at - i64::try_from(KEPT.as_millis()).unwrap();
    let [before, after] = [before, clock::unix_now()].map(|at| i64::try_from(at * 1000).unwrap());
    assert!((before..=after).contains(&kept_from), "{forget_at}");
    let scans = json!({
        counted.scene.as_str(): {"first": true, "created_at": 100, "noted_at": 1_000_000, "count": 7, "nickname": "阿狸"},
        attempted.scene.as_str(): {"first": false, "created_at": 101, "noted_at": 1_001_000},
    });
    let expected = json!({"logins": 7, "last_login_at": 100, "scans": scans});
    assert_eq!(serde_json::from_str::<Value>(&record).unwrap(), expected);
    let tables = "SELECT group_concat(name, ' ' ORDER BY name) FROM sqlite_schema WHERE type = 'table'";
    assert_eq!(file.query_row(tables, [], |row| row.get::<_, String>(0)).unwrap(), "journal records");
}

#[tokio::test]
async fn an_upgrade_that_is_cut_off_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callback.db");
    file_of_schema_1(&path).execute_batch("INSERT INTO people VALUES ('a', 7, 100)").unwrap();
    // It stops behind its last statement, before all of it stands.
    let cut_off = format!("{FROM_SCHEMA_1} SELECT json('no JSON');");
    records::Sqlite::open(&path, &cut_off).unwrap_err();
    let logins = "SELECT logins FROM people";
    let file = Connection::open(&path).unwrap();
    assert_eq!(file.query_row(logins, [], |row| row.get::<_, u32>(0)).unwrap(), 7, "all is as it was");
    drop(file);
    let store = Store::in_sqlite(&path).unwrap();
    assert_eq!(store.record(&scan("a", 200), None, "zh-CN").await.unwrap().count, 8);
}
