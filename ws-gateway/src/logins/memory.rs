//! Logins in this process's memory: for one gateway, with nothing to install.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, ready};
use protocol::message::{Answer, Status};
use protocol::{Notice, Scene};
use records::Moment;
use tokio::time::Instant;

use super::{Done, Logins, Looked, NewLogin, Record, Sender, StoreError, right_for};
use crate::logins::seats::{Pages, SeatName};

/// How often forgotten logins are taken out.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The store `memory:`.
#[derive(Debug)]
pub(crate) struct MemoryLogins {
    /// Never held across an await.
    logins: Mutex<HashMap<Scene, Record>>,
    pages: Arc<Pages>,
    most: usize,
    /// Moments are counted from here.
    started: Instant,
}

impl MemoryLogins {
    /// An empty store of at most `most` logins that wakes `pages`.
    #[must_use]
    pub(crate) fn new(pages: Arc<Pages>, most: usize) -> Self {
        Self { logins: Mutex::default(), pages, most, started: Instant::now() }
    }

    fn now(&self) -> Moment {
        Moment(0) + self.started.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Scene, Record>> {
        // Nothing that is done under the lock can panic half-way.
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on a login's record, if it is known, and wakes whoever has to know.
    fn change<T>(&self, scene: Scene, work: impl FnOnce(&mut Record, Moment) -> Done<T>) -> Option<T> {
        let now = self.now();
        let mut logins = self.lock();
        let login = logins.get_mut(&scene).filter(|login| now < login.forget_at())?;
        let done = work(login, now);
        drop(logins);
        if done.wake.is_some() {
            self.pages.wake(scene);
        }
        Some(done.value)
    }

    /// Takes forgotten logins out, for as long as it is polled.
    pub(crate) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let now = self.now();
            let mut logins = self.lock();
            logins.retain(|_, login| now < login.forget_at());
            if logins.capacity() > 4 * logins.len() + 1024 {
                logins.shrink_to_fit();
            }
        }
    }
}

impl Logins for MemoryLogins {
    fn open(
        &self,
        scene: Scene,
        new: NewLogin,
        ttl: Duration,
        seat: SeatName,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        let now = self.now();
        let mut logins = self.lock();
        if logins.len() >= self.most {
            return ready(Err(StoreError::Full)).boxed();
        }
        logins.insert(scene, Record::new(new, now, ttl, Some(seat)));
        ready(Ok(())).boxed()
    }

    fn notify<'a>(&'a self, notice: &'a Notice, from: &'a Sender) -> BoxFuture<'a, Answer> {
        let answer = match from.may.has(right_for(notice)) {
            false => Answer::new(Status::Forbidden),
            true => self
                .change(notice.scene(), |login, now| login.apply(notice, from, now))
                .unwrap_or_else(|| Answer::new(Status::Unknown)),
        };
        ready(answer).boxed()
    }

    fn look(&self, scene: Scene) -> Looked<'_> {
        let now = self.now();
        let logins = self.lock();
        let login = logins.get(&scene).filter(|login| now < login.forget_at());
        ready(Ok(login.map(|login| login.snapshot(now)))).boxed()
    }

    fn sit<'a>(&'a self, scene: Scene, seat: &'a SeatName) -> Looked<'a> {
        ready(Ok(self.change(scene, |login, now| login.sit(seat, now)))).boxed()
    }

    fn leave<'a>(&'a self, scene: Scene, seat: &'a SeatName) -> BoxFuture<'a, ()> {
        self.change(scene, |login, _| login.leave(seat));
        ready(()).boxed()
    }

    fn expire(&self, scene: Scene) -> Looked<'_> {
        ready(Ok(self.change(scene, |login, now| login.expire(now)))).boxed()
    }

    fn is_ready(&self) -> bool {
        true
    }
}
