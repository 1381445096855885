//! One connection: the handshake, then notices out and answers in, until it ends.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::Framed;

use super::call::Call;
use super::{Link, Settings};
use crate::VERSION;
use crate::codec::{self, Codec, FrameError};
use crate::message::{ClientMessage, Hello, ServerMessage};
use crate::tls::TlsError;

/// Limit for connecting. A gateway on the same network answers in milliseconds, and the next address should be
/// tried soon.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Limit for the hello, which the gateway sends first and at once.
const HELLO_WITHIN: Duration = Duration::from_secs(4);

/// Limit for a write. If it takes longer, the gateway does not read.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// If something is unanswered and nothing was heard for this long, the connection counts as dead. TCP alone
/// notices a partition only after many minutes.
const SILENCE: Duration = Duration::from_secs(5);

/// The most notices in flight. The gateway stops reading beyond its own limit anyway.
const IN_FLIGHT: usize = 256;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// Every handle of the client is dropped, and everything is answered.
    #[error("the client was dropped")]
    Unused,
    #[error("the gateway closed the connection")]
    Closed,
    #[error("the gateway drains")]
    Bye,
    #[error("the gateway refused: {code}: {message}")]
    Refused { code: String, message: String },
    #[error("the gateway speaks version {0} of the wire, this client {VERSION}")]
    Version(u32),
    #[error("the gateway did not say hello; does its port expect TLS?")]
    NoHello,
    #[error("no connection within {} s", CONNECT_WITHIN.as_secs())]
    NotConnected,
    #[error(
        "TLS: {0}; does the gateway's port speak TLS, with a certificate for this name, and does it accept this client's?"
    )]
    Tls(#[source] io::Error),
    #[error("no certificate could be for {0}")]
    Name(String),
    #[error(transparent)]
    Files(#[from] TlsError),
    #[error("the files of TLS could not be read within {} s; is one of them a pipe?", CONNECT_WITHIN.as_secs())]
    FilesLate,
    #[error("the gateway does not answer")]
    Silent,
    #[error(transparent)]
    Wire(#[from] FrameError),
}

/// A connection after its handshake.
#[derive(Debug)]
pub(super) struct Connection<S> {
    frames: Framed<S, Codec<ServerMessage>>,
    heartbeat: Duration,
    /// Sent notices without an answer, by their id. They are sent again on the next connection.
    pending: HashMap<String, Call>,
    pings: u32,
    last_sent: Instant,
    /// When the oldest unanswered message was sent, or when the gateway was last heard, if that was later.
    waiting_since: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Reads hello and proves the key. The gateway does not answer a good proof, so a ping is sent with it. The
    /// pong shows that the gateway has accepted the client.
    pub(super) async fn open(stream: S, settings: &Settings) -> Result<Self, End> {
        let mut frames = Framed::new(stream, Codec::<ServerMessage>::default());
        let hello = match timeout(HELLO_WITHIN, frames.next()).await {
            Err(_) => return Err(End::NoHello),
            Ok(None) => return Err(End::Closed),
            Ok(Some(Ok(ServerMessage::Hello(hello)))) => hello,
            Ok(Some(Ok(ServerMessage::Error { code, message }))) => {
                return Err(End::Refused { code, message });
            }
            Ok(Some(Ok(_))) => return Err(End::NoHello),
            Ok(Some(Err(error))) => return Err(error.into()),
        };
        let Hello { version, challenge, heartbeat, .. } = hello;
        if version != VERSION {
            return Err(End::Version(version));
        }
        let now = Instant::now();
        let mut connection = Self {
            frames,
            heartbeat: Duration::from_secs(u64::from(heartbeat.max(1))),
            pending: HashMap::new(),
            pings: 1,
            last_sent: now,
            waiting_since: now,
        };
        let proof = settings.key.proof(&challenge);
        let auth = ClientMessage::Auth { client: settings.name.clone(), proof };
        connection.write([auth, ClientMessage::Ping { id: None }]).await?;
        Ok(connection)
    }

    /// Sends the notices of `unanswered` again, then those of `queue`, and hands answers out, until the
    /// connection ends. Notices without an answer are then put back into `unanswered`.
    pub(super) async fn run(
        mut self,
        queue: &mut mpsc::Receiver<Call>,
        unanswered: &mut Vec<Call>,
        link: &watch::Sender<Link>,
    ) -> End {
        let end = match self.send_all(std::mem::take(unanswered)).await {
            Ok(()) => self.converse(queue, link).await,
            Err(end) => end,
        };
        unanswered.extend(self.pending.into_values().map(|call| Call { sent_before: true, ..call }));
        end
    }

    /// Waits for three things: a message from the gateway, the next moment at which a ping is due or the
    /// silence is too long, and a notice to send.
    async fn converse(&mut self, queue: &mut mpsc::Receiver<Call>, link: &watch::Sender<Link>) -> End {
        let (mut open, mut bye) = (true, false);
        loop {
            // What has come together is handed out together: waiting costs more than an answer.
            while let Some(message) = self.frames.next().now_or_never() {
                if let Err(end) = self.take(message, &mut bye, link) {
                    return end;
                }
            }
            if self.pending.is_empty() && (bye || !open) {
                return if bye { End::Bye } else { End::Unused };
            }
            let is_waiting = self.pings > 0 || !self.pending.is_empty();
            let silent_at = self.waiting_since + SILENCE;
            let ping_at = self.last_sent + self.heartbeat;
            let room = IN_FLIGHT.saturating_sub(self.pending.len());
            let went = tokio::select! {
                message = self.frames.next() => self.take(message, &mut bye, link),
                () = sleep_until(silent_at), if is_waiting => Err(End::Silent),
                () = sleep_until(ping_at) => self.ping().await,
                mut calls = receive(queue, room), if open && !bye && room > 0 => {
                    open = !calls.is_empty();
                    // Whoever is ready to send something does so first: one write for all of them costs little more than one.
                    yield_now().await;
                    while calls.len() < room && let Ok(call) = queue.try_recv() {
                        calls.push(call);
                    }
                    self.send_all(calls).await
                }
            };
            if let Err(end) = went {
                return end;
            }
        }
    }

    fn take(
        &mut self,
        message: Option<Result<ServerMessage, FrameError>>,
        bye: &mut bool,
        link: &watch::Sender<Link>,
    ) -> Result<(), End> {
        match message {
            None => Err(End::Closed),
            Some(Err(error)) => Err(error.into()),
            Some(Ok(ServerMessage::Bye)) => {
                *bye = true;
                Ok(())
            }
            Some(Ok(message)) => self.hear(message, link),
        }
    }

    fn hear(&mut self, message: ServerMessage, link: &watch::Sender<Link>) -> Result<(), End> {
        self.waiting_since = Instant::now();
        match message {
            ServerMessage::Answer(answer) => {
                let id = answer.id.as_deref().unwrap_or_default();
                if let Some(call) = self.pending.remove(id) {
                    call.answer(answer);
                }
            }
            ServerMessage::Pong { .. } => {
                self.pings = self.pings.saturating_sub(1);
                link.send_replace(Link::Connected);
            }
            ServerMessage::Error { code, message } => return Err(End::Refused { code, message }),
            ServerMessage::Hello(_) | ServerMessage::Bye | ServerMessage::Unknown => {}
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), End> {
        self.start_waiting();
        self.pings += 1;
        self.write([ClientMessage::Ping { id: None }]).await
    }

    async fn send_all(&mut self, calls: Vec<Call>) -> Result<(), End> {
        self.start_waiting();
        for call in calls {
            let Some(notice) = call.to_send() else { continue };
            let put = codec::put(&notice, self.frames.write_buffer_mut());
            self.pending.insert(call.id.clone(), call);
            put?;
        }
        self.write([]).await
    }

    fn start_waiting(&mut self) {
        if self.pings == 0 && self.pending.is_empty() {
            self.waiting_since = Instant::now();
        }
    }

    async fn write(&mut self, messages: impl IntoIterator<Item = ClientMessage>) -> Result<(), End> {
        let all = async {
            for message in messages {
                self.frames.feed(message).await?;
            }
            SinkExt::<ClientMessage>::flush(&mut self.frames).await
        };
        timeout(WRITE_WITHIN, all).await.map_err(|_| End::Silent)??;
        self.last_sent = Instant::now();
        Ok(())
    }
}

/// Waits for calls and takes at most `most` of them. No calls: every handle of the client is dropped.
async fn receive(queue: &mut mpsc::Receiver<Call>, most: usize) -> Vec<Call> {
    let mut calls = Vec::new();
    queue.recv_many(&mut calls, most).await;
    calls
}
