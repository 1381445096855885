//! What waits for one site, and what becomes of it: the rules as pure functions.
//!
//! A delivery waits until it is due. Who tries it first puts its next time off by the lease, so that of several
//! instances one tries it at a time, and a try whose process has died is made again. The number of the try says whose a
//! failure is: one that comes after its lease does not disturb the next try.

use std::time::Duration;

use protocol::LoginId;
use records::{Kept, Moment};
use serde::{Deserialize, Serialize};

use super::message::{LOGOUT, Message, Written};

/// Deliveries that wait for a site. Far more than a site misses while it restarts, and the record is still read and
/// written in milliseconds.
pub(super) const MOST_WAITING: usize = 256;

/// Deliveries that were given up and can be looked at.
pub(super) const MOST_DEAD: usize = 64;

/// How long one instance has a delivery for itself: a try's time, and as much again for a store that is slow.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// The wait after the first failure. Each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A delivery that is older is not tried again.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How long what was given up can be looked at, and how long anything is kept of a site that nobody serves any more.
pub(super) const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The longest part of an error that is kept, in characters: a record may hold hundreds.
const LONGEST_ERROR: usize = 200;

/// Why a delivery of a newer version is given up.
const UNREADABLE: &str = "a newer version wrote it, and none has delivered it";

/// What is kept of a site. What a newer version has added is kept as well, here and of each delivery.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Queue {
    #[serde(default)]
    waiting: Vec<Kept<Entry>>,
    /// The newest are last.
    #[serde(default)]
    dead: Vec<Kept<Entry>>,
}

/// What is kept of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    id: String,
    put_at: Moment,
    /// Nobody tries it before this.
    due_at: Moment,
    /// Tries that were begun.
    #[serde(default)]
    tries: u32,
    /// Of the last try that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    given_up_at: Option<Moment>,
    message: Written,
}

/// A delivery that is to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The same at every try, so that who gets it twice can tell.
    pub id: String,
    /// What the site is told.
    pub message: Message,
    /// Which try this is (first is 1).
    pub tries: u32,
}

/// A delivery that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GivenUp {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) tries: u32,
    pub(super) error: String,
    /// The login that it was about.
    pub(super) login: Option<LoginId>,
}

/// What was taken from a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// To be tried now.
    pub(super) due: Vec<Delivery>,
    pub(super) given_up: Vec<GivenUp>,
    /// When there will be something to take; nothing where nothing waits.
    pub(super) next: Option<Duration>,
}

impl Taken {
    /// Whether the queue is as it was.
    pub(super) fn is_nothing(&self) -> bool {
        self.due.is_empty() && self.given_up.is_empty()
    }
}

/// What follows from a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// It is tried again.
    Again,
    /// It is not.
    GivenUp(GivenUp),
    /// Another try of it has begun since, or it is gone.
    NotOurs,
}

/// What waits for a site, and what was given up, for an operator: nothing of what the site is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// The oldest are first.
    pub waiting: Vec<Waiting>,
    /// The oldest are first.
    pub dead: Vec<Dead>,
}

/// A delivery that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Its id, which the site is told too.
    pub id: String,
    /// `logout`, `login`, `denial`, `unsubscribe`, or `unknown` for what only a newer version can deliver.
    pub kind: &'static str,
    /// Since it was put there.
    pub age: Duration,
    /// Tries that were begun.
    pub tries: u32,
    /// Until the next try, or until one under way counts as failed.
    pub next: Duration,
    /// Of the last try that failed.
    pub error: Option<String>,
}

/// A delivery that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dead {
    /// Its id, which the site was told too.
    pub id: String,
    /// As of one that waits.
    pub kind: &'static str,
    /// Since it was put there.
    pub age: Duration,
    /// Since it was given up.
    pub given_up: Duration,
    /// Tries that were begun.
    pub tries: u32,
    /// Of the last try that failed.
    pub error: Option<String>,
}

impl Queue {
    /// Puts a message at the end; says whether there was room.
    pub(super) fn put(&mut self, id: &str, message: &Written, now: Moment) -> bool {
        // It is put again where the store did not say whether it was done.
        if self.waiting.iter().any(|entry| entry.id == id) {
            return true;
        }
        // Logouts end sessions, so events must not take their room.
        let is_logout = message.kind() == LOGOUT;
        let alike = self.waiting.iter().filter(|entry| (entry.message.kind() == LOGOUT) == is_logout).count();
        let has_room = alike < MOST_WAITING;
        if has_room {
            let entry = Entry {
                id: id.to_owned(),
                put_at: now,
                due_at: now,
                tries: 0,
                error: None,
                given_up_at: None,
                message: message.clone(),
            };
            self.waiting.push(entry.into());
        }
        has_room
    }

