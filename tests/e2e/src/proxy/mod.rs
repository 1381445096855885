//! A TCP proxy in front of anything, with the network's faults at hand: connections cut, refused, or left in
//! the air as in a partition. With several upstreams it is the load balancer of a rolling restart.
//!
//! A stalled proxy is a middle that holds everything: unlike on a wire whose packets are dropped, the systems
//! at both ends see their bytes acknowledged, so that only what the programs themselves notice is tried.

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

/// Connections at once; more wait until the system takes them, or not.
const MAX_CONNECTIONS: usize = 20_000;

/// Connections that the system holds for the proxy: thousands of pages may come in one moment.
const BACKLOG: u32 = 8192;

/// Bytes that the proxy itself holds of one direction of a connection.
const HELD: usize = 16 * 1024;

/// How long an upstream may take for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A proxy on a port of loopback that it keeps until it is dropped, which ends all its connections.
pub struct Proxy {
    address: SocketAddr,
    network: Arc<Network>,
    _end: DropGuard,
}

/// Where a balancer sends connections.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// What takes the connections.
    pub address: SocketAddr,
    /// The admin port, whose `/readyz` says whether connections may go there.
    pub admin: SocketAddr,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From whoever connects.
    ToUpstream,
    /// Back to them.
    ToClient,
    /// Both.
    Both,
}

/// What became of the connections so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that came.
    pub accepted: u64,
    /// Those that were reset before a byte went either way: the proxy refuses, or no upstream took them.
    pub refused: u64,
    /// Those that an upstream took, and let go without a byte while the client was still there: what happens
    /// to connections that wait at a listener when it closes.
    pub unanswered: u64,
    /// Those that [`Proxy::cut`] ended.
    pub cut: u64,
    /// Those that are open now.
    pub open: usize,
}

/// The network between two parties, as its faults and its connections see it.
struct Network {
    upstreams: Vec<Upstream>,
    turn: AtomicUsize,
    /// Whether new connections are refused.
    refuses: Flag,
    /// What ends the connections of now, all at once.
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
    /// Puts a proxy before `upstream`, whether or not anybody listens there yet.
    pub async fn before(upstream: SocketAddr) -> Self {
        Self::start(vec![Upstream::always(upstream)])
    }

    /// Puts a balancer before several places. New connections go in turn to those that are ready, as
    /// they say themselves every 100 ms, and to the next one when one takes none; what none takes is refused.
    /// Waits until every place that is ready now is known to be.
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection of now with a reset to both sides, stalled or not. New ones are not concerned.
    pub fn cut(&self) {
        let mut scissors = self.network.scissors.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *scissors).cancel();
    }

    /// Resets new connections at once, until [`Proxy::heal`]; those of now go on.
    pub fn refuse(&self) {
        self.network.refuses.set(true);
    }

    /// Forwards nothing more that way until [`Proxy::heal`], neither bytes nor a connection's end. New
    /// connections are taken, and with the way to the upstream stalled they stay with the proxy.
    pub fn stall(&self, direction: Direction) {
        if direction != Direction::ToClient {
            self.network.to_upstream.stall(true);
        }
        if direction != Direction::ToUpstream {
            self.network.to_client.stall(true);
        }
    }

    /// Is a sound network again. What was held goes on its way; nothing was lost or put out of order.
    pub fn heal(&self) {
        self.network.refuses.set(false);
        self.network.to_upstream.stall(false);
        self.network.to_client.stall(false);
    }

    /// What became of the connections so far.
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

    /// The places that say they are ready, as last heard. A proxy before one upstream counts it always.
    #[must_use]
    pub fn ready(&self) -> Vec<SocketAddr> {
        let ready = self.network.upstreams.iter().filter(|upstream| upstream.is_ready());
        ready.map(|upstream| upstream.address).collect()
    }

    /// Waits until a place is known to be ready, or not to be.
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
                // No files are left, say: whoever has one must first let go of it.
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

    /// One connection, from its coming to its end.
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
            // Without it the end would be an orderly one.
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
        // An interactive protocol's few bytes are not kept back.
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
        // Neither side hears of the other's death through a stalled network.
        self.to_upstream.passable().await;
        self.to_client.passable().await;
        if ended.is_ok() { Outcome::Closed } else { Outcome::Broken }
    }

    /// Tries the ready upstreams, each connection another one first.
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
    /// It was never carried.
    Refused,
    /// The proxy ended it.
    Cut,
}

/// One direction of the network, stalled or not.
#[derive(Default)]
struct Way(watch::Sender<bool>);

impl Way {
    fn stall(&self, stalled: bool) {
        self.0.send_replace(stalled);
    }

    /// Waits until bytes may pass.
    async fn passable(&self) {
        // The sender is here, so it is not gone.
        let _ = self.0.subscribe().wait_for(|stalled| !stalled).await;
    }

    /// Forwards bytes, and the end of them; `saw` is told of all that comes.
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
                // The other side may be gone already, which its own direction tells.
                let _ = to.shutdown().await;
                return Ok(());
            }
            to.write_all(&held[..length]).await?;
        }
    }
}

/// Set here and read there.
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
