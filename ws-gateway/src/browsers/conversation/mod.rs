//! A page's conversation: what the page is told, in which order, and when its connection is closed.
//!
//! It is a state machine without I/O. Each thing that happens to a page is a method: the page asks for a new
//! code, a code has been made or cannot be had, the login's record was read or cannot be read, a heartbeat is
//! due. The method gives a [`Turn`]: messages for the page, and what its task does then. The task in
//! [`page`](super::page) owns the socket, the timers and the store, and decides nothing.
//!
//! A method that needs a random wait takes a `chance` between 0 and 1, so that it stays a pure function.

#[cfg(test)]
mod tests;

use std::time::Duration;

use login_page::Language;
use protocol::Scene;
use protocol::message::State;
use tokio::time::Instant;

use super::heartbeat::{Beat, Heartbeat};
use super::message::{Close, FromPage, ToPage, seconds};
use super::words::{self, Trouble};
use crate::account::Presented;
use crate::codes::NoQrCode;
use crate::logins::seats::SeatName;
use crate::logins::{AFTER_CLAIM, QrCode, ResumeKey, Shown, Snapshot};
use server::pace::{Bucket, Rate};

/// Retry delay after a store error, ±25 %.
const STORE_RETRY: Duration = Duration::from_secs(2);

/// How long a page whose login is over keeps its connection. Its person may still ask for another login; a
/// tab forgotten in the background would hold its place until the browser is closed.
pub(crate) const OVER_FOR: Duration = Duration::from_secs(600);

/// New codes that a page may ask for at once, and then one each five seconds. A person who clicks stays below
/// that; a script must not spend WeChat's daily allowance.
const REFRESHES: Rate = Rate { most: 3, refill: Duration::from_secs(5) };

/// The shortest wait of a page whose address asks too often. The pages of one address come back in turns.
const ADDRESS_RETRY: Duration = Duration::from_secs(5);

/// A page and its login, as far as the page has been told.
pub(crate) struct Conversation {
    language: Language,
    heart: Heartbeat,
    refreshes: Bucket,
    /// QR codes in a row that could not be had.
    failures: u32,
    stage: Stage,
}

/// Where the page is.
enum Stage {
    /// Its QR code is being made.
    Making,
    /// It shows a login.
    Showing(Login),
    /// It shows no login. It may ask for one until this moment.
    Over(Instant),
}

struct Login {
    key: ResumeKey,
    /// The seat that the page holds. A record that names another one belongs to a newer socket.
    seat: SeatName,
    /// The state that the page has been told.
    told: State,
    /// The number that the page has been told. It may come after the claim.
    number: Option<Box<str>>,
    /// When to read the record again at the latest.
    look_at: Instant,
    /// The page has said that it still shows the picture of the code.
    has_picture: bool,
    /// The page was told to wait, because the store cannot be read.
    waits: bool,
}

/// One message for a page.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Say {
    /// A message as it is.
    Message(ToPage),
    /// The QR code of the page's login. The task adds the picture.
    Code(ShowCode),
    /// A ping of the WebSocket protocol.
    Ping,
}

/// The codes of a page's login, without their pictures.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ShowCode {
    shown: Shown,
    left: Duration,
    resume: String,
    has_picture: bool,
}

/// What a page is shown beside its login's codes.
pub(crate) struct Beside<'a> {
    /// The account, where a code can be typed; nothing where the gateway has it no more.
    pub account: Option<&'a Presented>,
    /// Where the page goes if it is open in WeChat.
    pub open: Option<String>,
}

