//! Where a gateway keeps what it must remember: the logins, and the counts that limit them.
//!
//! In memory they are this process's own. In Redis all gateways of an account share them.

use std::sync::Arc;

use clap::Args;
use futures_util::future::{BoxFuture, FutureExt, join, pending};
use records::{Local, Redis, RedisSettings, Replicas, StoreUrl};
use secrecy::{ExposeSecret, SecretString};
use server::clock;
use server::settings::{self, SettingError};
use server::visible::visible;

use crate::codes::admission::Addresses;
use crate::codes::{self, Budget, Free, Unscanned};
use crate::logins::Logins;
use crate::logins::seats::Pages;

/// The settings of the store.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Where logins are kept: memory: is this process; redis://host:6379, rediss://host:6379 (TLS) or
    /// redis+sentinel://host1:26379,host2:26379/name let any number of gateways share them.
    #[arg(
        long = "gateway-store",
        env = "GATEWAY_STORE",
        display_order = 9,
        default_value = "memory:",
        hide_env_values = true
    )]
    store: SecretString,

    /// What the keys in Redis begin with.
    #[arg(
        long = "gateway-redis-prefix",
        env = "GATEWAY_REDIS_PREFIX",
        display_order = 10,
        default_value = "saoma:gateway:"
    )]
    redis_prefix: String,

    /// Replicas of Redis that must have an end before it counts as recorded, or as many as the master has.
    /// Unset: 1 where Sentinels name the master, else 0.
    #[arg(long = "gateway-redis-replicas", env = "GATEWAY_REDIS_REPLICAS", display_order = 11)]
    redis_replicas: Option<u32>,

    /// Logins in memory at once. One is about a kilobyte, and lives for its time and three minutes: the
    /// default is more than WeChat's allowance of codes a day, and less than would hurt a small machine.
    #[arg(long = "gateway-max-logins", env = "GATEWAY_MAX_LOGINS", display_order = 21, default_value_t = 200_000,
          value_parser = settings::places)]
    max_logins: usize,
}

/// The store that the settings name, with nothing connected yet.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    url: StoreUrl,
    /// What keys in Redis begin with.
    prefix: String,
    /// Logins in memory at once.
    most: usize,
}

impl Storage {
    /// Which store it is.
    pub(crate) fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// What keys in Redis begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl Settings {
    /// Checks the settings, with the passwords of Redis and of its Sentinels.
    ///
    /// # Errors
    /// When the setting is no store. Its text may hold a password and is not repeated.
    pub(crate) fn storage(
        self,
        password: Option<&SecretString>,
        sentinel_password: Option<&SecretString>,
    ) -> Result<Storage, SettingError> {
        let wrong = |problem: String| SettingError::new("GATEWAY_STORE", problem);
        let text = visible(self.store.expose_secret()).map_err(wrong)?;
        let redis = RedisSettings { password, sentinel_password, replicas: self.redis_replicas };
        let url = StoreUrl::read(text, Local::Memory, redis).map_err(wrong)?;
        Ok(Storage { url, prefix: self.redis_prefix, most: self.max_logins })
    }
}

/// The limits on codes, which each account has for itself but for the pace of those that cost no call.
pub(crate) struct Limits {
    a_minute: u32,
    shared: Option<Redis>,
    pub(crate) free: Free,
}

impl Limits {
    /// Those of an account that may make `per_day` calls. `app_id` is set where it has a name of its own.
    pub(crate) fn of(&self, app_id: Option<&str>, per_day: u32) -> (Budget, Unscanned) {
        let budget = Budget::new(per_day, self.shared.clone(), clock::unix_now).of_account(app_id);
        (budget, Unscanned::of_account(app_id, per_day, self.a_minute, self.shared.clone()))
    }
}

/// Logins and limits, in one place.
pub(crate) struct Stores {
    pub(crate) logins: Arc<Logins>,
    pub(crate) addresses: Addresses,
    pub(crate) limits: Limits,
    /// Redis's replicas, where Redis is the store.
    pub(crate) replicas: Option<Replicas>,
    /// What they do by themselves. It never ends.
    pub(crate) work: BoxFuture<'static, ()>,
}

impl Stores {
    /// Opens the store. Redis is connected once the work is polled.
    #[must_use]
    pub(crate) fn new(storage: Storage, codes: &codes::Settings, pages: &Arc<Pages>) -> Self {
        let Storage { url, prefix, most } = storage;
        let pages = Arc::clone(pages);
        let (logins, connecting) = match url {
            StoreUrl::Redis { url, replicas } => {
                let (logins, keeper) = Logins::in_redis(url, &prefix, replicas, pages);
                (logins, keeper.run().boxed())
            }
            // The settings know no other.
            StoreUrl::Memory | StoreUrl::Sqlite(_) => (Logins::in_memory(pages, most), pending().boxed()),
        };
        let shared = logins.redis().cloned();
        let logins = Arc::new(logins);
        let runs = Arc::clone(&logins);
        let work = async move { join(connecting, runs.run()).await }.map(|_| ()).boxed();
        let a_minute = codes.address_rate;
        Self {
            replicas: shared.as_ref().map(|redis| redis.replicas().clone()),
            logins,
            addresses: Addresses::new(a_minute, shared.clone()),
            limits: Limits { a_minute, free: Free::new(shared.clone()), shared },
            work,
        }
    }
}
