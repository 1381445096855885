//! Somebody's phone at the login of one page: the claim by one way, again as long as there is a reason, and the answers.

use std::time::Duration;

use fastrand::Rng;
use simulator::{Client, Page, Webview};
use tokio::time::sleep;

use super::Manner;
use super::people::{People, READS};
use crate::history::{Event, Way, Words};
use crate::roaming::Shown;

/// The most claims of one login, or answers, of a person whose phone keeps saying that it failed.
const TRIES: usize = 30;

/// The pause before what the phone asked for.
const AGAIN: Duration = Duration::from_millis(500);

/// How long people look at the page when the phone tells them to.
const LOOK: Duration = Duration::from_secs(5);

/// Says yes where no number is needed.
const YES: &str = "1";

/// A phone.
pub(super) struct Phone<'p> {
    pub(super) way: Way,
    people: &'p People,
    shown: &'p Shown,
    person: String,
    openid: String,
    webview: Webview,
    /// The page with the question, where it is one.
    question: Option<Page>,
}

impl<'p> Phone<'p> {
    /// The phone of a person who comes this way.
    pub(super) fn new(
        people: &'p People,
        shown: &'p Shown,
        way: Way,
        person: String,
        openid: String,
    ) -> Self {
        let webview = Webview::of(&people.wechat, &openid, Client::Phone);
        Self { way, people, shown, person, openid, webview, question: None }
    }

    /// Comes to the login, and answers if they are asked.
    pub(super) async fn logs_in(&mut self, manner: Manner, rng: &mut Rng) {
        if self.comes_until_asked().await == Words::Question {
            self.answer(manner, rng).await;
        }
    }

    /// Claims the login, and again as long as there is a reason; gives the last words.
    pub(super) async fn comes_until_asked(&mut self) -> Words {
        let mut words = Words::Nothing;
        for _ in 0..TRIES {
            words = self.comes().await;
            if !self.waits_after(words).await {
                break;
            }
        }
        words
    }

    async fn comes(&mut self) -> Words {
        let (person, scene, way) = (self.person.clone(), self.shown.scene.clone(), self.way);
        self.people.recorder.record(Event::Claims { person, scene, way });
        match way {
            Way::Scan => {
                let delivery = self.people.wechat.scan(&self.openid, &self.shown.content).await.unwrap();
                self.is_told(Words::of(delivery.reply.as_deref()))
            }
            Way::Typed => {
                let code = self.shown.typed.as_deref().expect("the page shows a code to type");
                let words = self.says(code).await;
                self.is_told(words)
            }
            Way::Wechat => {
                let web = self.people.web.as_deref().expect("the plan says where phones open logins");
                let opened = self.webview.open(&format!("{web}/login/{}", self.shown.scene)).await;
                self.looks_at(opened.ok())
            }
        }
    }

    /// Sends a code that no page shows.
    pub(super) async fn guesses(&self, code: &str) {
        let words = self.says(code).await;
        let (person, code) = (self.person.clone(), code.to_owned());
        self.people.recorder.record(Event::Guessed { person, code, words });
    }

    /// Answers: in the chat, or by the button of the page with the question.
    pub(super) async fn types(&mut self, text: &str) -> Words {
        let (person, scene, way) = (self.person.clone(), self.shown.scene.clone(), self.way);
        self.people.recorder.record(Event::Types { person, scene, way, text: text.to_owned() });
        match (way, self.question.clone()) {
            (Way::Wechat, Some(question)) => {
                let pressed = self.webview.press(&question, text).await;
                self.looks_at(pressed.ok())
            }
            (Way::Wechat, None) => panic!("nobody asks {} on a page", self.person),
            (Way::Scan | Way::Typed, _) => {
                let words = self.says(text).await;
                self.is_told(words)
            }
        }
    }

    async fn says(&self, text: &str) -> Words {
        let delivery = self.people.wechat.say(&self.openid, text).await.unwrap();
        Words::of(delivery.reply.as_deref())
    }

