//! A stream whose peer must read in time.
//!
//! A peer that asks for answers and does not read them would hold a connection and its buffers for ever. One that reads
//! a byte a second would hold them nearly as long. A limit on each write does not stop the second, because every byte
//! is progress. So the time runs from the first write that finds no room until everything has been sent.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream with a limit on how long written data may wait for the peer.
///
/// A flush that is done means that everything has been sent. So the writer must flush at the end of each answer or
/// message, as hyper and the WebSocket library do. Past the limit each write fails with [`io::ErrorKind::TimedOut`],
/// unless the peer has made room by then.
#[derive(Debug)]
pub struct WriteDeadline<S> {
    stream: S,
    within: Duration,
    /// Made when a write finds no room. Most connections never need it.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteDeadline<S> {
    /// The peer of `stream` has this long.
    pub fn new(stream: S, within: Duration) -> Self {
        Self { stream, within, stalled: None }
    }

    /// The stream without the limit.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Gives `wrote`, or an error if it is pending and the time is over.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            return wrote;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.within)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteDeadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.in_time(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.in_time(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.stalled = None;
        }
        self.in_time(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.in_time(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);

    /// Writes and flushes 1,000 bytes to a peer that has room for 64 unread ones.
    async fn write(stream: &mut WriteDeadline<DuplexStream>) -> io::Result<Duration> {
        let began = Instant::now();
        stream.write_all(&[b'x'; 1000]).await?;
        stream.flush().await?;
        Ok(began.elapsed())
    }

    /// Reads `bytes` each second for as long as anybody writes.
    async fn read_slowly(mut peer: DuplexStream, bytes: usize) {
        let mut sink = vec![0; bytes];
        while peer.read_exact(&mut sink).await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_or_reads_too_slowly_fails_the_write_when_the_time_is_over() {
        for bytes in [0, 1, 50] {
            let (peer, stream) = duplex(64);
            let mut stream = WriteDeadline::new(stream, WITHIN);
            let reading = tokio::spawn(async move {
                match bytes {
                    0 => std::future::pending().await,
                    bytes => read_slowly(peer, bytes).await,
                }
            });
            let began = Instant::now();
            let error = write(&mut stream).await.unwrap_err();
            assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, WITHIN), "{bytes}");
            reading.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_answer_has_its_own_time() {
        let (peer, stream) = duplex(64);
        let mut stream = WriteDeadline::new(stream, WITHIN);
        tokio::spawn(read_slowly(peer, 150));
        for _ in 0..5 {
            let took = write(&mut stream).await.unwrap();
            assert!(took > WITHIN / 2 && took < WITHIN, "{took:?}");
            // However long there was nothing to write.
            sleep(3 * WITHIN).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn room_that_was_made_is_used_however_late_the_writer_looks() {
        let (mut peer, stream) = duplex(64);
        let mut stream = WriteDeadline::new(stream, WITHIN);
        // The writer gives up for a while, as one does who has other things to wait for.
        let short = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&[b'x'; 100]));
        assert!(short.await.is_err());
        peer.read_exact(&mut [0; 64]).await.unwrap();
        sleep(2 * WITHIN).await;
        stream.write_all(&[b'x'; 36]).await.unwrap();
        stream.flush().await.unwrap();
    }
}
