//! What stands in the audit of a callback-service, read from its SQLite file while it runs.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The entries in the order in which they were written, each with what is personal.
#[must_use]
pub fn entries(file: &Path) -> Vec<Value> {
    let query =
        "SELECT json_patch(entry, ifnull(personal, '{}')) FROM journal WHERE kind = 'logins' ORDER BY id";
    let read = Command::new("sqlite3").arg("-readonly").arg(file).arg(query).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let lines = String::from_utf8(read.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// These members of each entry, in words; `-` for one that is not there.
#[must_use]
pub fn words(file: &Path, members: &[&str]) -> Vec<String> {
    let member = |entry: &Value, name| entry.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let entries = entries(file);
    let words =
        entries.iter().map(|entry| members.iter().map(|name| member(entry, name)).collect::<Vec<_>>());
    words.map(|words| words.join(" ")).collect()
}
