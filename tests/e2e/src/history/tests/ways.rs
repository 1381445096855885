//! Invented logins to which people come by several ways: for each rule one that breaks it, and generated races with a lie in
//! each.

use proptest::prelude::*;

use super::*;

const WAYS: [Way; 3] = [Way::Scan, Way::Typed, Way::Wechat];

/// The number of A's page.
const NUMBER: &str = "47";

/// The code on A's page.
const CODE: &str = "482913";

fn at_site(confirms: bool) -> Event {
    Event::AtSite { browser: A, site: "shop".to_owned(), confirms }
}

fn showing(browser: Browser, scene: &str, code: &str) -> Event {
    let typed = Some(code.to_owned());
    Event::Shown { browser, scene: scene.to_owned(), expires_in: seconds(120), typed }
}

/// A person comes at one second, and is told so in the next.
fn came(at: u64, person: &str, way: Way, words: Words) -> Events {
    vec![(at, comes(person, "s", way)), (at + 1, told_by(person, "s", way, words))]
}

/// A person answers at one second, and is told so in the next.
fn answered(at: u64, person: &str, way: Way, text: &str, words: Words) -> Events {
    let (person, scene) = (person.to_owned(), "s".to_owned());
    let types = Event::Types { person: person.clone(), scene, way, text: text.to_owned() };
    vec![(at, types), (at + 1, told_by(&person, "s", way, words))]
}

/// A's page is open at a site, and shows both codes.
fn opened(confirms: bool) -> Events {
    let page = vec![(0, at_site(confirms)), (0, Event::Connected { browser: A }), (1, showing(A, "s", CODE))];
    if !confirms {
        return page;
    }
    let numbered = News::Scanned { expires_in: seconds(120), number: Some(NUMBER.to_owned()) };
    with(page, vec![(11, heard(A, "s", numbered))])
}

fn in_at(at: u64, user: &str) -> Events {
    let news = News::Granted { user: user.to_owned(), code: Some("c".to_owned()) };
    vec![(at, heard(A, "s", news))]
}

/// Ann comes this way, answers so, and is logged in.
fn ann_answers(confirms: bool, way: Way, text: &str) -> Events {
    let asked = with(opened(confirms), came(10, "ann", way, Words::Question));
    with(with(asked, answered(20, "ann", way, text, Words::LoggedIn)), in_at(21, "ann"))
}

fn offered(person: &str, numbers: [&str; 3]) -> Event {
    let numbers = numbers.map(str::to_owned).to_vec();
    Event::Offered { person: person.to_owned(), scene: "s".to_owned(), numbers }
}

fn not_confirmed(events: Events) {
    let found = wrong(events, LATE);
    assert!(found.iter().any(|found| matches!(found, Violation::NotConfirmed { .. })), "{found:?}");
}

#[test]
fn honest_logins_by_each_way_are_good_and_counted() {
    for way in [Way::Scan, Way::Typed] {
        let summary =
            right(with(with(opened(false), came(10, "ann", way, Words::LoggedIn)), in_at(11, "ann")), LATE);
        assert_eq!((summary.granted, summary.claims, summary.raced), (1, BTreeMap::from([(way, 1)]), 0));
        assert_eq!(summary.scan_to_page, [seconds(1)]);
    }
    for (confirms, way, text) in [
        (true, Way::Scan, NUMBER),
        (true, Way::Typed, NUMBER),
        (true, Way::Typed, "1"),
        (true, Way::Wechat, NUMBER),
        (false, Way::Wechat, "1"),
    ] {
        let summary = right(ann_answers(confirms, way, text), LATE);
        assert_eq!(summary.scan_to_page, [seconds(1)], "{way:?}");
    }
}

#[test]
fn an_answer_that_is_not_enough_for_its_way_is_caught() {
    not_confirmed(ann_answers(true, Way::Scan, "1"));
    not_confirmed(ann_answers(true, Way::Wechat, "1"));
    not_confirmed(ann_answers(true, Way::Typed, "48"));
    not_confirmed(ann_answers(false, Way::Wechat, NUMBER));
    // Another person has sent the code.
    let ben = came(8, "ben", Way::Typed, Words::TryAgain);
    not_confirmed(with(ann_answers(true, Way::Scan, "1"), ben));
    // She has sent it after her answer.
    let later = came(30, "ann", Way::Typed, Words::LoggedIn);
    not_confirmed(with(ann_answers(true, Way::Scan, "1"), later));
    let before = came(8, "ann", Way::Typed, Words::Nothing);
    right(with(ann_answers(true, Way::Scan, "1"), before), LATE);
}

#[test]
fn who_has_only_opened_the_page_of_a_login_is_not_logged_in() {
    let only_opened = with(opened(false), came(10, "ann", Way::Wechat, Words::Question));
    right(only_opened.clone(), LATE);
    not_confirmed(with(only_opened.clone(), in_at(14, "ann")));
    not_confirmed(with(only_opened.clone(), in_at(14, "")));
    not_confirmed(with(only_opened.clone(), vec![(14, recorded("s", Some(End::Granted)))]));
    not_confirmed(with(opened(false), came(10, "ann", Way::Wechat, Words::LoggedIn)));
    // She has scanned, too.
    let scanned = came(12, "ann", Way::Scan, Words::LoggedIn);
    right(with(with(only_opened, scanned), in_at(14, "ann")), LATE);
}

