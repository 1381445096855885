//! One page's connection, from its upgrade to its close: the journey of a browser.
//!
//! A task owns the socket. It shows a QR code, tells the page what becomes of its login, and takes a new
//! login on the same socket when the page asks. Whatever it tells has been recorded before; it only ever
//! reads the login's record, and it reads it again whenever it is woken or the time is over.

mod new_login;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::Scene;
use protocol::message::{Context, State};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use self::new_login::{REFRESHES, spread};
use crate::browsers::socket::{Ended, PageSocket};

use crate::Gateway;
use crate::browsers::heartbeat::{Beat, Heartbeat};
use crate::browsers::message::{Close, FromPage, ToPage, milliseconds, seconds};
use crate::browsers::opening::Opening;
use crate::codes::NoQrCode;
use crate::logins::seats::Seat;
use crate::logins::{AFTER_CLAIM, QrCode, ResumeKey, Snapshot, StoreError};
use crate::pace::Pace;

/// How long a full store, or one that does not answer, is left alone, a quarter more or less.
const STORE_RETRY: Duration = Duration::from_secs(2);

/// How long a page whose login is over may wait for a person who wants another one. A tab that is forgotten in the
/// background would keep its place until the browser ends.
const OVER_FOR: Duration = Duration::from_secs(600);

/// Serves a page until one side ends the connection.
pub(crate) async fn serve<S>(gateway: &Gateway, socket: PageSocket<S>, opening: Opening)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let _counted = gateway.metrics.count_page();
    let now = Instant::now();
    let mut browser = Browser {
        gateway,
        heart: Heartbeat::new(opening.is_ours, now),
        refreshes: Pace::new(REFRESHES.0, REFRESHES.1, now),
        socket,
        stage: Stage::over(),
        failures: 0,
        opening,
    };
    let ended = tokio::select! {
        Err(ended) = browser.run() => ended,
        // It did not take its last message, and is left to itself: the process ends.
        () = gateway.time_is_over() => Ended::Gone,
    };
    tracing::debug!(?ended, "a page's connection ends");
    browser.leave(ended).await;
}

struct Browser<'g, S> {
    gateway: &'g Gateway,
    socket: PageSocket<S>,
    opening: Opening,
    heart: Heartbeat,
    refreshes: Pace,
    stage: Stage,
    /// QR codes in a row that could not be had.
    failures: u32,
}

/// What the page is at.
enum Stage {
    /// Its QR code is being made, perhaps after a wait.
    Making(BoxFuture<'static, Result<(Scene, QrCode), NoQrCode>>),
    /// It shows a login.
    Showing(Shown),
    /// Its login is over, and it may ask for another until then.
    Over(Instant),
}

struct Shown {
    key: ResumeKey,
    /// The state that the page has been told.
    state: State,
    /// When to read the record again at the latest.
    until: Instant,
    seat: Seat,
    /// The page has said that it still shows the picture of the code.
    has_picture: bool,
    /// The page was told to wait, because the store cannot be read.
    waits: bool,
}

/// What happened without the page's doing.
enum Progress {
    Made(Result<(Scene, QrCode), NoQrCode>),
    Look,
    Forgotten,
}

impl Stage {
    fn over() -> Self {
        Self::Over(Instant::now() + OVER_FOR)
    }

