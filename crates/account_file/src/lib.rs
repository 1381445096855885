//! The file of official accounts, `WECHAT_ACCOUNTS`: TOML with one `[[account]]` for each, which both services may be given.
//!
//! Each service takes its own keys of an [`Entry`], and a key that neither knows is refused. The file may hold secrets, so an
//! error names the file, the line, the account and the key, and never shows a value. That is why the tables are read by
//! hand: a parser's own errors quote what is wrong.

mod entry;

use std::path::{Path, PathBuf};

use server::settings::SettingError;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use self::entry::Entry;
use self::entry::Place;

/// The setting that names the file.
pub const SETTING: &str = "WECHAT_ACCOUNTS";

/// Accounts in one file. Each keeps connections, QR codes made ahead, and limits of its own.
const MOST_ACCOUNTS: usize = 256;

/// Bytes of the file.
const MAX_FILE: u64 = 1024 * 1024;

/// Characters of a name.
const MAX_NAME: usize = 64;

/// Reads the accounts. `takes_printed` says that the demo's secrets are taken, because WeChat is a simulated one.
///
/// # Errors
/// What is wrong, in one line: the file, the line, the account, the key, and what to write.
pub fn read(path: &Path, takes_printed: bool) -> Result<Vec<Entry>, SettingError> {
    let shown = path.to_string_lossy().escape_debug().to_string();
    let wrong = |problem: String| SettingError::new(SETTING, format!("{shown}: {problem}"));
    let text = server::file::read_text(path, MAX_FILE).map_err(|error| wrong(error.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    parse(&text, &File { shown: shown.clone(), folder, takes_printed }).map_err(wrong)
}

/// The file that entries come from.
#[derive(Debug, Clone)]
struct File {
    /// Its name, as errors show it.
    shown: String,
    /// Where the files of secrets are that have no other folder.
    folder: PathBuf,
    takes_printed: bool,
}

fn parse(text: &str, file: &File) -> Result<Vec<Entry>, String> {
    let line = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count() + 1;
    let document = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line(span.start));
        format!("line {line}: this is no TOML; texts stand in \"quotes\", lists in [brackets]")
    })?;
    let mut entries: Vec<Entry> = Vec::new();
    for (key, value) in document.get_ref() {
        let at = line(key.span().start);
        let only = || format!("line {at}: write one [[account]] for each account, and nothing outside them");
        let accounts =
            Some(value.get_ref()).filter(|_| key.get_ref() == "account").and_then(DeValue::as_array);
        for account in accounts.ok_or_else(only)?.iter() {
            let table = account.get_ref().as_table().ok_or_else(only)?;
            let entry = one(account, table, entries.len() + 1, &line, file)?;
            if let Some(fault) = entries.iter().find_map(|other| alike(&entry, other)) {
                return Err(entry.place.told(entry.line_of(fault.0), fault.0, &fault.1));
            }
            entries.push(entry);
        }
    }
    match entries.len() {
        0 => Err("it has no [[account]]".to_owned()),
        many if many > MOST_ACCOUNTS => {
            Err(format!("it has {many} accounts; at most {MOST_ACCOUNTS} are taken"))
        }
        _ => Ok(entries),
    }
}

fn one(
    written: &Spanned<DeValue<'_>>,
    table: &DeTable<'_>,
    number: usize,
    line: &impl Fn(usize) -> usize,
    file: &File,
) -> Result<Entry, String> {
    let name = table.get("name").and_then(|name| name.get_ref().as_str()).unwrap_or_default();
    let place = Place { file: file.clone(), number, name: name.to_owned(), line: line(written.span().start) };
    let values = table.iter().map(|(key, value)| {
        let at = line(key.span().start);
        entry::value(key.get_ref(), value.get_ref())
            .map_err(|problem| place.told(at, key.get_ref(), &problem))
            .map(|(key, value)| (key, (at, value)))
    });
    let entry = Entry { values: values.collect::<Result<_, _>>()?, place: place.clone() };
    let name_line = entry.line_of("name");
    check_name(name).map_err(|problem| place.told(name_line, "name", problem))?;
    if entry.text("app_id").is_none() {
        return Err(place.told(place.line, "app_id", "is missing; it is in WeChat's console, below 开发"));
    }
    Ok(entry)
}

/// The key in which two accounts are alike that must not be, and what is wrong.
fn alike(entry: &Entry, other: &Entry) -> Option<(&'static str, String)> {
    if entry.name() == other.name() {
        Some(("name", "there is another account of this name".to_owned()))
    } else if entry.app_id() == other.app_id() {
        Some(("app_id", format!("it is that of {:?} as well; one account has one entry", other.name())))
    } else {
        None
    }
}

/// The rule for names: they stand in paths and queries, and behind `/wechat/` beside appids.
fn check_name(name: &str) -> Result<(), &'static str> {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || "._~-".contains(letter);
    let begins = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if !(1..=MAX_NAME).contains(&name.len()) || !begins || !name.chars().all(is_good) {
        return Err("up to 64 of the letters A-Z a-z 0-9 . _ ~ -, of which the first is a letter or digit");
    }
    let digits = name.strip_prefix("wx").unwrap_or_default();
    match digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        true => Err("is an appid; choose another name, and write the appid as app_id"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
