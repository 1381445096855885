//! The codes that people ask for in the chat and type on a site's page.
//!
//! A code has few digits, so a hash would not hide it: it stands in the store as it is, for minutes. Two records belong to
//! it. Under the code's own name stands whose it is, so that no two people have the same one at a time. Under the person's
//! name stands which code is good, and that record alone decides: so a code is used once, an older code of a person is
//! none any more, and who is forgotten has none. Both records are one official account's: another account's people may have
//! the same code, and another account's sites do not find it.

use std::time::Duration;

use records::{Kept, Moment, Records, Step, Write};
use serde::{Deserialize, Serialize};
use wechat::Person;

use super::of_account;
use crate::account::names::Names;
use crate::store::{Store, StoreError, repeated};

/// How long a code is good, as with wechat-server, whose users are told so by the pages of sites.
pub(super) const LIFE: Duration = Duration::from_secs(180);

/// Digits of a code, unless an operator wants more.
pub(super) const DIGITS: u8 = 6;
pub(super) const MOST_DIGITS: u8 = 9;

/// New codes that are tried before a person is told to try again. Each is taken only while another person's lives: with
/// 1,000 of them, a thousandth.
const TRIES: u32 = 8;

/// The kinds of the two records.
const OF_PERSON: &str = "login-code-of";
const BY_CODE: &str = "login-code";

/// A request for a code: one push, and its repeats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'r> {
    pub person: &'r Person,
    /// The push's `MsgId`.
    pub id: &'r str,
    /// The push's CreateTime.
    pub created_at: i64,
}

/// The code that a person has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Issued {
    code: String,
    /// The push that asked for it.
    id: String,
    created_at: i64,
    until: Moment,
    #[serde(default)]
    is_used: bool,
}

impl Issued {
    /// The code that a request gets: a repeat of a push the same again, whether it was used or not. `candidate` is a new
    /// one, and `taken` one that turned out to be another person's.
    fn asked(
        found: Option<&Kept<Self>>,
        request: Request<'_>,
        candidate: &str,
        taken: Option<&str>,
        now: Moment,
    ) -> Step<Kept<Self>, String> {
        match found {
            Some(issued)
                if issued.id == request.id && now < issued.until && taken != Some(issued.code.as_str()) =>
            {
                Step::Keep(issued.code.clone())
            }
            _ => {
                let until = now + LIFE;
                let (code, id) = (candidate.to_owned(), request.id.to_owned());
                let issued = Self { code, id, created_at: request.created_at, until, is_used: false };
                Step::Write(Write::new(issued.into(), until), candidate.to_owned())
            }
        }
    }

    /// Whether the code is good, for this once.
    fn redeem(found: Option<&Kept<Self>>, code: &str, now: Moment) -> Step<Kept<Self>, bool> {
        match found {
            Some(issued) if issued.code == code && now < issued.until && !issued.is_used => {
                let (mut used, until) = (issued.clone(), issued.until);
                used.is_used = true;
                // An instance that takes Redis's place must know it.
                Step::Write(Write { durably: true, ..Write::new(used, until) }, true)
            }
            _ => Step::Keep(false),
        }
    }

    /// Makes a code worthless that was asked for up to an unfollow at `at` (CreateTime).
    fn forget(found: Option<&Kept<Self>>, at: i64) -> Step<Kept<Self>, bool> {
        match found {
            Some(issued) if issued.created_at <= at => {
                let (mut gone, until) = (issued.clone(), issued.until);
                // No code and no push is called so.
                gone.code.clear();
                gone.id.clear();
                Step::Write(Write::new(gone, until), true)
            }
            _ => Step::Keep(false),
        }
    }
}

/// Whose a code is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Holder {
    /// The openid. The account is that of the record.
    person: String,
    until: Moment,
}

impl Holder {
    /// Takes a code for a person, unless it is another person's.
    fn take(found: Option<&Kept<Self>>, person: &Person, now: Moment) -> Step<Kept<Self>, bool> {
        match found {
            Some(holder) if holder.person != person.as_str() && now < holder.until => Step::Keep(false),
            _ => {
                let until = now + LIFE;
                let holder = Self { person: person.as_str().to_owned(), until };
                Step::Write(Write::new(holder.into(), until), true)
            }
        }
    }
}

/// The codes.
#[derive(Debug, Clone)]
pub(crate) struct Codes {
    of_people: Records<Kept<Issued>>,
    by_code: Records<Kept<Holder>>,
    digits: u8,
}

impl Codes {
    pub(crate) fn new(store: &Store, digits: u8) -> Self {
        Self { of_people: store.records(OF_PERSON), by_code: store.records(BY_CODE), digits }
    }

