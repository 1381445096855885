//! The client against a gateway that each test plays itself.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use secrecy::SecretString;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::Framed;

use super::*;
use crate::codec::{Codec, MAX_FRAME};
use crate::message::{ClientMessage, Hello, ServerMessage, State};
use crate::{Scene, VERSION};

type Frames = Framed<TcpStream, Codec<ClientMessage>>;

struct Gateway {
    listener: TcpListener,
    key: Key,
}

impl Gateway {
    async fn start() -> (Self, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let key = Key::new(&SecretString::from("a key for tests, of 32 bytes or more")).unwrap();
        let addresses = vec![listener.local_addr().unwrap().to_string()];
        let client =
            Client::start(Settings { name: "callback".to_owned(), key: key.clone(), addresses, tls: None });
        (Self { listener, key }, client)
    }

    /// Takes a connection through the handshake.
    async fn accept(&self) -> Frames {
        let mut frames = Framed::new(self.listener.accept().await.unwrap().0, Codec::default());
        let hello = Hello {
            version: VERSION,
            challenge: crate::auth::challenge(),
            max_frame: u32::try_from(MAX_FRAME).unwrap(),
            heartbeat: 30,
        };
        frames.send(ServerMessage::Hello(hello.clone())).await.unwrap();
        let Some(Ok(ClientMessage::Auth { client, proof })) = frames.next().await else { panic!() };
        assert_eq!(client, "callback");
        assert!(self.key.verifies(&hello.challenge, &proof));
        let Some(Ok(ClientMessage::Ping { id })) = frames.next().await else { panic!() };
        frames.send(ServerMessage::Pong { id }).await.unwrap();
        frames
    }
}

async fn next_id(frames: &mut Frames) -> String {
    match frames.next().await {
        Some(Ok(ClientMessage::Notice { id: Some(id), .. })) => id,
        message => panic!("{message:?}"),
    }
}

fn delivered(id: String) -> ServerMessage {
    let answer = Answer { id: Some(id), state: Some(State::Scanned), ..Answer::new(Status::Delivered) };
    ServerMessage::Answer(answer)
}

fn claim() -> Notice {
    Notice::Claim { scene: Scene::random(), by: "person".to_owned(), number: None }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[tokio::test]
async fn answers_find_their_notices_in_any_order() {
    let (gateway, client) = Gateway::start().await;
    let (one, two) =
        (client.send(claim(), soon()), client.send(Notice::Query { scene: Scene::random() }, soon()));
    let answers = async {
        let mut frames = gateway.accept().await;
        let (first, second) = (next_id(&mut frames).await, next_id(&mut frames).await);
        let mut other = Answer::new(Status::Unknown);
        other.id = Some(second);
        frames.send(ServerMessage::Answer(other)).await.unwrap();
        frames.send(delivered(first)).await.unwrap();
        frames
    };
    let (one, two, _frames) = tokio::join!(one, two, answers);
    assert_eq!(one.unwrap().status, Status::Delivered);
    assert_eq!(two.unwrap().status, Status::Unknown);
    assert!(client.is_connected());
}

#[tokio::test]
async fn what_lost_its_connection_is_sent_again_under_the_same_id() {
    let (gateway, client) = Gateway::start().await;
    let twice = async {
        let mut frames = gateway.accept().await;
        let first = next_id(&mut frames).await;
        drop(frames);
        let mut frames = gateway.accept().await;
        let again = next_id(&mut frames).await;
        assert_eq!(first, again);
        frames.send(delivered(again)).await.unwrap();
        frames
    };
    let (answer, _frames) = tokio::join!(client.send(claim(), soon()), twice);
    assert_eq!(answer.unwrap().status, Status::Delivered);
}

#[tokio::test]
async fn a_no_to_the_second_sending_says_nothing_of_the_first() {
    for no in [Status::Busy, Status::Forbidden, Status::Bad] {
        let (gateway, client) = Gateway::start().await;
        let twice = async {
            let mut frames = gateway.accept().await;
            next_id(&mut frames).await;
            drop(frames);
            let mut frames = gateway.accept().await;
            let id = Some(next_id(&mut frames).await);
            frames.send(ServerMessage::Answer(Answer { id, ..Answer::new(no) })).await.unwrap();
            let id = Some(next_id(&mut frames).await);
            frames.send(ServerMessage::Answer(Answer { id, ..Answer::new(no) })).await.unwrap();
            frames
        };
        let calls = async {
            let first = client.send(claim(), soon()).await;
            (first, client.send(claim(), soon()).await)
        };
        let ((first, next), _frames) = tokio::join!(calls, twice);
        assert_eq!(first.unwrap().status, Status::Unsure, "{no:?}");
        assert_eq!(next.unwrap().status, no, "which was sent once");
    }
}

#[tokio::test]
async fn a_gateway_that_drains_is_not_pressed() {
    let (gateway, client) = Gateway::start().await;
    let mut frames = gateway.accept().await;
    let began = Instant::now();
    for _ in 0..4 {
        frames.send(ServerMessage::Bye).await.unwrap();
        frames = gateway.accept().await;
    }
    // At least half of 100, 200, 400 and 800 ms.
    assert!(began.elapsed() >= Duration::from_millis(750), "{:?}", began.elapsed());
    drop(client);
}

#[tokio::test]
async fn an_answer_that_did_not_come_is_no_no() {
    let (gateway, client) = Gateway::start().await;
    let mut frames = gateway.accept().await;
    let (give_up, gave_up) = oneshot::channel::<()>();
    let notice = client.send(claim(), soon());
    let silent = async {
        next_id(&mut frames).await;
        give_up.send(()).unwrap();
    };
    // The test decides when the deadline comes, so that nothing depends on the machine's speed.
    let sent = async {
        tokio::pin!(notice);
        tokio::select! {
            answer = &mut notice => panic!("{answer:?}"),
            _ = gave_up => {}
        }
    };
    tokio::join!(sent, silent);
    let late = client.send(claim(), Instant::now() + Duration::from_millis(300));
    let (late, _) = tokio::join!(late, next_id(&mut frames));
    assert_eq!(late.unwrap_err(), NoAnswer::Unknown);
}

#[tokio::test]
async fn without_a_gateway_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = vec![listener.local_addr().unwrap().to_string()];
    drop(listener);
    let key = Key::new(&SecretString::from("a key for tests, of 32 bytes or more")).unwrap();
    let client = Client::start(Settings { name: "callback".to_owned(), key, addresses, tls: None });
    let answer = client.send(claim(), Instant::now() + Duration::from_millis(200)).await;
    assert_eq!(answer.unwrap_err(), NoAnswer::NotSent);
}

