//! What a browser inside WeChat asks for, from the address of a login to the words at its end.

use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, LOCATION, ORIGIN};
use hyper::body::Incoming as Body;
use login_page::Language;
use protocol::Scene;
use server::clock;
use server::http::Response;
use tokio::time::{Instant, sleep};
use wechat::{Class, NoWebUser, Person, Scope, User, authorize_url};

use super::visits::{Back, Guest, LoginPage, Purpose, State};
use super::{Official, Web, choice, login_of, pages, words};
use crate::logins::answer::Text;
use crate::logins::way::Way;
use crate::logins::words::{PhoneReply, ToPhone};
use crate::provider::inside::{NotAnswered, Waiting, is_framed, is_wechat, language};
use crate::provider::{Cookie, Incoming, Parameters, Scanned, Token, see_other};
use crate::store::{Scan, StoreError};

/// How often a page looks whether another load of it has learnt who came, and for how long.
const GLANCE: Duration = Duration::from_millis(100);
const GLANCES: u32 = 90;

/// The longest code of WeChat's, in characters. Real ones have 32.
const MAX_CODE: usize = 512;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The login page is open in the same browser: `back=1`, and `back=seen` once it has shown the person its number.
const BACK: &str = "back";

/// A browser that has come back to a visit of its own.
struct Visitor<'a> {
    asked: Incoming<'a>,
    state: State,
    browser: Token,
    language: Language,
}

impl Web {
    /// `/login/<scene>`: sends the browser to WeChat.
    pub(super) async fn open(&self, asked: &Incoming<'_>) -> Response {
        let (parameters, headers) = (Parameters::of_query(asked.query()), &asked.head.headers);
        let language = language(parameters.get("lang"), headers);
        let Some((scene, account)) = login_of(asked.head.uri.path()) else {
            return pages::say(StatusCode::NOT_FOUND, words::UNKNOWN_VISIT, vec![], language);
        };
        if is_framed(headers) {
            return pages::say(StatusCode::FORBIDDEN, words::FRAMED, vec![], language);
        }
        if !is_wechat(headers) {
            return pages::say(StatusCode::OK, words::OPEN_IN_WECHAT, vec![], language);
        }
        let page = match parameters.get(BACK) {
            Some("1") => LoginPage::Here,
            Some("seen") => LoginPage::Seen,
            _ => LoginPage::Elsewhere,
        };
        let known = Cookie::Browser.read(headers, self.is_secure);
        let browser = known.clone().unwrap_or_else(Token::random);
        let purpose = Purpose::Login { scene, account: account.map(str::to_owned), page };
        let mut answer = self.begin(asked, &browser, purpose, true, language).await;
        if known.is_none() {
            Cookie::Browser.set(&mut answer, &browser, self.is_secure);
        }
        answer
    }

    /// `/login/site`: a request of `/authorize` goes on to WeChat. Who knows its handle has had it from us.
    pub(super) async fn for_site(&self, asked: &Incoming<'_>) -> Response {
        let (parameters, headers) = (Parameters::of_query(asked.query()), &asked.head.headers);
        let language = language(parameters.get("lang"), headers);
        let gone = || pages::say(StatusCode::BAD_REQUEST, words::REQUEST_GONE, vec![], language);
        let handle = parameters.get("request").and_then(Token::parse);
        let (Some(handle), Some(browser), Some(provider)) =
            (handle, Cookie::Browser.read(headers, self.is_secure), &self.provider)
        else {
            return gone();
        };
        let request = handle.hash();
        match provider.waiting_in(&request, &browser.hash()).await {
            Ok(Some(Waiting { account, .. })) => {
                let purpose = Purpose::Request { request, account };
                self.begin(asked, &browser, purpose, false, language).await
            }
            Ok(None) => gone(),
            Err(error) => self.busy(&error, language),
        }
    }

