//! The file of clients: TOML, one `[[client]]` for each back end.
//!
//! The file holds keys. So an error never quotes the file, except for the names of clients and of fields. That is why
//! the tables are read by hand: serde's errors quote the value that is wrong.

use std::num::NonZeroU32;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use protocol::Key;
use secrecy::SecretString;
use server::visible::visible;
use toml::value::{Datetime, Offset};
use toml::{Table, Value};

use super::Client;
use crate::logins::rights::{Right, Rights};

/// The longest name of a client. Names go into log lines and metrics.
const MAX_NAME: usize = 64;

/// The largest `rate`, in notices a second. A higher one would limit nothing.
const MAX_RATE: u32 = 10_000;

/// Bytes of the file: thousands of clients.
const MAX_FILE: u64 = 1024 * 1024;

/// Reads the clients from a file.
///
/// # Errors
/// What is wrong, in one line: the file's name, the client, the field, and what to write.
pub(crate) fn read(path: &Path) -> Result<Vec<Client>, String> {
    let text = server::file::read_text(path, MAX_FILE).map_err(|error| error.to_string());
    text.and_then(|text| parse(&text)).map_err(|problem| format!("{}: {problem}", path.display()))
}

fn parse(text: &str) -> Result<Vec<Client>, String> {
    let mut file: Table = text.parse().map_err(|error| no_toml(text, &error))?;
    let entries = match file.remove("client") {
        Some(Value::Array(entries)) if file.is_empty() => entries,
        _ => return Err("write one [[client]] for each client, and nothing outside them".to_owned()),
    };
    let mut clients: Vec<Client> = Vec::new();
    for (number, entry) in entries.into_iter().enumerate() {
        let Value::Table(entry) = entry else { return Err("client is written [[client]]".to_owned()) };
        let name = entry.get("name").and_then(Value::as_str).map(str::to_owned);
        let named = name.as_deref().map_or_else(String::new, |name| format!(" ({name:?})"));
        let client =
            client(entry).and_then(|client| match clients.iter().find(|other| is_like(&client, other)) {
                Some(other) if other.name == client.name => {
                    Err("there is another client of this name".to_owned())
                }
                Some(other) => {
                    Err(format!("keys: {:?} has one of them; every client needs its own", other.name))
                }
                None => Ok(client),
            });
        clients.push(client.map_err(|problem| format!("client {}{named}: {problem}", number + 1))?);
    }
    Ok(clients)
}

/// The parser's own text may quote the line, which may have a key.
fn no_toml(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1);
    let line = line.map_or_else(String::new, |line| format!("line {line}: "));
    format!("{line}this is no TOML; texts stand in \"quotes\", lists in [brackets]")
}

fn is_like(client: &Client, other: &Client) -> bool {
    client.name == other.name || client.keys.iter().any(|key| other.keys.contains(key))
}

fn client(mut entry: Table) -> Result<Client, String> {
    let name = match entry.remove("name") {
        Some(Value::String(name)) => name_of(&name)?,
        _ => return Err("name: write name = \"…\"".to_owned()),
    };
    let client = Client {
        name,
        keys: keys(entry.remove("keys"))?,
        may: may(entry.remove("may"))?,
        rate: entry.remove("rate").as_ref().map(rate).transpose()?,
        expires: entry.remove("expires").map(expires).transpose()?,
    };
    match entry.keys().next() {
        None => Ok(client),
        Some(other) => Err(format!("{other:?} is no field; there are name, keys, may, rate and expires")),
    }
}

/// Checks a client's name.
///
/// # Errors
/// A text with the rule for names.
pub(crate) fn name_of(text: &str) -> Result<String, String> {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match (1..=MAX_NAME).contains(&text.len()) && text.chars().all(is_good) {
        true => Ok(text.to_owned()),
        false => Err(format!("name: up to {MAX_NAME} of the letters A-Z a-z 0-9 . _ -")),
    }
}

fn texts(value: Option<Value>) -> Option<Vec<String>> {
    let text = |value| if let Value::String(text) = value { Some(text) } else { None };
    let Some(Value::Array(values)) = value else { return None };
    values.into_iter().map(text).collect()
}

fn keys(value: Option<Value>) -> Result<Vec<Key>, String> {
    let form = || "keys: write one or two, such as keys = [\"…\"]".to_owned();
    let texts = texts(value).filter(|texts| (1..=2).contains(&texts.len())).ok_or_else(form)?;
    let key = |text: String| {
        let text = SecretString::from(visible(&text)?);
        Key::new(&text).map_err(|error| error.to_string())
    };
    let keys = texts.into_iter().map(key);
    let keys: Vec<Key> = keys.collect::<Result<_, _>>().map_err(|error| format!("keys: {error}"))?;
    match keys.as_slice() {
        [one, other] if one == other => Err("keys: both are the same".to_owned()),
        _ => Ok(keys),
    }
}

fn may(value: Option<Value>) -> Result<Rights, String> {
    let form = || {
        "may: write what it may send, any of [\"scan\", \"claim\", \"deny\", \"query\", \"grant\", \"probe\"]"
            .to_owned()
    };
    let names = texts(value).filter(|names| !names.is_empty()).ok_or_else(form)?;
    let rights: Option<Vec<Right>> = names.iter().map(|name| Right::named(name)).collect();
    rights.map(|rights| Rights::of(&rights)).ok_or_else(form)
}

fn rate(value: &Value) -> Result<NonZeroU32, String> {
    let rate = value.as_integer().and_then(|rate| u32::try_from(rate).ok()).and_then(NonZeroU32::new);
    rate.filter(|rate| rate.get() <= MAX_RATE)
        .ok_or_else(|| format!("rate: notices a second, from 1 to {MAX_RATE}; leave it out for no limit"))
}