    /// Whether a text has the form of a code.
    pub(super) fn has_form(&self, text: &str) -> bool {
        text.len() == usize::from(self.digits) && text.bytes().all(|letter| letter.is_ascii_digit())
    }

    /// The code for a request; nothing where none is free, which is as good as never.
    pub(super) async fn ask(&self, request: Request<'_>) -> Result<Option<String>, StoreError> {
        let (of_person, mut taken) = (request.person.key(), None);
        for _ in 0..TRIES {
            let candidate = random(self.digits);
            let code = self.of_people.update(&of_person, |found, now| {
                Issued::asked(found, request, &candidate, taken.as_deref(), now)
            });
            let code = code.await?;
            let name = of_account(request.person.account(), &code);
            let is_free = self.by_code.update(&name, |found, now| Holder::take(found, request.person, now));
            if is_free.await? {
                return Ok(Some(code));
            }
            taken = Some(code);
        }
        Ok(None)
    }

    /// Whose a code of an account is, for this once; nothing for one that is unknown, used or too old.
    pub(super) async fn redeem(&self, account: &Names, code: &str) -> Result<Option<Person>, StoreError> {
        let name = of_account(account.of_people().map(AsRef::as_ref), code);
        let Some(holder) = self.by_code.read(&name).await?.record else { return Ok(None) };
        let person = account.person(&Person::new(holder.person.clone()));
        let of_person = person.key();
        let redeemed =
            self.of_people.update(&of_person, |found, now| Issued::redeem(found, code, now)).await?;
        Ok(redeemed.then(|| person.clone()))
    }

    /// Forgets the code of a person who has unfollowed at `at` (CreateTime); says whether there was one.
    pub(crate) async fn forget(&self, person: &Person, at: i64) -> Result<bool, StoreError> {
        repeated(async || {
            Ok(self.of_people.update(&person.key(), |found, _| Issued::forget(found, at)).await?)
        })
        .await
    }
}

