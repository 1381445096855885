//! Where the service keeps what it remembers: the settings, and the store that they open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use futures_util::future::BoxFuture;
use records::{Local, RedisSettings, RedisUrl, Replicas, StoreUrl};
use secrecy::{ExposeSecret, SecretString};
use server::settings::{SettingError, Wrong};
use server::visible::visible;

use crate::store::Store;

/// The path of SQLite's store that ends with the process.
const MEMORY: &str = ":memory:";

/// What an operator sets about the store.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Where counts and recent answers are kept: sqlite: and a file, or sqlite::memory:; redis://host:6379,
    /// rediss://host:6379 (TLS) or redis+sentinel://host1:26379,host2:26379/name let any number of
    /// callback-services share them.
    #[arg(long, env, default_value = "sqlite:callback.db", hide_env_values = true)]
    callback_store: SecretString,

    /// What the keys in Redis begin with.
    #[arg(long, env, default_value = "saoma:callback:")]
    callback_redis_prefix: String,

    /// Replicas of Redis that must have what is noted before it counts, or as many as the master has. Unset: 1
    /// where Sentinels name the master, else 0.
    #[arg(long, env)]
    callback_redis_replicas: Option<u32>,
}

/// The store's passwords.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// `CALLBACK_REDIS_PASSWORD`.
    pub password: Option<SecretString>,
    /// `CALLBACK_REDIS_SENTINEL_PASSWORD`.
    pub sentinel_password: Option<SecretString>,
}

impl Secrets {
    /// Reads them from the environment or its files.
    pub(crate) fn read(wrong: &mut Wrong) -> Self {
        Self {
            password: wrong.secret("CALLBACK_REDIS_PASSWORD"),
            sentinel_password: wrong.secret("CALLBACK_REDIS_SENTINEL_PASSWORD"),
        }
    }
}

/// A store that can be opened.
#[derive(Debug)]
pub(crate) struct Storage {
    url: StoreUrl,
    /// What keys in Redis begin with.
    prefix: String,
}

/// Where a store is.
pub(crate) enum Place {
    /// In the process, until it ends.
    Memory,
    /// In this file.
    Sqlite(PathBuf),
    /// In Redis.
    Redis {
        url: RedisUrl,
        /// What keys begin with.
        prefix: String,
        /// Replicas that must have what is to be durable.
        replicas: u32,
    },
}

/// A store that has been opened.
pub(crate) struct Opened {
    pub store: Arc<Store>,
    /// Keeps the store's connections; it never ends.
    pub work: BoxFuture<'static, ()>,
    /// Redis's replicas, where that is the store.
    pub replicas: Option<Replicas>,
}

impl Storage {
    /// Checks the settings.
    ///
    /// # Errors
    /// When a setting is wrong. The store's URL may hold a password, so errors do not repeat it.
    pub(crate) fn new(settings: Settings, secrets: &Secrets) -> Result<Self, SettingError> {
        let wrong = |problem: String| SettingError::new("CALLBACK_STORE", problem);
        let text = visible(settings.callback_store.expose_secret()).map_err(wrong)?;
        let redis = RedisSettings {
            password: secrets.password.as_ref(),
            sentinel_password: secrets.sentinel_password.as_ref(),
            replicas: settings.callback_redis_replicas,
        };
        let url = StoreUrl::read(text, Local::Sqlite, redis).map_err(wrong)?;
        if let StoreUrl::Sqlite(path) = &url
            && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
            && !folder.is_dir()
        {
            return Err(wrong(format!("there is no folder {}", folder.display())));
        }
        Ok(Self { url, prefix: settings.callback_redis_prefix })
    }

    /// Whether everything is forgotten when the process ends.
    pub(crate) fn ends_with_the_process(&self) -> bool {
        matches!(&self.url, StoreUrl::Sqlite(path) if path == Path::new(MEMORY))
    }

    /// The SQLite file, where that is the store.
    pub(crate) fn sqlite_file(&self) -> Option<&Path> {
        match &self.url {
            StoreUrl::Sqlite(path) if path != Path::new(MEMORY) => Some(path),
            _ => None,
        }
    }

    /// Where the store is.
    pub(crate) fn place(&self) -> Place {
        match &self.url {
            StoreUrl::Redis { url, replicas } => {
                Place::Redis { url: url.clone(), prefix: self.prefix.clone(), replicas: *replicas }
            }
            StoreUrl::Memory | StoreUrl::Sqlite(_) => {
                self.sqlite_file().map_or(Place::Memory, |path| Place::Sqlite(path.to_owned()))
            }
        }
    }

    /// Opens the store.
    ///
    /// # Errors
    /// When the file cannot be used. Redis is reached later.
    pub(crate) fn open(self) -> anyhow::Result<Opened> {
        let (store, work) = Store::new(self.url, &self.prefix)?;
        let replicas = store.replicas().cloned();
        Ok(Opened { store: Arc::new(store), work, replicas })
    }
}
