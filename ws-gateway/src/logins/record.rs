//! One login's record, and what each notice does to it: the rules of the wire as a pure function.
//!
//! `waiting → scanned → granted`, or `denied`, or `expired`. A login ends once and the first end wins.
//! Expiry is never written: it is what the clock says of a login that has not ended otherwise, so no two
//! readers can differ about it.

use std::time::Duration;

use protocol::Notice;
use protocol::message::{Answer, Code, Context, State, Status};
use tokio::time::Instant;

use super::{AFTER_CLAIM, KEPT_AFTER_END, NewLogin, Snapshot, right_for};
use crate::clients::{Right, Rights};

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

/// A login's record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    opened: NewLogin,
    expires_at: Instant,
    claim: Option<Claim>,
    end: Option<End>,
}

#[derive(Debug, Clone)]
struct Claim {
    by: String,
    number: Option<String>,
    delivered: bool,
}

#[derive(Debug, Clone)]
struct End {
    outcome: Outcome,
    by: Option<String>,
    client: String,
    id: Option<String>,
    delivered: bool,
    at: Instant,
}

#[derive(Debug, Clone)]
enum Outcome {
    Granted { user: String, code: Option<Code> },
    Denied,
}

impl Outcome {
    fn state(&self) -> State {
        match self {
            Self::Granted { .. } => State::Granted,
            Self::Denied => State::Denied,
        }
    }
}

impl Record {
    /// A login that waits, for `ttl` from `now`.
    #[must_use]
    pub(crate) fn new(opened: NewLogin, now: Instant, ttl: Duration) -> Self {
        Self { opened, expires_at: now + ttl, claim: None, end: None }
    }

    /// The state at `now`.
    #[must_use]
    pub(crate) fn state(&self, now: Instant) -> State {
        match (&self.end, &self.claim) {
            (Some(end), _) => end.outcome.state(),
            (None, _) if now >= self.expires_at => State::Expired,
            (None, Some(_)) => State::Scanned,
            (None, None) => State::Waiting,
        }
    }

    /// Whether the end lies so far back that the login is unknown.
    #[must_use]
    pub(crate) fn is_forgotten(&self, now: Instant) -> bool {
        let ended_at = self.end.as_ref().map_or(self.expires_at, |end| end.at);
        now >= ended_at + KEPT_AFTER_END
    }