    /// `/login/again`: once more to WeChat. The person has tapped for it.
    pub(super) async fn again(&self, asked: &Incoming<'_>) -> Response {
        let (parameters, headers) = (Parameters::of_query(asked.query()), &asked.head.headers);
        let language = language(parameters.get("lang"), headers);
        let state = parameters.get("visit").and_then(State::parse);
        let (Some(state), Some(browser)) = (state, Cookie::Browser.read(headers, self.is_secure)) else {
            return pages::say(StatusCode::BAD_REQUEST, words::UNKNOWN_VISIT, vec![], language);
        };
        match self.visits.find(&state, &browser.hash()).await {
            Ok(Some((purpose, _))) => self.begin(asked, &browser, purpose, false, language).await,
            Ok(None) => pages::say(StatusCode::BAD_REQUEST, words::UNKNOWN_VISIT, vec![], language),
            Err(error) => self.busy(&error, language),
        }
    }

    /// Begins a visit, and sends the browser to WeChat: at once, or by a link where that has to follow a tap.
    async fn begin(
        &self,
        asked: &Incoming<'_>,
        browser: &Token,
        purpose: Purpose,
        is_first: bool,
        language: Language,
    ) -> Response {
        let Some(official) = self.official(purpose.account()) else {
            return pages::say(StatusCode::NOT_FOUND, words::UNKNOWN_VISIT, vec![], language);
        };
        if let Err(answer) = self.page_for(asked.from, language) {
            return *answer;
        }
        let state = match self.visits.begin(&browser.hash(), purpose).await {
            Ok(state) => state,
            Err(error) => return self.busy(&error, language),
        };
        let back = format!("{}/login/back", self.address);
        let url = authorize_url(&self.open_url, official.names.app_id(), &back, self.scope, state.reveal());
        match (self.scope, is_first) {
            (Scope::UserInfo, true) => {
                pages::say(StatusCode::OK, words::TAP, vec![pages::go(url, language)], language)
            }
            _ => see_other(&url),
        }
    }

    /// `/login/back`: WeChat sends the browser back, with a code if the person has let it.
    pub(super) async fn back(&self, asked: Incoming<'_>) -> Response {
        let (parameters, headers) = (Parameters::of_query(asked.query()), &asked.head.headers);
        let language = language(parameters.get("lang"), headers);
        let unknown = || pages::say(StatusCode::FORBIDDEN, words::UNKNOWN_VISIT, vec![], language);
        if parameters.repeats_any(&["code", "state"]) {
            return pages::say(StatusCode::BAD_REQUEST, words::WRONG_FORM, vec![], language);
        }
        let state = parameters.get("state").and_then(State::parse);
        let (Some(state), Some(browser)) = (state, Cookie::Browser.read(headers, self.is_secure)) else {
            return unknown();
        };
        let visitor = Visitor { asked, state, browser, language };
        let came = match parameters.get("code").filter(|code| code.len() <= MAX_CODE) {
            Some(code) => self.who_came(&visitor, code).await,
            None => self.nobody_came(&visitor).await,
        };
        match came {
            Ok((Purpose::Login { scene, account, page }, guest)) => match self.official(account.as_deref()) {
                Some(official) => self.log_in(&visitor, official, (scene, page), &guest).await,
                None => unknown(),
            },
            Ok((Purpose::Request { request, account }, guest)) => {
                // Whoever has the cookie and the visit has the code, and nobody else.
                let code = Token::made_of([visitor.browser.reveal(), visitor.state.reveal()]);
                match self.official(account.as_deref()) {
                    Some(official) => self.answer_request(&visitor, official, &request, &guest, code).await,
                    None => unknown(),
                }
            }
            Err(answer) => *answer,
        }
    }

