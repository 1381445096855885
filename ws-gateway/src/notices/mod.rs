//! The internal port, where back ends send notices: one client's connection, from hello to its end.
//!
//! [`transport`] is TCP or TLS. Here the client proves its key, as [`credentials`] know it; then the [`conversation`]
//! takes notices and gives answers. What a client may send, and how much, are [`clients`]' rules.
//! [`connected`] is what an operator sees of them.

pub(crate) mod clients;
pub(crate) mod connected;
mod conversation;
pub(crate) mod credentials;
mod settings;
mod transport;

use std::fmt;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::SinkExt;
use futures_util::stream::StreamExt;
use protocol::auth;
use protocol::codec::{Codec, FrameError, MAX_FRAME};
use protocol::message::{ClientMessage, Hello, ServerMessage};
use server::places::Place;
use server::{listen, tell};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tokio_util::codec::Framed;

pub(crate) use self::settings::Settings;
use crate::Gateway;
use crate::notices::clients::{Clients, Proved};

/// Seconds between a client's signs of life. A client that is silent for twice as long is closed.
pub(crate) const HEARTBEAT: u32 = 30;

/// Time limit for a client to prove its key.
const AUTH_WITHIN: Duration = Duration::from_secs(5);

/// Time limit for a client to take its answers.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

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
    #[error("it has not proved a key, and another one came")]
    GaveWay,
}

impl End {
    fn refused(code: &'static str, message: impl fmt::Display) -> Self {
        Self::Refused { code, message: format!("{message}") }
    }

    /// Why the client is refused, as the wire names it; `None` if the connection ends for another reason.
    fn code(&self) -> Option<&'static str> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Wire(error) => error.code(),
            Self::Left | Self::Drained | Self::NotReading | Self::GaveWay => None,
        }
    }

    /// What a client that is refused is told.
    fn frame(&self) -> Option<ServerMessage> {
        let code = self.code()?.to_owned();
        Some(ServerMessage::Error { code, message: self.to_string() })
    }
}

type Frames<S> = Framed<S, Codec<ClientMessage>>;

/// A client that has been let in.
struct Admitted {
    proved: Proved,
    /// The clients, each time that they are read again.
    clients: watch::Receiver<Arc<Clients>>,
    /// One of the port's places, and one of the client's own.
    _places: [OwnedSemaphorePermit; 2],
}

/// Serves a client until one side ends the connection. A drain ends it once nothing is in flight. Until the client has
/// proved its key, it holds its `place` among the strangers.
pub(crate) async fn serve<S>(gateway: &Gateway, stream: S, peer: SocketAddr, place: Option<Place>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let secured = tokio::select! {
        secured = transport::secure(gateway, stream, peer) => secured,
        () = given_away(place.as_ref()) => {
            gateway.metrics.unauthorized.inc();
            None
        }
    };
    let Some(stream) = secured else { return };
    let mut frames = Framed::new(stream, Codec::default());
    let introduced = tokio::select! {
        introduced = introduce(gateway, &mut frames) => introduced,
        () = gateway.drain.closed().cancelled() => Err(End::Drained),
        () = given_away(place.as_ref()) => Err(End::GaveWay),
    };
    drop(place);
    let end = match introduced {
        Ok(admitted) => {
            let Proved { known, key } = &admitted.proved;
            gateway.metrics.count_proof(&admitted.proved.labels());
            tracing::info!(%peer, client = known.client.name, key = key + 1, "a client has connected");
            let listed = gateway.connected.list(&known.client.name, *key, peer);
            conversation::converse(gateway, &mut frames, admitted, listed).await
        }
        Err(end) => {
            // A peer that disconnects first, such as a health check, is not counted as refused.
            match end.code() {
                Some("busy") => _ = gateway.metrics.clients_refused.inc(),
                Some(_) => _ = gateway.metrics.unauthorized.inc(),
                None if matches!(end, End::GaveWay) => _ = gateway.metrics.unauthorized.inc(),
                None => {}
            }
            end
        }
    };
    if matches!(end, End::Wire(FrameError::TooLong)) {
        gateway.metrics.limits.hit("protocol::codec");
    }
    if let (Some(code), Some(error)) = (end.code(), end.frame()) {
        tell!(warn, gateway.told, code, [%peer], "a connection to the internal port was refused: {end}");
        tell_last(frames, error).await;
    } else {
        tracing::debug!(%peer, "a connection to the internal port ends: {end}");
        // There is no goodbye for a stranger that gave way: a flood has many of them.
        if !matches!(end, End::NotReading | End::GaveWay) {
            listen::let_go(frames.into_inner()).await;
        }
    }
}

/// Waits until a stranger has to give up its place to another one.
async fn given_away(place: Option<&Place>) {
    match place {
        Some(place) => place.given_away().await,
        None => pending().await,
    }
}

/// Tells a stranger that there are too many of them.
pub(crate) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    gateway: &Gateway,
    stream: S,
    peer: SocketAddr,
) {
    let Some(stream) = transport::secure(gateway, stream, peer).await else { return };
    let frames: Frames<_> = Framed::new(stream, Codec::default());
    let busy = ServerMessage::Error {
        code: "busy".to_owned(),
        message: "too many connections that have not proved a key yet; try again".to_owned(),
    };
    tell_last(frames, busy).await;
}

async fn tell_last<S: AsyncRead + AsyncWrite + Unpin>(mut frames: Frames<S>, error: ServerMessage) {
    if write(&mut frames, [error]).await.is_ok() {
        listen::let_go(frames.into_inner()).await;
    }
}

/// Says hello and waits for the proof. A stranger learns only the challenge.
async fn introduce<S>(gateway: &Gateway, frames: &mut Frames<S>) -> Result<Admitted, End>
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
    let (name, proof) = match timeout(AUTH_WITHIN, frames.next()).await {
        Err(_) => return Err(End::refused("unauthorized", "no auth came in time")),
        Ok(None) => return Err(End::Left),
        Ok(Some(Err(error))) => return Err(error.into()),
        Ok(Some(Ok(ClientMessage::Auth { client, proof }))) => (client, proof),
        Ok(Some(Ok(ClientMessage::Bad { message, .. }))) => {
            return Err(End::refused("unauthorized", message));
        }
        Ok(Some(Ok(_))) => return Err(End::refused("unauthorized", "the first frame must be auth")),
    };
    let mut clients = gateway.credentials.clients();
    let known = Arc::clone(&*clients.borrow_and_update());
    let proved = known.prove(&name, &challenge, &proof).map_err(|why| {
        // One reason for each known client, so that strangers do not use up the line about a client with a wrong key.
        let of = if known.knows(&name) { name.as_str() } else { "" };
        let client = name.chars().take(64).collect::<String>();
        tell!(warn, gateway.told, format!("proof {of}: {why}"), [client = ?client], "a proof is refused: {why}");
        End::refused("unauthorized", why)
    })?;
    let busy = |limit, why| {
        gateway.metrics.limits.hit(limit);
        End::refused("busy", why)
    };
    let own = proved.known.place().ok_or_else(|| {
        busy("notices::credentials", "this client has too many connections; use one and keep it")
    })?;
    let place = Arc::clone(&gateway.clients).try_acquire_owned();
    let place =
        place.map_err(|_| busy("GATEWAY_MAX_CLIENTS", "too many connections; use one and keep it"))?;
    Ok(Admitted { proved, clients, _places: [place, own] })
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
