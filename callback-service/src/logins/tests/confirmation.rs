//! A person is asked for the number that the page shows, and answers, against a gateway that keeps its records as the
//! real one does.

use std::collections::HashMap;

use super::asked::{Asked, Played, another, asking, given, is_question, play};
use super::*;
use crate::logins::answer::Text;

#[tokio::test]
async fn nothing_is_granted_before_the_right_number_and_then_it_is_once() {
    let (asked, scan) = (Asked::start().await, scan());
    for _ in 0..2 {
        assert!(is_question(&asked.scan(&scan).await, false), "also a repeated push");
    }
    assert_eq!(asked.heard.kinds(), ["claim", "claim", "claim"], "the repeat finds its number");
    let number = asked.number(&scan);
    assert!((10..=99).contains(&number.parse::<u8>().unwrap()), "{number}");
    assert_eq!(asked.end(&scan), None);
    assert_eq!(asked.types("1", &number).await, Some(told(Some(1))));
    assert_eq!(asked.end(&scan), Some(State::Granted));
    // WeChat's repeat, the same number typed again, another scan: all hear the same.
    for id in ["1", "2"] {
        assert_eq!(asked.types(id, &number).await, Some(told(Some(1))), "{id}");
    }
    assert_eq!(asked.types("3", asked.wrong(&scan)).await, None, "that is about something else");
    assert_eq!(asked.scan(&scan).await, told(Some(1)));
    assert_eq!(asked.types("4", "0").await, Some(PhoneReply::Confirmed), "it cannot be taken back");
    let scans = asked.heard.kinds().iter().filter(|&&kind| kind == "scan").count();
    assert_eq!(scans, 1, "the end was asked for once");
}

#[tokio::test]
async fn who_denies_or_mistypes_grants_nothing_and_what_is_typed_afterwards_changes_nothing() {
    let (asked, scan) = (Asked::start().await, scan());
    asked.scan(&scan).await;
    let (number, wrong) = (asked.number(&scan), asked.wrong(&scan));
    assert_eq!(asked.types("1", wrong).await, Some(PhoneReply::Wrong(2)));
    assert_eq!(asked.types("1", wrong).await, Some(PhoneReply::Wrong(2)), "a repeated push");
    assert_eq!(asked.types("2", wrong).await, Some(PhoneReply::Wrong(1)));
    assert_eq!(asked.types("3", wrong).await, Some(PhoneReply::WrongNumbers));
    assert_eq!(asked.types("4", &number).await, Some(PhoneReply::WrongNumbers));
    assert_eq!(asked.scan(&scan).await, PhoneReply::Denied, "scanned again");
    assert_eq!(asked.end(&scan), Some(State::Denied));

    let second = another(&scan);
    assert!(is_question(&asked.scan(&second).await, false), "the one before was decided");
    assert_eq!(asked.types("5", "０").await, Some(PhoneReply::NotMe));
    for (id, text) in [("5", "０"), ("6", "0"), ("7", &asked.number(&second))] {
        assert_eq!(asked.types(id, text).await, Some(PhoneReply::NotMe), "{id}");
    }
    assert_eq!(asked.end(&second), Some(State::Denied));
    assert!(!asked.heard.kinds().contains(&"scan"));
}

#[tokio::test]
async fn a_text_is_an_answer_only_where_something_is_asked() {
    let (asked, scan) = (Asked::start().await, scan());
    for text in ["47", "0", "你好"] {
        assert_eq!(asked.types("1", text).await, None, "nothing is asked: {text}");
    }
    asked.scan(&scan).await;
    for text in ["你好", "47 please", "13800138000", ""] {
        assert_eq!(asked.types("2", text).await, None, "no answer: {text}");
    }
    let other = Person::new("oOther");
    let text = Text {
        person: &other,
        content: &asked.number(&scan),
        id: Some("3"),
        created_at: i64::MAX,
        about: None,
        newer: None,
    };
    assert!(asked.scans.answered(text, Instant::now()).await.is_none(), "another person");
    assert_eq!(asked.end(&scan), None);
}

