//! The few WeChat API calls a scan login needs.
//!
//! The gateway asks [`Client::create_qr_code`] for a picture that carries a login's scene; callback-service asks
//! [`Client::user`] who scanned it. Both need an access token, which `token` fetches, shares and renews out of
//! sight. `api` is the one place that speaks HTTP, and `error` says what an operator can do about a refusal.

mod api;
mod error;
mod qr;
mod token;
mod user;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::RequestBuilder;
use secrecy::SecretString;
use serde::de::DeserializeOwned;

pub use error::{Class, Error};
pub use qr::{MAX_EXPIRE, OFFICIAL_QR_URL, QrCode, show_qr_code_url};
pub use user::{MAX_NICKNAME, User};

use api::Api;
use token::{AccessToken, Tokens};

/// WeChat's nearest API host (its guide, "API domains").
pub const OFFICIAL_API_URL: &str = "https://api.weixin.qq.com";

/// How long one call may take, with the token it may have to fetch and its one retry: a page or a phone waits for it,
/// and WeChat itself answers in tens of milliseconds.
pub const CALL_LIMIT: Duration = Duration::from_secs(5);

/// Which account to speak for, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The official account's appid, `wx` and 16 hex digits.
    pub app_id: String,
    /// The official account's AppSecret.
    pub app_secret: SecretString,
    /// Scheme and host of the API: [`OFFICIAL_API_URL`], or a simulator's.
    pub api_url: String,
}

/// An official account's API. Clones share one connection pool and one access token.
///
/// A call whose future is dropped is abandoned; a token fetch it had begun still finishes, for the next caller.
#[derive(Clone)]
pub struct Client {
    api: Arc<Api>,
    tokens: Arc<Tokens>,
    limit: Duration,
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Setup`] when `api_url` is no http(s) address, or TLS cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Self::with_limit(settings, CALL_LIMIT)
    }

    /// As [`Client::new`], with another limit for a whole call, so that tests need not wait for seconds.
    pub(crate) fn with_limit(settings: Settings, limit: Duration) -> Result<Self, Error> {
        let api = Arc::new(Api::new(&settings.api_url)?);
        let tokens = Arc::new(Tokens::new(Arc::clone(&api), settings.app_id, settings.app_secret, limit));
        Ok(Self { api, tokens, limit })
    }

    /// Makes one call with an access token, within the limit.
    ///
    /// When WeChat says that the token is no good, the call is made once more with another token; if there is no other
    /// to be had, WeChat's refusal stands.
    async fn call<T: DeserializeOwned>(
        &self,
        call: &'static str,
        request: impl Fn(&Api, &AccessToken) -> RequestBuilder,
    ) -> Result<T, Error> {
        let attempts = async {
            let token = self.tokens.current().await?;
            let refused = match self.api.exchange(call, request(&self.api, &token)).await {
                Err(error) if error.class() == Class::Token => error,
                done => return done,
            };
            let other = self.tokens.instead_of(&token).await?;
            if other.is_same_text(&token) {
                return Err(refused);
            }
            self.api.exchange(call, request(&self.api, &other)).await
        };
        tokio::time::timeout(self.limit, attempts).await.unwrap_or(Err(Error::Timeout { call }))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("api", &self.api).finish_non_exhaustive()
    }
}
