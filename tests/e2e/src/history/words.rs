//! What phones say, by callback-service's default texts.

/// The meaning of the words on a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Words {
    /// You are logged in.
    LoggedIn,
    /// Nothing was recorded: scan again.
    TryAgain,
    /// Something does not work: try again. Nothing is said of what was recorded before.
    Unsure,
    /// The code is too old.
    Expired,
    /// Somebody else has used the code.
    Taken,
    /// The login may be recorded: look at the page.
    LookAtPage,
    /// You said no.
    Denied,
    /// Which number does the page show? Or: is it you?
    Question,
    /// That is not the number.
    WrongNumber,
    /// Too many wrong numbers: nobody is logged in.
    WrongNumbers,
    /// You said that it was not you: nobody is logged in.
    NotMe,
    /// The number came too late: nobody is logged in.
    Late,
    /// You have confirmed it before, and are logged in.
    Confirmed,
    /// No page shows the code that was sent.
    WrongCode,
    /// Too many codes that were sent were wrong.
    TooManyCodes,
    /// Words with another meaning.
    Other,
    /// No reply: WeChat says that the account is out of order.
    Nothing,
}

impl Words {
    /// The meaning of a reply in callback-service's default texts.
    #[must_use]
    pub fn of(reply: Option<&str>) -> Self {
        let Some(reply) = reply else { return Self::Nothing };
        let meanings = [
            ("验证码不对", Self::WrongCode),
            ("验证码错误次数过多", Self::TooManyCodes),
            // Words that other texts have, too, come last.
            ("正在请求登录", Self::Question),
            ("数字不对", Self::WrongNumber),
            ("数字错误次数过多", Self::WrongNumbers),
            ("已拒绝", Self::NotMe),
            ("已超时", Self::Late),
            ("已经确认", Self::Confirmed),
            ("登录成功", Self::LoggedIn),
            ("欢迎回来", Self::LoggedIn),
            ("再试一次", Self::TryAgain),
            // As earlier versions said it.
            ("再扫一次", Self::TryAgain),
            ("已过期", Self::Expired),
            ("已经被使用过", Self::Taken),
            ("看一下网页", Self::LookAtPage),
            ("已取消", Self::Denied),
        ];
        meaning(&meanings, reply)
    }

    /// The meaning of a page of callback-service's that is open inside WeChat, in Chinese.
    #[must_use]
    pub fn of_page(body: &str) -> Self {
        let meanings = [
            ("是你自己打开的登录页吗", Self::Question),
            ("登录页上显示的是哪个数字", Self::Question),
            // They have scanned the code as well, and are asked there.
            ("请在聊天中回复", Self::Question),
            ("选择的数字和登录页显示的不一样", Self::WrongNumbers),
            ("已拒绝", Self::NotMe),
            ("已经确认", Self::Confirmed),
            ("登录成功", Self::LoggedIn),
            ("系统繁忙，没有登录", Self::TryAgain),
            ("系统繁忙", Self::Unsure),
            ("这个页面已过期", Self::Unsure),
            ("这个页面已经用过", Self::Unsure),
            ("已过期", Self::Expired),
            ("已被使用", Self::Taken),
            ("请看登录页", Self::LookAtPage),
            ("已取消", Self::Denied),
        ];
        meaning(&meanings, body)
    }

    /// Whether they tell that there is a login, or was one.
    #[must_use]
    pub fn tell_of_a_login(self) -> bool {
        !matches!(
            self,
            Self::WrongCode
                | Self::TooManyCodes
                | Self::TryAgain
                | Self::Unsure
                | Self::LookAtPage
                | Self::Other
                | Self::Nothing
        )
    }
}

/// The first that fits.
fn meaning(meanings: &[(&str, Words)], said: &str) -> Words {
    meanings.iter().find(|(words, _)| said.contains(words)).map_or(Words::Other, |(_, meaning)| *meaning)
}
