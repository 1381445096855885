//! Whether a person asks for a code: the words that they send to the account.

/// The words that ask for a code, unless they are set: what the pages of one-api and new-api tell people to send, and the
/// same in traditional characters.
pub(super) const WORDS: &str = "验证码,驗證碼";

/// Characters of one of the words.
const MAX_WORD: usize = 20;

/// Reads one of the words, as an operator sets them.
pub(super) fn word(setting: &str) -> Result<String, String> {
    let word = bare(setting);
    match word.chars().count() {
        0 => Err("is empty; write the words that people send, such as 验证码".to_owned()),
        1..=MAX_WORD if word.chars().any(|letter| !letter.is_numeric()) => Ok(word),
        1..=MAX_WORD => Err("are digits, which people send to confirm a login; write a word".to_owned()),
        _ => Err(format!("at most {MAX_WORD} characters a word")),
    }
}

/// Whether a text is one of the words. Blanks, punctuation and small or capital letters make no difference: people copy
/// 「验证码」 with the brackets of the page. With other words around it is a message like any other, because it may be a
/// question for people: 没收到验证码.
pub(super) fn asks(words: &[String], text: &str) -> bool {
    // Longer than any word: nothing of it is copied.
    text.len() <= 16 * MAX_WORD && words.contains(&bare(text))
}

fn bare(text: &str) -> String {
    let is_beside = |letter: char| {
        letter.is_whitespace()
            || letter.is_control()
            || letter.is_ascii_punctuation()
            || "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{200e}\u{200f}。，、！？：；“”‘’（）【】「」『』《》…—～·"
                .contains(letter)
    };
    text.chars().filter(|&letter| !is_beside(letter)).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_words_ask_however_they_are_typed_and_not_within_others() {
        let words: Vec<String> =
            [WORDS, "Code"].join(",").split(',').map(|text| word(text).unwrap()).collect();
        for asking in [
            "验证码",
            " 验证码\n",
            "「验证码」",
            "验证码。",
            "验证 码",
            "驗證碼",
            "code",
            "CODE!",
            "\u{feff}验证码",
        ] {
            assert!(asks(&words, asking), "{asking}");
        }
        let long = "验证码".repeat(100);
        for other in
            ["", "。", "验证", "我要验证码", "没收到验证码", "验证码 482913", "482913", "验证码验证码", &long]
        {
            assert!(!asks(&words, other), "{other}");
        }
    }

    #[test]
    fn a_word_is_no_number_and_no_sentence() {
        for wrong in ["", " ", "。", "1", "４７", &"长".repeat(21)] {
            assert!(word(wrong).is_err(), "{wrong}");
        }
    }
}
