//! The official accounts of a gateway, of which each page has one.

use std::sync::Arc;

use super::Account;

/// All of them; at least one. The first is that of pages that name none.
pub(crate) struct Accounts(Vec<Arc<Account>>);

impl Accounts {
    /// These accounts, in the order of the settings.
    #[must_use]
    pub(crate) fn new(accounts: impl IntoIterator<Item = Account>) -> Self {
        Self(accounts.into_iter().map(Arc::new).collect())
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.0.iter()
    }

    /// The account that a new page names, or the first where it names none. `None`: there is no such account.
    #[must_use]
    pub(crate) fn named(&self, id: Option<&str>) -> Option<&Arc<Account>> {
        match id {
            None => self.0.first(),
            Some(_) => self.of(id),
        }
    }

    /// The account of a login, by what its record says. `None`: it is not here any more.
    #[must_use]
    pub(crate) fn of(&self, id: Option<&str>) -> Option<&Arc<Account>> {
        self.0.iter().find(|account| account.id.as_deref() == id)
    }

    /// The first, for a test that changes it.
    #[cfg(test)]
    pub(crate) fn first_mut(&mut self) -> &mut Account {
        Arc::get_mut(&mut self.0[0]).expect("nobody else has it")
    }
}
