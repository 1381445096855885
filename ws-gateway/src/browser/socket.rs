//! A page's WebSocket within limits: messages in at a pace, messages out within a time, and a proper end.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use service::listen;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::throttle::{Throttled, is_too_fast};
use crate::message::{Close, FromPage, ToPage};
use crate::pace::Pace;

/// Messages, pings and pongs that a page may send at once, and then so many more a second. A person clicks
/// now and then and a browser answers a ping each 25 s.
const MESSAGES: (u32, Duration) = (20, Duration::from_millis(100));

/// A page that does not take a message for this long does not read at all.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// The close handshake is a courtesy.
pub(crate) const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// How a page's connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
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
pub(super) struct PageSocket<S> {
    socket: WebSocketStream<Throttled<S>>,
    pace: Pace,
}

impl<S: AsyncRead + AsyncWrite + Unpin> PageSocket<S> {
    pub(super) fn new(socket: WebSocketStream<Throttled<S>>, now: Instant) -> Self {
        Self { socket, pace: Pace::new(MESSAGES.0, MESSAGES.1, now) }
    }

    /// Waits for the page to say something; `None` is anything that is not for us, such as a pong.
    /// Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<FromPage>, Ended> {
        let message = match self.socket.next().await {
            None => return Err(Ended::Gone),
            Some(message) => message?,
        };
        if self.pace.take(Instant::now()).is_err() {
            return Err(Ended::Garbled(Close::TooFast));
        }
        match message {
            Message::Text(text) => Ok(serde_json::from_str(text.as_str()).ok()),
            Message::Close(_) => {
                // tungstenite has the answer ready; it goes out with the flush.
                let _ = timeout(CLOSE_WITHIN, self.socket.flush()).await;
                Err(Ended::Gone)
            }
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
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

    async fn write(&mut self, message: Message) -> Result<(), Ended> {
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
    pub(super) async fn end(mut self, ended: Ended) {
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
