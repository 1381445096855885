//! What a page is told, as a pure function of what happens to it.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use protocol::message::Code;
use serde_json::{Value, json};

use super::*;
use crate::account::ways::{Typed, Ways};
use crate::logins::NewLogin;
use crate::logins::seats::{Pages, Seat};

/// No jitter.
const EVEN: f64 = 0.5;

const TTL: Duration = Duration::from_secs(120);

/// A page at a login, and the record that its gateway reads.
struct Told {
    talk: Conversation,
    seat: Seat,
    login: Snapshot,
    now: Instant,
}

/// An account of which pages show nothing.
const NOTHING: Presented = Presented {
    name: None,
    picture: None,
    ways: Ways { scan: true, web_first: false, typed: Typed::Never, wechat: false },
    web: None,
};

const BESIDE: Beside<'_> = Beside { account: Some(&NOTHING), open: None };

fn code() -> Shown {
    let (url, content) = ("http://pictures/1".to_owned(), "http://weixin.qq.com/q/1".to_owned());
    Shown { qr: Some(QrCode::Account { url, content }), typed: None }
}

fn conversation(now: Instant) -> Conversation {
    Conversation::new(Language::English, true, now)
}

/// The messages of a turn in short, and what the task does then.
fn heard(turn: &Turn) -> (Vec<String>, Then) {
    let short = |say: &Say| match say {
        Say::Ping => "ping".to_owned(),
        Say::Code(code) => format!("code {}", seconds(code.left)),
        Say::Message(message) => match message {
            ToPage::QrcodeUrl { .. } => panic!("the task makes this message"),
            ToPage::Scanned { expires_in, number } => {
                format!("scanned {expires_in} {}", number.as_deref().unwrap_or("-"))
            }
            ToPage::ScanSuccess { user, .. } => format!("success {user}"),
            ToPage::Denied => "denied".to_owned(),
            ToPage::Expired => "expired".to_owned(),
            ToPage::Heartbeat => "heartbeat".to_owned(),
            ToPage::Error { code, retry_in, .. } => format!("{code} {}", retry_in.unwrap_or(0)),
        },
    };
    (turn.say.iter().map(short).collect(), turn.then)
}

fn assert_heard(turn: &Turn, says: &[&str], then: Then) {
    let (said, did) = heard(turn);
    assert_eq!((said, did), (says.iter().map(|&say| say.to_owned()).collect(), then));
}

impl Told {
    /// A page that was shown its code.
    fn showing() -> Self {
        let (now, pages) = (Instant::now(), Arc::new(Pages::default()));
        let mut talk = conversation(now);
        assert_heard(&talk.begin(), &[], Then::TakeCode(Duration::ZERO));
        let key = ResumeKey::new(Scene::random());
        let seat = pages.join(key.scene());
        let login = Snapshot {
            state: State::Waiting,
            expires_in: TTL,
            is_claimed: false,
            number: None,
            user: String::new(),
            code: None,
            opened: NewLogin { context: Arc::default(), shown: code(), secret: key.hash(), probe_of: None }
                .into(),
            seat: Some(seat.name().clone()),
        };
        let turn = talk.show(key, seat.name().clone(), code(), TTL, now);
        assert_heard(&turn, &["code 120"], Then::Wait);
        Self { talk, seat, login, now }
    }

    fn look(&mut self) -> Turn {
        self.talk.look(Some(self.login.clone()), self.now)
    }

    fn claim(&mut self, number: &str) {
        self.login.state = State::Scanned;
        self.login.is_claimed = true;
        self.login.number = Some(number.to_owned());
    }

    fn end(&mut self, state: State) {
        self.login.state = state;
        self.login.expires_in = Duration::ZERO;
    }
}

#[test]
fn a_login_is_told_step_by_step_and_each_step_once() {
    let mut told = Told::showing();
    assert_heard(&told.look(), &[], Then::Wait);
    told.claim("42");
    assert_heard(&told.look(), &["scanned 120 42"], Then::Wait);
    assert_heard(&told.look(), &[], Then::Wait);
    told.end(State::Granted);
    told.login.user = "阿狸".to_owned();
    assert_heard(&told.look(), &["success 阿狸"], Then::Close(Close::Done));
}

#[test]
fn a_number_that_comes_after_the_claim_is_told_once() {
    let mut told = Told::showing();
    told.claim("42");
    let number = told.login.number.take();
    assert_heard(&told.look(), &["scanned 120 -"], Then::Wait);
    told.login.number = number;
    assert_heard(&told.look(), &["scanned 120 42"], Then::Wait);
    assert_heard(&told.look(), &[], Then::Wait);
    // After an outage everything is told anew.
    let _ = told.talk.outage(told.now, EVEN);
    assert_heard(&told.look(), &["code 120", "scanned 120 42"], Then::Wait);
}

