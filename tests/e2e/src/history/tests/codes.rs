//! Invented logins at sites: for each rule of codes one that breaks it.

use super::*;

fn at_site(browser: Browser, site: &str) -> Event {
    Event::AtSite { browser, site: site.to_owned(), confirms: false }
}

fn granted_with(browser: Browser, scene: &str, user: &str, code: &str) -> Event {
    heard(browser, scene, News::Granted { user: user.to_owned(), code: Some(code.to_owned()) })
}

fn redeems(code: &str, site: &str, instance: usize) -> Event {
    Event::Redeems { code: code.to_owned(), site: site.to_owned(), instance }
}

fn redeemed(code: &str, site: &str, instance: usize, gets: Gets) -> Event {
    Event::Redeemed { code: code.to_owned(), site: site.to_owned(), instance, gets }
}

fn is(person: &str) -> Gets {
    Gets::Person(person.to_owned())
}

/// Ann scans in front of browser A, which is at the shop, and gets the code "c".
fn ann_is_in_the_shop() -> Events {
    with(ann(Words::LoggedIn), vec![(0, at_site(A, "shop")), (12, granted_with(A, "s", "ann", "c"))])
}

/// The shop brings that code, from one second to another, and gets this.
fn brings(times: (u64, u64), instance: usize, gets: Gets) -> Events {
    vec![(times.0, redeems("c", "shop", instance)), (times.1, redeemed("c", "shop", instance, gets))]
}

fn then(more: Events) -> Events {
    with(ann_is_in_the_shop(), more)
}

#[test]
fn an_honest_login_at_a_site_is_good_and_counted() {
    let summary = right(then(brings((14, 15), 1, is("ann"))), LATE);
    assert_eq!((summary.granted, summary.redeemed, summary.in_vain, summary.doubts), (1, 1, 0, 0));
    assert!(summary.to_string().contains("redeemed 1 codes"), "{summary}");
    // The page comes back to the end, and hears it once more.
    let again = vec![(13, closed(A, 1006, 3)), (14, shown(A, "s")), (14, granted_with(A, "s", "ann", "c"))];
    right(then(again), LATE);
    // Nobody has a name.
    let nameless = vec![(0, at_site(A, "shop")), (12, granted_with(A, "s", "", "c"))];
    right(with(with(ann(Words::LookAtPage), nameless), brings((14, 15), 0, is("ann"))), LATE);
}

#[test]
fn a_page_at_a_site_without_a_code_is_caught() {
    let events = with(ann_is_in(Words::LoggedIn), vec![(0, at_site(A, "shop"))]);
    let found = wrong(events, LATE);
    assert_eq!(found, [Violation::NoCode { browser: A, site: "shop".to_owned() }]);
    assert!(!found[0].to_string().is_empty());
    right(ann_is_in(Words::LoggedIn), LATE);
}

#[test]
fn a_code_at_two_browsers_or_of_two_logins_is_caught() {
    let ben = vec![
        (0, at_site(B, "shop")),
        (1, shown(B, "t")),
        (10, scans("ben", "t")),
        (12, granted_with(B, "t", "ben", "c")),
    ];
    let found = wrong(then(ben), LATE);
    assert!(matches!(&found[..], [Violation::SharedCode { pages, .. }] if pages.len() == 2), "{found:?}");
    // It is the code, too, that one login has and no other.
    let second = vec![(13, closed(A, 1006, 3)), (14, shown(A, "s")), (14, granted_with(A, "s", "ann", "d"))];
    let found = wrong(then(second), LATE);
    assert!(matches!(&found[..], [Violation::SecondCode { codes, .. }] if codes.len() == 2), "{found:?}");
}

#[test]
fn a_code_that_is_redeemed_twice_is_caught() {
    let first = brings((14, 15), 0, is("ann"));
    let found = wrong(then(with(first.clone(), brings((16, 17), 1, is("ann")))), LATE);
    let tries = vec![(0, "shop".to_owned()), (1, "shop".to_owned())];
    assert_eq!(found, [Violation::RedeemedTwice { code: "c".to_owned(), tries }]);
    right(then(with(first, brings((16, 17), 1, Gets::Refusal))), LATE);
    // Both at once.
    let found = wrong(then(with(brings((14, 17), 0, is("ann")), brings((15, 16), 1, is("ann")))), LATE);
    assert!(matches!(found[..], [Violation::RedeemedTwice { .. }]), "{found:?}");
    right(then(with(brings((14, 17), 0, is("ann")), brings((15, 16), 1, Gets::Refusal))), LATE);
}

