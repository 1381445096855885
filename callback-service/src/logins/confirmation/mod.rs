//! Confirmation in the chat: a scan is not consent, so the person is asked for the two digits that the page shows.
//!
//! The login's number is in the gateway's record, and what the person is asked and has answered is in the store: one record
//! for each person, whose rule is [`talk`]. Both survive the process, so any instance takes any push. [`typed`] reads an
//! answer, [`question`] is what the person is told of the login, with its browser and its [`place`].

pub(crate) mod place;
pub(crate) mod question;
mod talk;
mod typed;

use login_page::Language;
use protocol::Scene;
use protocol::message::Context;
use records::{Kept, Moment, Records, Step, Write};

use self::place::Places;
pub(crate) use self::question::Question;
pub(crate) use self::talk::{Answered, Asking, By, Given, Login, Verdict};
use self::talk::{REMEMBERED, Talk};
pub(crate) use self::typed::{Typed, digit, is_beside};
use crate::store::{Store, StoreError};

/// The kind of its records.
const KIND: &str = "confirmation";

/// The numbers that pages show: two digits, of which the first is no 0, so that nobody leaves one out, and 0 means no.
const FIRST_NUMBER: u8 = 10;
const NUMBERS: u8 = 90;

/// A new number for a page.
pub(super) fn number() -> String {
    // Whoever could foretell it would send it together with a picture of the code.
    let mut byte = [u8::MAX];
    // So that each is as likely as another.
    while byte[0] >= 2 * NUMBERS {
        aws_lc_rs::rand::fill(&mut byte).expect("random numbers");
    }
    (FIRST_NUMBER + byte[0] % NUMBERS).to_string()
}

/// Whether an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaits {
    /// It is not.
    Nothing,
    /// It is, or one was given a moment ago.
    Answer,
    /// It is, for so long that the gateway may not know the login any more.
    LongAgo(Scene),
}

/// What people are asked, and what they have answered.
#[derive(Debug)]
pub(crate) struct Confirmations {
    talks: Records<Kept<Talk>>,
    places: Places,
    #[cfg(test)]
    fault: crate::store::faults::Fault,
}

impl Confirmations {
    pub(crate) fn new(store: &Store, places: Places) -> Self {
        Self {
            talks: store.records(KIND),
            places,
            #[cfg(test)]
            fault: store.faults.confirm,
        }
    }

    /// The person has scanned `login`, whose page shows `number` where they are to tell it. `context` is what the gateway
    /// knows of the page.
    pub(super) async fn ask(
        &self,
        person: &wechat::Person,
        login: &Login,
        number: Option<&str>,
        context: &Context,
    ) -> Result<Asking, StoreError> {
        let name = login.parties.as_ref().map(|parties| parties.name.as_str());
        let question = Question::new(name, context, &self.places, login);
        self.change(person, |talk, now| talk.ask(login.clone(), number, question.clone(), now)).await
    }

    /// The person has given an answer.
    pub(super) async fn answer(
        &self,
        person: &wechat::Person,
        given: Given<'_>,
    ) -> Result<Answered, StoreError> {
        self.change(person, |talk, now| talk.answer(given, now)).await
    }

    /// Whether anything waits for an answer of a person. Many people type a number to an account that asks nothing, and
    /// nothing is written for them.
    pub(super) async fn awaits(&self, person: &wechat::Person, id: &str) -> Result<Awaits, StoreError> {
        #[cfg(test)]
        self.fault.happen().await?;
        let found = self.talks.read(&person.key()).await?;
        let Some(talk) = found.record else { return Ok(Awaits::Nothing) };
        Ok(match talk.asked_long_ago(found.now) {
            Some(scene) => Awaits::LongAgo(scene),
            None if talk.knows(id) || talk.awaits(found.now) => Awaits::Answer,
            None => Awaits::Nothing,
        })
    }

    /// Nothing is asked about this login any more.
    pub(super) async fn leave(&self, person: &wechat::Person, scene: Scene) -> Result<(), StoreError> {
        self.change(person, |talk, _| talk.leave(scene)).await
    }

    /// The gateway says that the time of a login was over before the push of this id came.
    pub(super) async fn expire(
        &self,
        person: &wechat::Person,
        scene: Scene,
        id: &str,
    ) -> Result<(), StoreError> {
        self.change(person, |talk, now| talk.expire(scene, id, now)).await
    }

    /// Forgets what a person was asked before they unfollowed at `at` (CreateTime).
    pub(crate) async fn forget(&self, person: &wechat::Person, at: i64) -> Result<(), StoreError> {
        if self.talks.read(&person.key()).await?.record.is_none() {
            return Ok(());
        }
        self.change(person, |talk, _| talk.forget(at)).await
    }

    /// Lets time pass since the person was asked.
    #[cfg(test)]
    pub(super) async fn age(&self, person: &wechat::Person, by: std::time::Duration) {
        self.change(person, |talk, _| talk.age(by)).await.expect("a test's store");
    }

    async fn change<T>(
        &self,
        person: &wechat::Person,
        work: impl Fn(&mut Talk, Moment) -> T,
    ) -> Result<T, StoreError> {
        #[cfg(test)]
        self.fault.happen().await?;
        let key = person.key();
        let changed = self.talks.update(&key, |found, now| {
            let mut talk = found.cloned().unwrap_or_default();
            let value = work(&mut talk, now);
            talk.sweep(now);
            Step::Write(Write { durably: true, ..Write::new(talk, now + REMEMBERED) }, value)
        });
        Ok(changed.await?)
    }
}

/// The language that WeChat says a person uses; Chinese where it says nothing.
pub(super) fn language(user: Option<&wechat::User>) -> Language {
    Language::wished(user.and_then(|user| user.language.as_deref())).unwrap_or_default()
}
