//! Faults that can be switched on and healed while the simulator runs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lock;
use crate::web::WebFaults;

/// A call of WeChat's API that a switch can make fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `POST /cgi-bin/stable_token`.
    StableToken,
    /// `GET /cgi-bin/token`.
    Token,
    /// `POST /cgi-bin/qrcode/create`.
    QrcodeCreate,
    /// `GET /cgi-bin/showqrcode`.
    Showqrcode,
    /// `GET /cgi-bin/user/info`.
    UserInfo,
    /// `GET /sns/oauth2/access_token`.
    WebToken,
    /// `GET /sns/userinfo`.
    WebUser,
    /// `POST /cgi-bin/openapi/quota/get`.
    QuotaGet,
    /// `POST /cgi-bin/openapi/rid/get`.
    RidGet,
    /// `POST /cgi-bin/callback/check`.
    CallbackCheck,
    /// `GET /cgi-bin/getcallbackip`.
    CallbackIps,
}

/// The fault of one call. Every field that is set takes effect, in the order of the fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// The answer comes this many milliseconds late.
    pub delay_ms: u64,
    /// The connection is closed in place of an answer.
    pub hang_up: bool,
    /// The answer has this HTTP status and no JSON.
    pub http_status: Option<u16>,
    /// The answer is this error code of WeChat's.
    pub errcode: Option<i64>,
    /// The fault heals after this many calls; with `None` it never does.
    pub times: Option<u32>,
}

/// The faults of the pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PushFaults {
    /// Each push waits this many milliseconds before its first try.
    pub delay_ms: u64,
    /// Each try is sent this many times at once. 0 and 1 mean the same.
    pub duplicate: u8,
    /// The answers to this many tries of each push are lost, so that WeChat tries again.
    pub lose_answers: u8,
}

impl Default for PushFaults {
    fn default() -> Self {
        Self { delay_ms: 0, duplicate: 1, lose_answers: 0 }
    }
}

/// What WeChat says of the account to whoever asks, where it is not what the simulator itself would find.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Told {
    /// WeChat's clock is this many seconds ahead of this machine's, or behind it: in the `Date` of its answers and in its
    /// pushes.
    pub ahead_s: i64,
    /// The addresses that WeChat finds for the host of the push URL.
    pub addresses: Option<Vec<IpAddr>>,
    /// The pings of WeChat to them are lost.
    pub pings_lost: bool,
    /// Calls of qrcode/create that the account may make in a day, and has made, as the quota says.
    pub qr_quota: Option<(u64, u64)>,
}

/// The present state of every switch; `/control` shows it too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// The calls that have a fault.
    pub api: BTreeMap<Call, Fault>,
    /// The pushes.
    pub push: PushFaults,
    /// Web authorizations.
    pub web: WebFaults,
    /// What WeChat says of the account.
    pub told: Told,
}

/// The switches of a simulator. A change takes effect at the next call or push.
#[derive(Default)]
pub struct Switches(Mutex<Faults>);

impl Switches {
    /// Gives a call a fault, in place of an earlier one.
    pub fn fail(&self, call: Call, fault: Fault) {
        lock(&self.0).api.insert(call, fault);
    }

    /// Takes a call's fault away.
    pub fn heal(&self, call: Call) {
        lock(&self.0).api.remove(&call);
    }

    /// Sets the faults of the pushes.
    pub fn set_push(&self, faults: PushFaults) {
        lock(&self.0).push = faults;
    }

    /// Sets the faults of web authorizations.
    pub fn set_web(&self, faults: WebFaults) {
        lock(&self.0).web = faults;
    }

    /// Sets what WeChat says of the account.
    pub fn set_told(&self, told: Told) {
        lock(&self.0).told = told;
    }

    /// Takes every fault away.
    pub fn heal_all(&self) {
        *lock(&self.0) = Faults::default();
    }

    /// The present state of every switch.
    #[must_use]
    pub fn faults(&self) -> Faults {
        lock(&self.0).clone()
    }

    /// The pushes' faults.
    pub(crate) fn push(&self) -> PushFaults {
        lock(&self.0).push
    }

    /// The web authorizations' faults.
    pub(crate) fn web(&self) -> WebFaults {
        lock(&self.0).web
    }

    /// What WeChat says of the account.
    pub(crate) fn told(&self) -> Told {
        lock(&self.0).told.clone()
    }

    /// The fault for a call that is being made. Its count goes down by one.
    pub(crate) fn take(&self, call: Call) -> Fault {
        let mut faults = lock(&self.0);
        let Some(fault) = faults.api.get_mut(&call) else {
            return Fault::default();
        };
        let taken = *fault;
        match &mut fault.times {
            None => {}
            Some(left @ 2..) => *left -= 1,
            Some(_) => {
                faults.api.remove(&call);
            }
        }
        if taken.times == Some(0) { Fault::default() } else { taken }
    }
}

impl Fault {
    /// A fault that answers with an error code of WeChat's until it is healed.
    #[must_use]
    pub fn errcode(code: i64) -> Self {
        Self { errcode: Some(code), ..Self::default() }
    }

    /// A fault that closes the connection in place of an answer, until it is healed.
    #[must_use]
    pub fn hang_up() -> Self {
        Self { hang_up: true, ..Self::default() }
    }

    /// A fault that makes the answer late.
    #[must_use]
    pub fn delay(delay: Duration) -> Self {
        Self { delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), ..Self::default() }
    }

    /// The same fault, healed after this many calls.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_fault_heals_after_its_count() {
        let switches = Switches::default();
        switches.fail(Call::Token, Fault::errcode(-1).times(2));
        let next = || switches.take(Call::Token).errcode;
        assert_eq!([next(), next(), next()], [Some(-1), Some(-1), None]);
        assert_eq!(switches.faults(), Faults::default());
        switches.fail(Call::Token, Fault::errcode(-1).times(0));
        assert_eq!(next(), None);
    }
}
