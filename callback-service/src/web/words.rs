//! What a person is told on the pages of a login inside WeChat, in both languages. As in the chat, only a recorded login is
//! told as one.

use login_page::Language;

use crate::logins::words::PhoneReply;

/// The mark above the words, which the style knows by this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A tick.
    Granted,
    /// A question mark.
    Asks,
    /// An exclamation mark.
    Stopped,
    /// The same, as a warning.
    Error,
}

impl Mark {
    pub(super) fn state(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Asks => "asks",
            Self::Stopped => "stopped",
            Self::Error => "error",
        }
    }
}

/// A heading and a few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    pub mark: Mark,
    zh: (&'static str, &'static str),
    en: (&'static str, &'static str),
}

impl Words {
    pub(super) fn title(self, language: Language) -> &'static str {
        self.of(language).0
    }

    pub(super) fn words(self, language: Language) -> &'static str {
        self.of(language).1
    }

    fn of(self, language: Language) -> (&'static str, &'static str) {
        match language {
            Language::Chinese => self.zh,
            Language::English => self.en,
        }
    }
}

const fn said(mark: Mark, zh: (&'static str, &'static str), en: (&'static str, &'static str)) -> Words {
    Words { mark, zh, en }
}

/// The page is open in another browser than WeChat's.
pub(super) const OPEN_IN_WECHAT: Words = said(
    Mark::Stopped,
    ("请用微信打开", "打开微信，用“扫一扫”扫描登录页上的二维码。用相机或其他应用扫描不能登录。"),
    (
        "Please open this in WeChat",
        "Open WeChat, and use its Scan for the QR code on the login page. The camera or another app cannot log you in.",
    ),
);

/// The page is in a frame, where WeChat does not work.
pub(super) const FRAMED: Words = said(
    Mark::Error,
    ("无法在这里登录", "登录页不能嵌在别的网页里。请直接在微信中打开。"),
    (
        "You cannot log in here",
        "This page does not work inside another page. Please open it by itself in WeChat.",
    ),
);

/// Before WeChat asks for the nickname, which has to follow a tap.
pub(super) const TAP: Words = said(
    Mark::Asks,
    (
        "用微信登录",
        "下一步，微信会询问是否允许使用你的昵称和头像。之后你会看到是哪个网站请求登录，再决定是否确认。",
    ),
    (
        "Log in with WeChat",
        "WeChat will ask next whether your nickname and picture may be used. Then you see which site asks for the login, and decide.",
    ),
);

/// There is no such visit: it is too old, or another browser's. Somebody may have been logged in by it, so nothing is said of
/// that.
pub(super) const UNKNOWN_VISIT: Words = said(
    Mark::Error,
    ("无法登录", "这个页面已过期，或者不是在这里打开的。请看登录页；如果还没有登录，请重新扫码。"),
    (
        "This login cannot go on",
        "This page is too old, or was not opened here. Look at the login page, and scan again if you are not logged in.",
    ),
);

/// The request of a site is over, or another browser's.
pub(super) const REQUEST_GONE: Words = said(
    Mark::Error,
    ("无法登录", "这次登录已过期，或者不是在这里开始的。请返回要登录的网站，重新开始登录。"),
    (
        "This login cannot go on",
        "This login has expired, or was not begun here. Please go back to the site and begin again.",
    ),
);

/// The person has said no to WeChat.
pub(super) const REFUSED: Words = said(
    Mark::Stopped,
    ("没有登录", "你没有允许微信授权，所以没有登录。"),
    ("Nobody is logged in", "You did not allow it in WeChat, so nobody is logged in."),
);

/// WeChat has shown the page as a snapshot.
pub(super) const SNAPSHOT: Words = said(
    Mark::Stopped,
    ("请使用完整服务", "微信现在只显示网页快照，不能登录。请点击屏幕下方的“使用完整服务”，然后再试一次。"),
    (
        "Please use the full service",
        "WeChat shows only a snapshot of this page, which cannot log you in. Tap 使用完整服务 (use full service) at the bottom of the screen, and try again.",
    ),
);

/// WeChat's code was used, or is too old. An earlier try may have logged somebody in.
pub(super) const CODE_USED: Words = said(
    Mark::Stopped,
    ("请再试一次", "这个页面已经用过，或者打开得太晚。"),
    ("Please try again", "This page was used before, or came too late."),
);

/// Something does not answer, and nobody has been logged in.
pub(super) const BUSY: Words = said(
    Mark::Error,
    ("请稍后再试", "系统繁忙，没有登录。请稍等片刻，再试一次。"),
    ("Please try again later", "The system is busy, and nobody is logged in. Wait a moment and try again."),
);

/// WeChat does not answer, or there is no time. An earlier try may have logged somebody in.
pub(super) const UNANSWERED: Words = said(
    Mark::Error,
    ("请稍后再试", "系统繁忙。请稍等片刻，再试一次。"),
    ("Please try again later", "The system is busy. Wait a moment and try again."),
);

/// The store does not answer. Perhaps somebody has been logged in before by this visit, so nothing is said of that.
pub(super) const STORE: Words = said(
    Mark::Error,
    ("请稍后再试", "系统繁忙。请稍等片刻，再刷新本页。"),
    ("Please try again later", "The system is busy. Wait a moment, and then load this page again."),
);

