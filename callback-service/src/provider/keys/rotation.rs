//! Moving the keys on: the next one signs, and there is a new next one. Sites keep the public keys for a while, so a key
//! that was made a moment ago must not sign yet.

use std::path::Path;

use super::file::{self, Chain};
use super::{JWKS_MAX_AGE, now};

/// How long a key must have been shown before it signs: four times as long as sites keep the keys.
const SHOWN_FOR: u64 = 4 * JWKS_MAX_AGE.as_secs();

/// When keys are moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// If the present key is older than so many seconds, and the next one was shown long enough.
    OlderThan(u64),
    /// If the next key was shown long enough.
    Shown,
    /// At once, and none of the keys is left: the file has leaked.
    AtOnce,
}

/// Moves the keys of a file on, or makes the file; says what was done.
///
/// # Errors
/// Why nothing was done.
pub(crate) fn rotate(path: &Path, when: When) -> Result<&'static str, String> {
    let _turn = file::lock(path)?;
    let now = now();
    if !path.exists() {
        file::write(path, &Chain::new(now)?)?;
        return Ok("the file was made, with new keys");
    }
    if when == When::AtOnce {
        file::write(path, &Chain::new(now)?)?;
        return Ok("all keys were replaced; sites read the new ones when they see the first token");
    }
    let chain = file::read(path)?;
    let shown = now.saturating_sub(chain.next.made_at);
    match when {
        When::OlderThan(age) if now.saturating_sub(chain.current.signs_from.unwrap_or(0)) < age => {
            return Ok("the present key is young enough");
        }
        When::Shown | When::OlderThan(_) if shown < SHOWN_FOR => {
            return Err(format!(
                "the next key was made {} minutes ago, and sites may not have read it yet; wait until it is {} minutes \
                 old, or write --at-once if the file has leaked",
                shown / 60,
                SHOWN_FOR / 60
            ));
        }
        _ => {}
    }
    file::write(path, &chain.move_on(now)?)?;
    Ok("the next key signs from now on, and a new next key is shown")
}
