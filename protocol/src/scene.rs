//! A login's public name: the only thing that a QR code carries.

use std::fmt;
use std::str::{self, FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Characters in a scene: 128 random bits in base64url without padding.
pub const SCENE_LENGTH: usize = 22;

/// A login's public name: 22 characters of `[A-Za-z0-9_-]`, made of 128 random bits and never reused.
///
/// It is public: anybody who sees the QR code can read it. It is sent to WeChat as `scene_str`. WeChat does not
/// document that field's character set, so a scene uses only letters, digits, `_` and `-`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scene([u8; SCENE_LENGTH]);

/// The text is not a scene: not 22 characters of `[A-Za-z0-9_-]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scene is exactly {SCENE_LENGTH} characters of A-Z, a-z, 0-9, _ and -")]
pub struct NotAScene;

impl Scene {
    /// Makes a new scene from the operating system's random source.
    ///
    /// # Panics
    /// When the operating system has no randomness to give; a login must never be guessable.
    #[must_use]
    pub fn random() -> Self {
        Self(random_name())
    }

    /// The scene as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// 128 random bits as 22 characters of `[A-Za-z0-9_-]`.
pub(crate) fn random_name() -> [u8; SCENE_LENGTH] {
    use base64::Engine;
    let mut bits = [0_u8; 16];
    let mut text = [0_u8; SCENE_LENGTH];
    aws_lc_rs::rand::fill(&mut bits).expect("the operating system gives random bytes");
    let written = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode_slice(bits, &mut text);
    assert_eq!(written, Ok(SCENE_LENGTH));
    text
}

impl FromStr for Scene {
    type Err = NotAScene;

    fn from_str(text: &str) -> Result<Self, NotAScene> {
        let bytes: [u8; SCENE_LENGTH] = text.as_bytes().try_into().map_err(|_| NotAScene)?;
        if has_form(&bytes) { Ok(Self(bytes)) } else { Err(NotAScene) }
    }
}

/// Whether these are characters of `[A-Za-z0-9_-]`.
pub(crate) fn has_form(bytes: &[u8; SCENE_LENGTH]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Scene {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Scene {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn random_scenes_have_the_form_and_differ() {
        let scenes: HashSet<Scene> = (0..1000).map(|_| Scene::random()).collect();
        assert_eq!(scenes.len(), 1000);
        for scene in scenes {
            assert_eq!(scene.as_str().parse(), Ok(scene));
        }
    }

    #[test]
    fn only_the_exact_form_is_a_scene() {
        for text in [
            "",
            "123",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAA=",
            "扫码扫码扫码扫A",
        ] {
            assert_eq!(text.parse::<Scene>(), Err(NotAScene), "{text}");
        }
        assert!("AAAAAAAAAAAAAAAAAAA_-9".parse::<Scene>().is_ok());
    }

    proptest! {
        #[test]
        fn a_scene_is_taken_as_it_is_and_nothing_near_it(
            mut near in "[A-Za-z0-9_-]{21,23}",
            other in any::<char>(),
            place in any::<proptest::sample::Index>(),
        ) {
            let taken = near.parse::<Scene>().map(|scene| scene.to_string());
            prop_assert_eq!(taken, if near.len() == SCENE_LENGTH { Ok(near.clone()) } else { Err(NotAScene) });

            let place = place.index(near.len());
            near.replace_range(place..=place, &other.to_string());
            let is_plain = other.is_ascii_alphanumeric() || other == '_' || other == '-';
            prop_assert_eq!(near.parse::<Scene>().is_ok(), is_plain && near.len() == SCENE_LENGTH);
        }
    }
}
