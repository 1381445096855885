//! The write-ahead log, and the thread that copies it into the file.
//!
//! SQLite's own way is that whoever commits the thousandth page copies all of them and waits for the disk twice, and every login
//! behind it waits, too. Here a second connection copies while the first one goes on. It never reaches the end of a log that
//! grows meanwhile, and only a log that is copied to its end is begun anew. So the writer copies the last few pages, when the
//! log has become long.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};

use super::OpenError;

/// How long a log may become, in pages of 4 KiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    /// So much is copied at once. A page that many logins change is copied once.
    pub(super) part: i32,
    /// After this the log is to be begun anew.
    pub(super) long: i32,
    /// The most, about. A disk that cannot keep up makes the writer wait.
    pub(super) most: i32,
}

/// 16 MB, 64 MB and 256 MB.
pub(super) const LENGTHS: Lengths = Lengths { part: 4_000, long: 16_000, most: 64_000 };

/// The log of a file, as its writer sees it.
pub(super) struct Log {
    /// Pages in it after the last commit. A store in memory has none.
    pages: Arc<AtomicI32>,
    copier: Option<Copier>,
    lengths: Lengths,
    /// Pages in it when it was last copied.
    copied: i32,
}

struct Copier {
    /// Asks for a copying; one may wait. It is there until the end.
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Held while it copies.
    at_it: Arc<Mutex<()>>,
    /// It was asked, and nobody has looked since whether it is done.
    is_asked: bool,
    /// Copyings that it has ended.
    done: Arc<AtomicI32>,
    /// Copyings that it was asked for.
    asked: i32,
}

impl Log {
    /// Watches the log of a file's writer, and starts the thread that copies it. It ends with the [`Log`].
    pub(super) fn of(writer: &mut Connection, lengths: Lengths) -> Result<Self, OpenError> {
        let pages = Arc::new(AtomicI32::new(0));
        let noted = Arc::clone(&pages);
        // In place of SQLite's own copying.
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            noted.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        let file = writer.path().filter(|path| !path.is_empty()).map(Path::new);
        let copier = file.map(Copier::start).transpose()?;
        Ok(Self { pages, copier, lengths, copied: 0 })
    }

    /// Has the log copied when that is due. Called after each transaction.
    pub(super) fn keep_short(&mut self, writer: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        let (Some(copier), Lengths { part, long, most }) = (&mut self.copier, self.lengths) else { return };
        if pages < self.copied {
            // It was begun anew.
            self.copied = 0;
        }
        let is_done = copier.done.load(Ordering::Acquire) == copier.asked;
        if is_done && std::mem::take(&mut copier.is_asked) && pages >= long {
            copy(writer);
        }
        if pages < self.copied.saturating_add(part) {
            return;
        }
        if is_done && copier.ask.as_ref().is_some_and(|ask| ask.try_send(()).is_ok()) {
            copier.asked = copier.asked.wrapping_add(1);
            copier.is_asked = true;
            self.copied = pages;
        } else if pages >= most {
            drop(copier.at_it.lock());
            copy(writer);
        }
    }

    /// Empties the log into the file. Else it would have what was erased for as long as nothing is written over it.
    /// Another process that reads prevents it, and then the next call does it.
    pub(super) fn empty(&self, writer: &Connection) {
        let _nobody_else = self.copier.as_ref().map(|copier| copier.at_it.lock());
        if let Err(error) = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!("SQLite's write-ahead log is not emptied: {error}; it is tried again in a minute");
        }
    }
}

impl Copier {
    /// Starts the thread, on a connection of its own.
    fn start(path: &Path) -> Result<Self, OpenError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(path, flags)?;
        // It waits for the disk as the writer would.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let (ask, asked) = sync_channel(1);
        let (at_it, done) = (Arc::<Mutex<()>>::default(), Arc::<AtomicI32>::default());
        let (lock, told) = (Arc::clone(&at_it), Arc::clone(&done));
        let thread = std::thread::Builder::new().name("sqlite-log".to_owned());
        let thread = Some(thread.spawn(move || run(&connection, &asked, &lock, &told))?);
        Ok(Self { ask: Some(ask), thread, at_it, is_asked: false, done, asked: 0 })
    }
}

impl Drop for Copier {
    /// The writer's connection is to be the last one: whoever closes that empties the log, and takes it away.
    fn drop(&mut self) {
        drop(self.ask.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it has been told.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, asked: &Receiver<()>, at_it: &Mutex<()>, done: &AtomicI32) {
    while asked.recv().is_ok() {
        let lock = at_it.lock();
        copy(connection);
        drop(lock);
        done.fetch_add(1, Ordering::Release);
    }
}

/// Copies as much of the log as nobody needs any more, and waits for nobody.
fn copy(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::warn!("SQLite's write-ahead log is not copied into the file: {error}; it is tried again");
    }
}
