//! The file of sites that ask by wechat-server's protocol, `CALLBACK_WECHAT_SERVER`: TOML with one `[[site]]` for each.
//! What is wrong is told in one line that names the site and the key, and never shows a token or its hash.

use std::path::Path;

use data_encoding::HEXLOWER;
use serde::Deserialize;
use toml::Value;

use super::Site;

/// Sites in one file.
const MOST_SITES: usize = 1000;

/// Bytes of the file.
const MAX_FILE: u64 = 1024 * 1024;

/// Characters of a name.
const MAX_NAME: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    site: Vec<Entry>,
}

/// A site as it is written. What may hold a token is read by hand: the parser's own errors show values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    token_sha256: Option<Value>,
    account: Option<String>,
    #[serde(default)]
    access_token: bool,
    confirm: Option<bool>,
}

/// Reads the file, whose sites have to pass a `check`.
///
/// # Errors
/// What is wrong, in one line.
pub(super) fn read(
    path: &Path,
    check: impl FnOnce(&[Site]) -> Result<(), String>,
) -> Result<Vec<Site>, String> {
    let told = |problem: String| format!("{}: {problem}", path.to_string_lossy().escape_debug());
    let text = server::file::read_text(path, MAX_FILE).map_err(|error| told(error.to_string()))?;
    parse(&text).and_then(|sites| check(&sites).map(|()| sites)).map_err(told)
}

/// Reads the sites.
///
/// # Errors
/// What is wrong, in one line.
pub(super) fn parse(text: &str) -> Result<Vec<Site>, String> {
    let File { site: entries } = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text[..start].matches('\n').count() + 1;
        // The key says more than the kind of its value.
        let written = text.lines().nth(line - 1).unwrap_or_default();
        let key = written.split_once('=').map(|(key, _)| format!(" ({})", key.trim())).unwrap_or_default();
        format!("line {line}{key}: {}", error.message().lines().next().unwrap_or_default())
    })?;
    if entries.is_empty() {
        return Err("it has no [[site]]; callback-service new-token NAME prints one".to_owned());
    }
    if entries.len() > MOST_SITES {
        return Err(format!("it has {} sites; at most {MOST_SITES} are taken", entries.len()));
    }
    let mut sites: Vec<Site> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let named = format!("site {} ({:?})", index + 1, entry.name);
        let site = site(entry).map_err(|problem| format!("{named}: {problem}"))?;
        if sites.iter().any(|other| other.name == site.name) {
            return Err(format!("{named}: name: there is another site of this name"));
        }
        // A token says which site asks.
        if sites.iter().any(|other| other.tokens.iter().any(|token| site.tokens.contains(token))) {
            return Err(format!("{named}: token_sha256: another site has the same token"));
        }
        sites.push(site);
    }
    Ok(sites)
}

fn site(entry: Entry) -> Result<Site, String> {
    let Entry { name, token_sha256, account, access_token, confirm } = entry;
    if !(1..=MAX_NAME).contains(&name.trim().chars().count()) || name.chars().any(char::is_control) {
        return Err(format!("name: what people call the site, up to {MAX_NAME} characters"));
    }
    let tokens = tokens(token_sha256)?;
    // A scan is not consent: whoever gets somebody to scan a forwarded code would be logged in as that person.
    Ok(Site { name, tokens, account, access_token, confirm: confirm.unwrap_or(true) })
}

fn tokens(value: Option<Value>) -> Result<Vec<[u8; 32]>, String> {
    let form = || {
        "token_sha256: write 64 lower-case hex digits, or a list of two while one token takes the other's place; \
         callback-service new-token NAME prints them"
            .to_owned()
    };
    let values = match value {
        Some(Value::Array(values)) if (1..=2).contains(&values.len()) => values,
        Some(one @ Value::String(_)) => vec![one],
        _ => return Err(form()),
    };
    let hash = |value: &Value| HEXLOWER.decode(value.as_str()?.as_bytes()).ok()?.try_into().ok();
    let hashes: Option<Vec<[u8; 32]>> = values.iter().map(hash).collect();
    match hashes.ok_or_else(form)? {
        hashes if hashes.len() == 2 && hashes[0] == hashes[1] => {
            Err("token_sha256: both are the same".to_owned())
        }
        hashes => Ok(hashes),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const HASH: &str = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    const OTHER: &str = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa";

    fn entry(more: &str) -> String {
        format!("[[site]]\nname = \"new-api\"\ntoken_sha256 = \"{HASH}\"\n{more}\n")
    }

    #[test]
    fn every_key_is_read_and_a_scan_is_confirmed_unless_it_says_no() {
        let plain = &parse(&entry("")).unwrap()[0];
        assert_eq!((plain.name.as_str(), plain.tokens.len()), ("new-api", 1));
        assert!(plain.confirm && !plain.access_token && plain.account.is_none());
        let text = entry("confirm = false\naccess_token = true\naccount = \"tea\"")
            .replace(&format!("\"{HASH}\""), &format!("[\"{HASH}\", \"{OTHER}\"]"));
        let site = &parse(&text).unwrap()[0];
        assert!(!site.confirm && site.access_token && site.tokens.len() == 2);
        assert_eq!(site.account.as_deref(), Some("tea"));
    }

    #[test]
    fn a_fault_is_told_in_one_line_that_names_it_and_shows_no_token() {
        let with_token = |value: &str| entry("").replace(&format!("\"{HASH}\""), value);
        for (text, say) in [
            (String::new(), "no [[site]]"),
            ("[[sites]]\nname = \"x\"".to_owned(), "line 1: unknown field `sites`"),
            (entry("token = \"s3cret\""), "line 4 (token): unknown field `token`"),
            (entry("").replace("name = \"new-api\"\n", ""), "missing field `name`"),
            (entry("").replace("new-api", " "), "name: what people call the site"),
            (with_token("\"s3cret\""), "site 1 (\"new-api\"): token_sha256: write 64"),
            (with_token("53237"), "token_sha256: write"),
            (with_token("[]"), "token_sha256: write"),
            (with_token(&format!("\"{}\"", HASH.to_uppercase())), "token_sha256: write"),
            (with_token(&format!("[\"{HASH}\", \"{HASH}\"]")), "both are the same"),
            (entry("").replace(&format!("token_sha256 = \"{HASH}\"\n"), ""), "token_sha256: write"),
            (entry("confirm = \"no\""), "line 4 (confirm): "),
            (entry("access_token = 1"), "line 4 (access_token): "),
            (entry("") + &entry(""), "site 2 (\"new-api\"): name: there is another"),
            (entry("") + &entry("").replace("new-api", "one-api"), "another site has the same token"),
        ] {
            let problem = parse(&text).unwrap_err();
            assert!(problem.contains(say), "{text}\n{problem}");
            let shown = ["s3cret", "53237", HASH].iter().any(|secret| problem.contains(secret));
            assert!(!problem.contains('\n') && !shown, "{problem}");
        }
        let nowhere = read(Path::new("/nowhere/x.toml"), |_| Ok(()));
        assert!(nowhere.unwrap_err().starts_with("/nowhere/x.toml: "));
    }
}
