//! A secret that is being changed: the one in force, and the one before it.
//!
//! The settings here and at WeChat cannot be changed in the same instant, so both are accepted meanwhile.

/// Which of the two secrets was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// The one in force.
    #[default]
    Current,
    /// The one before it.
    Previous,
}

/// A secret and the one before it.
#[derive(Debug)]
pub(super) struct Rotating<T> {
    pub(super) current: T,
    pub(super) previous: Option<T>,
}

impl<T> Rotating<T> {
    /// Both, the one in force first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Which, &T)> {
        let previous = self.previous.iter().map(|secret| (Which::Previous, secret));
        std::iter::once((Which::Current, &self.current)).chain(previous)
    }

    /// The one that was used; the one in force if there is no other.
    pub(super) fn get(&self, which: Which) -> &T {
        match which {
            Which::Current => &self.current,
            Which::Previous => self.previous.as_ref().unwrap_or(&self.current),
        }
    }
}
