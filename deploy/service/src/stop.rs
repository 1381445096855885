//! Stopping: the signal that asks for it, and the time it may take.
//!
//! A [`CancellationToken`] tells every task to stop, a [`TaskTracker`] says when all have, and the
//! drain time bounds the wait.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// When the handlers cannot be installed.
pub async fn signalled() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    Ok(())
}

/// Tells all tasks to stop and waits for them, at most `limit`; says whether all ended in time.
pub async fn drain(stop: &CancellationToken, tasks: &TaskTracker, limit: Duration) -> bool {
    stop.cancel();
    tasks.close();
    let clean = tokio::time::timeout(limit, tasks.wait()).await.is_ok();
    if clean {
        tracing::info!("stopped: every task has ended");
    } else {
        tracing::warn!(
            left = tasks.len(),
            "stopped: the drain time was over before every task had ended"
        );
    }
    clean
}