    /// Who came back to a visit: as it is known, or as WeChat says.
    async fn who_came(
        &self,
        visitor: &Visitor<'_>,
        code: &str,
    ) -> Result<(Purpose, Box<Guest>), Box<Response>> {
        let Visitor { state, browser, language, .. } = visitor;
        let busy = |error| Box::new(self.busy(&error, *language));
        for _ in 0..GLANCES {
            match self.visits.back(state, &browser.hash()).await.map_err(busy)? {
                Back::Came(purpose, guest) => return Ok((purpose, guest)),
                Back::Unknown => {
                    let unknown = words::UNKNOWN_VISIT;
                    return Err(Box::new(pages::say(StatusCode::FORBIDDEN, unknown, vec![], *language)));
                }
                Back::Wait => sleep(GLANCE).await,
                Back::Ask(purpose) => {
                    let Some(official) = self.official(purpose.account()) else {
                        // The account was taken away while WeChat was asked.
                        let unknown = words::UNKNOWN_VISIT;
                        return Err(Box::new(pages::say(StatusCode::FORBIDDEN, unknown, vec![], *language)));
                    };
                    let guest = self.ask_wechat(visitor, official, code).await?;
                    return Ok((purpose, guest));
                }
            }
        }
        Err(Box::new(self.try_again(visitor, StatusCode::SERVICE_UNAVAILABLE, words::UNANSWERED)))
    }

    async fn ask_wechat(
        &self,
        visitor: &Visitor<'_>,
        official: &Official,
        code: &str,
    ) -> Result<Box<Guest>, Box<Response>> {
        let Visitor { state, language, .. } = visitor;
        let busy = |error| Box::new(self.busy(&error, *language));
        let (status, words, outcome) = match official.wechat.web_user(code).await {
            Ok(came) => {
                self.count("came");
                let user = User {
                    nickname: came.nickname,
                    picture: came.picture,
                    unionid: came.unionid,
                    language: Some(language.tag().to_owned()),
                    subscribed: false,
                };
                let noted = self.visits.came(state, Some((came.person.as_str(), &user))).await;
                let gone = || Box::new(self.try_again(visitor, StatusCode::OK, words::CODE_USED));
                return noted.map_err(busy)?.ok_or_else(gone);
            }
            Err(NoWebUser::Snapshot) => (StatusCode::OK, words::SNAPSHOT, "snapshot"),
            Err(NoWebUser::Failed(error)) if error.class() == Class::WebCode => {
                tracing::info!("a code of a web authorization is not good: {error}");
                (StatusCode::OK, words::CODE_USED, "bad_code")
            }
            Err(NoWebUser::Failed(error)) => {
                server::tell!(error, self.told, "web user", "nobody can log in inside WeChat: {error}");
                (StatusCode::SERVICE_UNAVAILABLE, words::UNANSWERED, "failed")
            }
        };
        self.count(outcome);
        self.visits.came(state, None).await.map_err(busy)?;
        Err(Box::new(self.try_again(visitor, status, words)))
    }

    /// WeChat sends the browser back without a code: the person has said no, or loads the page again.
    async fn nobody_came(&self, visitor: &Visitor<'_>) -> Result<(Purpose, Box<Guest>), Box<Response>> {
        let Visitor { state, browser, language, .. } = visitor;
        let found = self.visits.find(state, &browser.hash()).await;
        match found.map_err(|error| Box::new(self.busy(&error, *language)))? {
            None => Err(Box::new(pages::say(StatusCode::FORBIDDEN, words::UNKNOWN_VISIT, vec![], *language))),
            Some((purpose, Some(guest))) => Ok((purpose, guest)),
            Some((purpose, None)) => {
                self.count("refused");
                let mut links = vec![pages::again(self.again_at(state), *language)];
                if let (Purpose::Request { request, .. }, Some(provider)) = (&purpose, &self.provider)
                    && let Ok(Some(waiting)) = provider.waiting_in(request, &browser.hash()).await
                {
                    links.push(pages::back_to(&waiting.site, waiting.cancel, *language));
                }
                Err(Box::new(pages::say(StatusCode::OK, words::REFUSED, links, *language)))
            }
        }
    }

