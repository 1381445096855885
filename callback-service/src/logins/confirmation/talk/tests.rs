//! What is asked and answered, step by step.

#![allow(clippy::unwrap_used)]

use records::AsText;

use super::By::{AnotherPush, ItsRepeat, ThisPush};
use super::*;

const NOW: Moment = Moment(1_000_000);

/// Later than every scan here.
const SENT_AT: i64 = 1_000;

fn login(created_at: i64) -> Login {
    Login {
        scene: Scene::random(),
        first: false,
        created_at,
        language: Language::Chinese,
        parties: None,
        way: Way::Scan,
        from: None,
    }
}

fn question() -> Question {
    Question {
        site: "示例商店".to_owned(),
        browser: None,
        system: None,
        place: String::new(),
        at: 0,
        language: Language::Chinese,
        replaces: false,
        way: Way::Scan,
        number: None,
    }
}

fn number(digits: &str) -> Typed {
    Typed::Number(digits.to_owned())
}

impl Talk {
    /// An answer in the chat.
    fn hears(&mut self, id: &str, typed: &Typed, sent_at: i64, now: Moment) -> Answered {
        self.answer(Given { id, typed, sent_at, about: None, newer: None }, now)
    }
}

/// What the person is told whose page shows this number.
fn told(number: &str) -> Question {
    Question { number: Some(number.to_owned()), ..question() }
}

/// A person who was asked for 47.
fn asked() -> (Talk, Login) {
    let (mut talk, login) = (Talk::default(), login(100));
    let asking = talk.ask(login.clone(), Some("47"), question(), NOW);
    assert_eq!(asking, Asking::Ask { question: Box::new(told("47")), replaced: None, is_new: true });
    (talk, login)
}

fn decided(login: &Login, verdict: Verdict, by: By) -> Answered {
    Answered::Decided { login: Box::new(login.clone()), verdict, by }
}

fn wrong(login: &Login, left: u8) -> Answered {
    Answered::Wrong { login: Box::new(login.clone()), left }
}

#[test]
fn the_right_number_decides_once_and_its_repeats_get_the_same() {
    let (mut talk, login) = asked();
    assert_eq!(talk.hears("1", &number("47"), SENT_AT, NOW), decided(&login, Verdict::Right, ThisPush));
    assert_eq!(talk.hears("1", &number("47"), SENT_AT, NOW), decided(&login, Verdict::Right, ItsRepeat));
    // Whatever is typed afterwards changes nothing. Another number is about something else.
    assert_eq!(talk.hears("2", &number("11"), SENT_AT, NOW), Answered::Nothing);
    for typed in [number("47"), Typed::No] {
        assert_eq!(talk.hears("2", &typed, SENT_AT, NOW), decided(&login, Verdict::Right, AnotherPush));
    }
    let later = NOW + SAME_WORDS;
    assert_eq!(talk.hears("3", &Typed::No, SENT_AT, later), Answered::Nothing);
    assert!(!talk.awaits(later) && talk.awaits(NOW));
    assert_eq!(talk.hears("1", &number("47"), SENT_AT, later), decided(&login, Verdict::Right, ItsRepeat));
    // Nor does another scan of the same code ask again.
    assert_eq!(talk.ask(login, Some("47"), question(), later), Asking::Decided(Verdict::Right));
}

#[test]
fn three_wrong_numbers_or_a_no_deny_it() {
    let (mut talk, login) = asked();
    assert_eq!(talk.hears("1", &number("48"), SENT_AT, NOW), wrong(&login, 2));
    assert_eq!(talk.hears("1", &number("48"), SENT_AT, NOW), wrong(&login, 2), "a repeat is no other try");
    assert_eq!(talk.hears("2", &number("4"), SENT_AT, NOW), wrong(&login, 1));
    assert_eq!(
        talk.hears("1", &number("48"), SENT_AT, NOW),
        wrong(&login, 2),
        "nor is it the last one's answer"
    );
    assert_eq!(
        talk.hears("3", &number("74"), SENT_AT, NOW),
        decided(&login, Verdict::WrongNumbers, ThisPush)
    );
    assert_eq!(
        talk.hears("4", &number("47"), SENT_AT, NOW),
        decided(&login, Verdict::WrongNumbers, AnotherPush)
    );

    let (mut talk, login) = asked();
    talk.hears("1", &number("48"), SENT_AT, NOW);
    assert_eq!(talk.hears("2", &Typed::No, SENT_AT, NOW), decided(&login, Verdict::NotMe, ThisPush));
    assert_eq!(talk.hears("3", &number("47"), SENT_AT, NOW), decided(&login, Verdict::NotMe, AnotherPush));
    assert_eq!(talk.ask(login, Some("47"), question(), NOW), Asking::Decided(Verdict::NotMe));
}

