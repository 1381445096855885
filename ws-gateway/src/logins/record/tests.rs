#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use protocol::Scene;
use serde_json::{Value, json};

use std::sync::Arc;

use super::*;
use crate::logins::seats::Pages;
use crate::logins::{NewLogin, QrCode, ResumeKey, Shown};

const TTL: Duration = Duration::from_secs(120);

/// The shortest time that a record knows.
const INSTANT: Duration = Duration::from_millis(1);

fn seat() -> SeatName {
    Arc::new(Pages::default()).join(Scene::random()).name().clone()
}

/// A login whose page is connected.
fn record(context: Context) -> (Record, Scene, Moment) {
    record_of(context, None)
}

fn record_of(context: Context, typed: Option<&str>) -> (Record, Scene, Moment) {
    let (scene, now) = (Scene::random(), Moment(1_000_000));
    let shown = Shown { qr: None, typed: typed.map(str::to_owned) };
    let opened =
        NewLogin { context: context.into(), shown, secret: ResumeKey::new(scene).hash(), probe_of: None };
    (Record::new(opened, now, TTL, Some(seat())), scene, now)
}

impl Record {
    fn take(&mut self, notice: &Notice, from: &Sender, now: Moment) -> Answer {
        self.apply(notice, from, now).value
    }

    fn is_forgotten(&self, now: Moment) -> bool {
        now >= self.forget_at()
    }
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
    let first = login.take(&claim(scene, "a"), &from, now);
    assert_eq!((first.status, first.repeat, first.state), (Status::Delivered, false, Some(State::Scanned)));
    assert_eq!(login.take(&claim(scene, "b"), &from, now).status, Status::Taken);
    assert_eq!(login.take(&scan(scene, Some("b")), &from, now).status, Status::Taken);
    assert_eq!(login.take(&scan(scene, None), &from, now).status, Status::Taken, "by is missing");

    let granted = login.take(&scan(scene, Some("a")), &from, now);
    assert_eq!((granted.status, granted.state), (Status::Delivered, Some(State::Granted)));
    // The page has gone since: the recorded answer stays what it was.
    let sitting = login.seat.clone().unwrap();
    login.leave(&sitting);
    for notice in [scan(scene, Some("a")), claim(scene, "a")] {
        let again = login.take(&notice, &from, now);
        assert_eq!(
            (again.status, again.repeat, again.state),
            (Status::Delivered, true, Some(State::Granted))
        );
    }
    assert_eq!(login.take(&deny(scene, Some("a")), &from, now).status, Status::Taken);
}

#[test]
fn without_by_the_same_client_and_id_is_the_same_notice() {
    let (mut login, scene, now) = record(Context::default());
    login.seat = None;
    let notice = scan(scene, None);
    assert_eq!(login.take(&notice, &sender(Rights::all(), Some("7")), now).status, Status::Stored);
    assert!(login.take(&notice, &sender(Rights::all(), Some("7")), now).repeat);
    assert_eq!(login.take(&notice, &sender(Rights::all(), Some("8")), now).status, Status::Taken);
    assert_eq!(login.take(&notice, &sender(Rights::all(), None), now).status, Status::Taken);
    let other = Sender { client: "shop".to_owned(), ..sender(Rights::all(), Some("7")) };
    assert_eq!(login.take(&notice, &other, now).status, Status::Taken);
}

#[test]
fn the_times_are_exact() {
    let (mut login, scene, now) = record(Context::default());
    let from = sender(Rights::all(), None);
    assert_eq!(login.state(now + (TTL - INSTANT)), State::Waiting);
    assert_eq!(login.state(now + TTL), State::Expired);
    assert_eq!(login.clone().take(&claim(scene, "a"), &from, now + TTL).status, Status::Expired);

    // A claim at the last moment still leaves the person their time.
    let late = now + (TTL - INSTANT);
    login.take(&claim(scene, "a"), &from, late);
    assert_eq!(login.state(late + (AFTER_CLAIM - INSTANT)), State::Scanned);
    assert_eq!(login.snapshot(late).expires_in, AFTER_CLAIM);
    let end = late + AFTER_CLAIM;
    assert_eq!(login.state(end), State::Expired);
    assert_eq!(login.take(&scan(scene, Some("a")), &from, end).status, Status::Expired);
    let repeat = login.take(&claim(scene, "a"), &from, end);
    assert_eq!((repeat.status, repeat.repeat, repeat.state), (Status::Delivered, true, Some(State::Expired)));
    assert!(!login.is_forgotten(end + (KEPT_AFTER_END - INSTANT)));
    assert!(login.is_forgotten(end + KEPT_AFTER_END));
}

