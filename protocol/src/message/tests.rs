#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::codec::FromFrame;
use crate::scene::Scene;

const SCENE: &str = "AAAAAAAAAAAAAAAAAAAAAA";

fn read(json: &str) -> ClientMessage {
    ClientMessage::from_frame(json.as_bytes()).unwrap()
}

fn why(json: &str) -> String {
    match read(json) {
        ClientMessage::Bad { message, .. } => message,
        message => panic!("{json} was taken as {message:?}"),
    }
}

#[test]
fn the_originals_notice_is_the_same_notice() {
    let original = format!(r#"{{"type":"scan","fd":"{SCENE}","nickname":"阿狸"}}"#);
    let ours = format!(r#"{{"type":"scan","scene":"{SCENE}","nickname":"阿狸","later":[1]}}"#);
    assert_eq!(read(&original), read(&ours), "and unknown fields are ignored");
    let both = format!(r#"{{"type":"scan","fd":null,"scene":"{SCENE}","nickname":"阿狸"}}"#);
    assert_eq!(read(&both), read(&ours), "and null is absent");
}

#[test]
fn an_object_with_a_fault_is_bad_and_says_what() {
    let long = "x".repeat(65);
    for (json, word) in [
        ("{}", "type"),
        (r#"{"type":"shout"}"#, "unknown type"),
        (r#"{"type":"scan"}"#, "scene"),
        (r#"{"type":"scan","fd":7}"#, "invalid type"),
        (r#"{"type":"scan","scene":"7"}"#, "22"),
        (&format!(r#"{{"type":"scan","fd":"{SCENE}","scene":"{SCENE}"}}"#), "one of them"),
        (&format!(r#"{{"type":"scan","scene":"{SCENE}","scene":"{SCENE}"}}"#), "duplicate"),
        // A field's limit holds in every notice, even in one that does not use the field.
        (&format!(r#"{{"type":"query","scene":"{SCENE}","number":"999"}}"#), "number"),
        (&format!(r#"{{"type":"deny","scene":"{SCENE}","code":"{}"}}"#, "x".repeat(513)), "code"),
        (&format!(r#"{{"type":"query","scene":"{SCENE}","typed":"48291"}}"#), "6 to 9 digits"),
        (&format!(r#"{{"type":"probe","account":"{long}"}}"#), "account"),
        (&format!(r#"{{"type":"probe","nickname":"{}"}}"#, "x".repeat(257)), "nickname"),
        (r#"{"type":"find","typed":"482913","by":""}"#, "by"),
        (r#"{"type":"find","typed":"482913","scene":"7"}"#, "22"),
        (&format!(r#"{{"type":"claim","scene":"{SCENE}"}}"#), "by"),
        (&format!(r#"{{"type":"claim","scene":"{SCENE}","by":"p","number":"7"}}"#), "number"),
        (&format!(r#"{{"type":"deny","scene":"{SCENE}","by":""}}"#), "by"),
        (r#"{"type":"find"}"#, "typed"),
        (r#"{"type":"find","typed":"48291"}"#, "6 to 9 digits"),
        (r#"{"type":"find","typed":"4829130000"}"#, "6 to 9 digits"),
        (r#"{"type":"find","typed":"48291x"}"#, "6 to 9 digits"),
        (r#"{"type":"find","typed":"４８２９１３"}"#, "6 to 9 digits"),
        (&format!(r#"{{"type":"find","typed":"482913","account":"{long}"}}"#), "account"),
        (&format!(r#"{{"type":"ping","id":"{long}"}}"#), "id"),
        (&format!(r#"{{"type":"scan","scene":"{SCENE}","nickname":"{}"}}"#, "x".repeat(257)), "nickname"),
    ] {
        assert!(why(json).contains(word), "{json}: {}", why(json));
    }
    // The answer carries the `id`, so that the client finds its notice. The second case has half an emoji, the
    // third is nested deeply.
    let nest = format!(r#"{{"id":"a7","scene":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    for json in [r#"{"id":"a7","scene":[]}"#, r#"{"nickname":"\ud83e","id":"a7"}"#, &nest] {
        let ClientMessage::Bad { id, .. } = read(json) else { panic!("{json}") };
        assert_eq!(id.as_deref(), Some("a7"), "{json}");
    }
    assert_eq!(why(r#"{"id":"\ud83e"}"#).split(" at ").next(), Some("unexpected end of hex escape"));
}

#[test]
fn every_frame_in_the_document_is_what_it_says() {
    let document = include_str!("../../PROTOCOL.md");
    let (mut from_clients, mut from_gateways) = (0, 0);
    for line in document.lines() {
        let (json, read) = if let Some(json) = line.strip_prefix("C: ") {
            from_clients += 1;
            (json, serde_json::to_value(read(json)).unwrap())
        } else if let Some(json) = line.strip_prefix("G: ") {
            from_gateways += 1;
            let message = ServerMessage::from_frame(json.as_bytes()).unwrap();
            (json, serde_json::to_value(message).unwrap())
        } else {
            continue;
        };
        let written: Value = serde_json::from_str(json).unwrap();
        // The one frame that is wrong on purpose.
        if written["type"] != "shout" {
            assert_eq!(read, written, "no field is lost or invented");
        }
    }
    assert!(from_clients > 5 && from_gateways > 5, "{from_clients} {from_gateways}");
    assert!(matches!(
        read(document.lines().find(|line| line.contains("fd\":")).unwrap()),
        ClientMessage::Notice { .. }
    ));
}

#[test]
fn the_documents_limits_are_these() {
    let document = include_str!("../../PROTOCOL.md");
    for (field, limit) in [
        ("id", format!("at most {MAX_ID} characters")),
        ("by", format!("1 to {MAX_BY} characters")),
        ("nickname", format!("at most {MAX_NICKNAME} characters")),
        ("code", format!("1 to {MAX_CODE} characters")),
        ("account", format!("at most {MAX_ACCOUNT} characters")),
        ("typed", format!("{} to {} digits", TYPED.start(), TYPED.end())),
    ] {
        let row = format!("| `{field}` | text, {limit} |");
        assert!(document.contains(&row), "{row}");
    }
    for status in [
        Status::Ok,
        Status::Delivered,
        Status::Stored,
        Status::Unknown,
        Status::Expired,
        Status::Taken,
        Status::Forbidden,
        Status::Busy,
        Status::Unsure,
        Status::Bad,
    ] {
        assert!(document.contains(&format!("\n| `{}` | ", status.as_str())), "{status:?}");
    }
}

#[test]
fn what_is_not_one_object_is_an_error() {
    for json in ["", "7", "[]", "null", "\"{}\"", "{", "{}{}", "{\"type\":\"\u{1}\"}"] {
        assert!(ClientMessage::from_frame(json.as_bytes()).is_err(), "{json}");
    }
    assert!(ClientMessage::from_frame(b"{\"type\":\"\xff\"}").is_err(), "UTF-8 only");
    assert!(
        ClientMessage::from_frame(b"{\"type\":\"ping\",\"later\":\"\xff\"}").is_err(),
        "in fields that nobody reads too"
    );
}

#[test]
fn a_later_gateways_words_are_ignored() {
    let message = ServerMessage::from_frame(br#"{"type":"weather","sun":true}"#).unwrap();
    assert_eq!(message, ServerMessage::Unknown);
}

fn text(most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 1..=most).prop_map(|chars| chars.into_iter().collect())
}

fn notice() -> impl Strategy<Value = Notice> {
    let option = |most| proptest::option::of(text(most));
    let scene = any::<u8>().prop_map(|_| Scene::random());
    let digits = (proptest::option::of("[0-9]{2}"), "[0-9]{6,9}");
    (scene, option(20), option(20), option(MAX_BY), text(MAX_BY), digits, 0..6).prop_map(
        |(scene, nickname, code, by, person, (number, typed), kind)| match kind {
            0 => Notice::Scan { scene, nickname, code: code.map(Code), by },
            1 => Notice::Claim { scene, by: person, number },
            2 => Notice::Deny { scene, by },
            3 => Notice::Find { typed, account: nickname },
            4 => Notice::Probe,
            _ => Notice::Query { scene },
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    use Status::{Bad, Busy, Delivered, Expired, Forbidden, Ok, Stored, Taken, Unknown, Unsure};
    let status = [Ok, Delivered, Stored, Unknown, Expired, Taken, Forbidden, Busy, Bad, Unsure];
    let state = [State::Waiting, State::Scanned, State::Granted, State::Denied, State::Expired];
    let status = prop::sample::select(status.to_vec());
    let state = proptest::option::of(prop::sample::select(state.to_vec()));
    let option = || proptest::option::of(text(20));
    let context = (option(), option(), option(), text(20), any::<u64>());
    let context = context.prop_map(|(site, request, number, ip, created_at)| {
        Box::new(Context { site, request, number, ip, created_at, ..Context::default() })
    });
    let context = proptest::option::of(context);
    (status, state, option(), option(), any::<bool>(), any::<Option<u64>>(), context).prop_map(
        |(status, state, id, message, repeat, retry_in, context)| Answer {
            id,
            status,
            scene: state.map(|_| Scene::random()),
            resume: message.clone().map(Resume),
            state,
            repeat,
            context,
            retry_in,
            message,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(notice in notice(), id in proptest::option::of(text(MAX_ID))) {
        let message = ClientMessage::Notice { id, notice };
        let json = serde_json::to_vec(&message).unwrap();
        prop_assert_eq!(ClientMessage::from_frame(&json).unwrap(), message);
    }

    #[test]
    fn what_is_answered_is_read_again(answer in answer()) {
        let message = ServerMessage::Answer(answer);
        let json = serde_json::to_vec(&message).unwrap();
        prop_assert_eq!(ServerMessage::from_frame(&json).unwrap(), message);
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = ClientMessage::from_frame(&bytes);
    }
}
