//! The key with which a page comes back: the scene, and a secret that only its browser was given.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::Scene;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `<scene>.<secret>`. Its holder gets the login's outcome. It never enters a QR code, a URL or a log; stores
/// hold only the secret's hash.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ResumeKey {
    scene: Scene,
    /// 128 random bits in the same form as a scene, but never sent to WeChat.
    secret: Scene,
}

impl ResumeKey {
    /// A new key for `scene`.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    #[must_use]
    pub(crate) fn new(scene: Scene) -> Self {
        Self { scene, secret: Scene::random() }
    }

    /// Reads `<scene>.<secret>`; `None` for any other form.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scene, secret) = text.split_once('.')?;
        Some(Self { scene: scene.parse().ok()?, secret: secret.parse().ok()? })
    }

    /// The login that the key is for.
    #[must_use]
    pub(crate) fn scene(&self) -> Scene {
        self.scene
    }

    /// The text for the browser.
    #[must_use]
    pub(crate) fn reveal(&self) -> String {
        format!("{}.{}", self.scene, self.secret)
    }

    /// The hash that the login's record keeps.
    #[must_use]
    pub(crate) fn hash(&self) -> SecretHash {
        let hash = digest::digest(&digest::SHA256, self.secret.as_str().as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.as_ref());
        SecretHash(bytes)
    }
}

impl fmt::Debug for ResumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.***", self.scene)
    }
}

/// SHA-256 of a resume key's secret. The secret is random, so it needs no salt and no slow hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SecretHash([u8; 32]);

impl Serialize for SecretHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for SecretHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(D::Error::custom)?;
        bytes.try_into().map(Self).map_err(|_| D::Error::custom("a SHA-256 hash has 32 bytes"))
    }
}

impl SecretHash {
    /// Whether `key` has the secret, compared in constant time.
    #[must_use]
    pub(crate) fn matches(&self, key: &ResumeKey) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &key.hash().0).is_ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_key_is_read_again_and_opens_its_own_login_only() {
        let key = ResumeKey::new(Scene::random());
        assert_eq!(ResumeKey::parse(&key.reveal()).unwrap(), key);
        assert!(key.hash().matches(&key));
        assert!(!key.hash().matches(&ResumeKey::new(key.scene())), "the scene alone gives nothing");
    }

    #[test]
    fn other_forms_are_no_keys_and_a_key_does_not_print() {
        let scene = Scene::random();
        for text in
            [String::new(), scene.to_string(), format!("{scene}."), format!("{scene}.{scene}.{scene}")]
        {
            assert_eq!(ResumeKey::parse(&text), None, "{text}");
        }
        let key = ResumeKey::new(scene);
        assert!(!format!("{key:?}").contains(key.secret.as_str()));
    }
}
