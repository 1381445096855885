//! What is believed of a request: size, time and signature first, then the body, and in plaintext mode the replay guard.

use std::time::Duration;

use http::StatusCode;
use hyper::body::{Body, Incoming};
use server::http as web;
use server::{clock, tell};
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;
use wechat::push::{MAX_BODY, Push, Query, Refusal};

use super::{Pushes, bodies};
use crate::store::StoreError;

/// A push's body must have come within this. WeChat gives up after 5 s in all.
const BODY_WITHIN: Duration = Duration::from_millis(1500);

/// The body of a believed push, as it came, and its room.
pub(super) struct Kept<'p> {
    pub bytes: Vec<u8>,
    _room: SemaphorePermit<'p>,
}

/// Why a request is not believed, or cannot be read.
pub(super) enum Unbelieved {
    /// A check failed.
    Refused(Refusal),
    /// There is no body to check: the status, and the words for the log.
    NotRead(StatusCode, String),
    /// The store cannot say whether the signature was used before.
    Store(StoreError),
}

impl From<StoreError> for Unbelieved {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Unbelieved {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Pushes {
    /// What to echo to a verification of the address.
    pub(super) async fn echo(&self, raw: &str) -> Result<String, Unbelieved> {
        let (query, now) = (Query::parse(raw)?, clock::unix_now());
        let echo = self.endpoint.verify_url(&query, now);
        if let Some(guard) = &self.replay {
            // No push may come with this signature, whether it is fresh or old.
            guard.use_up(&self.endpoint, &query, now).await?;
        }
        let echo = echo?;
        tell!(info, self.told, "verified", "WeChat has verified the address");
        Ok(echo)
    }

    /// The push that a POST brings, if it is believed; with its body where another back end may get it.
    pub(super) async fn believe(
        &self,
        raw: &str,
        body: Incoming,
        arrived: Instant,
    ) -> Result<(Push, Option<Kept<'_>>), Unbelieved> {
        let now = clock::unix_now();
        let query = match self.check(raw, now).await {
            Ok(query) => query,
            Err(unbelieved) => {
                // Nothing of the body is kept.
                web::discard(body).await;
                return Err(unbelieved);
            }
        };
        let left = || BODY_WITHIN.saturating_sub(arrived.elapsed());
        let Some(mut room) = self.bodies.room(body.size_hint().exact(), left()).await else {
            self.metrics.limits.hit("callback_service::pushes::bodies");
            let full = "too many large bodies at once".to_owned();
            return Err(Unbelieved::NotRead(StatusCode::SERVICE_UNAVAILABLE, full));
        };
        let body = web::read_body(body, MAX_BODY, left()).await.map_err(|error| match error {
            web::BodyError::TooLarge => {
                self.metrics.limits.hit("wechat::push");
                Refusal::TooLarge.into()
            }
            error => Unbelieved::NotRead(error.status(), error.to_string()),
        })?;
        // It is kept for as long as the login takes, and logins must not wait for each other.
        bodies::shrink(&mut room, body.len());
        match &self.replay {
            // This also notes a push that cannot be read.
            Some(guard) if !guard.admits(&self.endpoint, &query, &body, now).await? => {
                return Err(Refusal::Signature.into());
            }
            _ => {}
        }
        let push = self.endpoint.open(&query, &body, now)?;
        Ok((push, self.relay.is_some().then_some(Kept { bytes: body, _room: room })))
    }

    /// What the query proves without the body.
    async fn check(&self, raw: &str, now: u64) -> Result<Query, Unbelieved> {
        let query = Query::parse(raw)?;
        let checked = self.endpoint.check_query(&query, now);
        if let Some(guard) = &self.replay {
            if let Err(Refusal::Stale { ahead: false, .. } | Refusal::Encrypted) = checked {
                // Its signature was seen, and could come again in another form.
                guard.use_up(&self.endpoint, &query, now).await?;
            }
            checked?;
            guard.is_remembered(&query)?;
        }
        checked?;
        Ok(query)
    }
}
