//! The keys that sign tokens: the present one, the next one, which sites can read before it signs, and the one before,
//! with which tokens are still checked. [`mod@file`] keeps them, [`mod@rotation`] says when they move on.

pub(crate) mod file;
pub(crate) mod rotation;
mod signing;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use server::settings::SettingError;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use self::file::Chain;
pub(super) use self::signing::JWKS_MAX_AGE;
use self::signing::Key;

/// The setting that names the file.
pub(crate) const SETTING: &str = "CALLBACK_SIGNING_KEYS";

/// How often the file is looked at, so that a rotation by another process is noticed well before sites read the new
/// keys' first signature.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The keys as they are used.
#[derive(Debug, Clone)]
pub(super) struct KeySet {
    next: Key,
    current: Key,
    previous: Option<Key>,
    /// When `current` began to sign, in seconds since 1970.
    signs_since: u64,
}

impl KeySet {
    /// # Errors
    /// When a key cannot be read.
    fn of(chain: &Chain) -> Result<Self, String> {
        Ok(Self {
            next: Key::read(&chain.next)?,
            current: Key::read(&chain.current)?,
            previous: chain.previous.as_ref().map(Key::read).transpose()?,
            signs_since: chain.current.signs_from.unwrap_or(chain.current.made_at),
        })
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        [&self.current, &self.next].into_iter().chain(&self.previous)
    }
}

/// Where keys come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A file that this service alone makes and renews, beside its SQLite file.
    Own(PathBuf),
    /// A file that an operator makes and renews, because other hosts have copies of it.
    Shared(PathBuf),
    /// This process's memory.
    Memory,
}

/// The keys, as they were read last. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    source: Source,
    now: Arc<RwLock<Arc<KeySet>>>,
}

impl Keys {
    /// Reads the keys, and makes them where this service may.
    ///
    /// # Errors
    /// When they cannot be read or made.
    pub(super) fn open(source: Source) -> Result<Self, SettingError> {
        let wrong = |problem: String| SettingError::new(SETTING, problem);
        let chain = match &source {
            Source::Memory => Chain::new(now()).map_err(wrong)?,
            Source::Own(path) => file::read_or_make(path).map_err(wrong)?,
            Source::Shared(path) => file::read(path).map_err(wrong)?,
        };
        let keys = KeySet::of(&chain).map_err(wrong)?;
        Ok(Self { source, now: Arc::new(RwLock::new(Arc::new(keys))) })
    }

    /// Reads the file again, where there is one.
    ///
    /// # Errors
    /// When it cannot be used; the keys stay as they were.
    pub(super) fn read_again(&self) -> Result<(), String> {
        let (Source::Own(path) | Source::Shared(path)) = &self.source else { return Ok(()) };
        let keys = file::read(path).and_then(|chain| KeySet::of(&chain))?;
        if keys.current.kid() != self.now.read().current.kid() {
            tracing::info!(
                kid = keys.current.kid().as_str(),
                "tokens are signed with the next key from now on"
            );
        }
        *self.now.write() = Arc::new(keys);
        Ok(())
    }

    fn set(&self) -> Arc<KeySet> {
        Arc::clone(&self.now.read())
    }

    /// Reads the file when it has changed, and moves the keys on when the present one is older than `age`, for as long
    /// as it is polled.
    pub(super) async fn keep(&self, age: Duration) {
        let mut seen = self.stamp();
        loop {
            sleep(LOOK_EVERY).await;
            let keys = self.clone();
            let looked = spawn_blocking(move || {
                keys.rotate_by_age(age);
                let stamp = keys.stamp();
                if stamp == seen {
                    return seen;
                }
                match keys.read_again() {
                    Ok(()) => stamp,
                    // It is tried again, because its owner or rights may be mended.
                    Err(problem) => {
                        server::tell!(
                            error,
                            TOLD,
                            "unread",
                            "{SETTING}: {problem}; tokens are signed with the keys that were read before"
                        );
                        seen
                    }
                }
            });
            seen = looked.await.unwrap_or(seen);
        }
    }

    fn rotate_by_age(&self, age: Duration) {
        let age = age.as_secs();
        let is_old = |keys: &KeySet| now().saturating_sub(keys.signs_since) >= age;
        if !is_old(&self.set()) {
            return;
        }
        match &self.source {
            Source::Own(path) => {
                let rotated = rotation::rotate(path, rotation::When::OlderThan(age));
                if let Err(problem) = rotated {
                    server::tell!(
                        error,
                        TOLD,
                        "renewal",
                        "{SETTING}: the keys are old and cannot be renewed: {problem}"
                    );
                }
            }
            // Whoever has copies of the file renews it, or hosts would sign with keys that others do not show.
            Source::Shared(_) => {
                let days = age / (24 * 3600);
                server::tell!(
                    warn,
                    TOLD,
                    "old keys",
                    "the signing key is older than {days} days: run callback-service rotate-key, and copy the file to \
                     every host"
                );
            }
            Source::Memory => {}
        }
    }

    /// What tells one version of the file from another.
    fn stamp(&self) -> Option<(SystemTime, u64)> {
        let (Source::Own(path) | Source::Shared(path)) = &self.source else { return None };
        stamp(path)
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    use std::os::unix::fs::MetadataExt;
    let file = fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.ino()))
}

static TOLD: std::sync::LazyLock<server::told::Told> = std::sync::LazyLock::new(server::told::Told::default);

fn now() -> u64 {
    server::clock::unix_now()
}

#[cfg(test)]
mod tests;
