//! What the gateway itself says to the person in front of a page, in Chinese and English.
//!
//! Each text is part of an `error` message, beside a short name that programs read. The page has words of
//! its own for everything else that it is told.

use std::time::Duration;

use login_page::Language;
use server::clock::milliseconds;

use super::message::ToPage;
use crate::codes::NoQrCode;

/// One thing that does not work: its name for programs, and the words for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// The `code` of the message.
    pub code: &'static str,
    /// The words in Chinese.
    pub zh: &'static str,
    /// The words in English.
    pub en: &'static str,
}

/// The store of logins is full, or cannot be reached.
pub(crate) const BUSY: Trouble =
    Trouble { code: "busy", zh: "服务器繁忙，请稍候", en: "The server is busy, please wait" };

/// The page's address has too many pages, new logins, or pages that come back.
pub(crate) const TOO_MANY: Trouble = Trouble {
    code: "too_many",
    zh: "当前网络的登录次数过多，请稍候",
    en: "Too many logins from this network, please wait",
};

/// The page asks for new codes too fast. It gets one all the same, a little later.
pub(crate) const TOO_FAST: Trouble =
    Trouble { code: "too_fast", zh: "刷新太频繁，请稍候", en: "Too many new codes, please wait" };

/// WeChat has not answered in time.
const SLOW: Trouble = Trouble {
    code: "wechat_slow",
    zh: "微信服务器响应较慢，正在重试",
    en: "WeChat is slow just now; trying again",
};

/// WeChat refuses to make a code.
const REFUSED: Trouble = Trouble {
    code: "wechat_unavailable",
    zh: "暂时无法向微信申请二维码，正在重试",
    en: "WeChat gives no QR code just now; trying again",
};

/// The day's budget is used up.
const SPENT: Trouble = Trouble {
    code: "codes_spent",
    zh: "今日二维码已用完，稍后会自动重试",
    en: "Today's QR codes are used up; trying again later",
};

/// The page's address has had its share of codes that nobody scanned.
const UNSCANNED: Trouble = Trouble {
    code: "too_many",
    zh: "当前网络取走的二维码太多都没有扫，请稍候",
    en: "Too many codes from this network were never scanned, please wait",
};

/// New logins come too fast, or cannot be counted.
const RUSH: Trouble =
    Trouble {
        code: "busy", zh: "登录人数过多，请稍候", en: "Too many people are logging in, please wait"
    };

/// A parameter of the page's query has more characters than it may have.
pub(crate) const TOO_LONG: Trouble = bad_request("a query parameter is too long");

/// A parameter of the page's query is there more than once.
pub(crate) const GIVEN_TWICE: Trouble = bad_request("a query parameter is given twice");

/// The page's query names a site and a request.
pub(crate) const SITE_AND_REQUEST: Trouble = bad_request("site and request exclude each other");

/// The page's query names an official account that is not set up.
pub(crate) const UNKNOWN_ACCOUNT: Trouble = bad_request("there is no official account of this name");

/// A fault of the page's developer, who reads the English; its visitor can do nothing about it.
const fn bad_request(en: &'static str) -> Trouble {
    Trouble { code: "bad_request", zh: "页面的参数有误", en }
}

impl Trouble {
    /// What the page is told when there is no code. The operator finds the reason in the log.
    #[must_use]
    pub(crate) fn of(none: &NoQrCode) -> Self {
        match none {
            NoQrCode::Slow => SLOW,
            NoQrCode::Refused(_) | NoQrCode::NoAccount => REFUSED,
            NoQrCode::Spent(_) => SPENT,
            NoQrCode::Unscanned(_) => UNSCANNED,
            NoQrCode::Rush(_) | NoQrCode::Crowd(_) | NoQrCode::Uncounted(_) => RUSH,
        }
    }

    /// The message for a page. `retry_in` is the time until the next try, if there is one.
    #[must_use]
    pub(crate) fn message(self, language: Language, retry_in: Option<Duration>) -> ToPage {
        let message = match language {
            Language::Chinese => self.zh,
            Language::English => self.en,
        };
        ToPage::Error { code: self.code, message, retry_in: retry_in.map(milliseconds) }
    }
}
