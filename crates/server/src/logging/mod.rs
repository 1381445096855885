//! Logging: one line an event on standard error, as text for people or JSON for machines.
//!
//! Nobody waits for whoever reads the log: lines go through a bounded queue to a thread that writes them, and are
//! dropped and counted when it is full.

mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::EnvFilter;

use self::queue::Queue;
use crate::settings::SettingError;

/// How long the end of a program waits for its last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Standard error is one, and so is its queue.
static QUEUE: LazyLock<Queue> = LazyLock::new(Queue::default);

/// How log lines are written (`LOG_FORMAT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of text, coloured on a terminal.
    Text,
    /// A JSON object a line.
    Json,
}

/// A log that has been started. Dropping it at the end of a program waits for the last lines, for 1 s at most.
#[derive(Debug)]
#[must_use = "the last lines are waited for when it is dropped"]
pub struct Log(());

impl Drop for Log {
    fn drop(&mut self) {
        QUEUE.finish(LAST_LINES);
    }
}

/// Starts logging for the whole process, filtered by `RUST_LOG`, or by `default` where that is not set.
///
/// Values written with `?` are escaped, so that text from outside cannot forge a line.
///
/// # Errors
/// When `RUST_LOG` cannot be understood, or no thread can be had. A second call in one process changes nothing.
pub fn start(format: LogFormat, default: &str) -> Result<Log, SettingError> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => {
            EnvFilter::try_new(&text).map_err(|error| SettingError::new("RUST_LOG", error))?
        }
        _ => EnvFilter::new(default),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Line);
    let started = match format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // An error here means that a test or an embedding program has set up logging of its own.
    if started.is_ok() {
        let writing = thread::Builder::new().name("log".to_owned());
        let writing = writing.spawn(|| -> ! { QUEUE.write_to(io::stderr(), tell_lost) });
        writing
            .map_err(|error| SettingError::new("the log", format!("there is no thread for it: {error}")))?;
        panic::set_hook(Box::new(log_panic));
    }
    Ok(Log(()))
}

/// Counts the lines that were dropped because nobody read the log in time, or it could not be written.
#[must_use]
pub fn lines_dropped() -> Counter {
    QUEUE.dropped().clone()
}

/// Told as soon as somebody reads again.
fn tell_lost(lines: u64) {
    tracing::warn!(lines, "log lines were dropped: whoever reads the log did not keep up");
}

/// What Rust itself would say, in the queue: to write it right away could wait for ever.
fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let trace = Backtrace::capture();
    let trace = if trace.status() == BacktraceStatus::Captured { format!("{trace}") } else { String::new() };
    let current = thread::current();
    let name = current.name().unwrap_or("without a name");
    QUEUE.push(format!("thread {name:?} {info}\n{trace}").as_bytes());
    // A release build ends right after this.
    if name != "log" {
        QUEUE.finish(LAST_LINES);
    }
}

/// Takes an event's line, which is written in one piece.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        QUEUE.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
