//! The rules that a run must keep: the right browser and the right person, one end, nothing lost, no page left
//! without a message, nothing untrue on a phone, and of logins at sites the rules of their codes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::browser::{AtLogin, Run};
use super::codes::Codes;
use super::confirmation;
use super::ways::{self, Way};
use super::{Browser, End, Event, History, KEPT_AFTER_END, Limits, Summary, Violation, Words};

/// Judges a run.
///
/// - A scene belongs to one browser. Only that browser gets news of it, and only a person who came to it is logged in,
///   by whichever way. It is one person's: whoever else comes, also at the same moment and by another way, is not asked,
///   and is not logged in.
/// - A code that people type is one login's, and stays the same. A code that no page shows leads nowhere.
/// - A login ends once. A login that a page has left does not come back.
/// - A recorded scan reaches its page if the page is connected before [`KEPT_AFTER_END`] is over. A connected
///   page is told within [`Limits::delivered_within`], and never gets another code instead.
/// - A page always gets a message within the time that it was told, until it is told an end.
/// - A phone says "logged in" only if that is true. It says "try again" (or "expired", "taken", "denied") never
///   of the scan that logged its owner in.
/// - A page at a site is logged in with a code, which no other login and no other browser gets. That site alone can
///   redeem it, once, for the person who scanned.
/// - Where people confirm, nobody is logged in who has not answered after they came: by the page's number, or with a 1
///   where they had sent the page's code; nor after they have said no or given three wrong numbers, or one where they
///   choose among three. Who has only opened the login's page inside WeChat always answers: where nobody wants the number,
///   by its button. A login is decided once, and only by whoever has it. Its number stays the same, everywhere it is
///   shown, and a page that comes back shows it.
/// - A code that comes within [`CODE_LIFE`](super::CODE_LIFE) for the first time is redeemed.
///
/// A login whose record Redis itself has lost may break the third rule, that of phones, and the last one. Such logins
/// are counted.
///
/// # Errors
/// Every violation.
pub fn check(history: &History) -> Result<Summary, Vec<Violation>> {
    let mut violations = Vec::new();
    let runs = runs(history, &mut violations);
    ways::judge_codes(history, &runs, &mut violations);
    let logins = logins(history, &runs);
    let confirming = confirmation::browsers(history);
    let mut summary = Summary::of_runs(&runs);
    summary.wrong_codes = ways::wrong_codes(history);
    // Violations that a lost record would explain, by scene, without the scenes that are known to be lost.
    let mut explicable: BTreeMap<&str, Vec<Violation>> = BTreeMap::new();
    for (scene, login) in &logins {
        login.count(&mut summary);
        login.judge_ends(scene, &mut violations);
        confirmation::judge(scene, login, &confirming, &mut violations);
        ways::judge(scene, login, &mut violations);
        let mut found = Vec::new();
        login.judge_words(scene, &mut found);
        login.judge_delivery(scene, &history.limits, &mut found, &mut summary);
        if login.is_lost {
            summary.lost += 1;
        } else if !found.is_empty() {
            explicable.insert(scene, found);
        }
    }
    let codes = Codes::of(history);
    codes.count(&mut summary);
    codes.judge(&mut violations);
    for (code, scene) in codes.scenes() {
        let login = scene.and_then(|scene| logins.get(scene));
        codes.judge_person(code, login.map_or(&[], |login| &login.acts), &mut violations);
        if let (Some(scene), Some(login)) = (scene, login)
            && !login.is_lost
            && let Some(refused) = codes.refused(code, &login.acts)
        {
            explicable.entry(scene).or_default().push(refused);
        }
    }
    if explicable.len() <= history.lost_up_to {
        summary.lost += explicable.len();
    } else {
        if history.lost_up_to > 0 {
            violations.push(Violation::TooManyLost { found: explicable.len(), declared: history.lost_up_to });
        }
        violations.extend(explicable.into_values().flatten());
    }
    if violations.is_empty() { Ok(summary) } else { Err(violations) }
}

