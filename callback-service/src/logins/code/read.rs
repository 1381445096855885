//! The code that a text brings, if it brings one.
//!
//! People send the digits as their keyboard and their habits give them: full-width, with blanks or hyphens between, in
//! Chinese characters, in quotes, with a full stop behind, with words around. All that is the same code. What is more
//! likely something else is none: an amount, a date, a telephone number, a text with several numbers.

use std::fmt;

use protocol::message::TYPED;

use crate::logins::confirmation::{digit, is_beside};

/// Characters of a text that is looked at. What people write around a code is short.
const MAX_TEXT: usize = 64;

/// What a text with other words in it must contain, so that its number is a code and no order or parcel.
const WORDS: [&str; 11] =
    ["验证码", "驗證碼", "校验码", "动态码", "登录", "登陆", "登入", "登錄", "code", "login", "log in"];

/// The digits of a login's code. They are no secret for long, but the log has no use for them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Code(String);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

impl Code {
    /// Reads a text; `None` where it brings no code.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text.chars().nth(MAX_TEXT).is_some() {
            return None;
        }
        let Parts { mut numbers, mut rest } = parts(text, decimal);
        if numbers.is_empty() {
            // Chinese characters are digits only where there are no others: 登录一下 482913.
            Parts { numbers, rest } = parts(text, digit);
            numbers.retain(|number| number.length() > 1);
        }
        let is_plain = rest.trim().is_empty();
        let Ok([number]) = <[Number; 1]>::try_from(numbers) else { return None };
        let fits = TYPED.contains(&number.length()) && number.is_evenly_split();
        (fits && (is_plain || WORDS.iter().any(|word| rest.contains(word)))).then(|| Self(number.0.concat()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A number, in groups of digits with blanks or hyphens between them.
struct Number(Vec<String>);

impl Number {
    fn length(&self) -> usize {
        self.0.iter().map(String::len).sum()
    }

    /// Whether the groups are as people divide a code: 482 913, 48-29-13, 482 9134. A date is not: 2026-11-29.
    fn is_evenly_split(&self) -> bool {
        let lengths = || self.0.iter().map(String::len);
        let (Some(least), Some(most)) = (lengths().min(), lengths().max()) else { return false };
        // Two groups that could each be a code are two numbers.
        most - least <= 1 && (self.0.len() == 1 || most < *TYPED.start())
    }
}

/// A text's numbers, and its other letters in lower case.
struct Parts {
    numbers: Vec<Number>,
    rest: String,
}

fn parts(text: &str, digit: fn(char) -> Option<char>) -> Parts {
    let (mut numbers, mut rest) = (Vec::<Number>::new(), String::new());
    // What stands between this character and the last digit.
    let (mut is_next, mut is_same_number) = (false, false);
    for letter in text.chars() {
        if let Some(digit) = digit(letter) {
            match numbers.last_mut() {
                Some(Number(groups)) if is_same_number => match groups.last_mut() {
                    Some(group) if is_next => group.push(digit),
                    _ => groups.push(digit.to_string()),
                },
                _ => numbers.push(Number(vec![digit.to_string()])),
            }
            (is_next, is_same_number) = (true, true);
            continue;
        }
        is_next = false;
        is_same_number &= is_between(letter);
        if letter.is_whitespace() {
            rest.push(' ');
        } else if !is_beside(letter) && !is_between(letter) {
            rest.extend(letter.to_lowercase());
        }
    }
    Parts { numbers, rest }
}

/// A digit in figures.
fn decimal(letter: char) -> Option<char> {
    digit(letter).filter(|_| letter.is_ascii_digit() || ('０'..='９').contains(&letter))
}

/// Whether a character may stand between the digits of one number.
fn is_between(letter: char) -> bool {
    letter.is_whitespace() || "-‐‑–—－\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        Code::read(text).map(|code| code.0)
    }

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        for text in [
            "482913",
            "４８２９１３",
            " 482913\n",
            "482 913",
            "482-913",
            "482 – 913",
            "48 29 13",
            "4 8 2 9 1 3",
            "４８２　９１３",
            "\u{200b}482\u{200b}913",
            "四八二九一三",
            "四八二 九一三",
            "肆捌贰玖壹叁",
            "登录一下 四八二九一三",
            "登录一下 482913",
            "“482913”",
            "【482913】",
            "（482913）",
            "482913。",
            "482913!",
            "验证码 482913",
            "验证码：482913",
            "登录 482913",
            "登陆482913",
            "我的验证码是482913。",
            "我的验证码是 482-913，谢谢",
            "code: 482913",
            "CODE 482913",
            "my login code is 482 913.",
            "Log in 482913",
        ] {
            assert_eq!(read(text).as_deref(), Some("482913"), "{text:?}");
        }
        for (text, digits) in [
            ("000000", "000000"),
            ("〇〇〇〇〇七", "000007"),
            ("4829 1307", "48291307"),
            ("482 9130", "4829130"),
            ("482 913 075", "482913075"),
        ] {
            assert_eq!(read(text).as_deref(), Some(digits), "{text:?}");
        }
    }

    #[test]
    fn what_is_more_likely_something_else_is_no_code() {
        for text in [
            "",
            " ",
            "你好",
            "验证码",
            "47",
            "48291",
            "4829130755",
            "13800138000",
            "+8613800138000",
            "138 0013 8000",
            "400-123-4567",
            "010-8765432",
            "482913 075611",
            "验证码 482913 或 075611",
            "登录 3 次了 482913",
            "2026-11-29",
            "482,913",
            "4829.13",
            "482913元",
            "¥482913",
            "+482913",
            "A482913",
            "SF482913",
            "482913B",
            "订单 482913",
            "我的 QQ 是 482913075",
            "482.913",
            "一",
            "一次",
            "第一次用，怎么登录？",
            "٤٨٢٩١٣",
            "½½½½½½",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read(&"4".repeat(10_000)), None);
        assert_eq!(read(&format!("482{}913", " ".repeat(58))).as_deref(), Some("482913"));
        assert_eq!(read(&format!("482{}913", " ".repeat(59))), None, "a long text is not looked at");
    }

    #[test]
    fn no_text_is_both_a_code_and_an_answer_to_the_question_for_a_number() {
        for digits in 0..12 {
            for text in ["7".repeat(digits), "七".repeat(digits), "7 ".repeat(digits), "7-".repeat(digits)] {
                let is_answer = crate::logins::confirmation::Typed::read(&text).is_some();
                assert!(!(is_answer && read(&text).is_some()), "{text}");
            }
        }
    }

    #[test]
    fn the_log_never_has_the_digits() {
        let code = Code::read("482913");
        assert!(code.is_some() && !format!("{code:?}").contains("48"), "{code:?}");
    }
}
