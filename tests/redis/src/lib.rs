//! Real Redis for tests: the servers and Sentinels of Debian's packages `redis-server` and
//! `redis-sentinel`, each a process of its own on a port of loopback, with an empty folder of its own.
//!
//! Tests cause faults from outside, as a machine or an operator does: a server is stopped, killed, frozen,
//! emptied or failed over, or its clock is set. Debian's own Redis service is not used and does not disturb. A process ends when its
//! value is dropped, and when the test's process ends in any way. Every failure here panics with the server's
//! output. Everything works under paused time too.

#![allow(clippy::unwrap_used, reason = "a test's harness fails loudly")]

mod clock;
mod port;
mod process;
mod sentinel;
mod server;

use std::time::{Duration, Instant};

pub use self::port::free_port;
pub use self::sentinel::Sentinels;
pub use self::server::{Options, Redis};

/// Limit for every wait.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two checks of a wait.
const PACE: Duration = Duration::from_millis(10);

/// Runs blocking work on its own thread. The test's tasks go on meanwhile, and paused time stands still.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Checks again and again until there is a result. The error of a check says what is missing.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(missing) => {
                assert!(began.elapsed() < PATIENCE, "waited in vain for {what}: {missing}");
                std::thread::sleep(PACE);
            }
        }
    }
}
