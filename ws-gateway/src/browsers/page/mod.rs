//! The task of one page's connection, from its upgrade to its close: the journey of a browser.
//!
//! The task owns the socket and the page's seat. It waits for whatever happens to the page, asks the store or
//! WeChat, and has the [`Conversation`] decide what the page is told. Whatever a page is told has been recorded
//! before: the task only reads the login's record, each time it is woken or the record's time is over.

mod counted;
mod new_login;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::poll_fn;
use std::mem;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll};

use futures_util::future::{BoxFuture, FutureExt};
use protocol::message::Context;
use server::places::Place;
use server::shares::Share;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tracing::{Instrument, Level, Span};

use self::counted::PageLogins;
use crate::account::Taken;
use crate::browsers::conversation::{Conversation, Say, Then, Turn};
use crate::browsers::message::{Close, FromPage, ToPage};
use crate::browsers::opening::{Arrival, Opening};
use crate::browsers::socket::{CLOSE_WITHIN, Ended, PageSocket};
use crate::browsers::words;
use crate::codes::{NoQrCode, Prepaid};
use crate::logins::seats::Seat;
use crate::logins::watched::Watch;
use crate::logins::{ResumeKey, StoreError};
use crate::metrics::Counted;
use crate::{Gateway, trace};

/// Serves a page until one side ends the connection, and keeps its place at the port for so long.
///
/// It is no async function, because such a future has room for what it was given twice.
pub(crate) fn serve<S>(
    gateway: Arc<Gateway>,
    socket: PageSocket<S>,
    mut opening: Box<Opening>,
    place: Option<Place>,
) -> impl Future<Output = ()> + Send + 'static
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut page = PageTask::new(gateway, socket, &mut opening, place);
    async move {
        let Err(ended) = match page.turn(Event::Opened(opening)).await {
            Ok(()) => page.run().await,
            Err(ended) => Err(ended),
        };
        if matches!(ended, Ended::Garbled(Close::TooFast | Close::TooBig)) {
            page.gateway.metrics.limits.hit("browsers::socket");
        }
        let span = page.span_of_reading();
        span.in_scope(|| tracing::debug!(?ended, "a page's connection ends"));
        page.leave(ended).instrument(span).boxed().await;
    }
}

/// A page waits nearly all of its time, and there are many thousands of them: what it needs only now and then is in a box,
/// and what it does is a future that is made when something happens.
struct PageTask<S> {
    gateway: Arc<Gateway>,
    socket: PageSocket<S>,
    /// Who asks for its logins.
    context: Arc<Context>,
    /// Its address.
    address: IpAddr,
    /// It still shows the picture of the login that it comes back to.
    has_picture: bool,
    talk: Conversation,
    held: Held,
    /// What is counted of the page's logins.
    logins: PageLogins,
    /// What an operator sees of the login that the page shows.
    watch: Option<Watch>,
    /// One of the pages that the page's address may have open.
    share: Option<Share>,
    /// Once this gateway drains, the page's moment to go.
    goes: Option<BoxFuture<'static, ()>>,
    _counted: Counted,
    _place: Option<Place>,
}

type Made = Result<Taken, NoQrCode>;