#[test]
fn another_person_than_the_one_who_scanned_is_caught() {
    let other = |events: Events| {
        let found = wrong(events, LATE);
        assert!(matches!(&found[..], [Violation::OtherPerson { .. }]), "{found:?}");
    };
    other(then(brings((14, 15), 0, is("ben"))));
    // Ben scanned as well, but page and phone were told that it is Ann.
    let ben = vec![(11, scans("ben", "s")), (13, told("ben", "s", Words::Taken))];
    other(with(then(ben.clone()), brings((14, 15), 0, is("ben"))));
    right(with(then(ben.clone()), brings((14, 15), 0, is("ann"))), LATE);
    // The page was told no name, the phone was.
    let nameless = vec![(0, at_site(A, "shop")), (12, granted_with(A, "s", "", "c"))];
    let nameless = with(with(ann(Words::LoggedIn), ben), nameless);
    other(with(nameless.clone(), brings((14, 15), 0, is("ben"))));
    right(with(nameless, brings((14, 15), 0, is("ann"))), LATE);
    // No page ever got this code.
    let invented = vec![(14, redeems("x", "shop", 0)), (15, redeemed("x", "shop", 0, is("ann")))];
    let found = wrong(then(invented), LATE);
    assert!(found.iter().any(|one| matches!(one, Violation::OtherPerson { .. })), "{found:?}");
}

#[test]
fn another_site_may_bring_a_code_and_gets_nothing() {
    let thief = |gets| vec![(13, redeems("c", "cafe", 0)), (13, redeemed("c", "cafe", 0, gets))];
    let found = wrong(then(thief(is("ann"))), LATE);
    assert_eq!(found, [Violation::OtherSite { code: "c".to_owned(), site: "cafe".to_owned() }]);
    let refused = then(thief(Gets::Refusal));
    assert_eq!(right(refused.clone(), LATE).in_vain, 0, "its own site has not come yet");
    right(with(refused.clone(), brings((14, 15), 0, is("ann"))), LATE);
    let found = wrong(with(refused, brings((14, 15), 0, Gets::Refusal)), LATE);
    assert!(matches!(found[..], [Violation::NotRedeemed { .. }]), "a stranger uses nothing up: {found:?}");
}

#[test]
fn a_good_code_that_is_refused_is_caught() {
    let lost = |events: Events| {
        let found = wrong(then(events), 1000);
        let code = ("c".to_owned(), "s".to_owned());
        assert_eq!(found, [Violation::NotRedeemed { code: code.0, scene: code.1, instance: 1 }]);
    };
    let refused_at = |at| brings((at - 1, at), 1, Gets::Refusal);
    lost(refused_at(14));
    lost(refused_at(249));
    right(then(refused_at(250)), 1000);
    // What did not reach the provider used nothing.
    lost(with(brings((13, 14), 0, Gets::Nothing), refused_at(16)));
    lost(with(refused_at(14), brings((15, 16), 0, is("ann"))));
    // An answer that was lost may have been a good one, also when it comes later.
    for earlier in [
        brings((13, 14), 0, Gets::Doubt),
        brings((13, 200), 0, Gets::Doubt),
        vec![(13, redeems("c", "shop", 0))],
    ] {
        let summary = right(then(with(earlier, refused_at(20))), 1000);
        assert_eq!((summary.redeemed, summary.in_vain, summary.doubts), (0, 1, 1));
    }
    lost(with(refused_at(20), brings((20, 21), 0, Gets::Doubt)));
}

#[test]
fn a_code_that_redis_lost_is_counted() {
    let lost = then(brings((13, 14), 1, Gets::Refusal));
    assert_eq!(right(with(lost.clone(), vec![(13, Event::Lost { scene: "s".to_owned() })]), LATE).lost, 1);
    let numbered = |lost_up_to| check(&History { lost_up_to, ..history(lost.clone(), LATE) });
    assert_eq!(numbered(1).unwrap().lost, 1);
    assert_eq!(numbered(0).unwrap_err().len(), 1);
    // It excuses nothing else.
    let stolen = with(lost, vec![(13, Event::Lost { scene: "s".to_owned() })]);
    let stolen = with(stolen, brings((15, 16), 0, is("ben")));
    assert!(matches!(wrong(stolen, LATE)[..], [Violation::OtherPerson { .. }]));
}
