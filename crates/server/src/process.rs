//! A program's life once its settings are read: logging, the work, and the exit code that says how it went.

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::logging::{self, Log, LogFormat};
use crate::settings::{NoSettings, SettingError};
use crate::traces::{self, Traces};

/// How long the end of a program waits for a collector to take its last spans.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// Runs a program: starts logging, and the export of traces where `OTEL_…` say so, and runs `serving` on a runtime until
/// it ends. Exit code 0 means that everything ended in time, 64 that the settings of logging or of traces are wrong.
pub fn run(
    program: &str,
    log_format: LogFormat,
    serving: impl Future<Output = anyhow::Result<bool>>,
) -> ExitCode {
    let stopped = CancellationToken::new();
    let (_log, exporting) = match start(program, log_format, &stopped) {
        Ok(started) => started,
        Err(error) => return NoSettings::from(error).report(program),
    };
    let served = Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from);
    let served = served.and_then(|runtime| {
        let exporting = exporting.map(|exporting| runtime.spawn(exporting));
        let served = runtime.block_on(serving);
        stopped.cancel();
        finish(&runtime, exporting);
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

/// Starts logging, and gives the work that exports traces until `stopped`, where there is any.
fn start(
    program: &str,
    log_format: LogFormat,
    stopped: &CancellationToken,
) -> Result<(Log, Option<impl Future<Output = ()> + use<>>), SettingError> {
    let traces::settings::Read { settings, warning } = traces::settings::read(program)?;
    let traces = settings.map(Traces::new).transpose();
    let traces = traces.map_err(|error| SettingError::new("OTEL_EXPORTER_OTLP_ENDPOINT", error))?;
    let traces = traces.map(|traces| traces.split(stopped.clone().cancelled_owned()));
    let (spans, exporting) = traces.unzip();
    let log = logging::start_with(log_format, "info", spans)?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    Ok((log, exporting))
}

/// Waits for the last spans, but not for long.
fn finish(runtime: &Runtime, exporting: Option<tokio::task::JoinHandle<()>>) {
    if let Some(exporting) = exporting {
        let _ = runtime.block_on(async { timeout(LAST_SPANS, exporting).await });
    }
}
