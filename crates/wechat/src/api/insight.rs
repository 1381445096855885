//! What WeChat itself sees of the account, for an operator who looks for a fault: whether WeChat answers and what time it has
//! there, what is left of a day's quota, a refused call, and the addresses of the push URL.
//!
//! None of it takes anything of the quota of logins. `POST /cgi-bin/openapi/quota/get` is WeChat's page "Query API call
//! quota", `POST /cgi-bin/openapi/rid/get` is "Query rid information", and `POST /cgi-bin/callback/check` is "Network
//! detection".

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::call::{CALLBACK_CHECK, CALLBACK_IPS, QR_CODE, QUOTA, RID};
use super::meter::Free;
use super::{Client, Error};

/// WeChat has answered, whatever it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// WeChat's time when it answered, to the second, if the answer had a `Date`. A proxy may have written it.
    pub date: Option<SystemTime>,
    /// The variable that names the proxy on the way, such as `HTTPS_PROXY`, where there is one.
    pub proxy: Option<&'static str>,
}

/// What an account may do of one kind of call in a day. WeChat counts to about 1 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Calls in a day.
    pub limit: u64,
    /// Calls made today.
    pub used: u64,
    /// Calls left today.
    pub left: u64,
}

/// A call that WeChat refused, as WeChat remembers it for seven days.
///
/// WeChat also gives the call's query and body. They hold the access token and the AppSecret, so they are not kept here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCall {
    /// When WeChat got it, to the second.
    pub at: SystemTime,
    /// The address that it came from.
    pub client: String,
    /// How long it took WeChat.
    pub took: Duration,
}

/// How WeChat finds the push URL that the account's console has. WeChat does not ask the URL itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallbackCheck {
    /// The addresses that WeChat finds for the URL's host.
    pub addresses: Vec<IpAddr>,
    /// One ping to each of them. Many hosts answer none, so a lost one proves nothing.
    pub pings: Vec<Ping>,
}

/// A ping of WeChat's to an address of the push URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// Where to.
    pub address: IpAddr,
    /// The network it came from, by WeChat's name: `CAP` is Tencent's own.
    pub from: String,
    /// Whether no answer came.
    pub is_lost: bool,
}

impl Client {
    /// Asks WeChat for nothing, without a token: any answer shows that WeChat can be reached.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Transport`] or [`Error::Timeout`]. It is asked once.
    pub async fn reach(&self) -> Result<Reached, Error> {
        let date = self.api.date(CALLBACK_IPS, self.api.get(CALLBACK_IPS)).await?;
        Ok(Reached { date, proxy: self.api.proxy() })
    }

    /// What is left of the day's QR codes.
    ///
    /// # Errors
    /// Any [`Error`]; while the breaker is open, the refusal that opened it.
    pub async fn qr_quota(&self) -> Result<Quota, Error> {
        self.quota(QR_CODE).await
    }

    /// What is left of the day's calls of one kind, by its path: `/cgi-bin/…`.
    ///
    /// # Errors
    /// Any [`Error`]; while the breaker is open, the refusal that opened it. WeChat knows no quota of `/sns/` (76022).
    pub async fn quota(&self, path: &str) -> Result<Quota, Error> {
        let request = QuotaRequest { cgi_path: path };
        let answer: QuotaAnswer = self
            .call(&self.breakers.quota, &Free, |api, token| {
                api.post(QUOTA).query(&[("access_token", token.expose())]).json(&request)
            })
            .await?;
        let QuotaOfDay { daily_limit, used, remain } = answer.quota;
        Ok(Quota { limit: daily_limit, used, left: remain })
    }

    /// What WeChat remembers of a refused call, by [`Error::rid`].
    ///
    /// # Errors
    /// Any [`Error`]; 76001 when WeChat does not know the rid, or no longer.
    pub async fn refused_call(&self, rid: &str) -> Result<RefusedCall, Error> {
        let request = RidRequest { rid };
        let RidAnswer { request: call } = self
            .call(&self.breakers.rid, &Free, |api, token| {
                api.post(RID).query(&[("access_token", token.expose())]).json(&request)
            })
            .await?;
        Ok(RefusedCall {
            at: UNIX_EPOCH + Duration::from_secs(call.invoke_time),
            client: call.client_ip.chars().filter(|c| !c.is_control()).take(MAX_WORD).collect(),
            took: Duration::from_millis(call.cost_in_ms),
        })
    }

    /// Lets WeChat resolve the host of the push URL, and ping each of its addresses once.
    ///
    /// # Errors
    /// Any [`Error`]; 40201 when the account has no push URL.
    pub async fn callback_check(&self) -> Result<CallbackCheck, Error> {
        let request = CheckRequest { action: "all", check_operator: "DEFAULT" };
        let answer: CheckAnswer = self
            .call(&self.breakers.callback_check, &Free, |api, token| {
                api.post(CALLBACK_CHECK).query(&[("access_token", token.expose())]).json(&request)
            })
            .await?;
        Ok(CallbackCheck {
            addresses: answer.dns.into_iter().map(|found| found.ip).collect(),
            pings: answer.ping.into_iter().map(Ping::from).collect(),
        })
    }
}

/// The longest word of WeChat's that is kept, in characters: an IPv6 address has 39.
const MAX_WORD: usize = 64;

impl From<PingAnswer> for Ping {
    fn from(answer: PingAnswer) -> Self {
        let from = answer.from_operator.chars().filter(|c| !c.is_control()).take(MAX_WORD).collect();
        // One ping is sent, so it is 0 or 100 %.
        Self { address: answer.ip, from, is_lost: answer.package_loss.trim() != "0%" }
    }
}

#[derive(Serialize)]
struct QuotaRequest<'a> {
    cgi_path: &'a str,
}

#[derive(Deserialize)]
struct QuotaAnswer {
    quota: QuotaOfDay,
}

#[derive(Deserialize)]
struct QuotaOfDay {
    daily_limit: u64,
    used: u64,
    remain: u64,
}

#[derive(Serialize)]
struct RidRequest<'a> {
    rid: &'a str,
}

#[derive(Deserialize)]
struct RidAnswer {
    request: Remembered,
}

#[derive(Deserialize)]
struct Remembered {
    invoke_time: u64,
    #[serde(default)]
    cost_in_ms: u64,
    #[serde(default)]
    client_ip: String,
}

#[derive(Serialize)]
struct CheckRequest {
    action: &'static str,
    check_operator: &'static str,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CheckAnswer {
    dns: Vec<Found>,
    ping: Vec<PingAnswer>,
}

#[derive(Deserialize)]
struct Found {
    ip: IpAddr,
}

#[derive(Deserialize)]
struct PingAnswer {
    ip: IpAddr,
    #[serde(default)]
    from_operator: String,
    #[serde(default)]
    package_loss: String,
}
