//! Real Redis for tests: the servers and Sentinels of Debian's packages `redis-server` and
//! `redis-sentinel`, each a process of its own on a port of loopback, with an empty folder of its own.
//!
//! Faults come from outside, as a machine or an operator makes them: stopped, killed, frozen, emptied,
//! failed over. Debian's own Redis service is neither used nor in the way. A process ends when its value is
//! dropped, and with the test's process however that ends. Everything here panics when it does not work,
//! with what the server said, and works under paused time too.

#![allow(clippy::unwrap_used, reason = "a test's harness fails loudly")]

mod port;
mod process;
mod sentinel;
mod server;

use std::time::{Duration, Instant};

pub use self::port::free_port;
pub use self::sentinel::Sentinels;
pub use self::server::{Options, Redis};

/// Nothing that is waited for takes this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what is waited for.
const PACE: Duration = Duration::from_millis(10);

/// Runs what blocks on a thread for that, while the test's own tasks go on and paused time stands still.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Looks again and again until there is something to be had; the look says what is still missing.
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
