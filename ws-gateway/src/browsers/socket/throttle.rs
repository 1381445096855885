//! A stream that limits how fast it is read. Messages have a limit of their own, but the WebSocket library also
//! reads bytes that never become a message, such as empty fragments without end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::limits::Allowance;
use server::pace::Pace;

/// Bytes in a portion. A read costs whole portions, so reading one byte at a time costs more.
const PORTION: usize = 64;

/// The stream under a page's WebSocket.
#[derive(Debug)]
pub(super) struct Throttled<S> {
    stream: S,
    pace: Pace,
}

impl<S> Throttled<S> {
    /// Wraps a stream. `portions` is the rate of reading.
    pub(super) fn new(stream: S, portions: Allowance) -> Self {
        Self { stream, pace: Pace::new(portions.0, portions.1, Instant::now()) }
    }

    /// The stream without the limit, for bytes that are read only to be dropped.
    pub(super) fn unpaced(&mut self) -> &mut S {
        &mut self.stream
    }
}

/// The peer sent faster than it may.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many bytes")]
pub(super) struct TooFast;

/// Whether a read failed because of the limit.
pub(super) fn is_too_fast(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<TooFast>())
}

impl<S: AsyncRead + Unpin> AsyncRead for Throttled<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let now = Instant::now();
        for _ in 0..(buf.filled().len() - before).div_ceil(PORTION) {
            if this.pace.take(now).is_err() {
                return Poll::Ready(Err(io::Error::other(TooFast)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Throttled<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
