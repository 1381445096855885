//! What a client may do, and the right that each notice needs.

use protocol::Notice;

/// One thing that a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// End a login as granted.
    Scan = 1,
    /// Say that a person has scanned.
    Claim = 2,
    /// End a login as denied.
    Deny = 4,
    /// Ask for a login's state.
    Query = 8,
    /// Send notices on logins that name a site or a request, and send a code.
    Grant = 16,
    /// Ask for logins of no person.
    Probe = 32,
}

impl Right {
    /// Every right there is, by the name that the file of clients gives it.
    pub(crate) const NAMES: [(&str, Self); 6] = [
        ("scan", Self::Scan),
        ("claim", Self::Claim),
        ("deny", Self::Deny),
        ("query", Self::Query),
        ("grant", Self::Grant),
        ("probe", Self::Probe),
    ];

    /// The right with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, right)| *right)
    }

    /// The right that a notice needs.
    #[must_use]
    pub(crate) fn for_notice(notice: &Notice) -> Self {
        match notice {
            Notice::Scan { .. } => Self::Scan,
            // Whoever looks for a login wants to claim it.
            Notice::Claim { .. } | Notice::Find { .. } => Self::Claim,
            Notice::Deny { .. } => Self::Deny,
            Notice::Query { .. } => Self::Query,
            Notice::Probe => Self::Probe,
        }
    }
}

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights(u8);

impl Rights {
    /// Exactly these rights.
    #[must_use]
    pub(crate) fn of(rights: &[Right]) -> Self {
        Self(rights.iter().fold(0, |all, right| all | *right as u8))
    }

    /// Every right there is.
    #[must_use]
    pub(crate) fn all() -> Self {
        Self::of(&Right::NAMES.map(|(_, right)| right))
    }

    /// Whether it includes `right`.
    #[must_use]
    pub(crate) fn has(self, right: Right) -> bool {
        self.0 & right as u8 != 0
    }
}
