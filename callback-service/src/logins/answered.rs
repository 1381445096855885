//! The scans that were answered lately, and what stands for one, as an operator watches them: by the login's id, and without
//! the person.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use live_view::Rates;
use parking_lot::Mutex;
use protocol::{LoginId, Scene};
use tokio::time::Instant;

use super::way::Way;
use super::words::PhoneReply;
use crate::account::names::Names;

/// The answers that are kept.
pub(crate) const MOST: usize = 50;

/// What came of a scan, in the order of the counts.
pub(crate) const KINDS: [Kind; 4] = [Kind::LoggedIn, Kind::Asked, Kind::Refused, Kind::Unclear];

/// What came of a scan, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The person is logged in.
    LoggedIn,
    /// They were asked to confirm.
    Asked,
    /// There is a reason for which they are not logged in.
    Refused,
    /// They were told to try again, or to look at the page: something did not answer in time.
    Unclear,
}

/// A scan that was answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) login: LoginId,
    /// The official account; nothing where it has no name.
    pub(crate) account: String,
    pub(crate) way: Way,
    pub(crate) kind: Kind,
    /// What the phone was told, by its name in the metrics.
    pub(crate) told: &'static str,
    /// From the push to the answer.
    pub(crate) took: Duration,
    pub(crate) at: SystemTime,
}

/// The last of them. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Answered(Arc<Mutex<Known>>);

/// Never locked across an await.
#[derive(Debug)]
struct Known {
    /// The newest last.
    answers: VecDeque<Answer>,
    rates: Rates<{ KINDS.len() }>,
}

impl Default for Answered {
    fn default() -> Self {
        let known = Known { answers: VecDeque::new(), rates: Rates::new(Instant::now()) };
        Self(Arc::new(Mutex::new(known)))
    }
}

impl Answered {
    /// A scan that `arrived` then was answered.
    pub(super) fn note(&self, account: &Names, scene: Scene, way: Way, reply: &PhoneReply, arrived: Instant) {
        let kind = kind(reply);
        let answer = Answer {
            login: LoginId::of(scene),
            account: account.label().to_owned(),
            way,
            kind,
            told: reply.name(),
            took: arrived.elapsed(),
            at: SystemTime::now(),
        };
        let mut known = self.0.lock();
        if let Some(kind) = KINDS.iter().position(|it| *it == kind) {
            known.rates.count(kind, Instant::now());
        }
        if known.answers.len() >= MOST {
            known.answers.pop_front();
        }
        known.answers.push_back(answer);
    }

    /// The last answers, the newest first, and how many of each kind there were in each minute, the present one last.
    #[must_use]
    pub(crate) fn look(&self) -> (Vec<Answer>, [Vec<u64>; KINDS.len()]) {
        let mut known = self.0.lock();
        let minutes = known.rates.minutes(Instant::now());
        (known.answers.iter().rev().cloned().collect(), minutes)
    }
}

fn kind(reply: &PhoneReply) -> Kind {
    match reply {
        PhoneReply::LoggedIn { .. } => Kind::LoggedIn,
        PhoneReply::Question(_) => Kind::Asked,
        PhoneReply::TryAgain | PhoneReply::Look => Kind::Unclear,
        PhoneReply::Wrong(_)
        | PhoneReply::WrongNumbers
        | PhoneReply::NotMe
        | PhoneReply::Late
        | PhoneReply::Confirmed
        | PhoneReply::WrongCode
        | PhoneReply::TooManyCodes
        | PhoneReply::Expired
        | PhoneReply::Unknown
        | PhoneReply::Taken
        | PhoneReply::Denied
        | PhoneReply::UnknownSite
        | PhoneReply::Nameless => Kind::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_answers_are_kept_by_the_logins_ids_and_counted() {
        let (answered, account) = (Answered::default(), Names::new(None, "wx0123456789abcdef"));
        let scenes: Vec<Scene> = (0..=MOST).map(|_| Scene::random()).collect();
        for scene in &scenes {
            answered.note(&account, *scene, Way::Scan, &PhoneReply::Taken, Instant::now());
        }
        answered.note(&account, scenes[0], Way::Typed, &PhoneReply::Look, Instant::now());
        let (answers, minutes) = answered.look();
        assert_eq!(
            (answers.len(), answers[0].login, answers[0].told),
            (MOST, LoginId::of(scenes[0]), "look")
        );
        assert_eq!(minutes.map(|minutes| minutes.iter().sum::<u64>()), [0, 0, MOST as u64 + 1, 1]);
        let all = format!("{answers:?}");
        assert!(scenes.iter().all(|scene| !all.contains(scene.as_str())), "{all}");
    }
}
