//! One attempt to log a person in: recall, claim, grant, end, count. It asks and remembers; `verdict` decides.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use protocol::message::{Code, Context};
use protocol::{Answer, NoAnswer, Notice};
use tokio::time::Instant;
use wechat::User;

use super::verdict::{self, Before, Heard, Next, Refused};
use super::words::PhoneReply;
use super::{Scans, gateway};
use crate::provider::{NotGranted, Scanned};
use crate::store::{Memory, Recorded, Scan, StoreError};

/// An attempt, for a push that has `arrived`.
pub(super) struct Attempt<'a> {
    pub(super) scans: &'a Scans,
    pub(super) scan: &'a Scan,
    pub(super) arrived: Instant,
}

impl Attempt<'_> {
    /// Makes the attempt; gives what the phone hears.
    pub(super) async fn run(&self) -> PhoneReply {
        let before = match self.recall().await {
            ControlFlow::Continue(before) => before,
            ControlFlow::Break(recorded) => return logged_in(recorded),
        };
        let user = self.scans.nicknames.ask(&self.scan.openid);
        let (claim, context) = self.claim(before).await;
        let is_for_site = match verdict::after_claim(before, claim) {
            Next::Tell(reply) => return reply,
            Next::End => false,
            Next::Grant => true,
        };
        let user = user.await;
        let nickname = user.as_ref().and_then(|user| user.nickname.clone());
        let code = match is_for_site {
            false => None,
            true => match verdict::after_grant(before, self.grant(context, user).await) {
                ControlFlow::Continue(code) => Some(code),
                ControlFlow::Break(Refused::Tell(reply)) => return reply,
                ControlFlow::Break(Refused::Deny(reply)) => {
                    return verdict::after_denial(self.deny(before).await, reply);
                }
            },
        };
        let is_noted = self.scans.in_time(self.scans.store.attempt(self.scan)).await.is_ok();
        let end = self.end(nickname.clone(), code, before.keeps_asking() || !is_noted).await;
        match verdict::after_end(before, is_noted, end) {
            Some(reply) => reply,
            None => self.count(nickname).await,
        }
    }

    /// What earlier attempts may have done. Breaks off with a login that was recorded and told: its repeats get the same
    /// words.
    async fn recall(&self) -> ControlFlow<Recorded, Before> {
        ControlFlow::Continue(match self.scans.in_time(self.scans.store.recall(self.scan)).await {
            Ok(Memory::Recorded(recorded)) => return ControlFlow::Break(recorded),
            Ok(Memory::Nothing) => Before::Nothing,
            Ok(Memory::LongAgo) => Before::LongAgo,
            Ok(Memory::Attempted) => Before::Perhaps,
            Err(error) => {
                tracing::error!("{error}");
                Before::Perhaps
            }
        })
    }

    /// What the gateway said to the claim, and what the login's page named.
    async fn claim(&self, before: Before) -> (Heard, Option<Box<Context>>) {
        let Scan { scene, openid, .. } = self.scan;
        let claim = Notice::Claim { scene: *scene, by: openid.to_string(), number: None };
        let until = self.until(before.keeps_asking(), self.scans.times.claim);
        let answer = gateway::ask(&self.scans.gateway, &claim, until, false).await;
        let claimed = heard(Heard::of_claim, &answer);
        (claimed, answer.ok().and_then(|answer| answer.context))
    }

    /// The code for a login that names a site or a request, if the person may have it.
    async fn grant(&self, context: Option<Box<Context>>, user: Option<User>) -> Result<Code, NotGranted> {
        let (Some(provider), Some(context)) = (&self.scans.provider, context) else {
            return Err(NotGranted::UnknownSite);
        };
        let person = self.scan.openid.clone();
        let scanned = match user {
            Some(User { unionid, nickname, picture, .. }) => Scanned { person, unionid, nickname, picture },
            None => Scanned { person, unionid: None, nickname: None, picture: None },
        };
        let granting = provider.grant(&context, scanned);
        tokio::time::timeout(self.scans.times.grant, granting).await.unwrap_or_else(|_| {
            Err(NotGranted::Store(StoreError(format!("not within {:?}", self.scans.times.grant))))
        })
    }

    async fn deny(&self, before: Before) -> Heard {
        let Scan { scene, openid, .. } = self.scan;
        let deny = Notice::Deny { scene: *scene, by: Some(openid.to_string()) };
        let until = self.until(before.keeps_asking(), self.scans.times.scan);
        heard(Heard::of_denial, &gateway::ask(&self.scans.gateway, &deny, until, false).await)
    }

    /// Ends the login as granted. Once the end may have been recorded, the notice is repeated until that is clear,
    /// although the phone has been told to look at the page: a recorded login is counted.
    async fn end(&self, nickname: Option<String>, code: Option<Code>, keeps_asking: bool) -> Heard {
        let Scan { scene, openid, .. } = self.scan;
        let scan = Notice::Scan { scene: *scene, nickname, code, by: Some(openid.to_string()) };
        let until = self.until(keeps_asking, self.scans.times.scan);
        let answer = match gateway::ask(&self.scans.gateway, &scan, until, false).await {
            Err(NoAnswer::Unknown) => {
                gateway::ask(&self.scans.gateway, &scan, self.until(true, self.scans.times.scan), true).await
            }
            clear => clear,
        };
        heard(Heard::of_end, &answer)
    }

    /// When an unclear notice is given up: after `otherwise`, or much later for a person who watches the page.
    fn until(&self, keeps_asking: bool, otherwise: Duration) -> Instant {
        self.arrived + if keeps_asking { self.scans.times.clear } else { otherwise }
    }

    async fn count(&self, nickname: Option<String>) -> PhoneReply {
        let (store, scan, name) = (Arc::clone(&self.scans.store), self.scan.clone(), nickname.clone());
        let counted = async move { store.record(&scan, name.as_deref()).await };
        match self.scans.done_in_time(counted).await {
            Ok(recorded) => logged_in(recorded),
            Err(error) => {
                tracing::error!("a login is recorded but perhaps not counted: {error}");
                PhoneReply::LoggedIn { first: self.scan.first, nickname, count: None }
            }
        }
    }
}

/// What an answer says. A refusal is told in the log, because an operator can end it.
fn heard(read: fn(&Result<Answer, NoAnswer>) -> Heard, answer: &Result<Answer, NoAnswer>) -> Heard {
    let heard = read(answer);
    if let (Heard::Refused, Ok(answer)) = (heard, answer) {
        let (status, message) = (answer.status.as_str(), answer.message.as_deref().unwrap_or_default());
        tracing::error!(status, "the gateway did not take a notice: {message:?}; check the client's rights");
    }
    heard
}

fn logged_in(recorded: Recorded) -> PhoneReply {
    let Recorded { first, nickname, count } = recorded;
    PhoneReply::LoggedIn { first, nickname, count: Some(count) }
}