    async fn progress(&mut self) -> Progress {
        match self {
            Self::Making(made) => Progress::Made(made.await),
            Self::Showing(shown) => tokio::select! {
                () = shown.seat.woken() => Progress::Look,
                () = sleep_until(shown.until) => Progress::Look,
            },
            Self::Over(until) => {
                sleep_until(*until).await;
                Progress::Forgotten
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Browser<'_, S> {
    /// Waits for four things: a message from the page, the next beat of the heart, progress of the page's
    /// login (a code made, a wake-up, the time over), and the moment at which this gateway lets go of it.
    async fn run(&mut self) -> Result<std::convert::Infallible, Ended> {
        if let Some(fault) = self.opening.fault {
            let message = self.opening.language.of("页面的参数有误", fault);
            self.socket.send(&ToPage::Error { code: "bad_request", message, retry_in: None }).await?;
            return Err(Ended::Told(Close::Policy));
        }
        let _share = self.take_share().await?;
        match self.opening.resume.take() {
            None => {
                self.admit().await?;
                self.stage = self.make_after(Duration::ZERO);
            }
            Some(key) => self.resume(key).await?,
        }
        let gateway = self.gateway;
        let mut leave = std::pin::pin!(gateway.time_to_leave());
        loop {
            tokio::select! {
                message = self.socket.next() => {
                    let said = message?;
                    self.heart.heard();
                    if said == Some(FromPage::Refresh) {
                        self.refresh().await?;
                    }
                }
                () = sleep_until(self.heart.due()) => {
                    match self.heart.beat(Instant::now()) {
                        Beat::Message => self.socket.send(&ToPage::Heartbeat).await?,
                        Beat::Ping => self.socket.ping().await?,
                        Beat::Dead => return Err(Ended::Gone),
                    }
                    // A wake-up may have been lost.
                    self.look().await?;
                }
                progress = self.stage.progress() => match progress {
                    Progress::Made(Ok((scene, code))) => self.open(scene, code).await?,
                    Progress::Made(Err(none)) => self.wait_for_code(&none).await?,
                    Progress::Look => self.look().await?,
                    // It has heard what became of its login; whoever comes back to it presses its button, which
                    // connects anew.
                    Progress::Forgotten => return Err(Ended::Told(Close::Done)),
                },
                () = &mut leave => return Err(Ended::Told(Close::GoingAway)),
            }
        }
    }

    /// The seat is left before the close handshake, so that what comes now is stored for a resume.
    async fn leave(mut self, ended: Ended) {
        if let Stage::Showing(shown) = std::mem::replace(&mut self.stage, Stage::over()) {
            let has_it_still = !matches!(ended, Ended::Told(Close::Done | Close::TakenOver | Close::Unknown));
            if has_it_still {
                self.gateway.logins.leave(shown.key.scene(), shown.seat.name()).await;
            }
        }
        self.socket.end(ended).await;
    }

    fn busy(&self, retry_in: Duration) -> ToPage {
        let message = self.opening.language.of("服务器繁忙，请稍候", "The server is busy, please wait");
        ToPage::Error { code: "busy", message, retry_in: Some(milliseconds(retry_in)) }
    }

    /// Shows the page the code of its login, which is `left`.
    async fn show_code(&mut self, code: &QrCode, left: Duration) -> Result<(), Ended> {
        let Stage::Showing(Shown { key, has_picture, .. }) = &self.stage else {
            return Ok(());
        };
        let shown = ToPage::QrcodeUrl {
            url: code.url.clone(),
            content: code.content.clone(),
            image: (!has_picture).then(|| self.gateway.pictures.of(&code.content).to_string()),
            expires_in: seconds(left),
            resume: key.reveal(),
        };
        self.socket.send(&shown).await
    }

    /// Takes a page back to its login. What the record says of site and Origin stands.
    async fn resume(&mut self, key: Option<ResumeKey>) -> Result<(), Ended> {
        let unknown = Err(Ended::Told(Close::Unknown));
        let Some(key) = key else { return unknown };
        self.admit_back().await?;
        let (gateway, scene) = (self.gateway, key.scene());
        let found = gateway.logins.look(scene).await;
        match self.needed(found).await? {
            Some(login) if login.secret.matches(&key) => {
                if login.context.origin != self.opening.context.origin {
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
        gateway.metrics.resumed.inc();
        // A later login on this socket is for the same site, but from where the page is now.
        let Context { ip, user_agent, .. } = std::mem::take(&mut self.opening.context);
        self.opening.context = Context { ip, user_agent, ..login.context.clone() };
        let (state, until, has_picture) = (State::Waiting, Instant::now(), self.opening.has_picture);
        self.stage = Stage::Showing(Shown { key, state, until, seat, has_picture, waits: false });
        self.show_code(&login.qr, login.expires_in).await?;
        self.tell(login).await
    }

    /// What the store says, or the page is told to come back: without the store it cannot be served.
    async fn needed<T>(&mut self, answer: Result<T, StoreError>) -> Result<T, Ended> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                tracing::debug!("a page is told to wait: {error}");
                self.gateway.metrics.store_failures.inc();
                self.socket.send(&self.busy(spread(STORE_RETRY))).await?;
                Err(Ended::Told(Close::Busy))
            }
        }
    }

    /// Reads the login's record and tells the page what is new. Where it cannot be read, the page stays, is
    /// told to wait, and the record is read again a little later.
    async fn look(&mut self) -> Result<(), Ended> {
        let Stage::Showing(shown) = &mut self.stage else {
            return Ok(());
        };
        let login = match self.gateway.logins.look(shown.key.scene()).await {
            Ok(login) => login,
            Err(error) => return self.wait_for_store(&error).await,
        };
        let Some(login) = login else {
            return Err(Ended::Told(Close::Unknown));
        };
        if login.seat.as_ref().is_some_and(|seat| seat != shown.seat.name()) {
            return Err(Ended::Told(Close::TakenOver));
        }
        if std::mem::take(&mut shown.waits) {
            shown.state = State::Waiting;
            self.show_code(&login.qr, login.expires_in).await?;
        }
        self.catch_up(login).await
    }

    /// Claim and end may come faster than this task runs; the page still hears of both, in order.
    async fn catch_up(&mut self, login: Snapshot) -> Result<(), Ended> {
        let is_waiting = matches!(self.stage, Stage::Showing(Shown { state: State::Waiting, .. }));
        if is_waiting && login.is_claimed && matches!(login.state, State::Granted | State::Denied) {
            let expires_in = login.expires_in.max(AFTER_CLAIM);
            self.tell(Snapshot { state: State::Scanned, expires_in, ..login.clone() }).await?;
        }
        self.tell(login).await
    }

    async fn wait_for_store(&mut self, error: &StoreError) -> Result<(), Ended> {
        let Stage::Showing(shown) = &mut self.stage else {
            return Ok(());
        };
        let wait = spread(STORE_RETRY);
        shown.until = Instant::now() + wait;
        if std::mem::replace(&mut shown.waits, true) {
            return Ok(());
        }
        tracing::debug!("a page is told to wait: {error}");
        self.gateway.metrics.store_failures.inc();
        self.socket.send(&self.busy(wait)).await
    }

    async fn tell(&mut self, login: Snapshot) -> Result<(), Ended> {
        let Stage::Showing(shown) = &mut self.stage else {
            return Ok(());
        };
        shown.until = Instant::now() + login.expires_in;
        let told = std::mem::replace(&mut shown.state, login.state);
        match login.state {
            State::Waiting => Ok(()),
            state if state == told => Ok(()),
            State::Scanned => {
                let expires_in = seconds(login.expires_in);
                self.socket.send(&ToPage::Scanned { expires_in, number: login.number }).await
            }
            State::Granted => {
                self.socket.send(&ToPage::ScanSuccess { user: login.user, code: login.code }).await?;
                Err(Ended::Told(Close::Done))
            }
            State::Denied => self.over(&ToPage::Denied).await,
            State::Expired => self.over(&ToPage::Expired).await,
        }
    }

    async fn over(&mut self, message: &ToPage) -> Result<(), Ended> {
        self.stage = Stage::over();
        self.socket.send(message).await
    }
}