    /// The person of a visit claims its login, or sees what became of it.
    async fn log_in(
        &self,
        visitor: &Visitor<'_>,
        official: &Official,
        (scene, page): (Scene, LoginPage),
        guest: &Guest,
    ) -> Response {
        let scan = Scan {
            scene,
            openid: Person::new(guest.openid.clone()),
            first: false,
            created_at: i64::try_from(guest.arrival.at.0 / 1000).unwrap_or_default(),
            way: Way::Wechat,
        };
        let told = official.scans.log_in_known(scan, Some(guest.user.clone()), Instant::now()).await;
        self.metrics.count_scan(&official.names, Way::Wechat, &told.reply);
        self.tell(visitor, official, (scene, page), guest, &told)
    }

    /// `/login/answer`: the person says yes or no, or chooses a number.
    pub(super) async fn answered(&self, asked: Incoming<'_>, body: Body) -> Response {
        let language = language([], &asked.head.headers);
        let wrong = |status| pages::say(status, words::WRONG_FORM, vec![], language);
        let parameters = match Parameters::of_form(body).await {
            Ok(parameters) => parameters,
            Err(unread) => return wrong(unread.status()),
        };
        if !self.is_from_own_page(&asked) || parameters.repeats_any(&["visit", "answer"]) {
            return wrong(StatusCode::FORBIDDEN);
        }
        let answer = parameters.get("answer").filter(|answer| is_answer(answer));
        let (Some(state), Some(answer)) = (parameters.get("visit").and_then(State::parse), answer) else {
            return wrong(StatusCode::BAD_REQUEST);
        };
        let unknown = || pages::say(StatusCode::FORBIDDEN, words::UNKNOWN_VISIT, vec![], language);
        let Some(browser) = Cookie::Browser.read(&asked.head.headers, self.is_secure) else {
            return unknown();
        };
        let (scene, account, page, guest) = match self.visits.find(&state, &browser.hash()).await {
            Ok(Some((Purpose::Login { scene, account, page }, Some(guest)))) => (scene, account, page, guest),
            Ok(_) => return unknown(),
            Err(error) => return self.busy(&error, language),
        };
        let Some(official) = self.official(account.as_deref()) else { return unknown() };
        let person = Person::new(guest.openid.clone());
        // The same press that comes twice is one answer.
        let id = format!("web {} {answer}", state.hash().as_str());
        let text = Text {
            person: &person,
            content: answer,
            id: Some(&id),
            created_at: i64::try_from(clock::unix_now()).unwrap_or(i64::MAX),
            about: Some(scene),
            newer: None,
        };
        let visitor = Visitor { asked, state, browser, language };
        match official.scans.answered_known(text, Some(guest.user.clone()), Instant::now()).await {
            Some(told) => self.tell(&visitor, official, (scene, page), &guest, &told),
            // Nothing waits for it any more.
            None => self.log_in(&visitor, official, (scene, page), &guest).await,
        }
    }

    /// The page for what became of a login, or the question about it.
    fn tell(
        &self,
        visitor: &Visitor<'_>,
        official: &Official,
        (scene, page): (Scene, LoginPage),
        guest: &Guest,
        told: &ToPhone,
    ) -> Response {
        let language = visitor.language;
        // An account's name needs no escape in a query.
        let account = official.names.name().map(|name| format!("?account={name}")).unwrap_or_default();
        let is_here = page != LoginPage::Elsewhere;
        let login_page =
            self.gateway.as_ref().filter(|_| is_here).map(|gateway| format!("{gateway}/{account}"));
        let Some(words) = words::of(&told.reply) else {
            let PhoneReply::Question(question) = &told.reply else {
                return pages::say(StatusCode::OK, words::BUSY, vec![], language);
            };
            if question.way != Way::Wechat {
                return pages::say(StatusCode::OK, words::IN_THE_CHAT, vec![], language);
            }
            // It shows the number now. Nobody should have to guess before they have seen it.
            if let (Some(_), LoginPage::Here, Some(address)) = (&question.number, page, &login_page) {
                return onward(see_other(address));
            }
            let numbers = question.number.as_deref();
            let numbers = numbers.map(|number| choice::numbers(&scene, &guest.openid, number).to_vec());
            let (numbers, visit) = (numbers.unwrap_or_default(), visitor.state.reveal());
            return pages::ask(question, &numbers, visit, login_page, language);
        };
        match login_page {
            Some(page) if matches!(told.reply, PhoneReply::LoggedIn { .. }) => onward(see_other(&page)),
            Some(page) => pages::say(StatusCode::OK, words, vec![pages::back(page, language)], language),
            None => pages::say(StatusCode::OK, words, vec![], language),
        }
    }

