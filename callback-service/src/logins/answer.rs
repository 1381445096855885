//! What a person types into the chat while a login waits for their number: from the text to its words.
//!
//! The store decides first, by the rule of `confirmation::talk`, and what follows is done afterwards: so whatever is cut
//! off is done by WeChat's repeat of the push, or when the person types again.

use std::sync::Arc;

use login_page::Language;
use protocol::message::{State, Status};
use protocol::{LoginId, Notice, Scene};
use records::Moment;
use server::tell;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use wechat::{Person, User};

use super::confirmation::{Answered, Awaits, By, Given, Login, Typed, Verdict};
use super::words::{PhoneReply, ToPhone};
use super::{Scans, gateway};
use crate::audit::Outcome;
use crate::provider::Denial;
use crate::store::StoreError;
use crate::trace;

/// A text that a person sent to the account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'t> {
    /// Who.
    pub person: &'t Person,
    /// What they typed.
    pub content: &'t str,
    /// The push's `MsgId`, which its repeats have as well.
    pub id: Option<&'t str>,
    /// The push's CreateTime.
    pub created_at: i64,
    /// The login that it is about, where it was chosen on a page of ours that was opened inside WeChat. In the chat it is
    /// the one that waits, unless such a page asks.
    pub about: Option<Scene>,
    /// When the person was asked something else in the chat to which this may be the answer. Then it is about no login that
    /// was asked about before.
    pub newer: Option<Moment>,
}

impl Scans {
    /// Takes a text for an answer to the question for the number, and gives what the phone hears, in time for a push that
    /// has `arrived`. `None` where nothing was asked, or the text is no answer: then it is a message like any other.
    ///
    /// Dropping the future does not stop what follows the answer.
    pub(crate) async fn answered(self: &Arc<Self>, text: Text<'_>, arrived: Instant) -> Option<ToPhone> {
        self.answered_known(text, None, arrived).await
    }

    /// As [`Scans::answered`], for a person of whom WeChat has told something on the way here.
    pub(crate) async fn answered_known(
        self: &Arc<Self>,
        text: Text<'_>,
        known: Option<User>,
        arrived: Instant,
    ) -> Option<ToPhone> {
        let typed = Typed::read(text.content)?;
        let look = || Some(ToPhone { reply: PhoneReply::Look, language: Language::default() });
        let Ok(place) = Arc::clone(&self.shared.answering).try_acquire_owned() else {
            self.metrics.limits.hit("callback_service::logins");
            tell!(
                warn,
                self.told,
                "answers",
                "too many numbers are typed at once; a person was told to look at the page"
            );
            return look();
        };
        let answer = Answer {
            scans: Arc::clone(self),
            person: self.account.person(text.person),
            // A push without an id is known again by its time and what it says.
            id: text.id.map_or_else(|| format!("{} {typed:?}", text.created_at), str::to_owned),
            typed,
            sent_at: text.created_at,
            about: text.about,
            newer: text.newer,
            known,
            arrived,
        };
        let told = self.tasks.spawn(
            async move {
                let _place = place;
                answer.take().await
            }
            .in_current_span(),
        );
        match timeout_at(arrived + self.times.words, told).await {
            Ok(Ok(told)) => told,
            // It is not clear yet. Or the task is gone, which takes a panic.
            _ => look(),
        }
    }

    /// Denies a login, and tells its site why, for as long as it takes. Nobody can be logged in by it any more, whether the
    /// gateway has heard of it or not: the decision stands in the store. Gives the login's state, where the gateway says it.
    pub(super) fn deny(
        self: &Arc<Self>,
        person: &Person,
        login: &Login,
        why: Option<Denial>,
    ) -> JoinHandle<Option<State>> {
        let deny = Notice::Deny { scene: login.scene, by: Some(person.key().into_owned()) };
        let (scans, login) = (Arc::clone(self), login.clone());
        // Not within another login's, which may be the one that takes its place.
        let span = trace::apart(LoginId::of(login.scene), "deny");
        let denying = async move {
            let page = async {
                let until = Instant::now() + scans.times.clear;
                match gateway::ask(&scans.gateway, &deny, until, false).await {
                    Ok(answer) => answer.state,
                    Err(error) => {
                        tracing::error!(
                            "a page does not hear that its login was denied: {error}; its time runs out"
                        );
                        None
                    }
                }
            };
            // The site hears it also while the gateway is away: nobody types the answer twice.
            let site = async {
                if let (Some(provider), Some(parties), Some(why)) = (&scans.provider, &login.parties, why) {
                    provider.tell_of_denial(login.scene, &parties.site, &parties.sub, why).await;
                }
            };
            tokio::join!(page, site).0
        };
        self.tasks.spawn(denying.instrument(span))
    }
}

/// An answer that is being taken, of a push that has `arrived`.
struct Answer {
    scans: Arc<Scans>,
    person: Person,
    /// The push's.
    id: String,
    typed: Typed,
    /// CreateTime.
    sent_at: i64,
    about: Option<Scene>,
    newer: Option<Moment>,
    known: Option<User>,
    arrived: Instant,
}

