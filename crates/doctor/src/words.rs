//! Words in English and Chinese, and which of them the operator reads.

use std::ffi::OsString;

use clap::ValueEnum;

/// A language of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Chinese.
    Zh,
    /// English.
    En,
}

impl Language {
    /// The language of the environment: Chinese where `LC_ALL`, else `LC_MESSAGES`, else `LANG` begins with `zh`.
    #[must_use]
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var_os(name))
    }

    fn of(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name| lookup(name).filter(|value| !value.is_empty());
        let first = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).unwrap_or_default();
        if first.to_string_lossy().to_ascii_lowercase().starts_with("zh") { Self::Zh } else { Self::En }
    }
}

/// The same in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    en: String,
    zh: String,
}

impl Words {
    /// English words, and the Chinese ones that say the same.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { en: en.into(), zh: zh.into() }
    }

    /// What is the same in both: a name, a number, or another program's error.
    pub fn same(text: impl Into<String>) -> Self {
        let en = text.into();
        Self { zh: en.clone(), en }
    }

    /// In this language.
    #[must_use]
    pub fn get(&self, language: Language) -> &str {
        match language {
            Language::Zh => &self.zh,
            Language::En => &self.en,
        }
    }

    /// The same words, each language changed by itself.
    pub(crate) fn map(&self, mut change: impl FnMut(&str) -> String) -> Self {
        Self { en: change(&self.en), zh: change(&self.zh) }
    }

    /// These words, and more behind them.
    #[must_use]
    pub fn and(self, more: &Self) -> Self {
        Self { en: self.en + &more.en, zh: self.zh + &more.zh }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_that_of_the_first_variable_that_is_set() {
        let of = |all: &'static str, messages: &'static str, lang: &'static str| {
            Language::of(move |name| {
                Some(OsString::from(match name {
                    "LC_ALL" => all,
                    "LC_MESSAGES" => messages,
                    _ => lang,
                }))
            })
        };
        assert_eq!(of("", "", "zh_CN.UTF-8"), Language::Zh);
        assert_eq!(of("", "ZH_TW", "en_US"), Language::Zh);
        assert_eq!(of("C.UTF-8", "zh_CN", "zh_CN"), Language::En);
        assert_eq!(of("", "", ""), Language::En);
        assert_eq!(Language::of(|_| None), Language::En);
    }
}