    async fn answer_request(
        &self,
        visitor: &Visitor<'_>,
        official: &Official,
        request: &crate::provider::Hash,
        guest: &Guest,
        code: Token,
    ) -> Response {
        let language = visitor.language;
        let User { nickname, picture, unionid, .. } = guest.user.clone();
        let person = official.names.person(&Person::new(guest.openid.clone()));
        let login = guest.arrival.login;
        let who = Scanned { person, unionid, nickname, picture, confirmed: true, login };
        let Some(provider) = &self.provider else {
            return pages::say(StatusCode::BAD_REQUEST, words::REQUEST_GONE, vec![], language);
        };
        let browser = visitor.browser.hash();
        let answered =
            provider.answer_inside(visitor.asked, request, &browser, (who, &guest.arrival), code).await;
        match answered {
            Ok(answer) => onward(answer),
            Err(NotAnswered::Gone) => {
                pages::say(StatusCode::BAD_REQUEST, words::REQUEST_GONE, vec![], language)
            }
            Err(NotAnswered::Nameless) => pages::say(StatusCode::OK, words::NAMELESS, vec![], language),
            Err(NotAnswered::Store(error)) => self.busy(&error, language),
        }
    }

    fn try_again(&self, visitor: &Visitor<'_>, status: StatusCode, words: words::Words) -> Response {
        let links = vec![pages::again(self.again_at(&visitor.state), visitor.language)];
        pages::say(status, words, links, visitor.language)
    }

    fn again_at(&self, state: &State) -> String {
        format!("{}/login/again?visit={}", self.address, state.reveal())
    }

    /// Whether a form was posted by a page of this service's own. Browsers say so by themselves.
    fn is_from_own_page(&self, asked: &Incoming<'_>) -> bool {
        let is_own = asked.header(&ORIGIN).is_none_or(|origin| origin == self.address);
        is_own && asked.header(&SEC_FETCH_SITE).is_none_or(|site| site == "same-origin")
    }

    /// The page for a store that does not answer.
    fn busy(&self, error: &StoreError, language: Language) -> Response {
        server::tell!(error, self.told, "store", "a login inside WeChat cannot go on: {error}");
        pages::say(StatusCode::SERVICE_UNAVAILABLE, words::STORE, vec![], language)
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.web_authorizations.get_or_create(&[("outcome", outcome)]).inc();
    }
}

/// The same redirect with an empty fragment. Without one a browser keeps that of the address before, which is WeChat's
/// `#wechat_redirect`, and pages that keep their own place there would look for it.
fn onward(mut answer: Response) -> Response {
    let location = answer.headers().get(LOCATION).filter(|location| !location.as_bytes().contains(&b'#'));
    let location = location.map(|location| [location.as_bytes(), b"#"].concat());
    if let Some(location) = location.and_then(|location| HeaderValue::from_bytes(&location).ok()) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

/// Whether this is one of the answers that a question offers: no, yes, or a number.
fn is_answer(text: &str) -> bool {
    matches!(text, "0" | "1") || (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
}
