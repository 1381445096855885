//! Refusals. To the sender all of one status look the same; the log and the metrics know which check failed.

use std::net::IpAddr;

use http::StatusCode;
use server::http::{self as web, Response};
use server::tell;
use wechat::push::{Query, Refusal, is_rehearsal};

use super::belief::Unbelieved;
use super::{Asked, Pushes};

impl Pushes {
    /// Refuses a request that is not believed.
    pub(super) fn refuse(&self, unbelieved: Unbelieved, asked: &Asked<'_>) -> Response {
        let from = asked.from;
        let (stage, status, fault) = match unbelieved {
            Unbelieved::Refused(refusal) => {
                // Doctor asks what the service has refused, and must not hear of itself.
                let counted = if is_rehearsal(asked.query) { "rehearsal" } else { refusal.stage() };
                self.metrics.count_refused(self.names(), counted);
                return self.refuse_push(refusal, from, names_nothing(asked.query));
            }
            Unbelieved::NotRead(status, fault) => ("body", status, fault),
            Unbelieved::Store(error) => ("store", StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        };
        self.metrics.count_refused(self.names(), stage);
        tell!(warn, self.told, format!("{stage}: {status}"), [%from, stage], "a push was not taken: {fault}");
        web::text(status, "")
    }

    /// Refuses a push. One that is authentic and cannot be read is answered 200, and has no effect.
    fn refuse_push(&self, refusal: Refusal, from: IpAddr, is_bare: bool) -> Response {
        let stage = refusal.stage();
        if is_bare {
            tell!(
                warn,
                self.told,
                "no query",
                [%from, stage],
                "a POST without WeChat's parameters came to /wechat and was refused: a scanner, or a proxy that drops the \
                 query of every push"
            );
        } else if refusal.is_authentic() {
            let reason = format!("unreadable: {stage}");
            tell!(
                warn,
                self.told,
                reason,
                [stage],
                "a push of WeChat's could not be read and has no effect: {refusal}"
            );
        } else {
            tell!(warn, self.told, stage, [%from, stage], "a push was refused: {refusal}");
        }
        answer(refusal)
    }

    /// Refuses a GET without WeChat's parameters, which is no sign of a wrong setting.
    pub(super) fn pass(&self, from: IpAddr) -> Response {
        self.metrics.count_refused(self.names(), "no_parameters");
        tell!(
            info,
            self.told,
            "no parameters",
            [%from],
            "a request without WeChat's parameters came to /wechat and was refused: a browser, a health check or a \
             scanner; health checks find /readyz at CALLBACK_ADMIN_LISTEN"
        );
        answer(Refusal::Signature)
    }
}

fn answer(refusal: Refusal) -> Response {
    web::text(StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::FORBIDDEN), "")
}

/// Whether a query has none of WeChat's parameters.
pub(super) fn names_nothing(raw: &str) -> bool {
    Query::parse(raw).is_ok_and(|query| query == Query::default())
}
