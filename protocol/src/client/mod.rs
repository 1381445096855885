//! The Rust client: a lasting connection, many notices in flight, each with its own deadline.
//!
//! A task of its own owns the connection. It reconnects with back-off and jitter, and takes the next address
//! when one fails. A notice whose connection ends before its answer is sent again, which the wire makes safe.
//! At the deadline a caller learns which of two cases it has: [`NoAnswer::NotSent`] was certainly not recorded,
//! [`NoAnswer::Unknown`] perhaps was.
//!
//! If several gateways are named, there is a second connection, which begins with the second address. A notice that the
//! first gateway does not answer soon goes to the second gateway too. Otherwise a gateway that hangs would hold all
//! notices until its silence ends the connection.

mod call;
mod connection;
mod reconnect;
pub mod shown;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use self::call::{Call, Fate, says_nothing_of_another_sending};
use crate::auth::Key;
use crate::message::{Answer, Notice, Status};
use crate::scene::random_name;
use crate::tls::ClientTls;

/// The most notices that wait for the connection. Further callers wait for room, within their own deadlines.
const QUEUE: usize = 1024;

/// A notice without an answer after this time goes to a second gateway too. A gateway normally answers in milliseconds.
const SECOND_AFTER: Duration = Duration::from_millis(500);

/// The client's name and key, and the gateways.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The client's name, as the gateway knows it.
    pub name: String,
    /// The key of that name.
    pub key: Key,
    /// `host:port` of the gateways' internal ports, tried in turn.
    pub addresses: Vec<String>,
    /// How to speak TLS; `None` speaks in plain text.
    pub tls: Option<ClientTls>,
}

/// A handle to the connection; clones share it. When the last one is dropped, the connection closes.
#[derive(Debug, Clone)]
pub struct Client {
    calls: mpsc::Sender<Call>,
    /// The queue of the second connection, if several addresses are named.
    second: Option<mpsc::Sender<Call>>,
    link: watch::Receiver<Link>,
    /// The state of the second connection.
    second_link: Option<watch::Receiver<Link>>,
    ids: Arc<Ids>,
}

/// The state of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Nothing is known yet.
    Starting,
    /// A gateway has accepted this client.
    Connected,
    /// The last connection ended, or the last attempt failed. The client tries again by itself. The text is the
    /// reason, for people.
    Broken(String),
    /// A gateway rejects this client with an `error` frame. The client still tries again, because its key may
    /// be in the middle of a change.
    Refused {
        /// The short name of the reason: see PROTOCOL.md, "Errors".
        code: String,
        /// Words for people.
        message: String,
    },
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("not tried yet"),
            Self::Connected => f.write_str("connected"),
            Self::Broken(why) => f.write_str(why),
            Self::Refused { code, message } => write!(f, "the gateway refused: {code}: {message}"),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The notice never left this process: it is certainly not recorded.
    #[error("the notice could not be sent in time, so it is not recorded")]
    NotSent,
    /// The notice was sent and no answer came: perhaps it is recorded. Sending the same again is safe.
    #[error("the notice was sent and no answer came in time, so perhaps it is recorded")]
    Unknown,
}

