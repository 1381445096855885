//! One browser's run: which login its page showed and when, what it heard, and whether it ever waited too long
//! without a message.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Browser, End, Event, Limits, News, Violation};

/// The course of a browser.
#[derive(Default)]
pub(super) struct Run {
    /// The scenes it showed, in order.
    pub(super) shown: Vec<String>,
    /// What happened to it at each of them.
    pub(super) logins: BTreeMap<String, AtLogin>,
    /// How its sockets ended.
    pub(super) closes: Vec<u16>,
    pub(super) fate: Fate,
    /// The scene that it shows now.
    now: Option<String>,
    /// Since when it is connected and shows that scene, if it is.
    attached_since: Option<Duration>,
    /// Since when it has waited, and how long it may.
    waits: Option<(Duration, Duration)>,
    /// Since when it has come back to a login without being told that login's number again.
    without_number_since: Option<Duration>,
}

/// A browser at one of its logins.
#[derive(Debug, Default)]
pub(super) struct AtLogin {
    /// The times in which it was connected and showed the login.
    pub(super) attached: Vec<(Duration, Duration)>,
    /// The ends that it heard.
    pub(super) ends: Vec<(Duration, End, String)>,
    /// The number that it was told first.
    pub(super) number: Option<String>,
    /// The codes to type that it showed; a true gateway gives one.
    pub(super) typed: BTreeSet<String>,
    /// When it was told that the login is unknown.
    pub(super) unknown: Option<Duration>,
    /// When it showed another login instead.
    pub(super) left: Option<Duration>,
}

/// The end of a browser.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fate {
    /// The run ended first.
    #[default]
    Unfinished,
    /// It was told an end.
    Ended,
    /// It shows its button.
    GaveUp,
    /// It was closed with this code, and does not come back.
    Stopped(u16),
}

impl Run {
    /// Follows a browser through its events, to the end of the run.
    pub(super) fn of(
        browser: Browser,
        events: &[(Duration, &Event)],
        end: Duration,
        limits: &Limits,
        violations: &mut Vec<Violation>,
    ) -> Self {
        let mut run = Self::default();
        for (at, event) in events {
            run.wait_is_over(browser, *at, violations);
            run.number_is_due(browser, *at, limits, violations);
            run.step(browser, *at, event, limits, violations);
        }
        run.wait_is_over(browser, end, violations);
        run.number_is_due(browser, end, limits, violations);
        run.detach(end);
        run
    }

    fn step(
        &mut self,
        browser: Browser,
        at: Duration,
        event: &Event,
        limits: &Limits,
        violations: &mut Vec<Violation>,
    ) {
        let soon = limits.answered_within;
        match event {
            Event::Connecting { gives_up_in, .. } => self.wait(at, *gives_up_in + limits.grace),
            Event::Connected { .. } | Event::Renews { .. } => self.wait(at, soon),
            Event::Closed { code, back_in, .. } => {
                self.detach(at);
                self.closes.push(*code);
                if let (4001, Some(login)) = (code, self.login()) {
                    login.unknown.get_or_insert(at);
                }
                match back_in {
                    // After an end the socket no longer matters.
                    _ if self.fate == Fate::Ended => {}
                    Some(back_in) => self.wait(at, *back_in + limits.grace),
                    None => self.finish(Fate::Stopped(*code)),
                }
            }
            Event::Shown { scene, expires_in, typed, .. } => {
                self.wait(at, *expires_in + limits.grace);
                if self.now.as_ref() != Some(scene) {
                    self.show(browser, at, scene, violations);
                }
                self.attached_since.get_or_insert(at);
                if let Some(login) = self.login() {
                    login.typed.extend(typed.clone());
                }
                if self.login().is_some_and(|login| login.number.is_some() && login.ends.is_empty()) {
                    self.without_number_since.get_or_insert(at);
                }
            }
            Event::Heard { scene, news, .. } => {
                self.hear(browser, at, scene.as_ref(), news, limits, violations);
            }
            Event::GivesUp { .. } => self.finish(Fate::GaveUp),
            Event::Claims { .. }
            | Event::Types { .. }
            | Event::Offered { .. }
            | Event::Guessed { .. }
            | Event::Told { .. }
            | Event::Recorded { .. }
            | Event::AtSite { .. }
            | Event::Redeems { .. }
            | Event::Redeemed { .. }
            | Event::Lost { .. } => {}
        }
    }

