//! Many people with their browsers. Pages open at a fixed pace, and people scan the codes. A person scans again
//! when the phone says so, or when the phone said to look at the page and the page still shows its code. Every
//! event is recorded for the check. Where the pages are those of sites, the sites' back ends redeem the codes.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::message::{State, Status};
use protocol::{Client, Key, Notice};
use secrecy::SecretString;
use simulator::{Person, Simulator};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::fleet::NOTIFY_KEY;
use crate::history::{Browser, End, Event, Recorder, Words};
use crate::roaming::{Asks, Habits, Outcome, Roaming, Shown};
use crate::sites::BackEnds;

/// The most scans of one code by a person whose phone keeps saying that it failed.
const SCANS: usize = 30;

/// The pause before a scan that the phone asked for.
const AGAIN: Duration = Duration::from_millis(500);

/// How long people look at the page when the phone tells them to.
const LOOK: Duration = Duration::from_secs(5);

/// The browsers whose pages are done.
type Done = Arc<Mutex<HashSet<Browser>>>;

/// The plan of a crowd.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The number of browsers. Each has its own person.
    pub people: u32,
    /// The time from one browser to the next.
    pub pace: Duration,
    /// The longest time that a person looks at a code before the scan.
    pub hesitation: Duration,
    /// The gateways' addresses for the pages.
    pub gateways: Vec<SocketAddr>,
    /// The behaviour of the pages.
    pub habits: Habits,
    /// The seed of all random choices.
    pub seed: u64,
    /// The sites that the browsers are at. None: the pages are the gateway's own.
    pub sites: Option<BackEnds>,
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
        let people = People { wechat: wechat.clone(), recorder: recorder.clone(), done: Arc::clone(&done) };
        let people = tokio::spawn(people.scan_all(shown, plan.clone()));
        let pages = tokio::spawn(open_all(plan, recorder.clone(), codes, done));
        Self { recorder, pages, people }
    }

    /// Waits until every page is done and every person has an answer. Returns the pages' outcomes and the
    /// scanned scenes.
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
    done: Done,
) -> Vec<(Browser, Outcome)> {
    let mut pages = JoinSet::new();
    for number in 0..plan.people {
        let browser = Browser(number);
        let visit = plan.sites.as_ref().map(|sites| (sites.clone(), sites.visit(browser, plan.seed)));
        let mut asks = Asks::default();
        if let Some((_, visit)) = &visit {
            asks = visit.proofs.asks(&visit.site);
            recorder.record(Event::AtSite { browser, site: visit.site.id.clone() });
        }
        let (recorder, done) = (recorder.clone(), Arc::clone(&done));
        let roaming = Roaming {
            browser,
            gateways: plan.gateways.clone(),
            asks,
            habits: plan.habits,
            seed: plan.seed,
            recorder: recorder.clone(),
            codes: codes.clone(),
        };
        pages.spawn(async move {
            let outcome = roaming.run().await;
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

/// The people in front of the browsers.
#[derive(Clone)]
struct People {
    wechat: Simulator,
    recorder: Recorder,
    done: Done,
}

impl People {
    async fn scan_all(self, mut shown: mpsc::Receiver<Shown>, plan: Plan) -> Vec<String> {
        let mut scans = JoinSet::new();
        let mut rng = fastrand::Rng::with_seed(plan.seed);
        let mut scanned = Vec::new();
        while let Some(shown) = shown.recv().await {
            let hesitation = plan.hesitation.mul_f64(rng.f64());
            scanned.push(shown.scene.clone());
            let people = self.clone();
            scans.spawn(async move {
                sleep(hesitation).await;
                people.scan(&shown).await;
            });
        }
        scans.join_all().await;
        scanned
    }

    /// Scans a browser's code for its person, and again as long as there is a reason.
    async fn scan(&self, shown: &Shown) {
        let Self { wechat, recorder, done } = self;
        let person = person(shown.browser);
        let openid = openid(shown.browser);
        wechat.add_person(Person {
            openid: openid.clone(),
            nickname: person.clone(),
            follower: true,
            ..Person::default()
        });
        for _ in 0..SCANS {
            let scene = shown.scene.clone();
            recorder.record(Event::Scans { person: person.clone(), scene: scene.clone() });
            let reply = wechat.scan(&openid, &shown.content).await.unwrap().reply;
            let words = Words::of(reply.as_deref());
            recorder.record(Event::Told { person: person.clone(), scene, words });
            match words {
                Words::TryAgain | Words::Nothing => sleep(AGAIN).await,
                Words::LookAtPage => sleep(LOOK).await,
                _ => return,
            }
            if done.lock().unwrap().contains(&shown.browser) {
                return;
            }
        }
    }
}

/// The nickname of a browser's person.
#[must_use]
pub fn person(browser: Browser) -> String {
    format!("person {}", browser.0)
}

fn openid(browser: Browser) -> String {
    format!("o{:0>27}", browser.0)
}

/// The nickname of the person whom a site knows by this `sub`.
#[must_use]
pub fn person_of(sub: &str) -> String {
    let number = sub.strip_prefix('o').and_then(|number| number.parse().ok()).map(Browser);
    number.filter(|browser| openid(*browser) == sub).map_or_else(|| sub.to_owned(), person)
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
