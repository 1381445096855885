//! The words for the phone. Each text is a setting, and an empty one is not sent. By default only the words of a
//! recorded login contain 登录成功 or 欢迎回来.

use std::ffi::OsStr;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use login_page::Language;
use wechat::push::MAX_CONTENT;

use super::confirmation::Question;

/// One text for the phone, in both languages, and the settings of each. Of a person who has only written or followed the
/// language is not known, so those texts are in one.
struct Text {
    /// What it is for.
    help: &'static str,
    /// Reads it.
    read: fn(&str) -> Result<String, String>,
    chinese: Setting,
    english: Option<Setting>,
}

/// A text's flag, its environment variable, and its words unless they are set.
struct Setting {
    flag: &'static str,
    variable: &'static str,
    words: &'static str,
}

/// Makes the table of texts, and an enum of their places in it.
macro_rules! texts {
    ($($name:ident, $flag:literal, $variable:literal, $help:literal, $zh:literal, $en:literal;)+) => {
        #[derive(Debug, Clone, Copy)]
        enum Name { $($name),+ }

        const TEXTS: &[Text] = &[$(Text {
            help: $help,
            read: match Name::$name {
                // Nobody could confirm what they are not asked.
                Name::Confirm | Name::ConfirmTyped | Name::Approve => needed,
                Name::Code => with_code,
                _ => self::text,
            },
            chinese: Setting {
                flag: concat!("callback-text-", $flag),
                variable: concat!("CALLBACK_TEXT_", $variable),
                words: $zh,
            },
            english: if $en.is_empty() {
                None
            } else {
                Some(Setting {
                    flag: concat!("callback-text-", $flag, "-en"),
                    variable: concat!("CALLBACK_TEXT_", $variable, "_EN"),
                    words: $en,
                })
            },
        }),+];
    };
}

