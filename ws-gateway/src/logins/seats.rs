//! The pages that are connected to this gateway, by the login that each one shows.
//!
//! A page takes a [`Seat`] before its login can be scanned. It leaves the seat by dropping it, however its
//! connection ends. A wake-up carries no data: the page reads its login's record, which also says whether the
//! page still is the one that shows the login.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use protocol::Scene;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::time::sleep;

/// Random characters in a gateway's name: no two processes share one.
const NAME_LENGTH: usize = 12;

/// Pages that are woken at a time when all must read their records. A pause follows, because the store has other
/// work too.
const AT_A_TIME: usize = 256;
const NEXT_AFTER: Duration = Duration::from_millis(20);

/// The connected pages.
#[derive(Debug)]
pub(crate) struct Pages {
    gateway: String,
    joined: AtomicU64,
    /// By login and number. Usually a login has one bell. It has two while a newer socket takes it over. A tree, because a
    /// table that doubles has room for twice as many, and stands still while it does. The lock is never held across an await.
    bells: Mutex<BTreeMap<(Scene, u64), Arc<Bell>>>,
}

/// Wakes the task of one page.
#[derive(Debug, Default)]
struct Bell {
    has_rung: AtomicBool,
    task: AtomicWaker,
}

impl Bell {
    fn ring(&self) {
        self.has_rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// The name of one page's connection, unique among all gateways: `<gateway>.<number>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeatName(Arc<str>);

impl SeatName {
    /// The name of the gateway that holds the connection.
    #[must_use]
    pub(crate) fn gateway(&self) -> &str {
        self.0.split_once('.').map_or("", |(gateway, _)| gateway)
    }
}

impl fmt::Display for SeatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for SeatName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SeatName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self(name.into()))
    }
}

impl Default for Pages {
    /// An empty set of pages, with a new name for this gateway.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    fn default() -> Self {
        let gateway = Scene::random().as_str().chars().take(NAME_LENGTH).collect();
        Self { gateway, joined: AtomicU64::new(0), bells: Mutex::default() }
    }
}

impl Pages {
    /// This gateway's name: a new one for each process.
    #[must_use]
    pub(crate) fn gateway(&self) -> &str {
        &self.gateway
    }

    /// How many pages show a login here, of which two may show the same one for a moment.
    #[must_use]
    pub(crate) fn shown(&self) -> usize {
        self.bells.lock().len()
    }

    /// Takes a seat at `scene`.
    pub(crate) fn join(self: &Arc<Self>, scene: Scene) -> Seat {
        let (bell, number) = (Arc::<Bell>::default(), self.joined.fetch_add(1, Ordering::Relaxed));
        self.bells.lock().insert((scene, number), Arc::clone(&bell));
        let name = SeatName(format!("{}.{number}", self.gateway).into());
        Seat { pages: Arc::clone(self), scene, number, name, bell }
    }

    /// Tells the pages that show `scene` to read its record again.
    pub(crate) fn wake(&self, scene: Scene) {
        for (_, bell) in self.bells.lock().range((scene, 0)..=(scene, u64::MAX)) {
            bell.ring();
        }
    }

    /// Tells all pages to read their records again, a part of them at a time.
    pub(crate) async fn wake_all(&self) {
        let bells: Vec<_> = self.bells.lock().values().cloned().collect();
        for some in bells.chunks(AT_A_TIME) {
            for bell in some {
                bell.ring();
            }
            sleep(NEXT_AFTER).await;
        }
    }
}

/// A connected page's place. Dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Seat {
    pages: Arc<Pages>,
    scene: Scene,
    number: u64,
    name: SeatName,
    bell: Arc<Bell>,
}

impl Seat {
    /// The seat's name, for the login's record.
    #[must_use]
    pub(crate) fn name(&self) -> &SeatName {
        &self.name
    }

    /// Whether there was a wake-up since the last one that was told. One task may ask at a time.
    pub(crate) fn poll_woken(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.bell.task.register(cx.waker());
        if self.bell.has_rung.swap(false, Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits for a wake-up. A wake-up between two waits is not lost.
    #[cfg(test)]
    pub(crate) async fn woken(&self) {
        std::future::poll_fn(|cx| self.poll_woken(cx)).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.pages.bells.lock().remove(&(self.scene, self.number));
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
        seat.woken().await;
        drop(seat);
        assert!(pages.bells.lock().is_empty());
    }

    #[tokio::test]
    async fn all_who_sit_before_a_login_are_woken_and_one_may_leave() {
        let (pages, scene) = (Arc::new(Pages::default()), Scene::random());
        let (older, newer) = (pages.join(scene), pages.join(scene));
        assert_ne!(older.name(), newer.name());
        assert_eq!(newer.name().gateway(), pages.gateway());
        pages.wake(scene);
        older.woken().await;
        newer.woken().await;
        drop(older);
        pages.wake(scene);
        newer.woken().await;
    }

    #[tokio::test(start_paused = true)]
    async fn all_pages_are_woken_in_turns() {
        let pages = Arc::new(Pages::default());
        let seats: Vec<_> = (0..3 * AT_A_TIME).map(|_| pages.join(Scene::random())).collect();
        let before = tokio::time::Instant::now();
        pages.wake_all().await;
        assert_eq!(before.elapsed(), NEXT_AFTER * 3);
        for seat in seats {
            seat.woken().await;
        }
    }
}
