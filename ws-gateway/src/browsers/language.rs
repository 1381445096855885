//! The language of the [`words`](super::words) that the gateway itself says to a page.

/// A language that the gateway has words in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Language {
    /// 中文, the language of nearly everybody who has WeChat.
    #[default]
    Chinese,
    /// English.
    English,
}

impl Language {
    /// Chooses the first language that there are words in: of the page's `lang` parameters, else of its browser's
    /// Accept-Language. `login.js` chooses in the same way.
    pub(crate) fn choose<'a>(lang: impl Iterator<Item = &'a str>, accept_language: Option<&'a str>) -> Self {
        let accepted = accept_language.unwrap_or_default().split(',');
        lang.chain(accepted).find_map(Self::named).unwrap_or_default()
    }

    /// `en`, `en-GB`, `zh-CN;q=0.8`, in small letters or capitals.
    fn named(wish: &str) -> Option<Self> {
        let name = wish.split(['-', '_', ';']).next().unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            "zh" => Some(Self::Chinese),
            "en" => Some(Self::English),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_that_there_are_words_in() {
        let choose = |lang: &[&str], accepted| Language::choose(lang.iter().copied(), accepted);
        assert_eq!(choose(&[], None), Language::Chinese);
        assert_eq!(choose(&[], Some("fr-FR, en-GB;q=0.8, zh;q=0.5")), Language::English);
        assert_eq!(choose(&[], Some("fr, *;q=0.5")), Language::Chinese);
        for lang in [&["EN"][..], &["en_US", "zh"], &["", "en"], &["fr", "en", "en"], &["english", "en"]] {
            assert_eq!(choose(lang, Some("zh-CN")), Language::English, "{lang:?}");
        }
        assert_eq!(choose(&["zh-Hant"], Some("en")), Language::Chinese);
        assert_eq!(choose(&["fr"], Some("en")), Language::English);
    }
}
