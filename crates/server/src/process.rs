//! A program's life on one page: settings, logging, the work, and the exit code that says how it went.

use std::process::ExitCode;

use crate::logging::{self, LogFormat};
use crate::settings::NoSettings;

/// Runs a program: reports wrong settings with exit code 64, starts logging, and runs `serve` on a
/// runtime until it ends by itself or by the stop that it is given. Exit code 0 means that everything
/// ended in time.
pub fn run<C, F>(
    program: &str,
    config: Result<C, NoSettings>,
    log_format: impl FnOnce(&C) -> LogFormat,
    serve: impl FnOnce(C) -> F,
) -> ExitCode
where
    F: Future<Output = anyhow::Result<bool>>,
{
    let config = match config {
        Ok(config) => config,
        Err(nothing) => return nothing.report(program),
    };
    let _log = match logging::start(log_format(&config), "info") {
        Ok(log) => log,
        Err(error) => return NoSettings::from(error).report(program),
    };
    let served =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from);
    let served = served.and_then(|runtime| {
        let served = runtime.block_on(serve(config));
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
