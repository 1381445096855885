//! The people in front of the browsers: by which way each comes, and what they answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use simulator::{Person, Simulator};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::manner::Victim;
use super::phone::Phone;
use super::{Done, Manner, Path, Plan, openid, openid_of_rival, openid_of_victim, person, rival, victim};
use crate::history::{Browser, Recorder, Way, Words};
use crate::page::PATIENCE;
use crate::roaming::{Numbers, Shown};

/// In one of so many rows of as many browsers, people who type the code mistype it first.
const MISTYPED: u32 = 4;

/// Two who come at the same moment are so far apart at most. A page inside WeChat takes as long to learn who it is.
const APART: Duration = Duration::from_millis(50);

/// The people.
#[derive(Clone)]
pub(super) struct People {
    pub(super) wechat: Simulator,
    pub(super) recorder: Recorder,
    pub(super) done: Done,
    pub(super) numbers: Numbers,
    /// Where phones open the pages of logins.
    pub(super) web: Option<String>,
    /// The codes on all pages so far.
    pub(super) codes: Arc<Mutex<HashSet<String>>>,
}

impl People {
    pub(super) async fn come_to_all(self, mut shown: mpsc::Receiver<Shown>, plan: Plan) -> Vec<String> {
        let mut people = JoinSet::new();
        let mut rng = Rng::with_seed(plan.seed);
        let mut scenes = Vec::new();
        while let Some(shown) = shown.recv().await {
            let hesitation = plan.hesitation.mul_f64(rng.f64());
            scenes.push(shown.scene.clone());
            self.codes.lock().unwrap_or_else(PoisonError::into_inner).extend(shown.typed.clone());
            let (manner, path) = ((plan.manner)(shown.browser), (plan.path)(shown.browser));
            let (all, rng) = (self.clone(), rng.fork());
            people.spawn(async move {
                sleep(hesitation).await;
                all.at(&shown, manner, path, rng).await;
            });
        }
        people.join_all().await;
        scenes
    }

    /// A page shows a login.
    async fn at(&self, shown: &Shown, manner: Manner, path: Path, mut rng: Rng) {
        if let Manner::Forwards(does) = manner {
            return self.forwarded(shown, path.first(), does, &mut rng).await;
        }
        let mut own = self.owner(shown, path.first());
        if own.way == Way::Typed && (shown.browser.0 / MISTYPED).is_multiple_of(MISTYPED) {
            own.guesses(&self.unshown(&mut rng)).await;
        }
        match path {
            Path::One(_) => own.logs_in(manner, &mut rng).await,
            Path::Both(_, other) => {
                let mut other = self.owner(shown, other);
                let (one, two) = tokio::join!(
                    after(&mut rng, own.comes_until_asked()),
                    after(&mut rng, other.comes_until_asked())
                );
                if [one, two].contains(&Words::LoggedIn) {
                    return;
                }
                // Who is asked twice answers in the chat, with what is right for any way.
                let mut asked = [(one, own), (two, other)];
                asked.sort_by_key(|(_, phone)| phone.way == Way::Wechat);
                let phone = asked.into_iter().find(|(words, _)| *words == Words::Question);
                if let Some((_, mut phone)) = phone
                    && let Some(yes) = phone.number_or_yes().await
                {
                    phone.insist(&yes).await;
                }
            }
            Path::Race(_, other) => {
                let mut rival =
                    self.phone(shown, other, rival(shown.browser), openid_of_rival(shown.browser));
                let (mut one, mut two) = (rng.fork(), rng.fork());
                tokio::join!(
                    after(&mut rng, own.logs_in(manner, &mut one)),
                    after(&mut rng, rival.logs_in(manner, &mut two))
                );
            }
        }
    }

    /// A page's person has sent what it shows to somebody else, who comes this way.
    async fn forwarded(&self, shown: &Shown, way: Way, does: Victim, rng: &mut Rng) {
        let mut own = self.owner(shown, Way::Scan);
        let mut phone = self.phone(shown, way, victim(shown.browser), openid_of_victim(shown.browser));
        if phone.comes_until_asked().await != Words::Question {
            return;
        }
        let Some(number) = self.number(shown).await else { return };
        // The sender sees the number, and has not got the login.
        if rng.bool() {
            own.comes_until_asked().await;
        }
        own.types(&number).await;
        match does {
            Victim::Denies => phone.insist("0").await,
            Victim::Guesses => phone.mistype(&number, rng).await,
            Victim::Idles => {}
        }
        own.types(&number).await;
    }

    fn owner<'p>(&'p self, shown: &'p Shown, way: Way) -> Phone<'p> {
        self.phone(shown, way, person(shown.browser), openid(shown.browser))
    }

    fn phone<'p>(&'p self, shown: &'p Shown, way: Way, person: String, openid: String) -> Phone<'p> {
        self.wechat.add_person(Person {
            openid: openid.clone(),
            nickname: person.clone(),
            follower: true,
            ..Person::default()
        });
        Phone::new(self, shown, way, person, openid)
    }

    /// The number on a page; none where it does not come, as on a page that was closed.
    pub(super) async fn number(&self, shown: &Shown) -> Option<String> {
        timeout(PATIENCE, self.numbers.see(&shown.scene)).await.ok()
    }

    pub(super) fn is_done(&self, browser: Browser) -> bool {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).contains(&browser)
    }

    /// A code that no page has shown. That a page is about to show it is as likely as one in 100,000.
    fn unshown(&self, rng: &mut Rng) -> String {
        let codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let code = format!("{:06}", rng.u32(..1_000_000));
            if !codes.contains(&code) {
                return code;
            }
        }
    }
}

/// Does something after a random time within [`APART`].
fn after<T, A: Future<Output = T>>(rng: &mut Rng, act: A) -> impl Future<Output = T> + use<T, A> {
    let wait = APART.mul_f64(rng.f64());
    async move {
        sleep(wait).await;
        act.await
    }
}

/// How long people need at most from the question to their answer.
pub(super) const READS: Duration = Duration::from_secs(2);
