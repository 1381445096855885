//! A page's WebSocket with limits on incoming messages, on the time of a write, and on the close.

mod incoming;
mod limits;

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use server::listen;
use server::pace::Bucket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use self::incoming::Incoming;
pub(crate) use self::limits::Limits;
use self::limits::PORTION;
use crate::browsers::message::{Close, FromPage, ToPage};

/// Limit for writing a message. A page that takes longer does not read at all.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// Limit for the close handshake, which is only a courtesy.
pub(crate) const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Bytes read at once. They are on the stack, so a page that waits has no room for them.
const READ: usize = 1024;

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

/// The socket of one page. While nothing is on its way it has nothing on the heap.
#[derive(Debug)]
pub(crate) struct PageSocket<S> {
    stream: S,
    limits: &'static Limits,
    messages: Bucket,
    portions: Bucket,
    /// What has come and is no message yet.
    incoming: Option<Box<Incoming>>,
    /// The answer to the newest ping, while something else is on its way.
    pong: Option<Box<Bytes>>,
    /// Whole frames, but for what the page has taken of them.
    unsent: Vec<u8>,
    /// A close was sent, and nothing may follow it (RFC 6455, section 5.5.1).
    is_closing: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> PageSocket<S> {
    /// A page's socket over a stream whose handshake is done, and from which this was `read` since.
    pub(crate) fn over(stream: S, read: &[u8], limits: &'static Limits) -> Self {
        let now = Instant::now();
        let mut socket = Self {
            stream,
            limits,
            messages: Bucket::full(now),
            portions: Bucket::full(now),
            incoming: None,
            pong: None,
            unsent: Vec::new(),
            is_closing: false,
        };
        socket.push(read);
        socket
    }

    /// The next message; `None` for one that has no meaning for us, such as a pong.
    pub(super) fn poll_next_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<FromPage>, Ended>> {
        self.poll_receive(cx).map_ok(|message| match message {
            Message::Text(text) => FromPage::read(text.as_str()),
            _ => None,
        })
    }

    /// The next message of any kind but a close, whose answer [`PageSocket::end`] sends. Pings are answered.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Ended>> {
        let message = ready!(self.poll_message(cx))?;
        let is_too_fast = self.messages.take(self.limits.messages, Instant::now()).is_err();
        Poll::Ready(if is_too_fast { Err(Ended::Garbled(Close::TooFast)) } else { Ok(message) })
    }

    /// Sends a message. It fails when the page does not read.
    pub(super) async fn send(&mut self, message: &ToPage) -> Result<(), Ended> {
        self.queue(&text(message)?);
        self.flush().await
    }

    /// Sends the last message and the close behind it, in one write. [`PageSocket::end`] then waits for the page's answer.
    pub(super) async fn send_last(&mut self, message: &ToPage, close: Close) -> Result<(), Ended> {
        self.queue(&text(message)?);
        self.close(close.frame());
        self.flush().await
    }

    pub(super) async fn ping(&mut self) -> Result<(), Ended> {
        self.queue(&Frame::ping(Bytes::new()));
        self.flush().await
    }

