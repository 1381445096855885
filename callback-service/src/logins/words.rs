//! The words for the phone. Each text is a setting, and an empty one is not sent. By default only the words of a
//! recorded login contain 登录成功 or 欢迎回来.

use std::ffi::OsStr;

use clap::Args;

use wechat::push::MAX_CONTENT;

/// The texts. `{name}` stands for the nickname and `{count}` for the login number (the first is 1); `\n` may be written
/// for a line break. Without a nickname its place and the comma after it are left out. Without a count the line that
/// holds it is left out.
#[derive(Debug, Clone, Args)]
pub(crate) struct Texts {
    /// Logged in by following the account.
    #[arg(long = "callback-text-first", env = "CALLBACK_TEXT_FIRST", value_parser = text,
          default_value = "{name}，登录成功！\n这是你第{count}次登录，玩的开心！")]
    first: String,

    /// Logged in as a follower.
    #[arg(long = "callback-text-follower", env = "CALLBACK_TEXT_FOLLOWER", value_parser = text,
          default_value = "{name}，欢迎回来！\n这是你第{count}次登录，玩的开心！")]
    follower: String,

    /// The answer to any message. As with every text, an empty one says nothing.
    #[arg(long = "callback-text-greeting", env = "CALLBACK_TEXT_GREETING", value_parser = text,
          default_value = "您好！打开网站的登录页，用微信扫一扫页面上的二维码即可登录。")]
    greeting: String,

    /// Followed the account without a QR code of ours: found it by name, or scanned another code of it. WeChat's own
    /// welcome is off while pushes come here.
    #[arg(long = "callback-text-welcome", env = "CALLBACK_TEXT_WELCOME", value_parser = text,
          default_value = "感谢关注！打开网站的登录页，用微信扫一扫页面上的二维码即可登录。")]
    welcome: String,

    /// The QR code is too old.
    #[arg(long = "callback-text-expired", env = "CALLBACK_TEXT_EXPIRED", value_parser = text,
          default_value = "这个二维码已过期，请刷新网页后重新扫码。")]
    expired: String,

    /// Somebody else has used the QR code.
    #[arg(long = "callback-text-taken", env = "CALLBACK_TEXT_TAKEN", value_parser = text,
          default_value = "这个二维码已经被使用过，请刷新网页后重新扫码。")]
    taken: String,

    /// The login was denied.
    #[arg(long = "callback-text-denied", env = "CALLBACK_TEXT_DENIED", value_parser = text,
          default_value = "这次登录已取消。")]
    denied: String,

    /// The login names a site that is not registered.
    #[arg(long = "callback-text-unknown-site", env = "CALLBACK_TEXT_UNKNOWN_SITE", value_parser = text,
          default_value = "这个网站没有登记，登录已取消。")]
    unknown_site: String,

    /// The site knows people by a name that WeChat has not given (unionid).
    #[arg(long = "callback-text-nameless", env = "CALLBACK_TEXT_NAMELESS", value_parser = text,
          default_value = "微信没有提供这个网站需要的身份信息，登录已取消。如果刷新网页后重新扫码也不行，请告诉网站。")]
    nameless: String,

    /// Certainly nothing was recorded.
    #[arg(long = "callback-text-try-again", env = "CALLBACK_TEXT_TRY_AGAIN", value_parser = text,
          default_value = "系统繁忙，没有登录，请稍后再扫一次。")]
    try_again: String,

    /// Perhaps it was recorded: the page knows.
    #[arg(long = "callback-text-look", env = "CALLBACK_TEXT_LOOK", value_parser = text,
          default_value = "请看一下网页：结果以网页显示为准；如果网页没有反应，请刷新后重新扫码。")]
    look: String,
}

/// Whether an empty environment variable of this name is a value, and not a setting left out.
pub(crate) fn may_be_empty(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("CALLBACK_TEXT_"))
}

/// What the phone hears after a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PhoneReply {
    /// The gateway has recorded it.
    LoggedIn {
        /// The person came by following the account.
        first: bool,
        /// The nickname, when WeChat gave one.
        nickname: Option<String>,
        /// The login number (the first is 1), when the store could say.
        count: Option<u32>,
    },
    /// The code is too old.
    Expired,
    /// Somebody else has used the code.
    Taken,
    /// The login was denied.
    Denied,
    /// The login names a site that is not registered.
    UnknownSite,
    /// The site knows people by a name that WeChat has not given.
    Nameless,
    /// Certainly nothing was recorded.
    TryAgain,
    /// Perhaps it was recorded.
    Look,
}

impl PhoneReply {
    /// A short name for logs and metrics.
    #[must_use]
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::LoggedIn { .. } => "logged_in",
            Self::Expired => "expired",
            Self::Taken => "taken",
            Self::Denied => "denied",
            Self::UnknownSite => "unknown_site",
            Self::Nameless => "nameless",
            Self::TryAgain => "try_again",
            Self::Look => "look",
        }
    }
}

impl Texts {
    /// The words of a reply; none where the operator wants none.
    #[must_use]
    pub(crate) fn words(&self, reply: &PhoneReply) -> Option<String> {
        said(match reply {
            PhoneReply::LoggedIn { first, nickname, count } => {
                fill(if *first { &self.first } else { &self.follower }, nickname.as_deref(), *count)
            }
            PhoneReply::Expired => self.expired.clone(),
            PhoneReply::Taken => self.taken.clone(),
            PhoneReply::Denied => self.denied.clone(),
            PhoneReply::UnknownSite => self.unknown_site.clone(),
            PhoneReply::Nameless => self.nameless.clone(),
            PhoneReply::TryAgain => self.try_again.clone(),
            PhoneReply::Look => self.look.clone(),
        })
    }

