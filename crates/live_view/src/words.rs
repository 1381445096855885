//! The words of the page in both languages.

use std::time::Duration;

use login_page::Language;

/// The words in this language.
#[must_use]
pub fn either(language: Language, zh: &'static str, en: &'static str) -> &'static str {
    match language {
        Language::Chinese => zh,
        Language::English => en,
    }
}

/// The units of [`age`], from seconds to days, for the script, which counts on.
pub(crate) fn units(language: Language) -> &'static str {
    either(language, " 秒| 分钟| 小时| 天", " s| min| h| d")
}

/// A length of time in its largest unit.
pub(crate) fn age(time: Duration, language: Language) -> String {
    let seconds = time.as_secs();
    let (number, unit) = match seconds {
        0..60 => (seconds, 0),
        60..3600 => (seconds / 60, 1),
        3600..172_800 => (seconds / 3600, 2),
        _ => (seconds / 86_400, 3),
    };
    format!("{number}{}", units(language).split('|').nth(unit).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let of = |seconds| age(Duration::from_secs(seconds), Language::English);
        assert_eq!([of(0), of(59), of(60), of(3599)], ["0 s", "59 s", "1 min", "59 min"]);
        assert_eq!([of(3600), of(172_799), of(172_800)], ["1 h", "47 h", "2 d"]);
        assert_eq!(age(Duration::from_secs(90), Language::Chinese), "1 分钟");
    }
}
