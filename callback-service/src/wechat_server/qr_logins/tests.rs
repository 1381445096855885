#![allow(clippy::unwrap_used)]

use futures_util::future::join_all;

use super::*;
use crate::store::tests::on_each_store;

const MILLISECOND: Duration = Duration::from_millis(1);

/// A login as its rule sees it.
struct Played(Option<Kept<Login>>);

impl Played {
    fn new(confirm: bool, now: Moment) -> Self {
        let (site, code) = ("api".to_owned(), "hash".to_owned());
        Self(Some(Login { site, confirm, code, until: now + LIFE, state: State::Waiting }.into()))
    }

    fn done<T>(&mut self, step: Change<T>) -> T {
        match step {
            Step::Keep(value) => value,
            Step::Write(write, value) => {
                self.0 = Some(write.to);
                value
            }
        }
    }

    fn scan(&mut self, person: &str, now: Moment) -> Heard {
        self.done(Login::scan(self.0.as_ref(), &Person::new(person), now))
    }

    fn answer(&mut self, person: &str, yes: bool, now: Moment) -> Option<Heard> {
        self.done(Login::answer(self.0.as_ref(), &Person::new(person), yes, now))
    }

    fn redeem(&mut self, site: &str, code: &str, now: Moment) -> Option<Person> {
        self.done(Login::redeem(self.0.as_ref(), site, code, now))
    }
}

const START: Moment = Moment(1_000);

#[test]
fn a_scan_is_no_login_before_its_person_says_yes() {
    let mut login = Played::new(true, START);
    let asked = Heard::Asked { site: "api".to_owned() };
    assert_eq!(login.answer("a", true, START), None, "nobody has scanned");
    assert_eq!([login.scan("a", START), login.scan("a", START)], [asked.clone(), asked]);
    assert_eq!(login.scan("b", START), Heard::Taken);
    assert_eq!(login.redeem("api", "hash", START), None);
    assert_eq!(login.answer("b", true, START), None, "somebody else");
    assert_eq!(login.answer("a", true, START), Some(Heard::LoggedIn));
    assert_eq!(login.answer("a", true, START), Some(Heard::LoggedIn), "a repeat");
    assert_eq!(login.answer("a", false, START), Some(Heard::Confirmed));
    assert_eq!(login.scan("a", START), Heard::LoggedIn);
    assert_eq!(login.redeem("other", "hash", START), None, "another site");
    assert_eq!(login.redeem("api", "other", START), None, "another code");
    assert_eq!(login.redeem("api", "hash", START), Some(Person::new("a")));
    assert_eq!(login.redeem("api", "hash", START), None, "used");
}

#[test]
fn a_no_ends_it() {
    let mut login = Played::new(true, START);
    login.scan("a", START);
    assert_eq!(login.answer("a", false, START), Some(Heard::Denied));
    assert_eq!(login.answer("a", false, START), Some(Heard::Denied), "a repeat");
    assert_eq!(login.answer("a", true, START), None, "too late");
    assert_eq!([login.scan("a", START), login.scan("b", START)], [Heard::Denied, Heard::Taken]);
    assert_eq!(login.redeem("api", "hash", START), None);
}

#[test]
fn each_step_has_its_time() {
    let mut login = Played::new(false, START);
    assert_eq!(login.scan("a", START + LIFE), Heard::Expired);
    let last = START + (LIFE - MILLISECOND);
    assert_eq!(login.scan("a", last), Heard::LoggedIn, "nobody is asked");
    assert_eq!(login.redeem("api", "hash", last + FETCHED), None);
    assert_eq!(login.redeem("api", "hash", last + (FETCHED - MILLISECOND)), Some(Person::new("a")));

    let mut login = Played::new(true, START);
    login.scan("a", START);
    assert_eq!(login.answer("a", true, START + ANSWERED), None);
    assert_eq!(login.scan("a", START + ANSWERED), Heard::Expired);
    assert_eq!(Played(None).scan("a", START), Heard::Expired);
}