#[test]
fn an_early_claim_does_not_shorten_the_login() {
    let (mut login, scene, now) = record(Context::default());
    login.expires_at = now + Duration::from_secs(600);
    login.take(&claim(scene, "a"), &sender(Rights::all(), None), now);
    assert_eq!(login.snapshot(now).expires_in, Duration::from_secs(600));
}

#[test]
fn an_end_waits_for_replicas_and_a_claim_does_not() {
    let (mut login, scene, now) = record(Context::default());
    let from = sender(Rights::all(), None);
    for _ in 0..2 {
        assert!(!login.apply(&claim(scene, "a"), &from, now).durably);
    }
    let mut denied = login.clone();
    for _ in 0..2 {
        assert!(login.apply(&scan(scene, Some("a")), &from, now).durably);
        assert!(denied.apply(&deny(scene, Some("a")), &from, now).durably);
    }
    assert!(!login.apply(&scan(scene, Some("b")), &from, now).durably, "nothing is recorded by it");
}

#[test]
fn a_claim_is_answered_with_its_context_and_the_first_number() {
    let context = Context { site: Some("shop".to_owned()), ip: "192.0.2.1".to_owned(), ..Context::default() };
    let (mut login, scene, now) = record(context);
    let from = sender(Rights::all(), None);
    let with = |number: &str| Notice::Claim { scene, by: "a".to_owned(), number: Some(number.to_owned()) };
    let first = login.take(&with("42"), &from, now).context.unwrap();
    assert_eq!((first.site.as_deref(), first.number.as_deref()), (Some("shop"), Some("42")));
    let again = login.take(&with("43"), &from, now).context.unwrap();
    assert_eq!(again.number.as_deref(), Some("42"), "a new number in a repeat is dropped");
}

#[test]
fn a_repeat_of_a_claim_may_bring_the_number_that_the_first_one_had_not() {
    let (mut login, scene, now) = record(Context::default());
    let from = sender(Rights::all(), None);
    let claimed = |number: &str| Notice::Claim { scene, by: "a".to_owned(), number: Some(number.to_owned()) };
    assert!(login.apply(&claim(scene, "a"), &from, now).wake.is_some());

    let Done { value, wake, .. } = login.apply(&claimed("42"), &from, now);
    assert_eq!((value.status, value.repeat, wake.is_some()), (Status::Delivered, true, true));
    assert_eq!(value.context.unwrap().number.as_deref(), Some("42"));
    assert_eq!(login.snapshot(now).number.as_deref(), Some("42"));
    for repeat in [claimed("43"), claimed("42"), claim(scene, "a")] {
        let Done { value, wake, .. } = login.apply(&repeat, &from, now);
        assert_eq!((value.context.unwrap().number.as_deref(), wake), (Some("42"), None));
    }

    // Nobody else brings one, and an end takes none.
    let (mut login, scene, now) = record(Context::default());
    let by = |by: &str| Notice::Claim { scene, by: by.to_owned(), number: Some("42".to_owned()) };
    login.take(&claim(scene, "a"), &from, now);
    assert_eq!(login.take(&by("b"), &from, now).status, Status::Taken);
    let late = now + AFTER_CLAIM;
    assert_eq!(login.take(&by("a"), &from, late).context.unwrap().number, None);
    login.take(&scan(scene, Some("a")), &from, now);
    assert_eq!(login.take(&by("a"), &from, now).context.unwrap().number, None);
    assert_eq!(login.snapshot(now).number, None);
}

#[test]
fn a_newer_page_takes_over_and_only_the_one_that_sits_can_leave() {
    let (mut login, scene, now) = record(Context::default());
    let (first, second) = (login.seat.clone().unwrap(), seat());
    assert_eq!(login.sit(&first, now).wake, None, "it sits there already");
    assert_eq!(login.sit(&second, now).wake.as_ref(), Some(&first), "the older page has to read and leave");
    login.leave(&first);
    let answer = login.apply(&claim(scene, "a"), &sender(Rights::all(), None), now);
    assert_eq!((answer.value.status, answer.wake.as_ref()), (Status::Delivered, Some(&second)));
    login.leave(&second);
    let answer = login.apply(&scan(scene, Some("a")), &sender(Rights::all(), None), now);
    assert_eq!((answer.value.status, answer.wake), (Status::Stored, None));
}

