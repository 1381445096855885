//! A TCP proxy in front of any server, with the faults of a network: it can cut, refuse or stall connections.
//! With several upstreams it is a load balancer.
//!
//! A stalled proxy holds everything back. The systems at both ends still see their bytes acknowledged, unlike
//! with dropped packets. So a stall tests only what the programs themselves notice.

mod health;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::health::Upstream;

/// The most connections at once. Further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 20_000;

/// The length of that queue. Thousands of pages may come at the same moment.
const BACKLOG: u32 = 8192;

/// Bytes that the proxy itself buffers for one direction of a connection.
const HELD: usize = 16 * 1024;

/// Limit for connecting to an upstream.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A proxy on a loopback port. It keeps the port until it is dropped, which ends all its connections.
pub struct Proxy {
    address: SocketAddr,
    network: Arc<Network>,
    _end: DropGuard,
}

/// A place to which a balancer sends connections.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The address for connections.
    pub address: SocketAddr,
    /// The admin port. Its `/readyz` says whether connections may go to the place.
    pub admin: SocketAddr,
}

/// A direction of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the upstream.
    ToUpstream,
    /// From the upstream to the client.
    ToClient,
    /// Both directions.
    Both,
}

/// The counts of connections so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that came.
    pub accepted: u64,
    /// Those that were reset before any byte: the proxy refused, or no upstream took them.
    pub refused: u64,
    /// Those that an upstream took and closed without a byte while the client was still there. This happens to
    /// connections that wait at a listener when it closes.
    pub unanswered: u64,
    /// Those that [`Proxy::cut`] ended.
    pub cut: u64,
    /// Those that are open now.
    pub open: usize,
}

/// The state of the network between the two ends.
struct Network {
    upstreams: Vec<Upstream>,
    turn: AtomicUsize,
    /// Whether new connections are refused.
    refuses: Flag,
    /// Ends all present connections at once.
    scissors: Mutex<CancellationToken>,
    to_upstream: Way,
    to_client: Way,
    accepted: AtomicU64,
    refused: AtomicU64,
    unanswered: AtomicU64,
    cut: AtomicU64,
    open: AtomicUsize,
}

impl Proxy {
    /// Puts a proxy in front of `upstream`. A program need not listen there yet.
    pub async fn before(upstream: SocketAddr) -> Self {
        Self::start(vec![Upstream::always(upstream)])
    }

    /// Puts a balancer in front of several places. It checks every 100 ms which of them are ready. New
    /// connections go to the ready ones in turn, and to the next one if one does not take them. A connection
    /// that none takes is refused. Waits until every place that is ready now is known to be.
    pub async fn balance(places: &[Place]) -> Self {
        let proxy = Self::start(places.iter().copied().map(Upstream::checked).collect());
        for upstream in &proxy.network.upstreams {
            upstream.known().await;
        }
        proxy
    }

    fn start(upstreams: Vec<Upstream>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(BACKLOG).unwrap();
        let address = listener.local_addr().unwrap();
        let network = Arc::new(Network {
            upstreams,
            turn: AtomicUsize::new(0),
            refuses: Flag::default(),
            scissors: Mutex::default(),
            to_upstream: Way::default(),
            to_client: Way::default(),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            open: AtomicUsize::new(0),
        });
        let end = CancellationToken::new();
        tokio::spawn(
            end.clone().run_until_cancelled_owned(Arc::clone(&network).accept(listener, end.clone())),
        );
        for at in 0..network.upstreams.len() {
            let network = Arc::clone(&network);
            tokio::spawn(
                end.clone().run_until_cancelled_owned(async move { network.upstreams[at].watch().await }),
            );
        }
        Self { address, network, _end: end.drop_guard() }
    }

    /// The address of the proxy.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all present connections with a reset to both sides, stalled or not. New ones are not affected.
    pub fn cut(&self) {
        let mut scissors = self.network.scissors.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *scissors).cancel();
    }

    /// Resets new connections at once, until [`Proxy::heal`]. Present ones go on.
    pub fn refuse(&self) {
        self.network.refuses.set(true);
    }

    /// Forwards nothing in this direction until [`Proxy::heal`], neither bytes nor a connection's end. New
    /// connections are accepted. If the direction to the upstream is stalled, they do not reach the upstream.
    pub fn stall(&self, direction: Direction) {
        if direction != Direction::ToClient {
            self.network.to_upstream.stall(true);
        }
        if direction != Direction::ToUpstream {
            self.network.to_client.stall(true);
        }
    }

    /// Ends all faults. Bytes that were held go on; none are lost or out of order.
    pub fn heal(&self) {
        self.network.refuses.set(false);
        self.network.to_upstream.stall(false);
        self.network.to_client.stall(false);
    }

    /// The counts of connections so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Network { accepted, refused, unanswered, cut, open, .. } = &*self.network;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            accepted: of(accepted),
            refused: of(refused),
            unanswered: of(unanswered),
            cut: of(cut),
            open: open.load(Ordering::Relaxed),
        }
    }

    /// The places that last said that they are ready. A proxy with one upstream always counts it.
    #[must_use]
    pub fn ready(&self) -> Vec<SocketAddr> {
        let ready = self.network.upstreams.iter().filter(|upstream| upstream.is_ready());
        ready.map(|upstream| upstream.address).collect()
    }

    /// Waits until a place is known to be ready, or not ready.
    ///
    /// # Panics
    /// When the balancer has no such place.
    pub async fn until_ready(&self, place: SocketAddr, ready: bool) {
        let upstream = self.network.upstreams.iter().find(|upstream| upstream.address == place);
        upstream.expect("a place of this balancer").until(ready).await;
    }
}

