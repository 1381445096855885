//! The result of a check: the violations in words, or the numbers of the run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::browser::{Fate, Run};
use super::{Browser, End, News, Way, Words};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// More than one browser showed the same scene.
    Shared {
        /// The scene.
        scene: String,
        /// The browsers.
        browsers: Vec<Browser>,
    },
    /// A page got news of a login that it does not show.
    Strayed {
        /// The browser.
        browser: Browser,
        /// The login of the news; `None` if the page shows none.
        scene: Option<String>,
        /// The news.
        news: News,
    },
    /// A page was told that a person is logged in who had not come to its login.
    WrongPerson {
        /// The browser.
        browser: Browser,
        /// The scene that it shows.
        scene: String,
        /// The person.
        user: String,
    },
    /// A login had more than one end.
    EndedTwice {
        /// The scene.
        scene: String,
        /// Its ends, with the person who was logged in.
        ends: Vec<(End, String)>,
    },
    /// A page went on with a login that had ended for it, or that it had replaced.
    CameBack {
        /// The browser.
        browser: Browser,
        /// The scene.
        scene: String,
    },
    /// A recorded scan did not reach its page, although the page was connected.
    NotDelivered {
        /// The scene.
        scene: String,
        /// The person who came to it.
        person: String,
        /// The browser.
        browser: Browser,
    },
    /// A page came in time for a recorded scan, but its login was unknown, or it got another code.
    Forgotten {
        /// The scene.
        scene: String,
        /// The person who came to it.
        person: String,
        /// The browser.
        browser: Browser,
    },
    /// A phone showed something untrue.
    Untrue {
        /// The scene.
        scene: String,
        /// The person.
        person: String,
        /// The words on the phone.
        words: Words,
        /// Why they are untrue.
        because: String,
    },
    /// A page waited longer than it had been told to, and got no message.
    Silent {
        /// The browser.
        browser: Browser,
        /// The scene that it showed.
        scene: Option<String>,
        /// The time of its last event.
        since: Duration,
        /// The latest time at which its wait had to end.
        until: Duration,
    },
    /// A page at a site was logged in without a code.
    NoCode {
        /// The browser.
        browser: Browser,
        /// The site.
        site: String,
    },
    /// More than one login or browser got the same code.
    SharedCode {
        /// The code.
        code: String,
        /// The browsers, each with its scene.
        pages: Vec<(Browser, String)>,
    },
    /// A login gave more than one code.
    SecondCode {
        /// The scene.
        scene: String,
        /// The codes.
        codes: Vec<String>,
    },
    /// A code was redeemed more than once.
    RedeemedTwice {
        /// The code.
        code: String,
        /// Where, and by which site.
        tries: Vec<(usize, String)>,
    },
    /// A code was redeemed by a site that the page was not at.
    OtherSite {
        /// The code.
        code: String,
        /// The site that redeemed it.
        site: String,
    },
    /// A code gave a person who had not come to its login.
    OtherPerson {
        /// The code.
        code: String,
        /// The person.
        person: String,
    },
    /// A good code was refused although nothing can have used it.
    NotRedeemed {
        /// The code.
        code: String,
        /// Its scene.
        scene: String,
        /// The callback service that refused it.
        instance: usize,
    },
    /// A page showed another number than before for the same login.
    OtherNumber {
        /// The browser.
        browser: Browser,
        /// The scene.
        scene: String,
        /// The number before, and this one.
        numbers: [String; 2],
    },
    /// A page no longer shows the number of a login that still waits for it.
    NumberGone {
        /// The browser.
        browser: Browser,
        /// The scene.
        scene: String,
    },
    /// Somebody was logged in who had not answered as their way asks for, or had said no before.
    NotConfirmed {
        /// The scene.
        scene: String,
        /// The person, as far as anybody was told.
        user: String,
        /// How it is known.
        known: String,
    },
    /// People were told of two different decisions about a login.
    DecidedTwice {
        /// The scene.
        scene: String,
        /// What they were told.
        words: Vec<Words>,
    },
    /// What somebody typed counted for a login that is not theirs.
    NotTheirs {
        /// The scene.
        scene: String,
        /// The person.
        person: String,
        /// The words on their phone.
        words: Words,
    },
    /// Two people were told as if a login were theirs.
    TwoPeople {
        /// The scene.
        scene: String,
        /// The people.
        people: Vec<String>,
    },
    /// A person's phone offered other numbers than before, or not that of the page.
    WrongOffer {
        /// The scene.
        scene: String,
        /// The person.
        person: String,
        /// The numbers.
        numbers: Vec<String>,
    },
    /// A page showed more than one code to type for the same login.
    OtherCode {
        /// The scene.
        scene: String,
        /// The codes.
        codes: Vec<String>,
    },
    /// Two logins showed the same code to type.
    CodeOfTwo {
        /// The code.
        code: String,
        /// The scenes.
        scenes: Vec<String>,
    },
    /// A code that no page shows was taken for that of a login.
    GuessLed {
        /// The person who sent it.
        person: String,
        /// The code.
        code: String,
        /// The words on their phone.
        words: Words,
    },
    /// More logins look lost by Redis than Redis can have lost.
    TooManyLost {
        /// The number that was found.
        found: usize,
        /// The number that is possible.
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
                write!(out, "{browser} was logged in as {user:?}, who had not come to its login {scene}")
            }
            Self::EndedTwice { scene, ends } => write!(out, "{scene} ended more than once: {ends:?}"),
            Self::CameBack { browser, scene } => {
                write!(out, "{browser} went on with {scene}, which was over for it")
            }
            Self::NotDelivered { scene, person, browser } => {
                write!(out, "{browser} stayed connected and never heard that {person:?} had come to {scene}")
            }
            Self::Forgotten { scene, person, browser } => {
                write!(
                    out,
                    "{browser} was sent on from {scene} to another code, though {person:?} had come to it"
                )
            }
            Self::Untrue { scene, person, words, because } => {
                write!(out, "{person:?} was told {words:?} of {scene}, but {because}")
            }
            Self::Silent { browser, scene, since, until } => write!(
                out,
                "{browser}, showing {scene:?}, heard nothing from {since:.1?} until {until:.1?} and longer"
            ),
            Self::NoCode { browser, site } => {
                write!(out, "{browser} was logged in without a code, at the site {site}")
            }
            Self::SharedCode { code, pages } => write!(out, "the code {code} came to {pages:?}"),
            Self::SecondCode { scene, codes } => write!(out, "{scene} gave more than one code: {codes:?}"),
            Self::RedeemedTwice { code, tries } => {
                write!(out, "the code {code} was redeemed more than once: {tries:?}")
            }
            Self::OtherSite { code, site } => {
                write!(out, "the code {code} was redeemed by {site}, whose it is not")
            }
            Self::OtherPerson { code, person } => {
                write!(out, "the code {code} gave {person:?}, who is not the one who was logged in")
            }
            Self::NotRedeemed { code, scene, instance } => {
                write!(out, "the code {code} of {scene} was good, and instance {instance} refused it")
            }
            Self::OtherNumber { browser, scene, numbers: [before, now] } => {
                write!(out, "{browser} shows {now} for {scene}, and showed {before} before")
            }
            Self::NumberGone { browser, scene } => {
                write!(out, "{browser} no longer shows the number of {scene}, which waits for it")
            }
            Self::NotConfirmed { scene, user, known } => {
                write!(out, "{user:?} was logged in by {scene} without a right answer of theirs: {known}")
            }
            Self::DecidedTwice { scene, words } => {
                write!(out, "{scene} was decided more than once: {words:?}")
            }
            Self::NotTheirs { scene, person, words } => {
                write!(out, "{person:?} had not come to {scene}, and was told {words:?} when they answered")
            }
            Self::TwoPeople { scene, people } => write!(out, "{scene} was {people:?}'s at once"),
            Self::WrongOffer { scene, person, numbers } => {
                write!(
                    out,
                    "{person:?} was offered {numbers:?} for {scene}, whose number or first offer is another"
                )
            }
            Self::OtherCode { scene, codes } => {
                write!(out, "{scene} has more than one code to type: {codes:?}")
            }
            Self::CodeOfTwo { code, scenes } => write!(out, "{code} is to be typed for each of {scenes:?}"),
            Self::GuessLed { person, code, words } => {
                write!(out, "{person:?} sent {code}, which no page shows, and was told {words:?}")
            }
            Self::TooManyLost { found, declared } => {
                write!(out, "{found} logins look lost, and Redis can have lost {declared}")
            }
        }
    }
}