    fn show(&mut self, browser: Browser, at: Duration, scene: &str, violations: &mut Vec<Violation>) {
        self.detach(at);
        if let Some(login) = self.login() {
            login.left = Some(at);
        }
        if self.logins.contains_key(scene) {
            violations.push(Violation::CameBack { browser, scene: scene.to_owned() });
        } else {
            self.shown.push(scene.to_owned());
            self.logins.insert(scene.to_owned(), AtLogin::default());
        }
        self.now = Some(scene.to_owned());
    }

    fn hear(
        &mut self,
        browser: Browser,
        at: Duration,
        scene: Option<&String>,
        news: &News,
        limits: &Limits,
        violations: &mut Vec<Violation>,
    ) {
        let end = match news {
            News::Error { retry_in } => {
                return self.wait(at, retry_in.unwrap_or_default() + limits.answered_within);
            }
            News::Scanned { expires_in, number } => {
                self.wait(at, *expires_in + limits.grace);
                self.is_numbered(browser, number.as_ref(), violations);
                None
            }
            News::Granted { user, .. } => {
                self.finish(Fate::Ended);
                Some((End::Granted, user.clone()))
            }
            News::Denied => {
                self.finish(Fate::Ended);
                Some((End::Denied, String::new()))
            }
            News::Expired => {
                self.wait(at, limits.answered_within);
                Some((End::Expired, String::new()))
            }
        };
        let Some(login) = scene.filter(|scene| self.now.as_ref() == Some(scene)).and(self.login()) else {
            violations.push(Violation::Strayed { browser, scene: scene.cloned(), news: news.clone() });
            return;
        };
        match end {
            Some((end, user)) => {
                login.ends.push((at, end, user));
                self.without_number_since = None;
            }
            None if login.ends.is_empty() => {}
            None => {
                violations.push(Violation::CameBack { browser, scene: scene.cloned().unwrap_or_default() });
            }
        }
    }

    /// The page is told that its code was scanned, perhaps with the number to show.
    fn is_numbered(&mut self, browser: Browser, number: Option<&String>, violations: &mut Vec<Violation>) {
        let Some(scene) = self.now.clone() else { return };
        let Some(login) = self.login() else { return };
        match (&login.number, number) {
            (Some(before), Some(number)) if before != number => {
                let numbers = [before.clone(), number.clone()];
                violations.push(Violation::OtherNumber { browser, scene, numbers });
            }
            (Some(_), None) => violations.push(Violation::NumberGone { browser, scene }),
            (None, Some(number)) => login.number = Some(number.clone()),
            _ => {}
        }
        if number.is_some() {
            self.without_number_since = None;
        }
    }

    /// A page that comes back shows its number again.
    fn number_is_due(
        &mut self,
        browser: Browser,
        now: Duration,
        limits: &Limits,
        violations: &mut Vec<Violation>,
    ) {
        if let Some(since) = self.without_number_since
            && now > since + limits.answered_within
            && let Some(scene) = self.now.clone()
        {
            violations.push(Violation::NumberGone { browser, scene });
            self.without_number_since = None;
        }
    }

    fn login(&mut self) -> Option<&mut AtLogin> {
        self.logins.get_mut(self.now.as_ref()?)
    }

    fn wait(&mut self, since: Duration, time: Duration) {
        self.fate = Fate::Unfinished;
        self.waits = Some((since, since + time));
    }

    fn finish(&mut self, fate: Fate) {
        self.fate = fate;
        self.waits = None;
    }

    fn wait_is_over(&mut self, browser: Browser, now: Duration, violations: &mut Vec<Violation>) {
        if let Some((since, until)) = self.waits
            && now > until
        {
            violations.push(Violation::Silent { browser, scene: self.now.clone(), since, until });
            self.waits = None;
        }
    }

    fn detach(&mut self, at: Duration) {
        self.without_number_since = None;
        if let Some(since) = self.attached_since.take()
            && let Some(login) = self.login()
        {
            login.attached.push((since, at));
        }
    }
}
