//! One name for a login in every log, trace and record, from its QR code to the redemption of its code.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use crate::scene::Scene;

/// Bytes of a login's id: those of a trace's in W3C Trace Context, so that it is the login's trace, too.
const BYTES: usize = 16;

/// A login's id: the first 16 bytes of the SHA-256 of its scene, as 32 lower-case hexadecimal digits.
///
/// Both services and every other client make it of the scene by themselves, so no message has to carry it and none can
/// lose it. Whoever reads it in a log learns nothing of the scene, and so cannot come to the login.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoginId([u8; BYTES]);

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
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
}
