//! One login's record, and what each notice does to it: the rules of the wire as a pure function.
//!
//! `waiting → scanned → granted`, or `denied`, or `expired`. A login ends once and the first end wins.
//! Expiry is never written: it is what the clock says of a login that has not ended otherwise, so no two
//! readers can differ about it.

mod opened;

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use protocol::Notice;
use protocol::message::{Answer, Code, Context, State, Status};
use records::{AsText, Kept, Moment};
use serde::{Deserialize, Serialize};

pub(crate) use self::opened::Opened;
use super::rights::{Right, Rights};
use super::seats::SeatName;
use super::{AFTER_CLAIM, KEPT_AFTER_END, Snapshot};

/// Who sent a notice.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    /// The client's name.
    pub client: String,
    /// What it may send.
    pub may: Rights,
    /// The notice's own name.
    pub id: Option<String>,
}

impl Sender {
    /// Whether it has the right that a notice needs. A login may ask for more.
    #[must_use]
    pub(crate) fn may_send(&self, notice: &Notice) -> bool {
        self.may.has(Right::for_notice(notice))
    }
}

/// A login's record. In Redis it is JSON, and what a newer version has added to it is kept, at every level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Record(Kept<Login>);

impl AsText for Record {}

/// Most logins wait, so what others have beside it is in boxes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Login {
    opened: Opened,
    expires_at: Moment,
    /// The page that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seat: Option<SeatName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<Box<Kept<Claim>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<Box<Kept<End>>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Claim {
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    delivered: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct End {
    state: Ended,
    /// The display name, where it was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    client: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    delivered: bool,
    at: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ended {
    Granted,
    Denied,
}

/// What a notice asks for.
enum Outcome {
    Granted { user: String, code: Option<Code> },
    Denied,
}

/// What an operation on a record comes to, once the record is written.
#[derive(Debug)]
pub(crate) struct Done<T> {
    /// For whoever asked.
    pub value: T,
    /// The page that has to read the record again.
    pub wake: Option<SeatName>,
    /// Somebody is told that this is recorded, so it must not be lost with one machine.
    pub durably: bool,
}

impl Ended {
    fn state(self) -> State {
        match self {
            Self::Granted => State::Granted,
            Self::Denied => State::Denied,
        }
    }
}

impl Deref for Record {
    type Target = Login;

    fn deref(&self) -> &Login {
        &self.0
    }
}

impl DerefMut for Record {
    fn deref_mut(&mut self) -> &mut Login {
        &mut self.0
    }
}

impl Record {
    /// A login that waits, for `ttl` from `now`, and is shown by the page in `seat`.
    #[must_use]
    pub(crate) fn new(opened: impl Into<Opened>, now: Moment, ttl: Duration, seat: Option<SeatName>) -> Self {
        Self(Login { opened: opened.into(), expires_at: now + ttl, seat, claim: None, end: None }.into())
    }

    /// The state at `now`.
    #[must_use]
    pub(crate) fn state(&self, now: Moment) -> State {
        match (&self.end, &self.claim) {
            (Some(end), _) => end.state.state(),
            (None, _) if now >= self.expires_at => State::Expired,
            (None, Some(_)) => State::Scanned,
            (None, None) => State::Waiting,
        }
    }

    /// When the end lies so far back that the login is unknown.
    #[must_use]
    pub(crate) fn forget_at(&self) -> Moment {
        self.end.as_ref().map_or(self.expires_at, |end| end.at) + KEPT_AFTER_END
    }

    /// The moment at which the clock alone will change what the login is; a decision that was made before it
    /// must be written before it.
    #[must_use]
    pub(crate) fn holds_until(&self, now: Moment) -> Option<Moment> {
        (self.end.is_none() && now < self.expires_at).then_some(self.expires_at)
    }

    /// Ends a live login as expired.
    pub(crate) fn expire(&mut self, now: Moment) -> Done<Snapshot> {
        self.expires_at = self.expires_at.min(now);
        Done { value: self.snapshot(now), wake: None, durably: false }
    }

    /// The page in `seat` shows the login from now on. The page that did before has to leave.
    pub(crate) fn sit(&mut self, seat: &SeatName, now: Moment) -> Done<Snapshot> {
        let before = self.seat.replace(seat.clone()).filter(|before| before != seat);
        Done { value: self.snapshot(now), wake: before, durably: false }
    }

    /// The page in `seat` has gone, unless another has its login by now.
    pub(crate) fn leave(&mut self, seat: &SeatName) -> Done<()> {
        self.seat.take_if(|sitting| sitting == seat);
        Done { value: (), wake: None, durably: false }
    }

    /// The login as a page is shown it.
    #[must_use]
    pub(crate) fn snapshot(&self, now: Moment) -> Snapshot {
        let granted = self.end.as_ref().filter(|end| end.state == Ended::Granted);
        let user = granted.and_then(|end| end.user.clone()).unwrap_or_default();
        let code = granted.and_then(|end| end.code.clone());
        let lives = self.end.is_none();
        Snapshot {
            state: self.state(now),
            expires_in: if lives { self.expires_at.since(now) } else { Duration::ZERO },
            is_claimed: self.claim.is_some(),
            number: self.claim.as_ref().and_then(|claim| claim.number.clone()),
            user,
            code,
            opened: self.opened.clone(),
            seat: self.seat.clone(),
        }
    }

    /// Whether somebody has claimed it.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claim.is_some()
    }

    /// What does not change of it.
    pub(crate) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// What a page would be told anew: whether somebody has scanned, the number, and the end.
    fn shown(&self) -> (bool, bool, bool) {
        // A number that is there does not change.
        let has_number = self.claim.as_ref().is_some_and(|claim| claim.number.is_some());
        (self.claim.is_some(), has_number, self.end.is_some())
    }

    /// Takes a notice: records it, or recognises its repeat, or says why not.
    pub(crate) fn apply(&mut self, notice: &Notice, from: &Sender, now: Moment) -> Done<Answer> {
        let before = self.shown();
        let mut answer = self.answer(notice, from, now);
        if !matches!(answer.status, Status::Forbidden | Status::Bad | Status::Unknown) {
            answer.state = Some(self.state(now));
        }
        let is_recorded = answer.status.is_recorded();
        let wake = if self.shown() == before { None } else { self.seat.clone() };
        // Who has claimed and is forgotten may claim again: nobody is logged in by it.
        let durably = is_recorded && matches!(notice, Notice::Scan { .. } | Notice::Deny { .. });
        Done { value: answer, wake, durably }
    }

    fn answer(&mut self, notice: &Notice, from: &Sender, now: Moment) -> Answer {
        if let Some(refusal) = self.refusal(notice, from) {
            return refusal;
        }
        match notice {
            Notice::Query { .. } => Answer::new(Status::Ok),
            // The login was looked up by the code; it says itself whether it shows it.
            Notice::Find { typed, .. } if self.opened.shows_typed(typed) => Answer::new(Status::Ok),
            Notice::Find { .. } => Answer::new(Status::Unknown),
            Notice::Probe => Answer::bad("a probe is about no login"),
            Notice::Claim { by, number, .. } => self.claim(by, number.as_ref(), now),
            Notice::Scan { nickname, code, by, .. } => {
                let user = nickname.clone().unwrap_or_default();
                self.end(Outcome::Granted { user, code: code.clone() }, by.as_ref(), from, now)
            }
            Notice::Deny { by, .. } => self.end(Outcome::Denied, by.as_ref(), from, now),
        }
    }

    /// A login that names a site or a request is an identity for a third party, so only clients with
    /// `grant` may touch it, and a scan must bring the code that the site will redeem. A probe is its client's alone.
    fn refusal(&self, notice: &Notice, from: &Sender) -> Option<Answer> {
        let Context { site, request, .. } = self.opened.context();
        let is_for_a_site = site.is_some() || request.is_some();
        let code = match notice {
            Notice::Scan { code, .. } => Some(code.is_some()),
            _ => None,
        };
        if !from.may_send(notice) {
            return Some(Answer::new(Status::Forbidden));
        }
        if self.opened.probe_of().is_some_and(|client| client != from.client) {
            return Some(Answer::new(Status::Forbidden));
        }
        if !from.may.has(Right::Grant) && (is_for_a_site || code == Some(true)) {
            return Some(Answer::new(Status::Forbidden));
        }
        if is_for_a_site && code == Some(false) {
            return Some(Answer::bad("scan needs code, because the login names a site or a request"));
        }
        None
    }

    fn claim(&mut self, by: &str, number: Option<&String>, now: Moment) -> Answer {
        let repeat = match &self.claim {
            Some(claim) if claim.by == by => true,
            other => match self.state(now) {
                State::Expired => return Answer::new(Status::Expired),
                State::Waiting if other.is_none() => false,
                _ => return Answer::new(Status::Taken),
            },
        };
        if !repeat {
            self.expires_at = self.expires_at.max(now + AFTER_CLAIM);
            let delivered = self.seat.is_some();
            let claim = Claim { by: by.to_owned(), number: number.cloned(), delivered };
            self.claim = Some(Box::new(claim.into()));
        }
        let is_live = self.state(now) == State::Scanned;
        let Some(claim) = &mut self.claim else {
            return Answer::new(Status::Unsure);
        };
        // Whether a number is wanted is known once the first claim's answer has said for whom the login is.
        if is_live && claim.number.is_none() {
            claim.number = number.cloned();
        }
        let (number, delivered) = (claim.number.clone(), claim.delivered);
        let context = Context { number, ..self.opened.context().clone() };
        Answer { repeat, context: Some(Box::new(context)), ..recorded(delivered) }
    }

    fn end(&mut self, outcome: Outcome, by: Option<&String>, from: &Sender, now: Moment) -> Answer {
        let (state, user, code) = match outcome {
            Outcome::Granted { user, code } => (Ended::Granted, Some(user), code),
            Outcome::Denied => (Ended::Denied, None, None),
        };
        if let Some(end) = &self.end {
            let same_person = match (by, &end.by) {
                (Some(by), Some(before)) => by == before,
                (None, None) => from.id.is_some() && from.id == end.id && from.client == end.client,
                _ => false,
            };
            return if same_person && state == end.state {
                Answer { repeat: true, ..recorded(end.delivered) }
            } else {
                Answer::new(Status::Taken)
            };
        }
        if self.state(now) == State::Expired {
            return Answer::new(Status::Expired);
        }
        if self.claim.as_ref().is_some_and(|claim| Some(&claim.by) != by) {
            return Answer::new(Status::Taken);
        }
        let delivered = self.seat.is_some();
        let end = End {
            state,
            user,
            code,
            by: by.cloned(),
            client: from.client.clone(),
            id: from.id.clone(),
            delivered,
            at: now,
        };
        self.end = Some(Box::new(end.into()));
        recorded(delivered)
    }
}

fn recorded(delivered: bool) -> Answer {
    Answer::new(if delivered { Status::Delivered } else { Status::Stored })
}

#[cfg(test)]
mod tests;
