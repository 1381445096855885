//! The example site: about the smallest web site whose people log in by Saoma, to try it and to read it.
//!
//! `/` says what there is. `/login` sends the browser to the issuer, and it comes back to `/callback` with a code. Or the
//! code is shown in a page of the site, by the [`widget`]. [`openid`] turns either into claims, and the site begins a
//! session of its own. `/logout` ends both sessions. `/backchannel` hears of logouts that begin elsewhere. Everything
//! is in memory. A real site has TLS: there its cookies are `Secure` as well, and their names begin with `__Host-`.

mod entries;
mod openid;
mod page;
mod widget;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_LANGUAGE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use login_page::Language;
use parking_lot::Mutex;
use secrecy::SecretString;
use server::http::{self as web, Response};
use server::listen;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::entries::Entry;
use self::openid::{Attempt, Claims, Client, Trouble, random};
use self::page::{Frame, Shown};
use self::widget::{Form, Nonces};

/// Connections at once.
const MAX_CONNECTIONS: usize = 256;

/// Bytes of a body, and the time for it. A logout token has about a thousand.
const MAX_BODY: usize = 16 * 1024;
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// Things of one kind in memory. One more, and all begin anew: nothing here may grow for ever.
const MOST: usize = 1000;

/// The cookies. Cookies know no ports, so on one machine their names have to differ from the issuer's.
const BROWSER: &str = "example-browser";
const SESSION: &str = "example-session";
const LANGUAGE: &str = "example-language";

/// How somebody has logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Redirect,
    Widget,
}

/// Somebody who is logged in.
struct Session {
    entry: Entry,
    way: Way,
    id_token: String,
    claims: Claims,
}

/// What the site's pages lead to.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The issuer.
    pub(crate) issuer: String,
    /// The gateway, which has the widget.
    pub(crate) gateway: String,
    /// The simulated phone.
    pub(crate) phone: String,
}

/// The site.
pub(crate) struct ExampleSite {
    origin: String,
    places: Places,
    clients: [Client; 2],
    /// By their `state`.
    attempts: Mutex<HashMap<String, Attempt>>,
    nonces: Mutex<Nonces>,
    /// By their cookie.
    sessions: Mutex<HashMap<String, Session>>,
}

/// A request without its body.
struct Asked<'a> {
    headers: &'a HeaderMap,
    path: &'a str,
    query: &'a str,
    language: Language,
}

impl ExampleSite {
    /// A site at `address` that trusts the issuer, and its entries in the issuer's file of sites.
    ///
    /// # Errors
    /// When no requests can be sent.
    pub(crate) fn new(address: SocketAddr, places: Places) -> anyhow::Result<(Self, String)> {
        let origin = format!("http://{address}");
        let register = |entry: Entry| {
            let secret = random();
            let text = entry.text(&origin, &secret);
            let (issuer, redirect_uri) = (places.issuer.clone(), format!("{origin}/callback"));
            let client = Client::new(entry, issuer, SecretString::from(secret), redirect_uri)?;
            anyhow::Ok((client, text))
        };
        let [usual, unasked] = Entry::ALL.map(register);
        let ((usual, first), (unasked, second)) = (usual?, unasked?);
        let site = Self {
            origin,
            places,
            clients: [usual, unasked],
            attempts: Mutex::default(),
            nonces: Mutex::default(),
            sessions: Mutex::default(),
        };
        Ok((site, format!("{first}\n{second}")))
    }

    fn client(&self, entry: Entry) -> &Client {
        let [usual, unasked] = &self.clients;
        match entry {
            Entry::Usual => usual,
            Entry::Unasked => unasked,
        }
    }

    /// Serves it until `stop`.
    ///
    /// # Errors
    /// When the listening socket itself fails.
    pub(crate) async fn serve(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
        let site = Arc::new(self);
        listen::accept(listener, MAX_CONNECTIONS, stop.clone(), TaskTracker::new(), move |accepted| {
            let (site, stop) = (Arc::clone(&site), stop.clone());
            async move {
                let listen::Accepted { stream, permit: Some(place), .. } = accepted else { return };
                let answer = |request| {
                    let site = Arc::clone(&site);
                    async move { site.answer(request).await }
                };
                web::serve(stream, &stop, web::HEAD_WITHIN, Some(&place), answer).await;
            }
        })
        .await
    }

