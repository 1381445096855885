//! One client's connection to the internal port: hello, proof, then notices in and answers out.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::SinkExt;
use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use protocol::auth;
use protocol::codec::{Codec, FrameError, MAX_FRAME};
use protocol::message::{Answer, ClientMessage, Hello, ServerMessage};
use service::listen;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::Framed;

use crate::Gateway;
use crate::clients::{self, Client};
use crate::logins::Sender;

/// Seconds between a client's signs of life; one that is silent for two of them is closed.
pub(crate) const HEARTBEAT: u32 = 30;

/// A client must have proved its key within this.
const AUTH_WITHIN: Duration = Duration::from_secs(5);

/// A client that does not take its answers for this long does not read.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// Notices of one connection that are being worked on; then the gateway stops reading from it.
const IN_FLIGHT: usize = 64;

/// Why the gateway ends a connection.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the client left")]
    Left,
    #[error("this gateway drains")]
    Drained,
    #[error("{message}")]
    Refused { code: &'static str, message: String },
    #[error(transparent)]
    Wire(#[from] FrameError),
    #[error("the client does not read its answers")]
    NotReading,
}

impl End {
    fn refused(code: &'static str, message: &str) -> Self {
        Self::Refused { code, message: message.to_owned() }
    }

    /// What the client is told, if anybody listens.
    fn frame(&self) -> Option<ServerMessage> {
        let code = match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Wire(error) => error.code(),
            Self::Left | Self::Drained | Self::NotReading => None,
        };
        code.map(|code| ServerMessage::Error { code: code.to_owned(), message: self.to_string() })
    }
}

type Frames<S> = Framed<S, Codec<ClientMessage>>;

/// Serves a client until it leaves or errs. The drain ends the connection once nothing is in flight.
pub(crate) async fn serve<S>(gateway: &Gateway, stream: S, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut frames = Framed::new(stream, Codec::default());
    let introduced = tokio::select! {
        introduced = introduce(gateway, &mut frames) => introduced,
        () = gateway.drain.closed().cancelled() => Err(End::Drained),
    };
    let end = match introduced {
        Ok(client) => {
            tracing::info!(%peer, client = client.name, "a client has connected");
            converse(gateway, &mut frames, client).await
        }
        Err(end) => {
            // Whoever leaves by itself, such as a load balancer's health check, has not been refused.
            if end.frame().is_some() {
                gateway.metrics.unauthorized.inc();
            }
            end
        }
    };
    if let Some(error) = end.frame() {
        tracing::warn!(%peer, "a connection to the internal port was refused: {end}");
        tell_last(frames, error).await;
    } else {
        tracing::debug!(%peer, "a connection to the internal port ends: {end}");
    }
}

/// Tells somebody that the port is full.
pub(crate) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let frames: Frames<S> = Framed::new(stream, Codec::default());
    let busy = ServerMessage::Error {
        code: "busy".to_owned(),
        message: "too many connections; use one and keep it".to_owned(),
    };
    tell_last(frames, busy).await;
}

async fn tell_last<S: AsyncRead + AsyncWrite + Unpin>(mut frames: Frames<S>, error: ServerMessage) {
    if write(&mut frames, [error]).await.is_ok() {
        listen::let_go(frames.into_inner()).await;
    }
}

/// Says hello and waits for the proof. A stranger learns the challenge and nothing else.
async fn introduce<'g, S>(gateway: &'g Gateway, frames: &mut Frames<S>) -> Result<&'g Client, End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = Hello {
        version: protocol::VERSION,
        challenge: auth::challenge(),
        max_frame: u32::try_from(MAX_FRAME).unwrap_or(u32::MAX),
        heartbeat: HEARTBEAT,
    };
    let challenge = hello.challenge.clone();
    write(frames, [ServerMessage::Hello(hello)]).await?;
    match timeout(AUTH_WITHIN, frames.next()).await {
        Err(_) => Err(End::refused("unauthorized", "no auth came in time")),
        Ok(None) => Err(End::Left),
        Ok(Some(Err(error))) => Err(error.into()),
        Ok(Some(Ok(ClientMessage::Auth { client, proof }))) => clients::prove(
            &gateway.clients,
            &client,
            &challenge,
            &proof,
        )
        .ok_or_else(|| {
            tracing::warn!(client = ?client.chars().take(64).collect::<String>(), "a proof does not hold");
            End::refused("unauthorized", "unknown client, or the proof does not hold")
        }),
        Ok(Some(Ok(_))) => Err(End::refused("unauthorized", "the first frame must be auth")),
    }
}

