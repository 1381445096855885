//! What a Redis says of itself, for whoever looks for a fault.

use redis::AsyncConnectionConfig;
use redis::{Client, ConnectionInfo, RedisResult, Script};
use tokio::time::timeout;

use super::greeting::{is_young_enough, why_not};
use super::keeper::CONNECT;
use super::link::COMMAND;
use super::url::RedisUrl;

/// The key that is written and taken out again, behind the prefix.
const PROBE: &str = "doctor:probe";

/// How long it would be kept if its writer died, in milliseconds.
const KEPT_MS: u64 = 60_000;

/// Reads, writes and takes out by a script, as a service does.
const SCRIPT: &str = "redis.call('SET', KEYS[1], '{}', 'PX', ARGV[1]) return redis.call('DEL', KEYS[1])";

/// What was found of a Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisState {
    /// Its version; empty where it does not tell.
    pub version: String,
    /// `master`, or something else.
    pub role: String,
    /// Replicas that are connected.
    pub replicas: u32,
    /// What it does when its memory is full: `noeviction`, or something that forgets records.
    pub policy: String,
    /// Bytes of memory it may take; 0 for any.
    pub max_memory: u64,
    /// Bytes of memory it takes.
    pub used_memory: u64,
    /// Whether it appends what is written to a file.
    pub appends: bool,
    /// Whether it has ever saved a snapshot, or tries to.
    pub saves: bool,
    /// Whether its last attempts to write to its disk went well.
    pub disk_is_well: bool,
    /// Why a script could not write a record and take it out again.
    pub write: Result<(), String>,
}

impl RedisUrl {
    /// Connects once and asks. One small record is written under `prefix`, and taken out again.
    ///
    /// # Errors
    /// Why it cannot be asked, without passwords.
    pub async fn inspect(&self, prefix: &str) -> Result<RedisState, String> {
        timeout(3 * CONNECT, self.ask(prefix)).await.unwrap_or_else(|_| Err("it does not answer".to_owned()))
    }

    async fn ask(&self, prefix: &str) -> Result<RedisState, String> {
        let mut server = ConnectionInfo::clone(&self.server);
        if let Some(sentinels) = &self.sentinels {
            let master = sentinels.master().await?;
            server = server.set_addr(sentinels.address(master));
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(COMMAND));
        let client = Client::open(server).map_err(|error| error.to_string())?;
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await.map_err(|error| why_not(&error))?;
        redis::cmd("PING").exec_async(&mut connection).await.map_err(|error| error.to_string())?;
        is_young_enough(&mut connection).await?;
        // An ACL may forbid it; then nothing is known, and that is no fault.
        let info: RedisResult<String> = redis::cmd("INFO").query_async(&mut connection).await;
        let script = Script::new(SCRIPT);
        let mut call = script.key(format!("{prefix}{PROBE}"));
        let written: RedisResult<i64> = call.arg(KEPT_MS).invoke_async(&mut connection).await;
        let write = written.map(drop).map_err(|error| error.to_string());
        Ok(RedisState::of(&info.unwrap_or_default(), write))
    }
}

impl RedisState {
    /// Reads what INFO says: lines of `name:value`.
    fn of(info: &str, write: Result<(), String>) -> Self {
        let get = |name: &str| {
            let values = info.lines().filter_map(|line| line.split_once(':'));
            values.clone().find(|(found, _)| *found == name).map_or("", |(_, value)| value.trim())
        };
        let number = |name: &str| get(name).parse::<u64>().unwrap_or_default();
        let is_well = |name: &str| matches!(get(name), "" | "ok");
        Self {
            version: get("redis_version").to_owned(),
            role: get("role").to_owned(),
            replicas: u32::try_from(number("connected_slaves")).unwrap_or(u32::MAX),
            policy: get("maxmemory_policy").to_owned(),
            max_memory: number("maxmemory"),
            used_memory: number("used_memory"),
            appends: get("aof_enabled") == "1",
            saves: number("rdb_saves") > 0 || get("rdb_bgsave_in_progress") == "1",
            disk_is_well: is_well("rdb_last_bgsave_status") && is_well("aof_last_write_status"),
            write,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use test_redis::{Options, Redis};

    use super::*;

    #[tokio::test]
    async fn a_redis_tells_of_itself_and_takes_a_record() {
        let redis = Redis::start().await;
        let url: RedisUrl = redis.url().parse().unwrap();
        let state = url.inspect("test:").await.unwrap();
        assert_eq!((&*state.role, &*state.policy, state.replicas), ("master", "noeviction", 0));
        assert!(state.disk_is_well && !state.version.is_empty() && state.used_memory > 0, "{state:?}");
        assert_eq!(state.write, Ok(()));

        let more = ["maxmemory 100mb", "maxmemory-policy allkeys-lru"].map(str::to_owned).into();
        let redis = Redis::start_with(Options { more, ..Options::default() }).await;
        let url: RedisUrl = redis.url().parse().unwrap();
        let state = url.inspect("test:").await.unwrap();
        assert_eq!((&*state.policy, state.max_memory), ("allkeys-lru", 100 * 1024 * 1024));
    }

    #[tokio::test]
    async fn what_a_redis_refuses_is_told() {
        let more = vec!["rename-command EVALSHA \"\"".to_owned(), "rename-command EVAL \"\"".to_owned()];
        let redis = Redis::start_with(Options { more, ..Options::default() }).await;
        let url: RedisUrl = redis.url().parse().unwrap();
        let why = url.inspect("test:").await.unwrap().write.unwrap_err();
        assert!(why.contains("unknown command"), "{why}");
        let gone: RedisUrl = "redis://127.0.0.1:1".parse().unwrap();
        assert!(gone.inspect("test:").await.is_err());
    }
}
