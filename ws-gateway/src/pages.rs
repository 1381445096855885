//! The pages that are connected to this gateway, by the login that each one shows.
//!
//! A page takes a [`Seat`] before its login can be scanned and leaves it by dropping it, however its
//! connection ends. A wake-up carries nothing: the page reads its login's record.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::Scene;
use tokio::sync::Notify;

/// The connected pages.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    seats: Mutex<HashMap<Scene, Arc<Bell>>>,
}

#[derive(Debug, Default)]
struct Bell {
    ring: Notify,
    taken_over: AtomicBool,
}

impl Pages {
    /// Takes the seat of `scene`. A page that had it before is told that it was taken over.
    pub(crate) fn join(self: &Arc<Self>, scene: Scene) -> Seat {
        let bell = Arc::new(Bell::default());
        if let Some(before) = self.lock().insert(scene, Arc::clone(&bell)) {
            before.taken_over.store(true, Ordering::Release);
            before.ring.notify_one();
        }
        Seat { pages: Arc::clone(self), scene, bell }
    }

    /// Whether a page shows `scene` now.
    pub(crate) fn is_here(&self, scene: Scene) -> bool {
        self.lock().contains_key(&scene)
    }

    /// Tells the page that shows `scene` to read its record again.
    pub(crate) fn wake(&self, scene: Scene) {
        if let Some(bell) = self.lock().get(&scene) {
            bell.ring.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Scene, Arc<Bell>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a page was woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The login's record has changed.
    Changed,
    /// A newer socket shows the same login.
    TakenOver,
}

/// A connected page's place. Dropping it leaves, unless a newer page has taken over.
#[derive(Debug)]
pub(crate) struct Seat {
    pages: Arc<Pages>,
    scene: Scene,
    bell: Arc<Bell>,
}

impl Seat {
    /// Waits to be woken. A wake-up between two waits is not lost.
    pub(crate) async fn woken(&self) -> Woken {
        self.bell.ring.notified().await;
        if self.bell.taken_over.load(Ordering::Acquire) { Woken::TakenOver } else { Woken::Changed }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.pages.lock();
        if seats.get(&self.scene).is_some_and(|bell| Arc::ptr_eq(bell, &self.bell)) {
            seats.remove(&self.scene);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_up_before_the_wait_is_not_lost_and_leaving_is_a_drop() {
        let (pages, scene) = (Arc::new(Pages::default()), Scene::random());
        let seat = pages.join(scene);
        pages.wake(scene);
        assert_eq!(seat.woken().await, Woken::Changed);
        drop(seat);
        assert!(!pages.is_here(scene));
    }

    #[tokio::test]
    async fn the_newer_page_keeps_the_seat_when_the_older_leaves() {
        let (pages, scene) = (Arc::new(Pages::default()), Scene::random());
        let (older, newer) = (pages.join(scene), pages.join(scene));
        assert_eq!(older.woken().await, Woken::TakenOver);
        drop(older);
        pages.wake(scene);
        assert_eq!(newer.woken().await, Woken::Changed);
    }
}
