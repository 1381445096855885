//! The sites that ask by wechat-server's protocol. Each has a token of its own, of which the file holds the hash. They are
//! read again on SIGHUP.

mod file;
mod new_token;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};
use parking_lot::RwLock;

pub(crate) use self::new_token::new_token;

/// A site that asks by wechat-server's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// Its name, for people and for the log.
    pub name: String,
    /// The SHA-256 of its token, or of two while one takes the other's place.
    tokens: Vec<[u8; 32]>,
    /// Whether it may have the account's access token.
    pub access_token: bool,
    /// Whether a person who has scanned its QR code is asked first.
    pub confirm: bool,
}

/// The sites, and where they are read again.
#[derive(Debug)]
pub(crate) struct Sites {
    path: PathBuf,
    all: RwLock<Arc<Vec<Site>>>,
}

impl Sites {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        Ok(Self::new(path.to_owned(), file::read(path)?))
    }

    fn new(path: PathBuf, sites: Vec<Site>) -> Self {
        Self { path, all: RwLock::new(Arc::new(sites)) }
    }

    /// The sites as they are now.
    pub(super) fn all(&self) -> Arc<Vec<Site>> {
        Arc::clone(&self.all.read())
    }

    /// The site whose token this is. It takes as long for a wrong one.
    pub(super) fn with_token(&self, token: &str) -> Option<Site> {
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        let is = |own: &[u8; 32]| constant_time::verify_slices_are_equal(own, hash.as_ref()).is_ok();
        let sites = self.all();
        // Every token is compared, whichever it is.
        let has = |site: &Site| site.tokens.iter().fold(false, |found, own| found | is(own));
        sites.iter().fold(None, |found, site| if has(site) { Some(site.clone()) } else { found })
    }

    /// What the file says now.
    pub(super) fn read_again(&self) -> Result<Vec<Site>, String> {
        file::read(&self.path)
    }

    /// Takes over what was read again. It counts from the next request on.
    pub(super) fn replace(&self, sites: Vec<Site>) {
        *self.all.write() = Arc::new(sites);
    }
}
