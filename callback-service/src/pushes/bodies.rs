//! Room for the bodies of pushes. Whoever has seen a signature could send a large body on every connection at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use wechat::push::MAX_BODY;

/// Bytes of bodies in memory at once: 128 of the largest, or one of a real push's size on every connection.
const MAX_BODIES: usize = 8 * 1024 * 1024;

/// The room, in pieces of 1 KiB. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(kib(MAX_BODIES))))
    }
}

impl Bodies {
    /// Room for a body of the announced size, or for the largest one if the size is not announced. `None` when there is
    /// no room in time.
    pub(super) async fn room(&self, size: Option<u64>, within: Duration) -> Option<SemaphorePermit<'_>> {
        let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(MAX_BODY);
        // A larger one is refused and not kept.
        let pieces = u32::try_from(kib(size.min(MAX_BODY))).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        timeout(within, self.0.acquire_many(pieces)).await.ok()?.ok()
    }
}

/// Gives back what a body of this size does not need of its room.
pub(super) fn shrink(room: &mut SemaphorePermit<'_>, size: usize) {
    drop(room.split(room.num_permits().saturating_sub(kib(size))));
}

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const WITHIN: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn bodies_have_room_by_their_size_and_wait_for_it_for_a_time() {
        let bodies = Bodies::default();
        let mut taken = Vec::new();
        // Without a size it may be the largest. A larger one is let in, to be refused.
        for size in
            [None, Some(MAX_BODY as u64), Some(u64::MAX)].into_iter().cycle().take(MAX_BODIES / MAX_BODY)
        {
            taken.push(bodies.room(size, WITHIN).await.unwrap());
        }
        assert!(bodies.room(Some(1), WITHIN).await.is_none());
        drop(taken.pop());
        let small: Vec<_> = (0..64).map(|_| bodies.room(Some(1000), WITHIN)).collect();
        let small = futures_util::future::join_all(small).await;
        assert!(small.iter().all(Option::is_some));
        assert!(bodies.room(Some(1), WITHIN).await.is_none());
        assert!(bodies.room(Some(0), WITHIN).await.is_some(), "no body needs no room");
        shrink(&mut taken[0], 1500);
        assert!(bodies.room(Some(62 * 1024), WITHIN).await.is_some());
        assert!(bodies.room(Some(62 * 1024 + 1), WITHIN).await.is_none(), "what is needed stays");
        shrink(&mut taken[0], MAX_BODY);
        assert!(bodies.room(Some(62 * 1024 + 1), WITHIN).await.is_none());
    }
}
