//! QR codes: a page takes one and, as a rule, waits for nothing.
//!
//! [`ready`] keeps a few that were made ahead and makes more on demand, each for a scene of its own.
//! [`source`] asks WeChat, and [`budget`] says of each request whether it may be made, which [`purse`] pays for.
//! [`admission`] says how often one address may ask, [`unscanned`] how many codes it may leave unscanned. The picture is ours ([`mod@draw`],
//! once a code: [`pictures`]); WeChat's URL still goes along for pages that know nothing else.

pub(crate) mod admission;
mod budget;
mod draw;
mod limit;
mod pictures;
mod purse;
mod ready;
mod source;
mod standstill;
mod unscanned;

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::Scene;
use wechat::Class;

pub(crate) use self::budget::Budget;
#[cfg(test)]
pub(crate) use self::budget::Purpose;
pub(crate) use self::pictures::Pictures;
pub(crate) use self::ready::Ready;
#[cfg(test)]
pub(crate) use self::source::Source;
pub(crate) use self::source::WeChat;
pub(crate) use self::unscanned::Unscanned;
use crate::browsers::language::Language;
use crate::browsers::message::{ToPage, milliseconds};
use crate::logins::QrCode;

/// The waits after failures that may pass by themselves: doubling between these.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The wait after a failure that an operator has to end.
const OPERATORS_RETRY: Duration = Duration::from_secs(60);

/// The longest wait of a page whose address has had its share.
const SHARE_RETRY: Duration = Duration::from_secs(60);

/// The least wait of a page that came in a rush, or whose address has had its share: it lets go of its socket and
/// comes back.
const RUSH_RETRY: Duration = Duration::from_secs(10);

/// Where pages take QR codes from.
pub(crate) trait QrCodes: Send + Sync {
    /// Takes a code for a page at `address`, and the scene that it was made for, within some seconds. Nobody else
    /// ever gets them.
    ///
    /// # Errors
    /// [`NoQrCode`]. Dropping the future leaves at most a code that nobody is shown.
    fn take(&self, address: IpAddr) -> BoxFuture<'_, Result<(Scene, QrCode), NoQrCode>>;

    /// Somebody has scanned a code that was made for a page at `address`.
    fn scanned(&self, address: IpAddr) -> BoxFuture<'_, ()>;
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
    /// The day's budget of calls is used up, for this purpose at least; look again after this time.
    #[error("the day's calls for QR codes (GATEWAY_QR_PER_DAY) are used up, or nearly so")]
    Spent(Duration),
    /// New logins come faster than the day's budget bears; there may be a code after this time.
    #[error("new logins come faster than the day's calls for QR codes (GATEWAY_QR_PER_DAY) bear")]
    Rush(Duration),
    /// The page's address, or its network, has had its share of codes that nobody scans; there may be one after this
    /// time.
    #[error("an address or its network has had its share of the day's codes, and nobody scans them")]
    Unscanned(Duration),
    /// The calls are counted in the store of logins, which cannot be used.
    #[error("the calls for QR codes cannot be counted: {0}")]
    Uncounted(records::Failure),
}

impl NoQrCode {
    /// How long to wait after the `failures`th failure in a row.
    #[must_use]
    pub(crate) fn retry_in(&self, failures: u32) -> Duration {
        let passes = match self {
            Self::Spent(wait) => return *wait,
            Self::Rush(wait) => return (*wait).max(RUSH_RETRY),
            // A scan may give one back much sooner.
            Self::Unscanned(wait) => return (*wait).clamp(RUSH_RETRY, SHARE_RETRY),
            Self::Slow | Self::Uncounted(_) => true,
            Self::Refused(error) => {
                matches!(error.class(), Class::Busy | Class::Transport | Class::Timeout | Class::Token)
            }
        };
        if passes {
            FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(LONGEST_RETRY)
        } else {
            OPERATORS_RETRY
        }
    }

    /// What the page is told; the operator finds the rest in the log.
    #[must_use]
    pub(crate) fn tell(&self, language: Language, retry_in: Duration) -> ToPage {
        let (code, message) = match self {
            Self::Slow => (
                "wechat_slow",
                language.of("微信服务器响应较慢，正在重试", "WeChat is slow just now; trying again"),
            ),
            Self::Refused(_) => (
                "wechat_unavailable",
                language.of(
                    "暂时无法向微信申请二维码，正在重试",
                    "WeChat gives no QR code just now; trying again",
                ),
            ),
            Self::Spent(_) => (
                "codes_spent",
                language.of(
                    "今日二维码已用完，稍后会自动重试",
                    "Today's QR codes are used up; trying again later",
                ),
            ),
            Self::Unscanned(_) => (
                "too_many",
                language.of(
                    "当前网络取走的二维码太多都没有扫，请稍候",
                    "Too many codes from this network were never scanned, please wait",
                ),
            ),
            Self::Rush(_) | Self::Uncounted(_) => {
                ("busy", language.of("登录人数过多，请稍候", "Too many people are logging in, please wait"))
            }
        };
        ToPage::Error { code, message, retry_in: Some(milliseconds(retry_in)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_an_operators_fault_is_not_hammered() {
        let waits: Vec<u64> = (1..=6).map(|n| NoQrCode::Slow.retry_in(n).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
        let refused = wechat::Error::Api { code: 48001, message: String::new(), call: "qrcode/create" };
        assert_eq!(NoQrCode::Refused(refused).retry_in(1), OPERATORS_RETRY);
        assert_eq!(NoQrCode::Spent(Duration::from_secs(5)).retry_in(9), Duration::from_secs(5));
    }
}
