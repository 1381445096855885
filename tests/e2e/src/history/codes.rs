//! The codes of logins at sites: who got each one, which sites brought it where, and what it gave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::check::Act;
use super::{Browser, CODE_LIFE, Event, Gets, History, News, Summary, Violation, Words};

/// The codes of a run.
#[derive(Default)]
pub(super) struct Codes<'a> {
    codes: BTreeMap<&'a str, Code<'a>>,
    /// The site that each browser is at.
    sites: BTreeMap<Browser, &'a str>,
    /// Pages at a site that were logged in without a code.
    missing: BTreeSet<Browser>,
}

/// Everything that happened to one code.
#[derive(Default)]
struct Code<'a> {
    /// The pages that got it, each with its scene and the name that it was told.
    pages: BTreeSet<(Browser, &'a str, &'a str)>,
    tries: Vec<Try<'a>>,
}

/// A site brings a code.
struct Try<'a> {
    site: &'a str,
    instance: usize,
    at: Duration,
    /// What it got; nothing if the run ended first.
    got: Option<(Duration, &'a Gets)>,
}

impl Try<'_> {
    /// It was not sent, or is known to have used nothing.
    fn is_without_effect(&self) -> bool {
        matches!(self.got, Some((_, Gets::Nothing | Gets::Refusal)))
    }

    fn is_in_doubt(&self) -> bool {
        matches!(self.got, None | Some((_, Gets::Doubt)))
    }
}

impl<'a> Codes<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut codes = Self::default();
        for (at, event) in &history.events {
            codes.step(*at, event);
        }
        codes
    }

    fn step(&mut self, at: Duration, event: &'a Event) {
        match event {
            Event::AtSite { browser, site, .. } => drop(self.sites.insert(*browser, site)),
            Event::Heard { browser, scene, news: News::Granted { user, code: Some(code) } } => {
                let scene = scene.as_deref().unwrap_or_default();
                self.codes.entry(code).or_default().pages.insert((*browser, scene, user));
            }
            Event::Heard { browser, news: News::Granted { code: None, .. }, .. }
                if self.sites.contains_key(browser) =>
            {
                self.missing.insert(*browser);
            }
            Event::Redeems { code, site, instance } => {
                let brought = Try { site, instance: *instance, at, got: None };
                self.codes.entry(code).or_default().tries.push(brought);
            }
            Event::Redeemed { code, site, instance, gets } => {
                let tries = &mut self.codes.entry(code).or_default().tries;
                let is_it =
                    |one: &&mut Try<'_>| one.site == site && one.instance == *instance && one.got.is_none();
                if let Some(one) = tries.iter_mut().find(is_it) {
                    one.got = Some((at, gets));
                }
            }
            _ => {}
        }
    }

    /// Each code, with its scene if a page got it.
    pub(super) fn scenes(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        self.codes.iter().map(|(name, code)| (*name, code.pages.first().map(|(_, scene, _)| *scene)))
    }

    /// Judges who got codes, and how often and by whom they were redeemed.
    pub(super) fn judge(&self, violations: &mut Vec<Violation>) {
        for browser in &self.missing {
            violations.push(Violation::NoCode { browser: *browser, site: self.sites[browser].to_owned() });
        }
        let mut given: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, code) in &self.codes {
            let code_name = || (*name).to_owned();
            let pages: BTreeSet<_> =
                code.pages.iter().map(|(browser, scene, _)| (*browser, *scene)).collect();
            for (_, scene) in &pages {
                given.entry(scene).or_default().push(code_name());
            }
            if pages.len() > 1 {
                let pages = pages.iter().map(|(browser, scene)| (*browser, (*scene).to_owned())).collect();
                violations.push(Violation::SharedCode { code: code_name(), pages });
            }
            let won: Vec<_> = code.won().map(|(one, _)| one).collect();
            if won.len() > 1 {
                let tries = won.iter().map(|one| (one.instance, one.site.to_owned())).collect();
                violations.push(Violation::RedeemedTwice { code: code_name(), tries });
            }
            if let Some(other) = won.iter().find(|one| Some(one.site) != self.site(code)) {
                violations.push(Violation::OtherSite { code: code_name(), site: other.site.to_owned() });
            }
        }
        for (scene, codes) in given.into_iter().filter(|(_, codes)| codes.len() > 1) {
            violations.push(Violation::SecondCode { scene: scene.to_owned(), codes });
        }
    }

    /// Judges whom a code gave, by what people did about its scene.
    pub(super) fn judge_person(&self, name: &str, acts: &[Act<'_>], violations: &mut Vec<Violation>) {
        let code = &self.codes[name];
        for (one, person) in code.won() {
            let did = acts.iter().any(|act| act.is_claim() && act.person == person && act.at <= one.at);
            let mut others = acts.iter().filter(|act| act.person != person);
            let mut users = code.pages.iter().map(|(_, _, user)| *user).filter(|user| !user.is_empty());
            // The page and the phone were told who it is.
            let denied =
                users.any(|user| user != person) || others.any(|act| act.words() == Some(Words::LoggedIn));
            if !did || denied {
                let (code, person) = (name.to_owned(), person.to_owned());
                violations.push(Violation::OtherPerson { code, person });
            }
        }
    }

    /// The refusal of a code that was good: it came in time, from its site, and no other try can have used it.
    pub(super) fn refused(&self, name: &str, acts: &[Act<'_>]) -> Option<Violation> {
        let code = &self.codes[name];
        let (_, scene, _) = code.pages.first()?;
        let own: Vec<_> = code.tries.iter().filter(|one| Some(one.site) == self.site(code)).collect();
        // It is made after the first claim began.
        let until = acts.first()?.at + CODE_LIFE;
        let refusal = own.iter().enumerate().find_map(|(number, one)| {
            let (got_at, Gets::Refusal) = one.got? else { return None };
            let mut others = own.iter().enumerate().filter(|(other, _)| *other != number);
            let unused = others.all(|(_, other)| other.at >= got_at || other.is_without_effect());
            (got_at < until && unused).then_some(one)
        })?;
        let (code, scene) = (name.to_owned(), (*scene).to_owned());
        Some(Violation::NotRedeemed { code, scene, instance: refusal.instance })
    }

    pub(super) fn count(&self, summary: &mut Summary) {
        for code in self.codes.values() {
            let is_redeemed = code.won().next().is_some();
            let is_brought = code.tries.iter().any(|one| Some(one.site) == self.site(code));
            summary.redeemed += usize::from(is_redeemed);
            summary.in_vain += usize::from(is_brought && !is_redeemed);
            summary.doubts += code.tries.iter().filter(|one| one.is_in_doubt()).count();
        }
    }

    /// The site of the page that got the code.
    fn site(&self, code: &Code<'_>) -> Option<&'a str> {
        let (browser, _, _) = code.pages.first()?;
        self.sites.get(browser).copied()
    }
}

impl<'a> Code<'a> {
    /// The tries that gave a person.
    fn won(&self) -> impl Iterator<Item = (&Try<'a>, &'a str)> {
        self.tries.iter().filter_map(|one| match one.got {
            Some((_, Gets::Person(person))) => Some((one, person.as_str())),
            _ => None,
        })
    }
}
