//! A person sends the code that a page shows, or one that none shows.

use super::asked::{Asked, asking, is_question, play};
use super::*;
use crate::store::tests::on_each_store;

/// CreateTime of the texts here.
const AT: i64 = 1_700_000_100;

/// What a person hears who is logged in by a code.
fn logged_in(count: u32) -> Option<PhoneReply> {
    Some(PhoneReply::LoggedIn { first: false, nickname: None, count: Some(count) })
}

fn finds(asked: &Asked) -> usize {
    asked.heard.kinds().iter().filter(|&&kind| kind == "find").count()
}

#[tokio::test]
async fn the_code_of_a_page_logs_in_whoever_sends_it_and_its_repeats_get_the_same_words() {
    let asked = Asked::unconfirmed().await;
    let login = asked.shows("482913", AT);
    assert_eq!(asked.sends("1", "我的验证码是４８２ ９１３。", AT).await, logged_in(1));
    assert_eq!(asked.heard.kinds(), ["find", "claim", "scan"]);
    assert_eq!(asked.end(&login), Some(State::Granted));
    // The page's code is nobody's any more when the login is over.
    asked.logins.lock().get_mut(&login.scene).unwrap().typed = None;
    for id in ["1", "2"] {
        assert_eq!(asked.sends(id, "482913", AT).await, logged_in(1), "{id}");
    }
    assert_eq!(asked.restarted().sends("1", "482913", AT).await, logged_in(1), "by another process");
    assert_eq!(asked.scan(&login).await, logged_in(1).unwrap(), "scanned as well");
    let scans = asked.heard.kinds().iter().filter(|&&kind| kind == "scan").count();
    assert_eq!(scans, 1, "one login");
    assert_eq!(asked.sends("3", "你好", AT).await, None);
}

#[tokio::test]
async fn a_wrong_code_tells_nothing_and_after_a_few_none_is_looked_up_for_whichever_process() {
    let asked = Asked::start().await;
    let login = asked.shows("482913", AT);
    for id in ["1", "2", "3", "4", "5"] {
        for _ in 0..2 {
            assert_eq!(asked.sends(id, "000000", AT).await, Some(PhoneReply::WrongCode), "{id}");
        }
    }
    let looked_up = finds(&asked);
    for asked in [&asked, &asked.restarted()] {
        assert_eq!(asked.sends("6", "482913", AT).await, Some(PhoneReply::TooManyCodes), "the right one");
    }
    // Nor by following the account anew.
    asked.scans.forget(&Person::new("oPerson"), AT + 1).await;
    assert_eq!(asked.sends("7", "482913", AT + 2).await, Some(PhoneReply::TooManyCodes));
    assert_eq!(finds(&asked), looked_up);
    // Another person has tries of their own.
    let other = Person::new("oOther");
    let reply = asked.sends_as(&other, "8", "482913", AT).await;
    assert!(reply.is_some_and(|reply| is_question(&reply, false)));
    assert_eq!(asked.end(&login), None);
}

/// Whoever owns a page, too, and sends its code between the guesses has no more of them.
#[tokio::test]
async fn ten_thousand_guesses_of_one_person_are_a_few_for_the_gateway() {
    let asked = Asked::unconfirmed().await;
    let victim = asked.shows("999999", AT);
    let own = asked.shows("482913", AT);
    assert_eq!(asked.sends("own", "482913", AT).await, logged_in(1));
    let before = finds(&asked);
    let guesses: Vec<_> =
        (0..10_000).map(|guess| (format!("guess {guess}"), format!("{guess:06}"))).collect();
    // As many at once as come at once.
    for guesses in guesses.chunks(100) {
        let told = join_all(guesses.iter().map(|(id, code)| asked.sends(id, code, AT))).await;
        for reply in told {
            assert!(matches!(reply, Some(PhoneReply::WrongCode | PhoneReply::TooManyCodes)), "{reply:?}");
        }
        assert!(asked.sends("own", "482913", AT).await == logged_in(1), "a repeat needs no try");
    }
    assert_eq!(finds(&asked) - before, 5);
    assert_eq!((asked.end(&victim), asked.end(&own)), (None, Some(State::Granted)));
}

#[tokio::test]
async fn an_expired_code_is_told_as_a_wrong_one() {
    let asked = Asked::start().await;
    let (ended, forgotten) = (asked.shows("482913", AT), asked.shows("482914", AT));
    asked.ended(&ended, State::Expired);
    asked.logins.lock().get_mut(&forgotten.scene).unwrap().is_forgotten = true;
    for (id, code) in [("1", "482913"), ("2", "482914"), ("3", "482915")] {
        assert_eq!(asked.sends(id, code, AT).await, Some(PhoneReply::WrongCode), "{code}");
    }
    assert_eq!(asked.heard.kinds(), ["find"; 3], "nobody claims it");

    // Its time is over between the look-up and the claim.
    let (gateway, client) = Gateway::start().await;
    gateway.play(|notice| {
        Some(match notice {
            Notice::Find { .. } => {
                Answer { scene: Some(Scene::random()), ..answer(Status::Ok, State::Waiting) }
            }
            _ => Answer::new(Status::Expired),
        })
    });
    let asked = Asked { scans: asking(client, sqlite()), ..asked };
    assert_eq!(asked.sends("1", "482916", AT).await, Some(PhoneReply::WrongCode));
}