#[test]
fn a_record_is_read_again_as_it_was() {
    let context = Context { site: Some("shop".to_owned()), ..Context::default() };
    let (mut login, scene, now) = record(context);
    let from = sender(Rights::all(), Some("7"));
    let code = Some(Code("c".to_owned()));
    for notice in [
        claim(scene, "a"),
        Notice::Scan { scene, nickname: Some("阿狸".to_owned()), code, by: Some("a".to_owned()) },
    ] {
        login.take(&notice, &from, now);
        let text = serde_json::to_string(&login).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), login, "{text}");
    }
}

/// Adds a field to every object, and gives their places.
fn add_everywhere(value: &mut Value, field: &str, added: &Value, at: &str, places: &mut Vec<String>) {
    let Some(object) = value.as_object_mut() else { return };
    for (name, inner) in object.iter_mut() {
        add_everywhere(inner, field, added, &format!("{at}/{name}"), places);
    }
    object.insert(field.to_owned(), added.clone());
    places.push(format!("{at}/{field}"));
}

#[test]
fn a_record_is_written_as_ever() {
    let (mut login, scene, now) = record(Context { created_at: 5, ..Context::default() });
    login.seat = None;
    let from = sender(Rights::all(), Some("7"));
    let number = Some("42".to_owned());
    login.take(&Notice::Claim { scene, by: "a".to_owned(), number }, &from, now);
    let mut denied = login.clone();
    denied.take(&deny(scene, Some("a")), &from, now);
    let code = Some(Code("c".to_owned()));
    let granted = Notice::Scan { scene, nickname: Some("阿狸".to_owned()), code, by: Some("a".to_owned()) };
    login.take(&granted, &from, now);
    let claim = json!({"by": "a", "number": "42", "delivered": false});
    let opened = json!({
        "context": {"ip": "", "created_at": 5}, "qr": {"url": "", "content": ""}, "secret": login.opened.secret(),
    });
    let end = |end: Value| json!({"opened": opened, "expires_at": 1_120_000, "claim": claim, "end": end});
    let granted = json!({
        "state": "granted", "user": "阿狸", "code": "c",
        "by": "a", "client": "callback", "id": "7", "delivered": false, "at": 1_000_000,
    });
    assert_eq!(serde_json::to_value(&login).unwrap(), end(granted));
    let refused = json!({
        "state": "denied", "by": "a", "client": "callback", "id": "7", "delivered": false, "at": 1_000_000,
    });
    assert_eq!(serde_json::to_value(&denied).unwrap(), end(refused));
}

#[test]
fn what_was_shown_is_read_again_and_older_versions_find_the_fields_that_they_need() {
    let code = |url: &str, content: &str| json!({"url": url, "content": content});
    let (url, content) = ("http://pictures/1".to_owned(), "http://weixin.qq.com/q/1".to_owned());
    let account = QrCode::Account { url, content };
    let address = "https://login.example/login/x".to_owned();
    for (qr, kept) in [
        (Some(account), code("http://pictures/1", "http://weixin.qq.com/q/1")),
        (Some(QrCode::Web { address }), code("", "https://login.example/login/x")),
        (None, code("", "")),
    ] {
        for typed in [None, Some("048291".to_owned())] {
            let (shown, now) = (Shown { qr: qr.clone(), typed: typed.clone() }, Moment(1_000_000));
            let secret = ResumeKey::new(Scene::random()).hash();
            let new = NewLogin { context: Arc::default(), shown: shown.clone(), secret, probe_of: None };
            let login = Record::new(new, now, TTL, None);
            let text = login.to_text().unwrap();
            let opened = &serde_json::from_str::<Value>(&text).unwrap()["opened"];
            assert_eq!(opened["qr"], kept);
            assert_eq!(opened.get("typed"), typed.map(Value::from).as_ref(), "absent where there is none");
            assert_eq!(Record::from_text(&text).unwrap().snapshot(now).opened.shown(), shown);
        }
    }
}

#[test]
fn a_find_reads_and_a_code_that_the_login_does_not_show_is_nobodys() {
    let (mut login, _, now) = record_of(Context::default(), Some("048291"));
    let find = |typed: &str| Notice::Find { typed: typed.to_owned(), account: None };
    let (before, from) = (login.clone(), sender(Rights::all(), None));
    let found = login.take(&find("048291"), &from, now);
    assert_eq!((found.status, found.state, found.context), (Status::Ok, Some(State::Waiting), None));
    assert_eq!(login.take(&find("148291"), &from, now), Answer::new(Status::Unknown));
    assert_eq!(login, before);
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Claim,
    Scan,
    Deny,
    Sit,
    Leave,
    Expire,
}