/// The numbers of a run without violations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Pages.
    pub browsers: usize,
    /// Codes they showed.
    pub codes: usize,
    /// Pages that were logged in.
    pub granted: usize,
    /// Those of them that were logged in with their first code.
    pub on_first_code: usize,
    /// Those of them that got no name, so only the scene shows that it was the right person.
    pub nameless: usize,
    /// Pages whose login was denied.
    pub denied: usize,
    /// Pages that showed their button at the end.
    pub gave_up: usize,
    /// Pages that were closed for good, by close code.
    pub stopped: BTreeMap<u16, usize>,
    /// Pages that still waited, within their time, when the run ended.
    pub unfinished: usize,
    /// Ends of sockets, by close code.
    pub closes: BTreeMap<u16, usize>,
    /// Scans and what stands for them, by the way.
    pub claims: BTreeMap<Way, usize>,
    /// Logins to which somebody came by more than one way, or people by different ones.
    pub raced: usize,
    /// Codes that no page shows and that people were told are wrong.
    pub wrong_codes: usize,
    /// The words on the phones.
    pub words: BTreeMap<Words, usize>,
    /// Codes for which a site learnt who it is.
    pub redeemed: usize,
    /// Codes that a site brought in vain, after an answer that was lost. Their people log in again.
    pub in_vain: usize,
    /// Tries to redeem a code that had no clear answer.
    pub doubts: usize,
    /// Recorded scans whose pages were not connected to hear of them.
    pub away: usize,
    /// Logins whose record Redis itself lost.
    pub lost: usize,
    /// For each scan the time until its page was told, in no order.
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

    /// The time within which this part of the scans reached their pages; 0.99 leaves out the slowest hundredth.
    /// Zero if there were no scans.
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
            "{browsers} pages, {codes} codes, came by {:?}, {} by two ways, {} wrong codes; phones were told {:?}",
            self.claims, self.raced, self.wrong_codes, self.words
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
        if self.redeemed + self.in_vain > 0 {
            let Self { redeemed, in_vain, doubts, .. } = self;
            writeln!(
                out,
                "sites redeemed {redeemed} codes, {in_vain} in vain, with {doubts} unclear answers"
            )?;
        }
        writeln!(out, "sockets ended with {:?}", self.closes)?;
        let [half, most, all] = [0.5, 0.99, 1.0].map(|part| self.scan_to_page_within(part));
        write!(out, "from scan to page: half {half:.2?}, 99 of 100 {most:.2?}, longest {all:.2?}")
    }
}
