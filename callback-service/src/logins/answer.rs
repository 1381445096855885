//! What a person types into the chat while a login waits for their number: from the text to its words.
//!
//! The store decides first, by the rule of `confirmation::talk`, and what follows is done afterwards: so whatever is cut off
//! is done by WeChat's repeat of the push, or when the person types again.

use std::sync::Arc;

use protocol::Notice;
use protocol::message::State;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use wechat::Person;

use super::confirmation::{Answered, By, Login, Typed, Verdict};
use super::words::{PhoneReply, ToPhone};
use super::{Scans, gateway, shortened};
use crate::provider::Denial;

/// A text that a person sent to the account.
pub(crate) struct Text<'t> {
    /// Who.
    pub person: &'t Person,
    /// What they typed.
    pub content: &'t str,
    /// The push's `MsgId`, which its repeats have as well.
    pub id: Option<&'t str>,
    /// The push's CreateTime.
    pub created_at: i64,
}

impl Scans {
    /// Takes a text for an answer to the question for the number, and gives what the phone hears, in time for a push that
    /// has `arrived`. `None` where nothing was asked, or the text is no answer: then it is a message like any other.
    pub(crate) async fn answered(self: &Arc<Self>, text: Text<'_>, arrived: Instant) -> Option<ToPhone> {
        let typed = Typed::read(text.content)?;
        let Text { person, created_at, .. } = text;
        // A push without an id is known again by its time and what it says.
        let id = text.id.map_or_else(|| format!("{} {typed:?}", text.created_at), str::to_owned);
        let scans = Arc::clone(self);
        let (answering, name) = (typed.clone(), (person.clone(), id.clone()));
        let answered = self.done_in_time(async move {
            scans.confirmations.answer(&name.0, &name.1, &answering, created_at).await
        });
        match answered.await {
            Ok(Answered::Nothing) => None,
            Ok(Answered::Wrong { login, left }) => Some(self.wrong(person, *login, left, &id, arrived).await),
            Ok(Answered::Decided { login, verdict, by }) => {
                if by == By::ThisPush {
                    self.count_confirmation(verdict.name());
                    tracing::info!(
                        scene = shortened(&login.scene),
                        verdict = verdict.name(),
                        "a number was typed"
                    );
                }
                let why = verdict.denial().filter(|_| by != By::AnotherPush);
                Some(self.follow(person, *login, verdict, why, &typed, arrived).await)
            }
            Err(error) => {
                // Perhaps it is an answer, and perhaps it counts.
                tracing::error!("what a person has typed cannot be looked up: {error}");
                Some(ToPhone { reply: PhoneReply::Look, language: login_page::Language::default() })
            }
        }
    }

    /// What a wrong number hears. Whoever types after the login's time is not told to try again.
    async fn wrong(&self, person: &Person, login: Login, left: u8, id: &str, arrived: Instant) -> ToPhone {
        self.count_confirmation("wrong");
        let query = Notice::Query { scene: login.scene };
        let state = gateway::ask(&self.gateway, &query, arrived + self.times.claim, false).await;
        let is_over = state.is_ok_and(|answer| {
            answer.status == protocol::message::Status::Unknown || answer.state == Some(State::Expired)
        });
        if is_over {
            if let Err(error) = self.in_time(self.confirmations.expire(person, login.scene, id)).await {
                tracing::error!("{error}");
            }
            return ToPhone { reply: PhoneReply::Late, language: login.language };
        }
        ToPhone { reply: PhoneReply::Wrong(left), language: login.language }
    }

    /// Does what a decision asks for, and tells a site `why` its login was denied. What was done before is done again
    /// without harm.
    async fn follow(
        self: &Arc<Self>,
        person: &Person,
        login: Login,
        verdict: Verdict,
        why: Option<Denial>,
        typed: &Typed,
        arrived: Instant,
    ) -> ToPhone {
        let language = login.language;
        let reply = match verdict {
            Verdict::Right => return self.confirmed(person, &login, typed, arrived).await,
            Verdict::NotMe => PhoneReply::NotMe,
            Verdict::WrongNumbers => PhoneReply::WrongNumbers,
            Verdict::Replaced => PhoneReply::Denied,
            Verdict::Late => return ToPhone { reply: PhoneReply::Late, language },
        };
        // WeChat's repeat of the push does what is not done when the process ends before its answer.
        let _ = timeout_at(arrived + self.times.words, self.deny(person, &login, why)).await;
        ToPhone { reply, language }
    }

    /// The login goes on as a scan that was confirmed.
    async fn confirmed(
        self: &Arc<Self>,
        person: &Person,
        login: &Login,
        typed: &Typed,
        arrived: Instant,
    ) -> ToPhone {
        let mut told = self.log_in(login.scan(person), arrived).await;
        if matches!(told.reply, PhoneReply::Question(_)) {
            // A repeat of the scan was being worked on, which had read the store before the number came.
            told = self.log_in(login.scan(person), arrived).await;
        }
        // The person reads one language, also where WeChat does not say it a second time.
        told.language = login.language;
        if *typed == Typed::No && matches!(told.reply, PhoneReply::LoggedIn { .. }) {
            told.reply = PhoneReply::Confirmed;
        }
        told
    }

    /// Denies a login, and tells its site why, for as long as it takes. Nobody can be logged in by it any more, whether the
    /// gateway has heard of it or not: the decision stands in the store.
    pub(super) fn deny(
        self: &Arc<Self>,
        person: &Person,
        login: &Login,
        why: Option<Denial>,
    ) -> JoinHandle<()> {
        let deny = Notice::Deny { scene: login.scene, by: Some(person.to_string()) };
        let (scans, login) = (Arc::clone(self), login.clone());
        self.tasks.spawn(async move {
            let page = async {
                let until = Instant::now() + scans.times.clear;
                if let Err(error) = gateway::ask(&scans.gateway, &deny, until, false).await {
                    tracing::error!(
                        scene = shortened(&login.scene),
                        "a page does not hear that its login was denied: {error}; its time runs out"
                    );
                }
            };
            // The site hears it also while the gateway is away: nobody types the answer twice.
            let site = async {
                if let (Some(provider), Some(parties), Some(why)) = (&scans.provider, &login.parties, why) {
                    provider.tell_of_denial(login.scene.as_str(), &parties.site, &parties.sub, why).await;
                }
            };
            tokio::join!(page, site);
        })
    }
}
