//! Invented histories: for each rule there is one that breaks it, and the check must find it.

mod codes;
mod confirmation;
mod generated;
mod ways;

use std::collections::BTreeMap;

use super::*;

const A: Browser = Browser(1);
const B: Browser = Browser(2);

/// The end of a run, in seconds, in tests that do not depend on it.
const LATE: u64 = 100;

type Events = Vec<(u64, Event)>;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn shown(browser: Browser, scene: &str) -> Event {
    Event::Shown { browser, scene: scene.to_owned(), expires_in: seconds(120), typed: None }
}

fn heard(browser: Browser, scene: &str, news: News) -> Event {
    Event::Heard { browser, scene: Some(scene.to_owned()), news }
}

fn granted(browser: Browser, scene: &str, user: &str) -> Event {
    heard(browser, scene, News::Granted { user: user.to_owned(), code: None })
}

fn scanned(browser: Browser, scene: &str) -> Event {
    heard(browser, scene, News::Scanned { expires_in: seconds(120), number: None })
}

fn closed(browser: Browser, code: u16, back_in: u64) -> Event {
    Event::Closed { browser, code, back_in: Some(seconds(back_in)) }
}

fn scans(person: &str, scene: &str) -> Event {
    comes(person, scene, Way::Scan)
}

fn comes(person: &str, scene: &str, way: Way) -> Event {
    Event::Claims { person: person.to_owned(), scene: scene.to_owned(), way }
}

fn told(person: &str, scene: &str, words: Words) -> Event {
    told_by(person, scene, Way::Scan, words)
}

fn told_by(person: &str, scene: &str, way: Way, words: Words) -> Event {
    Event::Told { person: person.to_owned(), scene: scene.to_owned(), way, words }
}

fn recorded(scene: &str, end: Option<End>) -> Event {
    Event::Recorded { scene: scene.to_owned(), end }
}

fn history(events: Events, end: u64) -> History {
    let events = events.into_iter().map(|(at, event)| (seconds(at), event)).collect();
    History { events, end: seconds(end), limits: Limits::default(), lost_up_to: 0 }
}

/// The violations in a run of `end` seconds.
fn wrong(events: Events, end: u64) -> Vec<Violation> {
    check(&history(events, end)).err().unwrap_or_default()
}

fn right(events: Events, end: u64) -> Summary {
    match check(&history(events, end)) {
        Ok(summary) => summary,
        Err(violations) => panic!("{violations:#?}"),
    }
}

/// Ann scans in front of browser A: the events up to the words on her phone.
fn ann(words: Words) -> Events {
    vec![
        (0, Event::Connecting { browser: A, gives_up_in: seconds(40) }),
        (0, Event::Connected { browser: A }),
        (1, shown(A, "s")),
        (10, scans("ann", "s")),
        (12, told("ann", "s", words)),
    ]
}

fn with(mut events: Events, more: Events) -> Events {
    events.extend(more);
    events.sort_by_key(|(at, _)| *at);
    events
}

/// Ann is logged in, and her phone gets `words`.
fn ann_is_in(words: Words) -> Events {
    with(ann(words), vec![(11, scanned(A, "s")), (12, granted(A, "s", "ann"))])
}

#[test]
fn an_honest_run_with_every_kind_of_event_is_good_and_counted() {
    let busy = News::Error { retry_in: Some(seconds(5)) };
    let events = with(
        ann_is_in(Words::LoggedIn),
        vec![
            (13, Event::Closed { browser: A, code: 4010, back_in: None }),
            (60, recorded("s", Some(End::Granted))),
            // B's login is lost with its Redis before Ben scans, so B takes another one, which expires. Cid is
            // told to try again, does so, and denies.
            (0, Event::Connected { browser: B }),
            (2, heard(B, "", busy)),
            (7, shown(B, "t")),
            (8, closed(B, 1006, 3)),
            (9, Event::Lost { scene: "t".to_owned() }),
            (10, Event::Connected { browser: B }),
            (10, closed(B, 4001, 1)),
            (11, Event::Connected { browser: B }),
            (12, shown(B, "u")),
            (13, scans("ben", "t")),
            (15, told("ben", "t", Words::Expired)),
            (132, heard(B, "u", News::Expired)),
            (133, Event::Renews { browser: B }),
            (135, shown(B, "v")),
            (140, scans("cid", "v")),
            (143, told("cid", "v", Words::TryAgain)),
            (150, scans("cid", "v")),
            (151, scanned(B, "v")),
            (153, heard(B, "v", News::Denied)),
            (154, told("cid", "v", Words::Denied)),
        ],
    );
    let summary = right(events, 1000);
    let times = Summary { scan_to_page: vec![seconds(2)], ..Summary::default() };
    let expected = Summary {
        browsers: 2,
        codes: 4,
        granted: 1,
        on_first_code: 1,
        denied: 1,
        closes: BTreeMap::from([(1006, 1), (4001, 1), (4010, 1)]),
        claims: BTreeMap::from([(Way::Scan, 4)]),
        words: BTreeMap::from([
            (Words::LoggedIn, 1),
            (Words::Expired, 1),
            (Words::TryAgain, 1),
            (Words::Denied, 1),
        ]),
        lost: 1,
        ..times
    };
    assert_eq!(summary, expected);
    assert!(summary.to_string().contains("1 lost by Redis itself"), "{summary}");
}

