//! Every recorded vector of WeChat's push format against `push`, which has no clock and no socket of its own.
//!
//! Each group is counted, so that a vector that is added or lost is noticed.
#![allow(clippy::unwrap_used)]

mod wechat_vectors;

use std::time::Duration;

use serde_json::Value;
use wechat::Person;
use wechat::push::{Endpoint, Kind, Mode, Push, Query, Refusal, Salt, Seal, Settings, text};
use wechat_vectors::{account_of, body, expected_stage, expected_status, group, is_taken, string, vectors};

const MAX_AGE: Duration = Duration::from_secs(300);

fn optional(value: &Value, name: &str) -> Option<String> {
    value[name].as_str().map(str::to_owned)
}

/// The endpoint of a vector's account, with its original id checked and the freshness window on.
fn endpoint(vectors: &Value, vector: &Value) -> Endpoint {
    let account = account_of(vectors, vector);
    Endpoint::new(Settings {
        mode: string(account, "mode").parse().unwrap(),
        app_id: string(account, "appid").to_owned(),
        component_app_id: None,
        token: string(account, "token").into(),
        previous_token: None,
        aes_key: Some(string(account, "encoding_aes_key").into()),
        previous_aes_key: None,
        original_id: optional(account, "original_id"),
        max_age: Some(MAX_AGE),
    })
    .unwrap()
}

/// The vector's own clock where it has one, else that of its timestamp, so that only what it tests is wrong.
fn now(vector: &Value) -> u64 {
    let timestamp = || string(&vector["query"], "timestamp").parse().ok();
    vector["now"].as_u64().or_else(timestamp).unwrap_or(1_767_974_121)
}

fn open(vectors: &Value, vector: &Value) -> Result<Push, Refusal> {
    let query = Query::parse(string(vector, "query_string"))?;
    endpoint(vectors, vector).open(&query, &body(vector), now(vector))
}

/// What the vector's `parsed` says in our words.
fn expected_kind(parsed: &Value) -> Kind {
    if string(parsed, "msg_type") != "event" {
        return Kind::Message {
            msg_type: string(parsed, "msg_type").to_owned(),
            content: optional(parsed, "content"),
            id: optional(parsed, "msg_id"),
        };
    }
    match string(parsed, "event") {
        "subscribe" => Kind::Subscribe { key: optional(parsed, "scene") },
        "SCAN" => Kind::Scan { key: optional(parsed, "scene").unwrap() },
        "unsubscribe" => Kind::Unsubscribe,
        other => Kind::OtherEvent { name: other.to_owned(), key: None },
    }
}

fn assert_parsed(vectors: &Value, vector: &Value, sealed: Option<Seal>) {
    let parsed = &vector["parsed"];
    let expected = Push {
        to: string(parsed, "to").to_owned(),
        from: Person::new(string(parsed, "from")),
        created_at: parsed["create_time"].as_i64().unwrap(),
        kind: expected_kind(parsed),
        sealed,
    };
    assert_eq!(open(vectors, vector), Ok(expected), "{}", string(vector, "id"));
}

#[test]
fn url_verifications_are_echoed() {
    let vectors = vectors();
    let group = group(&vectors, "url_verification");
    for vector in group {
        let query = Query::parse(string(vector, "query_string")).unwrap();
        let echo = endpoint(&vectors, vector).verify_url(&query, now(vector)).unwrap();
        assert_eq!(echo, string(vector, "expect_body"), "{}", string(vector, "id"));
    }
    assert_eq!(group.len(), 7);
}

#[test]
fn plaintext_events_are_understood() {
    let vectors = vectors();
    let group = group(&vectors, "plaintext_events");
    for vector in group {
        assert_parsed(&vectors, vector, None);
    }
    assert_eq!(group.len(), 19);
}

#[test]
fn encrypted_pushes_are_understood() {
    let vectors = vectors();
    let group = group(&vectors, "encrypted_pushes");
    for vector in group {
        assert_parsed(&vectors, vector, Some(Seal::default()));
    }
    assert_eq!(group.len(), 12);
}

