//! What a person has typed, if it is an answer to the question for the number.
//!
//! People type the two digits as their keyboard gives them: full-width, with blanks, in Chinese characters, one by one or as
//! a number, with a full stop behind. All that is the same answer. Everything else is a message like any other.

/// Characters of a text that is looked at. An answer is short.
const MAX_TEXT: usize = 16;

/// The most digits that are taken for a try. More are a telephone number, or something else that is meant for people.
const MAX_DIGITS: usize = 4;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A number, in decimal digits.
    Number(String),
    /// 0: this was not me.
    No,
}

impl Typed {
    /// Reads a text; `None` where it is no answer.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|&letter| !is_beside(letter)).take(MAX_TEXT + 1).collect();
        if text.is_empty() || text.chars().count() > MAX_TEXT {
            return None;
        }
        let digits = text.chars().map(digit).collect::<Option<String>>().or_else(|| spoken(&text))?;
        if digits.len() > MAX_DIGITS {
            return None;
        }
        Some(if digits.bytes().all(|digit| digit == b'0') { Self::No } else { Self::Number(digits) })
    }
}

/// Whether a character says nothing: blanks, and what stands around a number or behind it.
pub(crate) fn is_beside(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_control()
        || "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{200e}\u{200f}.,!-'\"()。，、！：:；;“”‘’（）【】「」号"
            .contains(letter)
}

/// A digit as people write it.
pub(crate) fn digit(letter: char) -> Option<char> {
    match letter {
        '0'..='9' => Some(letter),
        '０'..='９' => char::from_digit(u32::from(letter) - u32::from('０'), 10),
        '零' | '〇' | '○' => Some('0'),
        '一' | '壹' | '幺' => Some('1'),
        '二' | '贰' | '两' => Some('2'),
        '三' | '叁' => Some('3'),
        '四' | '肆' => Some('4'),
        '五' | '伍' => Some('5'),
        '六' | '陆' => Some('6'),
        '七' | '柒' => Some('7'),
        '八' | '捌' => Some('8'),
        '九' | '玖' => Some('9'),
        _ => None,
    }
}

/// A number below a hundred as it is said: 十, 十七, 四十, 四十七.
fn spoken(text: &str) -> Option<String> {
    let (tens, ones) = text.split_once(['十', '拾'])?;
    let one = |part: &str, otherwise: char| {
        let mut letters = part.chars();
        match (letters.next(), letters.next()) {
            (None, _) => Some(otherwise),
            (Some(letter), None) => digit(letter),
            _ => None,
        }
    };
    Some(String::from_iter([one(tens, '1')?, one(ones, '0')?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_digits_are_the_same_however_they_are_typed() {
        for text in [
            "47",
            " 4 7 ",
            "４７",
            "４ 7",
            "四七",
            "四十七",
            "肆拾柒",
            "47。",
            "“47”",
            "4-7",
            "47\n",
            "\u{200b}47",
            "47号",
            "（47）",
            "4，7",
        ] {
            assert_eq!(Typed::read(text), Some(Typed::Number("47".to_owned())), "{text:?}");
        }
        for (text, number) in
            [("十", "10"), ("十二", "12"), ("二十", "20"), ("九十九", "99"), ("两零", "20"), ("幺七", "17")]
        {
            assert_eq!(Typed::read(text), Some(Typed::Number(number.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn nought_says_no() {
        for text in ["0", "０", "零", "〇", " 0 ", "00", "0。"] {
            assert_eq!(Typed::read(text), Some(Typed::No), "{text:?}");
        }
    }

    #[test]
    fn what_is_mistyped_is_a_try_and_what_is_meant_for_people_is_none() {
        for (text, digits) in [("4", "4"), ("477", "477"), ("04", "04"), ("4711", "4711")] {
            assert_eq!(Typed::read(text), Some(Typed::Number(digits.to_owned())), "{text:?}");
        }
        for text in [
            "",
            " ",
            "。",
            "你好",
            "47 please",
            "13800138000",
            "47１２３",
            "四十七个",
            "十十",
            "一二三四五",
            "A7",
            "½",
            "٤٧",
            "我的号码是47",
            "+47",
            "0x47",
            "47                    你好",
        ] {
            assert_eq!(Typed::read(text), None, "{text:?}");
        }
        assert_eq!(Typed::read(&"4 ".repeat(10_000)), None);
        assert_eq!(Typed::read(&format!("4{}7", " ".repeat(1_000))), Some(Typed::Number("47".to_owned())));
    }
}
