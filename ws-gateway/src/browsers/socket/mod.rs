//! A page's WebSocket within limits: messages in at a pace, messages out within a time, and a proper end.

mod limits;
mod throttle;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use server::listen;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

pub(crate) use self::limits::Limits;
use self::throttle::{Throttled, is_too_fast};
use crate::browsers::message::{Close, FromPage, ToPage};
use crate::pace::Pace;

/// A page that does not take a message for this long does not read at all.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// The close handshake is a courtesy.
pub(crate) const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// How a page's connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The page closed it, or it broke, or the page does not read: nothing more is said.
    Gone,
    /// The page is told why.
    Told(Close),
    /// The page is told why; what it sends cannot be read as messages any more.
    Garbled(Close),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(_) => Self::Garbled(Close::TooBig),
            Error::Utf8(_) => Self::Garbled(Close::NotUtf8),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Gone,
            Error::Protocol(_) => Self::Garbled(Close::Protocol),
            Error::Io(error) if is_too_fast(&error) => Self::Garbled(Close::TooFast),
            _ => Self::Gone,
        }
    }
}

/// The socket of one page.
#[derive(Debug)]
pub(crate) struct PageSocket<S> {
    socket: WebSocketStream<Throttled<S>>,
    pace: Pace,
}

impl<S: AsyncRead + AsyncWrite + Unpin> PageSocket<S> {
    /// A page's socket over a stream on which the handshake is done.
    pub(crate) async fn over(stream: S, limits: Limits) -> Self {
        let stream = Throttled::new(stream, limits.portions);
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(limits.websocket())).await;
        Self { socket, pace: Pace::new(limits.messages.0, limits.messages.1, Instant::now()) }
    }

    /// Waits for the page to say something; `None` is anything that is not for us, such as a pong.
    /// Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<FromPage>, Ended> {
        match self.hear().await? {
            Message::Text(text) => Ok(FromPage::read(text.as_str())),
            _ => Ok(None),
        }
    }

    /// Waits for any message but the close, which is answered. Pings have been answered.
    /// Cancelling loses nothing.
    pub(crate) async fn hear(&mut self) -> Result<Message, Ended> {
        let message = match self.socket.next().await {
            None => return Err(Ended::Gone),
            Some(message) => message?,
        };
        if self.pace.take(Instant::now()).is_err() {
            return Err(Ended::Garbled(Close::TooFast));
        }
        match message {
            Message::Close(_) => {
                // tungstenite has the answer ready; it goes out with the flush.
                let _ = timeout(CLOSE_WITHIN, self.socket.flush()).await;
                Err(Ended::Gone)
            }
            message => Ok(message),
        }
    }

    pub(super) async fn send(&mut self, message: &ToPage) -> Result<(), Ended> {
        // Our own messages always serialise.
        let json = serde_json::to_string(message).map_err(|_| Ended::Gone)?;
        self.write(Message::text(json)).await
    }

    pub(super) async fn ping(&mut self) -> Result<(), Ended> {
        self.write(Message::Ping(Bytes::new())).await
    }

    /// Sends a message, unless the page does not read.
    pub(crate) async fn write(&mut self, message: Message) -> Result<(), Ended> {
        match timeout(WRITE_WITHIN, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a page's connection broke");
                Err(Ended::Gone)
            }
            Err(_) => {
                tracing::debug!("a page does not read");
                Err(Ended::Gone)
            }
        }
    }

    /// Says why, waits for the page's answer, and lets go.
    pub(crate) async fn end(mut self, ended: Ended) {
        let goodbye = async {
            match ended {
                Ended::Gone => {}
                Ended::Told(close) => {
                    let _ = self.socket.close(Some(close.frame())).await;
                    while let Some(Ok(_)) = self.socket.next().await {}
                }
                Ended::Garbled(close) => {
                    let _ = self.socket.close(Some(close.frame())).await;
                    listen::let_go(self.socket.get_mut().unpaced()).await;
                }
            }
        };
        let _ = timeout(CLOSE_WITHIN, goodbye).await;
    }
}
