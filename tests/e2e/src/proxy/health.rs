//! What a balancer knows of the places behind it: whether they say that they are ready.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Place;
use crate::page::PATIENCE;

/// Between two questions.
const EVERY: Duration = Duration::from_millis(100);

/// A place that does not answer in this time is not ready.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// What the answer of a ready place begins with.
const READY: &[u8] = b"HTTP/1.1 200";

/// A place, and what it said last.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    admin: Option<SocketAddr>,
    /// Nothing before the first answer.
    ready: watch::Sender<Option<bool>>,
}

impl Upstream {
    /// One that connections always may go to.
    pub(super) fn always(address: SocketAddr) -> Self {
        Self { address, admin: None, ready: watch::Sender::new(Some(true)) }
    }

    /// One that is asked.
    pub(super) fn checked(place: Place) -> Self {
        Self { address: place.address, admin: Some(place.admin), ready: watch::Sender::new(None) }
    }

    /// Whether connections may go there.
    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow() == Some(true)
    }

    /// Waits for the first answer, or the first lack of one.
    pub(super) async fn known(&self) {
        self.wait(|ready| ready.is_some()).await;
    }

    /// Waits until it says so.
    pub(super) async fn until(&self, wanted: bool) {
        self.wait(|ready| *ready == Some(wanted)).await;
    }

    async fn wait(&self, condition: impl FnMut(&Option<bool>) -> bool) {
        let mut ready = self.ready.subscribe();
        let waited = timeout(PATIENCE, ready.wait_for(condition)).await;
        assert!(waited.is_ok(), "{} does not become what the test waits for", self.address);
    }

    /// Asks it again and again.
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