/// A code that nobody can foretell.
fn random(digits: u8) -> String {
    let all = 10_u32.pow(digits.into());
    // So that each is as likely as another.
    let fair = u32::MAX - u32::MAX % all;
    loop {
        let mut bytes = [0; 4];
        aws_lc_rs::rand::fill(&mut bytes).expect("random numbers");
        let number = u32::from_be_bytes(bytes);
        if number < fair {
            return format!("{:0width$}", number % all, width = digits.into());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use futures_util::future::join_all;

    use super::*;
    use crate::store::tests::on_each_store;

    fn account() -> Names {
        Names::new(None, "wx0")
    }

    fn request<'r>(person: &'r Person, id: &'r str) -> Request<'r> {
        Request { person, id, created_at: 100 }
    }

    fn written(step: Step<Kept<Issued>, String>) -> Kept<Issued> {
        match step {
            Step::Write(write, _) => write.to,
            Step::Keep(_) => panic!("nothing was written"),
        }
    }

    fn said<T>(step: Step<Kept<Issued>, T>) -> T {
        match step {
            Step::Keep(said) | Step::Write(_, said) => said,
        }
    }

    #[test]
    fn a_code_is_good_once_and_for_three_minutes() {
        let (person, now) = (Person::new("a"), Moment(1_000));
        let issued = written(Issued::asked(None, request(&person, "1"), "123456", None, now));
        let last = now + (LIFE - Duration::from_millis(1));
        let redeem = |issued: &Kept<Issued>, code, now| Issued::redeem(Some(issued), code, now);
        assert!(said(redeem(&issued, "123456", last)));
        assert!(!said(redeem(&issued, "123456", now + LIFE)), "too old");
        assert!(!said(redeem(&issued, "123457", now)), "another");
        assert!(!said(Issued::redeem(None, "123456", now)), "nobody's");
        let Step::Write(used, true) = redeem(&issued, "123456", now) else { panic!("it was good") };
        assert!(used.durably);
        assert!(!said(redeem(&used.to, "123456", now)), "used");
    }

    #[test]
    fn a_repeated_push_gets_the_same_code_and_another_one_a_new_code() {
        let (person, now) = (Person::new("a"), Moment(1_000));
        let issued = written(Issued::asked(None, request(&person, "1"), "123456", None, now));
        let again =
            |id, taken, now| said(Issued::asked(Some(&issued), request(&person, id), "999999", taken, now));
        assert_eq!(again("1", None, now), "123456");
        assert_eq!(again("2", None, now), "999999");
        assert_eq!(again("1", Some("123456"), now), "999999", "it was another person's");
        assert_eq!(again("1", None, now + LIFE), "999999", "nobody hears of an old one");
    }

    #[test]
    fn codes_are_random_and_keep_their_zeros() {
        for digits in [DIGITS, MOST_DIGITS] {
            let codes: HashSet<_> = (0..2_000).map(|_| random(digits)).collect();
            assert!(codes.len() > 1_900, "{}", codes.len());
            assert!(codes.iter().all(|code| code.len() == usize::from(digits)));
            assert!(codes.iter().any(|code| code.starts_with('0')));
        }
    }

    #[tokio::test]
    async fn a_code_is_its_persons_at_every_instance_until_it_is_used_replaced_or_forgotten() {
        on_each_store(async |here, there| {
            let (here, there) = (Codes::new(here, DIGITS), Codes::new(there, DIGITS));
            let (one, other) = (Person::new("a"), Person::new("b"));
            let code = here.ask(request(&one, "1")).await.unwrap().unwrap();
            assert_eq!(there.ask(request(&one, "1")).await.unwrap(), Some(code.clone()), "a repeat");
            let others = there.ask(request(&other, "1")).await.unwrap().unwrap();
            assert_ne!(others, code);
            assert_eq!(there.redeem(&account(), &code).await.unwrap(), Some(one.clone()));
            assert_eq!(here.redeem(&account(), &code).await.unwrap(), None, "used");
            assert_eq!(here.ask(request(&one, "1")).await.unwrap(), Some(code), "a late repeat");

            let before = here.ask(request(&one, "2")).await.unwrap().unwrap();
            let after = there.ask(request(&one, "3")).await.unwrap().unwrap();
            assert_eq!(there.redeem(&account(), &before).await.unwrap(), None, "replaced");
            assert!(!here.forget(&one, 99).await.unwrap(), "the unfollow was before it");
            assert!(here.forget(&one, 100).await.unwrap());
            assert_eq!(there.redeem(&account(), &after).await.unwrap(), None, "forgotten");
            assert_eq!(there.redeem(&account(), &others).await.unwrap(), Some(other), "not touched");
        })
        .await;
    }

    #[tokio::test]
    async fn a_code_of_one_account_is_nobodys_at_another() {
        on_each_store(async |here, there| {
            let (here, there) = (Codes::new(here, DIGITS), Codes::new(there, DIGITS));
            let [tea, rice] = [("tea", "wx1"), ("rice", "wx2")].map(|(name, id)| Names::new(Some(name), id));
            let openid = Person::new("a");
            let [own, forged] = [&tea, &rice].map(|account| account.person(&openid));
            let code = here.ask(request(&own, "1")).await.unwrap().unwrap();
            for other in [&rice, &account()] {
                assert_eq!(there.redeem(other, &code).await.unwrap(), None);
            }
            // Another account's owner can push the same openid, and the same message.
            let others = there.ask(request(&forged, "1")).await.unwrap().unwrap();
            assert!(here.forget(&forged, 100).await.unwrap());
            assert_eq!(here.redeem(&rice, &others).await.unwrap(), None);
            assert_eq!(there.redeem(&tea, &code).await.unwrap(), Some(own));
        })
        .await;
    }

    #[tokio::test]
    async fn of_many_who_redeem_a_code_at_once_one_gets_the_person() {
        on_each_store(async |here, there| {
            let (here, there) = (Codes::new(here, DIGITS), Codes::new(there, DIGITS));
            let code = here.ask(request(&Person::new("a"), "1")).await.unwrap().unwrap();
            let (account, all) = (account(), (0..20).map(|n| if n % 2 == 0 { &here } else { &there }));
            let right = join_all(all.map(|codes| codes.redeem(&account, &code)))
                .await
                .into_iter()
                .filter(|found| matches!(found, Ok(Some(_))));
            assert_eq!(right.count(), 1);
        })
        .await;
    }

    #[tokio::test]
    async fn no_two_people_have_the_same_code_at_a_time() {
        let store = Store::in_sqlite(std::path::Path::new(":memory:")).unwrap();
        // With one digit every other try is another person's.
        let codes = Codes::new(&store, 1);
        let mut given = HashSet::new();
        for person in 0..5 {
            let person = Person::new(format!("p{person}"));
            if let Some(code) = codes.ask(request(&person, "1")).await.unwrap() {
                assert!(given.insert(code.clone()), "{code} was given twice");
                assert_eq!(codes.redeem(&account(), &code).await.unwrap(), Some(person));
            }
        }
        assert!(!given.is_empty());
    }
}
