//! The kinds of pushes that another back end may get.

/// What a push that is not ours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What people write: texts that are no login's, pictures, voices, places.
    Messages,
    /// Follows by no QR code of ours, and unfollows. An unfollow is ours as well, and nobody hears its answer, so it is sent
    /// afterwards.
    Follows,
    /// Every other event: menus, scans of other QR codes, results of what was sent.
    Events,
    /// Follows by a scan of a login's QR code. They are ours and answered by us; a copy is sent afterwards.
    Copies,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 4] = [Self::Messages, Self::Follows, Self::Events, Self::Copies];

    /// Its name, as the setting and the metrics have it.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Follows => "follows",
            Self::Events => "events",
            Self::Copies => "copies",
        }
    }

    /// The kind of a name.
    #[must_use]
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