    /// Takes a lease on at most `room` deliveries that are due, those first that have been due for longest. What only a
    /// newer version can read is left to it, as long as anything is.
    pub(super) fn take(&mut self, room: usize, now: Moment) -> Taken {
        let is_old = |entry: &Entry| now >= entry.due_at && now >= entry.put_at + GIVE_UP_AFTER;
        let (unreadable, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<Vec<_>, _>(|entry| is_old(entry) && entry.message.read().is_none());
        self.waiting = waiting;
        let given_up = unreadable
            .into_iter()
            .map(|mut entry| {
                entry.error = Some(UNREADABLE.to_owned());
                self.bury(entry, now)
            })
            .collect();

        let mut due: Vec<(Message, &mut Kept<Entry>)> = self
            .waiting
            .iter_mut()
            .filter(|entry| now >= entry.due_at)
            .filter_map(|entry| entry.message.read().map(|message| (message, entry)))
            .collect();
        due.sort_by_key(|(_, entry)| entry.due_at);
        let due = due
            .into_iter()
            .take(room)
            .map(|(message, entry)| {
                entry.tries = entry.tries.saturating_add(1);
                entry.due_at = now + LEASE;
                Delivery { id: entry.id.clone(), message, tries: entry.tries }
            })
            .collect();
        Taken { due, given_up, next: self.next(now) }
    }

    /// How many deliveries wait, and how long the oldest has.
    pub(super) fn backlog(&self, now: Moment) -> (usize, Duration) {
        let oldest = self.waiting.iter().map(|entry| now.since(entry.put_at)).max();
        (self.waiting.len(), oldest.unwrap_or_default())
    }

    /// How long until there is something to take.
    fn next(&self, now: Moment) -> Option<Duration> {
        let moments = self.waiting.iter().map(|entry| match entry.message.read() {
            Some(_) => entry.due_at,
            None => entry.due_at.max(entry.put_at + GIVE_UP_AFTER),
        });
        moments.min().map(|moment| moment.since(now))
    }

    /// Takes a delivery out that has arrived; says whether it was still there.
    pub(super) fn done(&mut self, id: &str) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|entry| entry.id != id);
        self.waiting.len() < before
    }

    /// Puts a delivery off whose try has failed, or gives it up. `share`, from 0 to 1, spreads the tries of many, so
    /// that a site that comes back does not get all at once.
    pub(super) fn failed(&mut self, delivery: &Delivery, error: &str, share: f64, now: Moment) -> Failed {
        let is_it = |entry: &Kept<Entry>| entry.id == delivery.id && entry.tries == delivery.tries;
        let Some(at) = self.waiting.iter().position(is_it) else { return Failed::NotOurs };
        let entry = &mut self.waiting[at];
        entry.error = Some(error.chars().filter(|c| !c.is_control()).take(LONGEST_ERROR).collect());
        let last = entry.put_at + GIVE_UP_AFTER;
        if now < last {
            // The last try comes when the time is over, not up to an hour before.
            entry.due_at = last.min(now + wait_after(delivery.tries).mul_f64(0.5 + share / 2.0));
            return Failed::Again;
        }
        let entry = self.waiting.remove(at);
        Failed::GivenUp(self.bury(entry, now))
    }

    fn bury(&mut self, mut entry: Kept<Entry>, now: Moment) -> GivenUp {
        entry.given_up_at = Some(now);
        let given_up = GivenUp {
            id: entry.id.clone(),
            kind: entry.message.kind(),
            tries: entry.tries,
            error: entry.error.clone().unwrap_or_default(),
            login: entry.message.read().and_then(|message| message.login_id()),
        };
        self.dead.push(entry);
        let surplus = self.dead.len().saturating_sub(MOST_DEAD);
        self.dead.drain(..surplus);
        given_up
    }

    /// Takes out what was given up long ago. It names people.
    pub(super) fn sweep(&mut self, now: Moment) {
        self.dead.retain(|entry| entry.given_up_at.is_none_or(|at| now < at + KEPT));
    }

    /// What an operator sees.
    pub(super) fn view(&self, now: Moment) -> View {
        let waiting = self.waiting.iter().map(|entry| Waiting {
            id: entry.id.clone(),
            kind: entry.message.kind(),
            age: now.since(entry.put_at),
            tries: entry.tries,
            next: entry.due_at.since(now),
            error: entry.error.clone(),
        });
        let dead = self.dead.iter().map(|entry| Dead {
            id: entry.id.clone(),
            kind: entry.message.kind(),
            age: now.since(entry.put_at),
            given_up: now.since(entry.given_up_at.unwrap_or(now)),
            tries: entry.tries,
            error: entry.error.clone(),
        });
        View { waiting: waiting.collect(), dead: dead.collect() }
    }
}

