//! What another back end gets of an account's pushes: what is not ours, and copies of some that are.

use tokio::time::Instant;
use wechat::push::{Kind, Push};

use super::belief::Kept;
use super::events::Said;
use super::{Asked, Pushes};
use crate::relay::{self, Answer, HOPS, Original};

/// A believed push that another back end may get, as it came.
pub(super) struct Raw<'r> {
    asked: &'r Asked<'r>,
    body: Kept<'r>,
}

impl Raw<'_> {
    /// Gives the room of its body back: from here on the relay's own limits hold.
    fn original(self) -> Original {
        let Asked { query, headers, from, .. } = *self.asked;
        Original::new(query, headers, from, self.body.bytes)
    }
}

impl Pushes {
    /// A push that may be passed on; nothing where there is no relay, or the push has come from one.
    pub(super) fn to_pass_on<'r>(&self, asked: &'r Asked<'r>, body: Option<Kept<'r>>) -> Option<Raw<'r>> {
        let (relay, body) = self.relay.as_ref().zip(body)?;
        if asked.headers.contains_key(HOPS) {
            relay.tell_of_a_loop();
            return None;
        }
        Some(Raw { asked, body })
    }

    /// Passes on a push that is not ours, and gives the answer, which may be empty. `Err` gives the push back where nobody
    /// takes its kind.
    pub(super) async fn pass_on<'r>(
        &self,
        push: &Push,
        said: &Said,
        raw: Raw<'r>,
        arrived: Instant,
    ) -> Result<Option<Answer>, Raw<'r>> {
        let Some((relay, kind)) =
            self.relay.as_ref().zip(said.not_ours).filter(|(relay, kind)| relay.takes(*kind))
        else {
            return Err(raw);
        };
        let judge = |answer: &str| self.endpoint.judge(push, answer).map_err(|unfit| unfit.to_string());
        Ok(relay.ask(kind, raw.original(), arrived, judge).await)
    }

    /// Sends a copy of a push that is ours, if another back end wants one.
    pub(super) fn copy(&self, push: &Push, said: &Said, raw: Raw<'_>) {
        let kind = match &push.kind {
            Kind::Unsubscribe => relay::Kind::Follows,
            Kind::Subscribe { .. } if said.not_ours.is_none() || said.is_doubtful => relay::Kind::Copies,
            _ => return,
        };
        if let Some(relay) = self.relay.as_ref().filter(|relay| relay.takes(kind)) {
            relay.copy(kind, raw.original());
        }
    }
}
