//! A person's WeChat browser, without a screen: it keeps cookies, follows redirects, and fills in forms, with the
//! User-Agent of WeChat. It runs no scripts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::header::{
    ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, ORIGIN, SET_COOKIE, USER_AGENT,
};
use reqwest::{Method, Url};

use super::authorize::PERSON_HEADER;
use crate::{Simulator, lock};

/// Redirects that are followed, as browsers do.
const MOST_REDIRECTS: usize = 20;

/// Browsers that are kept for the phone's page.
const MOST_KEPT: usize = 100;

/// Limit for one request.
const WITHIN: Duration = Duration::from_secs(20);

/// Which WeChat, by its User-Agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// WeChat on a phone.
    Phone,
    /// WeChat on Windows.
    Desktop,
    /// No WeChat at all: the phone's own browser.
    Other,
}

impl Client {
    /// What it sends, for a person whose WeChat speaks `language` (`zh_CN`, `en`).
    #[must_use]
    pub fn user_agent(self, language: &str) -> String {
        match self {
            Self::Phone => format!(
                "Mozilla/5.0 (Linux; Android 14; V2309A Build/UP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36 XWEB/1260 MMWEBSDK/20240301 \
                 MicroMessenger/8.0.50.2701(0x28003237) WeChat/arm64 Weixin NetType/WIFI Language/{language} ABI/arm64"
            ),
            Self::Desktop => format!(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 \
                 Safari/537.36 NetType/WIFI MicroMessenger/7.0.20.1781(0x6700143B) WindowsWechat(0x63090a13) \
                 XWEB/9129 Flue Language/{language}"
            ),
            Self::Other => {
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, \
                            like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
                    .to_owned()
            }
        }
    }
}

/// A page that is open.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its address, after all redirects.
    pub url: String,
    /// The status of the answer.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its text.
    pub body: String,
}

/// The browser of one person's WeChat.
pub struct Webview {
    simulator: Simulator,
    openid: String,
    user_agent: String,
    language: String,
    /// Cookies by host with port, and by name. Real ones know no ports.
    cookies: HashMap<String, HashMap<String, String>>,
    /// Redirects to addresses that begin so are not followed: they are where a test ends.
    pub stop_at: Option<String>,
}

impl Webview {
    /// The browser of a person, whose language it speaks.
    #[must_use]
    pub fn of(simulator: &Simulator, openid: &str, client: Client) -> Self {
        let language = simulator.person(openid).map_or_else(|| "zh_CN".to_owned(), |person| person.language);
        Self {
            simulator: simulator.clone(),
            openid: openid.to_owned(),
            user_agent: client.user_agent(&language),
            language: language.replace('_', "-"),
            cookies: HashMap::new(),
            stop_at: None,
        }
    }

    /// Opens an address.
    ///
    /// # Errors
    /// When nobody answers there, or it redirects without end.
    pub async fn open(&mut self, url: &str) -> anyhow::Result<Page> {
        self.go(Method::GET, url, None, None).await
    }