#[test]
fn fates_are_counted() {
    let gone = |code| Event::Closed { browser: A, code, back_in: None };
    assert_eq!(right(vec![(0, gone(4002))], LATE).stopped, BTreeMap::from([(4002, 1)]));
    assert_eq!(right(vec![(0, Event::GivesUp { browser: A })], LATE).gave_up, 1);
    assert_eq!(right(vec![(0, shown(A, "s"))], 120).unfinished, 1);
    let denied = vec![(0, shown(A, "s")), (1, heard(A, "s", News::Denied)), (2, closed(A, 1006, 1))];
    assert_eq!(right(denied, LATE).denied, 1, "whatever becomes of its socket");
    let nameless = with(ann(Words::LoggedIn), vec![(12, granted(A, "s", ""))]);
    assert_eq!(right(nameless, LATE).nameless, 1);
}

#[test]
fn a_scene_in_two_browsers_is_caught() {
    let violations = wrong(vec![(0, shown(A, "s")), (1, shown(B, "s"))], 2);
    assert_eq!(violations, [Violation::Shared { scene: "s".to_owned(), browsers: vec![A, B] }]);
}

#[test]
fn what_reaches_another_browser_is_caught() {
    let strayed = with(ann(Words::LoggedIn), vec![(2, shown(B, "t")), (12, granted(B, "s", "ann"))]);
    assert!(matches!(wrong(strayed, LATE)[0], Violation::Strayed { browser: B, .. }));
    // A real page knows only the code that it shows.
    let strayed = with(ann(Words::LoggedIn), vec![(2, shown(B, "t")), (12, granted(B, "t", "ann"))]);
    assert!(
        matches!(&wrong(strayed, LATE)[0], Violation::WrongPerson { browser: B, user, .. } if user == "ann")
    );
}

#[test]
fn a_person_who_did_not_scan_is_caught() {
    for user in ["ben", ""] {
        let too_early = vec![(0, shown(A, "s")), (5, granted(A, "s", user)), (6, scans("ben", "s"))];
        assert!(matches!(wrong(too_early, LATE)[..], [Violation::WrongPerson { browser: A, .. }]));
    }
    let other = with(ann(Words::LookAtPage), vec![(12, granted(A, "s", "ben"))]);
    assert!(matches!(wrong(other, LATE)[..], [Violation::WrongPerson { browser: A, .. }]));
}

#[test]
fn a_second_end_is_caught_and_a_repeated_one_is_none() {
    for second in [News::Denied, News::Expired, News::Granted { user: "ben".to_owned(), code: None }] {
        let events =
            with(ann_is_in(Words::LookAtPage), vec![(10, scans("ben", "s")), (20, heard(A, "s", second))]);
        assert!(matches!(wrong(events, 30)[..], [Violation::EndedTwice { .. }]));
    }
    let in_the_store = with(ann_is_in(Words::LoggedIn), vec![(20, recorded("s", Some(End::Expired)))]);
    let violations = wrong(in_the_store, LATE);
    assert!(matches!(violations[0], Violation::EndedTwice { .. }), "{violations:?}");

    let resumed = vec![(13, closed(A, 1006, 3)), (14, shown(A, "s")), (14, granted(A, "s", "ann"))];
    right(with(ann_is_in(Words::LoggedIn), resumed), LATE);
}

