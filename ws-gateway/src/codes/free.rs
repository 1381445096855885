//! The pace of logins that cost no call to WeChat: those with a web code, and those with a code to type alone.
//!
//! The day's [budget](super::budget) limits all others. Without a limit of their own a flood of these would fill the
//! store of logins, and make typed codes so many that a wrong one is often somebody's.
//!
//! Gateways that share their logins in Redis count there together.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use records::{Bucket, Redis, Taken};
use server::pace::Pace;
use tokio::time::Instant;

use super::NoQrCode;

/// Such logins at once, and then one more after each refill. A code to type is in use for about seven minutes, so that
/// no more than two of a hundred numbers of six digits are.
const AT_ONCE: u32 = 10_000;
const REFILL: Duration = Duration::from_millis(50);

/// How many such logins there may be. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Free {
    shared: Option<Redis>,
    here: Arc<Mutex<Pace>>,
}

impl Free {
    /// The whole number at once. They are counted in `shared`, if there is one.
    #[must_use]
    pub(crate) fn new(shared: Option<Redis>) -> Self {
        Self { shared, here: Arc::new(Mutex::new(Pace::new(AT_ONCE, REFILL, Instant::now()))) }
    }

    /// Counts a login.
    ///
    /// # Errors
    /// [`NoQrCode::Crowd`], or [`NoQrCode::Uncounted`] when the store cannot count.
    pub(crate) async fn take(&self) -> Result<(), NoQrCode> {
        let Some(redis) = &self.shared else {
            return self.here.lock().take(Instant::now()).map_err(NoQrCode::Crowd);
        };
        let bucket = Bucket { name: "free:pace", most: AT_ONCE, refill: REFILL, stay: 0 };
        match redis.take(&[bucket], None).await.map_err(NoQrCode::Uncounted)? {
            Taken::Wait(wait) => Err(NoQrCode::Crowd(wait)),
            Taken::Yes | Taken::Full => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_gets_what_there_is_at_once_and_then_twenty_a_second() {
        let free = Free::new(None);
        let taken = async || {
            let mut taken = 0;
            while free.take().await.is_ok() {
                taken += 1;
            }
            taken
        };
        assert_eq!(taken().await, 10_000);
        assert!(matches!(free.take().await, Err(NoQrCode::Crowd(wait)) if wait <= REFILL));
        advance(Duration::from_secs(60)).await;
        assert_eq!(taken().await, 1_200);
    }
}
