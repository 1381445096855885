//! Logging: one line an event on standard error, as text for people or JSON for machines.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::settings::SettingError;

/// How log lines are written (`LOG_FORMAT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of text, coloured on a terminal.
    Text,
    /// A JSON object a line.
    Json,
}

/// Starts logging for the whole process, filtered by `RUST_LOG`, or by `default` where that is not set.
///
/// Values written with `?` are escaped, so that text from outside cannot forge a line.
///
/// # Errors
/// When `RUST_LOG` cannot be understood. A second call in one process changes nothing.
pub fn start(format: LogFormat, default: &str) -> Result<(), SettingError> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => {
            EnvFilter::try_new(&text).map_err(|error| SettingError::new("RUST_LOG", error))?
        }
        _ => EnvFilter::new(default),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error here means that a test or an embedding program has set up logging of its own.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