#[test]
fn what_comes_back_is_caught() {
    let scanned_again = vec![(0, shown(A, "s")), (1, heard(A, "s", News::Expired)), (2, scanned(A, "s"))];
    assert!(matches!(wrong(scanned_again, 3)[..], [Violation::CameBack { browser: A, .. }]));
    let old_code = vec![(0, shown(A, "s")), (1, shown(A, "t")), (2, shown(A, "s"))];
    assert!(matches!(wrong(old_code, 3)[..], [Violation::CameBack { browser: A, .. }]));
}

#[test]
fn a_recorded_scan_that_does_not_reach_a_connected_page_is_caught() {
    let never = ann(Words::LoggedIn);
    assert_eq!(right(never.clone(), 41).unfinished, 1, "there may be time yet");
    assert!(matches!(&wrong(never, 42)[..], [Violation::NotDelivered { browser: A, .. }]));

    let known_to_the_store = with(ann(Words::LookAtPage), vec![(20, recorded("s", Some(End::Granted)))]);
    assert_eq!(right(known_to_the_store.clone(), 49).away, 1);
    assert!(matches!(&wrong(known_to_the_store, 50)[..], [Violation::NotDelivered { browser: A, .. }]));

    let in_the_end_another = with(ann(Words::LoggedIn), vec![(20, scanned(A, "s")), (130, scanned(A, "s"))]);
    let in_the_end_another = with(in_the_end_another, vec![(200, shown(A, "t"))]);
    assert!(matches!(&wrong(in_the_end_another, 201)[..], [Violation::NotDelivered { .. }]));

    // The page was never connected for long enough.
    let restless = vec![(30, closed(A, 1006, 1)), (31, shown(A, "s")), (60, closed(A, 1006, 1))];
    assert_eq!(right(with(ann(Words::LoggedIn), restless), 61).away, 1);
    // The page came back too late.
    let late = vec![(13, closed(A, 1006, 150)), (161, shown(A, "s"))];
    assert_eq!(right(with(ann(Words::LoggedIn), late), 270).away, 1);
}

#[test]
fn a_recorded_scan_that_is_forgotten_is_caught() {
    let unknown_at = |at| vec![(13, closed(A, 1006, 200)), (at, closed(A, 4001, 1))];
    let violations = wrong(with(ann(Words::LoggedIn), unknown_at(189)), 189);
    assert!(matches!(violations[..], [Violation::Forgotten { browser: A, .. }]));
    assert_eq!(right(with(ann(Words::LoggedIn), unknown_at(190)), 190).away, 1, "180 s are over");

    let replaced = with(ann(Words::LoggedIn), vec![(20, shown(A, "t"))]);
    assert!(matches!(wrong(replaced, 21)[..], [Violation::Forgotten { browser: A, .. }]));
}

#[test]
fn logged_in_that_is_not_so_is_caught() {
    let untrue = |more| {
        let violations = wrong(with(ann(Words::LoggedIn), more), 30);
        let ann_was_told = |violation: &Violation| matches!(violation, Violation::Untrue { person, words: Words::LoggedIn, .. } if person == "ann");
        assert!(violations.iter().any(ann_was_told), "{violations:?}");
    };
    untrue(vec![(15, heard(A, "s", News::Expired))]);
    untrue(vec![(15, heard(A, "s", News::Denied))]);
    untrue(vec![(11, scans("ben", "s")), (15, granted(A, "s", "ben"))]);
    untrue(vec![(11, scans("ben", "s")), (15, told("ben", "s", Words::LoggedIn))]);
    untrue(vec![(15, recorded("s", None))]);
    untrue(vec![(15, recorded("s", Some(End::Denied)))]);
    right(with(ann(Words::LoggedIn), vec![(11, recorded("s", None))]), 30);
}

