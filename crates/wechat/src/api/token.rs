//! The access token: fetched when first needed, shared by all calls, renewed before it expires.
//!
//! It comes from `stable_token` in normal mode, which gives every process of an account the same token. With
//! the older `token` call the gateway and callback-service would invalidate each other's token. One fetch runs
//! at a time, and all callers who wait for it share its outcome, even a failure. A token that WeChat refuses early
//! is replaced once for all callers that were refused with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::breaker::Breaker;
use super::call::TOKEN;
use super::error::Error;
use super::exchange::Api;
use super::policy::{Limits, Tries};
use super::theft::Thefts;

/// WeChat gives out the next token during the last five minutes of the present one, and accepts both meanwhile.
/// Asking earlier returns the same token.
const RENEWAL_WINDOW: Duration = Duration::from_secs(300);

/// The longest life of a token, whatever an answer says.
const MAX_LIFE: Duration = Duration::from_secs(7200);

/// A token that gives access to the whole account: `Debug` prints stars, and there is no `Display`.
#[derive(Clone)]
pub(crate) struct AccessToken {
    text: SecretString,
    /// The number of the fetch that brought it. It tells a token that failed from a later one, even if WeChat
    /// gives the same text again.
    fetch: u64,
    /// When WeChat takes it no more, if it is not replaced before.
    ends_at: Instant,
}

impl AccessToken {
    /// The text, only for the `access_token` parameter of a call.
    pub(crate) fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The same for another program of the account's owner.
    pub(crate) fn shared(&self) -> SharedToken {
        let left = self.ends_at.saturating_duration_since(Instant::now());
        SharedToken { text: self.text.clone(), left }
    }

    fn is_same_text(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken(***, fetch {})", self.fetch)
    }
}

/// The account's access token, for another program of its owner: whoever has it can do everything that the account can.
#[derive(Debug, Clone)]
pub struct SharedToken {
    /// The token.
    pub text: SecretString,
    /// How long WeChat still takes it.
    pub left: Duration,
}

/// The one token of an account, and its fetching.
pub(crate) struct Tokens {
    api: Arc<Api>,
    app_id: String,
    app_secret: SecretString,
    limits: Limits,
    breaker: Breaker,
    state: Mutex<State>,
    /// Held during a fetch.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    token: Option<(AccessToken, Instant)>,
    /// Fetches ended so far, successful or not.
    fetches: u64,
    /// The last fetch's failure, for the callers that waited for it.
    failure: Option<Error>,
    /// The token that WeChat refused early and that is being replaced.
    refused: Option<AccessToken>,
    thefts: Thefts,
}

impl State {
    fn fresh(&self, now: Instant) -> Option<AccessToken> {
        self.token.as_ref().filter(|(_, renew_at)| now < *renew_at).map(|(token, _)| token.clone())
    }
}