impl ShowCode {
    /// The message for the page. `picture` draws the text of the code; it is not called for a page that still
    /// has the picture.
    pub(crate) fn message(self, beside: Beside<'_>, picture: impl FnOnce(&str) -> String) -> ToPage {
        let Self { shown: Shown { qr, typed }, left, resume, has_picture } = self;
        let image = qr.as_ref().filter(|_| !has_picture).map(|code| picture(code.content()));
        let (url, content) = match qr {
            Some(QrCode::Account { url, content }) => (url, content),
            // A page that has the picture needs no other.
            Some(QrCode::Web { address }) => (image.clone().unwrap_or_default(), address),
            None => Default::default(),
        };
        let Beside { account, open } = beside;
        let account = account.filter(|_| typed.is_some());
        ToPage::QrcodeUrl {
            url,
            content,
            image,
            expires_in: seconds(left),
            resume,
            typed,
            account: account.and_then(|account| account.name.clone()),
            account_image: account
                .filter(|_| !has_picture)
                .and_then(|account| account.picture.as_deref())
                .map(str::to_owned),
            open,
        }
    }
}

/// What the page's task does after the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It waits for what it waited for before.
    Wait,
    /// It leaves the login's seat, if it has one, and takes a code after this time.
    TakeCode(Duration),
    /// It leaves the login's seat.
    LeaveSeat,
    /// It closes the connection and tells the page why.
    Close(Close),
    /// It drops the connection, because nobody is there.
    Drop,
}

/// What one event comes to.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub(crate) struct Turn {
    /// What the page is told, in this order.
    pub say: Vec<Say>,
    /// What its task does then.
    pub then: Then,
}

impl Turn {
    /// Nothing is said.
    fn silent(then: Then) -> Self {
        Self { say: Vec::new(), then }
    }

    fn tell(message: ToPage, then: Then) -> Self {
        Self { say: vec![Say::Message(message)], then }
    }

    /// This, and then what the `next` event came to.
    fn and(mut self, next: Self) -> Self {
        self.say.extend(next.say);
        Self { say: self.say, then: next.then }
    }
}

impl Conversation {
    /// The conversation with a page that has no login yet. `is_ours` says that it knows the heartbeat message.
    pub(crate) fn new(language: Language, is_ours: bool, now: Instant) -> Self {
        Self {
            language,
            heart: Heartbeat::new(is_ours, now),
            refreshes: Bucket::full(now),
            failures: 0,
            stage: Stage::Over(now + OVER_FOR),
        }
    }

    /// The login that the page shows.
    pub(crate) fn shows(&self) -> Option<Scene> {
        match &self.stage {
            Stage::Showing(shown) => Some(shown.key.scene()),
            Stage::Making | Stage::Over(_) => None,
        }
    }

    /// QR codes in a row that could not be had.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// When the next heartbeat is due.
    pub(crate) fn next_beat(&self) -> Instant {
        self.heart.due()
    }

    /// When something is to be done if nothing happens before: a heartbeat, or what [`next_look`](Self::next_look) says.
    pub(crate) fn next_due(&self) -> Instant {
        let beat = self.next_beat();
        self.next_look().map_or(beat, |look| look.min(beat))
    }

