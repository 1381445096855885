//! The sites that ask by wechat-server's protocol. Each has a token of its own, of which the file holds the hash, and an
//! official account. They are read again on SIGHUP.

mod file;
mod new_token;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};
use parking_lot::RwLock;
use wechat::push::Mode;

pub(crate) use self::new_token::new_token;
use crate::account::Officials;
use crate::account::names::{Directory, Names};

/// A site that asks by wechat-server's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// Its name, for people and for the log.
    pub name: String,
    /// The SHA-256 of its token, or of two while one takes the other's place.
    tokens: Vec<[u8; 32]>,
    /// The official account whose people it knows, by its name; the first, where it names none.
    pub account: Option<String>,
    /// Whether it may have the account's access token.
    pub access_token: bool,
    /// Whether a person who has scanned its QR code is asked first.
    pub confirm: bool,
}

/// The sites, and where they are read again.
#[derive(Debug)]
pub(crate) struct Sites {
    path: PathBuf,
    accounts: Accounts,
    all: RwLock<Arc<Vec<Site>>>,
}

/// The official accounts that sites may name.
#[derive(Debug)]
struct Accounts {
    all: Directory,
    /// Those whose pushes come in plaintext mode.
    plaintext: Vec<Names>,
}

impl Accounts {
    /// Checks that each site has an account, and one whose pushes say who has sent them.
    ///
    /// # Errors
    /// Which site has none.
    fn check(&self, sites: &[Site]) -> Result<(), String> {
        let wrong = sites.iter().find_map(|site| match self.all.get(site.account.as_deref()) {
            None => Some((site, "is not in WECHAT_ACCOUNTS")),
            Some(names) if self.plaintext.contains(names) => Some((
                site,
                "is in plaintext mode, in which WeChat's signature does not cover who has asked for a code; change it to \
                 safe or compatible",
            )),
            Some(_) => None,
        });
        let Some((site, problem)) = wrong else { return Ok(()) };
        let account =
            site.account.as_ref().map_or("the first account".to_owned(), |name| format!("{name:?}"));
        Err(format!("site {:?}: account: {account} {problem}", site.name))
    }
}

impl Sites {
    /// Reads the file. Sites may name these official accounts.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub(super) fn read(path: &Path, officials: &Officials) -> Result<Self, String> {
        let plaintext = officials.iter().filter(|official| official.account.push.mode() == Mode::Plaintext);
        let plaintext = plaintext.map(|official| official.names.clone()).collect();
        let accounts = Accounts { all: officials.directory(), plaintext };
        let sites = file::read(path, |sites| accounts.check(sites))?;
        Ok(Self { path: path.to_owned(), accounts, all: RwLock::new(Arc::new(sites)) })
    }

    /// The sites as they are now.
    pub(super) fn all(&self) -> Arc<Vec<Site>> {
        Arc::clone(&self.all.read())
    }

    /// The official account of a site. There is one for each that was read.
    pub(super) fn account(&self, site: &Site) -> Option<&Names> {
        self.accounts.all.get(site.account.as_deref())
    }

    /// The site whose token this is. It takes as long for a wrong one.
    pub(super) fn with_token(&self, token: &str) -> Option<Site> {
        with_token(&self.all(), token).cloned()
    }

    /// What the file says now.
    pub(super) fn read_again(&self) -> Result<Vec<Site>, String> {
        file::read(&self.path, |sites| self.accounts.check(sites))
    }

    /// Takes over what was read again. It counts from the next request on.
    pub(super) fn replace(&self, sites: Vec<Site>) {
        *self.all.write() = Arc::new(sites);
    }
}

fn with_token<'s>(sites: &'s [Site], token: &str) -> Option<&'s Site> {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    let is = |own: &[u8; 32]| constant_time::verify_slices_are_equal(own, hash.as_ref()).is_ok();
    // Every token is compared, whichever it is.
    let has = |site: &Site| site.tokens.iter().fold(false, |found, own| found | is(own));
    sites.iter().fold(None, |found, site| if has(site) { Some(site) } else { found })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_site_has_an_account_that_is_there_and_signs_who_has_written() {
        let [tea, rice] = [("tea", "wx1"), ("rice", "wx2")].map(|(name, id)| Names::new(Some(name), id));
        let check = |first: &Names, plaintext: &Names, account: Option<&str>| {
            let all = Directory::new(first.clone(), [rice.clone()]);
            let site = Site {
                name: "api".to_owned(),
                tokens: Vec::new(),
                account: account.map(str::to_owned),
                access_token: false,
                confirm: true,
            };
            Accounts { all, plaintext: vec![plaintext.clone()] }.check(&[site])
        };
        check(&tea, &rice, None).unwrap();
        check(&tea, &rice, Some("tea")).unwrap();
        for (plaintext, account, says) in [
            (&rice, Some("coffee"), "site \"api\": account: \"coffee\" is not in WECHAT_ACCOUNTS"),
            (&rice, Some("rice"), "site \"api\": account: \"rice\" is in plaintext mode"),
            (&tea, None, "site \"api\": account: the first account is in plaintext mode"),
        ] {
            let said = check(&tea, plaintext, account).unwrap_err();
            assert!(said.starts_with(says), "{said}");
        }
    }
}
