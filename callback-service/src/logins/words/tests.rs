//! The texts as they are set, and as they are told.

#![allow(clippy::unwrap_used)]

use clap::Parser;

use super::*;
use crate::logins::way::Way;

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    texts: Texts,
}

impl Texts {
    fn zh(&self, reply: &PhoneReply) -> Option<String> {
        self.words(&ToPhone { reply: reply.clone(), language: Language::Chinese })
    }

    fn en(&self, reply: &PhoneReply) -> Option<String> {
        self.words(&ToPhone { reply: reply.clone(), language: Language::English })
    }
}

fn question() -> Question {
    Question {
        site: "示例商店".to_owned(),
        browser: Some("Chrome".to_owned()),
        system: Some("Windows".to_owned()),
        place: "203.0.*.*".to_owned(),
        at: 1_790_000_000,
        language: Language::Chinese,
        replaces: false,
        way: Way::Scan,
        number: None,
    }
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
    let words = |first, nickname, count| texts.zh(&logged_in(first, nickname, count)).unwrap();
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
        PhoneReply::Question(Box::new(Question { replaces: true, ..question() })),
        PhoneReply::Wrong(2),
        PhoneReply::WrongNumbers,
        PhoneReply::NotMe,
        PhoneReply::Late,
        PhoneReply::Confirmed,
        PhoneReply::WrongCode,
        PhoneReply::TooManyCodes,
        PhoneReply::Expired,
        PhoneReply::Unknown,
        PhoneReply::Taken,
        PhoneReply::Denied,
        PhoneReply::UnknownSite,
        PhoneReply::TryAgain,
        PhoneReply::Look,
    ];
    let words = others.iter().map(|reply| texts.zh(reply)).chain([texts.greeting(), texts.welcome()]);
    for words in words.map(Option::unwrap) {
        assert!(!words.contains("登录成功") && !words.contains("欢迎回来"), "{words}");
    }
    for words in others.iter().filter_map(|reply| texts.en(reply)) {
        assert!(!words.contains("you are logged in") || words.contains("whether"), "{words}");
    }
}

#[test]
fn the_question_names_what_is_known_and_leaves_the_rest_out() {
    let texts = texts(&[]);
    let asked = |question| PhoneReply::Question(Box::new(question));
    let words = texts.zh(&asked(question())).unwrap();
    for part in ["「示例商店」", "Chrome（Windows）", "地点：203.0.*.*", "时间：22:13", "回复 0"]
    {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    assert!(!words.contains('{') && !words.contains("取消"), "{words}");
    let replacing = texts.zh(&asked(Question { replaces: true, ..question() })).unwrap();
    assert!(replacing.starts_with("上一次的登录已取消。\n\n「示例商店」"), "{replacing}");
    // In the language of its facts.
    let english = |question| asked(Question { language: Language::English, ..question });
    let words = texts.zh(&english(question())).unwrap();
    assert!(words.contains("Browser: Chrome (Windows)") && words.contains("reply 0"), "{words}");
    let unknown =
        Question { site: String::new(), browser: None, system: None, place: String::new(), ..question() };
    let words = texts.zh(&english(unknown)).unwrap();
    assert!(words.starts_with("Time: 22:13") && !words.contains("Browser"), "{words}");
    let half = texts.zh(&asked(Question { system: None, ..question() })).unwrap();
    assert!(half.contains("浏览器：Chrome\n"), "{half}");
    // A name is a name, whatever it looks like.
    let tricky = Question { site: "{time}".to_owned(), ..question() };
    assert!(texts.zh(&asked(tricky)).unwrap().starts_with("「{time}」"));
    assert!(texts.zh(&PhoneReply::Wrong(2)).unwrap().contains("还可以试 2 次"));
}

#[test]
fn who_has_typed_the_pages_code_is_asked_for_1_and_who_has_scanned_for_the_two_digits() {
    let texts = texts(&[]);
    for (way, number, takes_yes) in [
        (Way::Scan, Some("47"), false),
        (Way::Typed, Some("47"), true),
        (Way::Wechat, Some("47"), false),
        (Way::Wechat, None, true),
    ] {
        let question = Question { way, number: number.map(str::to_owned), ..question() };
        let words = texts.zh(&PhoneReply::Question(Box::new(question.clone()))).unwrap();
        assert_eq!(
            (words.contains("回复 1 "), words.contains("两位数字")),
            (takes_yes, !takes_yes),
            "{words}"
        );
        for part in ["「示例商店」", "Chrome（Windows）", "地点：203.0.*.*", "时间：22:13", "回复 0"]
        {
            assert!(words.contains(part), "{part} is not in {words}");
        }
        assert!(!words.contains("47"), "the page alone shows it: {words}");
        let english = Question { language: Language::English, ..question };
        let words = texts.en(&PhoneReply::Question(Box::new(english))).unwrap();
        assert_eq!(words.contains("reply 1 "), takes_yes, "{words}");
    }
}

#[test]
fn texts_are_settings() {
    let texts = texts(&["--callback-text-first", "Hi {name},\\nlogin {count}"]);
    assert_eq!(texts.zh(&logged_in(true, Some("Li"), Some(7))).unwrap(), "Hi Li,\nlogin 7");
    assert_eq!(texts.zh(&logged_in(true, None, Some(7))).unwrap(), "Hi \nlogin 7");
    let one_line = self::texts(&["--callback-text-first", "login {count}"]);
    assert_eq!(one_line.zh(&logged_in(true, None, None)).unwrap(), "login ", "the number alone is lost");
}

#[test]
fn an_empty_text_says_nothing() {
    for empty in ["", " ", "\\n"] {
        let texts = texts(&["--callback-text-greeting", empty, "--callback-text-look", empty]);
        assert_eq!((texts.greeting(), texts.zh(&PhoneReply::Look)), (None, None), "{empty:?}");
        assert!(texts.zh(&PhoneReply::Taken).is_some());
    }
    for flag in
        ["--callback-text-confirm", "--callback-text-confirm-typed", "--callback-text-confirm-typed-en"]
    {
        let error = Flags::try_parse_from(["x", flag, "\\n"]).unwrap_err().to_string();
        assert!(error.contains(flag) && error.contains("asked"), "{error}");
    }
    let name_alone = self::texts(&["--callback-text-first", "{name}"]);
    assert_eq!(name_alone.zh(&logged_in(true, None, Some(1))), None);
    assert!(may_be_empty(OsStr::new("CALLBACK_TEXT_LOOK")) && !may_be_empty(OsStr::new("CALLBACK_STORE")));
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
