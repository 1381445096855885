//! What a Redis says of itself, for whoever looks for a fault.

use redis::AsyncConnectionConfig;
use redis::{Client, ConnectionInfo, RedisError, RedisResult, Script};
use tokio::time::timeout;

use super::greeting::{Role, is_young_enough, role, why_not};
use super::keeper::CONNECT;
use super::link::COMMAND;
use super::url::RedisUrl;

/// The key that is written and taken out again, behind the prefix.
const PROBE: &str = "doctor:probe";

/// How long it would be kept if its writer died, in milliseconds.
const KEPT_MS: u64 = 60_000;

/// Writes and reads by a script, as a service does, and lets the record end at once. DEL is for journals alone, so a user
/// that keeps none may have no right to it.
const SCRIPT: &str = "redis.call('SET', KEYS[1], '{}', 'PX', ARGV[1]) redis.call('GET', KEYS[1]) \
                      redis.call('SET', KEYS[1], '', 'PX', 1) return 1";

/// Tries what a journal needs; gives the commands that are refused.
const OF_JOURNALS: &str = include_str!("journal_rights.lua");

/// The key at which that is tried, behind the prefix.
const PROBE_OF_JOURNALS: &str = "doctor:journal";

/// What was found of a Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisState {
    /// Its version; empty where it does not tell.
    pub version: String,
    /// `master`, or something else; empty where it does not tell.
    pub role: String,
    /// Replicas that are connected; `None` where it does not tell.
    pub replicas: Option<u32>,
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
    /// The commands of a journal that are refused, in small letters; of none where no journal is kept.
    pub refused_to_journals: Vec<String>,
}

impl RedisUrl {
    /// Connects once and asks. One small record is written under `prefix`, and taken out again. Where a journal is kept, it
    /// is also tried whether that could be; without leaving anything.
    ///
    /// # Errors
    /// Why it cannot be asked, without passwords.
    pub async fn inspect(&self, prefix: &str, keeps_journal: bool) -> Result<RedisState, String> {
        let asked = timeout(3 * CONNECT, self.ask(prefix, keeps_journal)).await;
        asked.unwrap_or_else(|_| Err("it does not answer".to_owned()))
    }

