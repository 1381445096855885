//! The name of a person who scans, follows or writes.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Characters of an openid that [`Person::short`] shows.
const SHORT: usize = 6;

/// A person as one official account knows them: the openid. It is public within the account's own systems, and never
/// changes.
///
/// Whoever has an account's keys can say any openid in its pushes. So where a service has several accounts, the openid is
/// never enough to find what is kept of a person: [`Person::key`] is.
///
/// It is a type of its own, so that no other text is taken for a person. It has no `Display`, and its `Debug` is
/// shortened: so an openid comes into a log only where somebody has written [`Person::as_str`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Person {
    openid: String,
    /// The appid of the account, where the account has a name of its own.
    account: Option<Arc<str>>,
}

impl Person {
    /// The person of an openid, at the one account that has no name.
    pub fn new(openid: impl Into<String>) -> Self {
        Self { openid: openid.into(), account: None }
    }

    /// The person of the same openid at the account `app_id`; `None` is the one that has no name.
    #[must_use]
    pub fn of(&self, app_id: Option<&Arc<str>>) -> Self {
        Self { openid: self.openid.clone(), account: app_id.cloned() }
    }

    /// The openid.
    pub fn as_str(&self) -> &str {
        &self.openid
    }

    /// The end of the openid, for a log line that need not say who it was. All openids of an account begin alike.
    #[must_use]
    pub fn short(&self) -> String {
        // Text from outside: an openid has no control characters, and whatever is said to be one may.
        let mut shown: Vec<char> =
            self.openid.chars().rev().filter(|c| !c.is_control()).take(SHORT).collect();
        shown.push('…');
        shown.into_iter().rev().collect()
    }

    /// The appid of the account that knows the person so, where the account has a name of its own.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// What records are kept under: the openid, behind the account's appid where the account has a name. No two people have
    /// the same, whatever an account's owner makes up for an openid.
    pub fn key(&self) -> Cow<'_, str> {
        match &self.account {
            // No appid is empty, so this is nobody's of an account with a name. WeChat's openids have no slash.
            None if self.openid.contains('/') => Cow::Owned(format!("/{}", self.openid)),
            None => Cow::Borrowed(&self.openid),
            Some(app_id) => Cow::Owned(format!("{app_id}/{}", self.openid)),
        }
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person").field("openid", &self.short()).field("account", &self.account).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_openid_at_two_accounts_is_two_people() {
        let (here, other) = (Person::new("oAbC"), Person::new("oAbC").of(Some(&"wx2".into())));
        assert_ne!(here, other);
        assert_eq!((here.key().as_ref(), other.key().as_ref()), ("oAbC", "wx2/oAbC"));
        assert_eq!((other.as_str(), other.account()), ("oAbC", Some("wx2")));
        assert_eq!(other.of(None), here);
    }

    #[test]
    fn nobody_prints_an_openid_by_accident() {
        let person = Person::new("o6_bmjrPTlm6_2sgVt7hMZOPfL2M");
        assert_eq!(person.short(), "…OPfL2M");
        assert_eq!(format!("{person:?}"), r#"Person { openid: "…OPfL2M", account: None }"#);
        assert_eq!(Person::new("o\n\u{1b}中文").short(), "…o中文");
    }

    #[test]
    fn no_openid_that_is_made_up_has_the_key_of_another_accounts_person() {
        let keys =
            ["wx2/oAbC", "/wx2/oAbC", "/", "oAbC"].map(|openid| Person::new(openid).key().into_owned());
        assert_eq!(keys, ["/wx2/oAbC", "//wx2/oAbC", "//", "oAbC"]);
    }
}
