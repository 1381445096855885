//! Keeps a connection to a gateway. After a failure the client tries the next address. Its waits grow and have
//! jitter, so that many clients do not return at the same moment.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::call::Call;
use super::connection::{CONNECT_WITHIN, Connection, End};
use super::{Link, Settings};
use crate::codec::FrameError;
use crate::tls::{ClientTls, TlsError};

/// The first and the longest wait after a failure. A scan has four seconds in all, so the client tries often
/// and finds a returning gateway within two seconds.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The most reasons that are logged for one outage.
const REASONS: usize = 8;

/// TCP, or TLS over it.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects and converses until the client is dropped.
pub(super) async fn run(settings: Settings, mut queue: mpsc::Receiver<Call>, link: watch::Sender<Link>) {
    let mut unanswered = Vec::new();
    let mut wait = FIRST_WAIT;
    let (mut told, mut drains) = (Vec::new(), false);
    let mut tls = settings.tls.clone().map(Files::new);
    for address in settings.addresses.iter().cycle() {
        let end = match connect(address, &settings, tls.as_mut()).await {
            Ok(connection) => connection.run(&mut queue, &mut unanswered, &link).await,
            Err(end) => end,
        };
        let was_in = link.send_replace(link_after(address, &end)) == Link::Connected;
        if was_in {
            told.clear();
        }
        let reason = end.to_string();
        // During an outage each reason is logged once, not at every attempt.
        let known = told.contains(&reason) || told.len() == REASONS;
        match end {
            End::Unused => return,
            End::Bye if drains => tracing::debug!(address, "{end}, still"),
            End::Bye => tracing::info!(address, "{end}; connecting anew"),
            _ if known => tracing::debug!(address, "still no connection to the gateway: {end}"),
            End::Refused { .. } | End::Version(_) | End::Files(_) | End::FilesLate | End::Name(_) => {
                tracing::error!(address, "{end}");
            }
            _ => tracing::warn!(address, "no connection to the gateway: {end}"),
        }
        if !known {
            told.push(reason);
        }
        // A draining gateway still accepts connections for a while, and says bye on each.
        drains = matches!(end, End::Bye);
        if is_unused(&mut queue, &mut unanswered) {
            return;
        }
        if was_in && !drains {
            wait = FIRST_WAIT;
        }
        // Sleeps for 50 to 100 % of the wait.
        sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
        // A client that was dropped meanwhile does not connect once more.
        if is_unused(&mut queue, &mut unanswered) {
            return;
        }
    }
}

/// Whether nobody is left to answer. Calls whose caller has gone are dropped.
fn is_unused(queue: &mut mpsc::Receiver<Call>, unanswered: &mut Vec<Call>) -> bool {
    if queue.is_closed() {
        // Every handle of the client is dropped, but a caller may still wait for an answer.
        unanswered.extend(std::iter::from_fn(|| queue.try_recv().ok()));
    }
    unanswered.retain(|call| !call.reply.is_closed());
    queue.is_closed() && unanswered.is_empty()
}

fn link_after(address: &str, end: &End) -> Link {
    match end {
        End::Refused { code, message } => Link::Refused { code: code.clone(), message: message.clone() },
        _ => Link::Broken(format!("{address}: {end}")),
    }
}

async fn connect(
    address: &str,
    settings: &Settings,
    tls: Option<&mut Files>,
) -> Result<Connection<Box<dyn Stream>>, End> {
    let stream = reach(address).await?;
    stream.set_nodelay(true).map_err(FrameError::from)?;
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(tls) => {
            let name = tls
                .files
                .server_name(address)
                .ok_or_else(|| End::Name(tls.files.name.clone().unwrap_or_else(|| address.to_owned())))?;
            let connector = TlsConnector::from(tls.read().await?);
            Box::new(within(connector.connect(name, stream)).await?.map_err(End::Tls)?)
        }
    };
    Connection::open(stream, settings).await
}

/// Connects to the first of the name's addresses that answers. Each address has its own time limit, because one
/// of them may be dead.
pub(super) async fn reach(address: &str) -> Result<TcpStream, End> {
    let mut end = End::NotConnected;
    for address in within(lookup_host(address)).await?.map_err(FrameError::from)? {
        match within(TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => end = FrameError::from(error).into(),
            Err(late) => end = late,
        }
    }
    Err(end)
}

pub(super) async fn within<T>(step: impl Future<Output = T>) -> Result<T, End> {
    timeout(CONNECT_WITHIN, step).await.map_err(|_| End::NotConnected)
}

/// The TLS files, read again for each connection, so that replacing them needs no signal. If they cannot be
/// read, for example in the middle of a replacement, the files read before stay in use.
struct Files {
    files: ClientTls,
    read: Option<Arc<ClientConfig>>,
    /// A file may be a pipe, or on a disk that does not answer. Then no second thread waits for it.
    reading: Option<JoinHandle<Result<Arc<ClientConfig>, TlsError>>>,
}

impl Files {
    fn new(files: ClientTls) -> Self {
        Self { files, read: None, reading: None }
    }

    async fn read(&mut self) -> Result<Arc<ClientConfig>, End> {
        let files = &self.files;
        let reading = self.reading.get_or_insert_with(|| {
            let files = files.clone();
            spawn_blocking(move || files.load())
        });
        let read = match within(reading).await {
            Ok(read) => {
                self.reading = None;
                read.map_err(|_| End::FilesLate).and_then(|read| read.map_err(End::from))
            }
            Err(_) => Err(End::FilesLate),
        };
        match (read, &self.read) {
            (Ok(config), _) => Ok(Arc::clone(self.read.insert(config))),
            (Err(error), Some(before)) => {
                tracing::warn!("{error}; using what was read before");
                Ok(Arc::clone(before))
            }
            (Err(error), None) => Err(error),
        }
    }
}
