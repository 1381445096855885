//! The requests of the live view, each through the [`guard`](crate::guard).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use askama::Template as _;
use http::header::{
    ACCEPT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, ORIGIN,
    REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use ipnet::IpNet;
use login_page::Language;
use server::address;
use server::admin::{Asked, not_found};
use server::http::{self as web, Response, read_body};
use server::streamed::Streamed;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::events::{MOST_VIEWERS, STATE_WITHIN, Viewer};
use crate::guard::{Access, Asks, Closed, Guard, WrongToken, is_of_another_site};
use crate::markup::{self, POLICY, SCRIPT, STYLE};
use crate::present::Present;
use crate::session::Session;
use crate::words::either;
use crate::{Ended, Source};

/// Bytes of a form: a token, or a login's id and what goes with it.
const MAX_FORM: usize = 4096;

/// A form must have come within this.
const FORM_WITHIN: Duration = Duration::from_secs(5);

/// The live view of a service.
pub(crate) struct View {
    program: &'static str,
    guard: Guard,
    trusted_proxies: Vec<IpNet>,
    source: Arc<dyn Source>,
    pub(crate) present: Present,
    viewers: Arc<Semaphore>,
}

/// What somebody asks for, and what they may.
struct Question {
    language: Language,
    access: Access,
    headers: HeaderMap,
    /// Where they are, behind proxies that are trusted.
    from: IpAddr,
    /// What came of what they did just now, by its name in the query.
    said: Option<&'static str>,
}

impl View {
    pub(crate) fn new(
        program: &'static str,
        guard: Guard,
        trusted_proxies: Vec<IpNet>,
        source: Arc<dyn Source>,
    ) -> Self {
        let present = Present::of(Arc::clone(&source));
        let viewers = Arc::new(Semaphore::new(MOST_VIEWERS));
        Self { program, guard, trusted_proxies, source, present, viewers }
    }

    /// Answers a request.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        asked: Asked,
    ) -> http::Response<Streamed> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let is_reading = head.method == Method::GET || head.method == Method::HEAD;
        let methods = match path {
            "/" | "/events" | "/live.css" | "/live.js" => "GET, HEAD",
            "/enter" | "/leave" | "/end" => "POST",
            _ => return whole(not_found()),
        };
        if is_reading != (methods != "POST") || !(is_reading || head.method == Method::POST) {
            return whole(web::method_not_allowed(methods));
        }
        let from = address::of_request(&head.headers, asked.peer, &self.trusted_proxies);
        let asks = Asks { headers: &head.headers, version: head.version, peer: asked.peer.ip(), from };
        let access = self.guard.admit(&asks, SystemTime::now());
        let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
        let query: HashMap<_, _> = query.into_owned().collect();
        let mut question = Question {
            language: language(&query, &head.headers),
            access,
            headers: head.headers,
            from,
            said: query
                .get("said")
                .and_then(|said| SAID.iter().find(|(name, ..)| name == said))
                .map(|(name, ..)| *name),
        };
        if let Access::Closed(why) = question.access {
            return whole(self.closed(why));
        }
        match path {
            // Nothing is in them that the repository does not have.
            "/live.css" => whole(web::answer(StatusCode::OK, "text/css; charset=utf-8", STYLE)),
            "/live.js" => whole(web::answer(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT)),
            "/events" => self.events(&question, asked),
            "/" => whole(self.page(&question).await),
            _ if is_of_another_site(&question.headers) => whole(web::text(
                StatusCode::FORBIDDEN,
                "This form is not of a page of this port. Is there a proxy in front? Then let it pass the Host that the \
                     browser asked for (nginx: proxy_set_header Host $http_host).\n\
                     这个表单不是从这个端口的页面提交的。前面有代理吗？请让它原样传递 Host（nginx：proxy_set_header Host $http_host）。\n",
            )),
            action => {
                let form = match read_body(body, MAX_FORM, FORM_WITHIN).await {
                    Ok(form) => form_urlencoded::parse(&form).into_owned().collect::<HashMap<_, _>>(),
                    Err(error) => return whole(web::text(error.status(), format!("{error}\n"))),
                };
                question.language = language(&form, &question.headers);
                whole(match action {
                    "/enter" => self.enter(&question, &form),
                    "/leave" => self.leave(&question, &form),
                    _ => self.end(&question, &form).await,
                })
            }
        }
    }

    /// The page, or the one that asks for the token.
    async fn page(&self, question: &Question) -> Response {
        let session = match &question.access {
            Access::Looks => None,
            Access::Acts(session) => session.as_ref(),
            Access::Wrong(wrong) => return self.ask(question, Some(*wrong)),
            Access::Asked | Access::Closed(_) => return self.ask(question, None),
        };
        let state = self.present.state(question.language, session.is_some());
        let Ok(state) = timeout(STATE_WITHIN, state).await else {
            return web::text(StatusCode::SERVICE_UNAVAILABLE, "the state cannot be had just now\n");
        };
        let form = session.map(|session| self.guard.sessions.form(session));
        let only_looks = match question.access {
            Access::Looks if self.source.ends_logins() => either(
                question.language,
                "只读：设置令牌后才能结束登录，见 docs/live-view.md。",
                "Read-only: logins can be ended here once a token is set; see docs/live-view.md.",
            ),
            _ => "",
        };
        let page = markup::View {
            program: self.program,
            language: question.language,
            said: said(question),
            form: form.as_deref(),
            only_looks,
            state: &state,
            now: SystemTime::now(),
        };
        html(StatusCode::OK, page.render())
    }

    /// Asks for the token.
    fn ask(&self, question: &Question, wrong: Option<WrongToken>) -> Response {
        let language = question.language;
        let (status, said) = match wrong {
            None => (StatusCode::UNAUTHORIZED, said(question)),
            Some(WrongToken::Other) => {
                (StatusCode::UNAUTHORIZED, either(language, "令牌不对。", "That is not the token."))
            }
            Some(WrongToken::TooMany(_)) => (
                StatusCode::TOO_MANY_REQUESTS,
                either(
                    language,
                    "这个地址输错的次数太多，请一分钟后再试。",
                    "Too many wrong tokens came from this address. Try again in a minute.",
                ),
            ),
        };
        let enter = markup::Enter { program: self.program, language, setting: self.guard.setting(), said };
        let mut page = html(status, enter.render());
        if let Some(WrongToken::TooMany(wait)) = wrong {
            page.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        page
    }

    /// The events of the page.
    fn events(self: Arc<Self>, question: &Question, asked: Asked) -> http::Response<Streamed> {
        let acts = match &question.access {
            Access::Looks => false,
            // Without a session there is no form with which to act.
            Access::Acts(session) => session.is_some(),
            Access::Asked | Access::Wrong(_) | Access::Closed(_) => {
                return whole(web::text(StatusCode::UNAUTHORIZED, "show the token first\n"));
            }
        };
        // It could read nothing, but take the places of viewers.
        if is_of_another_site(&question.headers) {
            return whole(web::text(StatusCode::FORBIDDEN, "another site's page may not look\n"));
        }
        let Ok(place) = Arc::clone(&self.viewers).try_acquire_owned() else {
            let mut full = web::text(StatusCode::SERVICE_UNAVAILABLE, "too many look already; close one\n");
            full.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
            return whole(full);
        };
        let viewer = Viewer { view: self, language: question.language, acts, place, stop: asked.stop };
        let mut answer = http::Response::new(Streamed::of(viewer.events()));
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // nginx would else keep events until there are many.
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        answer
    }

    fn enter(&self, question: &Question, form: &HashMap<String, String>) -> Response {
        if question.access == Access::Looks {
            return back(question.language, None);
        }
        let shown = form.get("token").map(String::as_str).unwrap_or_default();
        if let Err(wrong) = self.guard.opens(shown.trim(), question.from) {
            return self.ask(question, Some(wrong));
        }
        tracing::info!(peer = %question.from, "somebody with the token looks at the live view");
        let session = self.guard.sessions.begin(SystemTime::now());
        let mut answer = back(question.language, None);
        self.set_cookie(&mut answer, Some(&session), question);
        answer
    }

    fn leave(&self, question: &Question, form: &HashMap<String, String>) -> Response {
        let mut answer = back(question.language, Some("left"));
        if self.session(question, form).is_some() {
            self.set_cookie(&mut answer, None, question);
        }
        answer
    }

    async fn end(&self, question: &Question, form: &HashMap<String, String>) -> Response {
        let may = match &question.access {
            // A header that a browser never sends by itself.
            Access::Acts(None) => true,
            _ => self.session(question, form).is_some(),
        };
        let login = form.get("login").map(String::as_str).unwrap_or_default();
        let is_id = login.len() == 32 && login.bytes().all(|letter| letter.is_ascii_hexdigit());
        if !may || !is_id {
            return web::text(
                StatusCode::FORBIDDEN,
                "this needs the form of a page of yours; open it anew\n",
            );
        }
        let ended = self.source.end(login, question.from).await;
        // Whoever has pressed the button sees what came of it at once.
        self.present.forget().await;
        tracing::info!(login, peer = %question.from, ?ended, "somebody wanted to end a login in the live view");
        back(
            question.language,
            Some(match ended {
                Ended::Done => "ended",
                Ended::NotHere => "gone",
                Ended::Failed => "failed",
            }),
        )
    }

    /// The session of somebody who has sent the form of their own page.
    fn session<'q>(&self, question: &'q Question, form: &HashMap<String, String>) -> Option<&'q Session> {
        let Access::Acts(Some(session)) = &question.access else { return None };
        let shown = form.get("form")?;
        self.guard.sessions.is_form_of(session, shown).then_some(session)
    }

    fn set_cookie(&self, answer: &mut Response, session: Option<&Session>, question: &Question) {
        let origin = question.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        let is_https = origin.is_some_and(|origin| origin.starts_with("https://"));
        if let Ok(cookie) = self.guard.sessions.set_cookie(session, is_https).parse() {
            answer.headers_mut().insert(SET_COOKIE, cookie);
        }
    }

    /// Says why nobody may look, and what to do.
    fn closed(&self, why: Closed) -> Response {
        let setting = self.guard.setting();
        web::text(
            StatusCode::FORBIDDEN,
            match why {
                Closed::NoToken => format!(
                    "The live view is off, because this port is open to others than this machine: set {setting} to a \
                     token (openssl rand -hex 24), and show it here.\n\
                     监控页未开放：这个端口不只本机能访问。请设置 {setting}，然后在这里输入。\n"
                ),
                Closed::NotThisMachine => format!(
                    "Without a token the live view is for this machine only, as http://localhost and without a proxy: set \
                     {setting} to a token (openssl rand -hex 24), and show it here.\n\
                     没有设置令牌时，只能在本机以 http://localhost 打开监控页，并且不能经过代理。请设置 {setting}，然后在这里输入。\n"
                ),
            },
        )
    }
}

