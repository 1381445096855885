//! What the account and one person are talking of, as a pure rule: which login waits for the person's number, and what
//! became of those before it.
//!
//! One login waits at a time. A new scan takes the place of the one before. A decision is made once: WeChat repeats a push
//! under the same id, and its repeat gets the decision of the first, also when another login is waiting by then.

use std::time::Duration;

use login_page::Language;
use protocol::Scene;
use records::{Kept, Moment};
use serde::{Deserialize, Serialize};

use super::question::{Question, tag};
use super::typed::Typed;
use crate::audit::Whence;
use crate::logins::way::Way;
use crate::provider::{Denial, Parties};
use crate::store::Scan;

/// Numbers that a person may type for one login. The page shows one of ninety.
const TRIES: u8 = 3;

/// As many where the person is shown three numbers: a second choice would be a guess.
const TRIES_OF_A_CHOICE: u8 = 1;

/// Decisions that are remembered of a person. WeChat's repeats come within 15 s.
const MOST_DECIDED: usize = 8;

/// How long a person hears again what became of the last login, when they type once more.
const SAME_WORDS: Duration = Duration::from_secs(180);

/// How long the gateway may know a login after its claim at the least: 120 s, and 180 s after its end.
const LONG: Duration = Duration::from_secs(300);

/// How long anything is remembered: longer than a login and WeChat's repeats live.
pub(super) const REMEMBERED: Duration = Duration::from_secs(3600);

/// A login that is to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Login {
    /// Its name.
    pub scene: Scene,
    /// The person came by following the account.
    pub first: bool,
    /// The scan's CreateTime, in seconds since 1970.
    pub created_at: i64,
    /// The language in which the person is told.
    #[serde(with = "tag")]
    pub language: Language,
    /// Who it is between, where it is for a site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parties: Option<Parties>,
    /// How the person came to it.
    #[serde(default, skip_serializing_if = "Way::is_scan")]
    pub way: Way,
    /// The browser of its page, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Whence>,
}

impl Login {
    /// The scan of `person` that asked for it.
    pub(crate) fn scan(&self, person: &wechat::Person) -> Scan {
        let Self { scene, first, created_at, way, .. } = *self;
        Scan { scene, openid: person.clone(), first, created_at, way }
    }
}

/// A login that waits for the person's number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    login: Kept<Login>,
    /// What the page shows; empty where it shows none, and a yes is waited for.
    number: String,
    question: Question,
    /// When the person was asked, the last time.
    #[serde(default = "long_ago")]
    at: Moment,
    /// The pushes with wrong numbers, by their ids.
    #[serde(default)]
    wrong: Vec<String>,
}

impl Asked {
    /// The question as it is told.
    fn told(&self) -> Question {
        let number = (!self.number.is_empty()).then(|| self.number.clone());
        Question { number, ..self.question.clone() }
    }
}

/// What became of a login that waited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Decided {
    login: Kept<Login>,
    /// What its page showed, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    verdict: Verdict,
    /// The push that decided it, by its id, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    at: Moment,
}

/// How a login was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// By the right number.
    Right,
    /// The person has said that it was not them.
    NotMe,
    /// By too many wrong numbers.
    WrongNumbers,
    /// The person has scanned another code.
    Replaced,
    /// The login's time was over.
    Late,
}

impl Verdict {
    /// A short name for logs and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::NotMe => "not_me",
            Self::WrongNumbers => "wrong_numbers",
            Self::Replaced => "replaced",
            Self::Late => "late",
        }
    }

    /// What a site is told, where it is told anything.
    pub(crate) fn denial(self) -> Option<Denial> {
        match self {
            Self::NotMe => Some(Denial::NotMe),
            Self::WrongNumbers => Some(Denial::WrongNumber),
            Self::Right | Self::Replaced | Self::Late => None,
        }
    }
}

/// What is kept of a person's talk with the account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Talk {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<Kept<Asked>>,
    /// The newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    decided: Vec<Kept<Decided>>,
}

/// What follows a scan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Asking {
    /// The person is asked, perhaps once more. The login whose place this one has taken is to be denied.
    Ask {
        /// What the person is asked.
        question: Box<Question>,
        /// The login before.
        replaced: Option<Box<Login>>,
        /// The person has not been asked before.
        is_new: bool,
    },
    /// This login waits no more.
    Decided(Verdict),
}

