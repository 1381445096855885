//! A program's life once its settings are read: logging, the work, and the exit code that says how it went.

use std::process::ExitCode;

use crate::logging::{self, LogFormat};
use crate::settings::NoSettings;

/// Runs a program: starts logging, and runs `serving` on a runtime until it ends. Exit code 0 means that everything
/// ended in time, 64 that the settings of logging are wrong.
pub fn run(
    program: &str,
    log_format: LogFormat,
    serving: impl Future<Output = anyhow::Result<bool>>,
) -> ExitCode {
    let _log = match logging::start(log_format, "info") {
        Ok(log) => log,
        Err(error) => return NoSettings::from(error).report(program),
    };
    let served =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from);
    let served = served.and_then(|runtime| {
        let served = runtime.block_on(serving);
        // A look-up of a name that hangs must not hold the exit up.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
