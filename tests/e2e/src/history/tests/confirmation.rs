//! Invented logins that are to be confirmed: for each rule one that breaks it, and generated ones with a lie in each.

use proptest::prelude::*;

use super::*;

/// The number of A's page.
const NUMBER: &str = "47";

fn at_site(browser: Browser) -> Event {
    Event::AtSite { browser, site: "shop".to_owned(), confirms: true }
}

fn numbered(browser: Browser, scene: &str, number: &str) -> Event {
    heard(browser, scene, News::Scanned { expires_in: seconds(120), number: Some(number.to_owned()) })
}

fn types(person: &str, scene: &str, text: &str) -> Event {
    Event::Types { person: person.to_owned(), scene: scene.to_owned(), way: Way::Scan, text: text.to_owned() }
}

/// A person types, at one second, and is told so in the next.
fn typed(at: u64, person: &str, text: &str, words: Words) -> Events {
    vec![(at, types(person, "s", text)), (at + 1, told(person, "s", words))]
}

fn logged_in(browser: Browser, scene: &str, user: &str) -> Event {
    heard(browser, scene, News::Granted { user: user.to_owned(), code: Some(format!("code of {scene}")) })
}

/// Ann has scanned A's code, sees the number, and is asked for it.
fn asked() -> Events {
    let page = vec![(0, at_site(A)), (11, scanned(A, "s")), (11, numbered(A, "s", NUMBER))];
    with(ann(Words::Question), page)
}

/// Ann has typed it, and is logged in.
fn confirmed() -> Events {
    with(with(asked(), typed(20, "ann", NUMBER, Words::LoggedIn)), vec![(21, logged_in(A, "s", "ann"))])
}

fn not_confirmed(events: Events) {
    let found = wrong(events, LATE);
    let is_it = |found: &Violation| matches!(found, Violation::NotConfirmed { scene, .. } if scene == "s");
    assert!(found.iter().any(is_it), "{found:?}");
    assert!(found.iter().all(|found| !found.to_string().is_empty()));
}

#[test]
fn honest_confirmations_are_good_and_counted() {
    let summary = right(confirmed(), LATE);
    assert_eq!((summary.granted, summary.claims), (1, BTreeMap::from([(Way::Scan, 1)])));
    assert_eq!(summary.words, BTreeMap::from([(Words::Question, 1), (Words::LoggedIn, 1)]));
    assert_eq!(summary.scan_to_page, [seconds(1)], "people take their time before they type");
    // After a wrong number; with a 0 that comes too late; with an answer that was lost.
    right(with(confirmed(), typed(15, "ann", "48", Words::WrongNumber)), LATE);
    right(with(confirmed(), typed(30, "ann", "0", Words::Confirmed)), LATE);
    right(with(confirmed(), typed(15, "ann", "0", Words::Nothing)), LATE);
    right(with(confirmed(), typed(15, "ann", NUMBER, Words::TryAgain)), LATE);
    // Nobody has a name; the page hears of the scan again; it comes back to the number.
    let nameless = vec![(21, logged_in(A, "s", ""))];
    right(with(with(asked(), typed(20, "ann", NUMBER, Words::LookAtPage)), nameless), LATE);
    right(with(confirmed(), vec![(13, numbered(A, "s", NUMBER))]), LATE);
    let back = vec![(13, closed(A, 1006, 3)), (14, shown(A, "s")), (14, numbered(A, "s", NUMBER))];
    right(with(confirmed(), back), LATE);
    // Nobody does anything, or they say no.
    right(asked(), LATE);
    let denied = with(asked(), vec![(21, heard(A, "s", News::Denied))]);
    right(with(denied, typed(20, "ann", "0", Words::NotMe)), LATE);
}

#[test]
fn a_login_before_the_right_number_is_caught() {
    let in_at = |at| vec![(at, logged_in(A, "s", "ann"))];
    not_confirmed(with(asked(), in_at(14)));
    not_confirmed(with(with(asked(), in_at(14)), typed(20, "ann", NUMBER, Words::LoggedIn)));
    not_confirmed(with(with(asked(), in_at(22)), typed(20, "ann", "48", Words::LoggedIn)));
    not_confirmed(with(with(asked(), in_at(22)), typed(20, "ben", NUMBER, Words::Other)));
    // Whoever hears of it: the phone alone, or the gateway alone.
    not_confirmed(with(ann(Words::LoggedIn), vec![(0, at_site(A)), (13, closed(A, 1006, 87))]));
    not_confirmed(with(asked(), vec![(20, recorded("s", Some(End::Granted)))]));
    // The page never showed a number, so nobody can have read it.
    let unseen = with(ann(Words::Question), vec![(0, at_site(A)), (21, logged_in(A, "s", "ann"))]);
    not_confirmed(with(unseen, typed(20, "ann", NUMBER, Words::LoggedIn)));
    // Where nobody is asked, a scan is enough.
    right(ann_is_in(Words::LoggedIn), LATE);
}

