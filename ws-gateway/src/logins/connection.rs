//! Logins in Redis: what this gateway hears from there, and what it does when it may have missed something.
//!
//! A change of a login is published to the channel of the gateway that holds its page. Such a wake-up may be lost. So
//! all pages read their records again once there is a connection again. They are woken as well when an outage lasts,
//! so that they can tell people to wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use protocol::Scene;
use records::{Heard, Keeper, Records, Redis, RedisUrl, Subscription};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::record::Record;
use super::seats::Pages;

/// An outage of this length is told to the pages; most are over sooner.
const PATIENCE: Duration = Duration::from_secs(2);

/// This gateway's connection to the Redis that holds the logins.
pub(super) struct Connection {
    pub(super) redis: Redis,
    pub(super) records: Records<Record>,
    pages: Arc<Pages>,
    connected: Arc<Notify>,
    was_connected: AtomicBool,
}

impl Connection {
    /// Nothing is connected before the keeper runs.
    pub(super) fn new(url: RedisUrl, prefix: &str, replicas: u32, pages: Arc<Pages>) -> (Self, Keeper) {
        let connected = Arc::new(Notify::new());
        // They are made of the Redis, which is made with who hears what is published there.
        let logins = Arc::new(OnceLock::<Records<Record>>::new());
        let subscription = {
            let (pages, connected, logins) =
                (Arc::clone(&pages), Arc::clone(&connected), Arc::clone(&logins));
            Subscription {
                channel: pages.gateway().to_owned(),
                hear: Box::new(move |heard| match heard {
                    Heard::Connected => connected.notify_one(),
                    Heard::Message(scene) => {
                        if let Ok(scene) = scene.parse::<Scene>() {
                            // What this gateway wrote last is not what its page has to be told now.
                            logins.get().into_iter().for_each(|logins| logins.outdate(scene.as_str()));
                            pages.wake(scene);
                        }
                    }
                }),
            }
        };
        // The version of all that is kept there.
        let (redis, keeper) = Redis::new(url, format!("{prefix}1:"), replicas, Some(subscription));
        let records = Records::in_redis("login", &redis);
        let _ = logins.set(records.clone());
        (Self { redis, records, pages, connected, was_connected: AtomicBool::new(false) }, keeper)
    }

    /// Whether there has ever been a connection.
    pub(super) fn was_there(&self) -> bool {
        self.was_connected.load(Ordering::Relaxed)
    }

    /// Lets the pages read their records whenever wake-ups may have been lost, and when an outage lasts, for
    /// as long as it is polled.
    pub(super) async fn heal(&self) {
        let mut is_told = false;
        loop {
            tokio::select! {
                () = self.connected.notified() => {
                    self.was_connected.store(true, Ordering::Relaxed);
                    is_told = false;
                }
                // Once: from then on the pages look again by themselves.
                () = self.lasting_outage(), if !is_told => is_told = true,
            }
            self.pages.wake_all().await;
        }
    }

    async fn lasting_outage(&self) {
        loop {
            self.redis.is_connected(false).await;
            tokio::select! {
                () = self.redis.is_connected(true) => {}
                () = sleep(PATIENCE) => break,
            }
        }
    }
}
