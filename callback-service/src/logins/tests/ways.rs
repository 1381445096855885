//! What confirms a login, by the way in which its person came to it.

use super::asked::{Asked, another};
use super::*;
use crate::logins::answer::Text;
use crate::logins::confirmation::Question;

const AT: i64 = 1_700_000_100;

impl Asked {
    /// The person comes to a login by a page of ours inside WeChat, and is asked.
    async fn opens(&self, login: &Scan) -> Question {
        match self.scan(login).await {
            PhoneReply::Question(question) => *question,
            other => panic!("{other:?}"),
        }
    }

    /// What the page says when the person has chosen.
    async fn chooses(&self, login: &Scan, id: &str, content: &str) -> Option<PhoneReply> {
        let text = Text {
            person: &login.openid,
            content,
            id: Some(id),
            created_at: AT,
            about: Some(login.scene),
            newer: None,
        };
        Some(self.scans.answered(text, Instant::now()).await?.reply)
    }
}

fn opened() -> Scan {
    Scan { way: Way::Wechat, ..scan() }
}

#[tokio::test]
async fn who_has_typed_the_pages_code_confirms_by_1_or_by_its_number() {
    for by_number in [false, true] {
        let asked = Asked::start().await;
        let login = asked.shows("482913", AT);
        let Some(PhoneReply::Question(question)) = asked.sends("1", "482913", AT).await else { panic!() };
        assert_eq!((question.way, question.takes_yes()), (Way::Typed, true));
        assert_eq!(question.number.as_deref(), Some(asked.number(&login).as_str()), "the page has one");
        assert_eq!(asked.end(&login), None);
        let answer = if by_number { asked.number(&login) } else { "1".to_owned() };
        for id in ["2", "2", "3"] {
            let reply = asked.sends(id, &answer, AT).await;
            assert!(matches!(reply, Some(PhoneReply::LoggedIn { first: false, .. })), "{reply:?}");
        }
        // Either would have done.
        for also in ["1", &asked.number(&login)] {
            let reply = asked.sends("4", also, AT).await;
            assert!(matches!(reply, Some(PhoneReply::LoggedIn { .. })), "{reply:?}");
        }
        assert_eq!(asked.end(&login), Some(State::Granted));
        assert_eq!(asked.sends("5", "0", AT).await, Some(PhoneReply::Confirmed));
    }
}

#[tokio::test]
async fn who_has_typed_a_code_that_somebody_sent_them_says_no() {
    let asked = Asked::start().await;
    let login = asked.shows("482913", AT);
    asked.sends("1", "482913", AT).await;
    assert_eq!(asked.sends("2", asked.wrong(&login), AT).await, Some(PhoneReply::Wrong(2)));
    assert_eq!(asked.sends("3", "0", AT).await, Some(PhoneReply::NotMe));
    assert_eq!(asked.sends("4", "1", AT).await, Some(PhoneReply::NotMe));
    assert_eq!(asked.sends("5", "482913", AT).await, Some(PhoneReply::Denied), "the code once more");
    assert_eq!(asked.end(&login), Some(State::Denied));
}

#[tokio::test]
async fn after_a_scan_1_is_a_wrong_number() {
    let (asked, scan) = (Asked::start().await, scan());
    let question = asked.opens(&scan).await;
    assert_eq!((question.way, question.takes_yes()), (Way::Scan, false));
    assert_eq!(asked.types("1", "1").await, Some(PhoneReply::Wrong(2)));
    assert_eq!(asked.end(&scan), None);
}

#[tokio::test]
async fn inside_wechat_a_person_chooses_the_pages_number_once() {
    let (asked, login) = (Asked::start().await, opened());
    for _ in 0..2 {
        let question = asked.opens(&login).await;
        assert_eq!((question.way, question.takes_yes()), (Way::Wechat, false));
        assert_eq!(question.number, Some(asked.number(&login)), "for the page to show among others");
    }
    assert_eq!(asked.chooses(&login, "1", &asked.number(&login)).await, Some(told(Some(1))));
    assert_eq!(asked.end(&login), Some(State::Granted));

    for wrong in ["1", "number"] {
        let login = Scan { scene: Scene::random(), ..login.clone() };
        asked.opens(&login).await;
        let wrong = if wrong == "1" { wrong } else { asked.wrong(&login) };
        for id in ["2", "2", "3"] {
            assert_eq!(asked.chooses(&login, id, wrong).await, Some(PhoneReply::WrongNumbers));
        }
        let number = asked.number(&login);
        assert_eq!(asked.chooses(&login, "4", &number).await, Some(PhoneReply::WrongNumbers));
        assert_eq!(asked.end(&login), Some(State::Denied));
    }
}