    async fn answer(&self, request: Request<Incoming>) -> Response {
        let (head, body) = request.into_parts();
        let asked = Asked::new(&head.headers, head.uri.path(), head.uri.query().unwrap_or_default());
        let done = match (&head.method, head.uri.path()) {
            (&Method::POST, "/backchannel") => return self.end_by_issuer(body).await,
            (&Method::GET, "/site.css") => return page::style(),
            (&Method::GET, "/mount.js") => return page::script(),
            // A login that begins at another name, such as localhost, would come back here without its cookie.
            (&Method::GET, _) if !self.is_named_by(&asked) => Ok(see_other(&format!("{}/", self.origin))),
            (&Method::GET, "/") => Ok(self.start_page(&asked)),
            (&Method::GET, "/login") => self.log_in(&asked).await,
            (&Method::GET, "/callback") => self.come_back(&asked).await,
            (&Method::GET, "/widget") => Ok(self.widget_page(&asked, Form::Declared)),
            (&Method::GET, "/mount") => Ok(self.widget_page(&asked, Form::Mounted)),
            (&Method::POST, "/login/saoma") => self.come_from_widget(&asked, body).await,
            // By POST, with a cookie that is SameSite=Lax: no link elsewhere logs anybody out.
            (&Method::POST, "/logout") => self.log_out(&asked).await,
            (&Method::GET, "/logged-out") => Ok(self.show(&asked, &Shown::LoggedOut)),
            (_, "/" | "/login" | "/callback" | "/widget" | "/mount" | "/logged-out") => {
                return web::method_not_allowed("GET");
            }
            (_, "/logout" | "/login/saoma" | "/backchannel") => return web::method_not_allowed("POST"),
            _ => return web::text(StatusCode::NOT_FOUND, "the site is on /\n"),
        };
        let mut answer = done.unwrap_or_else(|trouble| {
            if !matches!(trouble, Trouble::WentBack) {
                tracing::warn!("example site: {trouble}");
            }
            self.show(&asked, &Shown::Trouble(&trouble))
        });
        if asked.wish().is_some() {
            set_cookie(&mut answer, LANGUAGE, asked.language.tag());
        }
        answer
    }

    fn start_page(&self, asked: &Asked<'_>) -> Response {
        let sessions = self.sessions.lock();
        match asked.cookie(SESSION).and_then(|cookie| sessions.get(cookie)) {
            Some(session) => self.show(asked, &Shown::Person(session)),
            None => self.show(asked, &Shown::Nobody),
        }
    }

    async fn log_in(&self, asked: &Asked<'_>) -> Result<Response, Trouble> {
        // One name for all attempts of a browser, so that a second window does not spoil the first one's.
        let browser = asked.cookie(BROWSER).map_or_else(random, str::to_owned);
        let (url, state, attempt) =
            self.client(asked.entry()).begin(browser.clone(), asked.language.tag()).await?;
        keep(&self.attempts, state, attempt);
        let mut answer = see_other(&url);
        set_cookie(&mut answer, BROWSER, &browser);
        Ok(answer)
    }

    async fn come_back(&self, asked: &Asked<'_>) -> Result<Response, Trouble> {
        let parameters: HashMap<String, String> =
            form_urlencoded::parse(asked.query.as_bytes()).into_owned().collect();
        let attempt = parameters.get("state").and_then(|state| self.attempts.lock().remove(state));
        let attempt = attempt.filter(|attempt| asked.cookie(BROWSER) == Some(&attempt.browser));
        let attempt = attempt.ok_or(Trouble::NotBegunHere)?;
        let entry = attempt.entry;
        let (id_token, claims) = self.client(entry).finish(&attempt, &parameters).await?;
        Ok(self.begin_session(asked, Session { entry, way: Way::Redirect, id_token, claims }))
    }

    fn begin_session(&self, asked: &Asked<'_>, session: Session) -> Response {
        // A new cookie for each login: one that somebody has planted before is worth nothing.
        let cookie = random();
        if let Some(old) = asked.cookie(SESSION) {
            self.sessions.lock().remove(old);
        }
        keep(&self.sessions, cookie.clone(), session);
        // The code does not stay in the address, nor in a form that a reload would send again.
        let mut answer = see_other("/");
        set_cookie(&mut answer, SESSION, &cookie);
        answer
    }

