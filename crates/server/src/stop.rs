//! Stopping: the signal that asks for it, and a drain that everything in the process shares.
//!
//! A [`CancellationToken`] tells every task to stop, a [`TaskTracker`] says when all have, and the
//! drain time bounds the wait.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Taken off the drain time, so that the process has exited when it is over.
const MARGIN: Duration = Duration::from_millis(250);

/// Waits for SIGTERM or SIGINT. The signals are taken over at the call, not at the first poll, so a program calls this
/// before it logs that it listens: whoever reads that may send a signal. If signals cannot be taken over, that is
/// logged, and the wait never ends.
pub fn signalled() -> impl Future<Output = ()> {
    let taken = signal(SignalKind::terminate()).and_then(|terminate| {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok((terminate, interrupt))
    });
    async move {
        match taken {
            Ok((mut terminate, mut interrupt)) => tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
                _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            },
            Err(error) => {
                tracing::error!("signals cannot be heard: {error}");
                std::future::pending::<()>().await;
            }
        }
    }
}

/// SIGHUPs from the moment on at which this is made.
#[derive(Debug)]
pub struct HangUps(std::io::Result<Signal>);

impl HangUps {
    /// Takes the signals over at the call: until then a SIGHUP ends the process, and whoever reads that it listens may send
    /// one. It needs a runtime.
    #[must_use]
    pub fn taken_over() -> Self {
        Self(signal(SignalKind::hangup()))
    }
}

/// Files must have been read again within this.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// The most threads that may wait for files. Beyond that SIGHUP reads nothing.
const MOST_READING: usize = 8;

/// Calls `read` on a thread of its own at each SIGHUP, and gives `take` what was read. A file may be a pipe, or on a
/// disk that does not answer; then nothing changes, and the program goes on. Signals that come during a reading count
/// as one. It never ends.
pub async fn hung_up<T: Send + 'static>(
    hang_ups: HangUps,
    read: impl Fn() -> T + Send + Sync + 'static,
    mut take: impl FnMut(T),
) {
    let (read, reading) = (Arc::new(read), Arc::new(Semaphore::new(MOST_READING)));
    match hang_ups.0 {
        Ok(mut hangup) => {
            while hangup.recv().await.is_some() {
                let Ok(place) = Arc::clone(&reading).try_acquire_owned() else {
                    tracing::error!(
                        "SIGHUP: nothing is read, because files of earlier ones still do not come"
                    );
                    continue;
                };
                let read = Arc::clone(&read);
                let files = tokio::task::spawn_blocking(move || {
                    let _place = place;
                    read()
                });
                match tokio::time::timeout(READ_WITHIN, files).await {
                    Ok(Ok(files)) => take(files),
                    // A late result is dropped, because the next SIGHUP may have read newer files.
                    Ok(Err(_)) | Err(_) => tracing::error!(
                        "SIGHUP: the files could not be read within {} s; is one of them a pipe, or on a disk that does \
                         not answer? Everything stays as it was",
                        READ_WITHIN.as_secs()
                    ),
                }
            }
        }
        Err(error) => tracing::error!("SIGHUP cannot be heard: {error}"),
    }
    std::future::pending::<()>().await;
}

/// A process's end. It begins with a signal. The ports close a quarter of the drain time later, so that load balancers
/// see `/readyz` fail first. It is over when every task has ended, or when the time is. All clones are the same drain.
#[derive(Debug, Clone)]
pub struct Drain {
    time: Duration,
    began: Arc<OnceLock<Instant>>,
    leaving: CancellationToken,
    closed: CancellationToken,
    tasks: TaskTracker,
}

impl Drain {
    /// A drain that takes `time` from its beginning to the process's exit.
    #[must_use]
    pub fn new(time: Duration) -> Self {
        Self {
            time,
            began: Arc::default(),
            leaving: CancellationToken::new(),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Cancelled when the drain begins.
    #[must_use]
    pub fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// Cancelled when no more connections are taken.
    #[must_use]
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// The tasks that the drain waits for.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Waits for `stopped`, begins, and ends when the ports are closed.
    pub async fn begin_when(&self, stopped: impl Future<Output = ()>) {
        stopped.await;
        self.began.get_or_init(Instant::now);
        self.leaving.cancel();
        sleep(self.time / 4).await;
        self.closed.cancel();
    }

    /// Waits for the drain to begin, and then for a `share` of it, from 0 to 1, so that not all end at once. `rest` is
    /// left for what is done after that. A late call waits until the same moment as an early one.
    pub async fn share(&self, share: f64, rest: Duration) {
        self.leaving.cancelled().await;
        let spread = self.time.saturating_sub(rest + 2 * MARGIN);
        let began = *self.began.get_or_init(Instant::now);
        sleep_until(began + spread.mul_f64(share)).await;
    }

    /// Waits for every task, until the time is over; says whether all have ended.
    pub async fn finish(&self) -> bool {
        let began = *self.began.get_or_init(Instant::now);
        let left = self.time.saturating_sub(began.elapsed() + MARGIN);
        drain(&self.closed, &self.tasks, left).await
    }
}

/// Tells all tasks to stop and waits for them, at most `limit`; says whether all ended in time.
pub async fn drain(stop: &CancellationToken, tasks: &TaskTracker, limit: Duration) -> bool {
    stop.cancel();
    tasks.close();
    let clean = tokio::time::timeout(limit, tasks.wait()).await.is_ok();
    if clean {
        tracing::info!("stopped: every task has ended");
    } else {
        tracing::warn!(left = tasks.len(), "stopped: the drain time was over before every task had ended");
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_ports_close_after_a_quarter_and_late_comers_leave_with_the_others() {
        let drain = Drain::new(Duration::from_secs(8));
        let start = Instant::now();
        let late = drain.clone();
        drain.tasks().spawn(async move {
            late.leaving().cancelled().await;
            sleep(Duration::from_secs(1)).await;
            late.share(1.0, Duration::from_secs(1)).await;
        });
        drain.begin_when(async {}).await;
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        assert!(drain.finish().await);
        assert_eq!(start.elapsed(), Duration::from_millis(6500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_left_when_the_time_is_over() {
        let drain = Drain::new(Duration::from_secs(8));
        let start = Instant::now();
        drain.tasks().spawn(std::future::pending::<()>());
        drain.begin_when(async {}).await;
        assert!(!drain.finish().await);
        assert_eq!(start.elapsed(), Duration::from_secs(8) - MARGIN);
    }
}