texts! {
    First, "first", "FIRST",
        "Logged in by following the account",
        "{name}，登录成功！\n这是你第{count}次登录，玩的开心！",
        "{name}, you are logged in.\nThis is your login number {count}.";
    Follower, "follower", "FOLLOWER",
        "Logged in as a follower",
        "{name}，欢迎回来！\n这是你第{count}次登录，玩的开心！",
        "{name}, welcome back: you are logged in.\nThis is your login number {count}.";
    Greeting, "greeting", "GREETING",
        "The answer to any message. As with every text, an empty one says nothing",
        "您好！打开网站的登录页，用微信扫一扫页面上的二维码即可登录。",
        "";
    Welcome, "welcome", "WELCOME",
        "Followed the account without a QR code of ours: found it by name, or scanned another code of it. WeChat's own \
         welcome is off while pushes come here",
        "感谢关注！打开网站的登录页，用微信扫一扫页面上的二维码即可登录。",
        "";
    Confirm, "confirm", "CONFIRM",
        "The question after a scan that is to be confirmed. {site}, {browser}, {system}, {place} and {time} stand for \
         what is known of the page; a line whose only such word is not known is left out",
        "「{site}」正在请求登录\n浏览器：{browser}（{system}）\n地点：{place}\n时间：{time}\n\n如果是你本人打开的网页，请回复网页上显示的两位数字。\n如果不是，或者二维码是别人发给你的，请回复 0。",
        "“{site}” asks to log you in\nBrowser: {browser} ({system})\nPlace: {place}\nTime: {time} (China)\n\nDid you open that page yourself? Then reply with the two digits that it shows.\nIf not, or if somebody sent you the code, reply 0.";
    ConfirmTyped, "confirm-typed", "CONFIRM_TYPED",
        "The same question after a code was sent to the account: whoever has read the page's code need not read its two \
         digits, too, though they count as well",
        "「{site}」正在请求登录\n浏览器：{browser}（{system}）\n地点：{place}\n时间：{time}\n\n如果是你本人打开的网页，请回复 1 登录。\n如果不是，或者验证码是别人发给你的，请回复 0。",
        "“{site}” asks to log you in\nBrowser: {browser} ({system})\nPlace: {place}\nTime: {time} (China)\n\nDid you open that page yourself? Then reply 1 to log in.\nIf not, or if somebody sent you the code, reply 0.";
    Replaced, "replaced", "REPLACED",
        "Stands before the question where another login was waiting for its number",
        "上一次的登录已取消。",
        "The login before this one is cancelled.";
    Wrong, "wrong", "WRONG",
        "The number is another one than the page's. {left} stands for the tries that are left",
        "数字不对，请看网页上显示的两位数字再回复一次（还可以试 {left} 次）。如果不是你本人在登录，请回复 0。",
        "That is not the number. Look at the page and reply with its two digits (tries left: {left}). If it is not you, reply 0.";
    WrongNumbers, "wrong-numbers", "WRONG_NUMBERS",
        "Too many wrong numbers",
        "数字错误次数过多，登录已取消。需要登录时请刷新网页后重试。",
        "Too many wrong numbers; the login is cancelled. To log in, reload the page and try again.";
    NotMe, "not-me", "NOT_ME",
        "The person has said that it was not them",
        "已拒绝，没有人登录。如果二维码或验证码是别人发给你的，请不要再用。",
        "Refused; nobody is logged in. If somebody sent you that code, do not use it again.";
    Late, "late", "LATE",
        "The number came after the login's time",
        "已超时，没有登录。请刷新网页后重试。",
        "Too late; nobody is logged in. Reload the page and try again.";
    Confirmed, "confirmed", "CONFIRMED",
        "The person types 0 after the login was confirmed and recorded",
        "这次登录刚才已经确认，不能再取消。如果不是你本人，请到该网站退出登录。",
        "This login was confirmed a moment ago and cannot be taken back here. If it was not you, log out on that site.";
    WrongCode, "wrong-code", "WRONG_CODE",
        "No page shows the code that was sent, or none does any more. Where it is empty, the text is a message like any \
         other",
        "验证码不对或已过期，请发送网页上现在显示的验证码。\nWrong or expired code: send the one that the page shows now.",
        "";
    TooManyCodes, "too-many-codes", "TOO_MANY_CODES",
        "The person has sent too many wrong codes, and none is looked up for a time. Where it is empty, the text is a \
         message like any other",
        "验证码错误次数过多，请 10 分钟后再试。\nToo many wrong codes. Please try again in 10 minutes.",
        "";
    Expired, "expired", "EXPIRED",
        "The QR code is too old",
        "这次登录已过期，请刷新网页后重试。",
        "This login has expired. Reload the page and try again.";
    Taken, "taken", "TAKEN",
        "Somebody else has used the page's code",
        "这个码已经被使用过，请刷新网页后重试。",
        "This code has been used already. Reload the page and try again.";
    Denied, "denied", "DENIED",
        "The login was denied",
        "这次登录已取消。",
        "This login was cancelled.";
    UnknownSite, "unknown-site", "UNKNOWN_SITE",
        "The login names a site that is not registered",
        "这个网站没有登记，登录已取消。",
        "This site is not registered; the login is cancelled.";
    Nameless, "nameless", "NAMELESS",
        "The site knows people by a name that WeChat has not given (unionid)",
        "微信没有提供这个网站需要的身份信息，登录已取消。如果刷新网页后重试也不行，请告诉网站。",
        "WeChat has not given what this site needs to know you by; the login is cancelled. If trying again does not help, tell the site.";
    Code, "code", "CODE",
        "The code for a site that asks by wechat-server's protocol. {code} and {minutes} stand for it and how long it is good",
        "验证码：{code}\n{minutes} 分钟内有效，只能使用一次。\n\n请只填在你自己打开的网页上，不要告诉任何人。",
        "";
    Approve, "approve", "APPROVE",
        "The question after the scan of a QR code that such a site has asked for. {site} stands for its name",
        "「{site}」正在请求登录。\n\n如果是你本人打开的网页，请回复 1。\n如果不是，或者二维码是别人发给你的，请回复 0。",
        "";
    TryAgain, "try-again", "TRY_AGAIN",
        "Certainly nothing was recorded",
        "系统繁忙，没有登录，请稍后再试一次。",
        "The system is busy and nobody is logged in. Please try again in a moment.";
    Look, "look", "LOOK",
        "Perhaps it was recorded: the page knows",
        "请看一下网页：结果以网页显示为准；如果网页没有反应，请刷新后重试。",
        "Please look at the page: it knows whether you are logged in. If nothing happens there, reload it and try again.";
}

