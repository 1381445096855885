//! What follows the proof: notices come in, and answers go out in any order, until one side ends the connection.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use protocol::Notice;
use protocol::codec::FrameError;
use protocol::message::{Answer, ClientMessage, Context, ServerMessage, Status};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::ReusableBoxFuture;
use tracing::{Instrument, Span};

use super::{Admitted, End, Frames, HEARTBEAT, write};
use crate::logins::{Answered, Sender};
use crate::metrics::Counted;
use crate::notices::clients::{Clients, Known, Proved, Unproved};
use crate::notices::connected::Listed;
use crate::{Gateway, trace};

/// Notices of one connection that may be worked on at once. Beyond that the gateway stops reading from it.
pub(super) const IN_FLIGHT: usize = 64;

/// A client is closed after this silence.
const SILENCE: Duration = Duration::from_secs(2 * HEARTBEAT as u64);

/// What answers a notice.
type Work<'g> = ReusableBoxFuture<'g, Answer>;

/// One connection's state between two waits.
struct Conversation<'g> {
    gateway: &'g Gateway,
    proved: Proved,
    counted: Counted,
    listed: Listed,
    clients: watch::Receiver<Arc<Clients>>,
    /// Notices that were taken and are not answered.
    working: FuturesUnordered<Work<'g>>,
    /// The room of a notice that was answered at once, for the next one.
    room: Option<Work<'g>>,
    heard: Instant,
    /// Why no more notices are taken. Those that were taken are still answered.
    end: Option<End>,
}

/// Converses until the connection is to be closed, and says why. It first takes all that has come already, so that the
/// answers go out together, and then waits.
pub(super) async fn converse<S>(
    gateway: &Gateway,
    frames: &mut Frames<S>,
    admitted: Admitted,
    listed: Listed,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Admitted { proved, clients, _places } = admitted;
    let counted = gateway.metrics.count_client(&proved.labels());
    let (working, heard) = (FuturesUnordered::new(), Instant::now());
    let (room, end) = (None, None);
    let mut talk = Conversation { gateway, proved, counted, listed, clients, working, room, heard, end };
    let mut said_bye = false;
    let mut answers = Vec::new();
    loop {
        answers.extend(talk.answers_at_hand());
        while talk.listens() && answers.len() < IN_FLIGHT {
            let Some(next) = frames.next().now_or_never() else { break };
            answers.extend(talk.hear(next));
        }
        let is_full = answers.len() >= IN_FLIGHT;
        if let Err(end) = write(frames, answers.drain(..)).await {
            return end;
        }
        if is_full {
            // More may have come already. The pages that these have woken are told first: else a client with much to say
            // lets those wait that it named first.
            yield_now().await;
        }
        if let Some(end) = talk.end.take_if(|_| talk.working.is_empty()) {
            return end;
        }
        let (is_idle, is_open) = (talk.working.is_empty(), talk.end.is_none());
        let mut say = None;
        tokio::select! {
            next = frames.next(), if talk.listens() => say = talk.hear(next),
            answer = talk.working.next(), if !is_idle => say = answer.map(ServerMessage::Answer),
            () = sleep_until(talk.heard + SILENCE), if is_idle => {
                return End::refused("silent", "nothing was heard for two heartbeats");
            }
            _ = talk.clients.changed(), if is_open => talk.ask_again(),
            () = talk.proved.expired(), if is_open => {
                talk.end = Some(End::refused("unauthorized", Unproved::Expired));
            }
            () = gateway.drain.leaving().cancelled(), if !said_bye => {
                said_bye = true;
                say = Some(ServerMessage::Bye);
            }
            () = gateway.drain.closed().cancelled(), if is_open => talk.end = Some(End::Drained),
        }
        if let Err(end) = write(frames, say).await {
            return end;
        }
    }
}

impl<'g> Conversation<'g> {
    fn listens(&self) -> bool {
        self.end.is_none() && self.working.len() < IN_FLIGHT
    }

    fn answers_at_hand(&mut self) -> impl Iterator<Item = ServerMessage> {
        let ready = || self.working.next().now_or_never().flatten();
        std::iter::from_fn(ready).map(ServerMessage::Answer)
    }

