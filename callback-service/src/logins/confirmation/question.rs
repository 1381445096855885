//! What a person is told of a login before they confirm it: the facts, as the store keeps them for a repeat.

use login_page::Language;
use login_page::browser::{browser, named, system};
use protocol::message::Context;
use serde::{Deserialize, Serialize};

use super::place::Places;
use super::talk::Login;
use crate::logins::way::{Way, YES};

/// The facts of a login, in the person's language. A stranger chose the page's User-Agent and Origin, so that of these
/// only names of our own and a plain host are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Question {
    /// The site's name, or the host of the page's origin; empty where the page has none.
    pub site: String,
    /// The browser, where it is a known one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// The system, where it is a known one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The place of its address, or the address shortened.
    pub place: String,
    /// When the page asked for the login, in seconds since 1970.
    pub at: u64,
    /// In which language the facts are, and the person is asked.
    #[serde(with = "tag")]
    pub language: Language,
    /// It takes the place of a login that waited.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
    /// How the person came to it.
    #[serde(default, skip_serializing_if = "Way::is_scan")]
    pub way: Way,
    /// What the page shows, where the person is to tell it; else they only say yes. It is kept beside the question.
    #[serde(skip)]
    pub number: Option<String>,
}

impl Question {
    /// The facts of a login, which is for this site where it is for one.
    pub(super) fn new(site: Option<&str>, context: &Context, places: &Places, login: &Login) -> Self {
        let Login { language, way, .. } = *login;
        let user_agent = context.user_agent.as_deref().unwrap_or_default();
        let in_words = |name| named(name, language).to_owned();
        let host = || context.origin.as_deref().and_then(host).unwrap_or_default();
        Self {
            site: site.map_or_else(host, str::to_owned),
            browser: browser(user_agent).map(in_words),
            system: system(user_agent).map(in_words),
            place: places.of(&context.ip, language),
            at: context.created_at,
            language,
            replaces: false,
            way,
            number: None,
        }
    }

    /// Whether 1 is an answer to it.
    pub(crate) fn takes_yes(&self) -> bool {
        self.way.is_confirmed_by(YES, self.number.as_deref().unwrap_or_default())
    }

    /// The time in China, where there is one time and no daylight saving: `14:05`.
    pub(crate) fn time(&self) -> String {
        const EAST: u64 = 8 * 3600;
        let second = (self.at + EAST) % (24 * 3600);
        format!("{:02}:{:02}", second / 3600, second / 60 % 60)
    }
}

/// A language as a record keeps it.
pub(super) mod tag {
    use login_page::Language;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(in super::super) fn serialize<S: Serializer>(language: &Language, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(language.tag())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Language, D::Error> {
        let tag = String::deserialize(from)?;
        Ok(Language::wished([tag.as_str()]).unwrap_or_default())
    }
}

/// The host of an origin, in its ASCII form.
fn host(origin: &str) -> Option<String> {
    let url = url::Url::parse(origin).ok()?;
    url.host_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use protocol::Scene;

    use super::*;

    #[test]
    fn a_login_is_described_by_what_is_known_and_in_no_strangers_words() {
        let context = Context {
            origin: Some("https://xn--fiq228c.example:8443".to_owned()),
            ip: "203.0.113.9".to_owned(),
            user_agent: Some("你的银行 Mozilla/5.0 (Windows NT 10.0) Firefox/140.0".to_owned()),
            created_at: 1_790_000_000,
            ..Context::default()
        };
        let login = |language| Login {
            scene: Scene::random(),
            first: false,
            created_at: 0,
            language,
            parties: None,
            way: Way::Typed,
            from: None,
        };
        let of = |site| Question::new(site, &context, &Places::default(), &login(Language::Chinese));
        let question = of(None);
        assert_eq!((question.site.as_str(), question.place.as_str()), ("xn--fiq228c.example", "203.0.*.*"));
        assert_eq!(
            (question.browser.as_deref(), question.system.as_deref()),
            (Some("Firefox"), Some("Windows"))
        );
        // date -u -d @1790000000 says 14:13.
        assert_eq!(question.time(), "22:13");
        assert_eq!(of(Some("示例商店")).site, "示例商店");
        let nothing = Question::new(None, &Context::default(), &Places::default(), &login(Language::English));
        assert_eq!(nothing.way, Way::Typed);
        assert_eq!((nothing.site.as_str(), nothing.browser, nothing.place.as_str()), ("", None, "unknown"));
    }
}