/// What the task holds for its page.
enum Held {
    Nothing,
    /// What its address is told of its share of WeChat's codes, of which it takes one next.
    Prepaid(Prepaid),
    /// A code that is being made, perhaps after a wait.
    Code(BoxFuture<'static, Made>),
    /// The seat at the login that the page shows.
    Seat(Seat),
}

/// What happened to a page.
enum Event {
    /// It is connected, and has said this.
    Opened(Box<Opening>),
    /// It sent something.
    Heard(Option<FromPage>),
    /// Its next heartbeat is due.
    Beat,
    /// Its code is there, or cannot be had.
    Made(Made),
    /// It was woken, or its time is over.
    Look,
}

impl Held {
    /// Whether a code is made or the page is woken, whichever there is to wait for.
    fn poll_progress(&mut self, cx: &mut task::Context<'_>) -> Poll<Event> {
        match self {
            Self::Code(made) => made.poll_unpin(cx).map(Event::Made),
            Self::Seat(seat) => seat.poll_woken(cx).map(|()| Event::Look),
            Self::Nothing | Self::Prepaid(_) => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> PageTask<S> {
    fn new(
        gateway: Arc<Gateway>,
        socket: PageSocket<S>,
        opening: &mut Opening,
        place: Option<Place>,
    ) -> Self {
        Self {
            context: mem::take(&mut opening.context),
            address: opening.address,
            has_picture: opening.has_picture,
            talk: Conversation::new(opening.language, opening.is_ours, Instant::now()),
            logins: PageLogins::new(&gateway.metrics.of_logins),
            socket,
            held: Held::Nothing,
            watch: None,
            share: None,
            goes: None,
            _counted: gateway.metrics.count_page(),
            _place: place,
            gateway,
        }
    }

    /// Waits for one event after the other, and handles it.
    async fn run(&mut self) -> Result<Infallible, Ended> {
        let mut leaving = pin!(self.gateway.drain.leaving().clone().cancelled_owned());
        let mut alarm = pin!(sleep_until(self.talk.next_due()));
        loop {
            self.set(alarm.as_mut());
            let event = poll_fn(|cx| self.poll_event(cx, alarm.as_mut(), leaving.as_mut())).await?;
            self.turn(event).await?;
        }
    }

    /// Sets the alarm for the next moment at which something is due.
    fn set(&self, alarm: Pin<&mut Sleep>) {
        let due = self.talk.next_due();
        if alarm.deadline() != due {
            alarm.reset(due);
        }
    }

    /// There are four things to wait for: progress of the page's login (a code made, a wake-up), a message from the page, the
    /// next moment at which something is due, and the moment at which this gateway lets go of the page. They are looked at in
    /// this order: a page whose answer to a ping is there must not be taken for dead because the next ping is due, and one that
    /// says too much is let go, so none of them is kept waiting.
    ///
    /// It is polled by hand, because the future of a `select!` has room for all that it waits for, and each page has one.
    fn poll_event(
        &mut self,
        cx: &mut task::Context<'_>,
        alarm: Pin<&mut Sleep>,
        leaving: Pin<&mut WaitForCancellationFutureOwned>,
    ) -> Poll<Result<Event, Ended>> {
        if let Poll::Ready(event) = self.held.poll_progress(cx) {
            return Poll::Ready(Ok(event));
        }
        if let Poll::Ready(said) = self.socket.poll_next_message(cx) {
            return Poll::Ready(said.map(Event::Heard));
        }
        if alarm.poll(cx).is_ready() {
            let is_beat = Instant::now() >= self.talk.next_beat();
            return Poll::Ready(Ok(if is_beat { Event::Beat } else { Event::Look }));
        }
        if self.goes.is_none() && leaving.poll(cx).is_ready() {
            // Pages leave spread over the drain, so that they do not come to the next gateway all at once.
            let (drain, share) = (self.gateway.drain.clone(), fastrand::f64());
            self.goes = Some(async move { drain.share(share, CLOSE_WITHIN).await }.boxed());
        }
        if self.goes.as_mut().is_some_and(|goes| goes.poll_unpin(cx).is_ready()) {
            return Poll::Ready(Err(Ended::Told(Close::GoingAway)));
        }
        Poll::Pending
    }

    /// Handles an event, in a box of its own: that takes some thousand bytes, and seldom.
    fn turn(&mut self, event: Event) -> BoxFuture<'_, Result<(), Ended>> {
        async {
            let gateway = Arc::clone(&self.gateway);
            let span = match event {
                Event::Opened(_) | Event::Heard(_) | Event::Made(_) => self.span(),
                Event::Beat | Event::Look => self.span_of_reading(),
            };
            tokio::select! {
                biased;
                handled = self.handle(event).instrument(span) => handled,
                // The page does not take its last message. The process ends without waiting for it.
                () = gateway.drain.share(1.0, CLOSE_WITHIN / 2) => Err(Ended::Gone),
            }
        }
        .boxed()
    }

    /// The span of the login that the page shows.
    fn span(&self) -> Span {
        self.talk.shows().map_or_else(Span::none, trace::login)
    }

    /// The same for what only reads the login's record and tells the page: it says nothing above debug level, unless the
    /// store fails. A span costs as much as the rest of that together.
    fn span_of_reading(&self) -> Span {
        let is_silent = self.gateway.logins.are_in_memory() && !tracing::enabled!(Level::DEBUG);
        if is_silent { Span::none() } else { self.span() }
    }

    /// Lets the page in: to a new login, or to the one that it comes back to.
    async fn begin(&mut self, opening: Opening) -> Result<(), Ended> {
        if let Some(fault) = opening.fault {
            return self.close(self.talk.refuse(fault)).await;
        }
        self.share = self.take_share().await?;
        match opening.arrival {
            Arrival::New => {
                // A page that comes back is its login's account's, whatever it names.
                let gateway = Arc::clone(&self.gateway);
                let named = gateway.accounts.named(self.context.account.as_deref());
                let Some(account) = named else {
                    return self.close(self.talk.refuse(words::UNKNOWN_ACCOUNT)).await;
                };
                Arc::make_mut(&mut self.context).account.clone_from(&account.id);
                self.admit_to(account).await?;
                let first = self.talk.begin();
                self.take_turn(first).await
            }
            Arrival::Back(key) => {
                let span = trace::step(key.scene(), "resume");
                self.resume(key).instrument(span).await
            }
            Arrival::BackWithoutKey => Err(Ended::Told(Close::Unknown)),
        }
    }

    async fn handle(&mut self, event: Event) -> Result<(), Ended> {
        match event {
            Event::Opened(opening) => self.begin(*opening).await,
            Event::Heard(said) => match self.talk.heard(said) {
                true => self.refresh().await,
                false => Ok(()),
            },
            Event::Beat => {
                let beat = self.talk.beat(Instant::now());
                self.take_turn(beat).await?;
                // A wake-up may have been lost.
                self.look().await
            }
            Event::Made(Ok(new)) => {
                let span = trace::step(new.scene, "show");
                self.open(new).instrument(span).await
            }
            Event::Made(Err(none)) => self.no_code(&none).await,
            Event::Look => self.look().await,
        }
    }

    /// Does what the conversation has decided. A seat is left before the page is told, so that no notice is
    /// answered `delivered` for a page that no longer listens.
    async fn take_turn(&mut self, turn: Turn) -> Result<(), Ended> {
        match turn.then {
            Then::TakeCode(wait) => self.held = self.code_after(wait),
            Then::LeaveSeat => self.held = Held::Nothing,
            Then::Wait | Then::Close(_) | Then::Drop => {}
        }
        let mut says = turn.say.into_iter().peekable();
        while let Some(say) = says.next() {
            match say {
                Say::Message(message) => {
                    if message != ToPage::Heartbeat {
                        tracing::debug!(what = message.name(), "the page is told");
                    }
                    self.logins.told(&message);
                    // Where the login is over nothing has to be noted between its end and the close.
                    match turn.then {
                        Then::Close(close @ Close::Done) if says.peek().is_none() => {
                            self.socket.send_last(&message, close).await?;
                        }
                        _ => self.socket.send(&message).await?,
                    }
                }
                Say::Code(code) => self.socket.send(&self.with_picture(code)).await?,
                Say::Ping => self.socket.ping().await?,
            }
        }
        match turn.then {
            Then::Close(close) => Err(Ended::Told(close)),
            Then::Drop => Err(Ended::Gone),
            Then::Wait | Then::TakeCode(_) | Then::LeaveSeat => Ok(()),
        }
    }

    /// The seat is left before the close handshake, so that what comes now is stored for a resume.
    async fn leave(&mut self, ended: Ended) {
        if let (Held::Seat(seat), Some(scene)) = (&self.held, self.talk.shows()) {
            let has_it_still = !matches!(ended, Ended::Told(Close::Done | Close::TakenOver | Close::Unknown));
            if has_it_still {
                self.gateway.logins.leave(scene, seat.name()).await;
            }
        }
        self.held = Held::Nothing;
        match self.watch.take() {
            Some(watch) if matches!(ended, Ended::Told(Close::TakenOver)) => watch.taken_over(),
            watch => drop(watch),
        }
        self.socket.end(ended).await;
    }

    /// Takes a page back to its login. What the record says of site and Origin stands.
    async fn resume(&mut self, key: ResumeKey) -> Result<(), Ended> {
        let unknown = Err(Ended::Told(Close::Unknown));
        self.admit_back().await?;
        let (gateway, scene) = (Arc::clone(&self.gateway), key.scene());
        let found = gateway.logins.look(scene).await;
        match self.needed(found).await? {
            Some(login) if key.fits(login.opened.secret()) => {
                if login.opened.context().origin != self.context.origin {
                    return Err(Ended::Told(Close::Policy));
                }
            }
            _ => return unknown,
        }
        // Only now may the page take the seat. Whatever happens from here on wakes it.
        let seat = gateway.pages.join(scene);
        let found = gateway.logins.sit(scene, seat.name()).await;
        let Some(login) = self.needed(found).await? else {
            return unknown;
        };
        tracing::debug!("a page has come back to its login");
        if counted::is_counted(&login) {
            gateway.metrics.resumed.inc();
            self.logins.comes_back_to(&login);
            self.watch = Some(gateway.watched.takes_back(scene, login.state, &login.opened));
        }
        // A later login on this socket is for the same site, but from where the page is now.
        let (before, here) = (login.opened.context(), &self.context);
        let is_the_same = before.ip == here.ip && before.user_agent == here.user_agent;
        self.context = if is_the_same {
            login.opened.shared_context()
        } else {
            let (ip, user_agent) = (here.ip.clone(), here.user_agent.clone());
            Arc::new(Context { ip, user_agent, ..before.clone() })
        };
        let (name, has_picture) = (seat.name().clone(), self.has_picture);
        self.held = Held::Seat(seat);
        let turn = self.talk.resume(key, name, has_picture, login, Instant::now());
        self.take_turn(turn).await
    }

    /// What the store says. If it cannot be used, the page is told to come back.
    async fn needed<T>(&mut self, answer: Result<T, StoreError>) -> Result<T, Ended> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.count_store_failure(&error);
                self.close(self.talk.come_back(fastrand::f64())).await
            }
        }
    }

