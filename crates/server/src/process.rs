//! A program's life once its settings are read: logging, the work, and the exit code that says how it went.

use std::process::ExitCode;
use std::thread;

use tokio::runtime::Builder;

use crate::logging::{self, Log, LogFormat};
use crate::settings::{NoSettings, SettingError};
use crate::traces::{self, Finish, Started};

/// Runs a program: starts logging, and the export of traces where `OTEL_…` say so, and runs `serving` on a runtime until
/// it ends. Exit code 0 means that everything ended in time, 64 that the settings of logging or of traces are wrong.
pub fn run(
    program: &str,
    log_format: LogFormat,
    serving: impl Future<Output = anyhow::Result<bool>>,
) -> ExitCode {
    let (_log, finish) = match start(program, log_format) {
        Ok(started) => started,
        Err(error) => return NoSettings::from(error).report(program),
    };
    // One processor has nobody to share the tasks with. The runtime for many then keeps those that came first waiting where
    // many are woken at once: it sets aside what its queue does not hold.
    let is_alone = thread::available_parallelism().is_ok_and(|processors| processors.get() == 1);
    let mut builder = if is_alone { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let served = builder.enable_all().build().map_err(anyhow::Error::from);
    let served = served.and_then(|runtime| {
        let served = runtime.block_on(serving);
        if let Some(finish) = finish {
            finish();
        }
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

/// Starts logging and the export of traces, and gives what ends that export, where there is any.
fn start(program: &str, log_format: LogFormat) -> Result<(Log, Option<Finish>), SettingError> {
    let Started { listening, finish, warning } = traces::start(program)?;
    let log = logging::start_with(log_format, "info", listening)?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok((log, finish))
}