    async fn log_out(&self, asked: &Asked<'_>) -> Result<Response, Trouble> {
        let then = format!("{}/logged-out", self.origin);
        let session = asked.cookie(SESSION).and_then(|cookie| self.sessions.lock().remove(cookie));
        let Some(Session { entry, id_token, .. }) = session else { return Ok(see_other(&then)) };
        // Without this the next login would need no scan.
        Ok(see_other(&self.client(entry).logout(&id_token, &then).await?))
    }

    /// The issuer says that a login has ended.
    async fn end_by_issuer(&self, body: Incoming) -> Response {
        let body = match web::read_body(body, MAX_BODY, BODY_WITHIN).await {
            Ok(body) => body,
            Err(error) => return web::text(error.status(), format!("{error}\n")),
        };
        let token = form_urlencoded::parse(&body).find(|(name, _)| name == "logout_token");
        let token = token.as_ref().map_or("", |(_, token)| token);
        let [usual, unasked] = &self.clients;
        let mut ended = usual.ended(token).await;
        if ended.is_err() {
            ended = unasked.ended(token).await;
        }
        match ended {
            Ok(sid) => {
                let is_other =
                    |session: &Session| session.claims.get("sid").is_none_or(|other| *other != sid);
                self.sessions.lock().retain(|_, session| is_other(session));
                web::text(StatusCode::OK, "")
            }
            Err(trouble) => {
                tracing::warn!("example site: back-channel logout: {trouble}");
                web::text(StatusCode::BAD_REQUEST, "")
            }
        }
    }

    fn is_named_by(&self, asked: &Asked<'_>) -> bool {
        let host = asked.headers.get(HOST).and_then(|host| host.to_str().ok());
        host.is_some_and(|host| self.origin == format!("http://{host}"))
    }

    fn frame<'a>(&'a self, asked: &Asked<'_>) -> Frame<'a> {
        Frame::new(asked.language, &self.places, asked.here(), asked.entry())
    }

    fn show(&self, asked: &Asked<'_>, shown: &Shown<'_>) -> Response {
        page::start(shown, self.frame(asked), &self.places.issuer)
    }
}

impl<'a> Asked<'a> {
    fn new(headers: &'a HeaderMap, path: &'a str, query: &'a str) -> Self {
        let mut asked = Self { headers, path, query, language: Language::default() };
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let chosen = asked.wish().or_else(|| Language::wished(asked.cookie(LANGUAGE)));
        asked.language = chosen.unwrap_or_else(|| Language::choose([], accepted));
        asked
    }

    /// The language that the person has pressed, if they just did.
    fn wish(&self) -> Option<Language> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        let (_, wish) = pairs.find(|(name, _)| name == "lang")?;
        Language::wished([&*wish])
    }

    /// For which of the site's entries a login is.
    fn entry(&self) -> Entry {
        Entry::of_query(self.query)
    }

    /// Where the person is, to be there in the other language: a page that may be opened again.
    fn here(&self) -> &'static str {
        match self.path {
            "/widget" => "/widget",
            "/mount" => "/mount",
            _ => "/",
        }
    }
    fn cookie(&self, name: &str) -> Option<&str> {
        let lines = self.headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(other, _)| *other == name).map(|(_, value)| value)
    }
}

fn keep<T>(all: &Mutex<HashMap<String, T>>, name: String, value: T) {
    let mut all = all.lock();
    if all.len() >= MOST {
        all.clear();
    }
    all.insert(name, value);
}

/// Nobody's script reads it, and no other site's form brings it.
fn set_cookie(answer: &mut Response, name: &str, value: &str) {
    add(answer, SET_COOKIE, &format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax"));
}

/// As the widget makes one by itself.
fn set_readable_cookie(answer: &mut Response, name: &str, value: &str) {
    add(answer, SET_COOKIE, &format!("{name}={value}; Path=/; SameSite=Strict"));
}

fn see_other(location: &str) -> Response {
    let mut answer = web::text(StatusCode::SEE_OTHER, "");
    add(&mut answer, LOCATION, location);
    answer
}

fn add(answer: &mut Response, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(answer.headers_mut().append(name, value)),
        Err(_) => *answer.status_mut() = StatusCode::BAD_REQUEST,
    }
}
