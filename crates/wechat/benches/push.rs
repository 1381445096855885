//! What a push of WeChat takes: the reading of its event, and the cipher around it.

#![allow(missing_docs, reason = "criterion's macros document nothing")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use wechat::push::{Endpoint, Mode, Query, Rehearsal, Salt, Settings, text};

const NOW: u64 = 1_785_500_000;

/// As WeChat's page for developers shows it, but for the scene.
const SCAN: &str = "<xml><ToUserName><![CDATA[gh_123456789abc]]></ToUserName>\
    <FromUserName><![CDATA[oABCD_efghijklmnopqrstuvwxyz]]></FromUserName><CreateTime>1785500000</CreateTime>\
    <MsgType><![CDATA[event]]></MsgType><Event><![CDATA[SCAN]]></Event>\
    <EventKey><![CDATA[AAAAAAAAAAAAAAAAAAAAAA]]></EventKey><Ticket><![CDATA[gQH47joAAAAAAAAAASxodHRwOi8vd2VpeGluLnFxLmNvbS9xL2taZ2Z3TVRtNzJXV1Brb3ZhYmJJAAIEZ23sUwMEmm3sUw==]]></Ticket>\
    </xml>";

fn endpoint(mode: Mode) -> Endpoint {
    let settings = Settings {
        mode,
        app_id: "wx0123456789abcdef".to_owned(),
        component_app_id: None,
        token: "token".into(),
        previous_token: None,
        aes_key: Some("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".into()),
        previous_aes_key: None,
        original_id: None,
        max_age: None,
    };
    Endpoint::new(settings).expect("an account as it may be")
}

fn pushes(criterion: &mut Criterion) {
    let salt = Salt { random: *b"0123456789abcdef", timestamp: NOW, nonce: "486452656".to_owned() };
    let (plain, safe) = (endpoint(Mode::Plaintext), endpoint(Mode::Safe));
    let Rehearsal { query, .. } = plain.rehearse_push("key", &salt);
    let query = Query::parse(&query).expect("a query of WeChat's form");
    criterion.bench_function("event: a push in plaintext is read", |bencher| {
        bencher.iter(|| plain.open(&query, black_box(SCAN.as_bytes()), NOW).expect("a scan"));
    });
    let Rehearsal { query, body } = safe.rehearse_push("AAAAAAAAAAAAAAAAAAAAAA", &salt);
    let query = Query::parse(&query).expect("a query of WeChat's form");
    criterion.bench_function("cipher: a push in safe mode is opened and read", |bencher| {
        bencher.iter(|| safe.open(&query, black_box(body.as_bytes()), NOW).expect("a rehearsal"));
    });
    let push = safe.open(&query, body.as_bytes(), NOW).expect("a rehearsal");
    let reply = text("oABCD_efghijklmnopqrstuvwxyz", "gh_123456789abc", 1_785_500_000, "已登录");
    criterion.bench_function("cipher: a reply is sealed", |bencher| {
        bencher.iter(|| safe.answer(&push, black_box(&reply), NOW));
    });
}

criterion_group!(benches, pushes);
criterion_main!(benches);