/// Takes notices and gives answers, in any order. What is at hand is taken first and the answers go out
/// together; then it waits for the next frame, an answer that took longer, the client's silence, or the
/// gateway's own end.
async fn converse<S>(gateway: &Gateway, frames: &mut Frames<S>, client: &Client) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let silence = Duration::from_secs(2 * u64::from(HEARTBEAT));
    let mut heard = Instant::now();
    let mut working = FuturesUnordered::new();
    let mut said_bye = false;
    loop {
        let mut answers = Vec::new();
        while let Some(Some(answer)) = working.next().now_or_never() {
            answers.push(ServerMessage::Answer(answer));
        }
        let mut message = None;
        while working.len() < IN_FLIGHT && answers.len() < IN_FLIGHT {
            match frames.next().now_or_never() {
                None => break,
                Some(Some(Ok(ClientMessage::Notice { id, notice }))) => {
                    heard = Instant::now();
                    let mut work = Box::pin(take(gateway, client, id, notice));
                    match work.as_mut().now_or_never() {
                        Some(answer) => answers.push(ServerMessage::Answer(answer)),
                        None => working.push(work),
                    }
                }
                Some(other) => {
                    message = Some(other);
                    break;
                }
            }
        }
        if let Err(end) = write(frames, answers).await {
            return end;
        }
        if message.is_none() {
            tokio::select! {
                next = frames.next(), if working.len() < IN_FLIGHT => message = Some(next),
                answer = working.next(), if !working.is_empty() => {
                    if let Some(answer) = answer
                        && let Err(end) = write(frames, [ServerMessage::Answer(answer)]).await
                    {
                        return end;
                    }
                }
                () = sleep_until(heard + silence), if working.is_empty() => {
                    return End::refused("silent", "nothing was heard for two heartbeats");
                }
                () = gateway.drain.leaving().cancelled(), if !said_bye => {
                    said_bye = true;
                    if let Err(end) = write(frames, [ServerMessage::Bye]).await {
                        return end;
                    }
                }
                () = gateway.drain.closed().cancelled(), if working.is_empty() => return End::Drained,
            }
        }
        let answer = match message {
            None => continue,
            Some(None) => {
                // Perhaps it has only stopped writing, and waits for what it asked.
                while let Some(answer) = working.next().await {
                    if let Err(end) = write(frames, [ServerMessage::Answer(answer)]).await {
                        return end;
                    }
                }
                return End::Left;
            }
            Some(Some(Err(error))) => return error.into(),
            Some(Some(Ok(message))) => {
                heard = Instant::now();
                match message {
                    ClientMessage::Notice { id, notice } => {
                        working.push(Box::pin(take(gateway, client, id, notice)));
                        continue;
                    }
                    ClientMessage::Ping { id } => ServerMessage::Pong { id },
                    ClientMessage::Bad { id, message } => {
                        ServerMessage::Answer(Answer { id, ..Answer::bad(message) })
                    }
                    ClientMessage::Auth { .. } => {
                        ServerMessage::Answer(Answer::bad("auth comes once, as the first frame"))
                    }
                }
            }
        };
        if let Err(end) = write(frames, [answer]).await {
            return end;
        }
    }
}

async fn take(gateway: &Gateway, client: &Client, id: Option<String>, notice: protocol::Notice) -> Answer {
    let from = Sender { client: client.name.clone(), may: client.may, id };
    let answer = gateway.logins.notify(&notice, &from).await;
    gateway
        .metrics
        .notices
        .get_or_create(&[("type", notice.kind()), ("status", answer.status.as_str())])
        .inc();
    tracing::debug!(
        client = client.name,
        notice = notice.kind(),
        scene = %notice.scene(),
        status = answer.status.as_str(),
        "a notice was answered"
    );
    Answer { id: from.id, ..answer }
}

async fn write<S>(
    frames: &mut Frames<S>,
    messages: impl IntoIterator<Item = ServerMessage>,
) -> Result<(), End>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let all = async {
        for message in messages {
            frames.feed(message).await?;
        }
        SinkExt::<ServerMessage>::flush(frames).await
    };
    timeout(WRITE_WITHIN, all).await.map_err(|_| End::NotReading)?.map_err(End::from)
}

#[cfg(test)]
mod tests;
