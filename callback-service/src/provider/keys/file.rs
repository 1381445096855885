//! The file of signing keys: JSON, for its owner alone. It is replaced as a whole, so nobody reads half of it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::signing;

/// The version of the file's form.
const VERSION: u32 = 1;

/// Bytes of the file.
const MAX_FILE: u64 = 64 * 1024;

/// The keys as they are kept. It has no `Debug`, because they must not print.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Chain {
    version: u32,
    pub(super) next: Stored,
    pub(super) current: Stored,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<Stored>,
}

/// A key as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    /// When it was made and first shown, in seconds since 1970.
    pub made_at: u64,
    /// When it began to sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signs_from: Option<u64>,
    /// The private key: PKCS#8 in base64.
    pub pkcs8: String,
}

impl Stored {
    pub(super) fn new(now: u64) -> Result<Self, String> {
        Ok(Self { made_at: now, signs_from: None, pkcs8: signing::generate()? })
    }
}

impl Chain {
    /// New keys.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(crate) fn new(now: u64) -> Result<Self, String> {
        let current = Stored { signs_from: Some(now), ..Stored::new(now)? };
        Ok(Self { version: VERSION, next: Stored::new(now)?, current, previous: None })
    }

    /// When the present key began to sign, in seconds since 1970.
    pub(crate) fn signs_since(&self) -> u64 {
        self.current.signs_from.unwrap_or(self.current.made_at)
    }

    /// The next key becomes the present one, and there is a new next one.
    pub(super) fn move_on(self, now: u64) -> Result<Self, String> {
        let Self { next, current, .. } = self;
        let current = (Stored { signs_from: Some(now), ..next }, current);
        Ok(Self { version: VERSION, next: Stored::new(now)?, current: current.0, previous: Some(current.1) })
    }
}

/// Reads the file.
///
/// # Errors
/// What is wrong, with its name. What is in it is never shown.
pub(crate) fn read(path: &Path) -> Result<Chain, String> {
    let shown = path.to_string_lossy();
    let told = |problem: &str| format!("{}: {problem}", shown.escape_debug());
    let text = server::file::read_text(path, MAX_FILE).map_err(|error| match error.kind() {
        ErrorKind::NotFound => told("there is no such file; callback-service rotate-key makes one"),
        _ => told(&error.to_string()),
    })?;
    // The parser's error may show what it has read.
    let chain: Chain = serde_json::from_str(&text).map_err(|_| told("is no file of signing keys"))?;
    match chain.version {
        VERSION => Ok(chain),
        _ => Err(told("was written by a newer version")),
    }
}

/// Checks that the file can be used.
///
/// # Errors
/// Why not.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    read(path).and_then(|chain| super::KeySet::of(&chain)).map(drop)
}

/// Reads the file, or makes it with new keys.
///
/// # Errors
/// When it cannot be read or made.
pub(crate) fn read_or_make(path: &Path) -> Result<Chain, String> {
    // A folder that cannot be written to is no trouble for a file that is there.
    if path.exists() {
        return read(path);
    }
    let _turn = lock(path)?;
    if path.exists() {
        return read(path);
    }
    let chain = Chain::new(super::now())?;
    write(path, &chain)?;
    tracing::info!(file = %path.display(), "signing keys were made; keep the file with your backups");
    Ok(chain)
}

/// Replaces the file.
pub(super) fn write(path: &Path, chain: &Chain) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.to_string_lossy().escape_debug());
    let text = serde_json::to_string_pretty(chain).map_err(|error| error.to_string())?;
    // What a link points to is replaced, not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let part = beside(path, ".part");
    let _ = fs::remove_file(&part);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(told)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(told)?;
    give_to_owner(&part, path);
    if let Ok(before) = fs::metadata(path) {
        // An operator may have given it to a group.
        let _ = file.set_permissions(before.permissions());
    }
    fs::rename(&part, path).map_err(told)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(told)
}

/// Waits for other processes that make or renew the file. The turn ends when it is dropped.
pub(super) fn lock(path: &Path) -> Result<File, String> {
    let lock = beside(path, ".lock");
    let told = |error: std::io::Error| format!("{}: {error}", lock.to_string_lossy().escape_debug());
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock).map_err(told)?;
    give_to_owner(&lock, path);
    file.lock().map_err(told)?;
    Ok(file)
}

/// Gives a new file to whoever owns the one that it is for, or else the folder: the superuser may run a command beside
/// a service that is somebody else.
fn give_to_owner(new: &Path, of: &Path) {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(owner) = fs::metadata(of).or_else(|_| fs::metadata(folder)) {
        // Nobody but the superuser may, and nobody else needs it.
        let _ = chown(new, Some(owner.uid()), Some(owner.gid()));
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
