//! Generated runs of an honest system, and a lie in each.

use proptest::prelude::*;

use super::*;

/// The course of one browser in an honest system. Each browser has its own person.
#[derive(Debug, Clone)]
struct Honest {
    starts: u64,
    /// Codes that expired without a scan, before the one that was scanned.
    expired: usize,
    /// For each lost socket: seconds until it is lost, and seconds until it is back.
    losses: Vec<(u64, u64)>,
    words: Words,
    /// Seconds from the last loss to the scan, and from the scan to the page.
    scan: (u64, u64),
}

fn honest() -> impl Strategy<Value = Honest> {
    let words = prop_oneof![Just(Words::LoggedIn), Just(Words::LookAtPage), Just(Words::Nothing)];
    let losses = proptest::collection::vec((1..5_u64, 1..4_u64), 0..4);
    (0..50_u64, 0..3_usize, losses, words, (1..20_u64, 0..4_u64))
        .prop_map(|(starts, expired, losses, words, scan)| Honest { starts, expired, losses, words, scan })
}

impl Honest {
    fn events(&self, number: u32) -> Events {
        let browser = Browser(number);
        let person = person(number);
        let mut now = self.starts;
        let mut events = vec![(now, Event::Connected { browser })];
        for at in 0..self.expired {
            events.push((now, shown(browser, &format!("{number}/{at}"))));
            now += 120;
            events.push((now, heard(browser, &format!("{number}/{at}"), News::Expired)));
            events.push((now, Event::Renews { browser }));
        }
        let scene = format!("{number}/{}", self.expired);
        events.push((now, shown(browser, &scene)));
        for (after, away) in &self.losses {
            now += after;
            events.push((now, closed(browser, 1006, *away)));
            now += away;
            events.push((now, Event::Connected { browser }));
            events.push((now, shown(browser, &scene)));
        }
        now += self.scan.0;
        events.push((now, scans(&person, &scene)));
        now += self.scan.1;
        events.push((now, scanned(browser, &scene)));
        events.push((now, granted(browser, &scene, &person)));
        events.push((now, told(&person, &scene, self.words)));
        events
    }
}

fn person(number: u32) -> String {
    format!("person {number}")
}

/// Replaces the event of a browser's grant by other events.
fn instead_of_the_grant(events: &mut Events, browser: Browser, more: impl FnOnce(u64, &str) -> Events) {
    let grant = |(_, event): &(u64, Event)| match event {
        Event::Heard { browser: whose, news: News::Granted { .. }, .. } => *whose == browser,
        _ => false,
    };
    let place = events.iter().position(grant).unwrap();
    let (at, event) = events.remove(place);
    let Event::Heard { scene: Some(scene), .. } = event else { unreachable!("a grant") };
    events.extend(more(at, &scene));
}

proptest! {
    /// Every honest run passes, and every lie in such a run is found.
    #[test]
    fn honest_runs_pass_and_each_lie_is_found(
        pages in proptest::collection::vec(honest(), 2..8),
        lie in 0..7_u8,
    ) {
        let mut pages = pages;
        // This browser is lied to; its person's phone said that she is logged in.
        pages[0].words = Words::LoggedIn;
        let numbered = (0..).zip(&pages);
        let mut events: Events = numbered.flat_map(|(number, page)| page.events(number)).collect();
        events.sort_by_key(|(at, _)| *at);
        let end = 2000;
        let summary = check(&history(events.clone(), end)).unwrap();
        prop_assert_eq!((summary.granted, summary.scan_to_page.len()), (pages.len(), pages.len()));
        let first = pages.iter().filter(|page| page.expired == 0).count();
        prop_assert_eq!(summary.on_first_code, first);

        let (victim, other) = (Browser(0), Browser(1));
        let grant = |user: u32| News::Granted { user: person(user), code: None };
        match lie {
            // The page gets the name of a person who scanned another browser's code.
            0 => instead_of_the_grant(&mut events, victim, |at, scene| vec![(at, heard(victim, scene, grant(1)))]),
            // Another browser gets the outcome.
            1 => instead_of_the_grant(&mut events, victim, |at, scene| vec![(at, heard(other, scene, grant(0)))]),
            // The page gets nothing.
            2 => instead_of_the_grant(&mut events, victim, |_, _| Vec::new()),
            // The login is unknown, and another code replaces it.
            3 => instead_of_the_grant(&mut events, victim, |at, _| {
                vec![(at, closed(victim, 4001, 1)), (at, shown(victim, "new")), (at, heard(victim, "new", News::Denied))]
            }),
            4 => instead_of_the_grant(&mut events, victim, |at, scene| vec![(at, heard(victim, scene, News::Denied))]),
            // The login ends twice.
            5 => events.push((end, heard(victim, &format!("0/{}", pages[0].expired), News::Expired))),
            _ => for (_, event) in &mut events {
                if let Event::Told { person: who, words, .. } = event && *who == person(0) {
                    *words = Words::TryAgain;
                }
            },
        }
        events.sort_by_key(|(at, _)| *at);
        let violations = wrong(events, end);
        let found = |violation: &Violation| match lie {
            0 => matches!(violation, Violation::WrongPerson { browser, .. } if *browser == victim),
            1 => matches!(violation, Violation::Strayed { browser, .. } if *browser == other),
            2 => matches!(violation, Violation::NotDelivered { browser, .. } if *browser == victim),
            3 => matches!(violation, Violation::Forgotten { browser, .. } if *browser == victim),
            4 => matches!(violation, Violation::Untrue { words: Words::LoggedIn, .. }),
            5 => matches!(violation, Violation::EndedTwice { .. }),
            _ => matches!(violation, Violation::Untrue { words: Words::TryAgain, .. }),
        };
        prop_assert!(violations.iter().any(found), "lie {}: {:?}", lie, violations);
        prop_assert!(violations.iter().all(|violation| !violation.to_string().is_empty()));
    }
}
