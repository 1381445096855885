//! One attempt to log a person in: recall, claim, end, count. It asks and remembers; `verdict` decides.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use protocol::{Answer, NoAnswer, Notice};
use tokio::time::Instant;

use super::verdict::{self, Before, Heard, Next};
use super::words::PhoneReply;
use super::{Scans, gateway};
use crate::store::{Memory, Recorded, Scan};

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
        let nickname = self.scans.nicknames.ask(&self.scan.openid);
        match verdict::after_claim(before, self.claim(before).await) {
            Next::Tell(reply) => return reply,
            Next::Deny => return verdict::after_denial(self.deny(before).await),
            Next::End => {}
        }
        let nickname = nickname.await;
        let is_noted = self.scans.in_time(self.scans.store.attempt(self.scan)).await.is_ok();
        let end = self.end(nickname.clone(), before.keeps_asking() || !is_noted).await;
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

    async fn claim(&self, before: Before) -> Heard {
        let Scan { scene, openid, .. } = self.scan;
        let claim = Notice::Claim { scene: *scene, by: openid.to_string(), number: None };
        let until = self.until(before.keeps_asking(), self.scans.times.claim);
        heard(Heard::of_claim, &gateway::ask(&self.scans.gateway, &claim, until, false).await)
    }

    async fn deny(&self, before: Before) -> Heard {
        let Scan { scene, openid, .. } = self.scan;
        let deny = Notice::Deny { scene: *scene, by: Some(openid.to_string()) };
        let until = self.until(before.keeps_asking(), self.scans.times.scan);
        heard(Heard::of_denial, &gateway::ask(&self.scans.gateway, &deny, until, false).await)
    }

    /// Ends the login as granted. Once the end may have been recorded, the notice is repeated until that is clear,
    /// although the phone has been told to look at the page: a recorded login is counted.
    async fn end(&self, nickname: Option<String>, keeps_asking: bool) -> Heard {
        let Scan { scene, openid, .. } = self.scan;
        let scan = Notice::Scan { scene: *scene, nickname, code: None, by: Some(openid.to_string()) };
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