#[tokio::test]
async fn inside_wechat_a_person_presses_a_button_also_where_nobody_wants_a_confirmation() {
    let (asked, login) = (Asked::unconfirmed().await, opened());
    for _ in 0..2 {
        let question = asked.opens(&login).await;
        assert_eq!((question.number.as_deref(), question.takes_yes()), (None, true));
    }
    assert_eq!(asked.logins.lock()[&login.scene].number, None, "the page shows none");
    assert_eq!(asked.end(&login), None);
    for id in ["1", "1", "2"] {
        assert_eq!(asked.chooses(&login, id, "1").await, Some(told(Some(1))));
    }
    assert_eq!(asked.end(&login), Some(State::Granted));

    let login = Scan { scene: Scene::random(), ..login };
    asked.opens(&login).await;
    assert_eq!(asked.chooses(&login, "3", "0").await, Some(PhoneReply::NotMe));
    assert_eq!(asked.chooses(&login, "4", "1").await, Some(PhoneReply::NotMe));
    assert_eq!(asked.end(&login), Some(State::Denied));
}

/// Whoever has opened a link and thinks better of it may type to the account for another reason.
#[tokio::test]
async fn a_1_in_the_chat_presses_no_button_of_a_page() {
    let (asked, login) = (Asked::unconfirmed().await, opened());
    asked.opens(&login).await;
    for (id, text) in [("1", "1"), ("2", "0"), ("3", "47")] {
        assert_eq!(asked.types(id, text).await, None, "{text}");
    }
    assert_eq!(asked.chooses(&login, "4", "1").await, Some(told(Some(1))), "the button is still there");

    // Whoever goes on to scan the code is asked in the chat.
    let (asked, login) = (Asked::start().await, opened());
    asked.opens(&login).await;
    assert_eq!(asked.types("1", &asked.number(&login)).await, None);
    let question = asked.opens(&Scan { way: Way::Scan, ..login.clone() }).await;
    assert_eq!(question.way, Way::Scan);
    assert_eq!(asked.types("2", asked.wrong(&login)).await, Some(PhoneReply::Wrong(2)));
    assert_eq!(asked.types("3", &asked.number(&login)).await, Some(told(Some(1))));
}

#[tokio::test]
async fn who_scans_and_opens_the_page_at_the_same_moment_is_asked_where_they_can_answer() {
    for page_first in [true, false] {
        let (asked, login) = (Asked::start().await, opened());
        let scan = Scan { way: Way::Scan, ..login.clone() };
        let [first, second] = if page_first { [&login, &scan] } else { [&scan, &login] };
        let (first, second) = tokio::join!(asked.scan(first), asked.scan(second));
        let told = if page_first { second } else { first };
        let PhoneReply::Question(question) = told else { panic!("{told:?}") };
        assert_eq!((question.way, question.takes_yes()), (Way::Scan, false), "{page_first}");
        assert_eq!(asked.types("1", &asked.number(&login)).await, Some(super::told(Some(1))));

        let asked = Asked::unconfirmed().await;
        let (_, told) = tokio::join!(asked.scan(&login), asked.scan(&scan));
        assert_eq!(told, super::told(Some(1)), "a scan is enough");
    }
}

/// A page that was left open in WeChat while its person scanned another code.
#[tokio::test]
async fn an_answer_that_names_its_login_is_none_to_another() {
    let (asked, login) = (Asked::unconfirmed().await, opened());
    asked.opens(&login).await;
    let newer = another(&login);
    asked.opens(&newer).await;
    settled(&asked.scans).await;
    let asked = Asked { scans: scans(asked.client.clone(), Arc::clone(&asked.store)), ..asked };
    assert_eq!(asked.chooses(&login, "1", "1").await, Some(PhoneReply::Denied), "it was replaced");
    assert_eq!(asked.chooses(&opened(), "2", "1").await, None, "nobody was asked about it");
    assert_eq!((asked.end(&login), asked.end(&newer)), (Some(State::Denied), None));
    assert_eq!(asked.chooses(&newer, "3", "1").await, Some(told(Some(1))));
    assert_eq!(asked.chooses(&login, "4", "1").await, Some(PhoneReply::Denied), "it stays so");
}
