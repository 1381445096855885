//! One address of a back end: its places, its breaker, and the HTTP of it.

use std::time::Duration;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::answer::{Answer, Fault, MAX_ANSWER};
use super::breaker::{self, Breaker};
use super::original::Original;
use super::routes::is_here;

/// Pushes at one address at once: half of what all have, so that one that hangs leaves room for the others.
const MOST: usize = super::MOST / 2;

/// Who had less time than this is not to blame for being late.
const FAIR: Duration = Duration::from_secs(2);

/// An address.
#[derive(Debug)]
pub(super) struct Target {
    url: Url,
    /// Scheme, host and port, for the log: the rest may be a secret.
    at: String,
    client: Client,
    places: Semaphore,
    breaker: Breaker,
}

impl Target {
    pub(super) fn new(url: Url, shared: &Shared) -> Self {
        let client = if is_here(&url) { &shared.here } else { &shared.outside };
        Self {
            at: url.origin().ascii_serialization(),
            client: client.clone(),
            places: Semaphore::new(MOST),
            breaker: Breaker::default(),
            url,
        }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// What the log calls it.
    pub(super) fn at(&self) -> &str {
        &self.at
    }

    /// Sends a push there, and reads the answer, in time.
    pub(super) async fn post(&self, original: &Original, until: Instant) -> Result<Answer, Fault> {
        let Ok(_place) = self.places.try_acquire() else { return Err(Fault::Full) };
        let began = Instant::now();
        if !self.breaker.admits(began) {
            return Err(Fault::Open);
        }
        let given = until.saturating_duration_since(began);
        let answered = timeout_at(until, self.exchange(original)).await;
        let answered = answered.unwrap_or_else(|_| Err(Fault::Late(given)));
        self.note(&answered);
        answered
    }

    /// Lets the breaker know, and tells when it opens and closes.
    fn note(&self, answered: &Result<Answer, Fault>) {
        let has_failed = match answered {
            Err(Fault::Late(given)) if *given < FAIR => return,
            Err(Fault::Late(_) | Fault::Failed(_)) => true,
            Err(Fault::Refused(status)) => status.is_server_error(),
            // It is there, whatever it says.
            Ok(_) | Err(Fault::Unfit(_) | Fault::Open | Fault::Full) => false,
        };
        let at = &self.at;
        if !has_failed && self.breaker.succeeded() {
            tracing::info!("{at} (CALLBACK_RELAY_URL) answers again");
        }
        if has_failed && self.breaker.failed(Instant::now()) {
            let seconds = breaker::OPEN.as_secs();
            tracing::warn!(
                "{at} (CALLBACK_RELAY_URL) has failed several times in a row, and is asked again in {seconds} s; until \
                 then WeChat gets empty answers to what is passed on there"
            );
        }
    }

    async fn exchange(&self, original: &Original) -> Result<Answer, Fault> {
        let request = original.fill(self.client.post(original.at(&self.url)));
        let mut answer = request.send().await.map_err(|error| Fault::Failed(reason(error)))?;
        if answer.status() != StatusCode::OK {
            return Err(Fault::Refused(answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| Fault::Failed(reason(error)))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Fault::Unfit(format!("it has more than {} KiB", MAX_ANSWER / 1024)));
            }
            body.extend_from_slice(&chunk);
        }
        Answer::read(body, answer.headers().get(CONTENT_TYPE))
    }
}

/// The whole reason of a failed request, without its address, whose query is a push's signature.
fn reason(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::from(error.without_url()))
}
