//! The name of a person who scans, follows or writes.

use std::fmt;
use std::ops::Deref;

/// A person as one official account knows them: the openid. It is public within the account's own systems, and never
/// changes.
///
/// It is a type of its own, so that no other text is taken for a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Person(String);

impl Person {
    /// The person of an openid.
    pub fn new(openid: impl Into<String>) -> Self {
        Self(openid.into())
    }

    /// The openid.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Person {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
