//! Whether the Redis that a service uses answers, is the master, takes records, and keeps them.

use std::time::Duration;

use records::{RedisState, RedisUrl};

use crate::check::Sheet;
use crate::words::Words;

/// The look may take this long.
pub const WITHIN: Duration = Duration::from_secs(15);

/// Memory that is nearly used up: nine tenths.
const FULL: (u64, u64) = (9, 10);

/// What a service asks of its Redis.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The setting that names it, such as `CALLBACK_STORE`.
    pub setting: &'static str,
    /// Where it is.
    pub url: RedisUrl,
    /// What its keys begin with.
    pub prefix: String,
    /// Replicas that must have what is to be durable.
    pub replicas: u32,
    /// Whether records are wanted after Redis's own restart.
    pub keeps: bool,
    /// Whether it is kept there who logged in.
    pub audits: bool,
}

/// Looks at it.
pub async fn look(sheet: &Sheet, wanted: &Wanted) {
    let answers = Words::new(
        format!("the Redis of {} answers", wanted.setting),
        format!("{} 的 Redis 有回应", wanted.setting),
    );
    match wanted.url.inspect(&wanted.prefix, wanted.audits).await {
        Ok(state) => {
            let version = if state.version.is_empty() { String::new() } else { format!(", {}", state.version) };
            sheet.ok_with(answers, Words::same(format!("{}{version}", wanted.url)));
            tell(sheet, wanted, &state);
        }
        Err(why) => sheet.failure(
            answers,
            Words::same(format!("{}: {why}", wanted.url)),
            Words::new(
                format!(
                    "see that Redis runs, and that host, port, user and password of {} are right; rediss:// is for TLS",
                    wanted.setting
                ),
                format!("请检查 Redis 是否在运行，{} 中的主机、端口、用户和密码是否正确；TLS 用 rediss://", wanted.setting),
            ),
        ),
    }
}

fn tell(sheet: &Sheet, wanted: &Wanted, state: &RedisState) {
    let written = Words::new("it takes records, by a script", "可以用脚本写入记录");
    match &state.write {
        Ok(()) => sheet.ok(written),
        Err(why) if why.contains("OOM") => sheet.failure(
            written,
            Words::same(why.clone()),
            Words::new(
                "its memory is full: raise maxmemory, or see what else is kept there",
                "内存已满：请调大 maxmemory，或查看其中还存了什么",
            ),
        ),
        Err(why) => sheet.failure(
            written,
            Words::same(why.clone()),
            Words::new(
                "give the user of the URL the commands that docs/stores.md lists (ACL), on keys and channels under its prefix, \
                 at a master, without a proxy that does not know scripts",
                "请按 docs/stores.md 列出的命令给该用户授权（ACL），范围是前缀下的键和频道；连接主库，且中间没有不支持脚本的代理",
            ),
        ),
    }
    audit(sheet, state);
    role(sheet, wanted, state);
    memory(sheet, wanted, state);
    disk(sheet, wanted, state);
}

/// Without these logins go on, and nobody can look up later who logged in.
fn audit(sheet: &Sheet, state: &RedisState) {
    let refused = state.refused_to_journals.join(" ");
    if !refused.is_empty() {
        sheet.warning(
            Words::new("it takes entries of who logged in", "可以写入登录审计记录"),
            Words::new(format!("the user of the URL may not: {refused}"), format!("该用户没有权限：{refused}")),
            Words::new(
                "give it these commands, too (docs/stores.md has all); until then logins go on, and entries of the audit are \
                 missing",
                "请授权这些命令（全部列在 docs/stores.md）；在此之前登录照常，但审计记录会缺失",
            ),
        );
    }
}

fn role(sheet: &Sheet, wanted: &Wanted, state: &RedisState) {
    if !state.role.is_empty() && state.role != "master" {
        sheet.failure(
            Words::new("it is the master", "是主库"),
            Words::same(state.role.clone()),
            Words::new(
                format!("name the master in {}, or its Sentinels: redis+sentinel://", wanted.setting),
                format!("请在 {} 中写主库，或写哨兵：redis+sentinel://", wanted.setting),
            ),
        );
    }
    // Where it does not tell, nothing is known.
    let Some(connected) = state.replicas else { return };
    let enough = Words::new("it has the replicas that are wanted", "副本数量足够");
    let found = Words::new(
        format!("{connected} connected, {} wanted", wanted.replicas),
        format!("已连接 {connected}，需要 {}", wanted.replicas),
    );
    if connected < wanted.replicas {
        sheet.warning(
            enough,
            found,
            Words::new(
                "what is recorded now may be lost in a failover; bring the replicas back, or ask for fewer by the setting of \
                 replicas",
                "故障切换时可能丢失刚写入的记录；请恢复副本，或调小副本数设置",
            ),
        );
    } else if wanted.replicas > 0 {
        sheet.ok_with(enough, found);
    }
}

