//! `ws-gateway client-key NAME`: an entry for the file of clients, with a new key.

use std::ffi::OsString;

use clap::Parser;
use server::settings::{self, NoSettings};

use super::{Right, file};

/// Random bytes in a key: as many as the hash of its proof has.
const KEY_BYTES: usize = 32;

/// Prints an entry for the file that GATEWAY_NOTIFY_CLIENTS names, with a new random key.
#[derive(Debug, Parser)]
#[command(name = "ws-gateway client-key", version)]
struct Entry {
    /// The client's name: letters, digits, '.', '_' and '-'.
    #[arg(value_parser = file::name_of)]
    name: String,

    /// What it may send: any of scan, claim, deny, query and grant.
    #[arg(long, value_delimiter = ',', default_value = "scan,claim,deny,query", value_parser = right)]
    may: Vec<String>,
}

fn right(name: &str) -> Result<String, String> {
    match Right::named(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err("write any of scan, claim, deny, query and grant".to_owned()),
    }
}

/// Makes the text of an entry from these arguments. The first argument, the program's name, is ignored.
///
/// # Errors
/// When help or the version was asked for, an argument is wrong, or the system has no randomness.
pub(crate) fn make(arguments: impl IntoIterator<Item = OsString>) -> Result<String, NoSettings> {
    let Entry { name, may } = settings::parse(arguments)?;
    let mut key = [0_u8; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key)
        .map_err(|_| NoSettings { text: "the system has no randomness to give".to_owned(), code: 1 })?;
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let may = may.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    Ok(format!(
        "# For the file that GATEWAY_NOTIFY_CLIENTS names; then send the gateway SIGHUP. A client that is there\n\
         # already keeps its entry: give it this key as its second, and take the first away once it is not used.\n\
         [[client]]\nname = {name:?}\nkeys = [\"{key}\"]\nmay = [{may}]\n"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn made(arguments: &str) -> Result<String, NoSettings> {
        make(arguments.split(' ').map(OsString::from))
    }

    #[test]
    fn an_entry_is_what_the_file_takes_and_its_key_is_new() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let entries = [made("x shop").unwrap(), made("x till-2 --may scan,grant").unwrap()];
        std::fs::write(&path, entries.concat()).unwrap();
        // The file refuses a key that is in it twice.
        let clients = file::read(path.path()).unwrap();
        assert_eq!(clients[1].name, "till-2");
        assert!(clients[1].may.has(Right::Grant) && !clients[1].may.has(Right::Claim));
        assert!(!clients[0].may.has(Right::Grant));
    }

    #[test]
    fn a_wrong_name_or_right_is_told() {
        for (arguments, say) in [("x", "NAME"), ("x a/b", "name"), ("x shop --may all", "scan, claim")] {
            let error = made(arguments).unwrap_err();
            assert!(error.code == 64 && error.text.contains(say), "{}", error.text);
        }
    }
}
