//! A stream whose peer must ask in time.
//!
//! hyper has one time for two things: for the head of a request, and for the pause before it. A head comes slowly
//! from an attacker only, and its time is short. A pause is what balancers make, which keep connections for a minute
//! and send the next request into them: who hangs up before they do loses that request. So a pause has its own time.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::tell;
use crate::told::Told;

/// Of all ports, because a balancer speaks to each alike.
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

/// What the peer owes, for whoever answers its requests.
#[derive(Debug, Clone)]
pub struct Debt(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Never held across an await.
    owed: Mutex<Owed>,
    /// It owes something again.
    again: Notify,
}

/// What the peer is late with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// A head that it has begun, or the first one. Nothing is lost with the connection.
    Head,
    /// Its next request. It may still be taking the answer to the last one.
    Request,
}

impl Debt {
    /// A request's head has come.
    pub fn asked(&self) {
        *self.lock() = Owed::Nothing;
    }

    /// The request is answered. The next one must begin within this.
    pub fn answered(&self, within: Duration) {
        *self.lock() = Owed::Request(Instant::now() + within);
        self.0.again.notify_one();
    }

    /// Waits until the peer is late. hyper reads only when it is woken, so no read could say so.
    pub async fn late(&self) -> Late {
        loop {
            let owed = *self.lock();
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
            // It may have been put off meanwhile, and never comes sooner but from a pause to a head.
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.0.again.notified() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Owed> {
        // Nothing that is done under the lock can panic half-way.
        self.0.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that takes note of what its peer owes.
#[derive(Debug)]
pub struct ReadDeadline<S> {
    stream: S,
    head_within: Duration,
    debt: Debt,
    /// Nothing has been read yet.
    is_new: bool,
}

impl<S> ReadDeadline<S> {
    /// The first head must have come within `head_within`, and so must each that has begun.
    pub fn new(stream: S, head_within: Duration) -> Self {
        let owed = Mutex::new(Owed::Head(Instant::now() + head_within));
        Self {
            stream,
            head_within,
            debt: Debt(Arc::new(Shared { owed, again: Notify::new() })),
            is_new: true,
        }
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
            let mut owed = this.debt.lock();
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
