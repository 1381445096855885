//! A balancer's knowledge of the places behind it: whether they say that they are ready.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Place;
use crate::page::PATIENCE;

/// Time between two checks.
const EVERY: Duration = Duration::from_millis(100);

/// Limit for an answer. A place that takes longer is not ready.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The first bytes of a ready place's answer.
const READY: &[u8] = b"HTTP/1.1 200";

/// A place and its last answer.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    admin: Option<SocketAddr>,
    /// `None` before the first answer.
    ready: watch::Sender<Option<bool>>,
}

impl Upstream {
    /// A place that is always ready.
    pub(super) fn always(address: SocketAddr) -> Self {
        Self { address, admin: None, ready: watch::Sender::new(Some(true)) }
    }

    /// A place that is checked.
    pub(super) fn checked(place: Place) -> Self {
        Self { address: place.address, admin: Some(place.admin), ready: watch::Sender::new(None) }
    }

    /// Whether connections may go to it.
    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow() == Some(true)
    }

    /// Waits until the first check is over, with or without an answer.
    pub(super) async fn known(&self) {
        self.wait(|ready| ready.is_some()).await;
    }

    /// Waits until it is ready, or until it is not.
    pub(super) async fn until(&self, wanted: bool) {
        self.wait(|ready| *ready == Some(wanted)).await;
    }

    async fn wait(&self, condition: impl FnMut(&Option<bool>) -> bool) {
        let mut ready = self.ready.subscribe();
        let waited = timeout(PATIENCE, ready.wait_for(condition)).await;
        assert!(waited.is_ok(), "{} does not become what the test waits for", self.address);
    }

    /// Checks it again and again.
    pub(super) async fn watch(&self) {
        let Some(admin) = self.admin else { return };
        let mut pace = interval(EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            let ready = matches!(timeout(ANSWER_WITHIN, ask(admin)).await, Ok(Some(())));
            self.ready.send_if_modified(|known| known.replace(ready) != Some(ready));
        }
    }
}

async fn ask(admin: SocketAddr) -> Option<()> {
    let mut stream = TcpStream::connect(admin).await.ok()?;
    let question = format!("GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).await.ok()?;
    let mut answer = [0; READY.len()];
    stream.read_exact(&mut answer).await.ok()?;
    (answer == READY).then_some(())
}
