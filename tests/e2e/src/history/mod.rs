//! What happened in a run, as browsers, people and the gateway saw it, and whether that keeps the promises.
//!
//! A test records events while it injects its faults, and at the end [`check()`] judges the whole: a pure
//! function, which knows nothing of how the system works.

mod browser;
mod check;
mod report;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use self::check::check;
pub use self::report::{Summary, Violation};

/// How long an end can be had again, by resume.
pub const KEPT_AFTER_END: Duration = Duration::from_secs(180);

/// One browser's page, whatever becomes of its sockets and codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Browser(pub u32);

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A browser begins to connect, and gives up after a time.
    Connecting {
        /// Whose.
        browser: Browser,
        /// How long it waits for the handshake.
        gives_up_in: Duration,
    },
    /// A browser's socket is open.
    Connected {
        /// Whose.
        browser: Browser,
    },
    /// A browser's socket is lost, was closed, or could not be had.
    Closed {
        /// Whose.
        browser: Browser,
        /// The close code; 1006 where there was none.
        code: u16,
        /// When the page comes back; `None` when it never does.
        back_in: Option<Duration>,
    },
    /// A page shows a code: a new one, or its own again.
    Shown {
        /// Whose.
        browser: Browser,
        /// The login's.
        scene: String,
        /// How long the code is good, as the gateway says.
        expires_in: Duration,
    },
    /// A page hears what became of its login.
    Heard {
        /// Whose.
        browser: Browser,
        /// The scene it shows.
        scene: Option<String>,
        /// What it hears.
        news: News,
    },
    /// A page wants another code in place of the one it shows.
    Renews {
        /// Whose.
        browser: Browser,
    },
    /// A page has had its code renewed often enough, and waits for somebody to press its button.
    GivesUp {
        /// Whose.
        browser: Browser,
    },
    /// A person begins to scan.
    Scans {
        /// Who: the nickname, which nobody else in the run has.
        person: String,
        /// What.
        scene: String,
    },
    /// A person's scan is answered on the phone.
    Told {
        /// Who.
        person: String,
        /// What was scanned.
        scene: String,
        /// What the phone says.
        words: Words,
    },
    /// The gateway, asked by a `query` or found in its store, says how a login stands.
    Recorded {
        /// Which.
        scene: String,
        /// Its end; `None` for a live one.
        end: Option<End>,
    },
    /// Redis itself has lost a login's record, by a fault that is its own: emptied, or failed over.
    Lost {
        /// Which.
        scene: String,
    },
}

/// What a page hears of its login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A person has scanned.
    Scanned {
        /// How long the login lives now.
        expires_in: Duration,
    },
    /// The login is granted.
    Granted {
        /// To whom; empty when WeChat gave no nickname.
        user: String,
    },
    /// The person said no.
    Denied,
    /// The time was over.
    Expired,
    /// Something does not work just now.
    Error {
        /// When the gateway tries again.
        retry_in: Option<Duration>,
    },
}

/// How a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Somebody is logged in.
    Granted,
    /// The person said no.
    Denied,
    /// The time was over.
    Expired,
}

/// What a phone is told, by its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Words {
    /// You are logged in.
    LoggedIn,
    /// Nothing was recorded: scan again.
    TryAgain,
    /// The code is too old.
    Expired,
    /// Somebody else has used the code.
    Taken,
    /// Perhaps: the page knows.
    LookAtPage,
    /// You said no.
    Denied,
    /// Words that are none of these.
    Other,
    /// No words of ours: WeChat says that the account is out of order.
    Nothing,
}

impl Words {
    /// What a reply in callback-service's default texts means.
    #[must_use]
    pub fn of(reply: Option<&str>) -> Self {
        let Some(reply) = reply else { return Self::Nothing };
        let meanings = [
            ("登录成功", Self::LoggedIn),
            ("欢迎回来", Self::LoggedIn),
            ("再扫一次", Self::TryAgain),
            ("已过期", Self::Expired),
            ("已经被使用过", Self::Taken),
            ("看一下网页", Self::LookAtPage),
            ("已取消", Self::Denied),
        ];
        meanings.iter().find(|(words, _)| reply.contains(words)).map_or(Self::Other, |(_, meaning)| *meaning)
    }
}

/// Where a run's events are written, by all its tasks at once.
#[derive(Clone)]
pub struct Recorder {
    began: Instant,
    events: Arc<Mutex<Vec<(Duration, Event)>>>,
}

impl Recorder {
    /// Begins now.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it begins a run")]
    pub fn new() -> Self {
        Self { began: Instant::now(), events: Arc::default() }
    }

    /// Writes down what happens now. A scan is recorded before it begins and its words once they are known;
    /// what a page hears, as soon as it has.
    ///
    /// # Panics
    /// When a run has more events than any that is meant.
    pub fn record(&self, event: Event) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(events.len() < MAX_EVENTS, "the run does not end");
        events.push((self.began.elapsed(), event));
    }

    /// What happened until now.
    #[must_use]
    pub fn history(&self) -> History {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).clone();
        History { events, end: self.began.elapsed(), limits: Limits::default(), lost_up_to: 0 }
    }
}

/// Thousands of pages with hundreds of events each.
const MAX_EVENTS: usize = 4_000_000;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// What happened when, since the beginning, in order.
    pub events: Vec<(Duration, Event)>,
    /// When the run ended.
    pub end: Duration,
    /// What is late.
    pub limits: Limits,
    /// Of how many logins, beside those that are named as [`Event::Lost`], Redis may itself have lost the
    /// record: known by number only, after a failover.
    pub lost_up_to: usize,
}

/// What is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a page may stay connected without hearing of an end that is recorded. By default 30 s: a
    /// heartbeat, in which a lost wake-up heals, and some patience.
    pub delivered_within: Duration,
    /// How long a page may wait for its first code, for another one, or for words. By default 15 s.
    pub answered_within: Duration,
    /// What is allowed beyond every time that a page was told. By default 15 s.
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
