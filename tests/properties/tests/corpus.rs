//! Replays the corpora of `tests/fuzz` and `protocol/fuzz`. A property that was once broken stays fixed, and a
//! corpus whose inputs are all refused at once is noticed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{RefUnwindSafe, catch_unwind};
use std::path::Path;

use tokio::runtime::Builder;

/// The largest input, in bytes; the fuzzer makes no larger one.
const MAX_INPUT: usize = 4096;

/// Replays one corpus. Its inputs must reach each of these words.
fn replay(corpus: &str, property: impl Fn(&[u8]) -> &'static str + RefUnwindSafe, words: &[&str]) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(corpus);
    let (mut reached, mut broken) = (BTreeSet::new(), Vec::new());
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        assert!(input.len() <= MAX_INPUT, "{} is too large", path.display());
        match catch_unwind(|| property(&input)) {
            Ok(word) => _ = reached.insert(word),
            Err(_) => broken.push(path),
        }
    }
    assert!(broken.is_empty(), "the property does not hold, as said above, of {broken:#?}");
    let missed: Vec<_> = words.iter().filter(|word| !reached.contains(*word)).collect();
    assert!(missed.is_empty(), "nothing in the corpus comes as far as {missed:?}");
}

#[test]
fn events() {
    let understood = ["scan", "subscribe", "subscribe by scan", "unsubscribe", "other event", "message"];
    replay("tests/fuzz/corpus/event", properties::event, &[&understood[..], &["xml", "fields"]].concat());
}

#[test]
fn envelopes() {
    let believed = ["scan", "message"];
    let refused = ["query", "signature", "mode", "msg_signature", "xml", "fields"];
    let in_the_frame = ["cipher_length", "padding", "length", "appid", "utf8"];
    replay(
        "tests/fuzz/corpus/envelope",
        properties::envelope,
        &[&believed[..], &refused, &in_the_frame].concat(),
    );
}

#[test]
fn queries() {
    replay(
        "tests/fuzz/corpus/query",
        properties::query,
        &["nothing", "fine for both", "fine for a push", "fine for a page", "refused by both"],
    );
}

#[test]
fn messages_of_pages() {
    replay(
        "tests/fuzz/corpus/page_message",
        properties::page_message,
        &["refresh", "another message", "no object", "no JSON", "no text"],
    );
}

#[test]
fn frames_of_the_internal_port() {
    let of_clients = ["auth", "scan", "claim", "deny", "query", "find", "probe", "ping"];
    let of_gateways = ["hello", "answer", "pong", "bye", "error", "unknown"];
    let refused = ["cut", "bad_frame", "bad_json"];
    let words = [&of_clients[..], &of_gateways, &refused].concat();
    replay("protocol/fuzz/corpus/frames", properties::frames, &words);
}

#[test]
fn connections_to_the_internal_port() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let strangers = ["left", "unauthorized", "bad_frame", "bad_json"];
    let clients = ["proved", "scanned", "granted", "denied"];
    let words = [strangers, clients].concat();
    replay("protocol/fuzz/corpus/handshake", |input| properties::handshake(&runtime, input), &words);
}