fn memory(sheet: &Sheet, wanted: &Wanted, state: &RedisState) {
    let kept = Words::new("it forgets no record before its time", "不会提前丢弃记录");
    if !state.policy.is_empty() && state.policy != "noeviction" {
        sheet.warning(
            kept,
            Words::same(format!("maxmemory-policy {}", state.policy)),
            Words::new(
                format!(
                    "set maxmemory-policy noeviction at the Redis of {}: a full one would forget logins and sessions",
                    wanted.setting
                ),
                format!("请在 {} 的 Redis 上设置 maxmemory-policy noeviction，否则内存满时会丢失登录和会话", wanted.setting),
            ),
        );
    } else if !state.policy.is_empty() {
        sheet.ok(kept);
    }
    let (part, whole) = FULL;
    if state.max_memory > 0 && state.used_memory.saturating_mul(whole) > state.max_memory.saturating_mul(part)
    {
        sheet.warning(
            Words::new("it has memory left", "内存有余量"),
            Words::same(format!("{} / {} B", state.used_memory, state.max_memory)),
            Words::new(
                "raise maxmemory, or see what else is kept there",
                "请调大 maxmemory，或查看其中还存了什么",
            ),
        );
    }
}

fn disk(sheet: &Sheet, wanted: &Wanted, state: &RedisState) {
    let well = Words::new("it can write to its disk", "可以写入磁盘");
    if !state.disk_is_well {
        sheet.failure(
            well,
            Words::new("its last attempt failed", "最近一次写入失败"),
            Words::new(
                "see the log of Redis: mostly its disk is full, or may not be written to",
                "请查看 Redis 的日志：多半是磁盘已满，或没有写权限",
            ),
        );
    }
    if wanted.keeps && !state.version.is_empty() && !state.appends && !state.saves {
        sheet.warning(
            Words::new("it keeps records on its disk", "记录会存到磁盘"),
            Words::new("neither appendonly nor a snapshot so far", "既没有 appendonly，也还没有快照"),
            Words::new(
                "set appendonly yes: a restart of Redis would forget sessions, grants and counts",
                "请设置 appendonly yes，否则 Redis 重启后会话、授权和计数都会丢失",
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::check::Outcome;
    use crate::words::Language;

    fn wanted(replicas: u32) -> Wanted {
        let url = "redis://cache.example:6379".parse().unwrap();
        Wanted { setting: "CALLBACK_STORE", url, prefix: String::new(), replicas, keeps: true, audits: true }
    }

    fn good() -> RedisState {
        RedisState {
            version: "7.2.4".to_owned(),
            role: "master".to_owned(),
            replicas: Some(1),
            policy: "noeviction".to_owned(),
            max_memory: 0,
            used_memory: 1,
            appends: true,
            saves: false,
            disk_is_well: true,
            write: Ok(()),
            refused_to_journals: Vec::new(),
        }
    }

    #[test]
    fn each_fault_is_named_with_its_cure() {
        let told = |state: &RedisState| {
            let sheet = Sheet::default();
            tell(&sheet, &wanted(1), state);
            let worst = sheet.checks().into_iter().max_by_key(|check| check.outcome).unwrap();
            (worst.outcome, worst.hint.map(|hint| hint.get(Language::En).to_owned()).unwrap_or_default())
        };
        assert_eq!(told(&good()).0, Outcome::Ok);
        for (state, outcome, cure) in [
            (RedisState { role: "slave".to_owned(), ..good() }, Outcome::Failure, "name the master"),
            (RedisState { replicas: Some(0), ..good() }, Outcome::Warning, "bring the replicas back"),
            (RedisState { replicas: None, ..good() }, Outcome::Ok, ""),
            (RedisState { policy: "allkeys-lru".to_owned(), ..good() }, Outcome::Warning, "noeviction"),
            (RedisState { max_memory: 100, used_memory: 91, ..good() }, Outcome::Warning, "raise maxmemory"),
            (RedisState { disk_is_well: false, ..good() }, Outcome::Failure, "disk is full"),
            (RedisState { appends: false, ..good() }, Outcome::Warning, "appendonly yes"),
            (
                RedisState { write: Err("OOM command not allowed".to_owned()), ..good() },
                Outcome::Failure,
                "raise maxmemory",
            ),
            (RedisState { write: Err("NOPERM".to_owned()), ..good() }, Outcome::Failure, "docs/stores.md"),
            (
                RedisState { refused_to_journals: vec!["xadd".to_owned(), "hset".to_owned()], ..good() },
                Outcome::Warning,
                "entries of the audit are missing",
            ),
        ] {
            let (is, hint) = told(&state);
            assert_eq!(is, outcome, "{state:?}");
            assert!(hint.contains(cure), "{hint}");
        }
    }
}