    /// Sends a form of `page`, whose button has this value, or the first form if `button` is empty.
    ///
    /// # Errors
    /// When there is no such form, or nobody answers.
    pub async fn press(&mut self, page: &Page, button: &str) -> anyhow::Result<Page> {
        let form =
            Form::of(&page.body, button).with_context(|| format!("no button {button:?}: {}", page.body))?;
        let target = Url::parse(&page.url)?.join(&form.action)?;
        let fields = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form.fields).finish();
        if form.is_post {
            let origin = Url::parse(&page.url)?.origin().ascii_serialization();
            return self.go(Method::POST, target.as_str(), Some(fields), Some(origin)).await;
        }
        let mut target = target;
        target.set_query(Some(&fields));
        self.go(Method::GET, target.as_str(), None, None).await
    }

    /// Follows the link of `page` with this id.
    ///
    /// # Errors
    /// When there is none, or nobody answers.
    pub async fn follow(&mut self, page: &Page, id: &str) -> anyhow::Result<Page> {
        let mark = format!("id=\"{id}\"");
        let tag = page.body.split('<').find(|tag| tag.starts_with("a ") && tag.contains(&mark));
        let href = tag
            .and_then(|tag| attribute(tag, "href"))
            .with_context(|| format!("no link {id}: {}", page.body))?;
        let target = Url::parse(&page.url)?.join(&href)?;
        self.open(target.as_str()).await
    }

    /// Sends what a form of the page at `from` sends by POST.
    pub(crate) async fn post(&mut self, from: &str, url: &str, fields: String) -> anyhow::Result<Page> {
        let origin = Url::parse(from)?.origin().ascii_serialization();
        self.go(Method::POST, url, Some(fields), Some(origin)).await
    }

    async fn go(
        &mut self,
        method: Method,
        url: &str,
        form: Option<String>,
        origin: Option<String>,
    ) -> anyhow::Result<Page> {
        let (mut method, mut url, mut form) = (method, Url::parse(url)?, form);
        for _ in 0..MOST_REDIRECTS {
            let place = format!(
                "{}:{}",
                url.host_str().unwrap_or_default(),
                url.port_or_known_default().unwrap_or(0)
            );
            let jar = self.cookies.entry(place).or_default();
            let mut request = self.simulator.state.http.request(method.clone(), url.clone()).timeout(WITHIN);
            request = request.header(USER_AGENT, &self.user_agent).header(ACCEPT_LANGUAGE, &self.language);
            if url.as_str().starts_with(&self.simulator.public_url()) {
                request = request.header(PERSON_HEADER, &self.openid);
            }
            if !jar.is_empty() {
                let line: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
                request = request.header(COOKIE, line.join("; "));
            }
            if let Some(fields) = form.take() {
                request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(fields);
                request = request.header(ORIGIN, origin.clone().unwrap_or_default());
            }
            let answer = request.send().await?;
            for cookie in answer.headers().get_all(SET_COOKIE) {
                let Some((name, value)) =
                    cookie.to_str()?.split(';').next().and_then(|pair| pair.split_once('='))
                else {
                    continue;
                };
                match value.is_empty() {
                    true => drop(jar.remove(name)),
                    false => drop(jar.insert(name.to_owned(), value.to_owned())),
                }
            }
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let next = headers.get(LOCATION).and_then(|location| location.to_str().ok());
            let Some(next) = next.filter(|_| (300..400).contains(&status)) else {
                return Ok(Page { url: url.into(), status, headers, body: answer.text().await? });
            };
            let next = url.join(next)?;
            if self.stop_at.as_deref().is_some_and(|stop| next.as_str().starts_with(stop)) {
                return Ok(Page { url: next.into(), status, headers, body: String::new() });
            }
            (method, url) = (Method::GET, next);
        }
        bail!("more than {MOST_REDIRECTS} redirects, the last one to {url}")
    }
}

/// The browsers of people who use the phone's page, so that each keeps its cookies.
#[derive(Clone, Default)]
pub(crate) struct Webviews(Arc<Mutex<HashMap<(String, String), Shared>>>);

/// One page at a time.
type Shared = Arc<tokio::sync::Mutex<Webview>>;

impl Webviews {
    /// The browser of a person. Once there are too many, all begin anew.
    pub(crate) fn of(&self, simulator: &Simulator, openid: &str) -> Shared {
        let mut all = lock(&self.0);
        if all.len() >= MOST_KEPT {
            all.clear();
        }
        let name = (simulator.settings().app_id.clone(), openid.to_owned());
        let begin = || Arc::new(tokio::sync::Mutex::new(Webview::of(simulator, openid, Client::Phone)));
        all.entry(name).or_insert_with(begin).clone()
    }
}

/// A form as a press of one of its buttons sends it.
struct Form {
    action: String,
    is_post: bool,
    fields: Vec<(String, String)>,
}

impl Form {
    /// The form whose button has this value or id; with an empty one, the first form and its first button.
    fn of(body: &str, button: &str) -> Option<Self> {
        body.split("<form").skip(1).find_map(|form| {
            let form = form.split("</form>").next()?;
            let tags: Vec<_> = form.split('<').collect();
            let mut buttons = tags.iter().filter(|tag| tag.starts_with("button"));
            let pressed = buttons.find(|tag| {
                let is = |name| attribute(tag, name).as_deref() == Some(button);
                button.is_empty() || is("value") || is("id")
            })?;
            let field =
                |tag: &&str| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()));
            let inputs = tags.iter().filter(|tag| tag.starts_with("input")).filter_map(field);
            Some(Self {
                action: attribute(tags[0], "action").unwrap_or_default(),
                is_post: attribute(tags[0], "method")
                    .is_some_and(|method| method.eq_ignore_ascii_case("post")),
                fields: inputs.chain(field(pressed)).collect(),
            })
        })
    }
}

/// The value of a tag's attribute.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = tag.split('>').next()?.replace('\n', " ");
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let value = rest.split('"').next()?;
    let plain =
        [("&#34;", "\""), ("&quot;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&lt;", "<"), ("&#62;", ">")];
    let value =
        plain.iter().fold(value.to_owned(), |value, (escaped, letter)| value.replace(escaped, letter));
    Some(value.replace("&gt;", ">").replace("&#38;", "&").replace("&amp;", "&"))
}
