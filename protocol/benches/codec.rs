//! What a frame of the internal wire takes, written and read.

#![allow(missing_docs, reason = "criterion's macros document nothing")]

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use protocol::codec::Codec;
use protocol::message::{Answer, ClientMessage, Context, ServerMessage, Status};
use protocol::{Notice, Scene};
use tokio_util::codec::{Decoder, Encoder};

fn frames(criterion: &mut Criterion) {
    let notice = Notice::Scan {
        scene: Scene::random(),
        nickname: Some("阿狸".to_owned()),
        code: None,
        by: Some("oABCD_efghijklmnopqrstuvwxyz".to_owned()),
    };
    let notice = ClientMessage::Notice { id: Some("4711".to_owned()), notice };
    let context = Context {
        ip: "203.0.113.7".to_owned(),
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned()),
        origin: Some("https://login.example.com".to_owned()),
        created_at: 1_785_500_000,
        ..Context::default()
    };
    let answer = Answer { context: Some(Box::new(context)), ..Answer::new(Status::Delivered) };
    let answer = ServerMessage::Answer(answer);

    criterion.bench_function("codec: a notice is written", |bencher| {
        let (mut codec, mut bytes) = (Codec::<ServerMessage>::default(), BytesMut::new());
        bencher.iter(|| {
            bytes.clear();
            codec.encode(&notice, &mut bytes).expect("a frame");
        });
    });
    criterion.bench_function("codec: an answer with its context is written", |bencher| {
        let (mut codec, mut bytes) = (Codec::<ClientMessage>::default(), BytesMut::new());
        bencher.iter(|| {
            bytes.clear();
            codec.encode(&answer, &mut bytes).expect("a frame");
        });
    });
    let mut frame = BytesMut::new();
    Codec::<ServerMessage>::default().encode(&notice, &mut frame).expect("a frame");
    criterion.bench_function("codec: a notice is read", |bencher| {
        let mut codec = Codec::<ClientMessage>::default();
        bencher.iter_batched_ref(
            || frame.clone(),
            |bytes| codec.decode(bytes).expect("a frame"),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, frames);
criterion_main!(benches);