    /// Reads the login's record and has the page told what is new.
    async fn look(&mut self) -> Result<(), Ended> {
        let turn = match self.talk.shows() {
            None => self.talk.idle(Instant::now()),
            Some(scene) => match self.gateway.logins.look(scene).await {
                Ok(login) => {
                    if let (Some(watch), Some(login)) = (&mut self.watch, &login) {
                        watch.stands(login.state);
                    }
                    self.talk.look(login, Instant::now())
                }
                Err(error) => return self.outage(&error).await,
            },
        };
        self.take_turn(turn).await
    }

    /// The record of the page's login cannot be read.
    async fn outage(&mut self, error: &StoreError) -> Result<(), Ended> {
        // Once an outage.
        if !self.talk.waits_for_store() {
            self.count_store_failure(error);
        }
        let turn = self.talk.outage(Instant::now(), fastrand::f64());
        self.take_turn(turn).await
    }

    fn count_store_failure(&self, error: &StoreError) {
        tracing::debug!("a page is told to wait: {error}");
        self.gateway.metrics.pages_without_store.inc();
    }

    /// Takes a turn that closes the connection.
    async fn close<T>(&mut self, turn: Turn) -> Result<T, Ended> {
        self.take_turn(turn).await?;
        Err(Ended::Gone)
    }
}