    async fn ask(&self, prefix: &str, keeps_journal: bool) -> Result<RedisState, String> {
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
        // A service may ask for this in any case.
        let role = role(&connection, COMMAND).await;
        let script = Script::new(SCRIPT);
        let mut call = script.key(format!("{prefix}{PROBE}"));
        let written: RedisResult<i64> = call.arg(KEPT_MS).invoke_async(&mut connection).await;
        let write = written.map(drop).map_err(|error| error.to_string());
        let mut state = RedisState::of(&info.unwrap_or_default(), write);
        match role {
            Ok(Role::Master(replicas)) => {
                state.role = "master".to_owned();
                state.replicas = Some(replicas);
            }
            Err(why) if state.role.is_empty() => state.role = why,
            Ok(Role::Untold) | Err(_) => {}
        }
        if keeps_journal && state.write.is_ok() {
            let script = Script::new(OF_JOURNALS);
            let mut call = script.key(format!("{prefix}{PROBE_OF_JOURNALS}"));
            let refused = call.arg(KEPT_MS).invoke_async(&mut connection).await;
            state.refused_to_journals = refused.map_err(|error: RedisError| error.to_string())?;
        }
        Ok(state)
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
            replicas: get("connected_slaves").parse().ok(),
            policy: get("maxmemory_policy").to_owned(),
            max_memory: number("maxmemory"),
            used_memory: number("used_memory"),
            appends: get("aof_enabled") == "1",
            saves: number("rdb_saves") > 0 || get("rdb_bgsave_in_progress") == "1",
            disk_is_well: is_well("rdb_last_bgsave_status") && is_well("aof_last_write_status"),
            write,
            refused_to_journals: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use test_redis::{Options, Redis};

    use super::*;

    #[tokio::test]
    async fn a_redis_tells_of_itself_and_takes_a_record() {
        let redis = Redis::start().await;
        let url: RedisUrl = redis.url().parse().unwrap();
        let state = url.inspect("test:", true).await.unwrap();
        assert_eq!((&*state.role, &*state.policy, state.replicas), ("master", "noeviction", Some(0)));
        assert_eq!(state.refused_to_journals, Vec::<String>::new());
        assert!(state.disk_is_well && !state.version.is_empty() && state.used_memory > 0, "{state:?}");
        assert_eq!(state.write, Ok(()));

        let more = ["maxmemory 100mb", "maxmemory-policy allkeys-lru"].map(str::to_owned).into();
        let redis = Redis::start_with(Options { more, ..Options::default() }).await;
        let url: RedisUrl = redis.url().parse().unwrap();
        let state = url.inspect("test:", false).await.unwrap();
        assert_eq!((&*state.policy, state.max_memory), ("allkeys-lru", 100 * 1024 * 1024));
    }

    /// The rights that docs/stores.md names, without those for the audit and with them.
    fn rights() -> [String; 2] {
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/stores.md");
        let document = std::fs::read_to_string(document).unwrap();
        let (_, rest) = document.split_once("Redis's user needs `").unwrap();
        let all: Vec<&str> = rest.split_once('`').unwrap().0.split_whitespace().collect();
        let audit = all.iter().position(|command| *command == "del").unwrap();
        [&all[..audit], &all].map(|commands| {
            commands.iter().map(|command| format!("+{command}")).collect::<Vec<_>>().join(" ")
        })
    }

    #[tokio::test]
    async fn the_rights_of_the_document_are_enough_and_those_that_a_journal_lacks_are_named() {
        let [records, journals] = rights();
        let user = |name: &str, rights: &str| format!("{name} on >pw ~test:* &test:* {rights}");
        let but_few = format!("{journals} -xadd -hdel -del -pexpire");
        let users = vec![
            user("all", &journals),
            user("records", &records),
            user("few", &but_few),
            user("untold", &format!("{records} -role")),
        ];
        let redis = Redis::start_with(Options { users, ..Options::default() }).await;
        let state = async |name: &str, keeps_journal| {
            let url: RedisUrl = redis.url_as(name, "pw").parse().unwrap();
            url.inspect("test:", keeps_journal).await.unwrap()
        };
        let all = state("all", true).await;
        assert_eq!((&*all.role, all.replicas, &all.write), ("master", Some(0), &Ok(())), "{all:?}");
        assert_eq!(all.refused_to_journals, Vec::<String>::new());
        let records = state("records", true).await;
        assert_eq!((records.replicas, &records.write), (Some(0), &Ok(())));
        let mut refused = records.refused_to_journals;
        refused.sort();
        let needed = [
            "del",
            "hdel",
            "hget",
            "hkeys",
            "hset",
            "pexpire",
            "xadd",
            "xdel",
            "xlen",
            "xrange",
            "xrevrange",
        ];
        assert_eq!(refused, needed);
        assert_eq!(state("records", false).await.refused_to_journals, Vec::<String>::new());
        assert_eq!(state("few", true).await.refused_to_journals, ["del", "xadd", "hdel", "pexpire"]);
        let untold = state("untold", false).await;
        assert_eq!((&*untold.role, untold.replicas), ("", None));
        // What is written ends a millisecond later.
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(redis.cli(&["KEYS", "*"]).await.trim(), "", "nothing is left");
    }

    #[tokio::test]
    async fn what_a_redis_refuses_is_told() {
        let more = vec!["rename-command EVALSHA \"\"".to_owned(), "rename-command EVAL \"\"".to_owned()];
        let redis = Redis::start_with(Options { more, ..Options::default() }).await;
        let url: RedisUrl = redis.url().parse().unwrap();
        let why = url.inspect("test:", true).await.unwrap().write.unwrap_err();
        assert!(why.contains("unknown command"), "{why}");
        let gone: RedisUrl = "redis://127.0.0.1:1".parse().unwrap();
        assert!(gone.inspect("test:", false).await.is_err());
    }
}
