//! The rules of logins that people confirm: nobody is logged in before the number of the page was typed by whoever
//! scanned its code, a login is decided once, and only by its own person.

use std::collections::BTreeSet;
use std::time::Duration;

use super::check::{Act, Grant, Login};
use super::{Browser, End, Event, History, Violation, Words};

/// Wrong numbers after which the right one no longer counts.
const TRIES: usize = 3;

/// The browsers at sites whose people confirm.
pub(super) fn browsers(history: &History) -> BTreeSet<Browser> {
    let confirming = history.events.iter().filter_map(|(_, event)| match event {
        Event::AtSite { browser, confirms: true, .. } => Some(*browser),
        _ => None,
    });
    confirming.collect()
}

/// Judges what people typed about a login, and what came of it. `confirming` are the browsers at sites whose people
/// confirm.
pub(super) fn judge(
    scene: &str,
    login: &Login<'_>,
    confirming: &BTreeSet<Browser>,
    violations: &mut Vec<Violation>,
) {
    if login.pages.keys().any(|browser| confirming.contains(browser)) {
        judge_grants(scene, login, violations);
    }
    judge_decisions(scene, login, violations);
    for act in login.acts.iter().filter(|act| !act.is_scan()) {
        if let Some(words) = act.words().filter(|words| takes_for_answer(*words))
            && !has(login, act.person, act.at)
        {
            let (scene, person) = (scene.to_owned(), act.person.to_owned());
            violations.push(Violation::NotTheirs { scene, person, words });
        }
    }
}

/// However it is known that somebody was logged in, they have typed the number before.
fn judge_grants(scene: &str, login: &Login<'_>, violations: &mut Vec<Violation>) {
    let heard =
        login.grants().map(|Grant { browser, at, user }| (at, user, format!("{browser} was told so")));
    let told = login.acts.iter().filter_map(|act| match act.told {
        Some((at, Words::LoggedIn)) => Some((at, act.person, "their phone was told so".to_owned())),
        _ => None,
    });
    let recorded = login.recorded.iter().filter(|(_, end)| *end == Some(End::Granted));
    let recorded = recorded.map(|(at, _)| (*at, "", "the gateway says so".to_owned()));
    let without = heard.chain(told).chain(recorded).find(|(at, user, _)| !is_confirmed(login, user, *at));
    if let Some((_, user, known)) = without {
        let (scene, user) = (scene.to_owned(), user.to_owned());
        violations.push(Violation::NotConfirmed { scene, user, known });
    }
}

/// Whether the right number was typed by then, by this person, or by anybody where there is no name; and not after a no.
fn is_confirmed(login: &Login<'_>, user: &str, by: Duration) -> bool {
    let Some(number) = login.number() else { return false };
    login.acts.iter().enumerate().any(|(place, act)| {
        let is_theirs = user.is_empty() || act.person == user;
        let is_right = act.typed == Some(number) && act.at <= by;
        is_theirs
            && is_right
            && has(login, act.person, act.at)
            && !is_refused(&login.acts[..place], act.person, number)
    })
}

/// Whether a person has refused a login, by a 0 or by too many wrong numbers. What was not clearly answered may not have
/// arrived.
fn is_refused(before: &[Act<'_>], person: &str, number: &str) -> bool {
    let is_clear = |words: Option<Words>| {
        !matches!(words, None | Some(Words::Nothing | Words::LookAtPage | Words::Other))
    };
    let clear = || before.iter().filter(|act| act.person == person && is_clear(act.words()));
    let wrong = clear().filter(|act| act.typed.is_some_and(|typed| typed != number)).count();
    clear().any(|act| act.typed == Some("0")) || wrong >= TRIES
}

/// Whether a person has this login: they had scanned it by then, and were never told that it is somebody else's.
fn has(login: &Login<'_>, person: &str, by: Duration) -> bool {
    let mut own = login.scans().filter(|scan| scan.person == person).peekable();
    own.peek().is_some_and(|first| first.at <= by) && own.all(|scan| scan.words() != Some(Words::Taken))
}

/// Whether words answer a number or a no, and not any message. To look at the page is said when nothing is known.
fn takes_for_answer(words: Words) -> bool {
    !matches!(words, Words::Other | Words::LookAtPage | Words::Nothing)
}

/// Which decision words tell of.
fn decision(words: Words) -> Option<Words> {
    match words {
        Words::LoggedIn | Words::Confirmed => Some(Words::LoggedIn),
        Words::NotMe | Words::WrongNumbers | Words::Late => Some(words),
        _ => None,
    }
}

fn judge_decisions(scene: &str, login: &Login<'_>, violations: &mut Vec<Violation>) {
    let told = login.acts.iter().filter_map(Act::words).filter_map(decision);
    let decisions: BTreeSet<_> = told.collect();
    if decisions.len() > 1 {
        let words = decisions.into_iter().collect();
        violations.push(Violation::DecidedTwice { scene: scene.to_owned(), words });
    }
}