#[test]
fn a_claim_and_an_end_between_two_looks_are_both_told() {
    for (state, says, then) in [
        (State::Granted, ["scanned 120 07", "success "], Then::Close(Close::Done)),
        (State::Denied, ["scanned 120 07", "denied"], Then::LeaveSeat),
    ] {
        let mut told = Told::showing();
        told.claim("07");
        told.end(state);
        assert_heard(&told.look(), &says, then);
    }
    let mut told = Told::showing();
    told.claim("07");
    told.end(State::Expired);
    assert_heard(&told.look(), &["expired"], Then::LeaveSeat);
}

#[test]
fn the_record_is_read_again_when_its_time_is_over() {
    let mut told = Told::showing();
    assert_eq!(told.talk.next_look(), Some(told.now + TTL));
    told.now += Duration::from_secs(50);
    told.login.expires_in = Duration::from_secs(70);
    let _silent = told.look();
    assert_eq!(told.talk.next_look(), Some(told.now + Duration::from_secs(70)));
    told.claim("1");
    told.login.expires_in = AFTER_CLAIM;
    let _scanned = told.look();
    assert_eq!(told.talk.next_look(), Some(told.now + AFTER_CLAIM));
}

#[test]
fn a_page_whose_login_is_over_may_ask_for_another_and_is_let_go_of_later() {
    let mut told = Told::showing();
    told.end(State::Expired);
    assert_heard(&told.look(), &["expired"], Then::LeaveSeat);
    assert_eq!((told.talk.shows(), told.talk.next_look()), (None, Some(told.now + OVER_FOR)));
    let just_before = told.now + OVER_FOR - Duration::from_millis(1);
    assert_heard(&told.talk.idle(just_before), &[], Then::Wait);
    assert_heard(&told.talk.idle(told.now + OVER_FOR), &[], Then::Close(Close::Done));
    assert!(told.talk.heard(Some(FromPage::Refresh)));
    assert_heard(&told.talk.renew(None, told.now), &[], Then::TakeCode(Duration::ZERO));
    assert!(!told.talk.heard(Some(FromPage::Refresh)), "a code is on its way");
    assert_eq!(told.talk.next_look(), None);
}

#[test]
fn a_newer_socket_and_a_forgotten_login_end_the_connection() {
    let mut told = Told::showing();
    assert_heard(&told.talk.look(None, told.now), &[], Then::Close(Close::Unknown));
    told.login.seat = None;
    assert_heard(&told.look(), &[], Then::Wait);
    let pages = Arc::new(Pages::default());
    told.login.seat = Some(pages.join(Scene::random()).name().clone());
    assert_heard(&told.look(), &[], Then::Close(Close::TakenOver));
}

#[test]
fn an_outage_of_the_store_is_told_once_and_afterwards_everything_anew() {
    let mut told = Told::showing();
    told.claim("42");
    let _scanned = told.look();
    assert_heard(&told.talk.outage(told.now, EVEN), &["busy 2000"], Then::Wait);
    assert!(told.talk.waits_for_store());
    assert_heard(&told.talk.outage(told.now, EVEN), &[], Then::Wait);
    assert_eq!(told.talk.next_look(), Some(told.now + STORE_RETRY));
    assert_heard(&told.look(), &["code 120", "scanned 120 42"], Then::Wait);
    assert!(!told.talk.waits_for_store());
    assert_heard(&told.look(), &[], Then::Wait);
}

#[test]
fn a_page_that_comes_back_has_its_code_and_then_the_present_state() {
    let Told { login, seat, now, .. } = Told::showing();
    let resumed = |state, expires_in, has_picture| {
        let key = ResumeKey::new(Scene::random());
        let resume = key.reveal();
        let login = Snapshot { state, expires_in, ..login.clone() };
        let turn = conversation(now).resume(key, seat.name().clone(), has_picture, login, now);
        let Some(Say::Code(code)) = turn.say.first() else { panic!("the code comes first") };
        let ToPage::QrcodeUrl { image, resume: key, .. } = code.clone().message(BESIDE, str::to_owned) else {
            panic!("it is the message with the code")
        };
        assert_eq!((key, image.is_none()), (resume, has_picture));
        heard(&turn)
    };
    let left = Duration::from_secs(7);
    assert_eq!(resumed(State::Waiting, left, true), (vec!["code 7".to_owned()], Then::Wait));
    let (says, then) = resumed(State::Scanned, left, false);
    assert_eq!((says.join(", "), then), ("code 7, scanned 7 -".to_owned(), Then::Wait));
    let (says, then) = resumed(State::Granted, Duration::ZERO, false);
    assert_eq!((says.join(", "), then), ("code 0, success ".to_owned(), Then::Close(Close::Done)));
    let (says, then) = resumed(State::Expired, Duration::ZERO, false);
    assert_eq!((says.join(", "), then), ("code 0, expired".to_owned(), Then::LeaveSeat));
}

/// The message that shows these codes, as JSON without the time and the key.
fn message(shown: Shown, has_picture: bool, beside: Beside<'_>) -> Value {
    let code = ShowCode { shown, left: TTL, resume: "r".to_owned(), has_picture };
    let mut said = serde_json::to_value(code.message(beside, |text| format!("picture of {text}"))).unwrap();
    for name in ["message_type", "expires_in", "resume"] {
        said.as_object_mut().unwrap().remove(name).expect(name);
    }
    said
}

