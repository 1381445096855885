//! Which store an operator wants: the one place where a store's URL is read.

use std::path::PathBuf;

use secrecy::SecretString;

use crate::RedisUrl;

/// Where records are kept.
#[derive(Debug, Clone)]
pub enum StoreUrl {
    /// In this process's memory.
    Memory,
    /// In a SQLite file; the path `:memory:` is this process.
    Sqlite(PathBuf),
    /// In Redis.
    Redis {
        /// Where it is.
        url: RedisUrl,
        /// How many replicas must have what is to be durable.
        replicas: u32,
    },
}

/// What a service can use on one machine, beside Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// `memory:`.
    Memory,
    /// `sqlite:` and a file.
    Sqlite,
}

/// What is set beside the URL, and is for Redis alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct RedisSettings<'a> {
    /// Redis's password.
    pub password: Option<&'a SecretString>,
    /// The Sentinels' password.
    pub sentinel_password: Option<&'a SecretString>,
    /// How many replicas must have what is to be durable.
    pub replicas: Option<u32>,
}

impl RedisSettings<'_> {
    fn is_anything(&self) -> bool {
        self.password.or(self.sentinel_password).is_some() || self.replicas.is_some()
    }
}

impl StoreUrl {
    /// Reads a store's URL.
    ///
    /// # Errors
    /// What is wrong, to be said behind the setting's name. The text may hold a password and is not repeated.
    pub fn read(text: &str, local: Local, redis: RedisSettings<'_>) -> Result<Self, String> {
        let (store, name, hint) = match local {
            Local::Memory => ((text == "memory:").then_some(Self::Memory), "memory:", "memory:"),
            Local::Sqlite => {
                let path = text.strip_prefix("sqlite:");
                if path == Some("") {
                    return Err("write sqlite: and a file, for example sqlite:callback.db".to_owned());
                }
                (path.map(PathBuf::from).map(Self::Sqlite), "sqlite:", "sqlite: and a file")
            }
        };
        if let Some(store) = store {
            return match redis.is_anything() {
                true => Err(format!("is {name}, which has no password and no replicas")),
                false => Ok(store),
            };
        }
        let mut url = RedisUrl::of(text, redis.password).map_err(|forms| format!("{forms}, or {hint}"))?;
        if let Some(password) = redis.sentinel_password {
            url = url.with_sentinel_password(password)?;
        }
        // With Sentinels there are replicas, and a failover loses what none of them has.
        let replicas = redis.replicas.unwrap_or(url.has_sentinels().into());
        Ok(Self::Redis { url, replicas })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_service_has_a_store_of_its_own_and_redis() {
        let none = RedisSettings::default();
        assert!(matches!(StoreUrl::read("memory:", Local::Memory, none), Ok(StoreUrl::Memory)));
        for path in ["callback.db", ":memory:", "/var/lib/saoma/callback.db"] {
            match StoreUrl::read(&format!("sqlite:{path}"), Local::Sqlite, none).unwrap() {
                StoreUrl::Sqlite(read) => assert_eq!(read.to_str(), Some(path)),
                other => panic!("{other:?}"),
            }
        }
        for local in [Local::Memory, Local::Sqlite] {
            for (text, redis, expected) in [
                ("redis://cache", none, 0),
                ("redis+sentinel://a,b,c/main", none, 1),
                ("redis+sentinel://a,b,c/main", RedisSettings { replicas: Some(2), ..none }, 2),
            ] {
                match StoreUrl::read(text, local, redis).unwrap() {
                    StoreUrl::Redis { replicas, .. } => assert_eq!(replicas, expected, "{text}"),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_text() {
        let password = SecretString::from("hunter2");
        let with = RedisSettings { password: Some(&password), ..RedisSettings::default() };
        let sentinels = RedisSettings { sentinel_password: Some(&password), ..RedisSettings::default() };
        let replicas = RedisSettings { replicas: Some(1), ..RedisSettings::default() };
        for (text, local, redis, said) in [
            ("sqlite:callback.db", Local::Memory, RedisSettings::default(), "or memory:"),
            ("memory:", Local::Sqlite, RedisSettings::default(), "or sqlite: and a file"),
            ("sqlite:", Local::Sqlite, RedisSettings::default(), "for example sqlite:callback.db"),
            ("memory:", Local::Memory, with, "is memory:, which has no password and no replicas"),
            ("memory:", Local::Memory, sentinels, "is memory:, which has no password"),
            ("sqlite:x", Local::Sqlite, replicas, "is sqlite:, which has no password and no replicas"),
            ("redis://cache", Local::Memory, sentinels, "names no Sentinels"),
            ("http://:hunter2@cache", Local::Sqlite, RedisSettings::default(), "write redis://"),
        ] {
            let problem = StoreUrl::read(text, local, redis).unwrap_err();
            assert!(problem.contains(said) && !problem.contains("hunter2"), "{text}: {problem}");
        }
    }
}
