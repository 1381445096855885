//! A roaming page and a gateway that a test plays.

use std::net::Ipv4Addr;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;
use crate::history::{Way, Words, check};
use crate::page::PATIENCE;
use crate::proxy::Proxy;

/// A gateway that takes one page after another.
struct Gateway(TcpListener);

/// The gateway's end of a socket.
struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// The subprotocols that the page offered.
    offered: String,
}

impl Gateway {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self(listener), address)
    }

    /// Takes the next page that connects, and does the handshake.
    async fn takes(&self) -> Socket {
        loop {
            let (stream, _) = timeout(PATIENCE, self.0.accept()).await.expect("a page comes").unwrap();
            let mut offered = String::new();
            #[expect(clippy::result_large_err, reason = "the library's own type")]
            let choose = |request: &Request, mut answer: Response| {
                offered = request.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned();
                answer.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("saoma.v1"));
                Ok(answer)
            };
            if let Ok(stream) = tokio_tungstenite::accept_hdr_async(stream, choose).await {
                return Socket { stream, offered };
            }
        }
    }
}

impl Socket {
    async fn says(&mut self, message: Value) {
        self.stream.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn shows(&mut self, scene: &str) {
        let resume = format!("{scene}.secret");
        let content = format!("code of {scene}");
        let code = json!({
            "message_type": "qrcode_url", "content": content, "typed": "482913", "resume": resume, "expires_in": 120,
        });
        self.says(code).await;
    }

    async fn closes(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.stream.close(Some(frame)).await.unwrap();
        // Reads to the end, because a reset could lose the close.
        while timeout(PATIENCE, self.stream.next()).await.expect("the page closes too").is_some() {}
    }

    async fn hears(&mut self) -> String {
        let said = timeout(PATIENCE, self.stream.next()).await.expect("the page says something");
        said.unwrap().unwrap().into_text().unwrap().to_string()
    }
}

struct Opened {
    outcome: tokio::task::JoinHandle<Outcome>,
    recorder: Recorder,
    codes: mpsc::Receiver<Shown>,
}

impl Opened {
    async fn outcome(&mut self) -> Outcome {
        timeout(PATIENCE, &mut self.outcome).await.expect("the page ends").unwrap()
    }

    /// The page's next code; `None` when the page has ended.
    async fn code(&mut self) -> Option<Shown> {
        timeout(PATIENCE, self.codes.recv()).await.expect("the page shows a code")
    }

