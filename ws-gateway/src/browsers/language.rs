//! The words that the gateway itself says to a page, in the page's language.

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
    /// Chooses by the page's `lang` parameter, else by its browser's Accept-Language.
    #[must_use]
    pub(crate) fn choose(lang: Option<&str>, accept_language: Option<&str>) -> Self {
        let first = lang.or_else(|| accept_language?.split(',').next()).unwrap_or_default();
        if first.trim().to_ascii_lowercase().starts_with("en") { Self::English } else { Self::Chinese }
    }

    /// One of two texts.
    #[must_use]
    pub(crate) fn of(self, chinese: &'static str, english: &'static str) -> &'static str {
        match self {
            Self::Chinese => chinese,
            Self::English => english,
        }
    }
}