/// The longest wait after the try of this number.
fn wait_after(tries: u32) -> Duration {
    let doubled = 2_u32.checked_pow(tries.saturating_sub(1)).and_then(|times| FIRST_WAIT.checked_mul(times));
    doubled.map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use records::AsText;
    use serde_json::{Value, json};

    use super::*;

    const NOW: Moment = Moment(1_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn logout() -> Written {
        Written::new(&Message::Logout { sub: "o1".to_owned(), sid: "s1".to_owned(), login_id: None }).unwrap()
    }

    fn queue(ids: &[&str]) -> Queue {
        let mut queue = Queue::default();
        for id in ids {
            assert!(queue.put(id, &logout(), NOW));
        }
        queue
    }

    fn ids(taken: &Taken) -> Vec<&str> {
        taken.due.iter().map(|delivery| delivery.id.as_str()).collect()
    }

    /// The one delivery that is due.
    fn take(queue: &mut Queue, now: Moment) -> Delivery {
        let mut taken = queue.take(9, now);
        assert_eq!((taken.due.len(), taken.given_up.len()), (1, 0), "{taken:?}");
        taken.due.remove(0)
    }

    #[test]
    fn what_is_due_is_taken_by_one_at_a_time_and_again_when_its_lease_is_over() {
        let mut queue = queue(&["a", "b", "c"]);
        let first = queue.take(2, NOW);
        assert_eq!((ids(&first), first.next), (vec!["a", "b"], Some(Duration::ZERO)));
        let second = queue.take(2, NOW + SECOND);
        assert_eq!((ids(&second), second.next), (vec!["c"], Some(LEASE - SECOND)));
        assert!(queue.take(2, NOW + (LEASE - Duration::from_millis(1))).is_nothing(), "all are leased");
        assert!(queue.done("b") && !queue.done("b"));
        let again = queue.take(2, NOW + LEASE);
        assert_eq!((ids(&again), again.due[0].tries), (vec!["a"], 2), "whoever had it has died");
        assert!(queue.done("a") && queue.done("c"));
        assert_eq!(queue.take(2, NOW + LEASE), Taken::default());
    }

    #[test]
    fn waits_double_from_5_seconds_to_an_hour_and_half_of_each_is_chance() {
        let mut seconds: Vec<u64> = (1..=12).map(|tries| wait_after(tries).as_secs()).collect();
        assert_eq!(seconds.split_off(9), [2560, 3600, 3600]);
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 640, 1280]);
        assert_eq!(wait_after(u32::MAX), LONGEST_WAIT);
        for (share, wait) in [(0.0, 2500), (0.5, 3750), (1.0, 5000)] {
            let mut queue = queue(&["a"]);
            let delivery = take(&mut queue, NOW);
            assert_eq!(queue.failed(&delivery, "no", share, NOW), Failed::Again);
            assert_eq!(queue.take(1, NOW).next, Some(Duration::from_millis(wait)), "{share}");
        }
    }

    #[test]
    fn what_was_put_off_does_not_stand_before_what_has_been_due_for_longer() {
        let mut queue = queue(&["a", "b"]);
        let [a, b] = <[Delivery; 2]>::try_from(queue.take(2, NOW).due).unwrap();
        queue.failed(&a, "no", 1.0, NOW + SECOND);
        queue.failed(&b, "no", 0.0, NOW + SECOND);
        assert_eq!(ids(&queue.take(1, NOW + 60 * SECOND)), ["b"]);
    }

    #[test]
    fn a_failure_that_comes_after_its_lease_does_not_disturb_the_next_try() {
        let mut queue = queue(&["a"]);
        let late = take(&mut queue, NOW);
        let next = take(&mut queue, NOW + LEASE);
        assert_eq!((&late.id, late.tries, next.tries), (&next.id, 1, 2));
        assert_eq!(queue.failed(&late, "no", 0.0, NOW + LEASE), Failed::NotOurs);
        assert!(queue.take(1, NOW + (LEASE + 20 * SECOND)).is_nothing(), "the next try has its lease");
        assert!(queue.done("a"), "but what has arrived has arrived, however late");
        assert_eq!(queue.failed(&next, "no", 0.0, NOW + LEASE), Failed::NotOurs);
    }

    #[test]
    fn after_a_day_there_is_one_last_try_and_then_it_can_be_looked_at_for_a_month() {
        let (mut queue, mut now, mut last) = (queue(&["a"]), NOW, NOW);
        let given_up = loop {
            let delivery = take(&mut queue, now);
            match queue.failed(&delivery, "no\nway", 1.0, now) {
                Failed::GivenUp(given_up) => break given_up,
                failed => assert_eq!(failed, Failed::Again),
            }
            (last, now) = (now, now + queue.take(1, now).next.unwrap());
        };
        assert_eq!(now, NOW + GIVE_UP_AFTER, "the last try comes when the time is over");
        assert!(now.since(last) <= LONGEST_WAIT);
        let (id, error) = ("a".to_owned(), "noway".to_owned());
        let expected = GivenUp { id, kind: "logout", tries: 34, error, login: None };
        assert_eq!(given_up, expected);
        assert!(queue.waiting.is_empty());
        let later = now + (KEPT - Duration::from_millis(1));
        queue.sweep(later);
        let dead = &queue.view(later).dead[0];
        assert_eq!((dead.given_up, dead.age), (later.since(now), later.since(NOW)));
        assert_eq!((dead.id.as_str(), dead.tries, dead.error.as_deref()), ("a", 34, Some("noway")));
        queue.sweep(now + KEPT);
        assert_eq!(queue, Queue::default());
    }

    #[test]
    fn a_queue_is_bounded_and_so_is_what_was_given_up_and_each_error() {
        let mut queue = Queue::default();
        for id in 0..MOST_WAITING {
            assert!(queue.put(&id.to_string(), &logout(), NOW));
        }
        assert!(!queue.put("one more", &logout(), NOW));
        assert_eq!(queue.view(NOW).waiting.len(), MOST_WAITING);
        let late = NOW + GIVE_UP_AFTER;
        for delivery in queue.take(MOST_WAITING, late).due {
            assert!(matches!(queue.failed(&delivery, &"界".repeat(999), 0.0, late), Failed::GivenUp(_)));
        }
        let dead = queue.view(late).dead;
        assert_eq!((dead.len(), dead[0].id.as_str(), dead[MOST_DEAD - 1].id.as_str()), (64, "192", "255"));
        assert_eq!(dead[0].error.as_ref().unwrap().chars().count(), LONGEST_ERROR);
        assert!(queue.put("room again", &logout(), late));
        let text = Kept::from(queue).to_text().unwrap();
        assert!(text.len() < 80_000, "{} bytes", text.len());
    }

    #[test]
    fn what_a_newer_version_wrote_is_left_to_it_for_a_day_and_lost_by_nobody() {
        let newer = json!({"kind": "export", "sub": "o1", "parts": [1, 2]});
        let entry = |id: &str, message: &Value| {
            let at = NOW.0;
            json!({"id": id, "put_at": at, "due_at": at, "message": message, "tried_by": "host-2"})
        };
        let record = json!({"waiting": [entry("n", &newer), entry("a", &json!(logout()))], "paused": false});
        let mut queue = Kept::<Queue>::from_text(&record.to_string()).unwrap();
        let delivery = take(&mut queue, NOW);
        assert_eq!(delivery.id, "a", "only what can be read");
        assert_eq!(queue.failed(&delivery, "no", 0.0, NOW), Failed::Again);
        queue.sweep(NOW);
        let mut written = serde_json::to_value(&queue).unwrap();
        assert_eq!((&written["waiting"][0]["message"], &written["waiting"][0]["tries"]), (&newer, &json!(0)));
        for at in [0, 1] {
            assert_eq!(written["waiting"][at]["tried_by"], "host-2");
        }
        assert_eq!(written["paused"], false);
        assert_eq!(queue.view(NOW).waiting[0].kind, "unknown");
        assert!(queue.done("a"));
        assert_eq!(queue.take(9, NOW).next, Some(GIVE_UP_AFTER), "nobody looks all the time");
        let taken = queue.take(9, NOW + GIVE_UP_AFTER);
        assert_eq!((taken.due.len(), taken.given_up[0].kind), (0, "unknown"));
        written = serde_json::to_value(&queue).unwrap();
        assert_eq!((&written["dead"][0]["message"], &written["waiting"]), (&newer, &json!([])));
        assert_eq!(written["dead"][0]["tried_by"], "host-2");
    }
}
