//! A page's WebSocket with limits on incoming messages, on the time of a write, and on the close.

mod limits;
mod throttle;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use server::listen;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

pub(crate) use self::limits::Limits;
use self::throttle::{Throttled, is_too_fast};
use crate::browsers::message::{Close, FromPage, ToPage};
use server::pace::Pace;

/// Limit for writing a message. A page that takes longer does not read at all.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// Limit for the close handshake, which is only a courtesy.
pub(crate) const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Bytes of a message that is written past the WebSocket library. The library keeps the room of the longest message that it
/// has written, for as long as the connection lasts.
const LONG: usize = 512;

/// How a page's connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The connection broke, or the page does not read. Nothing more is sent.
    Gone,
    /// The page has closed the connection. Its close is answered.
    Closed,
    /// The page is sent the reason.
    Told(Close),
    /// The page is sent the reason. What it sends after that cannot be read as messages.
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
    /// In a box, because it is moved about before it rests.
    socket: Box<WebSocketStream<Throttled<S>>>,
    pace: Pace,
}

impl<S: AsyncRead + AsyncWrite + Unpin> PageSocket<S> {
    /// A page's socket over a stream whose handshake is done, and from which this was `read` since.
    pub(crate) async fn over(stream: S, read: Bytes, limits: Limits) -> Self {
        let (stream, config) = (Throttled::new(stream, limits.portions), Some(limits.websocket()));
        // A copy, because these few bytes would keep the buffer of the whole request.
        let socket = WebSocketStream::from_partially_read(stream, read.to_vec(), Role::Server, config).await;
        let socket = Box::new(socket);
        Self { socket, pace: Pace::new(limits.messages.0, limits.messages.1, Instant::now()) }
    }

    /// Waits for the next message; `None` for one that has no meaning for us, such as a pong. Dropping the future
    /// loses nothing.
    pub(super) async fn next_message(&mut self) -> Result<Option<FromPage>, Ended> {
        match self.receive().await? {
            Message::Text(text) => Ok(FromPage::read(text.as_str())),
            _ => Ok(None),
        }
    }

    /// Waits for any message but a close, which [`PageSocket::end`] answers. Pings are already answered. Dropping the future
    /// loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<Message, Ended> {
        let message = match self.socket.next().await {
            None => return Err(Ended::Gone),
            Some(message) => message?,
        };
        if self.pace.take(Instant::now()).is_err() {
            return Err(Ended::Garbled(Close::TooFast));
        }
        match message {
            Message::Close(_) => Err(Ended::Closed),
            message => Ok(message),
        }
    }

    /// Sends a message. It fails when the page does not read.
    pub(super) async fn send(&mut self, message: &ToPage) -> Result<(), Ended> {
        // Our own messages always serialise.
        let json = serde_json::to_string(message).map_err(|_| Ended::Gone)?;
        if json.len() < LONG {
            return self.write(Message::text(json)).await;
        }
        let frame = Frame::message(json, OpCode::Data(Data::Text), true);
        let mut bytes = Vec::with_capacity(frame.len());
        frame.format(&mut bytes).map_err(|_| Ended::Gone)?;
        let writing = async {
            // An answer to a ping may be on its way.
            self.socket.flush().await?;
            self.socket.get_mut().write_all(&bytes).await?;
            Ok(())
        };
        in_time(writing).await
    }

    /// Sends the last message and the close behind it, in one write. [`PageSocket::end`] then waits for the page's answer.
    pub(super) async fn send_last(&mut self, message: &ToPage, close: Close) -> Result<(), Ended> {
        let json = serde_json::to_string(message).map_err(|_| Ended::Gone)?;
        let writing = async {
            self.socket.feed(Message::text(json)).await?;
            self.socket.send(Message::Close(Some(close.frame()))).await
        };
        in_time(writing).await
    }

    pub(super) async fn ping(&mut self) -> Result<(), Ended> {
        self.write(Message::Ping(Bytes::new())).await
    }

    /// As [`PageSocket::send`], any message.
    pub(crate) async fn write(&mut self, message: Message) -> Result<(), Ended> {
        in_time(self.socket.send(message)).await
    }

    /// Sends the reason, unless that was sent before, and waits for the page's answer. The connection is over.
    pub(crate) async fn end(&mut self, ended: Ended) {
        let goodbye = async {
            match ended {
                Ended::Gone => {}
                // tungstenite has prepared the answer; the flush sends it.
                Ended::Closed => _ = self.socket.flush().await,
                Ended::Told(close) => {
                    let _ = (*self.socket).close(Some(close.frame())).await;
                    while let Some(Ok(_)) = self.socket.next().await {}
                }
                Ended::Garbled(close) => {
                    let _ = (*self.socket).close(Some(close.frame())).await;
                    listen::let_go(self.socket.get_mut().unpaced()).await;
                }
            }
        };
        let _ = timeout(CLOSE_WITHIN, goodbye).await;
    }
}

/// Waits for a write, for as long as a page may take to read.
async fn in_time(writing: impl Future<Output = Result<(), Error>>) -> Result<(), Ended> {
    match timeout(WRITE_WITHIN, writing).await {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncReadExt, DuplexStream, ReadBuf, duplex};

    use super::*;

    /// A stream that counts what is written to it at once.
    struct Counting {
        stream: DuplexStream,
        writes: usize,
    }

    impl AsyncRead for Counting {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Counting {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.writes += 1;
            Pin::new(&mut self.stream).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_message_and_the_close_are_one_write_and_the_close_is_not_said_twice() {
        let (mut page, stream) = duplex(4096);
        let stream = Counting { stream, writes: 0 };
        let mut socket = PageSocket::over(stream, Bytes::new(), Limits::default()).await;
        socket.send_last(&ToPage::Denied, Close::Done).await.unwrap();
        assert_eq!(socket.socket.get_mut().unpaced().writes, 1);
        socket.end(Ended::Told(Close::Done)).await;
        drop(socket);
        let mut said = Vec::new();
        page.read_to_end(&mut said).await.unwrap();
        let denied = br#"{"message_type":"denied"}"#;
        let length = u8::try_from(denied.len()).unwrap();
        let (first, last) = said.split_at(2 + denied.len());
        assert_eq!(first, [&[0x81, length], &denied[..]].concat());
        assert_eq!((last[0], usize::from(last[1]), &last[2..4]), (0x88, last.len() - 2, &[0x0f, 0xaa][..]));
    }
}