#[test]
fn a_refusal_of_the_scan_that_did_it_is_caught() {
    for words in [Words::TryAgain, Words::Expired, Words::Taken, Words::Denied] {
        let untrue = |events: Events| {
            let violations = wrong(events, LATE);
            assert!(
                matches!(&violations[..], [Violation::Untrue { words: told, .. }] if *told == words),
                "{words:?}: {violations:?}"
            );
        };
        untrue(ann_is_in(words));
        untrue(with(ann(words), vec![(90, granted(A, "s", "ann"))]));
        untrue(with(ann(words), vec![(90, granted(A, "s", ""))]));
        untrue(with(ann(words), vec![(12, closed(A, 1001, 99)), (90, recorded("s", Some(End::Granted)))]));
        // A later scan may have logged the person in, but not one after the grant.
        right(with(ann(words), vec![(20, scans("ann", "s")), (22, granted(A, "s", "ann"))]), LATE);
        untrue(with(ann_is_in(words), vec![(20, scans("ann", "s"))]));
    }
    right(ann_is_in(Words::LookAtPage), LATE);
    right(ann_is_in(Words::Nothing), LATE);
    let again = |words, at| {
        let again = vec![(at - 2, scans("ann", "s")), (at, told("ann", "s", words))];
        with(ann_is_in(Words::LoggedIn), again)
    };
    right(again(Words::Expired, 190), LATE);
    assert_eq!(wrong(again(Words::Expired, 189), LATE).len(), 1, "it was still known");
    assert_eq!(wrong(again(Words::TryAgain, 190), LATE).len(), 1, "an attempt was recorded");
}

#[test]
fn a_page_that_is_left_without_a_word_is_caught() {
    let silent_after = |events: Events, last: u64| {
        right(events.clone(), last);
        let violations = wrong(events, last + 1);
        assert!(
            matches!(&violations[..], [Violation::Silent { browser: A, until, .. }] if *until == seconds(last)),
            "{last}: {violations:?}"
        );
    };
    let connecting = Event::Connecting { browser: A, gives_up_in: seconds(40) };
    let busy = |retry_in| heard(A, "s", News::Error { retry_in });
    let longer = heard(A, "s", News::Scanned { expires_in: seconds(300), number: None });
    silent_after(vec![(0, connecting)], 55);
    silent_after(vec![(0, Event::Connected { browser: A })], 15);
    silent_after(vec![(0, shown(A, "s"))], 135);
    silent_after(vec![(0, shown(A, "s")), (100, longer)], 415);
    silent_after(vec![(0, shown(A, "s")), (100, busy(Some(seconds(60))))], 175);
    silent_after(vec![(0, shown(A, "s")), (100, busy(None))], 115);
    silent_after(vec![(0, shown(A, "s")), (100, closed(A, 1006, 30))], 145);
    silent_after(vec![(0, shown(A, "s")), (110, heard(A, "s", News::Expired))], 125);
    silent_after(vec![(0, shown(A, "s")), (50, Event::Renews { browser: A })], 65);

    // Each silence counts, whatever comes after it.
    let late = vec![(0, shown(A, "s")), (136, shown(A, "s")), (272, heard(A, "s", News::Denied))];
    assert_eq!(wrong(late, 1000).len(), 2);
}

#[test]
fn what_redis_lost_is_counted_and_excuses_nothing_else() {
    let forgotten = |browser: Browser, scene: &str, person: &str| {
        vec![
            (1, shown(browser, scene)),
            (10, scans(person, scene)),
            (12, told(person, scene, Words::LoggedIn)),
            (20, closed(browser, 4001, 1)),
            (21, shown(browser, &format!("{scene}, renewed"))),
        ]
    };
    let two = with(forgotten(A, "s", "ann"), forgotten(B, "t", "ben"));
    assert_eq!(wrong(two.clone(), LATE).len(), 2);
    let lost = |scene: &str| (19, Event::Lost { scene: scene.to_owned() });
    let one_declared = with(two.clone(), vec![lost("s")]);
    assert!(matches!(&wrong(one_declared, LATE)[..], [Violation::Forgotten { scene, .. }] if scene == "t"));
    assert_eq!(right(with(two.clone(), vec![lost("s"), lost("t")]), LATE).lost, 2);

    let numbered = |lost_up_to| check(&History { lost_up_to, ..history(two.clone(), LATE) });
    assert_eq!(numbered(2).unwrap().lost, 2);
    let violations = numbered(1).unwrap_err();
    assert_eq!(violations[0], Violation::TooManyLost { found: 2, declared: 1 });
    assert_eq!(violations.len(), 3);

    let elsewhere = vec![lost("s"), (50, shown(B, "s"))];
    let violations = wrong(with(forgotten(A, "s", "ann"), elsewhere), LATE);
    assert!(matches!(violations[..], [Violation::Shared { .. }]));
    let somebody = vec![lost("s"), (15, granted(A, "s", "ben"))];
    let violations = wrong(with(ann(Words::LoggedIn), somebody), LATE);
    assert!(matches!(violations[..], [Violation::WrongPerson { .. }]));
    let silent = with(ann(Words::LoggedIn), vec![lost("s")]);
    assert!(matches!(wrong(silent, 1000)[..], [Violation::Silent { .. }]), "it must renew all the same");
}