proptest! {
    #[test]
    fn what_a_newer_version_added_at_any_level_outlives_whatever_becomes_of_the_login(
        before in vec(any_act(), 0..4),
        after in vec(any_act(), 0..4),
        field in "later_[a-z]{1,8}",
        added in prop_oneof![Just(json!(null)), Just(json!(7)), Just(json!({"at": [1, {}]})), Just(json!("ü"))],
    ) {
        let (mut login, scene, now) = record(Context { site: Some("shop".to_owned()), ..Context::default() });
        let from = sender(Rights::all(), None);
        let act = |login: &mut Record, act: Act| {
            let code = Some(Code("c".to_owned()));
            let scan = Notice::Scan { scene, nickname: None, code, by: Some("a".to_owned()) };
            let sitting = login.seat.clone();
            match (act, sitting) {
                (Act::Claim, _) => drop(login.take(&claim(scene, "a"), &from, now)),
                (Act::Scan, _) => drop(login.take(&scan, &from, now)),
                (Act::Deny, _) => drop(login.take(&deny(scene, Some("a")), &from, now)),
                (Act::Leave, Some(seat)) => drop(login.leave(&seat)),
                (Act::Sit | Act::Leave, _) => drop(login.sit(&seat(), now)),
                (Act::Expire, _) => drop(login.expire(now)),
            }
        };
        before.into_iter().for_each(|one| act(&mut login, one));
        let (mut newer, mut places) = (serde_json::to_value(&login).unwrap(), Vec::new());
        add_everywhere(&mut newer, &field, &added, "", &mut places);
        prop_assert!(places.len() >= 4, "the record, what was opened, its context and its code: {places:?}");
        let mut read: Record = serde_json::from_value(newer.clone()).unwrap();
        prop_assert_eq!(&serde_json::to_value(&read).unwrap(), &newer);
        after.into_iter().for_each(|one| act(&mut read, one));
        let written = serde_json::to_value(&read).unwrap();
        for place in places {
            prop_assert_eq!(written.pointer(&place), Some(&added), "{}", place);
        }
        let text = written.to_string();
        prop_assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), read, "no field is there twice");
    }
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Claim),
        Just(Act::Scan),
        Just(Act::Deny),
        Just(Act::Sit),
        Just(Act::Leave),
        Just(Act::Expire),
    ]
}

#[test]
fn a_decision_holds_until_the_clock_would_decide_otherwise() {
    let (mut login, scene, now) = record(Context::default());
    assert_eq!(login.holds_until(now), Some(now + TTL));
    assert_eq!(login.holds_until(now + TTL), None, "expired is final");
    login.take(&scan(scene, Some("a")), &sender(Rights::all(), None), now);
    assert_eq!(login.holds_until(now), None, "so is an end");
}

#[test]
fn rights_are_kept() {
    let (mut plain, scene, now) = record(Context::default());
    let no_grant = sender(Rights::of(&[Right::Scan, Right::Claim]), None);
    assert_eq!(plain.take(&deny(scene, None), &no_grant, now).status, Status::Forbidden);
    let with_code = Notice::Scan { scene, nickname: None, code: Some(Code("c".to_owned())), by: None };
    assert_eq!(plain.take(&with_code, &no_grant, now).status, Status::Forbidden);
    assert_eq!(plain.take(&scan(scene, None), &no_grant, now).status, Status::Delivered);

    for context in [
        Context { site: Some("shop".to_owned()), ..Context::default() },
        Context { request: Some("handle".to_owned()), ..Context::default() },
    ] {
        let (mut sites, scene, now) = record(context);
        let everything_but_grant = Rights::of(&[Right::Scan, Right::Claim, Right::Deny, Right::Query]);
        for notice in [claim(scene, "a"), scan(scene, None), deny(scene, None), Notice::Query { scene }] {
            let answer = sites.take(&notice, &sender(everything_but_grant, None), now);
            assert_eq!((answer.status, answer.state), (Status::Forbidden, None), "{notice:?}");
        }
        let all = sender(Rights::all(), None);
        assert_eq!(sites.take(&scan(scene, None), &all, now).status, Status::Bad, "code is missing");
        let with_code = Notice::Scan { scene, nickname: None, code: Some(Code("c".to_owned())), by: None };
        assert_eq!(sites.take(&with_code, &all, now).status, Status::Delivered);
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
            now = now + Duration::from_secs(wait) / 10;
            let by = people[usize::from(person)];
            let notice = match kind {
                0 => claim(scene, by),
                1 => scan(scene, Some(by)),
                2 => deny(scene, Some(by)),
                _ => Notice::Query { scene },
            };
            let before = login.state(now);
            let answer = login.take(&notice, &sender(Rights::all(), None), now);
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
