//! The people in front of the browsers: they scan, read the number on the page, and type.

use std::time::Duration;

use fastrand::Rng;
use simulator::{Person, Simulator};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::manner::Victim;
use super::{Done, Manner, Plan, openid, openid_of_victim, person, victim};
use crate::history::{Browser, Event, Recorder, Words};
use crate::page::PATIENCE;
use crate::roaming::{Numbers, Shown};

/// The most scans of one code, or texts, of a person whose phone keeps saying that it failed.
const TRIES: usize = 30;

/// The pause before what the phone asked for.
const AGAIN: Duration = Duration::from_millis(500);

/// How long people look at the page when the phone tells them to.
const LOOK: Duration = Duration::from_secs(5);

/// How long people need at most from the question to their answer.
const READS: Duration = Duration::from_secs(2);

/// The people.
#[derive(Clone)]
pub(super) struct People {
    pub(super) wechat: Simulator,
    pub(super) recorder: Recorder,
    pub(super) done: Done,
    pub(super) numbers: Numbers,
}

/// Somebody with a phone, at the login of one page.
struct Phone<'p> {
    people: &'p People,
    shown: &'p Shown,
    person: String,
    openid: String,
}

impl People {
    pub(super) async fn scan_all(self, mut shown: mpsc::Receiver<Shown>, plan: Plan) -> Vec<String> {
        let mut scans = JoinSet::new();
        let mut rng = Rng::with_seed(plan.seed);
        let mut scanned = Vec::new();
        while let Some(shown) = shown.recv().await {
            let hesitation = plan.hesitation.mul_f64(rng.f64());
            scanned.push(shown.scene.clone());
            let (people, manner, rng) = (self.clone(), (plan.manner)(shown.browser), rng.fork());
            scans.spawn(async move {
                sleep(hesitation).await;
                people.at(&shown, manner, rng).await;
            });
        }
        scans.join_all().await;
        scanned
    }

    /// A page shows a code.
    async fn at(&self, shown: &Shown, manner: Manner, mut rng: Rng) {
        let own = self.phone(shown, person(shown.browser), openid(shown.browser));
        let Manner::Forwards(does) = manner else {
            if own.scan_until_asked().await == Words::Question {
                own.answer(manner, &mut rng).await;
            }
            return;
        };
        let phone = self.phone(shown, victim(shown.browser), openid_of_victim(shown.browser));
        if phone.scan_until_asked().await != Words::Question {
            return;
        }
        let Some(number) = self.number(shown).await else { return };
        // The sender sees the number, and has not got the login.
        if rng.bool() {
            own.scan_until_asked().await;
        }
        own.types(&number).await;
        match does {
            Victim::Denies => phone.insist("0").await,
            Victim::Guesses => phone.mistype(&number, &mut rng).await,
            Victim::Idles => {}
        }
        own.types(&number).await;
    }

    fn phone<'p>(&'p self, shown: &'p Shown, person: String, openid: String) -> Phone<'p> {
        self.wechat.add_person(Person {
            openid: openid.clone(),
            nickname: person.clone(),
            follower: true,
            ..Person::default()
        });
        Phone { people: self, shown, person, openid }
    }

    /// The number on a page; none where it does not come, as on a page that was closed.
    async fn number(&self, shown: &Shown) -> Option<String> {
        timeout(PATIENCE, self.numbers.see(&shown.scene)).await.ok()
    }

    fn is_done(&self, browser: Browser) -> bool {
        self.done.lock().unwrap().contains(&browser)
    }
}

impl Phone<'_> {
    /// Scans the code, and again as long as there is a reason; gives the last words.
    async fn scan_until_asked(&self) -> Words {
        let mut words = Words::Nothing;
        for _ in 0..TRIES {
            words = self.scans().await;
            if !self.waits_after(words).await {
                break;
            }
        }
        words
    }

    async fn scans(&self) -> Words {
        let (person, scene) = (self.person.clone(), self.shown.scene.clone());
        self.people.recorder.record(Event::Scans { person, scene });
        let delivery = self.people.wechat.scan(&self.openid, &self.shown.content).await.unwrap();
        self.is_told(delivery.reply.as_deref())
    }

    async fn types(&self, text: &str) -> Words {
        let (person, scene) = (self.person.clone(), self.shown.scene.clone());
        self.people.recorder.record(Event::Types { person, scene, text: text.to_owned() });
        let delivery = self.people.wechat.say(&self.openid, text).await.unwrap();
        self.is_told(delivery.reply.as_deref())
    }

    fn is_told(&self, reply: Option<&str>) -> Words {
        let (person, scene, words) = (self.person.clone(), self.shown.scene.clone(), Words::of(reply));
        self.people.recorder.record(Event::Told { person, scene, words });
        words
    }

    /// Whether a person does the same once more after these words; waits until they do.
    async fn waits_after(&self, words: Words) -> bool {
        match words {
            Words::TryAgain | Words::Nothing => sleep(AGAIN).await,
            Words::LookAtPage => sleep(LOOK).await,
            _ => return false,
        }
        !self.people.is_done(self.shown.browser)
    }

    /// Types the same until there is a clear answer.
    async fn insist(&self, text: &str) {
        for _ in 0..TRIES {
            let mut words = self.types(text).await;
            if words == Words::TryAgain {
                // "Scan again", and the account asks for no number twice.
                words = self.scan_until_asked().await;
            }
            if words != Words::Question && !self.waits_after(words).await {
                return;
            }
        }
    }

    /// Types wrong numbers until it has been enough.
    async fn mistype(&self, number: &str, rng: &mut Rng) {
        for _ in 0..TRIES {
            let words = self.types(&wrong(number, rng)).await;
            if words != Words::WrongNumber && !self.waits_after(words).await {
                return;
            }
        }
    }

    /// Answers the question after a scan.
    async fn answer(&self, manner: Manner, rng: &mut Rng) {
        let Some(number) = self.people.number(self.shown).await else { return };
        sleep(READS.mul_f64(rng.f64())).await;
        match manner {
            Manner::Confirms => self.insist(&number).await,
            Manner::Corrects => {
                self.types(&wrong(&number, rng)).await;
                self.insist(&number).await;
            }
            Manner::Regrets => {
                self.insist(&number).await;
                self.types("0").await;
            }
            Manner::Denies => {
                self.insist("0").await;
                self.types(&number).await;
            }
            Manner::Mistypes => {
                self.mistype(&number, rng).await;
                self.types(&number).await;
            }
            Manner::Idles | Manner::Forwards(_) => {}
        }
    }
}

/// Two digits that are not these.
fn wrong(number: &str, rng: &mut Rng) -> String {
    loop {
        let guess = rng.u8(10..=99).to_string();
        if guess != number {
            return guess;
        }
    }
}