#[tokio::test]
async fn the_first_of_two_people_has_the_login_whichever_way_they_came() {
    for round in 0..10 {
        let asked = Asked::unconfirmed().await;
        let login = asked.shows("482913", AT);
        let scanned = Scan { way: Way::Scan, ..login.clone() };
        let other = Person::new("oOther");
        let (by_scan, by_code) =
            tokio::join!(asked.scan(&scanned), asked.sends_as(&other, "1", "482913", AT));
        let told = (Some(by_scan), by_code);
        let expected = [(logged_in(1), Some(PhoneReply::Taken)), (Some(PhoneReply::Taken), logged_in(1))];
        assert!(expected.contains(&told), "round {round}: {told:?}");
        assert_eq!(asked.end(&login), Some(State::Granted));
        // Who was too late hears it again.
        let (late, person) = match told.1 {
            Some(PhoneReply::Taken) => ("1", &other),
            _ => ("2", &scanned.openid),
        };
        let again = asked.sends_as(person, late, "482913", AT).await;
        assert_eq!(again, Some(PhoneReply::Taken), "round {round}");
    }
}

#[tokio::test]
async fn one_person_who_scans_and_types_has_one_login_and_hears_one_thing() {
    for _ in 0..10 {
        let asked = Asked::unconfirmed().await;
        let login = asked.shows("482913", AT);
        let scanned = Scan { way: Way::Scan, ..login };
        let (by_scan, by_code) = tokio::join!(asked.scan(&scanned), asked.sends("1", "482913", AT));
        assert_eq!((Some(by_scan), by_code), (logged_in(1), logged_in(1)));
    }
}

#[tokio::test]
async fn what_cannot_be_looked_up_may_be_tried_again_and_is_no_try() {
    let asked = Asked::start().await;
    let login = asked.shows("482913", AT);
    let away = asked.away().await;
    for id in ["1", "2", "3", "4", "5", "6"] {
        assert_eq!(away.sends(id, "482913", AT).await, Some(PhoneReply::TryAgain), "{id}");
    }
    let reply = asked.sends("7", "482913", AT).await.unwrap();
    assert!(is_question(&reply, false), "{reply:?}");
    assert_eq!(asked.end(&login), None);
}

/// Only the store knows whether an earlier sending has logged them in.
#[tokio::test]
async fn without_the_store_no_code_is_looked_up_and_the_page_says_what_became_of_it() {
    let asked = Asked::unconfirmed().await;
    let login = asked.shows("482913", AT);
    let faulty = asked.faulty();
    for id in ["1", "2", "3", "4", "5", "6"] {
        assert_eq!(faulty.sends(id, "482913", AT).await, Some(PhoneReply::Look), "{id}");
    }
    assert_eq!((finds(&asked), asked.end(&login)), (0, None));
    assert_eq!(asked.sends("7", "482913", AT).await, logged_in(1));
    assert_eq!(asked.faulty().sends("7", "482913", AT).await, Some(PhoneReply::Look), "a repeat");
}

/// A process is killed after the end and before its words, and WeChat repeats the push to another one.
#[tokio::test]
async fn whoever_a_code_may_have_logged_in_is_not_told_to_try_again() {
    for (id, what) in [("1", "a repeat"), ("2", "the same code once more")] {
        let asked = Asked::unconfirmed().await;
        let unable = asked.store.with(Faults { record: Fault::Fails, ..Faults::default() });
        let killed = Asked { scans: scans(asked.client.clone(), unable), ..asked.restarted() };
        let login = asked.shows("482913", AT);
        killed.sends("1", "482913", AT).await;
        assert_eq!(asked.end(&login), Some(State::Granted));
        let told = (
            asked.away().await.sends(id, "482913", AT).await,
            asked.faulty().sends(id, "482913", AT).await,
            asked.sends(id, "482913", AT).await,
        );
        assert_eq!(told, (Some(PhoneReply::Look), Some(PhoneReply::Look), logged_in(1)), "{what}");
    }
}

/// Its people's digits are messages like any other.
#[tokio::test]
async fn a_gateway_that_looks_no_codes_up_makes_no_wrong_ones() {
    for status in [Status::Bad, Status::Forbidden] {
        let (gateway, client) = Gateway::start().await;
        gateway.play(move |_| Some(Answer::new(status)));
        let asked = Asked { scans: asking(client, sqlite()), ..Asked::start().await };
        for round in 0..10 {
            assert_eq!(asked.sends(&round.to_string(), "482913", AT).await, None, "{status:?}");
        }
    }
}

#[tokio::test]
async fn a_code_takes_the_place_of_a_login_that_waits() {
    let asked = Asked::start().await;
    let scanned = scan();
    assert!(is_question(&asked.scan(&scanned).await, false));
    let login = asked.shows("482913", AT);
    let reply = asked.sends("1", "482913", AT).await.unwrap();
    assert!(is_question(&reply, true), "{reply:?}");
    settled(&asked.scans).await;
    assert_eq!((asked.end(&scanned), asked.end(&login)), (Some(State::Denied), None));
}

#[tokio::test]
async fn every_instance_counts_a_persons_wrong_codes_together() {
    on_each_store(async |here, there| {
        let (gateway, client) = Gateway::start().await;
        let heard = gateway.play(|notice| Some(play(&mut std::collections::HashMap::default(), notice)));
        let at = |store: &Store| asking(client.clone(), Arc::new(store.clone()));
        let base = Asked::start().await;
        let (here, there) =
            (Asked { scans: at(here), ..base.restarted() }, Asked { scans: at(there), ..base.restarted() });
        for (id, asked) in [("1", &here), ("2", &there), ("3", &here), ("4", &there), ("5", &here)] {
            assert_eq!(asked.sends(id, "000000", AT).await, Some(PhoneReply::WrongCode), "{id}");
        }
        for asked in [&here, &there] {
            assert_eq!(asked.sends("6", "000000", AT).await, Some(PhoneReply::TooManyCodes));
        }
        assert_eq!(heard.kinds().len(), 5);
    })
    .await;
}
