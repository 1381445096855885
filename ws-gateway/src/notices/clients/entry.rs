//! `ws-gateway client-key NAME`: an entry for the file of clients, with a new key.

use aws_lc_rs::error::Unspecified;
use clap::Args;
use data_encoding::HEXLOWER;

use super::file;
use crate::logins::rights::Right;

/// Random bytes in a key: as many as SHA-256, which makes the proof, has.
const KEY_BYTES: usize = 32;

/// What the entry is for.
#[derive(Debug, Args)]
pub(crate) struct Entry {
    /// The client's name: letters, digits, '.', '_' and '-'.
    #[arg(value_parser = file::name_of)]
    name: String,

    /// What it may send: any of scan, claim, deny, query, grant and probe.
    #[arg(long, value_delimiter = ',', default_value = "scan,claim,deny,query", value_parser = right)]
    may: Vec<String>,
}

fn right(name: &str) -> Result<String, String> {
    match Right::named(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err("write any of scan, claim, deny, query, grant and probe".to_owned()),
    }
}

/// There is no key without randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system has no randomness to give")]
pub(crate) struct NoRandomness;

impl Entry {
    /// The text of the entry, with a new key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn text(&self) -> Result<String, NoRandomness> {
        let mut key = [0_u8; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut key).map_err(|Unspecified| NoRandomness)?;
        let key = HEXLOWER.encode(&key);
        let (name, may) = (&self.name, &self.may);
        let may = may.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        Ok(format!(
            "# For the file that GATEWAY_NOTIFY_CLIENTS names; then send the gateway SIGHUP. A client that is there\n\
             # already keeps its entry: give it this key as its second, and take the first away once it is not used.\n\
             [[client]]\nname = {name:?}\nkeys = [\"{key}\"]\nmay = [{may}]\n"
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::ffi::OsString;

    use clap::Parser;
    use server::settings::{self, NoSettings};

    use super::*;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        entry: Entry,
    }

    fn made(arguments: &str) -> Result<String, NoSettings> {
        let Arguments { entry } = settings::parse(arguments.split(' ').map(OsString::from))?;
        Ok(entry.text().unwrap())
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
