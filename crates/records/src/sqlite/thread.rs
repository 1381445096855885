//! The thread that works on a SQLite file: it takes what waits, does it in one transaction, and answers once that stands.
//! It also takes forgotten records out, once a minute, and lets go of what was erased.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::integer;
use super::log::Log;
use crate::{Failure, Moment};

/// Requests that may wait for the thread; the next one is refused. A transaction takes about a millisecond and holds a
/// batch.
const QUEUE: usize = 4096;

/// Requests in one transaction.
const BATCH: usize = 256;

/// A transaction begins no sooner than this after the one before. What has come meanwhile is then one transaction: beginning
/// and committing cost more than what is done in it. Whoever comes after a pause does not wait.
const APART: Duration = Duration::from_micros(500);

/// How often forgotten records are taken out.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// A request.
pub(super) type Work = Box<dyn FnOnce(&Transaction<'_>) -> Done + Send>;
/// Tells the caller, once the transaction stands or has failed.
pub(super) type Done = Box<dyn FnOnce(Result<(), Failure>) + Send>;

/// Starts the thread. It ends when the sender is dropped.
pub(super) fn start(connection: Connection, log: Log) -> std::io::Result<SyncSender<Work>> {
    let (work, queue) = sync_channel(QUEUE);
    std::thread::Builder::new().name("sqlite".to_owned()).spawn(move || run(connection, log, &queue))?;
    Ok(work)
}

fn run(mut connection: Connection, mut log: Log, queue: &Receiver<Work>) {
    let (mut swept, mut next) = (Instant::now(), Instant::now());
    loop {
        let batch: Vec<Work> = match queue.recv_timeout(SWEEP_EVERY) {
            Ok(first) => {
                let began = Instant::now();
                std::thread::sleep(next.saturating_duration_since(began));
                next = began.max(next) + APART;
                std::iter::once(first).chain(queue.try_iter().take(BATCH - 1)).collect()
            }
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let sweep = swept.elapsed() >= SWEEP_EVERY;
        if sweep {
            swept = Instant::now();
        }
        work_off(&mut connection, batch, sweep);
        match sweep {
            true => log.empty(&connection),
            false => log.keep_short(&connection),
        }
    }
}

/// Does a batch in one transaction. What comes behind a failure that undid the transaction gets one of its own.
pub(super) fn work_off(connection: &mut Connection, batch: Vec<Work>, sweep: bool) {
    let mut batch = batch.into_iter();
    loop {
        let mut done = Vec::with_capacity(batch.len());
        let committed = transact(connection, &mut batch, &mut done, sweep);
        if let Err(failure) = &committed {
            tracing::error!("SQLite has written nothing: {failure}");
        }
        // Where not even a transaction could be begun, those who are left hear that nothing was written.
        let goes_on = !done.is_empty() && batch.len() > 0;
        for tell in done {
            tell(committed.clone());
        }
        if !goes_on {
            return;
        }
    }
}

pub(super) fn transact(
    connection: &mut Connection,
    batch: &mut impl Iterator<Item = Work>,
    done: &mut Vec<Done>,
    sweep: bool,
) -> Result<(), Failure> {
    let failed = |error: rusqlite::Error| Failure::NotDone(error.to_string());
    // Immediate: what reads and then writes must wait for another process before it reads.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    if sweep {
        let now = integer(Moment::by_this_machine());
        transaction.execute("DELETE FROM records WHERE forget_at <= ?1", [now]).map_err(failed)?;
    }
    for work in batch {
        done.push(work(&transaction));
        // A full disk and the like undo the whole transaction. What follows would be written outside of any.
        if transaction.is_autocommit() {
            let why = "SQLite has undone a transaction in which one write failed";
            return Err(Failure::NotDone(why.to_owned()));
        }
    }
    transaction.commit().map_err(failed)
}
