//! Which gateways there are, where they share their logins in Redis: each says now and then that it lives, in one record, and
//! whoever has not said so for a while is not there any more.
//!
//! It is for operators only. No decision rests on it.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use records::{Kept, Moment, Records, Redis, Step, Write};
use serde::{Deserialize, Serialize};
use server::clock;
use tokio::time::{Instant, sleep};

use super::seats::Pages;

/// How often a gateway says that it lives.
const EVERY: Duration = Duration::from_secs(10);

/// A gateway that has not said so for this long is not there.
const GONE_AFTER: Duration = Duration::from_secs(35);

/// The record's name, of which there is one.
const ALL: &str = "all";

/// The gateways, by their names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gateways {
    #[serde(default)]
    present: BTreeMap<String, Kept<Entry>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// When it began, in seconds since 1970 by its own clock.
    since: u64,
    version: String,
    /// Logins that its pages show.
    logins: usize,
    seen: Moment,
}

/// A gateway that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) name: String,
    pub(crate) since: SystemTime,
    pub(crate) version: String,
    pub(crate) logins: usize,
}

/// What this gateway says and hears.
pub(crate) struct Presence {
    records: Option<Records<Kept<Gateways>>>,
    pages: Arc<Pages>,
    since: u64,
    heard: Mutex<Vec<Heard>>,
}

/// A gateway, and until when what it has said is worth anything, by the clock of this one.
#[derive(Debug, Clone)]
struct Heard {
    gateway: Present,
    until: Instant,
}

impl Presence {
    /// Nothing is said before it runs. Without a Redis there are no others, and nothing is said at all.
    pub(super) fn new(redis: Option<&Redis>, pages: Arc<Pages>) -> Self {
        let records = redis.map(|redis| Records::in_redis("gateways", redis));
        Self { records, pages, since: clock::unix_now(), heard: Mutex::default() }
    }

    /// The gateways that were there a few seconds ago, this one among them: none of them while Redis has not answered for so
    /// long that each may be gone. `None` without a Redis.
    #[must_use]
    pub(crate) fn heard(&self) -> Option<Vec<Present>> {
        self.records.as_ref().map(|_| still_there(&self.heard.lock(), Instant::now()))
    }

    /// Says now and then that this gateway lives, for as long as it is polled.
    pub(super) async fn run(&self) {
        let Some(records) = &self.records else { return pending().await };
        loop {
            match self.say(records).await {
                Ok(gateways) => *self.heard.lock() = gateways,
                Err(failure) => tracing::debug!("nobody hears that this gateway lives: {failure}"),
            }
            sleep(EVERY).await;
        }
    }

    async fn say(&self, records: &Records<Kept<Gateways>>) -> Result<Vec<Heard>, records::Failure> {
        let (name, logins) = (self.pages.gateway(), self.pages.shown());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        // Whatever Redis says was so then, or later.
        let asked = Instant::now();
        let entry = |seen| Entry { since: self.since, version: version.clone(), logins, seen };
        records
            .update(ALL, |before, now| {
                let mut gateways = before.cloned().unwrap_or_default();
                gateways.say(name, entry(now), now);
                let heard = gateways.heard(now, asked);
                Step::Write(Write::new(gateways, now + GONE_AFTER), heard)
            })
            .await
    }
}

impl Gateways {
    /// A gateway says that it lives; those that have not done so for long are forgotten.
    fn say(&mut self, name: &str, entry: Entry, now: Moment) {
        self.present.retain(|_, other| now.since(other.seen) < GONE_AFTER);
        match self.present.get_mut(name) {
            Some(known) => **known = entry,
            None => _ = self.present.insert(name.to_owned(), entry.into()),
        }
    }

    /// The gateways, as they are heard `here`, which is `now` by the store's clock.
    fn heard(&self, now: Moment, here: Instant) -> Vec<Heard> {
        let heard = |(name, entry): (&String, &Kept<Entry>)| Heard {
            gateway: Present {
                name: name.clone(),
                since: SystemTime::UNIX_EPOCH + Duration::from_secs(entry.since),
                version: entry.version.clone(),
                logins: entry.logins,
            },
            until: here + GONE_AFTER.saturating_sub(now.since(entry.seen)),
        };
        self.present.iter().map(heard).collect()
    }
}

fn still_there(heard: &[Heard], now: Instant) -> Vec<Present> {
    heard.iter().filter(|it| now < it.until).map(|it| it.gateway.clone()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_gateway_is_there_for_as_long_as_it_says_so() {
        let mut gateways = Gateways::default();
        let start = Moment(1_000_000);
        let mut say = |name: &str, logins, after: Duration| {
            let now = start + after;
            let entry = Entry { since: 7, version: "0.1.0".to_owned(), logins, seen: now };
            gateways.say(name, entry, now);
            let heard = still_there(&gateways.heard(now, Instant::now()), Instant::now());
            heard.iter().map(|it| format!("{} {}", it.name, it.logins)).collect::<Vec<_>>()
        };
        assert_eq!(say("one", 1, Duration::ZERO), ["one 1"]);
        assert_eq!(say("two", 2, EVERY), ["one 1", "two 2"]);
        assert_eq!(say("two", 3, EVERY * 2), ["one 1", "two 3"]);
        assert_eq!(say("two", 4, GONE_AFTER), ["two 4"]);
    }

    #[test]
    fn what_was_heard_before_an_outage_of_redis_is_not_believed_for_ever() {
        let mut gateways = Gateways::default();
        let (start, here) = (Moment(1_000_000), Instant::now());
        for (name, after) in [("one", Duration::ZERO), ("two", EVERY)] {
            let entry = Entry { since: 7, version: "0.1.0".to_owned(), logins: 0, seen: start + after };
            gateways.say(name, entry, start + after);
        }
        // It was heard when the second had just spoken. From then on nobody says anything.
        let heard = gateways.heard(start + EVERY, here);
        let names = |later: Duration| {
            still_there(&heard, here + later).into_iter().map(|it| it.name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(Duration::ZERO), "one two");
        assert_eq!(names(GONE_AFTER - EVERY), "two");
        assert_eq!(names(GONE_AFTER), "");
        assert_eq!(names(GONE_AFTER * 100), "");
    }

    #[test]
    fn what_a_newer_version_says_stays() {
        let newer =
            r#"{"present":{"new":{"since":1,"version":"9","logins":2,"seen":3,"load":0.5}},"more":true}"#;
        let mut gateways: Kept<Gateways> = serde_json::from_str(newer).unwrap();
        let entry = Entry { since: 1, version: "0".to_owned(), logins: 0, seen: Moment(4) };
        gateways.say("old", entry, Moment(4));
        let written = serde_json::to_string(&gateways).unwrap();
        assert!(written.contains("\"load\":0.5") && written.contains("\"more\":true"), "{written}");
    }
}