/// Too many pages for one address, or for all together.
pub(super) const TOO_MANY: Words = UNANSWERED;

/// The form is wrong.
pub(super) const WRONG_FORM: Words = said(
    Mark::Error,
    ("无法继续", "收到的请求有误。请回到登录页，重新扫码。"),
    ("This cannot go on", "The request cannot be understood. Go back to the login page and scan again."),
);

/// The question waits in the chat.
pub(super) const IN_THE_CHAT: Words = said(
    Mark::Stopped,
    ("请在聊天中回复", "你已经扫过这个登录的二维码。请按公众号聊天中的提示回复。"),
    (
        "Please answer in the chat",
        "You have scanned the code of this login already. Answer what the official account asks in the chat.",
    ),
);

/// What became of a login. `None` for a question, which is a page of its own.
pub(super) fn of(reply: &PhoneReply) -> Option<Words> {
    Some(match reply {
        PhoneReply::Question(_) => return None,
        PhoneReply::LoggedIn { .. } => said(
            Mark::Granted,
            ("登录成功", "请回到打开登录页的设备。现在可以关闭本页。"),
            (
                "You are logged in",
                "Go back to the device that shows the login page. You can close this page now.",
            ),
        ),
        PhoneReply::Confirmed => said(
            Mark::Stopped,
            ("已经确认", "这次登录刚才已经确认，不能再取消。如果不是你本人，请到该网站退出登录。"),
            (
                "Confirmed already",
                "This login was confirmed a moment ago and cannot be taken back here. If it was not you, log out on that site.",
            ),
        ),
        PhoneReply::NotMe => said(
            Mark::Stopped,
            ("已拒绝", "没有人登录。如果二维码或链接是别人发给你的，请不要再打开。"),
            (
                "Refused",
                "Nobody is logged in. If somebody sent you the code or the link, do not open it again.",
            ),
        ),
        PhoneReply::Wrong(_) | PhoneReply::WrongNumbers => said(
            Mark::Error,
            ("数字不对", "选择的数字和登录页显示的不一样，登录已取消。需要登录时，请刷新登录页后重新扫码。"),
            (
                "That is not the number",
                "The login page shows another number, so the login is cancelled. To log in, reload that page and scan again.",
            ),
        ),
        PhoneReply::Expired | PhoneReply::Unknown | PhoneReply::Late => said(
            Mark::Error,
            ("已过期", "没有登录。请刷新登录页后重新扫码。"),
            ("Too late", "Nobody is logged in. Reload the login page and scan again."),
        ),
        PhoneReply::Taken => said(
            Mark::Error,
            ("已被使用", "这个二维码已经被使用过。请刷新登录页后重新扫码。"),
            ("Used already", "This code has been used already. Reload the login page and scan again."),
        ),
        PhoneReply::Denied => {
            said(Mark::Stopped, ("已取消", "这次登录已取消。"), ("Cancelled", "This login was cancelled."))
        }
        PhoneReply::UnknownSite => said(
            Mark::Error,
            ("已取消", "这个网站没有登记，登录已取消。"),
            ("Cancelled", "This site is not registered; the login is cancelled."),
        ),
        PhoneReply::Nameless => NAMELESS,
        PhoneReply::TryAgain => BUSY,
        // Codes that people type are none of this way's.
        PhoneReply::Look | PhoneReply::WrongCode | PhoneReply::TooManyCodes => said(
            Mark::Stopped,
            ("请看登录页", "结果以登录页显示为准。如果那里没有反应，请刷新后重新扫码。"),
            (
                "Please look at the login page",
                "It knows whether you are logged in. If nothing happens there, reload it and scan again.",
            ),
        ),
    })
}

/// The site knows people by a name that WeChat has not given.
pub(super) const NAMELESS: Words = said(
    Mark::Error,
    ("已取消", "微信没有提供这个网站需要的身份信息，登录已取消。如果再试也不行，请告诉网站。"),
    (
        "Cancelled",
        "WeChat has not given what this site needs to know you by; the login is cancelled. If trying again does not help, tell the site.",
    ),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recorded_login_is_told_as_one() {
        let logged_in = PhoneReply::LoggedIn { first: false, nickname: None, count: None };
        let others = [
            PhoneReply::Wrong(1),
            PhoneReply::WrongNumbers,
            PhoneReply::NotMe,
            PhoneReply::Late,
            PhoneReply::Confirmed,
            PhoneReply::Expired,
            PhoneReply::Taken,
            PhoneReply::Denied,
            PhoneReply::UnknownSite,
            PhoneReply::Nameless,
            PhoneReply::TryAgain,
            PhoneReply::Look,
        ];
        let fixed = [OPEN_IN_WECHAT, FRAMED, TAP, UNKNOWN_VISIT, REQUEST_GONE, REFUSED, SNAPSHOT, CODE_USED];
        let said = others.iter().filter_map(of).chain(fixed).chain([BUSY, STORE, WRONG_FORM, IN_THE_CHAT]);
        for words in said {
            assert_ne!(words.mark, Mark::Granted, "{words:?}");
            let text = format!("{words:?}");
            assert!(!text.contains("登录成功") && !text.contains("You are logged in"), "{text}");
        }
        assert_eq!(of(&logged_in).map(|words| words.title(Language::Chinese)), Some("登录成功"));
    }
}