/// The texts. `{name}` stands for the nickname and `{count}` for the login number (the first is 1); `\n` may be written
/// for a line break. Without a nickname its place and the comma after it are left out. Without a count the line that
/// holds it is left out.
#[derive(Debug, Clone)]
pub(crate) struct Texts {
    chinese: Vec<String>,
    english: Vec<String>,
}

impl Args for Texts {
    fn augment_args(command: Command) -> Command {
        TEXTS.iter().fold(command, |command, text| {
            let argument = |setting: &Setting, help: String| {
                Arg::new(setting.flag)
                    .long(setting.flag)
                    .env(setting.variable)
                    .default_value(setting.words)
                    .value_parser(text.read)
                    .help(help)
            };
            let command = command.arg(argument(&text.chinese, text.help.to_owned()));
            match &text.english {
                None => command,
                Some(english) => {
                    let of = text.chinese.variable;
                    let help = format!("As {of}, for a person whose WeChat is in English");
                    command.arg(argument(english, help))
                }
            }
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Texts {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let read = |setting: &Setting| matches.get_one::<String>(setting.flag).cloned().unwrap_or_default();
        Ok(Self {
            chinese: TEXTS.iter().map(|text| read(&text.chinese)).collect(),
            english: TEXTS.iter().map(|text| read(text.english.as_ref().unwrap_or(&text.chinese))).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Whether an empty environment variable of this name is a value, and not a setting left out.
pub(crate) fn may_be_empty(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("CALLBACK_TEXT_"))
}

/// What the phone hears after a scan or a number.
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
    /// The person is asked for the number.
    Question(Box<Question>),
    /// The number was wrong; so many tries are left.
    Wrong(u8),
    /// Too many numbers were wrong.
    WrongNumbers,
    /// The person has said that it was not them.
    NotMe,
    /// The number came after the login's time.
    Late,
    /// The person says no to a login that they have confirmed.
    Confirmed,
    /// No page shows the code that was sent.
    WrongCode,
    /// Too many codes that were sent were wrong.
    TooManyCodes,
    /// The code is too old.
    Expired,
    /// No login has this scene. It was forgotten, or the code is another back end's.
    Unknown,
    /// Somebody else has used the page's code.
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
            Self::Question(_) => "question",
            Self::Wrong(_) => "wrong",
            Self::WrongNumbers => "wrong_numbers",
            Self::NotMe => "not_me",
            Self::Late => "late",
            Self::Confirmed => "confirmed",
            Self::WrongCode => "wrong_code",
            Self::TooManyCodes => "too_many_codes",
            Self::Expired | Self::Unknown => "expired",
            Self::Taken => "taken",
            Self::Denied => "denied",
            Self::UnknownSite => "unknown_site",
            Self::Nameless => "nameless",
            Self::TryAgain => "try_again",
            Self::Look => "look",
        }
    }
}

/// A reply, and the language of the person who hears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToPhone {
    /// What is told.
    pub reply: PhoneReply,
    /// In which language.
    pub language: Language,
}

impl Texts {
    /// The words of a reply; none where the operator wants none.
    #[must_use]
    pub(crate) fn words(&self, told: &ToPhone) -> Option<String> {
        // A question has its facts in a language, and is repeated in it.
        let language = match &told.reply {
            PhoneReply::Question(question) => question.language,
            _ => told.language,
        };
        let text = |name| self.text(name, language);
        let plain = |name| text(name).to_owned();
        said(match &told.reply {
            PhoneReply::LoggedIn { first, nickname, count } => {
                fill(text(if *first { Name::First } else { Name::Follower }), nickname.as_deref(), *count)
            }
            PhoneReply::Question(question) => {
                let name = if question.takes_yes() { Name::ConfirmTyped } else { Name::Confirm };
                let asked = describe(text(name), question);
                match said(plain(Name::Replaced)).filter(|_| question.replaces) {
                    Some(replaced) => format!("{replaced}\n\n{asked}"),
                    None => asked,
                }
            }
            PhoneReply::Wrong(left) => text(Name::Wrong).replace("{left}", &left.to_string()),
            PhoneReply::WrongNumbers => plain(Name::WrongNumbers),
            PhoneReply::NotMe => plain(Name::NotMe),
            PhoneReply::Late => plain(Name::Late),
            PhoneReply::Confirmed => plain(Name::Confirmed),
            PhoneReply::WrongCode => plain(Name::WrongCode),
            PhoneReply::TooManyCodes => plain(Name::TooManyCodes),
            PhoneReply::Expired | PhoneReply::Unknown => plain(Name::Expired),
            PhoneReply::Taken => plain(Name::Taken),
            PhoneReply::Denied => plain(Name::Denied),
            PhoneReply::UnknownSite => plain(Name::UnknownSite),
            PhoneReply::Nameless => plain(Name::Nameless),
            PhoneReply::TryAgain => plain(Name::TryAgain),
            PhoneReply::Look => plain(Name::Look),
        })
    }

    /// The answer to a message.
    #[must_use]
    pub(crate) fn greeting(&self) -> Option<String> {
        said(self.text(Name::Greeting, Language::default()).to_owned())
    }

    /// The words for a person who has followed the account without a code of ours.
    #[must_use]
    pub(crate) fn welcome(&self) -> Option<String> {
        said(self.text(Name::Welcome, Language::default()).to_owned())
    }

    /// The code that a person has asked for, good for so many minutes.
    #[must_use]
    pub(crate) fn code(&self, code: &str, minutes: u64) -> Option<String> {
        let words = self.text(Name::Code, Language::default()).replace("{minutes}", &minutes.to_string());
        said(words.replace("{code}", code))
    }

    /// The question whether a person wants to log in to a site that knows no number.
    #[must_use]
    pub(crate) fn approve(&self, site: &str) -> Option<String> {
        said(self.text(Name::Approve, Language::default()).replace("{site}", site))
    }

    fn text(&self, name: Name, language: Language) -> &str {
        let texts = match language {
            Language::Chinese => &self.chinese,
            Language::English => &self.english,
        };
        texts.get(name as usize).map_or("", String::as_str)
    }
}

/// The question with the facts of the login. A line of which nothing is known is left out.
fn describe(template: &str, question: &Question) -> String {
    let time = question.time();
    let known = |fact: &Option<String>| fact.clone().unwrap_or_default();
    let facts = [
        ("{site}", question.site.clone()),
        ("{browser}", known(&question.browser)),
        ("{system}", known(&question.system)),
        ("{place}", question.place.clone()),
        ("{time}", time),
    ];
    let line = |line: &str| {
        let named: Vec<_> = facts.iter().filter(|(name, _)| line.contains(name)).collect();
        if !named.is_empty() && named.iter().all(|(_, fact)| fact.is_empty()) {
            return None;
        }
        // The site last: a place of another fact may stand in its name.
        let filled = named.iter().rev().fold(line.to_owned(), |line, (name, fact)| line.replace(name, fact));
        Some(["（）", " ()", "()"].iter().fold(filled, |line, empty| line.replace(empty, "")))
    };
    template.lines().filter_map(line).collect::<Vec<_>>().join("\n")
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

/// Reads a text that must say something.
fn needed(setting: &str) -> Result<String, String> {
    let text = text(setting)?;
    said(text).ok_or_else(|| "is empty; people have to be asked, or nobody could confirm a login".to_owned())
}

/// Reads the text with a code.
fn with_code(setting: &str) -> Result<String, String> {
    let text = text(setting)?;
    match text.contains("{code}") {
        true => Ok(text),
        false => Err("has no {code}, which stands for the code that people ask for".to_owned()),
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
mod tests;
