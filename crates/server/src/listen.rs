//! Binding a port and accepting on it.
//!
//! Every port of every program has the same loop. It takes a place before it spawns a connection's task, and handshakes
//! happen inside the task. A peer's fault never ends the loop, and a lack of descriptors makes it wait and not spin. At
//! a full port a new connection takes the place of one that only waits. If there is none, the connection is counted and
//! refused: by a task that listens first as long as there are places for refusals, else by a few bytes before the
//! close.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prometheus_client::metrics::counter::Counter;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::metrics::Limits;
use crate::places::{NoPlace, Place, Room};
use crate::shares::Shares;
use crate::tell;
use crate::told::Told;

/// Connections that the kernel keeps for us while we are busy. tokio's own default of 1,024 was seen
/// to overflow when as many browsers came at once, and each one dropped waits a second.
pub const BACKLOG: u32 = 4096;

/// How many places a setting may ask for. None would refuse everybody, and more than a million is a slip of the finger.
pub const PLACES: std::ops::RangeInclusive<usize> = 1..=1_000_000;

/// How long the loop waits when a connection cannot be accepted, instead of spinning.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of the kernel's send buffer, which Linux doubles for its own needs. Without a limit it could grow to 4 MiB for
/// each connection; the longest answer is about 20 KiB.
const SEND_BUFFER: usize = 32 * 1024;

/// Data that the peer's host does not acknowledge for this long ends the connection. TCP alone would let a vanished
/// peer hold a descriptor for a quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// How long a peer may take to hang up after our last word.
const LINGER: Duration = Duration::from_secs(1);

/// The name of an address's share among [`Limits`].
pub const SHARES: &str = "server::shares";

/// The name of giving way at a full port among [`Limits`].
pub const GIVING_WAY: &str = "server::places";

/// Refusals under way at once at a full port. A small port has one for each four of its places.
const MAX_REFUSING: usize = 64;

/// Binds `address` with [`BACKLOG`]; port 0 takes a free one.
///
/// # Errors
/// Says which `setting` and address could not be bound, and why.
pub fn bind(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let open = || -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open()
        .with_context(|| format!("{setting}: cannot listen on {address}; is another program using the port?"))
}

/// How many connections a port serves at once, and what becomes of the others. A number alone is the limit.
#[derive(Debug)]
pub struct Places {
    limit: usize,
    refused: Counter,
    last_word: &'static [u8],
    shares: Option<(Shares, &'static str)>,
    met: Met,
}

/// Counts what meets the limits of a port. A default one counts for nobody.
#[derive(Debug, Clone, Default)]
struct Met {
    full: Counter,
    share: Counter,
    gave_way: Counter,
}

impl Places {
    /// At most `limit` at once. `refused` counts the others. `last_word` is for those for whom there is no place for
    /// refusals either. It comes before the client has asked anything, which some clients take for an error; a close
    /// without a word would be an error for all.
    #[must_use]
    pub fn new(limit: usize, refused: Counter, last_word: &'static [u8]) -> Self {
        Self { limit, refused, last_word, shares: None, met: Met::default() }
    }

    /// Limits each address to its share of the places. `advice` says what an operator can do for one that needs more.
    #[must_use]
    pub fn shared(self, shares: Shares, advice: &'static str) -> Self {
        Self { shares: Some((shares, advice)), ..self }
    }

    /// Counts in `limits`, too: refusals at the port's own limit, which is `name`, those at an address's share of it
    /// ([`SHARES`]), and connections that gave way to others ([`GIVING_WAY`]).
    #[must_use]
    pub fn counted(self, limits: &Limits, name: &'static str) -> Self {
        let met = Met { full: limits.of(name), share: limits.of(SHARES), gave_way: limits.of(GIVING_WAY) };
        Self { met, ..self }
    }

    /// Refusals hold open files as well, so a small port has few at once.
    fn refusals(&self) -> usize {
        (self.limit / 4).clamp(1, MAX_REFUSING)
    }
}

impl From<usize> for Places {
    fn from(limit: usize) -> Self {
        Self::new(limit, Counter::default(), b"")
    }
}

/// A connection that has been accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The connection, with `TCP_NODELAY` and limits on unacknowledged and unread data set.
    pub stream: TcpStream,
    /// The other end, as the kernel sees it.
    pub peer: SocketAddr,
    /// The place that the connection holds until it is dropped. `None` when the port is full, or the address has its
    /// share; then the connection should be told so and closed.
    pub permit: Option<Place>,
}