impl Tokens {
    /// What WeChat refuses with when it is asked for a token, as long as it does.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.breaker.refusal()
    }

    /// The account's appid and AppSecret, for the calls that take them in place of a token.
    pub(crate) fn credentials(&self) -> (&str, &SecretString) {
        (&self.app_id, &self.app_secret)
    }

    pub(crate) fn new(api: Arc<Api>, app_id: String, app_secret: SecretString, limits: Limits) -> Self {
        let breaker = Breaker::new(TOKEN, limits.probe);
        let (state, fetching) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { api, app_id, app_secret, limits, breaker, state, fetching }
    }

    /// The breaker of the token call.
    pub(super) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The present token, fetched if necessary.
    pub(crate) async fn current(self: &Arc<Self>) -> Result<AccessToken, Error> {
        let seen = {
            let state = self.state.lock();
            if let Some(token) = state.fresh(Instant::now()) {
                return Ok(token);
            }
            state.fetches
        };
        // The fetch has its own task, so that it goes on when a caller gives up. Otherwise callers with little
        // patience would never get a slow fetch's token.
        let tokens = Arc::clone(self);
        let renewal = tokio::spawn(async move { tokens.renew(seen).await });
        renewal.await.unwrap_or_else(|_| {
            Err(Error::Transport { call: TOKEN, reason: "the runtime is stopping".to_owned() })
        })
    }

    /// A token in place of one that WeChat has just refused. Its text is the same if WeChat has no other.
    ///
    /// # Errors
    /// A failure of the token call, or `refusal` itself when tokens are refused too often.
    pub(crate) async fn instead_of(
        self: &Arc<Self>,
        failed: &AccessToken,
        refusal: Error,
    ) -> Result<AccessToken, Error> {
        {
            let (mut state, now) = (self.state.lock(), Instant::now());
            // Another caller may have replaced the token already, or it may have expired meanwhile.
            if state.fresh(now).is_some_and(|token| token.fetch == failed.fetch) {
                if !state.thefts.may_replace(now) {
                    return Err(refusal);
                }
                state.refused = state.token.take().map(|(token, _)| token);
            }
        }
        self.current().await
    }

    /// Fetches a token. If another fetch ended while this one waited for its turn, that outcome is used.
    async fn renew(&self, seen: u64) -> Result<AccessToken, Error> {
        let _turn = self.fetching.lock().await;
        {
            let state = self.state.lock();
            if let Some(token) = state.fresh(Instant::now()) {
                return Ok(token);
            }
            if let Some(failure) = state.failure.as_ref().filter(|_| state.fetches != seen) {
                return Err(failure.clone());
            }
        }
        let pass = self.breaker.admit()?;
        let outcome = tokio::time::timeout(self.limits.call, self.tries())
            .await
            .unwrap_or(Err(Error::Timeout { call: TOKEN }));
        self.breaker.report(pass, &outcome);
        let mut state = self.state.lock();
        state.fetches += 1;
        match outcome {
            Ok((response, asked_at)) => {
                let life = Duration::from_secs(response.expires_in.into()).min(MAX_LIFE);
                let (text, ends_at) = (response.access_token.into(), asked_at + life);
                let token = AccessToken { text, fetch: state.fetches, ends_at };
                state.token = Some((token.clone(), ends_at - margin(life)));
                state.failure = None;
                if state.refused.take().is_some_and(|refused| !refused.is_same_text(&token)) {
                    state.thefts.stolen(Instant::now());
                }
                tracing::debug!(life_s = life.as_secs(), "access token fetched");
                Ok(token)
            }
            Err(error) => {
                state.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Asks as often as the failures allow. The answer comes with the time of its question: the token's life is
    /// counted from there, so that a slow answer cannot lengthen it.
    async fn tries(&self) -> Result<(Response, Instant), Error> {
        let mut tries = Tries::new(&self.limits);
        loop {
            let asked_at = Instant::now();
            let error = match self.fetch().await {
                Ok(response) => return Ok((response, asked_at)),
                Err(error) => error,
            };
            if !tries.again(&error).await {
                return Err(error);
            }
        }
    }

    async fn fetch(&self) -> Result<Response, Error> {
        let request = Request {
            grant_type: "client_credential",
            appid: &self.app_id,
            secret: self.app_secret.expose_secret(),
            force_refresh: false,
        };
        let response: Response = self.api.exchange(TOKEN, self.api.post(TOKEN).json(&request)).await?;
        if response.access_token.is_empty() {
            return Err(Error::Decode { call: TOKEN, reason: "its access_token is empty".to_owned() });
        }
        Ok(response)
    }
}

/// How long before its end a token is renewed: the time in which WeChat has a newer one, but at most half of
/// its remaining life. A token can arrive with exactly 300 s left; half of that keeps it usable.
fn margin(life: Duration) -> Duration {
    RENEWAL_WINDOW.min(life / 2)
}

#[derive(Serialize)]
struct Request<'a> {
    grant_type: &'static str,
    appid: &'a str,
    secret: &'a str,
    force_refresh: bool,
}

#[derive(Deserialize)]
struct Response {
    access_token: String,
    expires_in: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_positive_and_leaves_the_token_usable_for_every_life() {
        for seconds in [2, 299, 300, 301, 600, 7199, 7200] {
            let life = Duration::from_secs(seconds);
            assert!(margin(life) > Duration::ZERO && margin(life) < life, "{seconds}");
        }
        assert_eq!(margin(Duration::from_secs(7200)), RENEWAL_WINDOW);
        assert_eq!(margin(Duration::from_secs(300)), Duration::from_secs(150));
    }

    #[test]
    fn a_token_is_fresh_until_its_renewal_and_not_at_it() {
        let now = Instant::now();
        let token = AccessToken { text: "T".into(), fetch: 1, ends_at: now };
        let renew_at = now + Duration::from_secs(10);
        let state = State { token: Some((token, renew_at)), ..State::default() };
        assert!(state.fresh(now).is_some());
        assert!(state.fresh(renew_at).is_none());
    }

    #[test]
    fn debug_prints_stars() {
        let token = AccessToken { text: "SECRET".into(), fetch: 1, ends_at: Instant::now() };
        let text = format!("{token:?} {:?}", token.shared());
        assert!(text.contains("***") && !text.contains("SECRET"), "{text}");
    }
}
