//! The key with which a page comes back: the scene, and a secret that only its browser was given.

use std::fmt;

use protocol::{Scene, Token};

/// What a login's record keeps of its key's secret.
pub(crate) use protocol::TokenHash as SecretHash;

/// `<scene>.<secret>`. Its holder gets the login's outcome. It never enters a QR code, a URL or a log; stores
/// hold only the secret's hash.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ResumeKey {
    scene: Scene,
    secret: Token,
}

impl ResumeKey {
    /// A new key for `scene`.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    #[must_use]
    pub(crate) fn new(scene: Scene) -> Self {
        Self { scene, secret: Token::random() }
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
        format!("{}.{}", self.scene, self.secret.reveal())
    }

    /// The hash that the login's record keeps.
    #[must_use]
    pub(crate) fn hash(&self) -> SecretHash {
        self.secret.hash()
    }

    /// Whether `hash` is that of this key's secret.
    #[must_use]
    pub(crate) fn fits(&self, hash: &SecretHash) -> bool {
        hash.matches(&self.secret)
    }
}

impl fmt::Debug for ResumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.***", self.scene)
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
        assert!(key.fits(&key.hash()));
        assert!(!ResumeKey::new(key.scene()).fits(&key.hash()), "the scene alone gives nothing");
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
        assert!(!format!("{key:?}").contains(key.secret.reveal()));
    }
}