/// An answer that a person has given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    /// The push's id, which its repeats have as well.
    pub id: &'a str,
    /// What was typed.
    pub typed: &'a Typed,
    /// The push's CreateTime.
    pub sent_at: i64,
    /// The login that it is about, where it was chosen on a page of ours; in the chat it is the one that waits.
    pub about: Option<Scene>,
    /// When the person was asked something else. What was asked or decided before is not meant.
    pub newer: Option<Moment>,
}

/// What a typed answer comes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answered {
    /// Nothing is asked; the text is a message like any other.
    Nothing,
    /// The number was wrong; so many tries are left.
    Wrong {
        /// The login that still waits.
        login: Box<Login>,
        /// Tries.
        left: u8,
    },
    /// The login is decided.
    Decided {
        /// The login.
        login: Box<Login>,
        /// How.
        verdict: Verdict,
        /// By which push.
        by: By,
    },
}

/// Which push decided a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// This one, just now.
    ThisPush,
    /// An earlier sending of this one. What follows may be undone yet.
    ItsRepeat,
    /// An earlier one.
    AnotherPush,
}

impl Talk {
    /// Whether the push of this id has decided something.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.decided.iter().any(|decided| decided.by.as_deref() == Some(id))
    }

    /// Whether a text of a person could be an answer. Most people's texts are none, and nothing is written for them.
    pub(super) fn awaits(&self, now: Moment) -> bool {
        self.asked.is_some() || self.decided.iter().any(|decided| now < decided.at + SAME_WORDS)
    }

    /// The person has scanned a login whose page shows `number`, where they are to tell it.
    pub(super) fn ask(
        &mut self,
        login: Login,
        number: Option<&str>,
        question: Question,
        now: Moment,
    ) -> Asking {
        if let Some(decided) = self.decided.iter().find(|decided| decided.login.scene == login.scene) {
            return Asking::Decided(decided.verdict);
        }
        let replaced = match self.asked.take() {
            Some(mut asked) if asked.login.scene == login.scene => {
                if asked.login.way == Way::Wechat {
                    // Who has gone on to scan the code, or to send it, is asked in the chat and answers there.
                    asked.login.way = login.way;
                    asked.question.way = login.way;
                }
                asked.at = now;
                let question = Box::new(asked.told());
                self.asked = Some(asked);
                let before = self.decided.last().filter(|before| before.verdict == Verdict::Replaced);
                let replaced = before.filter(|_| question.replaces);
                let replaced = replaced.map(|before| Box::new(Login::clone(&before.login)));
                return Asking::Ask { question, replaced, is_new: false };
            }
            // A repeat of an older scan that comes after the newer one.
            Some(asked) if asked.login.created_at > login.created_at => {
                self.asked = Some(asked);
                self.decide(login, None, Verdict::Replaced, None, now);
                return Asking::Decided(Verdict::Replaced);
            }
            Some(asked) => {
                let before = Login::clone(&asked.login);
                self.decide(before.clone(), None, Verdict::Replaced, None, now);
                Some(Box::new(before))
            }
            None => None,
        };
        let question = Question { replaces: replaced.is_some(), ..question };
        let (login, number) = (login.into(), number.unwrap_or_default().to_owned());
        let asked = Asked { login, number, question, at: now, wrong: Vec::new() };
        let question = Box::new(asked.told());
        self.asked = Some(asked.into());
        Asking::Ask { question, replaced, is_new: true }
    }

    /// The person has given an answer. What was sent before the last scan is about the login before it, also where it
    /// comes late.
    pub(super) fn answer(&mut self, given: Given<'_>, now: Moment) -> Answered {
        let Given { id, typed, sent_at, about, newer } = given;
        if let Some(decided) = self.decided.iter().find(|decided| decided.by.as_deref() == Some(id)) {
            return again(decided, By::ItsRepeat);
        }
        let is_meant = |login: &Login| match about {
            Some(scene) => login.scene == scene,
            // A 1 in the chat is no press on a page's button.
            None => login.way != Way::Wechat && login.created_at <= sent_at,
        };
        let is_newest = |at: Moment| newer.is_none_or(|newer| newer < at);
        let asked = self.asked.as_mut().filter(|asked| is_meant(&asked.login) && is_newest(asked.at));
        let Some(asked) = asked else {
            if let Some(scene) = about {
                let decided = self.decided.iter().find(|decided| decided.login.scene == scene);
                return decided.map_or(Answered::Nothing, |decided| again(decided, By::AnotherPush));
            }
            let is_about = |decided: &&Kept<Decided>| match typed {
                // Whoever is logged in may be typing to the account for another reason.
                Typed::Number(typed) if decided.verdict == Verdict::Right => decided
                    .number
                    .as_ref()
                    .is_some_and(|number| decided.login.way.is_confirmed_by(typed, number)),
                _ => true,
            };
            let last = self.decided.last().filter(|decided| now < decided.at + SAME_WORDS);
            let last = last.filter(|decided| is_newest(decided.at)).filter(is_about);
            return last.map_or(Answered::Nothing, |decided| again(decided, By::AnotherPush));
        };
        let verdict = match typed {
            Typed::No => Verdict::NotMe,
            Typed::Number(typed) if asked.login.way.is_confirmed_by(typed, &asked.number) => Verdict::Right,
            Typed::Number(_) => {
                let tries = match asked.wrong.iter().position(|wrong| wrong == id) {
                    Some(before) => before + 1,
                    None => {
                        asked.wrong.push(id.to_owned());
                        asked.wrong.len()
                    }
                };
                match most_tries(about.is_some()).saturating_sub(u8::try_from(tries).unwrap_or(u8::MAX)) {
                    0 => Verdict::WrongNumbers,
                    left => return Answered::Wrong { login: Box::new(Login::clone(&asked.login)), left },
                }
            }
        };
        let (login, number) = (Login::clone(&asked.login), asked.number.clone());
        self.asked = None;
        self.decide(login.clone(), Some(number), verdict, Some(id), now);
        Answered::Decided { login: Box::new(login), verdict, by: By::ThisPush }
    }

    /// The login that has waited so long that the gateway may not know it any more.
    pub(super) fn asked_long_ago(&self, now: Moment) -> Option<Scene> {
        self.asked.as_ref().filter(|asked| now >= asked.at + LONG).map(|asked| asked.login.scene)
    }

    #[cfg(test)]
    pub(super) fn age(&mut self, by: Duration) {
        if let Some(asked) = &mut self.asked {
            asked.at = Moment(asked.at.0 - u64::try_from(by.as_millis()).unwrap_or_default());
        }
    }

    /// Nothing is asked about this login any more.
    pub(super) fn leave(&mut self, scene: Scene) {
        self.asked.take_if(|asked| asked.login.scene == scene);
    }

    /// The time of a login that waits was over before the push of this id came.
    pub(super) fn expire(&mut self, scene: Scene, id: &str, now: Moment) {
        if let Some(asked) = self.asked.take_if(|asked| asked.login.scene == scene) {
            self.decide(Login::clone(&asked.login), None, Verdict::Late, Some(id), now);
        }
    }

    /// Takes out what was decided long ago.
    pub(super) fn sweep(&mut self, now: Moment) {
        self.decided.retain(|decided| now < decided.at + REMEMBERED);
    }

    /// Forgets the logins whose scans were not later than `at` (CreateTime): the person has unfollowed.
    pub(super) fn forget(&mut self, at: i64) {
        self.asked.take_if(|asked| asked.login.created_at <= at);
        self.decided.retain(|decided| decided.login.created_at > at);
    }

    fn decide(
        &mut self,
        login: Login,
        number: Option<String>,
        verdict: Verdict,
        by: Option<&str>,
        at: Moment,
    ) {
        if self.decided.len() >= MOST_DECIDED {
            self.decided.remove(0);
        }
        let by = by.map(str::to_owned);
        self.decided.push(Decided { login: login.into(), number, verdict, by, at }.into());
    }
}

/// Wrong answers that end a login.
fn most_tries(is_choice: bool) -> u8 {
    if is_choice { TRIES_OF_A_CHOICE } else { TRIES }
}

fn long_ago() -> Moment {
    Moment(0)
}

fn again(decided: &Decided, by: By) -> Answered {
    Answered::Decided { login: Box::new(Login::clone(&decided.login)), verdict: decided.verdict, by }
}

#[cfg(test)]
mod tests;