#[test]
fn encrypted_replies_are_the_same_byte_for_byte() {
    let vectors = vectors();
    let group = group(&vectors, "encrypted_replies");
    let contents = ["登录成功 ✅\nd0Hix", "x]]>y"];
    for (vector, content) in group.iter().zip(contents) {
        let plain = text(
            "o9PJdoEsCLEG-eCMbo0IkN6RVwJ0",
            string(account_of(&vectors, vector), "original_id"),
            1_767_974_171,
            content,
        );
        assert_eq!(plain, string(vector, "plaintext"));
        let salt = Salt {
            random: decode_hex(string(vector, "random_hex")).try_into().unwrap(),
            timestamp: string(vector, "timestamp").parse().unwrap(),
            nonce: string(vector, "nonce").to_owned(),
        };
        let sealed = endpoint(&vectors, vector).seal(Seal::default(), &plain, &salt);
        assert_eq!(sealed, string(vector, "reply_xml"), "{}", string(vector, "id"));
    }
    assert_eq!(group.len(), 2);
}

fn decode_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn hostile_requests_are_refused_with_their_status() {
    let vectors = vectors();
    let group = group(&vectors, "negative");
    let mut refused = 0;
    for vector in group {
        let id = string(vector, "id");
        let outcome = if string(vector, "method") == "GET" {
            let verify = |query: Query| endpoint(&vectors, vector).verify_url(&query, now(vector));
            Query::parse(string(vector, "query_string")).and_then(verify).map(|_| None)
        } else {
            open(&vectors, vector).map(Some)
        };
        let status = outcome.as_ref().map_or_else(|refusal| refusal.status(), |_| 200);
        assert_eq!(status, expected_status(vector), "{id}: {outcome:?}");
        assert_eq!(outcome.is_ok(), is_taken(vector), "{id}: {outcome:?}");
        match (id, outcome) {
            ("neg-openid-query-mismatch", Ok(Some(push))) => {
                assert!(!string(vector, "query_string").contains(push.from.as_str()));
            }
            ("neg-scan-lowercase", Ok(Some(push))) => {
                assert!(matches!(push.kind, Kind::OtherEvent { name, .. } if name == "scan"));
            }
            (_, Err(refusal)) => {
                refused += 1;
                assert_eq!(refusal.stage(), expected_stage(vector), "{id}: {refusal}");
                assert_eq!(refusal.is_authentic(), expected_status(vector) == 200, "{id}: {refusal}");
            }
            (_, Ok(push)) => panic!("{id} was believed: {push:?}"),
        }
    }
    assert_eq!((group.len(), refused), (75, 73));
}

#[test]
fn deep_nesting_within_the_size_is_refused_as_such() {
    let vectors = vectors();
    let mut vector =
        group(&vectors, "negative").iter().find(|v| string(v, "id") == "neg-deep-nesting").unwrap().clone();
    vector["body_gen"]["count"] = 9000.into();
    vector["body_gen"]["count2"] = 9000.into();
    assert_eq!(open(&vectors, &vector).unwrap_err().stage(), "xml");
}

#[test]
fn without_a_window_old_pushes_are_taken_again() {
    let vectors = vectors();
    let find =
        |id: &str| group(&vectors, "negative").iter().find(|vector| string(vector, "id") == id).unwrap();
    for (id, taken) in [
        ("neg-stale-timestamp", true),
        ("neg-future-timestamp", true),
        ("neg-timestamp-not-integer", false),
        ("neg-resplit-timestamp-nonce", false),
    ] {
        let vector = find(id);
        let plain = account_of(&vectors, vector);
        let endpoint = Endpoint::new(Settings {
            mode: Mode::Plaintext,
            app_id: string(plain, "appid").to_owned(),
            component_app_id: None,
            token: string(plain, "token").into(),
            previous_token: None,
            aes_key: None,
            previous_aes_key: None,
            original_id: None,
            max_age: None,
        })
        .unwrap();
        let query = Query::parse(string(vector, "query_string")).unwrap();
        assert_eq!(endpoint.open(&query, &body(vector), now(vector)).is_ok(), taken, "{id}");
    }
}

/// Which steps are the same push is decided further in; here every step must be believed and keep what tells it apart.
#[test]
fn sequences_are_believed_step_by_step() {
    let vectors = vectors();
    let group = group(&vectors, "sequences");
    let mut steps = 0;
    for sequence in group {
        let mut pushes: Vec<Push> = Vec::new();
        for step in sequence["steps"].as_array().unwrap() {
            let mut vector = step.clone();
            vector["account"] = sequence["account"].clone();
            pushes.push(open(&vectors, &vector).unwrap());
            steps += 1;
        }
        let repeats = string(sequence, "id").contains("-retry");
        assert!(
            pushes.windows(2).all(|pair| (pair[0] == pair[1]) == repeats),
            "{}: {pushes:?}",
            sequence["id"]
        );
    }
    assert_eq!((group.len(), steps), (5, 11));
}