impl Client {
    /// Starts the connection's task on the current runtime. The task connects and reconnects by itself. It logs
    /// each obstacle once, and [`Client::link`] gives the present one.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(settings: Settings) -> Self {
        let second = (settings.addresses.len() > 1).then(|| {
            let mut settings = settings.clone();
            settings.addresses.rotate_left(1);
            Self::keep(settings)
        });
        let (second, second_link) = second.unzip();
        let (calls, link) = Self::keep(settings);
        Self { calls, second, link, second_link, ids: Arc::new(Ids::new()) }
    }

    /// Starts a connection's task.
    fn keep(settings: Settings) -> (mpsc::Sender<Call>, watch::Receiver<Link>) {
        let (calls, queue) = mpsc::channel(QUEUE);
        let (is, link) = watch::channel(Link::Starting);
        tokio::spawn(reconnect::run(settings, queue, is));
        (calls, link)
    }

    /// Whether the connection is open and the gateway has accepted this client.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        *self.link.borrow() == Link::Connected
    }

    /// How many connections are open and accepted: one at most, and two where several gateways are named.
    #[must_use]
    pub fn connections(&self) -> usize {
        let links = std::iter::once(&self.link).chain(&self.second_link);
        links.filter(|link| *link.borrow() == Link::Connected).count()
    }

    /// Waits until a gateway has accepted this client.
    pub async fn connected(&self) {
        self.wait_for(|link| *link == Link::Connected).await;
    }

    /// The present state of the connection.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link.borrow().clone()
    }

    /// The state of each connection, now and whenever it changes: one, or two where several addresses are named.
    #[must_use]
    pub fn links(&self) -> Vec<watch::Receiver<Link>> {
        std::iter::once(&self.link).chain(&self.second_link).cloned().collect()
    }

    /// Waits until `is` is true of the connection's state, and gives that state. Dropping the future does
    /// nothing.
    pub async fn wait_for(&self, is: impl FnMut(&Link) -> bool) -> Link {
        // An error means that the task is gone, and with it the runtime.
        let mut link = self.link.clone();
        link.wait_for(is).await.map_or_else(|_| self.link(), |link| link.clone())
    }

    /// Sends a notice and waits for its answer until `deadline`.
    ///
    /// A notice whose connection breaks is sent again on the next one, and a notice without an answer after half a
    /// second goes to a second gateway, too, if there are several. So the answer may say `repeat`.
    /// Dropping the future gives the notice up: if it is not sent yet, it is never sent.
    ///
    /// # Errors
    /// [`NoAnswer`], which tells "certainly not recorded" from "perhaps recorded".
    pub async fn send(&self, notice: Notice, deadline: Instant) -> Result<Answer, NoAnswer> {
        let (id, notice) = (self.ids.next(), Arc::new(notice));
        let (fate, answer) = hand_over(&self.calls, &id, &notice);
        let mut answer = pin!(answer);
        let second_at = match &self.second {
            Some(_) if self.is_connected() => Instant::now() + SECOND_AFTER,
            // Nobody knows when the first connection will be there again.
            Some(_) => Instant::now(),
            None => deadline,
        };
        if let Ok(answered) = timeout_at(second_at.min(deadline), &mut answer).await {
            return answered.ok_or_else(|| fate.give_up());
        }
        let Some(second) = self.second.as_ref().filter(|_| second_at < deadline) else {
            return Err(fate.give_up());
        };
        let (second_fate, second_answer) = hand_over(second, &id, &notice);
        let (answered, other) = tokio::select! {
            answered = answer => (answered, &second_fate),
            answered = second_answer => (answered, &fate),
            () = sleep_until(deadline) => (None, &fate),
        };
        match answered {
            Some(answer)
                if says_nothing_of_another_sending(&answer, &notice)
                    && other.give_up() == NoAnswer::Unknown =>
            {
                Ok(Answer { status: Status::Unsure, ..answer })
            }
            Some(answer) => Ok(answer),
            None => Err(match (fate.give_up(), second_fate.give_up()) {
                (NoAnswer::NotSent, NoAnswer::NotSent) => NoAnswer::NotSent,
                _ => NoAnswer::Unknown,
            }),
        }
    }
}

/// Hands a notice to a connection's task when the future is first polled. The future gives the answer.
fn hand_over(
    calls: &mpsc::Sender<Call>,
    id: &str,
    notice: &Arc<Notice>,
) -> (Fate, impl Future<Output = Option<Answer>> + use<>) {
    let (calls, fate) = (calls.clone(), Fate::waiting());
    let (reply, answer) = oneshot::channel();
    let (id, notice) = (id.to_owned(), Arc::clone(notice));
    let call = Call { id, notice, fate: fate.clone(), reply, sent_before: false };
    let answered = async move {
        calls.send(call).await.ok()?;
        answer.await.ok()
    };
    (fate, answered)
}

/// Ids for notices, different from those of every other process of the same client. The gateway treats two
/// notices without `by` as the same one if client and `id` are equal.
#[derive(Debug)]
struct Ids {
    process: String,
    next: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        let process = random_name().iter().take(10).map(|byte| char::from(*byte)).collect();
        Self { process, next: AtomicU64::new(1) }
    }

    fn next(&self) -> String {
        format!("{}-{}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
