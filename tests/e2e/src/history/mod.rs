//! The events of a run, as browsers, people and the gateway saw them, and the check that they keep the
//! promises.
//!
//! A test records events while it injects faults. At the end [`check()`] judges the whole run. It is a pure
//! function that does not know how the system works.

mod browser;
mod check;
mod codes;
mod confirmation;
mod report;
#[cfg(test)]
mod tests;
mod ways;
mod words;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use self::check::check;
pub use self::report::{Summary, Violation};
pub use self::ways::Way;
pub use self::words::Words;

/// How long a page can still get an end by resuming.
pub const KEPT_AFTER_END: Duration = Duration::from_secs(180);

/// How long a site can redeem a code.
pub const CODE_LIFE: Duration = Duration::from_secs(240);

/// One browser's page. It stays the same one when its socket or its code changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Browser(pub u32);

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A browser begins to connect, with a time limit.
    Connecting {
        /// Which browser.
        browser: Browser,
        /// The limit for the handshake.
        gives_up_in: Duration,
    },
    /// A browser's socket is open.
    Connected {
        /// Which browser.
        browser: Browser,
    },
    /// A browser's socket is lost or closed, or could not be opened.
    Closed {
        /// Which browser.
        browser: Browser,
        /// The close code; 1006 if there was none.
        code: u16,
        /// When the page comes back; `None` if it never does.
        back_in: Option<Duration>,
    },
    /// A page shows a code: a new one, or its own again.
    Shown {
        /// Which browser.
        browser: Browser,
        /// The login's scene.
        scene: String,
        /// The life of the code, as the gateway says.
        expires_in: Duration,
        /// What people may type in place of scanning, where the page shows it.
        typed: Option<String>,
    },
    /// A page gets news of its login.
    Heard {
        /// Which browser.
        browser: Browser,
        /// The scene that it shows.
        scene: Option<String>,
        /// The news.
        news: News,
    },
    /// A page asks for another code in place of the one that it shows.
    Renews {
        /// Which browser.
        browser: Browser,
    },
    /// A page has renewed its code often enough, and waits for a press on its button.
    GivesUp {
        /// Which browser.
        browser: Browser,
    },
    /// A person begins to come to a login: by a scan, or by what stands for one.
    Claims {
        /// The person's nickname. Nobody else in the run has it.
        person: String,
        /// The scene of the login.
        scene: String,
        /// How.
        way: Way,
    },
    /// A person's phone shows the answer to a claim, or to what they have typed.
    Told {
        /// The person's nickname.
        person: String,
        /// The scene that was claimed, or that they mean.
        scene: String,
        /// The way of what is answered. One person may go two ways at once.
        way: Way,
        /// The words on the phone.
        words: Words,
    },
    /// The page on a person's phone offers numbers, of which they are to choose that of the login page.
    Offered {
        /// The person's nickname.
        person: String,
        /// The scene of the login.
        scene: String,
        /// The numbers.
        numbers: Vec<String>,
    },
    /// A person has sent a code that no page has shown, and their phone shows the answer.
    Guessed {
        /// The person's nickname.
        person: String,
        /// The code.
        code: String,
        /// The words on the phone.
        words: Words,
    },
    /// The state of a login in the gateway, from a `query` or from its store.
    Recorded {
        /// The login's scene.
        scene: String,
        /// Its end; `None` for a live one.
        end: Option<End>,
    },
    /// A browser is at a site. From then on its logins give codes for that site.
    AtSite {
        /// Which browser.
        browser: Browser,
        /// The site's id.
        site: String,
        /// Whether people confirm each login in the chat, by the number that the page shows.
        confirms: bool,
    },
    /// A person answers the question about a login: in the chat, or by a button of the page on their phone. Their phone's
    /// answer is [`Event::Told`].
    Types {
        /// The person's nickname.
        person: String,
        /// The scene of the login that they mean.
        scene: String,
        /// How they have come to it. Who has come by [`Way::Wechat`] answers on that page.
        way: Way,
        /// The digits; 0 says that it was not them, and 1 that it was.
        text: String,
    },
    /// A site's back end begins to redeem a code.
    Redeems {
        /// The code.
        code: String,
        /// The site that brings it.
        site: String,
        /// The number of the callback service.
        instance: usize,
    },
    /// A site's back end knows what it gets for a code.
    Redeemed {
        /// The code.
        code: String,
        /// The site that brought it.
        site: String,
        /// The number of the callback service.
        instance: usize,
        /// What it gets.
        gets: Gets,
    },
    /// Redis itself has lost a login's record, because it was emptied or failed over.
    Lost {
        /// The login's scene.
        scene: String,
    },
}

/// A page's news of its login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A person has scanned.
    Scanned {
        /// The time that the login has now.
        expires_in: Duration,
        /// What the page shows, where the person is to confirm.
        number: Option<String>,
    },
    /// The login is granted.
    Granted {
        /// The person's nickname; empty if WeChat gave none.
        user: String,
        /// What the page's site redeems.
        code: Option<String>,
    },
    /// The person said no.
    Denied,
    /// The time of the login ran out.
    Expired,
    /// Something does not work now.
    Error {
        /// When the gateway tries again.
        retry_in: Option<Duration>,
    },
}

/// The end of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Somebody is logged in.
    Granted,
    /// The person said no.
    Denied,
    /// The time of the login ran out.
    Expired,
}

/// What a site gets for a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gets {
    /// The person's nickname.
    Person(String),
    /// The code gives nothing.
    Refusal,
    /// Either no answer, or one that asks for another try.
    Doubt,
    /// No connection: the code was not even sent.
    Nothing,
}

/// Records the events of a run. All its tasks use it at once.
#[derive(Clone)]
pub struct Recorder {
    began: Instant,
    events: Arc<Mutex<Vec<(Duration, Event)>>>,
}

impl Recorder {
    /// A recorder. The run begins now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it begins a run")]
    pub fn new() -> Self {
        Self { began: Instant::now(), events: Arc::default() }
    }

    /// Records an event that happens now. A claim is recorded before it begins, its words when they are known,
    /// and a page's news at once.
    ///
    /// # Panics
    /// When a run has far more events than intended.
    pub fn record(&self, event: Event) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(events.len() < MAX_EVENTS, "the run does not end");
        events.push((self.began.elapsed(), event));
    }

    /// The time since the run began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The events so far.
    #[must_use]
    pub fn history(&self) -> History {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
        History { events, end: self.began.elapsed(), limits: Limits::default(), lost_up_to: 0 }
    }
}

/// The most events of a run: thousands of pages with hundreds of events each.
const MAX_EVENTS: usize = 4_000_000;

/// The events of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Each event with its time since the beginning, in order.
    pub events: Vec<(Duration, Event)>,
    /// When the run ended.
    pub end: Duration,
    /// The time limits.
    pub limits: Limits,
    /// The number of further logins whose record Redis itself may have lost, beside those in [`Event::Lost`].
    /// After a failover only this number is known.
    pub lost_up_to: usize,
}

/// The time limits of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a page may stay connected without news of a recorded end. By default 30 s: a heartbeat, within
    /// which a lost wake-up heals, and a margin.
    pub delivered_within: Duration,
    /// How long a page may wait for its first code, for another code, or for an answer. By default 15 s.
    pub answered_within: Duration,
    /// The margin on every time that a page was told. By default 15 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            delivered_within: Duration::from_secs(30),
            answered_within: Duration::from_secs(15),
            grace: Duration::from_secs(15),
        }
    }
}

impl fmt::Display for Browser {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "browser {}", self.0)
    }
}
