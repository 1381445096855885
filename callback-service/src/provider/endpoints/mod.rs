//! What browsers and back ends ask of the provider. Each endpoint is a file; [`parameters`] reads what comes in,
//! [`oauth_error`] are the standard's own words for what is wrong, [`cookies`] binds what belongs to one browser, and
//! [`client_authentication`] says which site asks.

mod authorize;
mod client_authentication;
pub(super) mod cookies;
mod discovery;
mod logout;
mod oauth_error;
mod parameters;
mod proceed;
mod signed_in;
mod token;
mod userinfo;

use std::net::IpAddr;

use http::header::{
    ACCEPT_LANGUAGE, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, HeaderName, HeaderValue, LOCATION, ORIGIN,
};
use http::request::Parts;
use http::{Method, StatusCode};
use hyper::body::Incoming as Body;
use login_page::Language;
use serde_json::Value;
use server::http::{self as web, Response};

pub(super) use self::authorize::is_challenge;
pub(crate) use self::cookies::Cookie;
pub(crate) use self::parameters::Parameters;
use super::Provider;
use super::keys::JWKS_MAX_AGE;
use super::pages::{self, Trouble};
use crate::store::StoreError;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Where everything is (OpenID Connect Discovery).
    Discovery,
    /// The public keys.
    Keys,
    /// A site asks for a login.
    Authorize,
    /// The login page brings what the scan gave.
    Continue,
    /// A site's back end redeems a code.
    Token,
    /// A site's back end asks about the person.
    UserInfo,
    /// A site asks to log the person out.
    Logout,
    /// The person's own answer to that.
    LogoutConfirm,
    /// A part of the login page.
    Part(Part),
}

/// The parts of the login page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Script,
    Widget,
    Ways,
    RequestScript,
    Style,
}

/// A request, without its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'r> {
    /// Method, address and headers.
    pub head: &'r Parts,
    /// Who asks, also from behind a proxy.
    pub from: IpAddr,
}

impl Incoming<'_> {
    pub(crate) fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The language for a person, who may have been sent with wishes (`ui_locales`).
    fn language(&self, parameters: &Parameters) -> Language {
        Language::choose(wishes(parameters), self.header(&ACCEPT_LANGUAGE))
    }
}

impl Provider {
    /// Answers one request.
    pub(crate) async fn answer(&self, endpoint: Endpoint, asked: Incoming<'_>, body: Body) -> Response {
        if asked.head.method == Method::OPTIONS {
            return preflight();
        }
        match endpoint {
            Endpoint::Discovery => open(json(StatusCode::OK, &self.discovery())),
            Endpoint::Keys => {
                let mut answer = open(json(StatusCode::OK, &self.keys.jwks()));
                let kept = format!("public, max-age={}", JWKS_MAX_AGE.as_secs());
                if let Ok(kept) = HeaderValue::from_str(&kept) {
                    answer.headers_mut().insert(CACHE_CONTROL, kept);
                }
                answer
            }
            Endpoint::Authorize => match self.sent_here_with("/authorize", &asked, body).await {
                Ok(parameters) => self.authorize(asked, &parameters).await,
                Err(answer) => *answer,
            },
            Endpoint::Continue => self.proceed(asked, body).await,
            Endpoint::Token => open(self.token(asked, body).await),
            Endpoint::UserInfo => open(self.userinfo(asked, body).await),
            Endpoint::Logout => match self.sent_here_with("/logout", &asked, body).await {
                Ok(parameters) => self.logout(asked, &parameters).await,
                Err(answer) => *answer,
            },
            Endpoint::LogoutConfirm => self.logout_confirmed(asked, body).await,
            Endpoint::Part(part) => {
                const SCRIPT: &str = "text/javascript; charset=utf-8";
                match part {
                    Part::Script => web::answer(StatusCode::OK, SCRIPT, login_page::SCRIPT),
                    Part::Widget => web::answer(StatusCode::OK, SCRIPT, login_page::WIDGET),
                    Part::Ways => web::answer(StatusCode::OK, SCRIPT, login_page::WAYS),
                    Part::RequestScript => web::answer(StatusCode::OK, SCRIPT, login_page::REQUEST_SCRIPT),
                    Part::Style => web::answer(StatusCode::OK, "text/css; charset=utf-8", self.style.clone()),
                }
            }
        }
    }

    /// What a site has sent a browser here with, by GET or POST. A browser that has posted from another site brings no
    /// cookies, which are `SameSite=Lax`; so it is sent here once more, by GET. 303 makes a GET of a POST (RFC 9700,
    /// section 4.12).
    async fn sent_here_with(
        &self,
        path: &str,
        asked: &Incoming<'_>,
        body: Body,
    ) -> Result<Parameters, Box<Response>> {
        if asked.head.method != Method::POST {
            return Ok(Parameters::of_query(asked.query()));
        }
        let parameters = Parameters::of_form(body).await.map_err(|unread| {
            Box::new(pages::error(unread.status(), &unread.words(), Language::default()))
        })?;
        match self.has_cookies(&asked.head.headers) {
            true => Ok(parameters),
            false => Err(Box::new(see_other(&parameters.behind(path)))),
        }
    }

    /// The answer where nothing is.
    pub(crate) fn nothing_here(&self) -> Response {
        let issuer = &self.addresses.issuer;
        let text = format!(
            "nothing is here; the issuer is {issuer}, without a slash behind it, and WeChat's pushes come to /wechat\n"
        );
        web::text(StatusCode::NOT_FOUND, text)
    }

    /// Whether a form was posted by a page of this service's own. Browsers say so by themselves.
    fn is_from_own_page(&self, asked: &Incoming<'_>) -> bool {
        asked.header(&ORIGIN).is_none_or(|origin| origin == self.addresses.issuer)
    }

    /// The page for a store that does not answer. Nothing was granted.
    fn busy(&self, error: &StoreError, language: Language) -> Response {
        server::tell!(error, self.told, "store", "a site's login cannot go on: {error}");
        pages::error(StatusCode::SERVICE_UNAVAILABLE, &Trouble::Busy, language)
    }
}

/// What came in, for the log: enough to see what is wrong with it.
fn shortened(text: Option<&str>) -> String {
    text.unwrap_or_default().chars().take(128).collect()
}

/// The languages that were wished for: by the page's own link, then by the site.
fn wishes(parameters: &Parameters) -> impl Iterator<Item = &str> {
    let by_site = parameters.get("ui_locales").unwrap_or_default().split(' ');
    parameters.get("lang").into_iter().chain(by_site)
}

fn json(status: StatusCode, body: &Value) -> Response {
    web::answer(status, "application/json", body.to_string())
}

/// Lets pages of every origin read an answer: they hold what it is for, and no cookie gives it to them.
fn open(mut answer: Response) -> Response {
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

/// The answer to a browser that asks whether a page may ask.
fn preflight() -> Response {
    let mut answer = open(web::text(StatusCode::NO_CONTENT, ""));
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    answer
}

/// Sends a browser on, by GET whatever it did before.
pub(crate) fn see_other(location: &str) -> Response {
    let mut answer = web::text(StatusCode::SEE_OTHER, "");
    match HeaderValue::from_str(location) {
        Ok(location) => drop(answer.headers_mut().insert(LOCATION, location)),
        Err(_) => *answer.status_mut() = StatusCode::BAD_REQUEST,
    }
    answer.headers_mut().insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    answer
}