#[test]
fn the_default_texts_have_their_meanings() {
    let meant = |reply| Words::of(Some(reply));
    assert_eq!(meant("阿狸，登录成功！\n这是你第1次登录，玩的开心！"), Words::LoggedIn);
    assert_eq!(meant("阿狸，欢迎回来！\n这是你第2次登录，玩的开心！"), Words::LoggedIn);
    assert_eq!(meant("这次登录已过期，请刷新网页后重试。"), Words::Expired);
    assert_eq!(meant("这个码已经被使用过，请刷新网页后重试。"), Words::Taken);
    assert_eq!(meant("这次登录已取消。"), Words::Denied);
    assert_eq!(meant("「shop」正在请求登录\n地点：127.0.*.*"), Words::Question);
    assert_eq!(meant("上一次的登录已取消。\n「shop」正在请求登录"), Words::Question);
    let wrong =
        "数字不对，请看网页上显示的两位数字再回复一次（还可以试 2 次）。如果不是你本人在登录，请回复 0。";
    assert_eq!(meant(wrong), Words::WrongNumber);
    let many = "数字错误次数过多，登录已取消。需要登录时请刷新网页后重试。";
    assert_eq!(meant(many), Words::WrongNumbers);
    assert_eq!(meant("已拒绝，没有人登录。如果二维码或验证码是别人发给你的，请不要再用。"), Words::NotMe);
    assert_eq!(meant("已超时，没有登录。请刷新网页后重试。"), Words::Late);
    let confirmed = "这次登录刚才已经确认，不能再取消。如果不是你本人，请到该网站退出登录。";
    assert_eq!(meant(confirmed), Words::Confirmed);
    for words in ["系统繁忙，没有登录，请稍后再试一次。", "系统繁忙，没有登录，请稍后再扫一次。"]
    {
        assert_eq!(meant(words), Words::TryAgain);
    }
    let look = "请看一下网页：结果以网页显示为准；如果网页没有反应，请刷新后重试。";
    assert_eq!(meant(look), Words::LookAtPage);
    assert_eq!((Words::of(None), meant("hello")), (Words::Nothing, Words::Other));
    assert_eq!(meant("验证码不对或已过期，请发送网页上现在显示的验证码。"), Words::WrongCode);
    assert_eq!(meant("验证码错误次数过多，请 10 分钟后再试。"), Words::TooManyCodes);
    assert_eq!(meant("如果是你本人打开的网页，请回复 1 登录。\n「shop」正在请求登录"), Words::Question);
}

#[test]
fn times_are_told_by_rank() {
    let scan_to_page = (1..=200).rev().map(seconds).collect();
    let summary = Summary { scan_to_page, ..Summary::default() };
    let within = |part| summary.scan_to_page_within(part).as_secs();
    assert_eq!((within(0.0), within(0.5), within(0.99), within(1.0)), (1, 100, 198, 200));
    assert_eq!(Summary::default().scan_to_page_within(0.99), Duration::ZERO);
}

#[test]
fn the_time_to_the_page_runs_from_the_scan_that_did_it() {
    let again = vec![(30, scans("ann", "s")), (33, granted(A, "s", "ann"))];
    assert_eq!(right(with(ann(Words::TryAgain), again.clone()), LATE).scan_to_page, [seconds(3)]);
    assert_eq!(right(with(ann(Words::LookAtPage), again), LATE).scan_to_page, [seconds(23)]);
}

#[tokio::test(start_paused = true)]
async fn a_recorder_keeps_what_happened_when() {
    let recorder = Recorder::new();
    recorder.clone().record(shown(A, "s"));
    tokio::time::advance(seconds(5)).await;
    recorder.record(scanned(A, "s"));
    tokio::time::advance(seconds(2)).await;
    let expected = history(vec![(0, shown(A, "s")), (5, scanned(A, "s"))], 7);
    assert_eq!(recorder.history(), expected);
}