    /// Sends a message back.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) async fn echo(&mut self, message: Message) -> Result<(), Ended> {
        let data = if message.is_text() { Data::Text } else { Data::Binary };
        self.queue(&Frame::message(message.into_data(), OpCode::Data(data), true));
        self.flush().await
    }

    /// Sends the reason, unless that was sent before, and waits for the page's answer. The connection is over.
    pub(crate) async fn end(&mut self, ended: Ended) {
        let goodbye = async {
            match ended {
                Ended::Gone => {}
                Ended::Closed => _ = self.flush().await,
                Ended::Told(close) => {
                    self.close(close.frame());
                    // All of it, or a close that comes from the page just now would end this before it is sent.
                    let _ = self.flush().await;
                    while poll_fn(|cx| self.poll_message(cx)).await.is_ok() {}
                }
                Ended::Garbled(close) => {
                    self.close(close.frame());
                    let _ = self.flush().await;
                    listen::let_go(&mut self.stream).await;
                }
            }
        };
        let _ = timeout(CLOSE_WITHIN, goodbye).await;
    }

    /// The next message. What is to be sent goes out meanwhile, as far as the page takes it.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Ended>> {
        loop {
            if let Poll::Ready(sent) = self.poll_send(cx) {
                sent?;
            }
            match self.take()? {
                None => ready!(self.poll_read(cx))?,
                Some(Message::Close(close)) => {
                    // The answer says the same (section 5.5.1).
                    self.close(close);
                    return Poll::Ready(Err(Ended::Closed));
                }
                Some(Message::Ping(data)) => {
                    // The newest one alone may be answered (section 5.5.3), and none after a close.
                    self.pong = (!self.is_closing).then(|| data.clone().into());
                    if let Poll::Ready(sent) = self.poll_send(cx) {
                        sent?;
                    }
                    return Poll::Ready(Ok(Message::Ping(data)));
                }
                Some(message) => return Poll::Ready(Ok(message)),
            }
        }
    }

    /// The next message of what was read.
    fn take(&mut self) -> Result<Option<Message>, Ended> {
        let Some(incoming) = &mut self.incoming else { return Ok(None) };
        let message = incoming.next(self.limits.message).map_err(Ended::Garbled)?;
        if incoming.is_empty() {
            self.incoming = None;
        }
        Ok(message)
    }

    /// Reads more. Not only messages are limited, because a page can also send what never becomes one, such as empty
    /// fragments without end. A read costs whole portions, so one byte at a time costs more.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let mut space = [MaybeUninit::uninit(); READ];
        let mut read = ReadBuf::uninit(&mut space);
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read)) {
            return Poll::Ready(Err(broken(&error)));
        }
        if read.filled().is_empty() {
            return Poll::Ready(Err(Ended::Gone));
        }
        let now = Instant::now();
        for _ in 0..read.filled().len().div_ceil(PORTION) {
            if self.portions.take(self.limits.portions, now).is_err() {
                return Poll::Ready(Err(Ended::Garbled(Close::TooFast)));
            }
        }
        self.push(read.filled());
        Poll::Ready(Ok(()))
    }

    fn push(&mut self, read: &[u8]) {
        if !read.is_empty() {
            self.incoming.get_or_insert_default().push(read);
        }
    }

    /// The frame is sent after what is on its way; none is after a close.
    fn queue(&mut self, frame: &Frame) {
        if self.is_closing {
            return;
        }
        let payload = frame.payload();
        self.unsent.reserve_exact(frame.len());
        // A header always fits into a vector.
        if frame.header().format(payload.len() as u64, &mut self.unsent).is_ok() {
            self.unsent.extend_from_slice(payload);
        }
    }

    fn close(&mut self, close: impl Into<Option<CloseFrame>>) {
        self.queue(&Frame::close(close.into()));
        self.is_closing = true;
        self.pong = None;
    }

    /// Waits until all is sent, for as long as a page may take to read.
    async fn flush(&mut self) -> Result<(), Ended> {
        match timeout(WRITE_WITHIN, poll_fn(|cx| self.poll_send(cx))).await {
            Ok(sent) => sent,
            Err(_) => {
                tracing::debug!("a page does not read");
                Err(Ended::Gone)
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        loop {
            while !self.unsent.is_empty() {
                match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent)) {
                    Ok(0) => return Poll::Ready(Err(Ended::Gone)),
                    Ok(sent) if sent == self.unsent.len() => self.unsent = Vec::new(),
                    Ok(sent) => _ = self.unsent.drain(..sent),
                    Err(error) => return Poll::Ready(Err(broken(&error))),
                }
            }
            match self.pong.take() {
                Some(data) => self.queue(&Frame::pong(*data)),
                None => break,
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx).map_err(|error| broken(&error))
    }
}

fn text(message: &ToPage) -> Result<Frame, Ended> {
    // Our own messages always serialise.
    let json = serde_json::to_vec(message).map_err(|_| Ended::Gone)?;
    Ok(Frame::message(json, OpCode::Data(Data::Text), true))
}

fn broken(error: &io::Error) -> Ended {
    tracing::debug!(%error, "a page's connection broke");
    Ended::Gone
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

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
        let mut socket = PageSocket::over(stream, &[], &Limits::OF_A_PAGE);
        socket.send_last(&ToPage::Denied, Close::Done).await.unwrap();
        assert_eq!(socket.stream.writes, 1);
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

    /// A socket to a page whose side takes 16 bytes before it has to be read.
    fn narrow() -> (DuplexStream, PageSocket<DuplexStream>) {
        let (page, stream) = duplex(16);
        (page, PageSocket::over(stream, &[], &Limits::OF_A_PAGE))
    }

    /// A control frame from a page, masked with zeros.
    fn control(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0], payload].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn of_pings_that_come_while_something_is_on_its_way_the_newest_is_answered_after_it() {
        let (mut page, mut socket) = narrow();
        let message = vec![b'm'; 40];
        socket.queue(&Frame::message(message.clone(), OpCode::Data(Data::Binary), true));
        for ping in [b"a", b"b"] {
            page.write_all(&control(9, ping)).await.unwrap();
            let received = poll_fn(|cx| socket.poll_receive(cx)).await.unwrap();
            assert_eq!(received, Message::Ping(Bytes::copy_from_slice(ping)));
        }
        let mut said = vec![0; 2 + message.len() + 3];
        let reading = page.read_exact(&mut said);
        let (read, sent) = tokio::join!(reading, socket.flush());
        assert!(read.is_ok() && sent.is_ok());
        assert_eq!(said[2..], [&message[..], &[0x8a, 1, b'b']].concat());
        assert_eq!((socket.unsent.capacity(), socket.pong), (0, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_closes_in_the_same_moment_hears_our_reason_whole() {
        let (mut page, mut socket) = narrow();
        page.write_all(&control(8, &[])).await.unwrap();
        let ending = async {
            socket.end(Ended::Told(Close::TakenOver)).await;
            drop(socket);
        };
        let mut said = Vec::new();
        let (read, ()) = tokio::join!(page.read_to_end(&mut said), ending);
        let close = Frame::close(Some(Close::TakenOver.frame()));
        assert_eq!((read.unwrap(), &said[2..]), (close.len(), close.payload()));
        assert!(said.len() > 16, "it did not fit");
    }
}
