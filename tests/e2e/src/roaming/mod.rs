//! A page that behaves as the gateway's own page, `crates/login_page/page/widget.v1.js`. When its socket is lost, it comes
//! back with its resume key after a random wait, to any gateway that takes it. It renews its code when it is
//! told that the code has expired. It records everything that it sees.

mod course;
mod numbers;
#[cfg(test)]
mod system;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use self::course::{Course, Next};
pub use self::numbers::Numbers;
use crate::history::{Browser, Event, News, Recorder};
use crate::page::{Heard, Page};

/// How long a finished page waits for the gateway's close.
const GOODBYE: Duration = Duration::from_secs(2);

/// The times and numbers of a page. The default is that of widget.v1.js.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// After the first loss of a socket the page comes back at a random moment within this time. The time
    /// doubles at each further loss, until a code is shown.
    pub first_retry: Duration,
    /// The longest such time.
    pub longest_retry: Duration,
    /// After this time without a message, not even a heartbeat, the socket counts as lost. It is also the limit
    /// for a handshake.
    pub silence: Duration,
    /// How often the code is renewed while nobody looks.
    pub renewals: u32,
    /// The person reloads the page at a random moment within this time, again and again. None: never.
    pub reloads: Option<Duration>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            first_retry: Duration::from_secs(3),
            longest_retry: Duration::from_secs(30),
            silence: Duration::from_secs(40),
            renewals: 3,
            reloads: None,
        }
    }
}

/// What a page asks the gateway for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asks {
    /// The path and the query. It stays the same when the page comes back.
    pub path: String,
    /// The page's origin; none for the gateway's own page.
    pub origin: Option<String>,
}

impl Default for Asks {
    fn default() -> Self {
        Self { path: "/ws".to_owned(), origin: None }
    }
}

/// A page that is about to be opened.
#[derive(Clone)]
pub struct Roaming {
    /// The browser of the page.
    pub browser: Browser,
    /// Addresses of several gateways, or of a balancer. Each connection tries all of them, from a random one
    /// on.
    pub gateways: Vec<SocketAddr>,
    /// What it asks for.
    pub asks: Asks,
    /// The times and numbers of the page.
    pub habits: Habits,
    /// The seed of all random choices, together with the browser's number.
    pub seed: u64,
    /// The recorder of its events.
    pub recorder: Recorder,
    /// Gets each code once. The receiver must keep up, because the page waits for room here.
    pub codes: mpsc::Sender<Shown>,
    /// Gets each number that the page shows.
    pub numbers: Numbers,
}

/// A new code on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The browser.
    pub browser: Browser,
    /// The login's scene.
    pub scene: String,
    /// The text of the QR code.
    pub content: String,
    /// What people may type in its place, where the page shows it.
    pub typed: Option<String>,
}

/// The outcome of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody is logged in.
    Granted {
        /// The display name; may be empty.
        user: String,
        /// What the page's site redeems.
        code: Option<String>,
    },
    /// The person said no.
    Denied,
    /// The page shows its button.
    GaveUp,
    /// The gateway closed it with this code, after which the page does not come back.
    Stopped(u16),
}

/// How a connection ended.
enum Ended {
    Page(Outcome),
    Lost(u16),
    /// The person reloads the page.
    Reloaded,
}

impl Roaming {
    /// Opens the page and follows it to its end, which may never come.
    pub async fn run(self) -> Outcome {
        let rng = Rng::with_seed(self.seed ^ (u64::from(self.browser.0) << 32));
        let mut visit = Visit { course: Course::new(self.habits, rng), scene: None, roaming: self };
        visit.run().await
    }
}

/// A running page.
struct Visit {
    roaming: Roaming,
    course: Course,
    /// The scene that it shows.
    scene: Option<String>,
}

impl Visit {
    async fn run(&mut self) -> Outcome {
        let Habits { silence, .. } = self.roaming.habits;
        let browser = self.roaming.browser;
        loop {
            self.record(Event::Connecting { browser, gives_up_in: silence });
            let code = match timeout(silence, self.connect()).await {
                Ok(Some(page)) => match self.attend(page).await {
                    Ended::Page(outcome) => return outcome,
                    Ended::Lost(code) => code,
                    Ended::Reloaded => {
                        self.record(Event::Closed { browser, code: 1001, back_in: Some(Duration::ZERO) });
                        continue;
                    }
                },
                Ok(None) | Err(_) => 1006,
            };
            let next = self.course.closed(code, Instant::now());
            let back_in = if let Next::ComeBack(back_in) = next { Some(back_in) } else { None };
            self.record(Event::Closed { browser, code, back_in });
            match next {
                Next::ComeBack(back_in) => sleep(back_in).await,
                Next::Stop => return Outcome::Stopped(code),
                Next::GiveUp => return self.give_up(),
            }
        }
    }