#[test]
fn a_page_is_shown_what_its_login_has_and_pictures_only_once() {
    let account = Presented { name: Some("店".to_owned()), picture: Some("own".into()), ..NOTHING };
    let beside = || Beside { account: Some(&account), open: None };
    let typed = || Some("482913".to_owned());
    let url = "http://pictures/1";
    let content = "http://weixin.qq.com/q/1";
    let image = format!("picture of {content}");
    assert_eq!(
        message(code(), false, beside()),
        json!({"url": url, "content": content, "image": image}),
        "the account goes with a code to type"
    );
    assert_eq!(
        message(Shown { typed: typed(), ..code() }, false, beside()),
        json!({
            "url": url, "content": content, "image": image, "typed": "482913", "account": "店", "account_image": "own",
        })
    );
    assert_eq!(
        message(Shown { typed: typed(), ..code() }, true, beside()),
        json!({"url": url, "content": content, "typed": "482913", "account": "店"})
    );
    assert_eq!(
        message(Shown { qr: None, typed: typed() }, false, BESIDE),
        json!({"url": "", "content": "", "typed": "482913"})
    );
    let address = "https://login.example/login/x".to_owned();
    let web = Shown { qr: Some(QrCode::Web { address: address.clone() }), typed: None };
    let open = Some(address.clone());
    let image = format!("picture of {address}");
    assert_eq!(
        message(web.clone(), false, Beside { account: Some(&NOTHING), open: open.clone() }),
        json!({"url": image, "content": address, "image": image, "open": address}),
        "the PHP original's page shows the url"
    );
    assert_eq!(
        message(web, true, Beside { account: Some(&NOTHING), open }),
        json!({"url": "", "content": address, "open": address})
    );
}

#[test]
fn a_page_without_a_code_waits_where_the_gateway_tries_again_and_goes_where_many_wait() {
    let mut talk = conversation(Instant::now());
    for seconds in [2, 4, 8] {
        let wait = Duration::from_secs(seconds);
        let says = format!("wechat_slow {}", seconds * 1000);
        assert_heard(&talk.no_code(&NoQrCode::Slow, EVEN), &[&says], Then::TakeCode(wait));
    }
    let wait = Duration::from_secs(60);
    assert_heard(&talk.no_code(&NoQrCode::Spent(wait), EVEN), &["codes_spent 60000"], Then::TakeCode(wait));
    for (none, says) in [
        (NoQrCode::Rush(wait), "busy 60000"),
        (NoQrCode::Unscanned(wait), "too_many 60000"),
        (NoQrCode::Unscanned(Duration::ZERO), "too_many 10000"),
    ] {
        assert_heard(&talk.no_code(&none, EVEN), &[says], Then::Close(Close::Busy));
    }
}

#[test]
fn refreshes_are_slowed_down_and_a_login_granted_meanwhile_is_told_instead() {
    let mut told = Told::showing();
    told.end(State::Expired);
    for _ in 0..3 {
        let turn = told.talk.renew(Some(told.login.clone()), told.now);
        assert_heard(&turn, &[], Then::TakeCode(Duration::ZERO));
    }
    let wait = Duration::from_secs(5);
    assert_heard(&told.talk.renew(None, told.now), &["too_fast 5000"], Then::TakeCode(wait));

    let mut told = Told::showing();
    told.end(State::Granted);
    told.login.code = Some(Code("the code".to_owned()));
    let turn = told.talk.renew(Some(told.login.clone()), told.now);
    let Some(Say::Message(ToPage::ScanSuccess { code, .. })) = turn.say.first() else { panic!("no success") };
    assert_eq!(*code, told.login.code);
    assert_eq!(turn.then, Then::Close(Close::Done));
}

#[test]
fn pages_that_must_come_back_are_told_when_and_not_all_the_same_time() {
    let talk = conversation(Instant::now());
    for (chance, says) in [(0.0, "too_many 3750"), (EVEN, "too_many 5000"), (1.0, "too_many 6250")] {
        assert_heard(&talk.too_many(Duration::ZERO, chance), &[says], Then::Close(Close::Busy));
    }
    assert_heard(&talk.too_many(Duration::from_secs(9), EVEN), &["too_many 9000"], Then::Close(Close::Busy));
    assert_heard(&talk.come_back(EVEN), &["busy 2000"], Then::Close(Close::Busy));
    assert_heard(&talk.refuse(words::TOO_LONG), &["bad_request 0"], Then::Close(Close::Policy));
}

#[test]
fn a_page_that_does_not_answer_a_ping_is_dropped() {
    let now = Instant::now();
    let mut talk = Conversation::new(Language::English, false, now);
    assert_heard(&talk.beat(talk.next_beat()), &["ping"], Then::Wait);
    assert!(!talk.heard(None));
    assert_heard(&talk.beat(talk.next_beat()), &["ping"], Then::Wait);
    assert_heard(&talk.beat(talk.next_beat()), &[], Then::Drop);
    assert_heard(&conversation(now).beat(now), &["heartbeat"], Then::Wait);
}
