//! A browser that is WeChat's own: how it is known, and how a request of `/authorize` is answered once WeChat has said who
//! looks at it.

use http::header::{ACCEPT_LANGUAGE, HeaderMap, USER_AGENT};
use login_page::Language;
use protocol::{LoginId, Scene};
use records::Moment;
use server::http::Response;
use tracing::Instrument as _;

use super::endpoints::Incoming;
use super::grants::NotGranted;
use super::identity::Scanned;
use super::token::{Hash, Token};
use super::{Provider, sid};
use crate::account::names::Names;
use crate::audit::{Confirmed, Fact, Outcome, Way, Whence};
use crate::store::StoreError;
use crate::trace;

/// What its User-Agent has in it, on phones and on desktops.
const WECHAT: &str = "MicroMessenger";

/// What that of WeCom (企业微信) has beside it. Official accounts cannot ask who looks at WeCom.
const WECOM: &str = "wxwork";

/// What its User-Agent says before the person's language.
const LANGUAGE: &str = "Language/";

/// Whether a request comes from WeChat's browser.
pub(crate) fn is_wechat(headers: &HeaderMap) -> bool {
    text(headers, &USER_AGENT).is_some_and(|agent| agent.contains(WECHAT) && !agent.contains(WECOM))
}

/// Whether the page is asked for by a frame. WeChat's own pages do not work in one.
pub(crate) fn is_framed(headers: &HeaderMap) -> bool {
    let into = headers.get("sec-fetch-dest").and_then(|into| into.to_str().ok());
    into.is_some_and(|into| ["iframe", "frame", "embed", "object", "fencedframe"].contains(&into))
}

/// The language for the person: a wish, that of their WeChat, that of the browser.
pub(crate) fn language<'a>(wishes: impl IntoIterator<Item = &'a str>, headers: &'a HeaderMap) -> Language {
    let agent = text(headers, &USER_AGENT).and_then(|agent| agent.split_once(LANGUAGE));
    let own = agent.and_then(|(_, rest)| rest.split_ascii_whitespace().next());
    Language::choose(wishes.into_iter().chain(own), text(headers, &ACCEPT_LANGUAGE))
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What a person is told of a request.
pub(crate) struct Waiting {
    /// The site's name.
    pub site: String,
    /// Where the person goes who does not want to log in.
    pub cancel: String,
    /// The official account whose people may log in there: its name, where it has one.
    pub account: Option<String>,
}

/// Why nobody is logged in by a request.
pub(crate) enum NotAnswered {
    /// The request is over, or another browser's.
    Gone,
    /// The site knows people by a name that WeChat has not given.
    Nameless,
    /// The store does not answer.
    Store(StoreError),
}

impl From<StoreError> for NotAnswered {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<NotGranted> for NotAnswered {
    fn from(not_granted: NotGranted) -> Self {
        match not_granted {
            NotGranted::Store(error) => Self::Store(error),
            NotGranted::Nameless => Self::Nameless,
            NotGranted::Gone | NotGranted::UnknownSite => Self::Gone,
        }
    }
}

/// When somebody came, and the name of the session that they get. Both stay for a repeat.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Arrival {
    pub at: Moment,
    sid: String,
    /// What the login is called in the log where it has no scene: nobody has shown it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginId>,
}

impl Arrival {
    pub(crate) fn at(now: Moment) -> Self {
        Self { at: now, sid: sid(), login: Some(LoginId::of(Scene::random())) }
    }
}

impl Provider {
    /// What the request of this name asks for, if the browser with this cookie made it.
    pub(crate) async fn waiting_in(
        &self,
        request: &Hash,
        browser: &Hash,
    ) -> Result<Option<Waiting>, StoreError> {
        let Some((for_site, _)) = self.requests.of_browser(request, browser).await? else { return Ok(None) };
        let cancel = self.cancel(&for_site);
        let Some(site) = self.sites.get(&for_site.site) else { return Ok(None) };
        let account = self.official(&site).and_then(Names::name).map(str::to_owned);
        Ok(Some(Waiting { site: site.name, cancel, account }))
    }

