//! What a login takes of the gateway beside its sockets: its picture, and the decision on each of its notices.

#![allow(missing_docs, reason = "criterion's macros document nothing")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use protocol::message::Context;
use protocol::{Notice, Scene};
use ws_gateway::testing::bench::{Login, picture};

fn logins(criterion: &mut Criterion) {
    criterion.bench_function("picture: a QR code of WeChat's length is drawn", |bencher| {
        // Another one each time, or the processor would learn its modules.
        let content = || format!("http://weixin.qq.com/q/{}", Scene::random());
        bencher.iter_batched(content, |content| picture(black_box(&content)), BatchSize::SmallInput);
    });
    let scene = Scene::random();
    let by = || "oABCD_efghijklmnopqrstuvwxyz".to_owned();
    let waiting = Login::open(scene, Context { ip: "203.0.113.7".to_owned(), ..Context::default() });
    let claim = Notice::Claim { scene, by: by(), number: None };
    let scan = Notice::Scan { scene, nickname: Some("阿狸".to_owned()), code: None, by: Some(by()) };
    // The record is copied each time, as a store in memory does.
    criterion.bench_function("record: a claim is decided", |bencher| {
        bencher.iter_batched_ref(|| waiting.clone(), |login| login.take(&claim), BatchSize::SmallInput);
    });
    let mut claimed = waiting.clone();
    claimed.take(&claim);
    criterion.bench_function("record: an end is decided", |bencher| {
        bencher.iter_batched_ref(|| claimed.clone(), |login| login.take(&scan), BatchSize::SmallInput);
    });
}

criterion_group!(benches, logins);
criterion_main!(benches);