fn runs(history: &History, violations: &mut Vec<Violation>) -> BTreeMap<Browser, Run> {
    let mut events: BTreeMap<Browser, Vec<_>> = BTreeMap::new();
    for (at, event) in &history.events {
        let browser = match event {
            Event::Connecting { browser, .. }
            | Event::Connected { browser }
            | Event::Closed { browser, .. }
            | Event::Shown { browser, .. }
            | Event::Heard { browser, .. }
            | Event::Renews { browser }
            | Event::GivesUp { browser } => *browser,
            Event::Claims { .. }
            | Event::Types { .. }
            | Event::Offered { .. }
            | Event::Guessed { .. }
            | Event::Told { .. }
            | Event::Recorded { .. }
            | Event::AtSite { .. }
            | Event::Redeems { .. }
            | Event::Redeemed { .. }
            | Event::Lost { .. } => continue,
        };
        events.entry(browser).or_default().push((*at, event));
    }
    let run = |(browser, events): (Browser, Vec<_>)| {
        (browser, Run::of(browser, &events, history.end, &history.limits, violations))
    };
    events.into_iter().map(run).collect()
}

/// Everything that happened to one login.
#[derive(Default)]
pub(super) struct Login<'a> {
    pub(super) pages: BTreeMap<Browser, &'a AtLogin>,
    /// In the order of their times.
    pub(super) acts: Vec<Act<'a>>,
    /// The numbers that people's phones offered them, each with whose phone.
    pub(super) offers: Vec<(&'a str, &'a [String])>,
    pub(super) recorded: Vec<(Duration, Option<End>)>,
    is_lost: bool,
}

/// A person claims a login, or answers.
pub(super) struct Act<'a> {
    pub(super) person: &'a str,
    pub(super) at: Duration,
    pub(super) way: Way,
    /// The answer; nothing where it is a claim.
    pub(super) typed: Option<&'a str>,
    pub(super) told: Option<(Duration, Words)>,
}

impl Act<'_> {
    pub(super) fn is_claim(&self) -> bool {
        self.typed.is_none()
    }

    /// Whether another act of the same person, by another way, was going on at the same time.
    fn overlaps(&self, other: &Self) -> bool {
        let ends = |act: &Self| act.told.map_or(Duration::MAX, |(at, _)| at);
        let is_another = self.person == other.person && self.way != other.way;
        is_another && self.at <= ends(other) && other.at <= ends(self)
    }

    /// The words on the phone; none while there are none.
    pub(super) fn words(&self) -> Option<Words> {
        self.told.map(|(_, words)| words)
    }
}

/// A page's news that a person is logged in.
pub(super) struct Grant<'a> {
    pub(super) browser: Browser,
    pub(super) at: Duration,
    pub(super) user: &'a str,
}

fn logins<'a>(history: &'a History, runs: &'a BTreeMap<Browser, Run>) -> BTreeMap<&'a str, Login<'a>> {
    let mut logins: BTreeMap<&str, Login<'_>> = BTreeMap::new();
    for (browser, run) in runs {
        for (scene, at_login) in &run.logins {
            logins.entry(scene).or_default().pages.insert(*browser, at_login);
        }
    }
    for (at, event) in &history.events {
        match event {
            Event::Claims { person, scene, way } => {
                let act = Act { person, at: *at, way: *way, typed: None, told: None };
                logins.entry(scene).or_default().acts.push(act);
            }
            Event::Types { person, scene, way, text } => {
                let act = Act { person, at: *at, way: *way, typed: Some(text), told: None };
                logins.entry(scene).or_default().acts.push(act);
            }
            Event::Offered { person, scene, numbers } => {
                logins.entry(scene).or_default().offers.push((person, numbers));
            }
            Event::Told { person, scene, way, words } => {
                let acts = &mut logins.entry(scene).or_default().acts;
                let is_theirs = |act: &&mut Act<'_>| act.person == person && act.way == *way;
                let mut open = acts.iter_mut().filter(|act| is_theirs(act) && act.told.is_none());
                if let Some(act) = open.next() {
                    act.told = Some((*at, *words));
                }
            }
            Event::Recorded { scene, end } => {
                logins.entry(scene).or_default().recorded.push((*at, *end));
            }
            Event::Lost { scene } => logins.entry(scene).or_default().is_lost = true,
            _ => {}
        }
    }
    logins
}