impl Answer {
    /// Lets the store decide, and does what follows.
    async fn take(self) -> Option<ToPhone> {
        let Self { scans, person, id, typed, sent_at, about, newer, .. } = &self;
        match self.is_awaited().await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(self.unclear(&error)),
        }
        let given = Given { id, typed, sent_at: *sent_at, about: *about, newer: *newer };
        match scans.confirmations.answer(person, given).await {
            Ok(Answered::Nothing) => None,
            Ok(Answered::Wrong { login, left }) => {
                let span = trace::step(Some(LoginId::of(login.scene)), "answer");
                Some(self.wrong(*login, left).instrument(span).await)
            }
            Ok(Answered::Decided { login, verdict, by }) => {
                let span = trace::step(Some(LoginId::of(login.scene)), "answer");
                if by == By::ThisPush {
                    scans.count_confirmation(verdict.name());
                    span.in_scope(|| tracing::info!(verdict = verdict.name(), "a number was typed"));
                }
                Some(self.follow(*login, verdict, by).instrument(span).await)
            }
            Err(error) => Some(self.unclear(&error)),
        }
    }

    /// Perhaps it is an answer, and perhaps it counts.
    fn unclear(&self, error: &StoreError) -> ToPhone {
        tracing::error!("what a person has typed cannot be looked up: {error}");
        ToPhone { reply: PhoneReply::Look, language: Language::default() }
    }

    /// Whether anybody waits for it. Whoever was asked long ago and went away may type to the account for another reason:
    /// then the gateway does not know the login any more.
    async fn is_awaited(&self) -> Result<bool, StoreError> {
        let Self { scans, person, id, .. } = self;
        let scene = match scans.confirmations.awaits(person, id).await? {
            Awaits::Nothing => return Ok(false),
            Awaits::Answer => return Ok(true),
            Awaits::LongAgo(scene) => scene,
        };
        if self.state(scene).await.is_none_or(|answer| answer.status != Status::Unknown) {
            return Ok(true);
        }
        scans.confirmations.leave(person, scene).await?;
        Ok(false)
    }

    /// What the gateway says of a login, in time for more to follow.
    async fn state(&self, scene: Scene) -> Option<protocol::Answer> {
        let until = self.arrived + self.scans.times.claim;
        gateway::ask(&self.scans.gateway, &Notice::Query { scene }, until, false).await.ok()
    }

    /// What a wrong number hears. Whoever types after the login's time is not told to try again.
    async fn wrong(&self, login: Login, left: u8) -> ToPhone {
        let Self { scans, person, id, .. } = self;
        scans.count_confirmation("wrong");
        tracing::debug!(left, "a wrong number was typed");
        let is_over = self
            .state(login.scene)
            .await
            .is_some_and(|answer| answer.status == Status::Unknown || answer.state == Some(State::Expired));
        if is_over {
            if let Err(error) = scans.confirmations.expire(person, login.scene, id).await {
                tracing::error!("{error}");
            }
            let by = self.arrived + scans.times.words;
            scans.note_decided(person, &login, Outcome::Late, by).await;
            return ToPhone { reply: PhoneReply::Late, language: login.language };
        }
        ToPhone { reply: PhoneReply::Wrong(left), language: login.language }
    }

    /// Does what a decision asks for. What a repeat finds done is done again without harm.
    async fn follow(&self, login: Login, verdict: Verdict, by: By) -> ToPhone {
        let language = login.language;
        let mut reply = match verdict {
            Verdict::Right => return self.confirmed(&login).await,
            Verdict::NotMe => PhoneReply::NotMe,
            Verdict::WrongNumbers => PhoneReply::WrongNumbers,
            Verdict::Replaced => PhoneReply::Denied,
            Verdict::Late => PhoneReply::Late,
        };
        if by != By::AnotherPush && verdict != Verdict::Late {
            // WeChat's repeat of the push does what is not done when the process ends before its answer.
            let denied = self.scans.deny(&self.person, &login, verdict.denial());
            let state = timeout_at(self.arrived + self.scans.times.scan, denied).await;
            if matches!(state, Ok(Ok(Some(State::Granted)))) {
                // Another way, in which nobody was asked, was faster.
                reply = PhoneReply::Confirmed;
            }
        }
        if let Some(outcome) = reply.outcome() {
            let by = self.arrived + self.scans.times.words;
            self.scans.note_decided(&self.person, &login, outcome, by).await;
        }
        ToPhone { reply, language }
    }

    /// The login goes on as a scan that was confirmed.
    async fn confirmed(&self, login: &Login) -> ToPhone {
        let log_in = || self.scans.log_in_known(login.scan(&self.person), self.known.clone(), self.arrived);
        let mut told = log_in().await;
        if matches!(told.reply, PhoneReply::Question(_)) {
            // A repeat of the scan was being worked on, which had read the store before the number came.
            told = log_in().await;
        }
        // The person reads one language, also where WeChat does not say it a second time.
        told.language = login.language;
        if self.typed == Typed::No && matches!(told.reply, PhoneReply::LoggedIn { .. }) {
            told.reply = PhoneReply::Confirmed;
        }
        told
    }
}