    /// Tries every gateway once, from a random one on.
    async fn connect(&mut self) -> Option<Page> {
        self.course.connects();
        let key = self.course.key().map(|key| format!("resume.{key}"));
        let offered: Vec<&str> = ["saoma.v1"].into_iter().chain(key.as_deref()).collect();
        let Roaming { gateways, asks, .. } = &self.roaming;
        let (path, origin) = (asks.path.as_str(), asks.origin.as_deref());
        let first = self.course.any_of(gateways.len());
        for at in 0..gateways.len() {
            let gateway = gateways[(first + at) % gateways.len()];
            if let Ok(page) = Page::offer_of(origin, gateway, path, &offered).await {
                self.record(Event::Connected { browser: self.roaming.browser });
                return Some(page);
            }
        }
        None
    }

    /// Follows the gateway's messages over one connection, until the person reloads the page. What it shows is gone
    /// then, but for its resume key.
    async fn attend(&mut self, mut page: Page) -> Ended {
        let reload = reload(self.course.reloads_in());
        tokio::pin!(reload);
        loop {
            let next = tokio::select! {
                next = timeout(self.roaming.habits.silence, page.next()) => next,
                () = &mut reload => return Ended::Reloaded,
            };
            let said = match next {
                Ok(Heard::Message(said)) => said,
                Ok(Heard::Closed(code)) => return Ended::Lost(code),
                Err(_) => return Ended::Lost(1006),
            };
            let message_type = said["message_type"].as_str().unwrap_or_default();
            match message_type {
                "qrcode_url" => self.show(&said).await,
                "scanned" => self.is_scanned(&said),
                "scan_success" => {
                    let user = text(&said["user"]);
                    let code = said["code"].as_str().map(str::to_owned);
                    self.hears(News::Granted { user: user.clone(), code: code.clone() });
                    self.goodbye(page).await;
                    return Ended::Page(Outcome::Granted { user, code });
                }
                "denied" => {
                    self.hears(News::Denied);
                    return Ended::Page(Outcome::Denied);
                }
                "expired" => {
                    self.hears(News::Expired);
                    if !self.course.may_renew() {
                        return Ended::Page(self.give_up());
                    }
                    self.record(Event::Renews { browser: self.roaming.browser });
                    if page.send(Course::REFRESH.into()).await.is_err() {
                        return Ended::Lost(1006);
                    }
                }
                "error" => {
                    let retry_in = said["retry_in"].as_u64().map(Duration::from_millis);
                    self.course.complains(retry_in, Instant::now());
                    self.hears(News::Error { retry_in });
                }
                // A heartbeat, or a message of a later version.
                _ => {}
            }
        }
    }

    async fn show(&mut self, said: &Value) {
        let key = text(&said["resume"]);
        let scene = key.split('.').next().unwrap_or_default().to_owned();
        self.course.shows(key);
        let Roaming { browser, .. } = self.roaming;
        let expires_in = seconds(&said["expires_in"]);
        let typed = said["typed"].as_str().map(str::to_owned);
        self.record(Event::Shown { browser, scene: scene.clone(), expires_in, typed: typed.clone() });
        if self.scene.replace(scene.clone()).as_ref() != Some(&scene) {
            let shown = Shown { browser, scene, content: text(&said["content"]), typed };
            // The receiver may be gone.
            let _ = self.roaming.codes.send(shown).await;
        }
    }

    fn is_scanned(&self, said: &Value) {
        let number = said["number"].as_str().map(str::to_owned);
        if let (Some(scene), Some(number)) = (&self.scene, &number) {
            self.roaming.numbers.show(scene, number);
        }
        self.hears(News::Scanned { expires_in: seconds(&said["expires_in"]), number });
    }

    /// Waits for the close after a login, so that it is recorded.
    async fn goodbye(&self, mut page: Page) {
        let close = async {
            loop {
                if let Heard::Closed(code) = page.next().await {
                    return code;
                }
            }
        };
        if let Ok(code) = timeout(GOODBYE, close).await {
            self.record(Event::Closed { browser: self.roaming.browser, code, back_in: None });
        }
    }

    fn give_up(&self) -> Outcome {
        self.record(Event::GivesUp { browser: self.roaming.browser });
        Outcome::GaveUp
    }

    fn hears(&self, news: News) {
        self.record(Event::Heard { browser: self.roaming.browser, scene: self.scene.clone(), news });
    }

    fn record(&self, event: Event) {
        self.roaming.recorder.record(event);
    }
}

async fn reload(after: Option<Duration>) {
    match after {
        Some(after) => sleep(after).await,
        None => std::future::pending().await,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or_default())
}