    /// A page that is open now; none where nobody answered.
    fn looks_at(&mut self, page: Option<Page>) -> Words {
        let Some(page) = page else { return self.is_told(Words::Nothing) };
        let (words, numbers) = (Words::of_page(&page.body), offered(&page.body));
        if !numbers.is_empty() {
            let (person, scene) = (self.person.clone(), self.shown.scene.clone());
            self.people.recorder.record(Event::Offered { person, scene, numbers });
        }
        if words == Words::Question {
            self.question = Some(page);
        }
        self.is_told(words)
    }

    fn is_told(&self, words: Words) -> Words {
        let (person, scene, way) = (self.person.clone(), self.shown.scene.clone(), self.way);
        self.people.recorder.record(Event::Told { person, scene, way, words });
        words
    }

    /// Whether a person does the same once more after these words; waits until they do.
    async fn waits_after(&self, words: Words) -> bool {
        match words {
            Words::TryAgain | Words::Unsure | Words::Nothing => sleep(AGAIN).await,
            Words::LookAtPage => sleep(LOOK).await,
            _ => return false,
        }
        !self.people.is_done(self.shown.browser)
    }

    /// Gives the same answer until there is a clear one to it.
    pub(super) async fn insist(&mut self, text: &str) {
        for _ in 0..TRIES {
            let mut words = self.types(text).await;
            if matches!(words, Words::TryAgain | Words::Unsure) {
                // "Scan again", and the account asks for no number twice.
                words = self.comes_until_asked().await;
            }
            if words != Words::Question && !self.waits_after(words).await {
                return;
            }
        }
    }

    /// Gives wrong numbers until it has been enough.
    pub(super) async fn mistype(&mut self, number: &str, rng: &mut Rng) {
        for _ in 0..TRIES {
            let wrong = self.wrong(number, rng);
            let words = self.types(&wrong).await;
            if words != Words::WrongNumber && !self.waits_after(words).await {
                return;
            }
        }
    }

    /// The number of the page, which is right by any way, or a yes where the phone's own page asks for no number. None where
    /// the number does not come.
    pub(super) async fn number_or_yes(&self) -> Option<String> {
        match &self.question {
            Some(page) if offered(&page.body).is_empty() => Some(YES.to_owned()),
            _ => self.people.number(self.shown).await,
        }
    }

    /// Answers the question after a claim.
    async fn answer(&mut self, manner: Manner, rng: &mut Rng) {
        let Some(number) = self.number_or_yes().await else { return };
        sleep(READS.mul_f64(rng.f64())).await;
        // Who has sent the page's code need not read its number.
        let yes = if self.way == Way::Typed && rng.bool() { YES.to_owned() } else { number.clone() };
        match manner {
            Manner::Confirms => self.insist(&yes).await,
            Manner::Corrects => {
                let wrong = self.wrong(&number, rng);
                self.types(&wrong).await;
                self.insist(&yes).await;
            }
            Manner::Regrets => {
                self.insist(&yes).await;
                self.types("0").await;
            }
            Manner::Denies => {
                self.insist("0").await;
                self.types(&yes).await;
            }
            Manner::Mistypes => {
                self.mistype(&number, rng).await;
                self.types(&yes).await;
            }
            Manner::Idles | Manner::Forwards(_) => {}
        }
    }

    /// A number that is not this one: any in the chat, and another of those that the phone's page offers.
    fn wrong(&self, number: &str, rng: &mut Rng) -> String {
        let choice = match &self.question {
            Some(page) => offered(&page.body),
            None => (10..=99_u8).map(|number| number.to_string()).collect(),
        };
        let wrong: Vec<_> = choice.into_iter().filter(|one| one != number).collect();
        rng.choice(wrong).expect("there are others")
    }
}

/// The numbers on the buttons of a page.
fn offered(body: &str) -> Vec<String> {
    let values = body.split("name=\"answer\" value=\"").skip(1).filter_map(|rest| rest.split('"').next());
    values.filter(|value| value.len() == 2).map(str::to_owned).collect()
}
