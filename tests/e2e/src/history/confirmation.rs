//! The rules of logins that people confirm: nobody is logged in before they have answered as their way asks for, a login
//! is decided once, and only by its own person.

use std::collections::BTreeSet;
use std::time::Duration;

use super::check::{Act, Grant, Login};
use super::{Browser, End, Event, History, Violation, Way, Words};

/// Wrong numbers after which the right one no longer counts.
const TRIES: usize = 3;

/// As many where the phone's page offers numbers to choose from.
const TRIES_OF_A_CHOICE: usize = 1;

/// Says yes where the number is not needed.
const YES: &str = "1";

/// Says that it was not them.
const NO: &str = "0";

/// The browsers at sites whose people confirm.
pub(super) fn browsers(history: &History) -> BTreeSet<Browser> {
    let confirming = history.events.iter().filter_map(|(_, event)| match event {
        Event::AtSite { browser, confirms: true, .. } => Some(*browser),
        _ => None,
    });
    confirming.collect()
}

/// Judges what people answered about a login, and what came of it. `confirming` are the browsers at sites whose people
/// confirm.
pub(super) fn judge(
    scene: &str,
    login: &Login<'_>,
    confirming: &BTreeSet<Browser>,
    violations: &mut Vec<Violation>,
) {
    let confirms = login.pages.keys().any(|browser| confirming.contains(browser));
    judge_grants(scene, login, confirms, violations);
    judge_decisions(scene, login, violations);
    for act in login.acts.iter().filter(|act| !act.is_claim()) {
        if let Some(words) = act.words().filter(|words| takes_for_answer(*words))
            && !has(login, act.person, act.at)
        {
            let (scene, person) = (scene.to_owned(), act.person.to_owned());
            violations.push(Violation::NotTheirs { scene, person, words });
        }
    }
}

/// However it is known that somebody was logged in, they have answered before.
fn judge_grants(scene: &str, login: &Login<'_>, confirms: bool, violations: &mut Vec<Violation>) {
    let heard =
        login.grants().map(|Grant { browser, at, user }| (at, user, format!("{browser} was told so")));
    let told = login.acts.iter().filter_map(|act| match act.told {
        Some((at, Words::LoggedIn)) => Some((at, act.person, "their phone was told so".to_owned())),
        _ => None,
    });
    let recorded = login.recorded.iter().filter(|(_, end)| *end == Some(End::Granted));
    let recorded = recorded.map(|(at, _)| (*at, "", "the gateway says so".to_owned()));
    let due = |user: &str| confirms || came_by_page_alone(login, user);
    let mut known = heard.chain(told).chain(recorded).filter(|(_, user, _)| due(user));
    let without = known.find(|(at, user, _)| !is_confirmed(login, confirms, user, *at));
    if let Some((_, user, known)) = without {
        let (scene, user) = (scene.to_owned(), user.to_owned());
        violations.push(Violation::NotConfirmed { scene, user, known });
    }
}

/// Whether this person, or everybody where there is no name, has only opened the login's page. Who opens a link has not
/// said yes, also where nobody wants the number.
fn came_by_page_alone(login: &Login<'_>, user: &str) -> bool {
    let mut claims = login.claims().filter(|act| user.is_empty() || act.person == user).peekable();
    claims.peek().is_some() && claims.all(|act| act.way == Way::Wechat)
}

/// Whether what lets a login in was done by then, by this person, or by anybody where there is no name; and not after a no.
fn is_confirmed(login: &Login<'_>, confirms: bool, user: &str, by: Duration) -> bool {
    login.acts.iter().enumerate().any(|(place, act)| {
        let is_theirs = user.is_empty() || act.person == user;
        is_theirs
            && act.at <= by
            && lets_in(login, confirms, place)
            && has(login, act.person, act.at)
            && !is_refused(login, confirms, place)
    })
}

/// Whether the act at this place logs its person in, if nothing else is against it: the page's number, a yes by whoever has
/// sent the page's code or looks at the page on their phone, or where nobody is asked the claim itself.
pub(super) fn lets_in(login: &Login<'_>, confirms: bool, place: usize) -> bool {
    let act = &login.acts[place];
    let on_page = act.way == Way::Wechat;
    match act.typed {
        None => !confirms && !on_page,
        Some(YES) if !confirms => on_page,
        Some(YES) => {
            let mut before = login.acts[..place].iter();
            !on_page && before.any(|it| it.is_claim() && it.person == act.person && it.way == Way::Typed)
        }
        Some(text) => confirms && login.number() == Some(text),
    }
}

/// Whether the person of the act at this place had refused the login before, by a 0 or by too many wrong numbers. What was
/// not clearly answered may not have arrived, and what was answered "try again" was not taken.
fn is_refused(login: &Login<'_>, confirms: bool, place: usize) -> bool {
    let is_clear = |words: Option<Words>| {
        let unclear = [Words::Nothing, Words::LookAtPage, Words::Unsure, Words::TryAgain, Words::Other];
        words.is_some_and(|words| !unclear.contains(&words))
    };
    let person = login.acts[place].person;
    let before = login.acts[..place].iter().enumerate();
    let answers = before.filter(|(_, act)| act.person == person && !act.is_claim() && is_clear(act.words()));
    let (mut wrong, mut wrong_choices) = (0, 0);
    for (at, act) in answers {
        if act.typed == Some(NO) {
            return true;
        }
        let is_wrong = !lets_in(login, confirms, at);
        wrong += usize::from(is_wrong);
        wrong_choices += usize::from(is_wrong && act.way == Way::Wechat);
    }
    wrong >= TRIES || wrong_choices >= TRIES_OF_A_CHOICE
}

/// Whether a person has this login: they had claimed it by then, and were never told that it is somebody else's.
fn has(login: &Login<'_>, person: &str, by: Duration) -> bool {
    let mut own = login.claims().filter(|claim| claim.person == person).peekable();
    own.peek().is_some_and(|first| first.at <= by) && own.all(|claim| claim.words() != Some(Words::Taken))
}

/// Whether words answer a number or a no, and not any message. To look at the page is said when nothing is known.
fn takes_for_answer(words: Words) -> bool {
    !matches!(words, Words::Other | Words::LookAtPage | Words::Unsure | Words::Nothing)
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
