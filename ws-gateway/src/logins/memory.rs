//! Logins in this process's memory: for one gateway, with nothing to install.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, ready};
use protocol::message::{Answer, Status};
use protocol::{Notice, Scene};
use tokio::time::Instant;

use super::{Logins, NewLogin, Record, Sender, Snapshot, StoreError, right_for};
use crate::pages::Pages;

/// How often forgotten logins are taken out.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The store `memory:`.
#[derive(Debug)]
pub(crate) struct MemoryLogins {
    /// Never held across an await.
    logins: Mutex<HashMap<Scene, Record>>,
    pages: Arc<Pages>,
    most: usize,
}

impl MemoryLogins {
    /// An empty store of at most `most` logins that wakes `pages`.
    #[must_use]
    pub(crate) fn new(pages: Arc<Pages>, most: usize) -> Self {
        Self { logins: Mutex::default(), pages, most }
    }

    /// Takes forgotten logins out, for as long as it is polled.
    pub(crate) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let now = Instant::now();
            let mut logins = self.lock();
            logins.retain(|_, login| !login.is_forgotten(now));
            if logins.capacity() > 4 * logins.len() + 1024 {
                logins.shrink_to_fit();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Scene, Record>> {
        // Nothing that is done under the lock can panic half-way.
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, notice: &Notice, from: &Sender) -> Answer {
        if !from.may.has(right_for(notice)) {
            return Answer::new(Status::Forbidden);
        }
        let (scene, now) = (notice.scene(), Instant::now());
        let mut logins = self.lock();
        let Some(login) = logins.get_mut(&scene).filter(|login| !login.is_forgotten(now)) else {
            return Answer::new(Status::Unknown);
        };
        let answer = login.apply(notice, from, self.pages.is_here(scene), now);
        drop(logins);
        if answer.status.is_recorded() && !answer.repeat {
            self.pages.wake(scene);
        }
        answer
    }
}

impl Logins for MemoryLogins {
    fn open(&self, scene: Scene, new: NewLogin, ttl: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut logins = self.lock();
        if logins.len() >= self.most {
            return ready(Err(StoreError::Full)).boxed();
        }
        logins.insert(scene, Record::new(new, Instant::now(), ttl));
        ready(Ok(())).boxed()
    }

    fn notify<'a>(&'a self, notice: &'a Notice, from: &'a Sender) -> BoxFuture<'a, Answer> {
        ready(self.take(notice, from)).boxed()
    }

    fn look(&self, scene: Scene) -> BoxFuture<'_, Result<Option<Snapshot>, StoreError>> {
        let now = Instant::now();
        let logins = self.lock();
        let login = logins.get(&scene).filter(|login| !login.is_forgotten(now));
        ready(Ok(login.map(|login| login.snapshot(now)))).boxed()
    }

    fn expire(&self, scene: Scene) -> BoxFuture<'_, Result<(), StoreError>> {
        if let Some(login) = self.lock().get_mut(&scene) {
            login.expire(Instant::now());
        }
        ready(Ok(())).boxed()
    }
}
