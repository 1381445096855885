//! Where a gateway keeps what it must remember: the logins, and the counts that limit them.
//!
//! In memory they are this process's own. In Redis all gateways of an account share them.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt, join};
use records::Replicas;
use server::clock;

use crate::codes::admission::Addresses;
use crate::codes::{Budget, Unscanned};
use crate::config::{Config, Store};
use crate::logins::seats::Pages;
use crate::logins::{Logins, MemoryLogins, RedisLogins};

/// Logins and limits, in one place.
pub(crate) struct Stores {
    pub(crate) logins: Arc<dyn Logins>,
    pub(crate) addresses: Addresses,
    pub(crate) budget: Budget,
    pub(crate) unscanned: Unscanned,
    /// Of Redis, where that is the store.
    pub(crate) replicas: Option<Replicas>,
    /// What they do by themselves.
    pub(crate) work: BoxFuture<'static, ()>,
}

impl Stores {
    /// What `GATEWAY_STORE` names. Nothing is connected before the work is polled.
    #[must_use]
    pub(crate) fn new(store: Store, config: &Config, pages: &Arc<Pages>) -> Self {
        let pages = Arc::clone(pages);
        let (logins, shared, work): (Arc<dyn Logins>, _, _) = match store {
            Store::Memory => {
                let logins = Arc::new(MemoryLogins::new(pages, config.gateway_max_logins));
                let sweeper = Arc::clone(&logins);
                (logins, None, async move { sweeper.sweep().await }.boxed())
            }
            Store::Redis { place, replicas } => {
                let (logins, keeper) = RedisLogins::new(place, &config.gateway_redis_prefix, replicas, pages);
                let shared = Some(logins.records().clone());
                let logins = Arc::new(logins);
                let healer = Arc::clone(&logins);
                let work = async move { join(keeper.run(), healer.heal()).await };
                (logins, shared, work.map(|_| ()).boxed())
            }
        };
        let (per_day, a_minute) = (config.gateway_qr_per_day, config.gateway_address_rate);
        Self {
            replicas: shared.as_ref().map(|records| records.replicas().clone()),
            logins,
            addresses: Addresses::new(a_minute, shared.clone()),
            budget: Budget::new(per_day, shared.clone(), clock::unix_now),
            unscanned: Unscanned::new(per_day, a_minute, shared),
            work,
        }
    }
}
