//! A page that behaves as the gateway's own does: it comes back whenever its socket is lost, with its resume
//! key, spread by jitter, to whichever gateway takes it; it has its code renewed when told that it is over;
//! and it writes down everything that it sees. `ws-gateway/page/login.js` is the model.

mod course;
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
use crate::history::{Browser, Event, News, Recorder};
use crate::page::{Heard, Page};

/// How long a page that is done waits for the gateway's goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// The times and numbers of a page. The default is login.js's.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// The first time a socket is lost, the page comes back at some moment within this time; then within
    /// twice the time, and so on, until a code is shown.
    pub first_retry: Duration,
    /// The longest of these times.
    pub longest_retry: Duration,
    /// After this time without a word, not even a heartbeat, the socket counts as lost; a handshake may take
    /// as long.
    pub silence: Duration,
    /// How often the code is renewed with nobody looking.
    pub renewals: u32,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            first_retry: Duration::from_secs(3),
            longest_retry: Duration::from_secs(30),
            silence: Duration::from_secs(40),
            renewals: 3,
        }
    }
}

/// A page that is about to be opened.
#[derive(Clone)]
pub struct Roaming {
    /// Whose it is.
    pub browser: Browser,
    /// Where gateways are: several, of which each connection tries them all from any one on, or a balancer.
    pub gateways: Vec<SocketAddr>,
    /// Its times and numbers.
    pub habits: Habits,
    /// With the browser's number, decides whatever is left to chance.
    pub seed: u64,
    /// Where it writes down what it sees.
    pub recorder: Recorder,
    /// Where it shows its codes, each once. Whoever scans them must keep up: a page waits for room here.
    pub codes: mpsc::Sender<Shown>,
}

/// A new code on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Whose.
    pub browser: Browser,
    /// The login's.
    pub scene: String,
    /// The text of the QR code.
    pub content: String,
}

/// How a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody is logged in.
    Granted {
        /// The display name; may be empty.
        user: String,
    },
    /// The person said no.
    Denied,
    /// The page offers its button.
    GaveUp,
    /// The gateway closed it with this code, after which a page does not come back.
    Stopped(u16),
}

/// How a connection ended.
enum Ended {
    Page(Outcome),
    Lost(u16),
}

impl Roaming {
    /// Opens the page and stays with it to its end, which may be never.
    pub async fn run(self) -> Outcome {
        let rng = Rng::with_seed(self.seed ^ (u64::from(self.browser.0) << 32));
        let mut visit = Visit { course: Course::new(self.habits, rng), scene: None, roaming: self };
        visit.run().await
    }
}

/// A page at work.
struct Visit {
    roaming: Roaming,
    course: Course,
    /// What it shows.
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

    /// Tries every gateway once, from any one on.
    async fn connect(&mut self) -> Option<Page> {
        self.course.connects();
        let key = self.course.key().map(|key| format!("resume.{key}"));
        let offered: Vec<&str> = ["saoma.v1"].into_iter().chain(key.as_deref()).collect();
        let gateways = &self.roaming.gateways;
        let first = self.course.any_of(gateways.len());
        for at in 0..gateways.len() {
            let gateway = gateways[(first + at) % gateways.len()];
            if let Ok(page) = Page::offer(gateway, "/ws", &offered).await {
                self.record(Event::Connected { browser: self.roaming.browser });
                return Some(page);
            }
        }
        None
    }

    /// Follows what the gateway says over one connection.
    async fn attend(&mut self, mut page: Page) -> Ended {
        loop {
            let said = match timeout(self.roaming.habits.silence, page.next()).await {
                Ok(Heard::Message(said)) => said,
                Ok(Heard::Closed(code)) => return Ended::Lost(code),
                Err(_) => return Ended::Lost(1006),
            };
            let message_type = said["message_type"].as_str().unwrap_or_default();
            match message_type {
                "qrcode_url" => self.show(&said).await,
                "scanned" => self.hears(News::Scanned { expires_in: seconds(&said["expires_in"]) }),
                "scan_success" => {
                    let user = text(&said["user"]);
                    self.hears(News::Granted { user: user.clone() });
                    self.goodbye(page).await;
                    return Ended::Page(Outcome::Granted { user });
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
                // A heartbeat, or what a later version may say.
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
        self.record(Event::Shown { browser, scene: scene.clone(), expires_in });
        if self.scene.replace(scene.clone()).as_ref() != Some(&scene) {
            let shown = Shown { browser, scene, content: text(&said["content"]) };
            // Nobody may be left to scan it.
            let _ = self.roaming.codes.send(shown).await;
        }
    }

    /// Hears the close that follows a login, so that the run knows of it.
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

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or_default())
}
