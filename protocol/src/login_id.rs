//! One name for a login in every log, trace and record, from its QR code to the redemption of its code.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::scene::Scene;

/// Bytes of a login's id: those of a trace's in W3C Trace Context, so that it is the login's trace, too.
const BYTES: usize = 16;

/// A login's id: the first 16 bytes of the SHA-256 of its scene, as 32 lower-case hexadecimal digits.
///
/// Both services and every other client make it of the scene by themselves, so no message has to carry it and none can
/// lose it. Whoever reads it in a log learns nothing of the scene, and so cannot come to the login.
///
/// As text, and so in records and in what sites are told, it is these digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginId([u8; BYTES]);

/// The text is not a login's id: not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a login's id is exactly 32 lower-case hexadecimal digits")]
pub struct NotALoginId;

impl LoginId {
    /// The id of the login with this scene.
    #[must_use]
    pub fn of(scene: Scene) -> Self {
        let hash = digest(&SHA256, scene.as_str().as_bytes());
        let mut id = [0; BYTES];
        id.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        Self(id)
    }

    /// The id as a trace's.
    #[must_use]
    pub fn bytes(self) -> [u8; BYTES] {
        self.0
    }
}

impl fmt::Display for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 2 * BYTES];
        data_encoding::HEXLOWER.encode_mut(&self.0, &mut digits);
        f.write_str(str::from_utf8(&digits).unwrap_or_default())
    }
}

impl fmt::Debug for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LoginId {
    type Err = NotALoginId;

    fn from_str(text: &str) -> Result<Self, NotALoginId> {
        let id = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| NotALoginId)?;
        id.try_into().map(Self).map_err(|_| NotALoginId)
    }
}

impl Serialize for LoginId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LoginId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// As `printf %s mjQAj6JboIS9SFuiF9SB7g | sha256sum | cut -c 1-32` prints it.
    #[test]
    fn anybody_can_make_it_of_the_scene() {
        let scene: Scene = "mjQAj6JboIS9SFuiF9SB7g".parse().unwrap();
        assert_eq!(LoginId::of(scene).to_string(), "cd2abeeaa545d6de4cd772515432c561");
        assert_ne!(LoginId::of(Scene::random()), LoginId::of(scene));
    }

    #[test]
    fn what_was_written_is_read_and_nothing_near_it() {
        let id = LoginId::of(Scene::random());
        assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!((json.as_str(), serde_json::from_str(&json).ok()), (&*format!("\"{id}\""), Some(id)));
        let text = id.to_string();
        for wrong in [&text[1..], &format!("{text}0"), &"A".repeat(32), &"g".repeat(32), ""] {
            assert_eq!(wrong.parse::<LoginId>(), Err(NotALoginId), "{wrong}");
        }
    }
}
