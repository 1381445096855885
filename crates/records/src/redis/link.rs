//! What everybody who asks Redis holds: the connection that the keeper has made, if there is one.
//!
//! While there is no connection, a call fails at once and has certainly changed nothing. A call that was handed to the
//! connection and got no answer in time has perhaps changed something; then the keeper looks at once whether Redis is
//! still there.
//!
//! Where changes wait for replicas there is a second connection for them, made and given up with the first, so that
//! nothing else waits.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::clock::Clock;
use super::keeper::{Keeper, Shared, Subscription};
use super::replicas::{Durable, Replicas};
use super::url::RedisUrl;
use crate::Failure;
use crate::copies::Copies;

/// A command is answered within this time, or Redis counts as silent.
pub(super) const COMMAND: Duration = Duration::from_millis(500);

/// A handle to the connection; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Link {
    connections: watch::Receiver<Option<Connections>>,
    doubt: Arc<Notify>,
    replicas: Replicas,
    /// What is known of its clock.
    pub(super) clock: Clock,
}

/// The connections to one Redis.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pub(super) each: MultiplexedConnection,
    /// For changes that wait for replicas, where any are wanted.
    pub(super) durable: Option<Arc<Durable>>,
}

impl Link {
    /// A link to the Redis at `url`, and the keeper that makes it.
    #[must_use]
    pub(super) fn new(
        url: RedisUrl,
        subscription: Option<Subscription>,
        replicas: Replicas,
        copies: Copies,
    ) -> (Self, Keeper) {
        let (sender, connections) = watch::channel(None);
        let (doubt, clock) = (Arc::new(Notify::new()), Clock::default());
        let shared =
            Shared { doubt: Arc::clone(&doubt), replicas: replicas.clone(), clock: clock.clone(), copies };
        (Self { connections, doubt, replicas, clock }, Keeper::new(url, subscription, sender, shared))
    }

    /// Whether there is a connection now.
    pub(super) fn is_there(&self) -> bool {
        self.connections.borrow().is_some()
    }

    /// Waits until there is a connection (`true`), or none (`false`).
    pub(super) async fn is(&self, up: bool) {
        // An error means that the keeper is gone, and the process with it.
        let _ = self.connections.clone().wait_for(|connections| connections.is_some() == up).await;
    }

    /// Asks Redis for something, within half a second.
    pub(super) async fn ask<T, F>(&self, work: impl FnOnce(MultiplexedConnection) -> F) -> Result<T, Failure>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let connections = self.connections()?;
        self.answer(work(connections.each)).await
    }

    /// Asks Redis to write something, and waits until enough replicas have it if it was written.
    pub(super) async fn ask_durably<T, F>(
        &self,
        work: impl FnOnce(MultiplexedConnection) -> F,
        is_written: impl FnOnce(&T) -> bool,
    ) -> Result<T, Failure>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let Some(durable) = self.connections()?.durable else { return self.ask(work).await };
        let done = self.answer(work(durable.connection.clone())).await?;
        if is_written(&done) {
            durable.confirm(&self.replicas, || self.doubt.notify_one()).await?;
        }
        Ok(done)
    }

    fn connections(&self) -> Result<Connections, Failure> {
        let connections = self.connections.borrow().clone();
        connections.ok_or_else(|| Failure::NotDone("there is no connection to Redis".to_owned()))
    }

    async fn answer<T>(&self, work: impl Future<Output = RedisResult<T>>) -> Result<T, Failure> {
        let failure = match timeout(COMMAND, work).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                if matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly)) {
                    self.doubt.notify_one();
                }
                failure_of(&error)
            }
            Err(_) => Failure::Unknown(format!("Redis does not answer within {COMMAND:?}")),
        };
        if matches!(failure, Failure::Unknown(_)) {
            self.doubt.notify_one();
        }
        Err(failure)
    }
}

fn failure_of(error: &RedisError) -> Failure {
    match error.kind() {
        // Redis refuses before a script has written anything: each script writes once, at its end.
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::Client | ErrorKind::AuthenticationFailed => {
            Failure::NotDone(format!("Redis refuses: {error}"))
        }
        _ => Failure::Unknown(format!("Redis does not answer: {error}")),
    }
}
