//! Messages of every kind on the internal wire: what one end writes the other end reads, however the bytes are
//! cut.
#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use protocol::codec::{Codec, FromFrame};
use protocol::message::{
    ClientMessage, Code, Hello, MAX_ACCOUNT, MAX_BY, MAX_CODE, MAX_ID, MAX_NICKNAME, Resume, ServerMessage,
};
use protocol::{Answer, Context, Notice, Scene, State, Status};
use serde::Serialize;
use tokio_util::codec::{Decoder, Encoder};

/// Any text of at most `most` characters.
fn text(most: usize) -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..=most).prop_map(String::from_iter)
}

fn some(most: usize) -> impl Strategy<Value = String> {
    vec(any::<char>(), 1..=most).prop_map(String::from_iter)
}

fn notice() -> impl Strategy<Value = Notice> {
    let scene = || "[A-Za-z0-9_-]{22}".prop_map(|text| text.parse::<Scene>().unwrap());
    let by = || option::of(some(MAX_BY));
    prop_oneof![
        (scene(), option::of(text(MAX_NICKNAME)), option::of(some(MAX_CODE)), by()).prop_map(
            |(scene, nickname, code, by)| Notice::Scan { scene, nickname, code: code.map(Code), by }
        ),
        (scene(), some(MAX_BY), option::of("[0-9]{2}")).prop_map(|(scene, by, number)| Notice::Claim {
            scene,
            by,
            number
        }),
        (scene(), by()).prop_map(|(scene, by)| Notice::Deny { scene, by }),
        scene().prop_map(|scene| Notice::Query { scene }),
        ("[0-9]{6,9}", option::of(text(MAX_ACCOUNT)))
            .prop_map(|(typed, account)| Notice::Find { typed, account }),
        Just(Notice::Probe),
    ]
}

fn of_a_client() -> impl Strategy<Value = ClientMessage> {
    let id = || option::of(text(MAX_ID));
    prop_oneof![
        (text(100), text(100)).prop_map(|(client, proof)| ClientMessage::Auth { client, proof }),
        (id(), notice()).prop_map(|(id, notice)| ClientMessage::Notice { id, notice }),
        id().prop_map(|id| ClientMessage::Ping { id }),
    ]
}

fn context() -> impl Strategy<Value = Context> {
    let field = || option::of(text(50));
    let of_the_page = (field(), field(), field(), field(), field());
    (of_the_page, field(), text(50), field(), any::<u64>(), field()).prop_map(
        |((account, site, nonce, code_challenge, request), origin, ip, user_agent, created_at, number)| {
            Context {
                account,
                site,
                nonce,
                code_challenge,
                request,
                origin,
                ip,
                user_agent,
                created_at,
                number,
            }
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    use Status::{Bad, Busy, Delivered, Expired, Forbidden, Ok, Stored, Taken, Unknown, Unsure};
    let status = select(vec![Ok, Delivered, Stored, Unknown, Expired, Taken, Forbidden, Busy, Unsure, Bad]);
    let states = [State::Waiting, State::Scanned, State::Granted, State::Denied, State::Expired];
    let state = option::of(select(states.to_vec()));
    let id = option::of(text(MAX_ID));
    let context = option::of(context().prop_map(Box::new));
    let scene = option::of("[A-Za-z0-9_-]{22}".prop_map(|text| text.parse::<Scene>().unwrap()));
    let resume = option::of(text(50).prop_map(Resume));
    let login = (scene, resume, state);
    (id, status, login, any::<bool>(), context, any::<Option<u64>>(), option::of(text(200))).prop_map(
        |(id, status, (scene, resume, state), repeat, context, retry_in, message)| Answer {
            id,
            status,
            scene,
            resume,
            state,
            repeat,
            context,
            retry_in,
            message,
        },
    )
}

fn of_a_gateway() -> impl Strategy<Value = ServerMessage> {
    prop_oneof![
        (any::<u32>(), text(50), any::<u32>(), any::<u32>()).prop_map(
            |(version, challenge, max_frame, heartbeat)| {
                ServerMessage::Hello(Hello { version, challenge, max_frame, heartbeat })
            }
        ),
        answer().prop_map(ServerMessage::Answer),
        option::of(text(MAX_ID)).prop_map(|id| ServerMessage::Pong { id }),
        Just(ServerMessage::Bye),
        (text(20), text(200)).prop_map(|(code, message)| ServerMessage::Error { code, message }),
    ]
}

/// What the other end reads when the bytes come in pieces of these sizes, in turn.
fn conveyed<M: FromFrame + Serialize>(messages: &[M], sizes: &[usize]) -> Vec<M> {
    let (mut codec, mut bytes) = (Codec::<M>::default(), BytesMut::new());
    for message in messages {
        codec.encode(message, &mut bytes).unwrap();
    }
    let (mut codec, mut buffer, mut read) = (Codec::<M>::default(), BytesMut::new(), Vec::new());
    for size in sizes.iter().cycle() {
        buffer.extend_from_slice(&bytes.split_to(bytes.len().min(*size)));
        read.extend(std::iter::from_fn(|| codec.decode(&mut buffer).unwrap()));
        if bytes.is_empty() {
            break;
        }
    }
    assert!(codec.decode_eof(&mut buffer).unwrap().is_none() && buffer.is_empty());
    read
}

proptest! {
    #[test]
    fn gateways_read_what_clients_write(said in vec(of_a_client(), 0..20), sizes in vec(1..500_usize, 1..5)) {
        prop_assert_eq!(conveyed(&said, &sizes), said);
    }

    #[test]
    fn clients_read_what_gateways_write(said in vec(of_a_gateway(), 0..20), sizes in vec(1..500_usize, 1..5)) {
        prop_assert_eq!(conveyed(&said, &sizes), said);
    }
}