#[test]
fn a_scan_of_another_code_takes_the_place_of_the_one_before_and_says_so() {
    let (mut talk, before) = asked();
    let after = login(101);
    let asking = talk.ask(after.clone(), Some("12"), question(), NOW);
    let told = Box::new(Question { replaces: true, ..told("12") });
    let replaced = Some(Box::new(before.clone()));
    let (question_told, replaced_told) = (told.clone(), replaced.clone());
    let expected = Asking::Ask { question: question_told, replaced: replaced_told, is_new: true };
    assert_eq!(asking, expected);
    // A repeat of either scan hears the same as before, and finds the login that is to be denied.
    let again = Asking::Ask { question: told, replaced, is_new: false };
    assert_eq!(talk.ask(after.clone(), Some("12"), question(), NOW), again);
    assert_eq!(talk.ask(before, Some("47"), question(), NOW), Asking::Decided(Verdict::Replaced));
    assert_eq!(
        talk.hears("1", &number("47"), SENT_AT, NOW),
        wrong(&after, 2),
        "the number of the login before"
    );
    assert_eq!(talk.hears("2", &number("12"), SENT_AT, NOW), decided(&after, Verdict::Right, ThisPush));
}

#[test]
fn a_repeat_of_an_older_scan_that_comes_late_asks_nothing() {
    let (mut talk, newer) = asked();
    let older = login(99);
    assert_eq!(talk.ask(older.clone(), Some("12"), question(), NOW), Asking::Decided(Verdict::Replaced));
    assert_eq!(talk.ask(older, Some("12"), question(), NOW), Asking::Decided(Verdict::Replaced));
    assert_eq!(talk.hears("1", &number("47"), SENT_AT, NOW), decided(&newer, Verdict::Right, ThisPush));
}

#[test]
fn a_repeated_answer_to_the_login_before_is_no_answer_to_this_one() {
    let (mut talk, before) = asked();
    talk.hears("1", &number("47"), SENT_AT, NOW);
    let after = login(101);
    talk.ask(after.clone(), Some("12"), question(), NOW);
    assert_eq!(talk.hears("1", &number("47"), SENT_AT, NOW), decided(&before, Verdict::Right, ItsRepeat));
    assert_eq!(talk.hears("2", &number("12"), SENT_AT, NOW), decided(&after, Verdict::Right, ThisPush));
}

#[test]
fn what_was_typed_before_a_scan_and_comes_after_it_is_no_answer_to_it() {
    let (mut talk, before) = asked();
    let after = login(105);
    talk.ask(after.clone(), Some("47"), question(), NOW);
    for typed in [number("47"), number("11"), Typed::No] {
        let replaced = decided(&before, Verdict::Replaced, AnotherPush);
        assert_eq!(talk.hears("1", &typed, 104, NOW), replaced, "{typed:?}");
    }
    assert_eq!(talk.hears("1", &number("11"), 105, NOW), wrong(&after, 2));
    assert_eq!(talk.hears("2", &number("47"), 105, NOW), decided(&after, Verdict::Right, ThisPush));
}

#[test]
fn a_login_whose_time_is_over_waits_no_more() {
    let (mut talk, login) = asked();
    assert_eq!(talk.hears("1", &number("48"), SENT_AT, NOW), wrong(&login, 2));
    talk.expire(Scene::random(), "1", NOW);
    assert_eq!(talk.hears("1", &number("48"), SENT_AT, NOW), wrong(&login, 2), "it is another login");
    talk.expire(login.scene, "1", NOW);
    assert_eq!(talk.hears("1", &number("48"), SENT_AT, NOW), decided(&login, Verdict::Late, ItsRepeat));
    assert_eq!(talk.hears("2", &number("47"), SENT_AT, NOW), decided(&login, Verdict::Late, AnotherPush));
}

#[test]
fn who_unfollows_is_forgotten() {
    let (mut talk, _) = asked();
    talk.ask(login(101), Some("12"), question(), NOW);
    talk.forget(100);
    assert!(talk.asked.is_some() && talk.decided.is_empty());
    talk.forget(101);
    assert_eq!(talk, Talk::default());
}

#[test]
fn what_was_decided_is_bounded_and_swept() {
    let mut talk = Talk::default();
    for round in 0..20 {
        talk.ask(login(round), Some("47"), question(), NOW);
    }
    assert_eq!(talk.decided.len(), MOST_DECIDED);
    talk.sweep(NOW + REMEMBERED);
    assert!(talk.decided.is_empty() && talk.asked.is_some());
}

#[test]
fn what_a_newer_version_added_is_kept() {
    let (mut talk, _) = asked();
    talk.hears("1", &number("48"), SENT_AT, NOW);
    let mut newer = serde_json::to_value(&talk).unwrap();
    newer["way"] = "typed".into();
    newer["asked"]["device"] = "a phone".into();
    newer["asked"]["login"]["by_code"] = true.into();
    let read = Kept::<Talk>::from_text(&newer.to_string()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), newer);
}
