//! What is asked of a Redis before it is used: whether it is new enough, whether it is a master, and whether we may
//! hear what is published.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::timeout;

/// What is told where a Redis, or a proxy before it, is too old.
const NEEDED: &str =
    "Redis 6.2 or later is needed, or Valkey, without a proxy that does not pass on what it does not know";

/// Why there is no connection, and what to do about it where we know that.
pub(super) fn why_not(error: &RedisError) -> String {
    let detail = error.detail().unwrap_or_default().to_ascii_uppercase();
    let has_no_hello = error.kind() == ErrorKind::RESP3NotSupported
        || error.code() == Some("NOPROTO")
        || (detail.contains("UNKNOWN COMMAND") && detail.contains("HELLO"));
    match has_no_hello {
        true => format!("it does not know HELLO 3: {NEEDED} ({error})"),
        false => error.to_string(),
    }
}

/// Checks the version, if Redis tells it: an older one would refuse every record that is written.
pub(super) async fn is_young_enough(connection: &mut MultiplexedConnection) -> Result<(), String> {
    let Ok(Value::Map(said)) = redis::cmd("HELLO").query_async(connection).await else { return Ok(()) };
    let said = said.into_iter().find(|(name, _)| text(name.clone()).as_deref() == Some("version"));
    match said.and_then(|(_, version)| text(version)) {
        Some(version) if is_too_old(&version) => Err(format!("it is version {version}: {NEEDED}")),
        _ => Ok(()),
    }
}

/// Whether this is a version below 6.2. What is no version is taken as new.
fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (6, 2),
        _ => false,
    }
}

/// What a master says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It has so many replicas that are in step.
    Master(u32),
    /// It does not let us ask.
    Untold,
}

/// Checks that it answers and is a master.
pub(super) async fn role(connection: &MultiplexedConnection, within: Duration) -> Result<Role, String> {
    let (mut connection, question) = (connection.clone(), redis::cmd("ROLE"));
    let answer: RedisResult<Value> = match timeout(within, question.query_async(&mut connection)).await {
        Ok(answer) => answer,
        Err(_) => return Err("it does not answer".to_owned()),
    };
    match answer {
        // Its name, how far it has written, and its replicas.
        Ok(Value::Array(role)) => match role.first().cloned().and_then(text).as_deref() {
            Some("master") => match role.get(2) {
                Some(Value::Array(replicas)) => {
                    Ok(Role::Master(u32::try_from(replicas.len()).unwrap_or(u32::MAX)))
                }
                _ => Ok(Role::Untold),
            },
            Some(_) => Err("it is not the master".to_owned()),
            None => Ok(Role::Untold),
        },
        Ok(_) => Ok(Role::Untold),
        Err(error) if is_forbidden(&error) => Ok(Role::Untold),
        Err(error) => Err(error.to_string()),
    }
}

/// Subscribes to `channel`. If the ACL forbids it, we go on: connecting again would not help.
pub(super) async fn listen_for(connection: &mut MultiplexedConnection, channel: &str) -> Result<(), String> {
    match connection.subscribe(channel).await {
        Err(error) if is_forbidden(&error) => {
            tracing::warn!(
                "Redis does not let us hear {channel}, so pages learn late: {error}; allow it in the ACL"
            );
            Ok(())
        }
        Err(error) => Err(format!("it does not let us hear {channel}: {error}")),
        Ok(()) => Ok(()),
    }
}

/// Whether the ACL forbids it.
fn is_forbidden(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
}

pub(super) fn text(value: Value) -> Option<String> {
    redis::from_redis_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for old in ["5.0.14", "6.0.16", "4.9", "6.1.999"] {
            assert!(is_too_old(old), "{old}");
        }
        for young in ["6.2.0", "6.10.1", "7.2.4", "10.0.0", "255.255.255", "unstable", "7"] {
            assert!(!is_too_old(young), "{young}");
        }
    }
}