#[test]
fn the_names_of_a_login_follow_from_its_token_and_not_the_other_way() {
    let names = Names::random();
    let again = Names::of(Token::parse(names.token.reveal()).unwrap());
    assert_eq!((&again.scene, &again.code), (&names.scene, &names.code));
    assert_eq!(Names::scene_of_code(&names.code).as_ref(), Some(&names.scene));
    assert_eq!(Scene::parse(names.scene.as_str()).as_ref(), Some(&names.scene));
    assert!(names.scene.as_str().parse::<protocol::Scene>().is_err(), "a gateway's is another form");
    for text in [names.scene.as_str(), names.code.as_str()] {
        assert!(!text.contains(names.token.reveal()) && !names.token.reveal().contains(text));
    }
    for wrong in ["", "w_", "w_short", &"x".repeat(24), "w_!!!!!!!!!!!!!!!!!!!!!!", &"验".repeat(15)] {
        assert_eq!(Scene::parse(wrong), None, "{wrong}");
        assert_eq!(Names::scene_of_code(wrong), None, "{wrong}");
    }
}

#[tokio::test]
async fn a_login_goes_its_way_whichever_instance_is_asked() {
    on_each_store(async |here, there| {
        let (here, there) = (QrLogins::new(here), QrLogins::new(there));
        let (names, person) = (Names::random(), Person::new("a"));
        let account = Account::new(None, "wx0");
        let by = |site| By { site, account: &account };
        here.put(&names, by("api"), true).await.unwrap();
        let look = async |logins: &QrLogins| logins.look(&names.scene, by("api")).await.unwrap();
        assert_eq!(look(&there).await, Some(Told::Pending));
        assert_eq!(there.look(&names.scene, by("other")).await.unwrap(), None, "another site's");
        assert_eq!(there.answer(&person, true).await.unwrap(), None);
        there.scan(&names.scene, &person, 100).await.unwrap();
        assert_eq!(look(&here).await, Some(Told::Pending));
        assert_eq!(here.answer(&person, true).await.unwrap(), Some(Heard::LoggedIn));
        assert_eq!(look(&there).await, Some(Told::Success { person: "a".to_owned() }));
        let all = (0..20).map(|n| if n % 2 == 0 { &here } else { &there });
        let redeemed = join_all(all.map(|logins| logins.redeem(&names.code, by("api")))).await;
        assert_eq!(redeemed.into_iter().filter(|found| matches!(found, Ok(Some(_)))).count(), 1);

        let names = Names::random();
        here.put(&names, by("api"), false).await.unwrap();
        there.scan(&names.scene, &person, 200).await.unwrap();
        assert!(!here.forget(&person, 199).await.unwrap(), "the unfollow was before it");
        assert!(here.forget(&person, 200).await.unwrap());
        assert_eq!(there.redeem(&names.code, by("api")).await.unwrap(), None);
        assert_eq!(there.look(&names.scene, by("api")).await.unwrap(), Some(Told::Expired));
    })
    .await;
}

#[tokio::test]
async fn a_login_of_one_account_is_none_at_another() {
    on_each_store(async |here, there| {
        let (here, there) = (QrLogins::new(here), QrLogins::new(there));
        let [tea, rice] = [("tea", "wx1"), ("rice", "wx2")].map(|(name, id)| Account::new(Some(name), id));
        let (openid, names) = (Person::new("a"), Names::random());
        let [own, forged] = [&tea, &rice].map(|account| account.person(&openid));
        let by = |account| By { site: "api", account };
        here.put(&names, by(&tea), true).await.unwrap();
        // Another account's owner can push any scene and openid.
        for stranger in [&forged, &openid] {
            assert_eq!(there.scan(&names.scene, stranger, 100).await.unwrap(), Heard::Expired);
        }
        assert!(matches!(there.scan(&names.scene, &own, 100).await.unwrap(), Heard::Asked { .. }));
        assert_eq!(there.answer(&forged, true).await.unwrap(), None);
        assert!(here.forget(&forged, 100).await.unwrap(), "what they have scanned");
        assert_eq!(here.answer(&own, true).await.unwrap(), Some(Heard::LoggedIn));
        assert_eq!(here.look(&names.scene, by(&rice)).await.unwrap(), None);
        assert_eq!(here.redeem(&names.code, by(&rice)).await.unwrap(), None);
        assert_eq!(here.redeem(&names.code, by(&tea)).await.unwrap(), Some(own));
    })
    .await;
}
