//! A gateway that each test plays itself, over the real wire.

use futures_util::{SinkExt, StreamExt};
use protocol::Answer;
use protocol::auth::Key as NotifyKey;
use protocol::codec::{Codec, MAX_FRAME};
use protocol::message::{ClientMessage, Hello, ServerMessage};
use secrecy::SecretString;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::codec::Framed;

use super::*;

/// A gateway: each test answers its notices, in any order, or not at all.
pub(crate) struct Gateway {
    pub(super) notices: mpsc::UnboundedReceiver<(String, Notice)>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Gateway {
    pub(crate) async fn start() -> (Self, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(&listener);
        let (tell, notices) = mpsc::unbounded_channel();
        let (answers, mut hear) = mpsc::unbounded_channel::<Answer>();
        tokio::spawn(async move {
            let mut frames = accept(&listener).await;
            loop {
                tokio::select! {
                    message = frames.next() => match message {
                        Some(Ok(ClientMessage::Notice { id: Some(id), notice })) => {
                            // The test may be over.
                            let _ = tell.send((id, notice));
                        }
                        Some(Ok(message)) => panic!("{message:?}"),
                        _ => return,
                    },
                    Some(answer) = hear.recv() => {
                        frames.send(ServerMessage::Answer(answer)).await.unwrap();
                    }
                }
            }
        });
        client.connected().await;
        (Self { notices, answers }, client)
    }

    /// The next notice; its id is needed for the answer.
    pub(super) async fn hear(&mut self) -> (String, Notice) {
        timeout(PATIENCE, self.notices.recv()).await.unwrap().unwrap()
    }

    pub(super) fn answer(&self, id: String, answer: Answer) {
        let id = Some(id);
        self.answers.send(Answer { id, ..answer }).unwrap();
    }

    /// Hears a notice, which must be `expected`, and answers it.
    pub(super) async fn take(&mut self, expected: &Notice, answer: Answer) {
        let (id, notice) = self.hear().await;
        assert_eq!(notice, *expected);
        self.answer(id, answer);
    }

    /// Answers by `script` until nobody asks any more, and gives the notices heard through its end.
    pub(crate) fn play(
        mut self,
        mut script: impl FnMut(&Notice) -> Option<Answer> + Send + 'static,
    ) -> Heard {
        let heard = Heard::default();
        let log = heard.clone();
        tokio::spawn(async move {
            while let Some((id, notice)) = self.notices.recv().await {
                let answer = script(&notice);
                log.0.lock().push(notice);
                if let Some(answer) = answer {
                    self.answer(id, answer);
                }
            }
        });
        heard
    }
}

/// The notices that a gateway has heard.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Notice>>>);

impl Heard {
    pub(super) fn all(&self) -> Vec<Notice> {
        self.0.lock().clone()
    }

    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.all().iter().map(Notice::kind).collect()
    }
}

pub(super) fn key() -> NotifyKey {
    NotifyKey::new(&SecretString::from("a key for tests, of 32 bytes or more")).unwrap()
}

pub(super) fn client(listener: &TcpListener) -> Client {
    Client::start(protocol::client::Settings {
        name: "callback".to_owned(),
        key: key(),
        addresses: vec![listener.local_addr().unwrap().to_string()],
        tls: None,
    })
}

pub(super) async fn accept(listener: &TcpListener) -> Framed<TcpStream, Codec<ClientMessage>> {
    let mut frames = Framed::new(listener.accept().await.unwrap().0, Codec::default());
    let hello = Hello {
        version: protocol::VERSION,
        challenge: protocol::auth::challenge(),
        max_frame: u32::try_from(MAX_FRAME).unwrap(),
        heartbeat: 30,
    };
    frames.send(ServerMessage::Hello(hello.clone())).await.unwrap();
    let Some(Ok(ClientMessage::Auth { proof, .. })) = frames.next().await else { panic!() };
    assert!(key().verifies(&hello.challenge, &proof));
    let Some(Ok(ClientMessage::Ping { id })) = frames.next().await else { panic!() };
    frames.send(ServerMessage::Pong { id }).await.unwrap();
    frames
}

pub(crate) async fn no_gateway() -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    client(&listener)
}

pub(super) fn answer(status: Status, state: State) -> Answer {
    Answer { state: Some(state), ..Answer::new(status) }
}

/// A recorded claim's answer.
pub(super) fn claimed() -> Answer {
    Answer { context: Some(Box::default()), ..answer(Status::Delivered, State::Scanned) }
}

pub(super) fn claimed_for(site: Option<&str>, request: Option<&str>) -> Answer {
    let context =
        Context { site: site.map(str::to_owned), request: request.map(str::to_owned), ..Context::default() };
    Answer { context: Some(Box::new(context)), ..claimed() }
}

pub(super) fn granted() -> Answer {
    answer(Status::Delivered, State::Granted)
}

pub(super) fn repeated(answer: Answer, state: State) -> Answer {
    Answer { repeat: true, state: Some(state), ..answer }
}

pub(super) fn busy() -> Answer {
    Answer { retry_in: Some(150), ..Answer::new(Status::Busy) }
}