    /// The answer to a message.
    #[must_use]
    pub(crate) fn greeting(&self) -> Option<String> {
        said(self.greeting.clone())
    }

    /// The words for a person who has followed the account without a code of ours.
    #[must_use]
    pub(crate) fn welcome(&self) -> Option<String> {
        said(self.welcome.clone())
    }
}

/// No text without a visible character: the phone would show an error.
fn said(text: String) -> Option<String> {
    (!text.trim().is_empty()).then_some(text)
}

fn fill(template: &str, nickname: Option<&str>, count: Option<u32>) -> String {
    let needs_count = |line: &str| line.contains("{count}");
    // If nothing else would be left, only the number is left out.
    let keep_all = count.is_some() || template.lines().all(needs_count);
    let lines = template.lines().filter(|line| keep_all || !needs_count(line));
    // The count first, so that {count} in a nickname stays as it is.
    let count = count.map(|count| count.to_string()).unwrap_or_default();
    let text = lines.map(|line| line.replace("{count}", &count)).collect::<Vec<_>>().join("\n");
    match nickname {
        Some(name) => text.replace("{name}", name),
        None => ["{name}，", "{name}, ", "{name},", "{name} ", "{name}"]
            .iter()
            .fold(text, |text, place| text.replace(place, "")),
    }
}

/// Reads a text; an environment file has no line breaks, so `\n` stands for one.
fn text(setting: &str) -> Result<String, String> {
    let text = setting.replace("\\n", "\n");
    match text.len() {
        bytes if bytes > MAX_CONTENT => {
            Err(format!("it has {bytes} bytes, and WeChat takes {MAX_CONTENT} at most: shorten it"))
        }
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        texts: Texts,
    }

    fn texts(flags: &[&str]) -> Texts {
        Flags::parse_from([&["x"], flags].concat()).texts
    }

    fn logged_in(first: bool, nickname: Option<&str>, count: Option<u32>) -> PhoneReply {
        PhoneReply::LoggedIn { first, nickname: nickname.map(str::to_owned), count }
    }

    #[test]
    fn the_words_of_the_original_with_and_without_a_nickname() {
        let texts = texts(&[]);
        let words = |first, nickname, count| texts.words(&logged_in(first, nickname, count)).unwrap();
        assert_eq!(words(true, Some("阿狸"), Some(1)), "阿狸，登录成功！\n这是你第1次登录，玩的开心！");
        assert_eq!(words(false, Some("阿狸"), Some(12)), "阿狸，欢迎回来！\n这是你第12次登录，玩的开心！");
        assert_eq!(words(true, None, Some(1)), "登录成功！\n这是你第1次登录，玩的开心！");
        assert_eq!(words(false, None, Some(2)), "欢迎回来！\n这是你第2次登录，玩的开心！");
        assert_eq!(words(true, Some("阿狸"), None), "阿狸，登录成功！");
        let tricky = words(true, Some("{count}{name}"), Some(3));
        assert_eq!(tricky, "{count}{name}，登录成功！\n这是你第3次登录，玩的开心！");
    }

    #[test]
    fn only_a_recorded_login_is_told_as_one() {
        let texts = texts(&[]);
        let others = [
            PhoneReply::Expired,
            PhoneReply::Taken,
            PhoneReply::Denied,
            PhoneReply::UnknownSite,
            PhoneReply::TryAgain,
            PhoneReply::Look,
        ];
        let words = others.iter().map(|reply| texts.words(reply)).chain([texts.greeting(), texts.welcome()]);
        for words in words.map(Option::unwrap) {
            assert!(!words.contains("登录成功") && !words.contains("欢迎回来"), "{words}");
        }
    }

    #[test]
    fn texts_are_settings() {
        let texts = texts(&["--callback-text-first", "Hi {name},\\nlogin {count}"]);
        assert_eq!(texts.words(&logged_in(true, Some("Li"), Some(7))).unwrap(), "Hi Li,\nlogin 7");
        assert_eq!(texts.words(&logged_in(true, None, Some(7))).unwrap(), "Hi \nlogin 7");
        let one_line = self::texts(&["--callback-text-first", "login {count}"]);
        assert_eq!(
            one_line.words(&logged_in(true, None, None)).unwrap(),
            "login ",
            "the number alone is lost"
        );
    }

    #[test]
    fn an_empty_text_says_nothing() {
        for empty in ["", " ", "\\n"] {
            let texts = texts(&["--callback-text-greeting", empty, "--callback-text-look", empty]);
            assert_eq!((texts.greeting(), texts.words(&PhoneReply::Look)), (None, None), "{empty:?}");
            assert!(texts.words(&PhoneReply::Taken).is_some());
        }
        let name_alone = self::texts(&["--callback-text-first", "{name}"]);
        assert_eq!(name_alone.words(&logged_in(true, None, Some(1))), None);
        assert!(
            may_be_empty(OsStr::new("CALLBACK_TEXT_LOOK")) && !may_be_empty(OsStr::new("CALLBACK_STORE"))
        );
    }

    #[test]
    fn a_text_that_wechat_would_not_take_ends_the_start_and_names_its_setting() {
        for flag in ["--callback-text-greeting", "--callback-text-first", "--callback-text-look"] {
            let parse = |bytes: usize| Flags::try_parse_from(["x", flag, &"x".repeat(bytes)]);
            assert!(parse(2047).is_ok());
            let error = parse(2048).unwrap_err().to_string();
            assert!(error.contains(flag) && error.contains("2047"), "{error}");
        }
    }
}
