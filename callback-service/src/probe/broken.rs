//! What may be wrong when a probe's login is not delivered, in the order of its way, and what to do about it.

use std::fmt;

/// A probe that was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Where it ended.
    pub fault: Fault,
    /// Why, for people.
    pub why: String,
}

impl Broken {
    pub(super) fn new(fault: Fault, why: impl Into<String>) -> Self {
        Self { fault, why: why.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fault.words(), self.why)
    }
}

/// Where a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No gateway could be reached at its internal port.
    NoGateway,
    /// The internal port refuses this service.
    Refused,
    /// The gateway is older than probes.
    OldGateway,
    /// This service may not probe.
    NoRight,
    /// The gateway has opened no login, though it may.
    NotOpened,
    /// There was no WebSocket at the port for browsers.
    NoSocket,
    /// The WebSocket was there, and the page was not shown its login.
    NotShown,
    /// The scan was not recorded.
    NotRecorded,
    /// The scan was recorded, and the page has not heard of it.
    NotDelivered,
}

impl Fault {
    /// Every fault there is.
    pub(crate) const ALL: [Self; 9] = [
        Self::NoGateway,
        Self::Refused,
        Self::OldGateway,
        Self::NoRight,
        Self::NotOpened,
        Self::NoSocket,
        Self::NotShown,
        Self::NotRecorded,
        Self::NotDelivered,
    ];

    /// Its name in metrics.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoGateway => "no_gateway",
            Self::Refused => "refused",
            Self::OldGateway => "old_gateway",
            Self::NoRight => "no_right",
            Self::NotOpened => "not_opened",
            Self::NoSocket => "no_socket",
            Self::NotShown => "not_shown",
            Self::NotRecorded => "not_recorded",
            Self::NotDelivered => "not_delivered",
        }
    }

    /// What has happened.
    #[must_use]
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::NoGateway => "no gateway is connected at its internal port",
            Self::Refused => "the gateway's internal port refuses this service",
            Self::OldGateway => "the gateway does not know probes",
            Self::NoRight => "this service may not probe the gateway",
            Self::NotOpened => "the gateway opens no login",
            Self::NoSocket => "no WebSocket opens at the gateway's port for browsers",
            Self::NotShown => "the page is not shown its login",
            Self::NotRecorded => "a scan is not recorded",
            Self::NotDelivered => "the page does not hear of its scan",
        }
    }

    /// What an operator can do.
    #[must_use]
    pub(crate) fn cure(self) -> &'static str {
        match self {
            Self::NoGateway => {
                "see that ws-gateway runs, and that CALLBACK_GATEWAY and CALLBACK_GATEWAY_TLS fit its \
                 GATEWAY_NOTIFY_LISTEN and certificate"
            }
            Self::Refused => "give both services the same NOTIFY_KEY",
            Self::OldGateway => "upgrade ws-gateway; until then set CALLBACK_PROBE_EVERY=off",
            Self::NoRight => {
                "add \"probe\" to what the client callback may in the file of GATEWAY_NOTIFY_CLIENTS, and send the gateway \
                 SIGHUP"
            }
            Self::NotOpened => "see the gateway's log, and whether its GATEWAY_STORE answers",
            Self::NoSocket => {
                "CALLBACK_PROBE_URL must be the gateway's GATEWAY_LISTEN as this service reaches it; a proxy between must \
                 pass WebSockets"
            }
            Self::NotShown => {
                "all gateways behind CALLBACK_PROBE_URL and in CALLBACK_GATEWAY must share one Redis (GATEWAY_STORE); a \
                 proxy between must pass Sec-WebSocket-Protocol"
            }
            Self::NotRecorded => {
                "people's scans fail as well: see the gateway's log, and whether its GATEWAY_STORE answers"
            }
            Self::NotDelivered => {
                "people's pages do not hear of their scans either: look for a proxy that holds WebSockets back, a gateway \
                 that hangs, or a Redis whose messages (pub/sub) do not reach the gateways"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own_and_words() {
        let names: HashSet<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), Fault::ALL.len());
        assert!(!names.contains("delivered"), "it is the name of success");
        let said = Broken::new(Fault::NoSocket, "http://gateway:1099: connection refused").to_string();
        assert_eq!(
            said,
            "no WebSocket opens at the gateway's port for browsers: http://gateway:1099: connection refused"
        );
    }
}
