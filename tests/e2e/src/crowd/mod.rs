//! Many people with their browsers. Pages open at a fixed pace, and people come to their logins: they scan the code, send the
//! one that is to be typed, or open the login's page in their WeChat, some two ways at once, and some against somebody else.
//! A person does so again when the phone says so, or when the phone said to look at the page and the page still shows its
//! code. Where they are asked, they answer, each after their manner. Every event is recorded for the check. Where the pages
//! are those of sites, the sites' back ends redeem the codes.

mod manner;
mod people;
mod phone;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::message::{State, Status};
use protocol::{Client, Key, Notice};
use secrecy::SecretString;
use simulator::Simulator;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

pub use self::manner::{Manner, Path, Victim};
use self::people::People;
use crate::fleet::NOTIFY_KEY;
use crate::history::{Browser, End, Event, Recorder};
use crate::roaming::{Asks, Habits, Numbers, Outcome, Roaming, Shown};
use crate::sites::BackEnds;

/// How long a page stays open whose login nobody confirms.
const LEFT_AFTER: Duration = Duration::from_secs(20);

/// The browsers whose pages are done.
type Done = Arc<Mutex<HashSet<Browser>>>;

/// The plan of a crowd.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The number of browsers. Each has its own person.
    pub people: u32,
    /// The time from one browser to the next.
    pub pace: Duration,
    /// The longest time that a person looks at a page before they do anything.
    pub hesitation: Duration,
    /// The gateways' addresses for the pages.
    pub gateways: Vec<SocketAddr>,
    /// The behaviour of the pages.
    pub habits: Habits,
    /// The seed of all random choices.
    pub seed: u64,
    /// The sites that the browsers are at. None: the pages are the gateway's own.
    pub sites: Option<BackEnds>,
    /// Who comes to a browser's login, and how.
    pub path: fn(Browser) -> Path,
    /// What a browser's person does when they are asked to confirm.
    pub manner: fn(Browser) -> Manner,
    /// Where phones open the pages of logins, if anybody does.
    pub web: Option<String>,
}

/// A running crowd.
pub struct Crowd {
    /// The recorder of its events.
    pub recorder: Recorder,
    pages: JoinHandle<Vec<(Browser, Outcome)>>,
    people: JoinHandle<Vec<String>>,
}

/// A seed for this run. It is printed, so that the run can be repeated with `SEED=`.
#[must_use]
pub fn seed() -> u64 {
    let seed =
        std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("SEED={seed}");
    seed
}

impl Crowd {
    /// Starts the crowd.
    #[must_use]
    pub fn start(plan: Plan, wechat: &Simulator) -> Self {
        let recorder = Recorder::new();
        let (codes, shown) = mpsc::channel(1024);
        let done = Done::default();
        let numbers = Numbers::default();
        let people = People {
            wechat: wechat.clone(),
            recorder: recorder.clone(),
            done: Arc::clone(&done),
            numbers: numbers.clone(),
            web: plan.web.clone(),
            codes: Arc::default(),
        };
        let people = tokio::spawn(people.come_to_all(shown, plan.clone()));
        let pages = tokio::spawn(open_all(plan, recorder.clone(), codes, numbers, done));
        Self { recorder, pages, people }
    }

    /// Waits until every page is done and every person has an answer. Returns the pages' outcomes and the scenes of their
    /// logins.
    ///
    /// # Panics
    /// When that takes longer than `within`.
    pub async fn finish(self, within: Duration) -> (Vec<(Browser, Outcome)>, Vec<String>) {
        let Self { pages, people, .. } = self;
        let finished = timeout(within, async { (pages.await.unwrap(), people.await.unwrap()) });
        finished.await.expect("every page is done")
    }
}