#[test]
fn a_login_against_its_persons_word_is_caught() {
    not_confirmed(with(confirmed(), typed(15, "ann", "0", Words::NotMe)));
    not_confirmed(with(confirmed(), typed(15, "ann", "0", Words::WrongNumber)));
    let mut guesses = confirmed();
    for at in [13, 15, 17] {
        guesses = with(guesses, typed(at, "ann", "48", Words::WrongNumber));
    }
    not_confirmed(guesses);
}

#[test]
fn a_number_that_changes_or_is_gone_after_a_resume_is_caught() {
    let back = |more: Events| {
        let back = vec![(13, closed(A, 1001, 0)), (14, Event::Connected { browser: A }), (14, shown(A, "s"))];
        with(with(asked(), back), more)
    };
    let other = Violation::OtherNumber {
        browser: A,
        scene: "s".to_owned(),
        numbers: [NUMBER.to_owned(), "48".to_owned()],
    };
    assert_eq!(wrong(back(vec![(14, numbered(A, "s", "48"))]), LATE), [other]);
    let gone = [Violation::NumberGone { browser: A, scene: "s".to_owned() }];
    assert_eq!(wrong(back(vec![(14, scanned(A, "s"))]), 20), gone);
    assert_eq!(wrong(back(Vec::new()), LATE), gone);
    assert!(wrong(back(Vec::new()), 29).is_empty(), "there may be time yet");
    right(back(vec![(14, numbered(A, "s", NUMBER))]), LATE);
    right(back(vec![(20, heard(A, "s", News::Denied))]), LATE);
    right(back(vec![(20, closed(A, 1006, 60))]), 50);
}

#[test]
fn a_phone_that_contradicts_its_page_is_caught() {
    let untrue = |events: Events, words: Words| {
        let found = wrong(events, LATE);
        let is_it =
            |found: &Violation| matches!(found, Violation::Untrue { words: told, .. } if *told == words);
        assert!(found.iter().any(is_it), "{words:?}: {found:?}");
    };
    let denied = with(asked(), vec![(21, heard(A, "s", News::Denied))]);
    untrue(with(denied.clone(), typed(20, "ann", NUMBER, Words::LoggedIn)), Words::LoggedIn);
    untrue(with(denied, typed(20, "ann", "0", Words::Confirmed)), Words::Confirmed);
    let is_in = with(asked(), vec![(21, logged_in(A, "s", "ann"))]);
    for words in [Words::NotMe, Words::WrongNumbers, Words::Late, Words::WrongNumber, Words::Expired] {
        untrue(with(is_in.clone(), typed(20, "ann", NUMBER, words)), words);
    }
    // A decision is one whatever is typed after it.
    untrue(with(confirmed(), typed(15, "ann", "0", Words::NotMe)), Words::NotMe);
}

#[test]
fn two_decisions_about_one_login_are_caught() {
    let twice = |events: Events| {
        let found = wrong(events, LATE);
        assert!(found.iter().any(|found| matches!(found, Violation::DecidedTwice { .. })), "{found:?}");
    };
    twice(with(confirmed(), typed(30, "ann", "0", Words::NotMe)));
    let denied = with(asked(), typed(20, "ann", "0", Words::NotMe));
    twice(with(denied.clone(), typed(30, "ann", NUMBER, Words::LoggedIn)));
    twice(with(denied.clone(), typed(30, "ann", "48", Words::WrongNumbers)));
    right(with(denied, typed(30, "ann", NUMBER, Words::NotMe)), LATE);
}

#[test]
fn a_decision_by_somebody_who_has_not_scanned_is_caught() {
    let not_theirs = |events: Events| {
        let found = wrong(events, LATE);
        let is_it =
            |found: &Violation| matches!(found, Violation::NotTheirs { person, .. } if person == "ben");
        assert!(found.iter().any(is_it), "{found:?}");
    };
    let answers =
        [Words::WrongNumber, Words::WrongNumbers, Words::NotMe, Words::Late, Words::LoggedIn, Words::Taken];
    for words in answers {
        not_theirs(with(asked(), typed(20, "ben", NUMBER, words)));
        let taken = vec![(13, scans("ben", "s")), (14, told("ben", "s", Words::Taken))];
        not_theirs(with(with(asked(), taken), typed(20, "ben", "0", words)));
    }
    right(with(confirmed(), typed(15, "ben", NUMBER, Words::Other)), LATE);
    not_theirs(with(with(asked(), typed(20, "ben", NUMBER, Words::LoggedIn)), vec![(30, scans("ben", "s"))]));
}

