//! QR codes. A page takes one, and seldom has to wait for it.
//!
//! [`ready`] keeps a few codes that were made ahead, and makes more on demand, each for a scene of its own.
//! [`source`] asks WeChat. [`purse`] pays for each request out of the day's [`budget`]. [`admission`] limits how
//! often one address asks for a login, and [`unscanned`] how many codes it leaves unscanned. We draw the picture
//! ourselves ([`mod@draw`]) each time that a page is shown it, because that takes less than to keep it; pages also get the
//! URL of WeChat's own picture, because the PHP original's page knows only that.

pub(crate) mod admission;
mod budget;
mod draw;
mod free;
mod limit;
mod purse;
mod ready;
mod settings;
mod source;
mod standstill;
mod unscanned;

use std::time::Duration;

use protocol::Scene;
use wechat::Class;

pub(crate) use self::budget::Budget;
#[cfg(test)]
pub(crate) use self::budget::Purpose;
pub(crate) use self::draw::draw;
pub(crate) use self::free::Free;
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::purse::Purse;
pub(crate) use self::ready::Ready;
pub(crate) use self::settings::{PER_DAY, Settings};
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::source::Source;
pub(crate) use self::source::WeChat;
pub(crate) use self::unscanned::{Prepaid, Unscanned};
use crate::logins::QrCode;

/// The wait after a failure that may pass by itself. It doubles with each failure in a row, up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The wait after a failure that an operator has to mend.
const OPERATORS_RETRY: Duration = Duration::from_secs(60);

/// The longest wait of a page whose address has left too many codes unscanned.
const SHARE_RETRY: Duration = Duration::from_secs(60);

/// The shortest wait of a page whose connection is closed because of a limit, and which has to connect again.
const RUSH_RETRY: Duration = Duration::from_secs(10);

/// A QR code that WeChat has made, and the scene that it was made for. Each is handed out once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewCode {
    pub scene: Scene,
    pub code: QrCode,
}

/// Why there is no code just now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoQrCode {
    /// Too many pages ask at once, or WeChat is slow.
    #[error("WeChat is slow, or too many pages ask at once")]
    Slow,
    /// WeChat refused, or could not be reached.
    #[error(transparent)]
    Refused(wechat::Error),
    /// The day's budget of calls is used up, at least for this purpose. It is worth looking again after this time.
    #[error("the day's calls for QR codes (GATEWAY_QR_PER_DAY) are used up, or nearly so")]
    Spent(Duration),
    /// New logins come faster than the day's budget allows. There may be a code after this time.
    #[error("new logins come faster than the day's calls for QR codes (GATEWAY_QR_PER_DAY) bear")]
    Rush(Duration),
    /// New logins that cost no call come faster than a gateway takes them. There may be one after this time.
    #[error("new logins with a web code or a code to type alone come too fast")]
    Crowd(Duration),
    /// The page's address, or its network, has left too many codes unscanned. There may be one after this time.
    #[error("an address or its network has had its share of the day's codes, and nobody scans them")]
    Unscanned(Duration),
    /// The account is not there any more; its logins live on.
    #[error("the official account of a login is not in WECHAT_ACCOUNTS any more")]
    NoAccount,
    /// The calls are counted in the store of logins, and that cannot be used.
    #[error("the calls for QR codes cannot be counted: {0}")]
    Uncounted(records::Failure),
}

impl NoQrCode {
    /// Whether a page is better shown something else than told to wait, after so many `failures` in a row before: the
    /// day's calls are used up, or WeChat refuses. What may pass by itself has one more try first.
    #[must_use]
    pub(crate) fn lasts(&self, failures: u32) -> bool {
        match self {
            Self::Spent(_) => true,
            Self::Slow | Self::Refused(_) => failures > 0 || !self.may_pass(),
            Self::Rush(_) | Self::Crowd(_) | Self::Unscanned(_) | Self::Uncounted(_) | Self::NoAccount => {
                false
            }
        }
    }

    /// Whether nobody has to do anything about it.
    fn may_pass(&self) -> bool {
        match self {
            Self::Refused(error) => {
                matches!(error.class(), Class::Busy | Class::Transport | Class::Timeout | Class::Token)
            }
            Self::NoAccount => false,
            _ => true,
        }
    }

    /// How long to wait after the `failures`th failure in a row.
    #[must_use]
    pub(crate) fn retry_in(&self, failures: u32) -> Duration {
        match self {
            Self::Spent(wait) => return *wait,
            Self::Rush(wait) | Self::Crowd(wait) => return (*wait).max(RUSH_RETRY),
            // A scan may free one much sooner.
            Self::Unscanned(wait) => return (*wait).clamp(RUSH_RETRY, SHARE_RETRY),
            Self::Slow | Self::Uncounted(_) | Self::Refused(_) | Self::NoAccount => {}
        }
        if self.may_pass() {
            FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(LONGEST_RETRY)
        } else {
            OPERATORS_RETRY
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_by_itself_has_one_more_try_before_pages_are_shown_something_else() {
        let refused = |code| {
            NoQrCode::Refused(wechat::Error::Api { code, message: String::new(), call: "qrcode/create" })
        };
        let wait = Duration::from_secs(1);
        for (none, at_first, later) in [
            (refused(48001), true, true),
            (refused(45009), true, true),
            (NoQrCode::Spent(wait), true, true),
            (refused(-1), false, true),
            (NoQrCode::Slow, false, true),
            (NoQrCode::Rush(wait), false, false),
            (NoQrCode::Crowd(wait), false, false),
            (NoQrCode::Unscanned(wait), false, false),
        ] {
            assert_eq!((none.lasts(0), none.lasts(1)), (at_first, later), "{none}");
        }
    }

    #[test]
    fn waits_grow_and_an_operators_fault_is_not_hammered() {
        let waits: Vec<u64> = (1..=6).map(|n| NoQrCode::Slow.retry_in(n).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
        let refused = wechat::Error::Api { code: 48001, message: String::new(), call: "qrcode/create" };
        assert_eq!(NoQrCode::Refused(refused).retry_in(1), OPERATORS_RETRY);
        assert_eq!(NoQrCode::Spent(Duration::from_secs(5)).retry_in(9), Duration::from_secs(5));
    }
}