/// Accepts until `stop`, and spawns `handle` on `tasks` for each connection, at most as many at once as
/// there are `places`.
///
/// # Errors
/// When the listening socket itself is broken; a peer's fault or a lack of descriptors is not that.
pub async fn accept<H, F>(
    listener: TcpListener,
    places: impl Into<Places>,
    stop: CancellationToken,
    tasks: TaskTracker,
    mut handle: H,
) -> anyhow::Result<()>
where
    H: FnMut(Accepted) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let places = places.into();
    let refusals = Arc::new(Semaphore::new(places.refusals()));
    let Places { limit, refused, last_word, shares, met } = places;
    let (shares, advice) = shares.unzip();
    let room = Room::new(limit, shares, met.gave_way);
    let told = Told::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(connection) => connection,
            Err(error) if is_peers_fault(&error) => continue,
            Err(error) if is_broken(&error) => return Err(error).context("the listening socket failed"),
            // Mostly a lack of descriptors or memory, which passes.
            Err(error) => {
                let address =
                    listener.local_addr().map_or_else(|_| "a port".to_owned(), |address| address.to_string());
                // Without a limit these would be ten lines a second.
                tell!(
                    warn,
                    told,
                    "accept",
                    "cannot accept connections on {address}: {error}; trying until it works"
                );
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if let Err(error) = tune(&stream) {
            tracing::debug!(%peer, %error, "a connection was gone before it was served");
            continue;
        }
        let permit = room.take(peer.ip());
        match permit {
            Ok(_) => {}
            Err(NoPlace::Full) => _ = met.full.inc(),
            Err(NoPlace::Share(_)) => _ = met.share.inc(),
        }
        if let Err(NoPlace::Share(most)) = permit {
            let advice = advice.unwrap_or_default();
            tell!(warn, told, "share", [%peer], "one address has {most} connections, and gets no more; {advice}");
        }
        let (permit, mut refusal) = (permit.ok(), None);
        if permit.is_none() {
            refused.inc();
            refusal = Arc::clone(&refusals).try_acquire_owned().ok();
            if refusal.is_none() {
                // A new connection has room for this. If not, the peer has gone.
                let _ = stream.try_write(last_word);
                continue;
            }
        }
        let served = handle(Accepted { stream, peer, permit });
        // The span is at debug level, because behind a proxy every line would name the proxy.
        let connection = tracing::debug_span!("connection", %peer);
        let served = async move {
            served.await;
            drop(refusal);
        };
        tasks.spawn(served.instrument(connection));
    }
}

/// Closes a connection such that the peer can read our last word: it says that no more follows, and drops what still
/// comes, for 1 s at most. Unread bytes would turn the close into a reset, which may discard that word.
pub async fn let_go<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let hang_up = async {
        let mut sink = [0; 1024];
        stream.shutdown().await?;
        while stream.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    };
    // However it ends, the connection is over.
    let _ = tokio::time::timeout(LINGER, hang_up).await;
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

/// Linux reports an error that was pending on the new connection as accept's own: see accept(2).
fn is_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::Interrupted
            | Kind::TimedOut
            | Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::NetworkDown
    )
}

/// EBADF, EINVAL and ENOTSOCK, by their numbers on Linux: this socket will never accept anything again.
fn is_broken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(9 | 22 | 88))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_full_port_is_told_so_and_frees_its_places() {
        let listener = bind("TEST_LISTEN", "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, tasks, refused) = (CancellationToken::new(), TaskTracker::new(), Counter::default());
        let places = Places::new(1, refused.clone(), b"go");
        let served =
            tokio::spawn(accept(listener, places, stop.clone(), tasks.clone(), |mut accepted| async move {
                accepted.permit.iter().for_each(Place::works);
                let word: &[u8] = if accepted.permit.is_some() { b"in" } else { b"no" };
                accepted.stream.write_all(word).await.unwrap();
                // Held until the peer hangs up.
                let _ = accepted.stream.read_u8().await;
            }));
        let ask = || async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut word = [0; 2];
            stream.read_exact(&mut word).await.unwrap();
            (stream, word)
        };

        let (first, word) = ask().await;
        assert_eq!(&word, b"in");
        let (second, word) = ask().await;
        assert_eq!(&word, b"no");
        let (mut third, word) = ask().await;
        assert_eq!(&word, b"go");
        assert_eq!((refused.get(), third.read(&mut [0]).await.unwrap()), (2, 0));
        drop((first, second));
        while &ask().await.1 != b"in" {}

        assert!(crate::stop::drain(&stop, &tasks, Duration::from_secs(5)).await);
        served.await.unwrap().unwrap();
    }

    #[test]
    fn a_taken_port_names_the_setting() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let taken = bind("FIRST", "127.0.0.1:0".parse().unwrap()).unwrap();
        let error = bind("GATEWAY_LISTEN", taken.local_addr().unwrap()).unwrap_err();
        assert!(format!("{error:#}").contains("GATEWAY_LISTEN"), "{error:#}");
    }
}
