//! Logging: one line an event on standard error, as text for people or JSON for machines.
//!
//! No task waits for the reader of the log. Lines go through a bounded queue to a thread that writes them. When the
//! queue is full, lines are dropped and counted. The last warnings and errors are also kept in memory ([`recent`]).

mod filter;
mod queue;
pub mod recent;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use prometheus_client::metrics::counter::Counter;
use tracing::Subscriber;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::queue::Queue;
use crate::settings::SettingError;
use crate::traces::Listening;

/// How long the end of a program waits for its last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// There is one standard error, so there is one queue.
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

/// Starts logging for the whole process, filtered by `RUST_LOG`, or by `default` where that is not set: a level, or
/// levels of modules, such as `info,ws_gateway::browsers=debug`.
///
/// Values written with `?` are escaped, so that text from outside cannot forge a line.
///
/// # Errors
/// When `RUST_LOG` cannot be understood, or no thread can be had. A second call in one process changes nothing.
pub fn start(format: LogFormat, default: &str) -> Result<Log, SettingError> {
    start_with(format, default, None)
}

/// As [`start`], and lets what exports traces listen, too, whatever `RUST_LOG` says.
///
/// # Errors
/// As [`start`].
pub(crate) fn start_with(
    format: LogFormat,
    default: &str,
    traces: Option<Listening>,
) -> Result<Log, SettingError> {
    let set = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let filter = filter::read(set.as_deref().unwrap_or(default))
        .map_err(|problem| SettingError::new("RUST_LOG", problem))?;
    let started = match traces {
        None => registry().with(filter).with(recent::Recent).with(lines(format)).try_init(),
        Some(traces) => {
            let told = recent::Recent.and_then(lines(format)).with_filter(filter);
            registry().with(traces).with(told).try_init()
        }
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

/// What writes the lines.
fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Line);
    match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

/// Counts the lines that were dropped because nobody read the log in time, or it could not be written.
#[must_use]
pub fn lines_dropped() -> Counter {
    QUEUE.dropped().clone()
}

/// Called when lines can be written again.
fn tell_lost(lines: u64) {
    tracing::warn!(lines, "log lines were dropped: whoever reads the log did not keep up");
}

/// Logs a panic as Rust itself would, but through the queue: writing directly could block for ever.
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