/// A time in RFC 3339, as TOML's own date or as text.
fn expires(value: Value) -> Result<SystemTime, String> {
    let moment = match value {
        Value::Datetime(moment) => Some(moment),
        Value::String(text) => Datetime::from_str(&text).ok(),
        _ => None,
    };
    moment.and_then(instant).ok_or_else(|| {
        "expires: write a time with its zone, such as 2027-01-31T18:00:00+08:00 or 2027-01-31T10:00:00Z"
            .to_owned()
    })
}

fn instant(moment: Datetime) -> Option<SystemTime> {
    let (date, time) = (moment.date?, moment.time?);
    let as_if_utc = humantime::parse_rfc3339(&format!("{date}T{time}Z")).ok()?;
    let ahead = match moment.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes) * 60,
    };
    let by = Duration::from_secs(ahead.unsigned_abs());
    if ahead >= 0 { as_if_utc.checked_sub(by) } else { as_if_utc.checked_add(by) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const KEY: &str = "k3y-of-32-bytes-or-more-for-tests";

    fn entry(more: &str) -> String {
        format!("[[client]]\nname = \"shop\"\nkeys = [\"{KEY}\"]\nmay = [\"scan\"]\n{more}")
    }

    #[test]
    fn every_field_is_read() {
        let other = KEY.replace('3', "e");
        let text = format!(
            "# the shop\n[[client]]\nname = \"shop\"\nkeys = [\"{KEY}\", \"{other}\"]\nmay = [\"scan\", \"query\"]\n\
             rate = 50\nexpires = 2027-01-31T18:00:00+08:00\n[[client]]\nname = \"b.2_c-d\"\n\
             keys = [\"{KEY}!\"]\nmay = [\"grant\"]\nexpires = \"2027-01-31T10:00:00Z\"\n"
        );
        let clients = parse(&text).unwrap();
        assert_eq!(
            clients.iter().map(|client| client.name.as_str()).collect::<Vec<_>>(),
            ["shop", "b.2_c-d"]
        );
        assert_eq!((clients[0].keys.len(), clients[1].keys.len()), (2, 1));
        assert_eq!(clients[0].may, Rights::of(&[Right::Scan, Right::Query]));
        assert_eq!((clients[0].rate, clients[1].rate), (NonZeroU32::new(50), None));
        // date -u -d 2027-01-31T10:00:00Z +%s
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_801_389_600);
        assert_eq!([clients[0].expires, clients[1].expires], [Some(at); 2]);
    }

    #[test]
    fn a_fault_is_told_in_one_line_that_shows_no_key() {
        let twice = entry("") + &entry("");
        let same_key = entry("") + &entry("").replace("shop", "other");
        for (text, say) in [
            (String::new(), "[[client]]"),
            ("client = 1".to_owned(), "[[client]]"),
            ("client = [1]".to_owned(), "[[client]]"),
            (format!("[[clients]]\nname = \"shop\"\nkeys = [\"{KEY}\"]"), "[[client]]"),
            (entry("[other]"), "[[client]]"),
            (format!("[[client]]\nkeys = [\"{KEY}\"\nmay = []"), "line 3: this is no TOML"),
            (format!("[[client]]\nkeys = {KEY}"), "line 2: this is no TOML"),
            (format!("[[client]]\nkeys = [\"{KEY}\"]\nkeys = [\"{KEY}\"]"), "this is no TOML"),
            (format!("[[client]]\nkeys = [\"{KEY}\"]"), "client 1: name"),
            (entry("").replace("shop", "s h o p"), "client 1 (\"s h o p\"): name"),
            (entry("").replace("shop", ""), "client 1 (\"\"): name"),
            (entry("").replace(&format!("[\"{KEY}\"]"), &format!("\"{KEY}\"")), "client 1 (\"shop\"): keys"),
            (entry("").replace(&format!("[\"{KEY}\"]"), "[]"), "keys: write one or two"),
            (entry("").replace(&format!("\"{KEY}\""), "7"), "keys: write one or two"),
            (entry("").replace(KEY, "k3y"), "keys: a key has at least 32 bytes"),
            (entry("").replace(&format!("\"{KEY}\""), &format!("\"{KEY}\", \"{KEY}\"")), "both are the same"),
            (entry("").replace("\"scan\"", ""), "may: write"),
            (entry("").replace("\"scan\"", "\"scan\", \"everything\""), "may: write"),
            (entry("").replace("may = [\"scan\"]", ""), "may: write"),
            (entry("rate = 0"), "rate: notices a second"),
            (entry("rate = \"50\""), "rate: notices a second"),
            (entry("rate = 10001"), "rate: notices a second"),
            (entry("expires = 2027-01-31"), "expires: write a time with its zone"),
            (entry("expires = \"2027-01-31T10:00:00\""), "expires: write a time with its zone"),
            (entry("expires = \"soon\""), "expires: write a time with its zone"),
            (entry("expire = 2027-01-31T10:00:00Z"), "\"expire\" is no field"),
            (twice, "client 2 (\"shop\"): there is another client of this name"),
            (same_key, "client 2 (\"other\"): keys: \"shop\" has one of them"),
        ] {
            let problem = parse(&text).unwrap_err();
            assert!(problem.contains(say), "{text}\n{problem}");
            assert!(!problem.contains("k3y") && !problem.contains('\n'), "{text}\n{problem}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        assert!(read(Path::new("/nowhere/clients.toml")).unwrap_err().starts_with("/nowhere/clients.toml: "));
    }
}
