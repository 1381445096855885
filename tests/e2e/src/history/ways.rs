//! The ways to a login, and the rules between them: whichever way came first, a login is one person's; a code that people
//! type is one login's; and a code that no page shows leads nowhere.

use std::collections::{BTreeMap, BTreeSet};

use super::browser::Run;
use super::check::Login;
use super::{Browser, Event, History, Violation, Words};

/// How a person comes to a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// They scan the QR code.
    Scan,
    /// They send the page's short code to the account.
    Typed,
    /// They open the login's page inside WeChat.
    Wechat,
}

/// Judges who has had a login, and what they were offered to choose from.
pub(super) fn judge(scene: &str, login: &Login<'_>, violations: &mut Vec<Violation>) {
    let told = login.acts.iter().filter(|act| act.words().is_some_and(are_its_owners));
    let people: BTreeSet<_> = told.map(|act| act.person.to_owned()).collect();
    if people.len() > 1 {
        let people = people.into_iter().collect();
        violations.push(Violation::TwoPeople { scene: scene.to_owned(), people });
    }
    let mut offers: BTreeMap<&str, &[String]> = BTreeMap::new();
    for (person, numbers) in &login.offers {
        let is_missing = login.number().is_some_and(|number| numbers.iter().all(|offered| offered != number));
        // Of two offers only the right number is in both.
        let is_other = offers.insert(person, numbers).is_some_and(|before| before != *numbers);
        if is_missing || is_other {
            let (scene, person) = (scene.to_owned(), (*person).to_owned());
            violations.push(Violation::WrongOffer { scene, person, numbers: numbers.to_vec() });
        }
    }
}

/// Words that only the one person hears whose login it is.
fn are_its_owners(words: Words) -> bool {
    matches!(
        words,
        Words::Question
            | Words::WrongNumber
            | Words::WrongNumbers
            | Words::NotMe
            | Words::Late
            | Words::LoggedIn
            | Words::Confirmed
    )
}

/// Judges the codes that pages show to be typed, and what came of those that none shows.
pub(super) fn judge_codes(history: &History, runs: &BTreeMap<Browser, Run>, violations: &mut Vec<Violation>) {
    let mut scenes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for run in runs.values() {
        for (scene, login) in &run.logins {
            for code in &login.typed {
                scenes.entry(code).or_default().insert(scene);
            }
            if login.typed.len() > 1 {
                let (scene, codes) = (scene.clone(), login.typed.iter().cloned().collect());
                violations.push(Violation::OtherCode { scene, codes });
            }
        }
    }
    for (code, scenes) in scenes.into_iter().filter(|(_, scenes)| scenes.len() > 1) {
        let scenes = scenes.into_iter().map(str::to_owned).collect();
        violations.push(Violation::CodeOfTwo { code: code.to_owned(), scenes });
    }
    for (_, event) in &history.events {
        if let Event::Guessed { person, code, words } = event
            && words.tell_of_a_login()
        {
            let (person, code) = (person.clone(), code.clone());
            violations.push(Violation::GuessLed { person, code, words: *words });
        }
    }
}

/// How many codes that no page shows were answered as wrong.
pub(super) fn wrong_codes(history: &History) -> usize {
    let is_one = |event: &Event| matches!(event, Event::Guessed { words: Words::WrongCode, .. });
    history.events.iter().filter(|(_, event)| is_one(event)).count()
}
