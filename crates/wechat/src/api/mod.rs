//! The few calls of WeChat's API that a scan login needs.
//!
//! The gateway asks [`Client::create_qr_code`] for a picture that carries a login's scene. callback-service
//! asks [`Client::user`] who scanned it. Both need an access token: `token` fetches, shares and renews it, and
//! `theft` notices when another system replaces it. [`Client::web_user`] asks whose the code of a web authorization is,
//! without that token. For an operator who looks for a fault, `insight` asks what WeChat itself sees. `exchange` is the only module that speaks HTTP. `error`
//! classifies failures and says what an operator can do. `policy` decides what follows from each class. A
//! `breaker` stops repeats of a call that WeChat refuses. A `meter` pays for the requests that are really sent, and
//! [`CallMetrics`] counts them for the operator.

mod breaker;
mod call;
mod error;
mod exchange;
mod insight;
mod meter;
mod metrics;
mod policy;
mod qr;
mod theft;
mod token;
mod user;
mod web;

#[cfg(test)]
mod logged;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::RequestBuilder;
use secrecy::SecretString;
use serde::de::DeserializeOwned;

pub use self::error::{Class, Error};
pub use self::exchange::is_simulated;
pub use self::insight::{CallbackCheck, Ping, Quota, Reached, RefusedCall};
pub use self::meter::{Meter, Unmade};
pub use self::metrics::CallMetrics;
pub use self::qr::{MAX_EXPIRE, OFFICIAL_QR_URL, QrCode, show_qr_code_url};
pub use self::token::SharedToken;
pub use self::user::{MAX_NICKNAME, User};
pub use self::web::{NoWebUser, OFFICIAL_OPEN_URL, Scope, WebUser, authorize_url};

use self::breaker::Breaker;
use self::exchange::Api;
use self::policy::{Limits, Tries};
use self::token::{AccessToken, Tokens};

/// WeChat's nearest API host (its guide, "API domains").
pub const OFFICIAL_API_URL: &str = "https://api.weixin.qq.com";

/// Limit for one call, including a token fetch and all tries. A page or a phone waits for it, and WeChat itself
/// answers in tens of milliseconds.
pub const CALL_LIMIT: Duration = Duration::from_secs(8);

/// The account, and the address of its API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The official account's appid, `wx` and 16 hex digits.
    pub app_id: String,
    /// The official account's AppSecret.
    pub app_secret: SecretString,
    /// Scheme and host of the API: [`OFFICIAL_API_URL`], or a simulator's.
    pub api_url: String,
}

/// An official account's API. Clones share one connection pool, one access token and the breakers.
///
/// Dropping a call's future abandons the call. A token fetch that it has begun still finishes, for the next
/// caller.
#[derive(Clone)]
pub struct Client {
    api: Arc<Api>,
    tokens: Arc<Tokens>,
    breakers: Arc<Breakers>,
    limits: Limits,
}

/// One breaker for each call: WeChat may refuse an account one call and allow another.
struct Breakers {
    qr_code: Breaker,
    user: Breaker,
    web_token: Breaker,
    web_user: Breaker,
    quota: Breaker,
    rid: Breaker,
    callback_check: Breaker,
}

impl Breakers {
    /// Those of the calls that logins need. The token call has its own, and the others are doctor's.
    fn each(&self) -> [&Breaker; 4] {
        [&self.qr_code, &self.user, &self.web_token, &self.web_user]
    }
}

impl Client {
    /// Prepares a client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Setup`] when `api_url` is no http(s) address, or TLS cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Self::with_limits(settings, Limits::default())
    }

    /// As [`Client::new`], with other time limits, so that tests need not wait for seconds.
    pub(crate) fn with_limits(settings: Settings, limits: Limits) -> Result<Self, Error> {
        let api = Arc::new(Api::new(&settings.api_url, limits.one_try)?);
        let tokens = Arc::new(Tokens::new(Arc::clone(&api), settings.app_id, settings.app_secret, limits));
        let breakers = Arc::new(Breakers {
            qr_code: Breaker::new(call::QR_CODE, limits.probe),
            user: Breaker::new(call::USER, limits.probe),
            web_token: Breaker::new(call::WEB_TOKEN, limits.probe),
            web_user: Breaker::new(call::WEB_USER, limits.probe),
            quota: Breaker::new(call::QUOTA, limits.probe),
            rid: Breaker::new(call::RID, limits.probe),
            callback_check: Breaker::new(call::CALLBACK_CHECK, limits.probe),
        });
        Ok(Self { api, tokens, breakers, limits })
    }

    /// The access token, to be shared with another program of the account's owner, which then need not ask WeChat for one.
    ///
    /// # Errors
    /// A failure of the token call.
    pub async fn shared_token(&self) -> Result<SharedToken, Error> {
        Ok(self.tokens.current().await?.shared())
    }

    /// What WeChat refuses at present, each with what an operator can do. Such a call is answered without asking WeChat.
    #[must_use]
    pub fn refusals(&self) -> Vec<Error> {
        let calls = self.breakers.each().into_iter().filter_map(Breaker::refusal);
        self.tokens.refusal().into_iter().chain(calls).collect()
    }

    /// The same account, token and breakers, at another address.
    #[cfg(test)]
    pub(crate) fn with_api(&self, api_url: &str) -> Self {
        let api = Api::new(api_url, self.limits.one_try).map(Arc::new).expect("an address");
        Self { api, ..self.clone() }
    }

    /// Makes one call with an access token, within the time limit, unless its breaker is open.
    async fn call<T: DeserializeOwned, M: Meter>(
        &self,
        breaker: &Breaker,
        meter: &M,
        request: impl Fn(&Api, &AccessToken) -> RequestBuilder,
    ) -> Result<T, Unmade<M::Refusal>> {
        let pass = breaker.admit()?;
        let outcome = tokio::time::timeout(self.limits.call, self.tries(breaker.call(), meter, request))
            .await
            .unwrap_or(Err(Unmade::Failed(Error::Timeout { call: breaker.call() })));
        match outcome {
            Ok(answer) => {
                breaker.succeeded(pass);
                Ok(answer)
            }
            Err(Unmade::Failed(error)) => {
                breaker.failed(&error);
                Err(Unmade::Failed(error))
            }
            Err(Unmade::Unpaid(refusal)) => {
                breaker.unused(pass);
                Err(Unmade::Unpaid(refusal))
            }
        }
    }

    /// Makes the call as often as its failures allow.
    ///
    /// If WeChat refuses the token, the call is made once more with the token that WeChat then gives. That may
    /// be the same token, because WeChat's machines do not all learn of a new one at the same moment. The token
    /// call has its own tries, so its failure is final here.
    async fn tries<T: DeserializeOwned, M: Meter>(
        &self,
        call: &'static str,
        meter: &M,
        request: impl Fn(&Api, &AccessToken) -> RequestBuilder,
    ) -> Result<T, Unmade<M::Refusal>> {
        let mut token = self.tokens.current().await?;
        let (mut tries, mut is_replaced) = (Tries::new(&self.limits), false);
        loop {
            let receipt = meter.pay().await.map_err(Unmade::Unpaid)?;
            let error = match self.api.exchange(call, request(&self.api, &token)).await {
                Err(error) => error,
                Ok(answer) => return Ok(answer),
            };
            if error.was_never_sent() {
                meter.refund(receipt).await;
            }
            if error.class() == Class::Token && !is_replaced {
                token = self.tokens.instead_of(&token, error).await?;
                is_replaced = true;
            } else if !tries.again(&error).await {
                return Err(error.into());
            }
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("api", &self.api).finish_non_exhaustive()
    }
}
