//! A circuit breaker: while WeChat refuses a call, pages do not repeat it.
//!
//! Each call has its own breaker, the token call too. A refusal that ends only with time or by a person's act
//! opens it. Callers then get that refusal at once, but one of them goes through as a probe after each rest. A
//! probe that succeeds closes the breaker. Opening and closing are logged once each, with what an operator can
//! do.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::Error;
use super::policy;

/// The breaker of one call.
pub(crate) struct Breaker {
    call: &'static str,
    probe: Duration,
    open: Mutex<Option<Open>>,
}

struct Open {
    refusal: Error,
    /// When the next caller goes through as a probe.
    probe_at: Instant,
}

/// Permission to make the call. It is handed back with the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// An ordinary call.
    Through,
    /// A single call that tests whether the refusal still holds. If it never reports, the next probe follows
    /// after a rest.
    Probe,
}

impl Breaker {
    pub(crate) fn new(call: &'static str, probe: Duration) -> Self {
        Self { call, probe, open: Mutex::new(None) }
    }

    /// The path of the call.
    pub(crate) fn call(&self) -> &'static str {
        self.call
    }

    /// The refusal for which the breaker is open.
    pub(crate) fn refusal(&self) -> Option<Error> {
        self.open.lock().as_ref().map(|open| open.refusal.clone())
    }

    /// Whether WeChat refuses the call just now.
    pub(crate) fn is_open(&self) -> bool {
        self.open.lock().is_some()
    }

    /// Lets a caller through, or gives the present refusal.
    pub(crate) fn admit(&self) -> Result<Pass, Error> {
        let now = Instant::now();
        match &mut *self.open.lock() {
            None => Ok(Pass::Through),
            Some(open) if now >= open.probe_at => {
                open.probe_at = now + self.probe;
                Ok(Pass::Probe)
            }
            Some(open) => Err(open.refusal.clone()),
        }
    }

    /// Records how the call ended.
    pub(crate) fn report<T>(&self, pass: Pass, outcome: &Result<T, Error>) {
        match outcome {
            Ok(_) => self.succeeded(pass),
            Err(error) => self.failed(error),
        }
    }

    /// The call succeeded. Only a probe closes the breaker: a call that started before the breaker opened does
    /// not close it.
    pub(crate) fn succeeded(&self, pass: Pass) {
        if pass == Pass::Probe {
            self.close();
        }
    }

    /// The call failed. A refusal of the token call counts only for the token call's own breaker.
    pub(crate) fn failed(&self, error: &Error) {
        if error.call() != Some(self.call) {
            return;
        }
        if let Some(rest) = policy::rest(error, self.probe) {
            self.rest(error, rest);
        }
    }

    /// The call was not made after all, so the next caller may probe.
    pub(crate) fn unused(&self, pass: Pass) {
        if let (Pass::Probe, Some(open)) = (pass, &mut *self.open.lock()) {
            open.probe_at = Instant::now();
        }
    }

    fn close(&self) {
        if self.open.lock().take().is_some() {
            tracing::info!(call = self.call, "WeChat allows the call again");
        }
    }

    fn rest(&self, refusal: &Error, rest: Duration) {
        let open = Open { refusal: refusal.clone(), probe_at: Instant::now() + rest };
        let before = self.open.lock().replace(open);
        if before.is_none_or(|before| before.refusal.class() != refusal.class()) {
            tracing::error!(
                call = self.call,
                probe_in_s = rest.as_secs(),
                "{refusal}; until it ends, callers are answered without asking WeChat, which is probed now and then"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::call::{QR_CODE, TOKEN};
    use crate::api::logged::Logged;

    const MINUTE: Duration = Duration::from_secs(60);
    const INSTANT: Duration = Duration::from_millis(1);

    fn refused(code: i64) -> Result<(), Error> {
        Err(Error::Api { code, message: "no rid: 1".to_owned(), call: QR_CODE })
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_remembered_probed_once_a_minute_and_forgotten_after_a_success() {
        let breaker = Breaker::new(QR_CODE, MINUTE);
        assert_eq!(breaker.admit(), Ok(Pass::Through));
        breaker.report(Pass::Through, &refused(48001));
        for _ in 0..3 {
            tokio::time::advance(MINUTE - INSTANT).await;
            assert_eq!(breaker.admit().map(|_| ()), refused(48001));
            tokio::time::advance(INSTANT).await;
            assert_eq!(breaker.admit(), Ok(Pass::Probe));
            assert_eq!(breaker.admit().map(|_| ()), refused(48001), "one probe only");
            breaker.report(Pass::Probe, &refused(48001));
        }
        tokio::time::advance(MINUTE).await;
        assert_eq!(breaker.admit(), Ok(Pass::Probe));
        breaker.report(Pass::Probe, &Ok(()));
        assert_eq!(breaker.admit(), Ok(Pass::Through));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_probe_or_one_that_met_a_hiccup_is_followed_by_another() {
        let breaker = Breaker::new(QR_CODE, MINUTE);
        breaker.report(Pass::Through, &refused(40164));
        tokio::time::advance(MINUTE).await;
        assert_eq!(breaker.admit(), Ok(Pass::Probe));
        breaker.report::<()>(Pass::Probe, &Err(Error::Timeout { call: QR_CODE }));
        assert!(breaker.admit().is_err());
        tokio::time::advance(MINUTE).await;
        assert_eq!(breaker.admit(), Ok(Pass::Probe), "and this one is never reported");
        tokio::time::advance(MINUTE).await;
        assert_eq!(breaker.admit(), Ok(Pass::Probe));
    }

    #[tokio::test(start_paused = true)]
    async fn stragglers_do_not_close_and_hiccups_and_other_calls_do_not_open() {
        let breaker = Breaker::new(QR_CODE, MINUTE);
        breaker.report::<()>(Pass::Through, &Err(Error::Timeout { call: QR_CODE }));
        let elsewhere = Error::Api { code: 40164, message: String::new(), call: TOKEN };
        breaker.report::<()>(Pass::Through, &Err(elsewhere));
        assert_eq!(breaker.admit(), Ok(Pass::Through));
        breaker.report(Pass::Through, &refused(45009));
        breaker.report(Pass::Through, &Ok(()));
        assert!(breaker.admit().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn opening_and_closing_are_said_once_each_and_a_new_reason_too() {
        let log = Logged::start();
        let breaker = Breaker::new(QR_CODE, MINUTE);
        for _ in 0..100 {
            breaker.report(Pass::Through, &refused(48001));
            let _ = breaker.admit();
        }
        assert_eq!((log.count("ERROR"), log.count("48001"), log.count("服务号")), (1, 1, 1), "{log}");
        breaker.report(Pass::Probe, &refused(45009));
        assert_eq!((log.count("ERROR"), log.count("45009")), (2, 1), "{log}");
        breaker.report(Pass::Probe, &Ok(()));
        breaker.report(Pass::Probe, &Ok(()));
        assert_eq!((log.count("ERROR"), log.count("allows the call again")), (2, 1), "{log}");
    }
}
