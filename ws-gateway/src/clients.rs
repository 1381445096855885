//! The back ends that may send notices, what proves them, and what each may send.

use protocol::Key;

/// One thing that a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// End a login as granted.
    Scan = 1,
    /// Say that a person has scanned.
    Claim = 2,
    /// End a login as denied.
    Deny = 4,
    /// Ask for a login's state.
    Query = 8,
    /// Do all of it on logins that name a site or a request, and bring the code.
    Grant = 16,
}

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// Exactly these rights.
    #[must_use]
    pub fn of(rights: &[Right]) -> Self {
        Self(rights.iter().fold(0, |all, right| all | *right as u8))
    }

    /// Every right there is.
    #[must_use]
    pub fn all() -> Self {
        Self::of(&[Right::Scan, Right::Claim, Right::Deny, Right::Query, Right::Grant])
    }

    /// Whether `right` is among them.
    #[must_use]
    pub fn has(self, right: Right) -> bool {
        self.0 & right as u8 != 0
    }
}

/// A back end that may send notices.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its name, as its auth frame says it.
    pub name: String,
    /// Its key.
    pub key: Key,
    /// What it may send.
    pub may: Rights,
}

/// Finds the client that `name` and `proof` prove, or nothing.
#[must_use]
pub(crate) fn prove<'a>(
    clients: &'a [Client],
    name: &str,
    challenge: &str,
    proof: &str,
) -> Option<&'a Client> {
    clients.iter().find(|client| client.name == name && client.key.verifies(challenge, proof))
}