async fn open_all(
    plan: Plan,
    recorder: Recorder,
    codes: mpsc::Sender<Shown>,
    numbers: Numbers,
    done: Done,
) -> Vec<(Browser, Outcome)> {
    let mut pages = JoinSet::new();
    for number in 0..plan.people {
        let browser = Browser(number);
        let visit = plan.sites.as_ref().map(|sites| (sites.clone(), sites.visit(browser, plan.seed)));
        let mut asks = Asks::default();
        if let Some((_, visit)) = &visit {
            asks = visit.proofs.asks(&visit.site);
            let (site, confirms) = (visit.site.id.clone(), visit.site.confirm);
            recorder.record(Event::AtSite { browser, site, confirms });
        }
        let is_left = (plan.manner)(browser).leaves_the_login_open();
        let (recorder, done) = (recorder.clone(), Arc::clone(&done));
        let roaming = Roaming {
            browser,
            gateways: plan.gateways.clone(),
            asks,
            habits: plan.habits,
            seed: plan.seed,
            recorder: recorder.clone(),
            codes: codes.clone(),
            numbers: numbers.clone(),
        };
        pages.spawn(async move {
            let outcome = match is_left {
                false => roaming.run().await,
                true => until_left(roaming, &recorder).await,
            };
            done.lock().unwrap().insert(browser);
            if let (Some((sites, visit)), Outcome::Granted { code: Some(code), .. }) = (visit, &outcome) {
                sites.learn(visit, code, &recorder).await;
            }
            (browser, outcome)
        });
        sleep(plan.pace).await;
    }
    drop(codes);
    pages.join_all().await
}

/// A page that somebody closes, because nothing happens.
async fn until_left(roaming: Roaming, recorder: &Recorder) -> Outcome {
    let browser = roaming.browser;
    match timeout(LEFT_AFTER, roaming.run()).await {
        Ok(outcome) => outcome,
        Err(_) => {
            recorder.record(Event::Closed { browser, code: 1001, back_in: None });
            Outcome::Stopped(1001)
        }
    }
}

/// The nickname of a browser's person.
#[must_use]
pub fn person(browser: Browser) -> String {
    format!("person {}", browser.0)
}

/// The nickname of somebody who comes by a picture of another person's page.
fn victim(browser: Browser) -> String {
    format!("victim {}", browser.0)
}

/// The nickname of somebody who looks at the same page, and wants its login.
fn rival(browser: Browser) -> String {
    format!("rival {}", browser.0)
}

fn openid(browser: Browser) -> String {
    format!("o{:0>27}", browser.0)
}

fn openid_of_victim(browser: Browser) -> String {
    format!("v{:0>27}", browser.0)
}

fn openid_of_rival(browser: Browser) -> String {
    format!("r{:0>27}", browser.0)
}

/// The nickname of the person whom a site knows by this `sub`.
#[must_use]
pub fn person_of(sub: &str) -> String {
    let number = sub.get(1..).and_then(|number| number.parse().ok()).map(Browser);
    match number {
        Some(browser) if openid(browser) == sub => person(browser),
        Some(browser) if openid_of_victim(browser) == sub => victim(browser),
        Some(browser) if openid_of_rival(browser) == sub => rival(browser),
        _ => sub.to_owned(),
    }
}

/// Asks a gateway for the state of every login, and records the answers.
pub async fn audit(notices: SocketAddr, scenes: Vec<String>, recorder: &Recorder) {
    let key = Key::new(&SecretString::from(NOTIFY_KEY)).unwrap();
    let addresses = vec![notices.to_string()];
    let client =
        Client::start(protocol::client::Settings { name: "callback".to_owned(), key, addresses, tls: None });
    let client = Arc::new(client);
    for scene in scenes {
        let notice = Notice::Query { scene: scene.parse().unwrap() };
        let answer = loop {
            let deadline = Instant::now() + crate::page::PATIENCE;
            let answer = client.send(notice.clone(), deadline).await.unwrap();
            if answer.status != Status::Busy {
                break answer;
            }
        };
        let end = match answer.state {
            Some(State::Granted) => Some(End::Granted),
            Some(State::Denied) => Some(End::Denied),
            Some(State::Expired) => Some(End::Expired),
            Some(State::Waiting | State::Scanned) => None,
            // Unknown: the gateway forgot it in time, or lost it.
            None => continue,
        };
        recorder.record(Event::Recorded { scene, end });
    }
}