    /// Logs in whoever WeChat has named in this browser, and sends them back to the site of their request with `code`. It may
    /// be repeated: the site gets the same code.
    ///
    /// Nobody else can be at the other end, so the login counts as a confirmed one. It is not counted as logins by a scene
    /// are, because nobody is told the number.
    pub(crate) async fn answer_inside(
        &self,
        asked: Incoming<'_>,
        request: &Hash,
        browser: &Hash,
        (who, arrival): (Scanned, &Arrival),
        code: Token,
    ) -> Result<Response, NotAnswered> {
        let found = self.requests.of_browser(request, browser).await?;
        let (for_site, answer) = found.ok_or(NotAnswered::Gone)?;
        // The file may have been read again since the request.
        let site = self.sites.get(&for_site.site).ok_or(NotAnswered::Gone)?;
        if !site.may_redirect_to(&for_site.redirect_uri) {
            return Err(NotAnswered::Gone);
        }
        let person = who.person.clone();
        let fact = Fact {
            login: arrival.login.map(|login| login.to_string()),
            site: Some(site.id.clone()),
            way: Some(Way::Wechat),
            confirmed: Some(Confirmed::SameBrowser),
            session: Some(arrival.sid.clone()),
            from: Whence::request(asked.from, &asked.head.headers),
            ..Fact::of(Outcome::Granted, &person)
        };
        match answer {
            None => {}
            // The page is loaded again, perhaps after a logout: no session begins.
            Some(answer) if answer == code.hash() => {
                self.note(fact).await;
                return Ok(self.back_with(&for_site, &code));
            }
            Some(_) => return Err(NotAnswered::Gone),
        }
        // The site's account may have been changed since the person went to WeChat.
        self.check_account(&site, &who)?;
        let mut who = self.named(&site, who).await?;
        who.confirmed = true;
        let who = who.identity(arrival.at, &arrival.sid);
        let span = trace::step(who.login, "inside");
        span.in_scope(|| tracing::debug!(site = %site.id, "a person has logged in inside WeChat"));
        let logging_in = self.logged_in(&asked, request, for_site, &site, who, Some(code));
        let answer = logging_in.instrument(span).await?;
        if answer.status().is_redirection() {
            self.note(fact).await;
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderValue;

    use super::*;

    fn headers(agent: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(agent))])
    }

    #[test]
    fn wechats_browser_is_known_on_phones_and_desktops_and_wecom_is_another() {
        for (agent, expected) in [
            ("Mozilla/5.0 (iPhone) Mobile/15E148 MicroMessenger/8.0.50 NetType/WIFI Language/en", true),
            ("Mozilla/5.0 (Windows NT 10.0) MicroMessenger/7.0.20 WindowsWechat(0x63090a13)", true),
            ("Mozilla/5.0 (Macintosh) MicroMessenger/6.8.0 MacWechat/3.8.7", true),
            ("Mozilla/5.0 (iPhone) wxwork/4.1.0 MicroMessenger/7.0.1", false),
            ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0.0.0", false),
            ("", false),
        ] {
            assert_eq!(is_wechat(&headers(agent)), expected, "{agent}");
        }
        assert!(!is_wechat(&HeaderMap::new()));
    }

    #[test]
    fn the_language_is_the_wish_then_wechats_then_the_browsers() {
        let mut both = headers("MicroMessenger/8 Language/en ABI/arm64");
        both.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("zh-CN"));
        assert_eq!(language([], &both), Language::English);
        assert_eq!(language(["zh"], &both), Language::Chinese);
        assert_eq!(language([], &headers("MicroMessenger/8 Language/zh_TW")), Language::Chinese);
        both.insert(USER_AGENT, HeaderValue::from_static("MicroMessenger/8"));
        assert_eq!(language([], &both), Language::Chinese);
    }

    #[test]
    fn a_frame_says_so() {
        let into = |dest| {
            HeaderMap::from_iter([("sec-fetch-dest".parse().unwrap(), HeaderValue::from_static(dest))])
        };
        assert!(is_framed(&into("iframe")) && !is_framed(&into("document")) && !is_framed(&HeaderMap::new()));
    }
}
