//! Browser and system by a page's User-Agent header, in the words that people know them by.
//!
//! Only names of these two tables are ever told to a person, because the header comes from a stranger. There is no library:
//! the kept ones carry hundreds of patterns to tell versions and devices apart, and here a wrong name is worse than none.

use crate::Language;

/// A name in Chinese and in English.
pub type Name = (&'static str, &'static str);

const fn same(name: &'static str) -> Name {
    (name, name)
}

/// Browsers by a part of the header, in Chinese and English. The first that fits counts: most call themselves by their
/// ancestors' names as well.
const BROWSERS: [(&str, Name); 14] = [
    ("MicroMessenger/", ("微信", "WeChat")),
    ("Edg/", same("Edge")),
    ("EdgA/", same("Edge")),
    ("EdgiOS/", same("Edge")),
    ("OPR/", same("Opera")),
    ("QQBrowser/", ("QQ浏览器", "QQ Browser")),
    ("UCBrowser/", ("UC浏览器", "UC Browser")),
    ("HuaweiBrowser/", ("华为浏览器", "Huawei Browser")),
    ("MiuiBrowser/", ("小米浏览器", "Mi Browser")),
    ("SamsungBrowser/", ("三星浏览器", "Samsung Internet")),
    ("Firefox/", same("Firefox")),
    ("FxiOS/", same("Firefox")),
    ("CriOS/", same("Chrome")),
    ("Chrome/", same("Chrome")),
];

/// Systems in the same way.
const SYSTEMS: [(&str, Name); 9] = [
    ("iPhone", same("iPhone")),
    ("iPad", same("iPad")),
    ("HarmonyOS", ("鸿蒙", "HarmonyOS")),
    ("OpenHarmony", ("鸿蒙", "HarmonyOS")),
    ("Android", same("Android")),
    ("Windows", same("Windows")),
    ("Macintosh", same("Mac")),
    ("CrOS", same("ChromeOS")),
    ("Linux", same("Linux")),
];

/// The browser's name, where it is one that people know.
#[must_use]
pub fn browser(user_agent: &str) -> Option<Name> {
    // Safari's own version stands behind Version/, which others on Apple's systems leave out.
    let is_safari = || user_agent.contains("Safari/") && user_agent.contains("Version/");
    first(&BROWSERS, user_agent).or_else(|| is_safari().then_some(same("Safari")))
}

/// The system's name, where it is one that people know.
#[must_use]
pub fn system(user_agent: &str) -> Option<Name> {
    first(&SYSTEMS, user_agent)
}

/// A name in this language.
#[must_use]
pub fn named((zh, en): Name, language: Language) -> &'static str {
    match language {
        Language::Chinese => zh,
        Language::English => en,
    }
}

fn first(table: &[(&str, Name)], user_agent: &str) -> Option<Name> {
    table.iter().find(|(part, _)| user_agent.contains(part)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_and_systems_are_named_as_people_know_them() {
        for (user_agent, expected) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36",
                (Some("Chrome"), Some("Windows")),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36 Edg/140.0.0.0",
                (Some("Edge"), Some("Windows")),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.5 Safari/605.1.15",
                (Some("Safari"), Some("Mac")),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 CriOS/140.0.0.0 Mobile/15E148 Safari/604.1",
                (Some("Chrome"), Some("iPhone")),
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                (Some("Firefox"), Some("Linux")),
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; V2309A) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 \
                 Chrome/126.0.0.0 Mobile Safari/537.36 XWEB/1260 MicroMessenger/8.0.50.2701(0x28003237)",
                (Some("微信"), Some("Android")),
            ),
            ("curl/8.5.0", (None, None)),
            ("", (None, None)),
            ("银行官方客服 Chrome", (None, None)),
        ] {
            let in_chinese = |name: Option<Name>| name.map(|name| named(name, Language::Chinese));
            let found = (browser(user_agent), system(user_agent));
            assert_eq!((in_chinese(found.0), in_chinese(found.1)), expected, "{user_agent}");
            let english = found.0.map_or("", |name| named(name, Language::English));
            assert!(english.is_ascii(), "{english}");
        }
    }
}
