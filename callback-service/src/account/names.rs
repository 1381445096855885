//! The official accounts by name: as logins, sites and records tell them apart.

use std::sync::Arc;

use wechat::Person;

/// One official account's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// As the file of accounts names it; `None` is the account of the variables.
    name: Option<Arc<str>>,
    app_id: Arc<str>,
    /// Its name for people, where the file gives one.
    shown: Option<Arc<str>>,
    /// Whether its people may be asked inside WeChat who they are.
    asks_inside: bool,
}

impl Names {
    /// An account of the file, or that of the variables, which has no name.
    #[must_use]
    pub(crate) fn new(name: Option<&str>, app_id: &str) -> Self {
        Self { name: name.map(Arc::from), app_id: Arc::from(app_id), shown: None, asks_inside: true }
    }

    /// The same, with its name for people.
    #[must_use]
    pub(crate) fn shown_as(self, name: Option<&str>) -> Self {
        Self { shown: name.map(Arc::from), ..self }
    }

    /// The same, of an account that `may` ask inside WeChat who its people are: an account without that permission would lead
    /// them to an error of WeChat's.
    #[must_use]
    pub(crate) fn asking_inside(self, may: bool) -> Self {
        Self { asks_inside: may, ..self }
    }

    /// Whether its people may be asked inside WeChat who they are.
    #[must_use]
    pub(crate) fn asks_inside(&self) -> bool {
        self.asks_inside
    }

    /// Its name for people, where the file gives one.
    #[must_use]
    pub(crate) fn shown(&self) -> Option<&str> {
        self.shown.as_deref()
    }

    /// Its name in the file of accounts; `None` is the account of the variables.
    #[must_use]
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its name for metrics: nothing for the account of the variables.
    #[must_use]
    pub(crate) fn label(&self) -> &str {
        self.name().unwrap_or_default()
    }

    /// Its appid.
    #[must_use]
    pub(crate) fn app_id(&self) -> &str {
        &self.app_id
    }

    /// What tells its people from those of other accounts: nothing where it is the one of the variables. It is the appid,
    /// so that an account may be given another name.
    #[must_use]
    pub(crate) fn of_people(&self) -> Option<&Arc<str>> {
        self.name.as_ref().map(|_| &self.app_id)
    }

    /// The person as this account's own.
    #[must_use]
    pub(crate) fn person(&self, person: &Person) -> Person {
        person.of(self.of_people())
    }

    /// Whether the people whom records say to be of `account` are this account's.
    #[must_use]
    pub(crate) fn knows(&self, account: Option<&str>) -> bool {
        self.of_people().map(AsRef::as_ref) == account
    }
}

/// The names of all accounts, of which the first is that of whatever names none.
#[derive(Debug, Clone)]
pub(crate) struct Directory(Arc<[Names]>);

impl Directory {
    /// `first`, and the others.
    #[must_use]
    pub(crate) fn new(first: Names, others: impl IntoIterator<Item = Names>) -> Self {
        Self(std::iter::once(first).chain(others).collect())
    }

    /// The one of an installation with one account.
    #[cfg(test)]
    pub(crate) fn one(app_id: &str) -> Self {
        Self::new(Names::new(None, app_id), [])
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Names] {
        &self.0
    }

    /// The account of this name; the first, where there is no name.
    #[must_use]
    pub(crate) fn get(&self, name: Option<&str>) -> Option<&Names> {
        match name {
            None => self.0.first(),
            Some(_) => self.0.iter().find(|account| account.name() == name),
        }
    }

    /// The appid of the account whose people records say to be of `account`; nothing if that account is gone.
    #[must_use]
    pub(crate) fn app_id_of<'a>(&'a self, account: Option<&'a str>) -> &'a str {
        // A record of a named account has its appid; one of the variables' account has none.
        account.unwrap_or_else(|| {
            self.0.iter().find(|names| names.name().is_none()).map(Names::app_id).unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_account_goes_to_the_first_and_people_are_told_apart() {
        let accounts = Directory::new(
            Names::new(None, "wx0"),
            [Names::new(Some("a"), "wx1"), Names::new(Some("b"), "wx2")],
        );
        let app_id = |name| accounts.get(name).map(Names::app_id);
        assert_eq!([app_id(None), app_id(Some("b")), app_id(Some("c"))], [Some("wx0"), Some("wx2"), None]);
        assert_eq!([accounts.app_id_of(None), accounts.app_id_of(Some("wx1"))], ["wx0", "wx1"]);
        let person = Person::new("o");
        let people: Vec<_> =
            accounts.all().iter().map(|account| account.person(&person).key().into_owned()).collect();
        assert_eq!(people, ["o", "wx1/o", "wx2/o"]);
        let knows = |name, account| accounts.get(name).is_some_and(|names| names.knows(account));
        assert!(knows(None, None) && knows(Some("a"), Some("wx1")));
        assert!(!knows(None, Some("wx0")) && !knows(Some("a"), None) && !knows(Some("a"), Some("wx2")));
    }
}