/// What a person does, in an honest system, with what comes of it.
#[derive(Debug, Clone)]
struct Answers {
    /// Wrong numbers first.
    wrong: usize,
    /// Then the right one, unless they deny.
    denies: bool,
    /// Times at which the page is lost, in seconds after the last thing.
    losses: Vec<u64>,
    /// What they type when all is over.
    afterwards: Option<&'static str>,
}

fn answers() -> impl Strategy<Value = Answers> {
    let afterwards = prop_oneof![Just(None), Just(Some("0")), Just(Some(NUMBER)), Just(Some("48"))];
    (0..3_usize, any::<bool>(), proptest::collection::vec(1..5_u64, 0..4), afterwards)
        .prop_map(|(wrong, denies, losses, afterwards)| Answers { wrong, denies, losses, afterwards })
}

impl Answers {
    fn events(&self) -> Events {
        let (mut events, mut now) = (asked(), 13);
        for after in &self.losses {
            now += after;
            events.extend([(now, closed(A, 1006, 2)), (now + 1, Event::Connected { browser: A })]);
            events.extend([(now + 1, shown(A, "s")), (now + 1, numbered(A, "s", NUMBER))]);
        }
        for at in 0..self.wrong {
            now += 2;
            let words = if at == 2 { Words::WrongNumbers } else { Words::WrongNumber };
            events.extend(typed(now, "ann", "48", words));
        }
        now += 2;
        let (text, words, page) = match self.denies {
            true => ("0", Words::NotMe, heard(A, "s", News::Denied)),
            false => (NUMBER, Words::LoggedIn, logged_in(A, "s", "ann")),
        };
        events.extend(typed(now, "ann", text, words));
        events.push((now + 1, page));
        if let Some(text) = self.afterwards {
            let words = match (self.denies, text) {
                (true, _) => Words::NotMe,
                (false, "0") => Words::Confirmed,
                (false, _) => Words::LoggedIn,
            };
            events.extend(typed(now + 5, "ann", text, words));
        }
        events
    }
}

proptest! {
    /// Every honest confirmation passes, and every lie in one is found.
    #[test]
    fn honest_confirmations_pass_and_each_lie_is_found(answers in answers(), lie in 0..6_u8) {
        let answers = Answers { wrong: answers.wrong.min(2), denies: answers.denies || lie == 1, ..answers };
        let answers = Answers { denies: answers.denies && lie != 0 && lie != 4, ..answers };
        let mut events = answers.events();
        events.sort_by_key(|(at, _)| *at);
        let honest = check(&history(events.clone(), LATE));
        prop_assert!(honest.is_ok(), "{:?}", honest);
        let text_is = |event: &Event, text: &str| matches!(event, Event::Types { text: typed, .. } if typed == text);
        match lie {
            // The number was never typed.
            0 => for (_, event) in &mut events {
                if text_is(event, NUMBER) {
                    *event = types("ann", "s", "48");
                }
            },
            // They said no, and the page is logged in.
            1 => for (_, event) in &mut events {
                if matches!(event, Event::Heard { news: News::Denied, .. }) {
                    *event = logged_in(A, "s", "ann");
                }
            },
            2 => events.push((14, numbered(A, "s", "48"))),
            3 => events.push((14, scanned(A, "s"))),
            // The phone hears that nobody is logged in.
            4 => events.extend(typed(90, "ann", NUMBER, Words::NotMe)),
            _ => events.extend(typed(14, "ben", NUMBER, Words::WrongNumber)),
        }
        events.sort_by_key(|(at, _)| *at);
        let violations = wrong(events, LATE);
        let found = |violation: &Violation| match lie {
            0 | 1 => matches!(violation, Violation::NotConfirmed { .. }),
            2 => matches!(violation, Violation::OtherNumber { .. }),
            3 => matches!(violation, Violation::NumberGone { .. }),
            4 => matches!(violation, Violation::DecidedTwice { .. }),
            _ => matches!(violation, Violation::NotTheirs { .. }),
        };
        prop_assert!(violations.iter().any(found), "lie {}: {:?}", lie, violations);
    }
}
