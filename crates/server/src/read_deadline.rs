//! A stream whose peer must send its requests in time.
//!
//! hyper has one time limit for a request's head and for the pause before it. A head gets a short time, because only
//! attackers send it slowly. A pause needs a longer time: balancers keep connections for a minute, and a request is
//! lost if we close before they do. So each has a limit of its own.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::tell;
use crate::told::Told;

/// One for all ports, because a balancer does the same at each.
static TOLD: LazyLock<Told> = LazyLock::new(Told::default);

/// Whether these are the first bytes of a PROXY protocol header, of version 1 or 2. hyper would only say that they are
/// no HTTP.
fn is_proxy_protocol(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PROXY ") || bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n")
}

/// What the peer owes.
#[derive(Debug, Clone, Copy)]
enum Owed {
    /// The whole head of a request, by then.
    Head(Instant),
    /// The first byte of its next request, by then.
    Request(Instant),
    /// Nothing: it waits for us, or the connection is no HTTP any more.
    Nothing,
}

/// What the peer owes, shared with the code that answers its requests.
#[derive(Debug, Clone)]
pub struct Debt(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Never held across an await.
    owed: Mutex<Owed>,
    /// The peer owes something again.
    again: Notify,
}

/// What the peer is late with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// The first head, or one that it has begun. Closing the connection loses nothing.
    Head,
    /// Its next request. It may still be taking the answer to the last one.
    Request,
}

impl Debt {
    /// A request's head has come.
    pub fn asked(&self) {
        *self.0.owed.lock() = Owed::Nothing;
    }

    /// The request is answered. The next one must begin within this.
    pub fn answered(&self, within: Duration) {
        *self.0.owed.lock() = Owed::Request(Instant::now() + within);
        self.0.again.notify_one();
    }

    /// Waits until the peer is late. No read could report this, because hyper reads only when it is woken.
    pub async fn late(&self) -> Late {
        loop {
            let owed = *self.0.owed.lock();
            let (until, late) = match owed {
                Owed::Nothing => {
                    self.0.again.notified().await;
                    continue;
                }
                Owed::Head(until) => (until, Late::Head),
                Owed::Request(until) => (until, Late::Request),
            };
            if until <= Instant::now() {
                return late;
            }
            // The deadline may have moved. It comes sooner only when a head begins after a pause.
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.0.again.notified() => {}
            }
        }
    }
}

/// A stream that notes what its peer owes.
#[derive(Debug)]
pub struct ReadDeadline<S> {
    stream: S,
    head_within: Duration,
    debt: Debt,
    /// Nothing has been read yet.
    is_new: bool,
}

impl<S> ReadDeadline<S> {
    /// The first head must arrive within `head_within`, and so must each that has begun.
    pub fn new(stream: S, head_within: Duration) -> Self {
        let owed = Mutex::new(Owed::Head(Instant::now() + head_within));
        Self {
            stream,
            head_within,
            debt: Debt(Arc::new(Shared { owed, again: Notify::new() })),
            is_new: true,
        }
    }

    /// The stream without the limit.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// What the peer owes.
    pub fn debt(&self) -> Debt {
        self.debt.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadDeadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            if std::mem::take(&mut this.is_new) && is_proxy_protocol(&buf.filled()[before..]) {
                tell!(
                    warn,
                    TOLD,
                    "PROXY protocol",
                    "a connection begins with a PROXY protocol header, which is not spoken here; switch it off at the \
                     load balancer, and let it send X-Forwarded-For, which is believed from GATEWAY_TRUSTED_PROXIES and \
                     CALLBACK_TRUSTED_PROXIES"
                );
            }
            let mut owed = this.debt.0.owed.lock();
            if matches!(*owed, Owed::Request(_)) {
                *owed = Owed::Head(Instant::now() + this.head_within);
                this.debt.0.again.notify_one();
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadDeadline<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