    /// Takes what the client said, and gives the answer if it is there at once.
    fn hear(&mut self, next: Option<Result<ClientMessage, FrameError>>) -> Option<ServerMessage> {
        self.heard = Instant::now();
        // Checked before each notice: none is taken from a client whose key has been withdrawn or has expired.
        if self.clients.has_changed().unwrap_or(false) {
            self.ask_again();
        }
        if self.proved.is_over() {
            self.end = Some(End::refused("unauthorized", Unproved::Expired));
        }
        if self.end.is_some() {
            return None;
        }
        match next {
            Some(Ok(ClientMessage::Notice { id, notice })) => {
                self.take(id, notice).map(ServerMessage::Answer)
            }
            Some(Ok(ClientMessage::Ping { id })) => Some(ServerMessage::Pong { id }),
            Some(Ok(ClientMessage::Bad { id, message })) => {
                Some(ServerMessage::Answer(Answer { id, ..Answer::bad(message) }))
            }
            Some(Ok(ClientMessage::Auth { .. })) => {
                Some(ServerMessage::Answer(Answer::bad("auth comes once, as the first frame")))
            }
            Some(Err(error)) => {
                self.end = Some(error.into());
                None
            }
            // Perhaps it has only stopped writing, and still waits for its answers.
            None => {
                self.end = Some(End::Left);
                None
            }
        }
    }

    /// Works on a notice, and gives the answer if it is there at once.
    fn take(&mut self, id: Option<String>, notice: Notice) -> Option<Answer> {
        let (gateway, known) = (self.gateway, Arc::clone(&self.proved.known));
        // It ends with its span, whenever its room is used again.
        let work = async move {
            let span = notice.scene().map_or_else(Span::none, |scene| trace::step(scene, notice.kind()));
            take(gateway, known, id, notice).instrument(span).await
        };
        let mut work = match self.room.take() {
            Some(mut room) => {
                room.set(work);
                room
            }
            None => Work::new(work),
        };
        let answer = work.get_pin().now_or_never();
        match answer {
            Some(_) => self.room = Some(work),
            None => self.working.push(work),
        }
        answer
    }

    /// The clients were read again. The key of this one may have been withdrawn.
    fn ask_again(&mut self) {
        let now = self.clients.borrow_and_update().prove_again(&self.proved);
        match now {
            Ok(proved) => {
                self.counted = self.gateway.metrics.count_client(&proved.labels());
                self.listed.has_key(proved.key);
                self.proved = proved;
            }
            Err(why) => self.end = Some(End::refused("unauthorized", why)),
        }
    }
}

/// Notes that somebody has scanned a code of WeChat's: it no longer counts against the address that it was made for. The
/// answer does not wait for that.
fn note_scan(gateway: &Gateway, answered: &Answered) {
    let Some(login) = &answered.scanned else { return };
    let (accounts, login) = (Arc::clone(&gateway.accounts), login.clone());
    let noting = async move {
        let Context { ip, account, .. } = login.context();
        if let (Some(account), Ok(address)) = (accounts.of(account.as_deref()), ip.parse()) {
            account.qr.scanned(address).await;
        }
    };
    let mut noting = Box::pin(noting.in_current_span());
    // In memory it is done at once.
    if noting.as_mut().now_or_never().is_none() {
        gateway.drain.tasks().spawn(noting);
    }
}

async fn take(gateway: &Gateway, known: Arc<Known>, id: Option<String>, notice: Notice) -> Answer {
    let (client, began) = (&known.client, Instant::now());
    let answered = match known.take() {
        Ok(()) => {
            let from = Sender { client: client.name.clone(), may: client.may, id: id.clone() };
            let answered = gateway.logins.notify(&notice, &from).await;
            note_scan(gateway, &answered);
            answered
        }
        Err(wait) => {
            gateway.metrics.limits.hit("notices::clients");
            let retry_in = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
            Answered::of(Answer { retry_in: Some(retry_in), ..Answer::new(Status::Busy) })
        }
    };
    tell(&client.name, &notice, &answered);
    let answer = answered.answer;
    let (kind, status) = (notice.kind(), answer.status.as_str());
    gateway.metrics.count_notice(&known.counts, &client.name, kind, status, began.elapsed());
    Answer { id, ..answer }
}

/// Logs an answer. What a person has done is worth a line, once; questions, refusals, repeats and probes are not.
fn tell(client: &str, notice: &Notice, answered: &Answered) {
    let Answered { answer, is_probe, .. } = answered;
    // A login that the answer names, such as one that was found by its code, has no span yet.
    let _login = answer.scene.map(|scene| trace::login(scene).entered());
    let (notice, status) = (notice.kind(), answer.status.as_str());
    if answer.status.is_recorded() && !answer.repeat && !is_probe {
        tracing::info!(client, notice, status, "a notice was answered");
    } else {
        tracing::debug!(client, notice, status, repeat = answer.repeat, "a notice was answered");
    }
}