impl Network {
    async fn accept(self: Arc<Self>, listener: TcpListener, end: CancellationToken) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
            let Ok((client, _)) = listener.accept().await else {
                // For example, no file descriptors are left until a connection closes.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            self.accepted.fetch_add(1, Ordering::Relaxed);
            self.open.fetch_add(1, Ordering::Relaxed);
            let network = Arc::clone(&self);
            let scissors = self.scissors.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let end = end.clone();
            tokio::spawn(async move {
                network.serve(client, scissors, end).await;
                network.open.fetch_sub(1, Ordering::Relaxed);
                drop(place);
            });
        }
    }

    /// Serves one connection until its end.
    async fn serve(&self, mut client: TcpStream, scissors: CancellationToken, end: CancellationToken) {
        let mut upstream = None;
        let outcome = tokio::select! {
            outcome = self.carry(&mut client, &mut upstream) => outcome,
            () = scissors.cancelled() => Outcome::Cut,
            () = end.cancelled() => Outcome::Cut,
        };
        match outcome {
            Outcome::Closed => return,
            Outcome::Broken => {}
            Outcome::Refused => _ = self.refused.fetch_add(1, Ordering::Relaxed),
            Outcome::Cut => _ = self.cut.fetch_add(1, Ordering::Relaxed),
        }
        for stream in [Some(client), upstream].into_iter().flatten() {
            // Makes the close a reset. Otherwise it would be an orderly close.
            let _ = stream.set_zero_linger();
        }
    }

    async fn carry(&self, client: &mut TcpStream, upstream: &mut Option<TcpStream>) -> Outcome {
        if self.refuses.get() {
            return Outcome::Refused;
        }
        self.to_upstream.passable().await;
        let Some(connected) = self.connect().await else {
            return Outcome::Refused;
        };
        let upstream = upstream.insert(connected);
        // The few bytes of an interactive protocol must not be delayed.
        let _ = client.set_nodelay(true);
        let _ = upstream.set_nodelay(true);

        let (mut from_client, mut to_client) = client.split();
        let (mut from_upstream, mut to_upstream) = upstream.split();
        let (answered, client_left_first) = (Flag::default(), OnceLock::new());
        let ended = tokio::try_join!(
            self.to_upstream.forward(&mut from_client, &mut to_upstream, |read| {
                if !matches!(read, Ok(1..)) {
                    client_left_first.get_or_init(|| true);
                }
            }),
            self.to_client.forward(&mut from_upstream, &mut to_client, |read| match read {
                Ok(1..) => answered.set(true),
                _ => _ = client_left_first.get_or_init(|| false),
            }),
        );
        if !answered.get() && client_left_first.get() != Some(&true) {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        // In a stalled network neither side learns that the other one is gone.
        self.to_upstream.passable().await;
        self.to_client.passable().await;
        if ended.is_ok() { Outcome::Closed } else { Outcome::Broken }
    }

    /// Tries the ready upstreams. Each connection begins with another one.
    async fn connect(&self) -> Option<TcpStream> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let ready: Vec<_> = self.upstreams.iter().filter(|upstream| upstream.is_ready()).collect();
        for at in 0..ready.len() {
            let upstream = ready[(turn + at) % ready.len()];
            let connecting = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(upstream.address));
            if let Ok(Ok(stream)) = connecting.await {
                return Some(stream);
            }
        }
        None
    }
}

/// How a connection ended.
enum Outcome {
    /// Both sides closed it.
    Closed,
    /// One side reset it.
    Broken,
    /// It was never forwarded.
    Refused,
    /// The proxy ended it.
    Cut,
}

/// One direction of the network, which may be stalled.
#[derive(Default)]
struct Way(watch::Sender<bool>);

impl Way {
    fn stall(&self, stalled: bool) {
        self.0.send_replace(stalled);
    }

    /// Waits until bytes may pass.
    async fn passable(&self) {
        // The sender is in this struct, so it still exists.
        let _ = self.0.subscribe().wait_for(|stalled| !stalled).await;
    }

    /// Forwards bytes and their end. `saw` gets everything that comes.
    async fn forward(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        saw: impl Fn(&io::Result<usize>),
    ) -> io::Result<()> {
        let mut held = vec![0; HELD];
        loop {
            let read = from.read(&mut held).await;
            saw(&read);
            let length = read?;
            self.passable().await;
            if length == 0 {
                // The other side may be gone; its own direction reports that.
                let _ = to.shutdown().await;
                return Ok(());
            }
            to.write_all(&held[..length]).await?;
        }
    }
}

/// A flag that one task sets and others read.
#[derive(Default)]
struct Flag(AtomicBool);

impl Flag {
    fn set(&self, value: bool) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