#[tokio::test]
async fn what_was_given_up_before_it_was_sent_is_never_sent() {
    let (gateway, client) = Gateway::start().await;
    let given_up = client.send(claim(), Instant::now()).await;
    assert_eq!(given_up.unwrap_err(), NoAnswer::NotSent);
    let wanted = Scene::random();
    let kept = client.send(Notice::Query { scene: wanted }, soon());
    let check = async {
        let mut frames = gateway.accept().await;
        let Some(Ok(ClientMessage::Notice { id: Some(id), notice })) = frames.next().await else { panic!() };
        assert_eq!(notice.scene(), Some(wanted), "the one given up came first");
        frames.send(delivered(id)).await.unwrap();
        frames
    };
    let (kept, _frames) = tokio::join!(kept, check);
    assert!(kept.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_falls_silent_is_left() {
    // In-memory, because paused time must not run ahead of a socket.
    let (ours, theirs) = tokio::io::duplex(1024);
    let key = Key::new(&SecretString::from("a key for tests, of 32 bytes or more")).unwrap();
    let settings = Settings { name: "callback".to_owned(), key, addresses: Vec::new(), tls: None };
    let mut frames: Framed<_, Codec<ClientMessage>> = Framed::new(theirs, Codec::default());
    let hello = Hello { version: VERSION, challenge: "c".to_owned(), max_frame: 65_536, heartbeat: 30 };
    frames.send(ServerMessage::Hello(hello)).await.unwrap();
    let connection = connection::Connection::open(ours, &settings).await.unwrap();
    assert!(matches!(frames.next().await, Some(Ok(ClientMessage::Auth { .. }))));
    assert!(matches!(frames.next().await, Some(Ok(ClientMessage::Ping { .. }))));
    frames.send(ServerMessage::Pong { id: None }).await.unwrap();

    let (_calls, mut queue) = mpsc::channel(1);
    let (link, _) = watch::channel(Link::Starting);
    let (mut unanswered, began) = (Vec::new(), Instant::now());
    let ran = connection.run(&mut queue, &mut unanswered, &link);
    // One heartbeat is answered, the next is not.
    let heartbeats = async {
        assert!(matches!(frames.next().await, Some(Ok(ClientMessage::Ping { .. }))));
        frames.send(ServerMessage::Pong { id: None }).await.unwrap();
        assert!(matches!(frames.next().await, Some(Ok(ClientMessage::Ping { .. }))));
        frames
    };
    let (end, _frames) = tokio::join!(ran, heartbeats);
    assert!(matches!(end, connection::End::Silent), "{end}");
    assert_eq!(began.elapsed().as_secs(), 30 + 30 + 5);
}

/// A client of two gateways, both of which the test plays, without sockets: time may be paused.
fn of_two(link: Link) -> (Client, mpsc::Receiver<Call>, mpsc::Receiver<Call>) {
    let ((calls, first), (second, other)) = (mpsc::channel(8), mpsc::channel(8));
    let (_, link) = watch::channel(link);
    (Client { calls, second: Some(second), link, second_link: None, ids: Arc::new(Ids::new()) }, first, other)
}

/// The next notice, as a connection sends it.
async fn sent(queue: &mut mpsc::Receiver<Call>) -> Call {
    let call = queue.recv().await.unwrap();
    assert!(call.to_send().is_some());
    call
}

fn scan() -> Notice {
    let by = Some("person".to_owned());
    Notice::Scan { scene: Scene::random(), nickname: None, code: None, by }
}

#[tokio::test(start_paused = true)]
async fn what_a_gateway_does_not_answer_soon_is_sent_to_a_second_one_too() {
    let (client, mut first, mut second) = of_two(Link::Connected);
    let (asked, began) = (scan(), Instant::now());
    let gateways = async {
        let hangs = sent(&mut first).await;
        let answers = sent(&mut second).await;
        assert_eq!(began.elapsed(), SECOND_AFTER);
        assert_eq!((&answers.id, &*answers.notice), (&hangs.id, &asked));
        answers.answer(Answer::new(Status::Delivered));
        hangs
    };
    let (answer, _hangs) = tokio::join!(client.send(asked.clone(), soon()), gateways);
    assert_eq!(answer.unwrap().status, Status::Delivered);
    assert_eq!(began.elapsed(), SECOND_AFTER);
}

#[tokio::test(start_paused = true)]
async fn a_second_gateway_is_left_alone_while_the_first_answers() {
    let (client, mut first, mut second) = of_two(Link::Connected);
    let gateway = async {
        let call = sent(&mut first).await;
        sleep_until(Instant::now() + SECOND_AFTER / 2).await;
        call.answer(Answer::new(Status::Busy));
    };
    let (answer, ()) = tokio::join!(client.send(scan(), soon()), gateway);
    assert_eq!(answer.unwrap().status, Status::Busy, "which was sent once");
    assert!(second.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn while_there_is_no_connection_the_second_is_used_at_once() {
    let (client, mut first, mut second) = of_two(Link::Starting);
    let began = Instant::now();
    let gateway = async { sent(&mut second).await.answer(Answer::new(Status::Busy)) };
    let (answer, ()) = tokio::join!(client.send(scan(), soon()), gateway);
    assert_eq!(answer.unwrap().status, Status::Busy, "the first has not sent it");
    assert_eq!(began.elapsed(), Duration::ZERO);
    let given_up = first.recv().await.unwrap();
    assert!(given_up.to_send().is_none(), "and will not");
}

#[tokio::test(start_paused = true)]
async fn a_no_of_the_second_gateway_says_nothing_of_the_first_nor_the_other_way_round() {
    for no in [Status::Busy, Status::Forbidden, Status::Bad, Status::Unknown] {
        for second_says_it in [true, false] {
            let (client, mut first, mut second) = of_two(Link::Connected);
            let gateways = async {
                let (one, other) = (sent(&mut first).await, sent(&mut second).await);
                let (says, silent) = if second_says_it { (other, one) } else { (one, other) };
                says.answer(Answer::new(no));
                silent
            };
            let (answer, _silent) = tokio::join!(client.send(scan(), soon()), gateways);
            assert_eq!(answer.unwrap().status, Status::Unsure, "{no:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_silent_gateways_nothing_is_known_and_of_two_without_a_connection_that_it_was_not_sent() {
    for (link, sends, expected) in [
        (Link::Connected, [true, true], NoAnswer::Unknown),
        (Link::Connected, [true, false], NoAnswer::Unknown),
        (Link::Starting, [false, true], NoAnswer::Unknown),
        (Link::Starting, [false, false], NoAnswer::NotSent),
    ] {
        let (client, mut first, mut second) = of_two(link);
        let deadline = Instant::now() + Duration::from_secs(3);
        let gateways = async {
            let (one, other) = (first.recv().await.unwrap(), second.recv().await.unwrap());
            for (call, sends) in [&one, &other].into_iter().zip(sends) {
                assert!(!sends || call.to_send().is_some());
            }
            (one, other)
        };
        let (answer, (one, other)) = tokio::join!(client.send(scan(), deadline), gateways);
        assert_eq!(answer.unwrap_err(), expected);
        assert_eq!(Instant::now(), deadline);
        for (call, sent) in [&one, &other].into_iter().zip(sends) {
            assert!(sent || call.to_send().is_none(), "what was given up is never sent");
        }
    }
}