#[test]
fn a_second_choice_among_three_numbers_is_caught() {
    let again = |way, words| with(ann_answers(true, way, NUMBER), answered(15, "ann", way, "48", words));
    not_confirmed(again(Way::Wechat, Words::WrongNumber));
    right(again(Way::Typed, Words::WrongNumber), LATE);
    right(again(Way::Wechat, Words::Nothing), LATE);
    let no = answered(15, "ann", Way::Wechat, "0", Words::NotMe);
    not_confirmed(with(ann_answers(false, Way::Wechat, "1"), no));
}

#[test]
fn a_login_of_two_people_is_caught_whichever_ways_they_came() {
    let two = |events: Events| {
        let found = wrong(events, LATE);
        let is_it = |found: &Violation| matches!(found, Violation::TwoPeople { people, .. } if people == &["ann", "ben"]);
        assert!(found.iter().any(is_it), "{found:?}");
        assert!(found.iter().all(|found| !found.to_string().is_empty()));
    };
    for way in WAYS {
        let race = |words| with(ann_answers(true, Way::Scan, NUMBER), came(10, "ben", way, words));
        for words in [Words::Question, Words::LoggedIn, Words::Late, Words::WrongNumbers] {
            two(race(words));
        }
        for words in [Words::Taken, Words::Nothing, Words::TryAgain, Words::LookAtPage, Words::WrongCode] {
            assert_eq!(right(race(words), LATE).raced, usize::from(way != Way::Scan), "{words:?}");
        }
    }
}

#[test]
fn who_comes_two_ways_at_once_is_one_person() {
    let both = |words| {
        let scan = came(10, "ann", Way::Scan, Words::LoggedIn);
        with(with(with(opened(false), scan), came(10, "ann", Way::Wechat, words)), in_at(11, "ann"))
    };
    for words in [Words::LoggedIn, Words::Question, Words::Nothing, Words::TryAgain] {
        assert_eq!(right(both(words), LATE).raced, 1, "{words:?}");
    }
    // The other way does not make her somebody else, nor its login another one.
    for words in [Words::Taken, Words::Expired, Words::Denied, Words::NotMe] {
        let found = wrong(both(words), LATE);
        assert!(found.iter().any(|found| matches!(found, Violation::Untrue { .. })), "{words:?}: {found:?}");
    }
    // Each reply is that of its way: here the scan was told to try again, after it had logged her in.
    let mut late = with(with(opened(false), in_at(12, "ann")), vec![(10, comes("ann", "s", Way::Scan))]);
    late = with(late, came(14, "ann", Way::Typed, Words::LoggedIn));
    late = with(late, vec![(13, told_by("ann", "s", Way::Scan, Words::TryAgain))]);
    assert!(matches!(wrong(late, LATE)[..], [Violation::Untrue { words: Words::TryAgain, .. }]));
}

#[test]
fn numbers_that_change_or_have_not_the_pages_are_caught() {
    let with_offers = |offers: &[[&str; 3]]| {
        let offers = offers.iter().map(|numbers| (12, offered("ann", *numbers))).collect();
        with(ann_answers(true, Way::Wechat, NUMBER), offers)
    };
    right(with_offers(&[["12", NUMBER, "90"], ["12", NUMBER, "90"]]), LATE);
    for offers in [&[["12", "48", "90"]][..], &[["12", NUMBER, "90"], ["13", NUMBER, "91"]]] {
        let found = wrong(with_offers(offers), LATE);
        assert!(matches!(&found[..], [Violation::WrongOffer { person, .. }] if person == "ann"), "{found:?}");
    }
}

#[test]
fn a_code_of_two_logins_or_one_that_changes_is_caught() {
    let two = vec![(0, showing(A, "s", CODE)), (1, showing(B, "t", CODE))];
    let scenes = vec!["s".to_owned(), "t".to_owned()];
    assert_eq!(wrong(two, 2), [Violation::CodeOfTwo { code: CODE.to_owned(), scenes }]);
    let back = |code| vec![(0, showing(A, "s", CODE)), (1, closed(A, 1006, 1)), (2, showing(A, "s", code))];
    right(back(CODE), 3);
    let codes = vec!["000000".to_owned(), CODE.to_owned()];
    assert_eq!(wrong(back("000000"), 3), [Violation::OtherCode { scene: "s".to_owned(), codes }]);
}

#[test]
fn a_code_that_nobody_shows_leads_nowhere() {
    let guessed = |words| {
        let guess = Event::Guessed { person: "ben".to_owned(), code: "000000".to_owned(), words };
        with(opened(false), vec![(10, guess)])
    };
    for words in [Words::WrongCode, Words::TooManyCodes, Words::TryAgain, Words::LookAtPage, Words::Nothing] {
        let counted = right(guessed(words), LATE).wrong_codes;
        assert_eq!(counted, usize::from(words == Words::WrongCode));
    }
    for words in [Words::Question, Words::LoggedIn, Words::Taken, Words::Expired, Words::Denied] {
        let found = wrong(guessed(words), LATE);
        assert!(
            matches!(&found[..], [Violation::GuessLed { words: told, .. }] if *told == words),
            "{found:?}"
        );
    }
}