    /// When the record is to be read, or the page to be let go, if nothing happens before; `None` while a code
    /// is being made.
    fn next_look(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Making => None,
            Stage::Showing(shown) => Some(shown.look_at),
            Stage::Over(until) => Some(*until),
        }
    }

    /// Whether the page was told to wait, because the store cannot be read.
    pub(crate) fn waits_for_store(&self) -> bool {
        matches!(&self.stage, Stage::Showing(Login { waits: true, .. }))
    }

    /// The page sent something. Says whether it asks for a new code and is not getting one already.
    pub(crate) fn heard(&mut self, said: Option<FromPage>) -> bool {
        self.heart.heard();
        said == Some(FromPage::Refresh) && !matches!(self.stage, Stage::Making)
    }

    /// A heartbeat is due.
    pub(crate) fn beat(&mut self, now: Instant) -> Turn {
        match self.heart.beat(now) {
            Beat::Message => Turn::tell(ToPage::Heartbeat, Then::Wait),
            Beat::Ping => Turn { say: vec![Say::Ping], then: Then::Wait },
            Beat::Dead => Turn::silent(Then::Drop),
        }
    }

    /// The page's first login was admitted.
    pub(crate) fn begin(&mut self) -> Turn {
        self.take_code_after(Duration::ZERO)
    }

    /// The page's query cannot be used.
    pub(crate) fn refuse(&self, trouble: Trouble) -> Turn {
        Turn::tell(trouble.message(self.language, None), Then::Close(Close::Policy))
    }

    /// The page's address may have no more logins, or pages, before `wait` is over.
    pub(crate) fn too_many(&self, wait: Duration, chance: f64) -> Turn {
        let wait = spread(wait.max(ADDRESS_RETRY), chance);
        Turn::tell(words::TOO_MANY.message(self.language, Some(wait)), Then::Close(Close::Busy))
    }

    /// The store cannot be used, and without it the page cannot be served: it has to come back.
    pub(crate) fn come_back(&self, chance: f64) -> Turn {
        let wait = spread(STORE_RETRY, chance);
        Turn::tell(words::BUSY.message(self.language, Some(wait)), Then::Close(Close::Busy))
    }

    /// There is no code just now. The page is told, and the gateway itself tries again. Where many pages wait
    /// for the same thing it closes the connection instead: pages that wait would take the places of pages that
    /// are scanned.
    pub(crate) fn no_code(&mut self, none: &NoQrCode, chance: f64) -> Turn {
        self.failures += 1;
        let wait = spread(none.retry_in(self.failures), chance);
        let message = Trouble::of(none).message(self.language, Some(wait));
        match none {
            NoQrCode::Rush(_) | NoQrCode::Crowd(_) | NoQrCode::Unscanned(_) => {
                Turn::tell(message, Then::Close(Close::Busy))
            }
            NoQrCode::Slow
            | NoQrCode::NoAccount
            | NoQrCode::Refused(_)
            | NoQrCode::Spent(_)
            | NoQrCode::Uncounted(_) => {
                let next = self.take_code_after(wait);
                Turn::tell(message, next.then)
            }
        }
    }

    /// A new login is recorded, for which the page holds `seat`. It is shown for `ttl` from `now`.
    pub(crate) fn show(
        &mut self,
        key: ResumeKey,
        seat: SeatName,
        login: Shown,
        ttl: Duration,
        now: Instant,
    ) -> Turn {
        self.failures = 0;
        let shown = Login::new(key, seat, false, now + ttl);
        let say = Say::Code(shown.code(login, ttl));
        self.stage = Stage::Showing(shown);
        Turn { say: vec![say], then: Then::Wait }
    }

    /// The page has come back to its `login`, for which it holds `seat` now.
    pub(crate) fn resume(
        &mut self,
        key: ResumeKey,
        seat: SeatName,
        has_picture: bool,
        login: Snapshot,
        now: Instant,
    ) -> Turn {
        let shown = Login::new(key, seat, has_picture, now);
        let say = Say::Code(shown.code(login.opened.shown(), login.expires_in));
        self.stage = Stage::Showing(shown);
        Turn { say: vec![say], then: Then::Wait }.and(self.tell(login, now))
    }

    /// The record of the login was read; `None` when the login is unknown.
    pub(crate) fn look(&mut self, login: Option<Snapshot>, now: Instant) -> Turn {
        let Stage::Showing(shown) = &mut self.stage else { return Turn::silent(Then::Wait) };
        let Some(login) = login else { return Turn::silent(Then::Close(Close::Unknown)) };
        if login.seat.as_ref().is_some_and(|seat| *seat != shown.seat) {
            return Turn::silent(Then::Close(Close::TakenOver));
        }
        let mut turn = Turn::silent(Then::Wait);
        if std::mem::take(&mut shown.waits) {
            // The page took the code off its screen, and is told everything anew.
            shown.told = State::Waiting;
            turn.say.push(Say::Code(shown.code(login.opened.shown(), login.expires_in)));
        }
        // Claim and end may come faster than the task runs. The page hears of both, in order.
        let skipped = shown.told == State::Waiting && login.is_claimed;
        if skipped && matches!(login.state, State::Granted | State::Denied) {
            let expires_in = login.expires_in.max(AFTER_CLAIM);
            let scanned = Snapshot { state: State::Scanned, expires_in, ..login.clone() };
            turn = turn.and(self.tell(scanned, now));
        }
        turn.and(self.tell(login, now))
    }

    /// The record of the login cannot be read. The page stays, is told once to wait, and the record is read
    /// again a little later.
    pub(crate) fn outage(&mut self, now: Instant, chance: f64) -> Turn {
        let Stage::Showing(shown) = &mut self.stage else { return Turn::silent(Then::Wait) };
        let wait = spread(STORE_RETRY, chance);
        shown.look_at = now + wait;
        if std::mem::replace(&mut shown.waits, true) {
            return Turn::silent(Then::Wait);
        }
        Turn::tell(words::BUSY.message(self.language, Some(wait)), Then::Wait)
    }

    /// The page shows no login, and nothing has happened until now.
    pub(crate) fn idle(&self, now: Instant) -> Turn {
        match self.stage {
            // The page knows how its login ended. A person who comes back to it presses the page's button,
            // which connects anew.
            Stage::Over(until) if now >= until => Turn::silent(Then::Close(Close::Done)),
            Stage::Over(_) | Stage::Making | Stage::Showing(_) => Turn::silent(Then::Wait),
        }
    }

    /// The page takes a new code, and its address has paid for it. `ended` is the login that it showed, which
    /// was ended as expired; if that was granted in this very moment, the page is told so instead.
    pub(crate) fn renew(&mut self, ended: Option<Snapshot>, now: Instant) -> Turn {
        if let Some(login) = ended.filter(|login| login.state == State::Granted) {
            return self.tell(login, now);
        }
        let wait = self.refreshes.take(REFRESHES, now).err().unwrap_or_default();
        let turn = self.take_code_after(wait);
        if wait.is_zero() {
            return turn;
        }
        Turn::tell(words::TOO_FAST.message(self.language, Some(wait)), turn.then)
    }

    fn take_code_after(&mut self, wait: Duration) -> Turn {
        self.stage = Stage::Making;
        Turn::silent(Then::TakeCode(wait))
    }

    /// Tells the page how its login stands, if that is new to it.
    fn tell(&mut self, login: Snapshot, now: Instant) -> Turn {
        let Stage::Showing(shown) = &mut self.stage else { return Turn::silent(Then::Wait) };
        shown.look_at = now + login.expires_in;
        let told = std::mem::replace(&mut shown.told, login.state);
        let has_new_number = login.number.is_some() && login.number.as_deref() != shown.number.as_deref();
        match login.state {
            State::Waiting => Turn::silent(Then::Wait),
            state if state == told && !(state == State::Scanned && has_new_number) => {
                Turn::silent(Then::Wait)
            }
            State::Scanned => {
                let expires_in = seconds(login.expires_in);
                shown.number = login.number.as_deref().map(Into::into);
                Turn::tell(ToPage::Scanned { expires_in, number: login.number }, Then::Wait)
            }
            State::Granted => {
                let message = ToPage::ScanSuccess { user: login.user, code: login.code };
                Turn::tell(message, Then::Close(Close::Done))
            }
            State::Denied => self.over(ToPage::Denied, now),
            State::Expired => self.over(ToPage::Expired, now),
        }
    }

    fn over(&mut self, message: ToPage, now: Instant) -> Turn {
        self.stage = Stage::Over(now + OVER_FOR);
        Turn::tell(message, Then::LeaveSeat)
    }
}

impl Login {
    /// A page that has been told of no scan yet.
    fn new(key: ResumeKey, seat: SeatName, has_picture: bool, look_at: Instant) -> Self {
        Self { key, seat, told: State::Waiting, number: None, look_at, has_picture, waits: false }
    }

    /// The code of the login, which has this time left.
    fn code(&self, shown: Shown, left: Duration) -> ShowCode {
        ShowCode { shown, left, resume: self.key.reveal(), has_picture: self.has_picture }
    }
}

/// A quarter more or less, so that pages which lost something together do not come back together.
fn spread(wait: Duration, chance: f64) -> Duration {
    wait.mul_f64(0.75 + chance / 2.0)
}
