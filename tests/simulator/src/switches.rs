//! Live faults: what can be made to go wrong, and heals again, while everything runs.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lock;

/// A call of WeChat's API that can be made to fail.
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
}

/// What goes wrong with one call. Everything that is set happens, in the order of the fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// The answer comes this many milliseconds late.
    pub delay_ms: u64,
    /// The answer has this HTTP status and no JSON.
    pub http_status: Option<u16>,
    /// The answer is this error code of WeChat's.
    pub errcode: Option<i64>,
    /// The fault heals after this many calls; `None` is never.
    pub times: Option<u32>,
}

/// What goes wrong with the pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PushFaults {
    /// Each push waits this many milliseconds before its first try.
    pub delay_ms: u64,
    /// Each try is sent this many times at once; 0 and 1 are the same.
    pub duplicate: u8,
    /// The answers to this many tries of each push are lost, so that WeChat tries again.
    pub lose_answers: u8,
}

impl Default for PushFaults {
    fn default() -> Self {
        Self { delay_ms: 0, duplicate: 1, lose_answers: 0 }
    }
}

/// Every switch as it stands; also what `/control` shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// The calls that have a fault.
    pub api: BTreeMap<Call, Fault>,
    /// The pushes.
    pub push: PushFaults,
}

/// The switches of a simulator. Changes hold from the next call or push on.
#[derive(Default)]
pub struct Switches(Mutex<Faults>);

impl Switches {
    /// Gives a call a fault, in place of the one it had.
    pub fn fail(&self, call: Call, fault: Fault) {
        lock(&self.0).api.insert(call, fault);
    }

    /// Takes a call's fault away.
    pub fn heal(&self, call: Call) {
        lock(&self.0).api.remove(&call);
    }

    /// Sets what goes wrong with the pushes.
    pub fn set_push(&self, faults: PushFaults) {
        lock(&self.0).push = faults;
    }

    /// Takes every fault away.
    pub fn heal_all(&self) {
        *lock(&self.0) = Faults::default();
    }

    /// Every switch as it stands.
    #[must_use]
    pub fn faults(&self) -> Faults {
        lock(&self.0).clone()
    }

    /// The pushes' faults.
    pub(crate) fn push(&self) -> PushFaults {
        lock(&self.0).push
    }

    /// The fault of a call that is being made, counted down.
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

    /// A fault that makes the answer late.
    #[must_use]
    pub fn delay(delay: Duration) -> Self {
        Self { delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), ..Self::default() }
    }

    /// The same fault, which heals after so many calls.
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
