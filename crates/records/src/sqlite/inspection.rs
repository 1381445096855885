//! Whether a SQLite file is intact and takes a write, for whoever looks for a fault beside the service that uses it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::file::{BUSY, OpenError, SCHEMA};
use super::integer;
use crate::Moment;

/// The record that is written, and taken out again.
const PROBE: &str = "doctor:probe";

/// How long it would be kept if its writer died.
const KEPT_MS: u64 = 60_000;

/// How many faults of a damaged file are told.
const FAULTS: u32 = 3;

/// What was found of a SQLite file.
#[derive(Debug)]
pub struct SqliteState {
    /// Its tables are of this version; 1 is changed by the next start, 0 is an empty file.
    pub schema: i64,
    /// Whether that is the present version.
    pub is_present_schema: bool,
    /// What SQLite finds broken in it; empty when it is intact.
    pub faults: Vec<String>,
    /// Why a small record could not be written and taken out again.
    pub write: Result<(), rusqlite::Error>,
    /// The file's permissions, as chmod writes them.
    pub mode: u32,
    /// The file's size in bytes, without its log.
    pub size: u64,
}

/// Looks at a file that is there, which may take seconds for a large one. Nothing is changed but for one small record,
/// which is taken out again; a file of an older version stays as it is.
///
/// # Errors
/// When the file cannot be opened or read at all.
pub fn inspect(path: &Path) -> Result<SqliteState, OpenError> {
    let about = fs::metadata(path)?;
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file").into());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    let schema = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))?;
    let faults = {
        let mut check = connection.prepare(&format!("PRAGMA quick_check({FAULTS})"))?;
        let lines = check.query_map([], |row| row.get::<_, String>(0))?;
        lines.filter(|line| line.as_deref() != Ok("ok")).collect::<Result<Vec<_>, _>>()?
    };
    let is_present_schema = schema == SCHEMA;
    let write = if is_present_schema && faults.is_empty() { write(&mut connection) } else { Ok(()) };
    let (mode, size) = (about.permissions().mode() & 0o777, about.len());
    Ok(SqliteState { schema, is_present_schema, faults, write, mode, size })
}

/// Writes a record, and takes it out again.
fn write(connection: &mut Connection) -> rusqlite::Result<()> {
    let forget_at = Moment(Moment::by_this_machine().0 + KEPT_MS);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(
        "INSERT OR REPLACE INTO records (key, record, forget_at) VALUES (?1, ?2, ?3)",
        params![PROBE, "{}", integer(forget_at)],
    )?;
    transaction.commit()?;
    connection.execute("DELETE FROM records WHERE key = ?1", [PROBE])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{Seek as _, SeekFrom, Write as _};

    use super::*;
    use crate::Sqlite;

    #[test]
    fn a_file_is_looked_at_beside_its_service_and_nothing_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("callback.db");
        assert!(inspect(&path).is_err());
        let _service = Sqlite::open(&path, "").unwrap();
        let state = inspect(&path).unwrap();
        assert!(state.faults.is_empty() && state.is_present_schema, "{state:?}");
        assert_eq!(state.mode, 0o600);
        state.write.unwrap();
        let connection = Connection::open(&path).unwrap();
        let records: i64 =
            connection.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap();
        assert_eq!(records, 0);
    }

    #[test]
    fn a_full_file_a_broken_file_and_one_of_another_version_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("callback.db");
        drop(Sqlite::open(&path, "").unwrap());
        let mut connection = Connection::open(&path).unwrap();
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        connection.pragma_update(None, "max_page_count", pages).unwrap();
        let long = "x".repeat(100_000);
        let full = connection.execute("INSERT INTO records VALUES ('a', ?1, 1)", [long]).unwrap_err();
        assert!(full.to_string().contains("full"), "{full}");
        // What fits into a page that is there is written.
        write(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let older = inspect(&path).unwrap();
        assert!(!older.is_present_schema && older.schema == 1, "{older:?}");
        connection.pragma_update(None, "user_version", SCHEMA).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(connection);

        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(4096)).unwrap();
        file.write_all(&[0xff; 4096]).unwrap();
        let broken = inspect(&path);
        assert!(broken.as_ref().map_or(true, |state| !state.faults.is_empty()), "{broken:?}");
    }
}
