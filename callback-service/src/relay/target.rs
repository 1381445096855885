//! One address of a back end, and the HTTP of it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::answer::{Answer, Fault, MAX_ANSWER};
use super::breaker;
use super::host::Host;
use super::original::Original;
use super::routes::is_here;

/// Who had less time than this is not to blame for being late.
const FAIR: Duration = Duration::from_secs(2);

/// An address.
#[derive(Debug)]
pub(super) struct Target {
    url: Url,
    client: Client,
    host: Arc<Host>,
}

impl Target {
    pub(super) fn new(url: Url, shared: &Shared) -> Self {
        let client = if is_here(&url) { &shared.here } else { &shared.outside };
        Self { client: client.clone(), host: shared.host(url.origin().ascii_serialization()), url }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Sends a push there, and reads the answer, in time.
    pub(super) async fn post(&self, original: &Original, until: Instant) -> Result<Answer, Fault> {
        let Ok(_place) = self.host.places.try_acquire() else { return Err(Fault::Full) };
        let began = Instant::now();
        if !self.host.breaker.admits(began) {
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
        let Host { at, breaker, .. } = self.host();
        if !has_failed && breaker.succeeded() {
            tracing::info!("{at} (CALLBACK_RELAY_URL) answers again");
        }
        if has_failed && breaker.failed(Instant::now()) {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::IpAddr;
    use std::time::Duration;

    use http::HeaderMap;
    use server::stop::Drain;

    use super::*;
    use crate::relay::{Metrics, host};

    fn shared() -> Shared {
        let drain = Drain::new(Duration::from_secs(1));
        let (counted, limits) = (Metrics::default(), crate::metrics::Metrics::default().limits);
        Shared::new(&drain, counted, limits).unwrap()
    }

    fn target(url: &str) -> Target {
        Target::new(url.parse().unwrap(), &shared())
    }

    async fn post(target: &Target, until: Instant) -> Fault {
        let from = IpAddr::from([192, 0, 2, 1]);
        let original = Original::new("signature=SECRET", &HeaderMap::new(), from, b"SECRET".to_vec());
        target.post(&original, until).await.unwrap_err()
    }

    /// Nobody listens at the port.
    fn nowhere() -> String {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        format!("http://127.0.0.1:{port}/SECRET?key=SECRET")
    }

    #[tokio::test]
    async fn a_fault_says_nothing_of_the_address_but_its_host() {
        let target = target(&nowhere());
        let told = post(&target, Instant::now() + FAIR).await.to_string();
        assert!(told.starts_with("it cannot be reached: ") && !told.contains("SECRET"), "{told}");
        assert!(target.host.at.starts_with("http://127.0.0.1:") && !target.host.at.contains("SECRET"));
    }

    #[tokio::test]
    async fn an_address_that_fails_is_left_alone_and_a_push_without_time_is_not_its_fault() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = target(&format!("http://{}/", listener.local_addr().unwrap()));
        for _ in 0..20 {
            let fault = post(&silent, Instant::now() + Duration::from_millis(10)).await;
            assert!(matches!(fault, Fault::Late(_)), "{fault}");
        }
        let gone = target(&nowhere());
        let mut failures = 0;
        while !matches!(post(&gone, Instant::now() + FAIR).await, Fault::Open) {
            failures += 1;
        }
        assert_eq!(failures, 5);
    }

    /// Of whichever account.
    #[tokio::test]
    async fn addresses_on_one_host_share_its_places_and_its_breaker() {
        let (shared, one) = (shared(), nowhere());
        let [one, other] = [one.clone(), one.replace("key=", "other=")]
            .map(|url| Target::new(url.parse().unwrap(), &shared));
        assert!(Arc::ptr_eq(&one.host, &other.host));
        while !matches!(post(&one, Instant::now() + FAIR).await, Fault::Open) {}
        assert!(matches!(post(&other, Instant::now() + FAIR).await, Fault::Open));
        let elsewhere = Target::new(nowhere().parse().unwrap(), &shared);
        assert!(matches!(post(&elsewhere, Instant::now() + FAIR).await, Fault::Failed(_)));
    }

    #[tokio::test]
    async fn one_more_than_there_are_places_is_not_sent() {
        let target = target(&nowhere());
        let places = target.host.places.try_acquire_many(u32::try_from(host::MOST).unwrap()).unwrap();
        assert!(matches!(post(&target, Instant::now() + FAIR).await, Fault::Full));
        drop(places);
        assert!(matches!(post(&target, Instant::now() + FAIR).await, Fault::Failed(_)));
    }
}
