//! The SQLite file itself: opened for its owner alone, with the table of records, and brought from an older schema to
//! this one without losing anything.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::journal;

/// The version of the tables, kept in the file's `user_version`. Schema 1 had tables of its owner's; this one has one
/// table of records.
pub(super) const SCHEMA: i64 = 2;

/// How long the start waits for another process that begins on the same file, and may be changing its tables.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a transaction waits for another process.
pub(super) const BUSY: Duration = Duration::from_secs(1);

/// What the copy of a file of schema 1 is called behind the file's own name; and while it is being made.
const COPY: &str = ".schema-1";
const PART: &str = ".schema-1.part";

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The operating system says so.
    #[error(transparent)]
    System(#[from] io::Error),
    /// Its tables are of a newer version, which alone knows them.
    #[error("it was written by a newer version (schema {0}; this one knows {SCHEMA})")]
    Newer(i64),
    /// The copy that must be there before the tables are changed cannot be made.
    #[error(
        "its tables are of an older version, and it cannot be copied to {0} before they are changed: {1}; nothing was changed"
    )]
    NoCopy(PathBuf, Box<Self>),
}

/// Opens or makes a file.
pub(super) fn open(path: &Path, from_schema_1: &str) -> Result<Connection, OpenError> {
    make_private(path)?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    // A commit survives the process's death. The last ones may be lost with the machine's power.
    patiently(|| connection.pragma_update(None, "journal_mode", "WAL"))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // What is erased of a person must not be read from the file's free pages.
    connection.pragma_update(None, "secure_delete", "ON")?;
    // Who reads the version may write the tables: processes that begin on one file take turns.
    let tables = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match tables.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? {
        0 => make_table(&tables)?,
        1 => change_tables(&tables, from_schema_1)?,
        SCHEMA => {}
        newer => return Err(OpenError::Newer(newer)),
    }
    // No part of the schema's number: older versions go on with the file, and leave this table alone.
    tables.execute_batch(journal::TABLE)?;
    tables.commit()?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

fn make_table(tables: &Transaction<'_>) -> rusqlite::Result<()> {
    tables.execute_batch(&format!(
        "CREATE TABLE records (
             key TEXT PRIMARY KEY, record TEXT NOT NULL, forget_at INTEGER NOT NULL
         ) WITHOUT ROWID;
         CREATE INDEX records_by_age ON records (forget_at);
         PRAGMA user_version = {SCHEMA};"
    ))
}

/// Copies a file of schema 1, and turns its tables into records. A process that is stopped on the way leaves the tables
/// as they were.
pub(super) fn change_tables(tables: &Transaction<'_>, from_schema_1: &str) -> Result<(), OpenError> {
    let file = tables.path().filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(file) = &file {
        let copy = beside(file, COPY);
        keep_copy(file, &copy).map_err(|error| OpenError::NoCopy(copy.clone(), Box::new(error)))?;
        tracing::info!(
            copy = %copy.display(),
            "the SQLite file's tables are of an older version and are changed now; to go back to that version, put the \
             copy in the file's place; delete it once you will not"
        );
    }
    make_table(tables)?;
    Ok(tables.execute_batch(from_schema_1)?)
}

/// Copies a file, without what others write meanwhile. Only one process does so at a time, because it holds the file's
/// lock for writing.
fn keep_copy(file: &Path, copy: &Path) -> Result<(), OpenError> {
    let part = beside(file, PART);
    // One that was cut off.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    make_private(&part)?;
    // A connection of its own, because a transaction cannot copy its file.
    let reader = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    reader.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
    fs::set_permissions(&part, fs::metadata(file)?.permissions())?;
    File::open(&part)?.sync_all()?;
    fs::rename(&part, copy)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?)
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Makes a new file for its owner alone, because it says who logs in where; SQLite gives the files beside it the same
/// rights. One that exists keeps what its operator gave it.
fn make_private(path: &Path) -> io::Result<()> {
    // Names of SQLite's own, for no file or with its own parameters.
    if path == Path::new(":memory:") || path.as_os_str().as_encoded_bytes().starts_with(b"file:") {
        return Ok(());
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
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