    /// The recorded events, in short.
    fn story(&self) -> Vec<String> {
        let events = self.recorder.history().events;
        let told = events.into_iter().filter_map(|(_, event)| match event {
            Event::Connecting { .. } => None,
            Event::Connected { .. } => Some("connected".to_owned()),
            Event::Closed { code, back_in, .. } => {
                Some(format!("closed {code}{}", if back_in.is_some() { ", comes back" } else { "" }))
            }
            Event::Shown { scene, expires_in, .. } => Some(format!("shows {scene} for {expires_in:?}")),
            Event::Heard { scene, news, .. } => Some(format!("{}: {news:?}", scene.unwrap_or_default())),
            Event::Renews { .. } => Some("renews".to_owned()),
            Event::GivesUp { .. } => Some("gives up".to_owned()),
            other => Some(format!("{other:?}")),
        });
        told.collect()
    }
}

/// Opens a page whose waits are short, except the one for a message.
fn open(gateways: &[SocketAddr]) -> Opened {
    open_with(gateways, Habits { first_retry: Duration::from_millis(20), ..Habits::default() })
}

fn open_with(gateways: &[SocketAddr], habits: Habits) -> Opened {
    let (show, codes) = mpsc::channel(16);
    let recorder = Recorder::new();
    let page = Roaming {
        browser: Browser(1),
        gateways: gateways.to_vec(),
        asks: Asks::default(),
        habits,
        seed: 1,
        recorder: recorder.clone(),
        codes: show,
        numbers: Numbers::default(),
    };
    Opened { outcome: tokio::spawn(page.run()), recorder, codes }
}

#[tokio::test]
async fn it_comes_back_with_its_key_and_shows_its_code_once() {
    let (gateway, address) = Gateway::start().await;
    let mut page = open(&[address]);
    let mut socket = gateway.takes().await;
    assert_eq!(socket.offered, "saoma.v1");
    socket.shows("s").await;
    let shown = page.code().await.unwrap();
    assert_eq!(
        shown,
        Shown {
            browser: Browser(1),
            scene: "s".to_owned(),
            content: "code of s".to_owned(),
            typed: Some("482913".to_owned())
        }
    );
    page.recorder.record(Event::Claims { person: "ann".to_owned(), scene: "s".to_owned(), way: Way::Scan });
    drop(socket);
    let mut socket = gateway.takes().await;
    assert_eq!(socket.offered, "saoma.v1, resume.s.secret");
    socket.shows("s").await;
    socket.closes(1001).await;

    let mut socket = gateway.takes().await;
    assert_eq!(socket.offered, "saoma.v1, resume.s.secret");
    socket.shows("s").await;
    socket.says(json!({"message_type": "scanned", "expires_in": 130})).await;
    socket.says(json!({"message_type": "heartbeat"})).await;
    socket.says(json!({"message_type": "scan_success", "user": "ann"})).await;
    socket.closes(4010).await;
    assert_eq!(page.outcome().await, Outcome::Granted { user: "ann".to_owned(), code: None });
    assert_eq!(page.code().await, None, "it was shown once");
    assert_eq!(
        page.story(),
        [
            "connected",
            "shows s for 120s",
            r#"Claims { person: "ann", scene: "s", way: Scan }"#,
            "closed 1006, comes back",
            "connected",
            "shows s for 120s",
            "closed 1001, comes back",
            "connected",
            "shows s for 120s",
            "s: Scanned { expires_in: 130s, number: None }",
            r#"s: Granted { user: "ann", code: None }"#,
            "closed 4010",
        ]
    );
    let told = Event::Told {
        person: "ann".to_owned(),
        scene: "s".to_owned(),
        way: Way::Scan,
        words: Words::LoggedIn,
    };
    page.recorder.record(told);
    assert_eq!(check(&page.recorder.history()).unwrap().granted, 1);
}

#[tokio::test]
async fn it_renews_three_times_over_the_same_socket_and_then_gives_up() {
    let (gateway, address) = Gateway::start().await;
    let mut page = open(&[address]);
    let mut socket = gateway.takes().await;
    for scene in ["a", "b", "c", "d"] {
        socket.shows(scene).await;
        assert_eq!(page.code().await.unwrap().scene, scene);
        socket.says(json!({"message_type": "expired"})).await;
        if scene != "d" {
            assert_eq!(socket.hears().await, r#"{"message_type":"refresh"}"#);
        }
    }
    assert_eq!(page.outcome().await, Outcome::GaveUp);
    let story = page.story();
    assert_eq!(story[..5], ["connected", "shows a for 120s", "a: Expired", "renews", "shows b for 120s"]);
    assert_eq!(story[story.len() - 3..], ["shows d for 120s", "d: Expired", "gives up"]);
}

#[tokio::test]
async fn an_unknown_login_is_replaced_without_its_key() {
    let (gateway, address) = Gateway::start().await;
    let mut page = open(&[address]);
    let mut socket = gateway.takes().await;
    socket.shows("a").await;
    socket.closes(4001).await;
    let mut socket = gateway.takes().await;
    assert_eq!(socket.offered, "saoma.v1");
    socket.shows("b").await;
    socket.says(json!({"message_type": "denied"})).await;
    assert_eq!(page.outcome().await, Outcome::Denied);
    let story = page.story();
    assert_eq!(story[2], "closed 4001, comes back");
    assert_eq!(story.last().unwrap(), "b: Denied");
}

#[tokio::test]
async fn it_does_not_come_back_when_told_to_stop() {
    for code in [1008, 4002, 4010] {
        let (gateway, address) = Gateway::start().await;
        let mut page = open(&[address]);
        gateway.takes().await.closes(code).await;
        assert_eq!(page.outcome().await, Outcome::Stopped(code));
        assert_eq!(page.story().last().unwrap(), &format!("closed {code}"));
    }
}

#[tokio::test]
async fn it_waits_as_long_as_it_is_told() {
    let (gateway, address) = Gateway::start().await;
    let page = open(&[address]);
    let mut socket = gateway.takes().await;
    socket.says(json!({"message_type": "error", "code": "busy", "retry_in": 60_000})).await;
    socket.closes(1013).await;
    let back_in = |event: &(Duration, Event)| match event.1 {
        Event::Closed { code: 1013, back_in, .. } => back_in,
        _ => None,
    };
    timeout(PATIENCE, async {
        while !page.recorder.history().events.iter().any(|event| back_in(event).is_some()) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the page notices the close");
    let events = page.recorder.history().events;
    let wait = events.iter().find_map(back_in).unwrap();
    // The close may have taken a part of the 60 s.
    assert!(wait > Duration::from_secs(60) - PATIENCE && wait < Duration::from_secs(61), "{wait:?}");
    let news = News::Error { retry_in: Some(Duration::from_secs(60)) };
    let heard = Event::Heard { browser: Browser(1), scene: None, news };
    assert!(events.iter().any(|(_, event)| *event == heard), "{events:?}");
}

#[tokio::test]
async fn it_tries_the_next_gateway_and_later_all_of_them_again() {
    let nowhere = (Ipv4Addr::LOCALHOST, test_redis::free_port()).into();
    let (gateway, address) = Gateway::start().await;
    let proxy = Proxy::before(address).await;
    let mut page = open(&[nowhere, proxy.address(), nowhere]);
    for _ in 0..5 {
        gateway.takes().await.shows("s").await;
    }
    // A gateway took the page at every attempt: "connected" and "closed" alternate.
    let story = page.story();
    let had = story.iter().filter(|event| *event != "shows s for 120s");
    assert!(had.enumerate().all(|(at, event)| (event == "connected") == (at % 2 == 0)), "{story:?}");

    proxy.refuse();
    let closed = |page: &Opened| page.story().iter().filter(|event| event.starts_with("closed")).count();
    let before = closed(&page);
    timeout(PATIENCE, async {
        while closed(&page) < before + 3 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it keeps trying");
    proxy.heal();
    gateway.takes().await.closes(4002).await;
    assert_eq!(page.outcome().await, Outcome::Stopped(4002));
}

#[tokio::test]
async fn a_gateway_that_falls_silent_is_left_and_heartbeats_keep_it() {
    let (gateway, address) = Gateway::start().await;
    let silence = Duration::from_secs(5);
    let first_retry = Duration::from_millis(20);
    let mut page = open_with(&[address], Habits { silence, first_retry, ..Habits::default() });
    let mut socket = gateway.takes().await;
    socket.shows("s").await;
    // The beats take longer in all than a page waits in silence, but each pause is much shorter.
    let mut beat = tokio::time::interval(silence / 20);
    for _ in 0..24 {
        beat.tick().await;
        socket.says(json!({"message_type": "heartbeat"})).await;
    }
    assert_eq!(page.story(), ["connected", "shows s for 120s"]);
    let next = gateway.takes().await;
    assert_eq!(next.offered, "saoma.v1, resume.s.secret");
    next.closes(4002).await;
    page.outcome().await;
    assert_eq!(page.story()[2], "closed 1006, comes back");
    drop(socket);
}

#[tokio::test]
async fn a_handshake_that_is_not_answered_is_given_up() {
    let (gateway, address) = Gateway::start().await;
    let silence = Duration::from_secs(1);
    let mut page = open_with(&[address], Habits { silence, ..Habits::default() });
    let (_silent, _) = gateway.0.accept().await.unwrap();
    gateway.takes().await.closes(4002).await;
    assert_eq!(page.outcome().await, Outcome::Stopped(4002));
    assert_eq!(page.story()[0], "closed 1006, comes back");
}
