//! The queue of log lines, from the tasks that log to the thread that writes. When it is full, lines are dropped.
//!
//! A pipe or a terminal that nobody reads blocks its writer. Here the writer is a thread of its own, so a reader that
//! hangs costs lines and delays nothing else.

use std::io::Write;
use std::time::{Duration, Instant};
use std::{mem, thread};

use parking_lot::{Condvar, Mutex, MutexGuard};
use prometheus_client::metrics::counter::Counter;

/// Bytes of lines in the queue, about 5,000 lines. As many again may be in the batch that is being written.
pub(super) const MOST: usize = 1024 * 1024;

/// Bytes of the buffer that are kept between two batches. What a burst needed beyond them is freed.
const KEPT: usize = 64 * 1024;

/// A batch is written no sooner than this after the one before. Else each line of a busy process would be a batch. Whoever
/// logs after a pause does not wait.
const APART: Duration = Duration::from_millis(5);

/// The lines that wait for the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The lock is never held across anything that may fail or wait.
    waiting: Mutex<Waiting>,
    filled: Condvar,
    written: Condvar,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Waiting {
    text: Vec<u8>,
    lines: u64,
    /// A batch has been taken out and is not yet written.
    is_writing: bool,
}

impl Queue {
    /// Takes a line, or drops and counts it when the queue is full. It never waits for the writer.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock();
        if waiting.text.len() + line.len() > MOST {
            self.dropped.inc();
            return;
        }
        waiting.text.extend_from_slice(line);
        waiting.lines += 1;
        self.filled.notify_one();
    }

    /// Counts the lines that were dropped, by a full queue or by a writer that failed.
    pub(super) fn dropped(&self) -> &Counter {
        &self.dropped
    }

    /// Writes every line to `out`, and never ends. When a write succeeds after lines were dropped, `lost` gets their
    /// number.
    pub(super) fn write_to(&self, mut out: impl Write, lost: impl Fn(u64)) -> ! {
        let (mut batch, mut told, mut next) = (Vec::new(), 0, Instant::now());
        loop {
            let lines = self.take(&mut batch, next);
            next = Instant::now() + APART;
            let written = out.write_all(&batch);
            batch.clear();
            batch.shrink_to(KEPT);
            let dropped = self.dropped.get();
            match written {
                Ok(()) if dropped > told => {
                    lost(dropped - told);
                    told = dropped;
                }
                Ok(()) => {}
                // A line about this could not be written either.
                Err(_) => {
                    self.dropped.inc_by(lines);
                }
            }
            self.waiting.lock().is_writing = false;
            self.written.notify_all();
        }
    }

    /// Waits for lines, takes all of them once it is time, and gives their number.
    fn take(&self, batch: &mut Vec<u8>, not_before: Instant) -> u64 {
        let mut waiting = self.waiting.lock();
        self.filled.wait_while(&mut waiting, |waiting| waiting.text.is_empty());
        let left = not_before.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            // Nobody need wake this thread meanwhile.
            MutexGuard::unlocked(&mut waiting, || thread::sleep(left));
        }
        mem::swap(&mut waiting.text, batch);
        waiting.is_writing = true;
        mem::take(&mut waiting.lines)
    }

    /// Waits until everything has been written, at most `limit`; says whether it has.
    pub(super) fn finish(&self, limit: Duration) -> bool {
        let is_busy = |waiting: &mut Waiting| waiting.is_writing || !waiting.text.is_empty();
        let mut waiting = self.waiting.lock();
        self.written.wait_while_for(&mut waiting, is_busy, limit);
        !is_busy(&mut waiting)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const LINE: &[u8] = b"a line of the log\n";

    /// Longer than any of these tests takes.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A pipe whose reader takes a batch when it is told to, and fails when it has gone.
    struct Pipe {
        may: Receiver<()>,
        text: Sender<Vec<u8>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.may.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.text.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A queue with a writer; each word to the first lets one batch through, the second hears what was written, the
    /// third how many lines were lost.
    fn written() -> (Arc<Queue>, Sender<()>, Receiver<Vec<u8>>, Receiver<u64>) {
        let queue = Arc::new(Queue::default());
        let ((let_go, may), (text, read), (lost, told)) = (channel(), channel(), channel());
        let writing = Arc::clone(&queue);
        thread::spawn(move || -> ! {
            writing.write_to(Pipe { may, text }, |lines| lost.send(lines).unwrap())
        });
        (queue, let_go, read, told)
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted_and_hold_nobody_up() {
        let (queue, let_go, read, told) = written();
        let pushed = 3 * MOST / LINE.len();
        for _ in 0..pushed {
            queue.push(LINE);
        }
        assert!(!queue.finish(Duration::from_millis(50)), "nobody reads");
        let dropped = queue.dropped().get();
        // What waits, and what was taken out before the reader hung.
        let kept = pushed - usize::try_from(dropped).unwrap();
        assert!(kept >= MOST / LINE.len() && kept <= 2 * (MOST / LINE.len()), "{kept} of {pushed} lines");

        let_go.send(()).unwrap();
        let_go.send(()).unwrap();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), dropped);
        let mut text = read.recv_timeout(PATIENCE).unwrap();
        while text.len() < kept * LINE.len() {
            text.extend(read.recv_timeout(PATIENCE).unwrap());
        }
        assert_eq!(text, LINE.repeat(kept), "whole lines, in their order");
    }

    #[test]
    fn the_end_waits_for_what_is_still_being_written() {
        let (queue, let_go, read, _told) = written();
        queue.push(LINE);
        queue.push(b"the last\n");
        let ending = Arc::clone(&queue);
        let ended = thread::spawn(move || ending.finish(PATIENCE));
        let_go.send(()).unwrap();
        let_go.send(()).unwrap();
        assert!(ended.join().unwrap());
        let text: Vec<u8> = read.try_iter().flatten().collect();
        assert_eq!(text, [LINE, b"the last\n"].concat());
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let (queue, let_go, _read, told) = written();
        drop(let_go);
        for _ in 0..3 {
            queue.push(LINE);
        }
        assert!(queue.finish(PATIENCE));
        assert_eq!((queue.dropped().get(), told.try_iter().count()), (3, 0));
    }

    #[test]
    fn a_quiet_queue_is_finished_at_once() {
        assert!(Queue::default().finish(Duration::ZERO));
    }
}