    /// Ends a live login as expired.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.expires_at = self.expires_at.min(now);
    }

    /// The login as a page is shown it.
    #[must_use]
    pub(crate) fn snapshot(&self, now: Instant) -> Snapshot {
        let (user, code) = match self.end.as_ref().map(|end| &end.outcome) {
            Some(Outcome::Granted { user, code }) => (user.clone(), code.clone()),
            _ => (String::new(), None),
        };
        let lives = self.end.is_none();
        Snapshot {
            state: self.state(now),
            expires_in: if lives { self.expires_at.saturating_duration_since(now) } else { Duration::ZERO },
            is_claimed: self.claim.is_some(),
            number: self.claim.as_ref().and_then(|claim| claim.number.clone()),
            user,
            code,
            context: self.opened.context.clone(),
            qr: self.opened.qr.clone(),
            secret: self.opened.secret,
        }
    }

    /// Takes a notice: records it, or recognises its repeat, or says why not. `page_is_here` is what a
    /// recorded notice is answered with: delivered or stored.
    pub(crate) fn apply(
        &mut self,
        notice: &Notice,
        from: &Sender,
        page_is_here: bool,
        now: Instant,
    ) -> Answer {
        let mut answer = self.answer(notice, from, page_is_here, now);
        if !matches!(answer.status, Status::Forbidden | Status::Bad) {
            answer.state = Some(self.state(now));
        }
        answer
    }

    fn answer(&mut self, notice: &Notice, from: &Sender, page_is_here: bool, now: Instant) -> Answer {
        if let Some(refusal) = self.refusal(notice, from) {
            return refusal;
        }
        match notice {
            Notice::Query { .. } => Answer::new(Status::Ok),
            Notice::Claim { by, number, .. } => self.claim(by, number.as_ref(), page_is_here, now),
            Notice::Scan { nickname, code, by, .. } => {
                let user = nickname.clone().unwrap_or_default();
                self.end(Outcome::Granted { user, code: code.clone() }, by.as_ref(), from, page_is_here, now)
            }
            Notice::Deny { by, .. } => self.end(Outcome::Denied, by.as_ref(), from, page_is_here, now),
        }
    }

    /// A login that names a site or a request is an identity for a third party, so only clients with
    /// `grant` may touch it, and a scan must bring the code that the site will redeem.
    fn refusal(&self, notice: &Notice, from: &Sender) -> Option<Answer> {
        let Context { site, request, .. } = &self.opened.context;
        let is_for_a_site = site.is_some() || request.is_some();
        let code = match notice {
            Notice::Scan { code, .. } => Some(code.is_some()),
            _ => None,
        };
        if !from.may.has(right_for(notice)) {
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

    fn claim(&mut self, by: &str, number: Option<&String>, page_is_here: bool, now: Instant) -> Answer {
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
            self.claim = Some(Claim { by: by.to_owned(), number: number.cloned(), delivered: page_is_here });
        }
        let Some(claim) = &self.claim else {
            return Answer::new(Status::Unsure);
        };
        let context = Context { number: claim.number.clone(), ..self.opened.context.clone() };
        Answer { repeat, context: Some(Box::new(context)), ..recorded(claim.delivered) }
    }

    fn end(
        &mut self,
        outcome: Outcome,
        by: Option<&String>,
        from: &Sender,
        page_is_here: bool,
        now: Instant,
    ) -> Answer {
        if let Some(end) = &self.end {
            let same_person = match (by, &end.by) {
                (Some(by), Some(before)) => by == before,
                (None, None) => from.id.is_some() && from.id == end.id && from.client == end.client,
                _ => false,
            };
            return if same_person && outcome.state() == end.outcome.state() {
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
        self.end = Some(End {
            outcome,
            by: by.cloned(),
            client: from.client.clone(),
            id: from.id.clone(),
            delivered: page_is_here,
            at: now,
        });
        recorded(page_is_here)
    }
}

fn recorded(delivered: bool) -> Answer {
    Answer::new(if delivered { Status::Delivered } else { Status::Stored })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use protocol::Scene;

    use super::*;
    use crate::logins::{QrCode, ResumeKey};

    const TTL: Duration = Duration::from_secs(120);

    fn record(context: Context) -> (Record, Scene, Instant) {
        let (scene, now) = (Scene::random(), Instant::now());
        let qr = QrCode { url: String::new(), content: String::new() };
        let opened = NewLogin { context, qr, secret: ResumeKey::new(scene).hash() };
        (Record::new(opened, now, TTL), scene, now)
    }

    fn sender(may: Rights, id: Option<&str>) -> Sender {
        Sender { client: "callback".to_owned(), may, id: id.map(str::to_owned) }
    }

    fn claim(scene: Scene, by: &str) -> Notice {
        Notice::Claim { scene, by: by.to_owned(), number: None }
    }

    fn scan(scene: Scene, by: Option<&str>) -> Notice {
        Notice::Scan { scene, nickname: Some("阿狸".to_owned()), code: None, by: by.map(str::to_owned) }
    }

    fn deny(scene: Scene, by: Option<&str>) -> Notice {
        Notice::Deny { scene, by: by.map(str::to_owned) }
    }

    #[test]
    fn the_same_persons_repeat_gets_the_recorded_answer_and_another_person_gets_taken() {
        let (mut login, scene, now) = record(Context::default());
        let from = sender(Rights::all(), None);
        let first = login.apply(&claim(scene, "a"), &from, true, now);
        assert_eq!(
            (first.status, first.repeat, first.state),
            (Status::Delivered, false, Some(State::Scanned))
        );
        assert_eq!(login.apply(&claim(scene, "b"), &from, true, now).status, Status::Taken);
        assert_eq!(login.apply(&scan(scene, Some("b")), &from, true, now).status, Status::Taken);
        assert_eq!(login.apply(&scan(scene, None), &from, true, now).status, Status::Taken, "by is missing");

        let granted = login.apply(&scan(scene, Some("a")), &from, true, now);
        assert_eq!((granted.status, granted.state), (Status::Delivered, Some(State::Granted)));
        // The page has gone since: the recorded answer stays what it was.
        for notice in [scan(scene, Some("a")), claim(scene, "a")] {
            let again = login.apply(&notice, &from, false, now);
            assert_eq!(
                (again.status, again.repeat, again.state),
                (Status::Delivered, true, Some(State::Granted))
            );
        }
        assert_eq!(login.apply(&deny(scene, Some("a")), &from, true, now).status, Status::Taken);
    }

    #[test]
    fn without_by_the_same_client_and_id_is_the_same_notice() {
        let (mut login, scene, now) = record(Context::default());
        let notice = scan(scene, None);
        assert_eq!(
            login.apply(&notice, &sender(Rights::all(), Some("7")), false, now).status,
            Status::Stored
        );
        assert!(login.apply(&notice, &sender(Rights::all(), Some("7")), false, now).repeat);
        assert_eq!(login.apply(&notice, &sender(Rights::all(), Some("8")), true, now).status, Status::Taken);
        assert_eq!(login.apply(&notice, &sender(Rights::all(), None), true, now).status, Status::Taken);
        let other = Sender { client: "shop".to_owned(), ..sender(Rights::all(), Some("7")) };
        assert_eq!(login.apply(&notice, &other, true, now).status, Status::Taken);
    }

    #[test]
    fn the_times_are_exact() {
        let (mut login, scene, now) = record(Context::default());
        let from = sender(Rights::all(), None);
        let instant = Duration::from_nanos(1);
        assert_eq!(login.state(now + TTL - instant), State::Waiting);
        assert_eq!(login.state(now + TTL), State::Expired);
        assert_eq!(login.clone().apply(&claim(scene, "a"), &from, true, now + TTL).status, Status::Expired);

        // A claim at the last moment still leaves the person their time.
        let late = now + TTL - instant;
        login.apply(&claim(scene, "a"), &from, true, late);
        assert_eq!(login.state(late + AFTER_CLAIM - instant), State::Scanned);
        assert_eq!(login.snapshot(late).expires_in, AFTER_CLAIM);
        let end = late + AFTER_CLAIM;
        assert_eq!(login.state(end), State::Expired);
        assert_eq!(login.apply(&scan(scene, Some("a")), &from, true, end).status, Status::Expired);
        let repeat = login.apply(&claim(scene, "a"), &from, true, end);
        assert_eq!(
            (repeat.status, repeat.repeat, repeat.state),
            (Status::Delivered, true, Some(State::Expired))
        );
        assert!(!login.is_forgotten(end + KEPT_AFTER_END - instant));
        assert!(login.is_forgotten(end + KEPT_AFTER_END));
    }

    #[test]
    fn an_early_claim_does_not_shorten_the_login() {
        let (mut login, scene, now) = record(Context::default());
        login.expires_at = now + Duration::from_secs(600);
        login.apply(&claim(scene, "a"), &sender(Rights::all(), None), true, now);
        assert_eq!(login.snapshot(now).expires_in, Duration::from_secs(600));
    }

    #[test]
    fn a_claim_is_answered_with_its_context_and_the_first_number() {
        let context =
            Context { site: Some("shop".to_owned()), ip: "192.0.2.1".to_owned(), ..Context::default() };
        let (mut login, scene, now) = record(context);
        let from = sender(Rights::all(), None);
        let with =
            |number: &str| Notice::Claim { scene, by: "a".to_owned(), number: Some(number.to_owned()) };
        let first = login.apply(&with("42"), &from, true, now).context.unwrap();
        assert_eq!((first.site.as_deref(), first.number.as_deref()), (Some("shop"), Some("42")));
        let again = login.apply(&with("43"), &from, true, now).context.unwrap();
        assert_eq!(again.number.as_deref(), Some("42"), "a new number in a repeat is dropped");
    }

    #[test]
    fn rights_are_kept() {
        let (mut plain, scene, now) = record(Context::default());
        let no_grant = sender(Rights::of(&[Right::Scan, Right::Claim]), None);
        assert_eq!(plain.apply(&deny(scene, None), &no_grant, true, now).status, Status::Forbidden);
        let with_code = Notice::Scan { scene, nickname: None, code: Some(Code("c".to_owned())), by: None };
        assert_eq!(plain.apply(&with_code, &no_grant, true, now).status, Status::Forbidden);
        assert_eq!(plain.apply(&scan(scene, None), &no_grant, true, now).status, Status::Delivered);

        for context in [
            Context { site: Some("shop".to_owned()), ..Context::default() },
            Context { request: Some("handle".to_owned()), ..Context::default() },
        ] {
            let (mut sites, scene, now) = record(context);
            let everything_but_grant = Rights::of(&[Right::Scan, Right::Claim, Right::Deny, Right::Query]);
            for notice in [claim(scene, "a"), scan(scene, None), deny(scene, None), Notice::Query { scene }] {
                let answer = sites.apply(&notice, &sender(everything_but_grant, None), true, now);
                assert_eq!((answer.status, answer.state), (Status::Forbidden, None), "{notice:?}");
            }
            let all = sender(Rights::all(), None);
            assert_eq!(
                sites.apply(&scan(scene, None), &all, true, now).status,
                Status::Bad,
                "code is missing"
            );
            let with_code =
                Notice::Scan { scene, nickname: None, code: Some(Code("c".to_owned())), by: None };
            assert_eq!(sites.apply(&with_code, &all, true, now).status, Status::Delivered);
            assert_eq!(sites.snapshot(now).code, Some(Code("c".to_owned())));
        }
    }

    proptest! {
        /// Whatever comes in whatever order, a login ends at most once, its end never changes, and only
        /// notices that were recorded or are repeats say so.
        #[test]
        fn a_login_ends_once(steps in proptest::collection::vec((0..4_u8, 0..3_u8, 0..200_u64), 1..30)) {
            let (mut login, scene, start) = record(Context::default());
            let people = ["a", "b", "c"];
            let mut now = start;
            let mut ended: Option<(State, String)> = None;
            for (kind, person, wait) in steps {
                now += Duration::from_secs(wait) / 10;
                let by = people[usize::from(person)];
                let notice = match kind {
                    0 => claim(scene, by),
                    1 => scan(scene, Some(by)),
                    2 => deny(scene, Some(by)),
                    _ => Notice::Query { scene },
                };
                let before = login.state(now);
                let answer = login.apply(&notice, &sender(Rights::all(), None), true, now);
                let after = login.state(now);
                prop_assert_eq!(answer.state, Some(after));
                if let Some((state, _)) = &ended {
                    prop_assert_eq!(*state, after);
                }
                if matches!(before, State::Granted | State::Denied | State::Expired) {
                    prop_assert_eq!(before, after);
                }
                let recorded = answer.status.is_recorded();
                if recorded && !answer.repeat && kind != 0 {
                    prop_assert!(ended.is_none(), "ended twice");
                    ended = Some((after, by.to_owned()));
                }
                if recorded && answer.repeat && kind != 0 {
                    prop_assert_eq!(ended.as_ref().map(|(_, who)| who.as_str()), Some(by));
                }
            }
        }
    }
}