impl<'a> Login<'a> {
    pub(super) fn claims(&self) -> impl Iterator<Item = &Act<'a>> {
        self.acts.iter().filter(|act| act.is_claim())
    }

    /// The number that a page of it shows.
    pub(super) fn number(&self) -> Option<&'a str> {
        self.pages.values().find_map(|page| page.number.as_deref())
    }

    pub(super) fn grants(&self) -> impl Iterator<Item = Grant<'a>> {
        self.pages.iter().flat_map(|(browser, page)| {
            let granted = page.ends.iter().filter(|(_, end, _)| *end == End::Granted);
            granted.map(|(at, _, user)| Grant { browser: *browser, at: *at, user })
        })
    }

    /// When `person` was logged in, if the events show it.
    fn granted_to(&self, person: &str) -> Option<Duration> {
        let alone = self.claims().all(|claim| claim.person == person);
        let named = |user: &str| user == person || (user.is_empty() && alone);
        let heard = self.grants().filter(|grant| named(grant.user)).map(|grant| grant.at).min();
        let mut recorded = self.recorded.iter().filter(|(_, end)| alone && *end == Some(End::Granted));
        heard.or_else(|| recorded.next().map(|(at, _)| *at))
    }

    fn judge_ends(&self, scene: &str, violations: &mut Vec<Violation>) {
        let scene = || scene.to_owned();
        if self.pages.len() > 1 {
            violations
                .push(Violation::Shared { scene: scene(), browsers: self.pages.keys().copied().collect() });
        }
        for Grant { browser, at, user } in self.grants() {
            let did = |claim: &Act<'_>| claim.at <= at && (user.is_empty() || claim.person == user);
            if !self.claims().any(did) {
                violations.push(Violation::WrongPerson { browser, scene: scene(), user: user.to_owned() });
            }
        }
        let heard = self.pages.values().flat_map(|page| &page.ends);
        let heard = heard.map(|(_, end, user)| (*end, user.as_str()));
        let kinds: BTreeSet<_> = heard.clone().map(|(end, _)| end).collect();
        let known = self.recorded.iter().filter_map(|(_, end)| *end).filter(|end| !kinds.contains(end));
        let ends: BTreeSet<_> = heard.chain(known.map(|end| (end, ""))).collect();
        if ends.len() > 1 {
            let ends = ends.into_iter().map(|(end, user)| (end, user.to_owned())).collect();
            violations.push(Violation::EndedTwice { scene: scene(), ends });
        }
    }

    fn judge_words(&self, scene: &str, violations: &mut Vec<Violation>) {
        for (at, act) in self.acts.iter().enumerate() {
            let Some((told_at, words)) = act.told else { continue };
            let because = match words {
                Words::LoggedIn | Words::Confirmed => self.contradicts_logged_in(act, told_at),
                // The other way by which they came at the same moment may be what logged them in.
                Words::TryAgain if self.acts.iter().any(|other| act.overlaps(other)) => None,
                Words::TryAgain
                | Words::Expired
                | Words::WrongCode
                | Words::Taken
                | Words::Denied
                | Words::WrongNumber => {
                    self.contradicts_refusal(act.person, &self.acts[at + 1..], told_at, words)
                }
                // These are decisions: nothing that the person does afterwards logs them in.
                Words::NotMe | Words::WrongNumbers | Words::Late => {
                    self.contradicts_refusal(act.person, &[], told_at, words)
                }
                Words::Question
                | Words::LookAtPage
                | Words::Unsure
                | Words::TooManyCodes
                | Words::Other
                | Words::Nothing => None,
            };
            if let Some(because) = because {
                let person = act.person.to_owned();
                violations.push(Violation::Untrue { scene: scene.to_owned(), person, words, because });
            }
        }
    }

    fn contradicts_logged_in(&self, act: &Act<'_>, told_at: Duration) -> Option<String> {
        for (browser, page) in &self.pages {
            for (_, end, user) in &page.ends {
                if *end != End::Granted {
                    return Some(format!("{browser} heard of its end as {end:?}"));
                }
                if !user.is_empty() && user != act.person {
                    return Some(format!("{browser} was logged in as {user:?}"));
                }
            }
        }
        let mut others = self.acts.iter().filter(|other| other.person != act.person);
        if let Some(other) = others.find(|other| other.words() == Some(Words::LoggedIn)) {
            return Some(format!("{:?} was told the same", other.person));
        }
        let until = act.at + KEPT_AFTER_END;
        let mut later = self.recorded.iter().filter(|(at, _)| (told_at..until).contains(at));
        let (_, end) = later.find(|(_, end)| *end != Some(End::Granted))?;
        Some(format!("the gateway then says {end:?}"))
    }

    fn contradicts_refusal(
        &self,
        person: &str,
        later: &[Act<'_>],
        told_at: Duration,
        words: Words,
    ) -> Option<String> {
        let granted_at = self.granted_to(person)?;
        // What the person did after these words may have logged them in.
        let did = |act: &Act<'_>| act.person == person && (told_at..=granted_at).contains(&act.at);
        if later.iter().any(did) {
            return None;
        }
        // The gateway forgets a login some time after its end.
        let first = self.claims().find(|claim| claim.person == person)?.at;
        if matches!(words, Words::Expired | Words::WrongCode) && told_at >= first + KEPT_AFTER_END {
            return None;
        }
        Some(format!("what they did logged them in, as known at {granted_at:.1?}"))
    }

    fn judge_delivery(
        &self,
        scene: &str,
        limits: &Limits,
        violations: &mut Vec<Violation>,
        summary: &mut Summary,
    ) {
        let Some((scanned_at, known_at, person)) = self.recorded_scan() else { return };
        if self.grants().next().is_some() {
            return;
        }
        let kept_until = scanned_at + KEPT_AFTER_END;
        let (scene, person) = (scene.to_owned(), person.to_owned());
        for (browser, page) in &self.pages {
            let browser = *browser;
            let gone = page.unknown.into_iter().chain(page.left).min();
            if page.ends.is_empty() && gone.is_some_and(|at| at < kept_until) {
                return violations.push(Violation::Forgotten { scene, person, browser });
            }
            let there = |(from, to): &(Duration, Duration)| {
                (*to).min(kept_until).saturating_sub((*from).max(known_at)) >= limits.delivered_within
            };
            if page.attached.iter().any(there) {
                return violations.push(Violation::NotDelivered { scene, person, browser });
            }
        }
        summary.away += 1;
    }

    /// A claim, or its confirmation, that is known to be recorded: when it began, since when that is known, and whose it is.
    fn recorded_scan(&self) -> Option<(Duration, Duration, &str)> {
        let told = self.acts.iter().filter_map(|act| match act.told {
            Some((at, Words::LoggedIn)) => Some((act.at, at, act.person)),
            _ => None,
        });
        let first = self.claims().next();
        let recorded =
            self.recorded.iter().filter(|(_, end)| *end == Some(End::Granted)).filter_map(|(at, _)| {
                let first = first?;
                Some((first.at, *at, first.person))
            });
        told.chain(recorded).min()
    }

    fn count(&self, summary: &mut Summary) {
        for claim in self.claims() {
            *summary.claims.entry(claim.way).or_default() += 1;
        }
        let first = self.claims().next().map(|claim| claim.way);
        summary.raced += usize::from(self.claims().any(|claim| Some(claim.way) != first));
        for words in self.acts.iter().filter_map(Act::words) {
            *summary.words.entry(words).or_default() += 1;
        }
        let confirms = self.number().is_some();
        for Grant { at, user, .. } in self.grants() {
            let acts = self.acts.iter().enumerate();
            let theirs = acts.filter(|(_, act)| user.is_empty() || act.person == user);
            // What was answered "try again" did not do it.
            let mut did = theirs.filter(|(place, act)| {
                let may_have = act.words() != Some(Words::TryAgain) && act.at <= at;
                may_have && confirmation::lets_in(self, confirms, *place)
            });
            if let Some((_, act)) = did.next() {
                summary.scan_to_page.push(at - act.at);
            }
        }
    }
}