#[tokio::test]
async fn whoever_is_too_late_hears_so() {
    let (asked, scan) = (Asked::start().await, scan());
    asked.scan(&scan).await;
    asked.ended(&scan, State::Expired);
    let wrong = asked.wrong(&scan);
    assert_eq!(asked.types("1", wrong).await, Some(PhoneReply::Late));
    assert_eq!(asked.types("1", wrong).await, Some(PhoneReply::Late), "a repeated push");
    assert_eq!(asked.types("2", &asked.number(&scan)).await, Some(PhoneReply::Late));

    let second = another(&scan);
    asked.scan(&second).await;
    asked.ended(&second, State::Expired);
    let number = asked.number(&second);
    for id in ["3", "3", "4"] {
        assert_eq!(asked.types(id, &number).await, Some(PhoneReply::Expired));
    }
    assert!(!asked.heard.kinds().contains(&"scan"), "a claim's answer says that it is over");
}

#[tokio::test]
async fn what_follows_a_number_is_said_in_the_language_of_the_question() {
    for is_late in [false, true] {
        let (asked, scan) = (Asked::start().await, scan());
        asked.logins.lock().insert(scan.scene, Played { number: Some("47".to_owned()), ..Played::default() });
        // WeChat said it at the scan, and does not say it again.
        let Scan { scene, first, created_at, ref openid, way } = scan;
        let login =
            Login { scene, first, created_at, language: Language::English, parties: None, way, from: None };
        asked.scans.ask_person(openid, &login, Some("47"), &Context::default()).await.unwrap();
        if is_late {
            asked.ended(&scan, State::Expired);
        }
        let told = asked.told("1", "47").await.unwrap();
        assert_eq!(told.language, Language::English, "{told:?}");
        assert_eq!(told.reply == PhoneReply::Expired, is_late, "{told:?}");
    }
}

#[tokio::test]
async fn a_login_that_may_have_been_granted_without_a_number_is_not_told_to_be_tried_again() {
    let (asked, scan) = (Asked::start().await, scan());
    // By a process that asked for none, and was killed before it had counted the login.
    asked.store.attempt(&scan).await.unwrap();
    asked.logins.lock().insert(scan.scene, Played { end: Some(State::Granted), ..Played::default() });
    assert_eq!(asked.scan(&scan).await, PhoneReply::Look);
}

/// Whoever left a question alone and types to the account much later is not kept from it.
#[tokio::test]
async fn a_question_that_was_left_alone_takes_no_texts_of_later() {
    let (asked, scan) = (Asked::start().await, scan());
    asked.scan(&scan).await;
    let number = asked.number(&scan);
    let person = Person::new("oPerson");
    // As the gateway forgets a login, and the store's clock goes on.
    asked.logins.lock().get_mut(&scan.scene).unwrap().is_forgotten = true;
    asked.scans.confirmations.age(&person, Duration::from_secs(300)).await;
    for (id, text) in [("1", "1"), ("2", "0"), ("3", number.as_str())] {
        assert_eq!(asked.types(id, text).await, None, "{text}");
    }
    // While the gateway knows it, it is too late and told so.
    let second = another(&scan);
    asked.scan(&second).await;
    asked.ended(&second, State::Expired);
    asked.scans.confirmations.age(&person, Duration::from_secs(300)).await;
    assert_eq!(asked.types("4", asked.wrong(&second)).await, Some(PhoneReply::Late));
}

#[tokio::test]
async fn a_slow_store_delays_what_follows_a_number_and_does_not_lose_it() {
    let (asked, scan) = (Asked::start().await, scan());
    asked.scan(&scan).await;
    let late = Fault::Late(SHORT.store * 6);
    let slow = asked.store.with(Faults { confirm: late, ..Faults::default() });
    let slow = Asked { scans: asking(asked.client.clone(), slow), ..asked.restarted() };
    assert_eq!(slow.types("1", &asked.number(&scan)).await, Some(told(Some(1))));
    assert_eq!(asked.end(&scan), Some(State::Granted));
}

#[tokio::test]
async fn a_page_whose_login_was_replaced_hears_it_from_a_repeat_of_the_scan() {
    let (asked, first) = (Asked::start().await, scan());
    asked.scan(&first).await;
    let second = another(&first);
    // The process is killed when the store has the new scan, and before the gateway hears of the old one.
    let Scan { scene, first: is_first, created_at, ref openid, way } = second;
    let login = Login {
        scene,
        first: is_first,
        created_at,
        language: Language::Chinese,
        parties: None,
        way,
        from: None,
    };
    let asking =
        asked.scans.confirmations.ask(openid, &login, Some("47"), &Context::default()).await.unwrap();
    assert!(matches!(asking, Asking::Ask { is_new: true, replaced: Some(_), .. }));
    let asked = asked.restarted();
    assert!(is_question(&asked.scan(&second).await, true));
    settled(&asked.scans).await;
    assert_eq!((asked.end(&first), asked.end(&second)), (Some(State::Denied), None));
}