/// What came of what somebody did, by its name in the address of the page.
const SAID: [(&str, &str, &str); 4] = [
    ("ended", "登录已结束。", "The login has ended."),
    ("gone", "这个登录已经不在这里了。", "That login is not here any more."),
    (
        "failed",
        "登录没有结束：存储暂时不可用。",
        "The login has not ended: its store cannot be used just now.",
    ),
    ("left", "已退出。", "You have left."),
];

fn said(question: &Question) -> &'static str {
    let found = SAID.iter().find(|(name, ..)| Some(*name) == question.said);
    found.map_or("", |(_, zh, en)| either(question.language, zh, en))
}

/// Goes back to the page, and says what came of it.
fn back(language: Language, said: Option<&str>) -> Response {
    let mut answer = web::text(StatusCode::SEE_OTHER, "");
    let said = said.map(|said| format!("&said={said}")).unwrap_or_default();
    if let Ok(location) = format!("./?lang={}{said}", language.tag()).parse() {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

fn language(wishes: &HashMap<String, String>, headers: &HeaderMap) -> Language {
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|line| line.to_str().ok());
    Language::choose(wishes.get("lang").map(String::as_str), accepted)
}

fn html(status: StatusCode, page: askama::Result<String>) -> Response {
    let page = page.expect("a text takes every other text");
    let mut answer = web::answer(status, "text/html; charset=utf-8", page);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

fn whole(answer: Response) -> http::Response<Streamed> {
    answer.map(Streamed::from)
}
