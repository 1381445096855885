//! What a run's judgement says: what is wrong, in words, and what there was, in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::browser::{Fate, Run};
use super::{Browser, End, News, Words};

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// One scene was shown in more than one browser.
    Shared {
        /// Which.
        scene: String,
        /// Where.
        browsers: Vec<Browser>,
    },
    /// A page heard of a login that it does not show.
    Strayed {
        /// Where.
        browser: Browser,
        /// Which; `None` when it shows none.
        scene: Option<String>,
        /// What.
        news: News,
    },
    /// Somebody was logged in who had not scanned.
    WrongPerson {
        /// Where.
        browser: Browser,
        /// With which code on show.
        scene: String,
        /// Who.
        user: String,
    },
    /// A login had more than one end.
    EndedTwice {
        /// Which.
        scene: String,
        /// Its ends, and who was logged in.
        ends: Vec<(End, String)>,
    },
    /// A page went on with a login that had ended for it, or that it had left for another one.
    CameBack {
        /// Where.
        browser: Browser,
        /// Which.
        scene: String,
    },
    /// A recorded scan did not reach its page, which was there.
    NotDelivered {
        /// Which.
        scene: String,
        /// Who scanned.
        person: String,
        /// Where.
        browser: Browser,
    },
    /// A page was there in time for a recorded scan, and was told that nobody knows its login, or shown another.
    Forgotten {
        /// Which.
        scene: String,
        /// Who scanned.
        person: String,
        /// Where.
        browser: Browser,
    },
    /// A phone was told what is not so.
    Untrue {
        /// Which.
        scene: String,
        /// Who.
        person: String,
        /// What the phone said.
        words: Words,
        /// Why that is not so.
        because: String,
    },
    /// A page waited longer than it had been told, and heard nothing.
    Silent {
        /// Where.
        browser: Browser,
        /// What it showed.
        scene: Option<String>,
        /// When it last heard or did something.
        since: Duration,
        /// Until when it might have had to wait.
        until: Duration,
    },
    /// More logins look as if Redis had lost them than it can have.
    TooManyLost {
        /// So many.
        found: usize,
        /// Of so many.
        declared: usize,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared { scene, browsers } => write!(out, "{scene} was shown in {browsers:?}"),
            Self::Strayed { browser, scene, news } => {
                write!(out, "{browser} heard {news:?} of {scene:?}, which it does not show")
            }
            Self::WrongPerson { browser, scene, user } => {
                write!(out, "{browser} was logged in as {user:?}, who had not scanned its code {scene}")
            }
            Self::EndedTwice { scene, ends } => write!(out, "{scene} ended more than once: {ends:?}"),
            Self::CameBack { browser, scene } => {
                write!(out, "{browser} went on with {scene}, which was over for it")
            }
            Self::NotDelivered { scene, person, browser } => {
                write!(out, "{browser} stayed connected and never heard that {person:?} had scanned {scene}")
            }
            Self::Forgotten { scene, person, browser } => {
                write!(
                    out,
                    "{browser} was sent on from {scene} to another code, though {person:?} had scanned it"
                )
            }
            Self::Untrue { scene, person, words, because } => {
                write!(out, "{person:?} was told {words:?} of {scene}, but {because}")
            }
            Self::Silent { browser, scene, since, until } => write!(
                out,
                "{browser}, showing {scene:?}, heard nothing from {since:.1?} until {until:.1?} and longer"
            ),
            Self::TooManyLost { found, declared } => {
                write!(out, "{found} logins look lost, and Redis can have lost {declared}")
            }
        }
    }
}

/// What there was in a run that kept the promises.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Pages.
    pub browsers: usize,
    /// Codes they showed.
    pub codes: usize,
    /// Pages that were logged in.
    pub granted: usize,
    /// Of these, those whose first code did it.
    pub on_first_code: usize,
    /// Of these, those that heard no name, so that only the scene says it was the right person.
    pub nameless: usize,
    /// Pages whose login was denied.
    pub denied: usize,
    /// Pages that offered their button in the end.
    pub gave_up: usize,
    /// Pages that were told not to come back, by close code.
    pub stopped: BTreeMap<u16, usize>,
    /// Pages that the run's end found waiting, within their time.
    pub unfinished: usize,
    /// Ends of sockets, by close code.
    pub closes: BTreeMap<u16, usize>,
    /// Scans.
    pub scans: usize,
    /// What phones were told.
    pub words: BTreeMap<Words, usize>,
    /// Recorded scans whose pages were not there to hear of it.
    pub away: usize,
    /// Logins whose record Redis itself lost.
    pub lost: usize,
    /// From each scan to its page's hearing of the login, in no order.
    pub scan_to_page: Vec<Duration>,
}

impl Summary {
    pub(super) fn of_runs(runs: &BTreeMap<Browser, Run>) -> Self {
        let mut summary = Self { browsers: runs.len(), ..Self::default() };
        for run in runs.values() {
            summary.codes += run.shown.len();
            for code in &run.closes {
                *summary.closes.entry(*code).or_default() += 1;
            }
            let granted = run.logins.iter().find_map(|(scene, login)| {
                let (_, _, user) = login.ends.iter().find(|(_, end, _)| *end == End::Granted)?;
                Some((scene, user))
            });
            match (run.fate, granted) {
                (_, Some((scene, user))) => {
                    summary.granted += 1;
                    summary.on_first_code += usize::from(run.shown.first() == Some(scene));
                    summary.nameless += usize::from(user.is_empty());
                }
                (Fate::Ended, None) => summary.denied += 1,
                (Fate::GaveUp, None) => summary.gave_up += 1,
                (Fate::Stopped(code), None) => *summary.stopped.entry(code).or_default() += 1,
                (Fate::Unfinished, None) => summary.unfinished += 1,
            }
        }
        summary
    }

    /// The time within which this part of the scans reached their pages: 0.99 for the slowest but one in a
    /// hundred. Zero when there were none.
    #[must_use]
    pub fn scan_to_page_within(&self, part: f64) -> Duration {
        let mut times = self.scan_to_page.clone();
        times.sort_unstable();
        let rank = (part * times.len() as f64).ceil() as usize;
        times.get(rank.clamp(1, times.len().max(1)) - 1).copied().unwrap_or_default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { browsers, codes, granted, on_first_code, nameless, denied, gave_up, unfinished, .. } =
            self;
        writeln!(
            out,
            "{browsers} pages, {codes} codes, {} scans; phones were told {:?}",
            self.scans, self.words
        )?;
        writeln!(out, "{granted} logged in, {on_first_code} on their first code, {nameless} without a name")?;
        writeln!(
            out,
            "{denied} denied, {gave_up} gave up, {unfinished} unfinished, stopped by {:?}",
            self.stopped
        )?;
        writeln!(
            out,
            "{} lost by Redis itself, {} recorded while their page was away",
            self.lost, self.away
        )?;
        writeln!(out, "sockets ended with {:?}", self.closes)?;
        let [half, most, all] = [0.5, 0.99, 1.0].map(|part| self.scan_to_page_within(part));
        write!(out, "from scan to page: half {half:.2?}, 99 of 100 {most:.2?}, longest {all:.2?}")
    }
}