#[test]
fn a_code_that_logged_its_person_in_was_not_wrong() {
    let sent_again = |at, words| {
        let login = with(with(opened(false), came(10, "ann", Way::Typed, Words::Nothing)), in_at(11, "ann"));
        with(login, came(at, "ann", Way::Typed, words))
    };
    right(sent_again(20, Words::LoggedIn), LATE);
    let found = wrong(sent_again(20, Words::WrongCode), LATE);
    assert!(matches!(found[..], [Violation::Untrue { words: Words::WrongCode, .. }]), "{found:?}");
    right(sent_again(190, Words::WrongCode), LATE);
}

#[test]
fn the_pages_on_phones_have_their_meanings() {
    for (body, words) in [
        ("<p class=\"words\">是你自己打开的登录页吗？如果二维码或链接是别人发给你的，", Words::Question),
        ("登录页上显示的是哪个数字？只能选一次。", Words::Question),
        ("请在聊天中回复 你已经扫过这个登录的二维码。", Words::Question),
        ("登录成功 请回到打开登录页的设备。", Words::LoggedIn),
        ("已经确认 这次登录刚才已经确认，不能再取消。", Words::Confirmed),
        ("已拒绝 没有人登录。如果二维码或链接是别人发给你的", Words::NotMe),
        ("数字不对 选择的数字和登录页显示的不一样，登录已取消。", Words::WrongNumbers),
        ("已过期 没有登录。请刷新登录页后重新扫码。", Words::Expired),
        ("已被使用 这个二维码已经被使用过。", Words::Taken),
        ("已取消 这次登录已取消。", Words::Denied),
        ("请稍后再试 系统繁忙，没有登录。请稍等片刻，再试一次。", Words::TryAgain),
        ("请稍后再试 系统繁忙。请稍等片刻，再试一次。", Words::Unsure),
        ("无法登录 这个页面已过期，或者不是在这里打开的。请看登录页。", Words::Unsure),
        ("请再试一次 这个页面已经用过，或者打开得太晚。", Words::Unsure),
        ("请看登录页 结果以登录页显示为准。", Words::LookAtPage),
        ("502 Bad Gateway", Words::Other),
    ] {
        assert_eq!(Words::of_page(body), words, "{body}");
    }
}

proptest! {
    /// Every honest race of two people passes, and every lie in one is found.
    #[test]
    fn honest_races_pass_and_each_lie_is_found(
        confirms in any::<bool>(),
        winner in 0..3_usize,
        loser in 0..3_usize,
        apart in 0..4_u64,
        tries in 0..3_u64,
        lie in 0..4_u8,
    ) {
        let (winner, loser) = (WAYS[winner], WAYS[loser]);
        let is_asked = confirms || winner == Way::Wechat;
        let yes = if confirms { NUMBER } else { "1" };
        let mut events = opened(confirms);
        for again in 0..tries {
            events.extend(came(4 + 2 * again, "ben", loser, Words::Nothing));
        }
        events.extend(came(10, "ann", winner, if is_asked { Words::Question } else { Words::LoggedIn }));
        events.extend(came(10 + apart, "ben", loser, Words::Taken));
        let end = if is_asked { 21 } else { 11 };
        if is_asked {
            events.extend(answered(20, "ann", winner, yes, Words::LoggedIn));
        }
        events.extend(in_at(end, "ann"));
        events.sort_by_key(|(at, _)| *at);
        let honest = check(&history(events.clone(), LATE));
        prop_assert!(honest.is_ok(), "{:?}", honest);
        match lie {
            // The page is logged in as the one who was late.
            0 => for (_, event) in &mut events {
                if let Event::Heard { news: News::Granted { user, .. }, .. } = event {
                    "ben".clone_into(user);
                }
            },
            // The one who was late is asked, too.
            1 => for (_, event) in &mut events {
                if let Event::Told { person, words, .. } = event && person == "ben" && *words == Words::Taken {
                    *words = Words::Question;
                }
            },
            // It ends twice.
            2 => events.push((30, heard(A, "s", News::Denied))),
            // The one who has won is told that somebody else has.
            _ => for (_, event) in &mut events {
                if let Event::Told { person, words, .. } = event && person == "ann" && *words == Words::LoggedIn {
                    *words = Words::Taken;
                }
            },
        }
        let violations = wrong(events, LATE);
        let found = |violation: &Violation| match lie {
            0 => matches!(violation, Violation::Untrue { .. } | Violation::NotConfirmed { .. }),
            1 => matches!(violation, Violation::TwoPeople { .. }),
            2 => matches!(violation, Violation::EndedTwice { .. }),
            _ => matches!(violation, Violation::Untrue { words: Words::Taken, .. }),
        };
        prop_assert!(violations.iter().any(found), "lie {}: {:?}", lie, violations);
    }
}