#[tokio::test]
async fn a_new_scan_takes_the_place_of_the_one_before_and_denies_it() {
    let (asked, first) = (Asked::start().await, scan());
    asked.scan(&first).await;
    let second = another(&first);
    assert!(is_question(&asked.scan(&second).await, true));
    assert!(is_question(&asked.scan(&second).await, true), "a repeated push hears the same");
    settled(&asked.scans).await;
    let asked = asked.restarted();
    assert_eq!((asked.end(&first), asked.end(&second)), (Some(State::Denied), None));
    assert_eq!(asked.scan(&first).await, PhoneReply::Denied, "a repeat of the older scan");
    assert_eq!(asked.types("1", &asked.number(&second)).await, Some(told(Some(1))));
    assert_eq!(asked.end(&second), Some(State::Granted));
}

#[tokio::test]
async fn a_process_that_is_killed_at_any_step_is_followed_by_one_that_goes_on() {
    let (asked, scan) = (Asked::start().await, scan());
    asked.scan(&scan).await;
    let asked = asked.restarted();
    assert!(is_question(&asked.scan(&scan).await, false));
    let asked = asked.restarted();
    let number = asked.number(&scan);
    // It is killed after the store has the answer, and before the gateway is told.
    let person = Person::new("oPerson");
    let decided = asked.scans.confirmations.answer(&person, given("1", &Typed::Number(number.clone()))).await;
    assert!(matches!(decided.unwrap(), Answered::Decided { verdict: Verdict::Right, by: By::ThisPush, .. }));
    let asked = asked.restarted();
    assert_eq!(asked.end(&scan), None);
    assert_eq!(asked.types("1", &number).await, Some(told(Some(1))), "WeChat's repeat");
    let asked = asked.restarted();
    assert_eq!(asked.types("1", &number).await, Some(told(Some(1))));
    assert_eq!(asked.end(&scan), Some(State::Granted));

    // Without a repeat the person scans the same code once more.
    let second = another(&scan);
    asked.scan(&second).await;
    let number = Typed::Number(asked.number(&second));
    asked.scans.confirmations.answer(&person, given("2", &number)).await.unwrap();
    assert_eq!(asked.restarted().scan(&second).await, told(Some(2)));
}

#[tokio::test]
async fn a_number_and_a_no_at_once_come_to_one_decision() {
    for round in 0..20 {
        let (asked, scan) = (Asked::start().await, scan());
        asked.scan(&scan).await;
        let elsewhere = asked.restarted();
        let number = asked.number(&scan);
        let (yes, no) = tokio::join!(asked.types("1", &number), elsewhere.types("2", "0"));
        settled(&asked.scans).await;
        settled(&elsewhere.scans).await;
        match asked.end(&scan) {
            Some(State::Granted) => {
                assert_eq!(yes, Some(told(Some(1))), "round {round}");
                assert_eq!(no, Some(PhoneReply::Confirmed), "round {round}");
            }
            Some(State::Denied) => {
                assert_eq!((yes, no), (Some(PhoneReply::NotMe), Some(PhoneReply::NotMe)), "round {round}");
            }
            other => panic!("round {round}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_older_gateway_that_drops_the_number_logs_nobody_in() {
    let (gateway, client) = Gateway::start().await;
    let heard = gateway.play(|_| Some(claimed()));
    let scans = asking(client, sqlite());
    assert_eq!(scans.hears(scan(), Instant::now()).await, PhoneReply::TryAgain);
    assert_eq!(heard.kinds(), ["claim", "claim"]);
}

#[tokio::test]
async fn without_the_store_nobody_is_asked_and_nobody_is_logged_in() {
    let (gateway, client) = Gateway::start().await;
    let heard = gateway.play(|notice| Some(play(&mut HashMap::new(), notice)));
    let store = sqlite().with(Faults { confirm: Fault::Fails, ..Faults::default() });
    let scans = asking(client, store);
    assert_eq!(scans.hears(scan(), Instant::now()).await, PhoneReply::TryAgain);
    let person = Person::new("oPerson");
    let text =
        Text { person: &person, content: "47", id: None, created_at: i64::MAX, about: None, newer: None };
    let told = scans.answered(text, Instant::now()).await.unwrap();
    assert_eq!(told.reply, PhoneReply::Look, "perhaps it is an answer");
    assert!(!heard.kinds().contains(&"scan"));
}
