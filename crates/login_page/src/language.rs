//! The language in which a person is told things.

/// A language that there are words in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// 中文, the language of nearly everybody who has WeChat.
    #[default]
    Chinese,
    /// English.
    English,
}

impl Language {
    /// The first language that there are words in: of the wishes that came with a page (`lang`, `ui_locales`), else of its
    /// browser's Accept-Language. `login.js` chooses in the same way. Without any it is Chinese.
    #[must_use]
    pub fn choose<'a>(wishes: impl IntoIterator<Item = &'a str>, accept_language: Option<&'a str>) -> Self {
        let accepted = accept_language.unwrap_or_default().split(',');
        Self::wished(wishes.into_iter().chain(accepted)).unwrap_or_default()
    }

    /// The first of these wishes that there are words in, if there is one.
    #[must_use]
    pub fn wished<'a>(wishes: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        wishes.into_iter().find_map(Self::named)
    }

    /// Its name in HTML.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
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

    #[test]
    fn without_a_wish_that_there_are_words_for_the_page_itself_may_choose() {
        assert_eq!(Language::wished("fr-CA en".split(' ')), Some(Language::English));
        assert_eq!(Language::wished("fr de".split(' ')), None);
        assert_eq!(Language::wished([Language::Chinese.tag()]), Some(Language::Chinese));
        assert_eq!(Language::wished([Language::English.tag()]), Some(Language::English));
    }
}
