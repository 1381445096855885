//! The example site: about the smallest web site whose people log in by Saoma, to try it and to read it.
//!
//! `/login` sends the browser to the issuer, and it comes back to `/callback` with a code. [`openid`] turns that into
//! claims, and the site begins a session of its own. `/logout` ends both sessions. `/backchannel` hears of logouts that
//! begin elsewhere. Everything is in memory. A real site has TLS: there its cookies are `Secure` as well, and their names
//! begin with `__Host-`.

mod openid;
mod page;

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

use self::openid::{Attempt, CLIENT_ID, Claims, Client, Trouble, random};
use self::page::Shown;

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

/// Somebody who is logged in.
struct Session {
    id_token: String,
    claims: Claims,
}

/// The site.
pub(crate) struct ExampleSite {
    origin: String,
    client: Client,
    /// By their `state`.
    attempts: Mutex<HashMap<String, Attempt>>,
    /// By their cookie.
    sessions: Mutex<HashMap<String, Session>>,
}

/// A request without its body.
struct Asked<'a> {
    headers: &'a HeaderMap,
    query: &'a str,
    language: Language,
}

impl ExampleSite {
    /// A site at `address` that trusts this issuer, and its entry in the issuer's file of sites.
    ///
    /// # Errors
    /// When no requests can be sent.
    pub(crate) fn new(address: SocketAddr, issuer: String) -> anyhow::Result<(Self, String)> {
        let (origin, secret) = (format!("http://{address}"), random());
        let entry = page::entry(&origin, CLIENT_ID, &secret);
        let client = Client::new(issuer, SecretString::from(secret), format!("{origin}/callback"))?;
        Ok((Self { origin, client, attempts: Mutex::default(), sessions: Mutex::default() }, entry))
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
        let asks_for = head.headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let language = Language::choose([], asks_for);
        let asked = Asked { headers: &head.headers, query: head.uri.query().unwrap_or_default(), language };
        let done = match (&head.method, head.uri.path()) {
            (&Method::POST, "/backchannel") => return self.end_by_issuer(body).await,
            (&Method::GET, "/site.css") => return page::style(),
            // A login that begins at another name, such as localhost, would come back here without its cookie.
            (&Method::GET, _) if !self.is_named_by(&asked) => Ok(see_other(&format!("{}/", self.origin))),
            (&Method::GET, "/") => Ok(self.start_page(&asked)),
            (&Method::GET, "/login") => self.log_in(&asked).await,
            (&Method::GET, "/callback") => self.come_back(&asked).await,
            // By POST, with a cookie that is SameSite=Lax: no link elsewhere logs anybody out.
            (&Method::POST, "/logout") => self.log_out(&asked).await,
            (&Method::GET, "/logged-out") => Ok(self.show(&asked, &Shown::LoggedOut)),
            (_, "/" | "/login" | "/callback" | "/logged-out") => return web::method_not_allowed("GET"),
            (_, "/logout" | "/backchannel") => return web::method_not_allowed("POST"),
            _ => return web::text(StatusCode::NOT_FOUND, "the site is on /\n"),
        };
        done.unwrap_or_else(|trouble| {
            if !matches!(trouble, Trouble::WentBack) {
                tracing::warn!("example site: {trouble}");
            }
            self.show(&asked, &Shown::Trouble(&trouble))
        })
    }

    fn start_page(&self, asked: &Asked<'_>) -> Response {
        let sessions = self.sessions.lock();
        match asked.cookie(SESSION).and_then(|cookie| sessions.get(cookie)) {
            Some(session) => self.show(asked, &Shown::Person(&session.claims)),
            None => self.show(asked, &Shown::Nobody),
        }
    }

    async fn log_in(&self, asked: &Asked<'_>) -> Result<Response, Trouble> {
        // One name for all attempts of a browser, so that a second window does not spoil the first one's.
        let browser = asked.cookie(BROWSER).map_or_else(random, str::to_owned);
        let (url, state, attempt) = self.client.begin(browser.clone(), asked.language.tag()).await?;
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
        let (id_token, claims) = self.client.finish(&attempt, &parameters).await?;
        // A new cookie for each login: one that somebody has planted before is worth nothing.
        let session = random();
        if let Some(old) = asked.cookie(SESSION) {
            self.sessions.lock().remove(old);
        }
        keep(&self.sessions, session.clone(), Session { id_token, claims });
        // The code does not stay in the address.
        let mut answer = see_other("/");
        set_cookie(&mut answer, SESSION, &session);
        Ok(answer)
    }

    async fn log_out(&self, asked: &Asked<'_>) -> Result<Response, Trouble> {
        let then = format!("{}/logged-out", self.origin);
        let session = asked.cookie(SESSION).and_then(|cookie| self.sessions.lock().remove(cookie));
        let Some(Session { id_token, .. }) = session else { return Ok(see_other(&then)) };
        // Without this the next login would need no scan.
        Ok(see_other(&self.client.logout(&id_token, &then).await?))
    }

    /// The issuer says that a login has ended.
    async fn end_by_issuer(&self, body: Incoming) -> Response {
        let body = match web::read_body(body, MAX_BODY, BODY_WITHIN).await {
            Ok(body) => body,
            Err(error) => return web::text(error.status(), format!("{error}\n")),
        };
        let token = form_urlencoded::parse(&body).find(|(name, _)| name == "logout_token");
        match self.client.ended(token.as_ref().map_or("", |(_, token)| token)).await {
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

    fn show(&self, asked: &Asked<'_>, shown: &Shown<'_>) -> Response {
        page::answer(shown, asked.language, &self.client.issuer)
    }
}

impl Asked<'_> {
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

fn set_cookie(answer: &mut Response, name: &str, value: &str) {
    insert(answer, SET_COOKIE, &format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax"));
}

fn see_other(location: &str) -> Response {
    let mut answer = web::text(StatusCode::SEE_OTHER, "");
    insert(&mut answer, LOCATION, location);
    answer
}

fn insert(answer: &mut Response, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(answer.headers_mut().insert(name, value)),
        Err(_) => *answer.status_mut() = StatusCode::BAD_REQUEST,
    }
}
