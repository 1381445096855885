//! `/authorize`: a site asks for a login (OpenID Connect Core, section 3.1.2). A browser with a session that fits is sent
//! back at once; another one is shown the login page.
//!
//! Reading and deciding are pure functions. Until the site and its address are known to be registered, what is wrong is
//! told on a page of ours, because the answer could go to a thief; after that it goes to the site.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use login_page::{Brand, ForRequest, Language};
use records::Moment;
use server::http::Response;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::cookies::Cookie;
use super::oauth_error::{BUSY, OAuthError};
use super::parameters::{self, Parameters};
use super::{Incoming, see_other, shortened};
use crate::account::names::Names;
use crate::provider::Provider;
use crate::provider::claims::{scopes_asked, wants_confirmation};
use crate::provider::codes::Code;
use crate::provider::identity::Identity;
use crate::provider::pages::{self, Trouble};
use crate::provider::requests::Asked;
use crate::provider::sites::{Site, Sites};
use crate::provider::token::{Hash, Token};
use crate::store::StoreError;
use crate::trace;

/// Characters of a challenge by S256: a SHA-256 in base64url.
const CHALLENGE: usize = 43;

/// Bytes of `state` and of `nonce`. Both come back to the site as they were, and are kept meanwhile.
const MAX_ECHOED: usize = 2048;

/// The parameters that have a meaning here. None may be there twice (RFC 6749, section 3.1).
const KNOWN: [&str; 19] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "id_token_hint",
    "login_hint",
    "ui_locales",
    "acr_values",
    "claims",
    "request",
    "request_uri",
    "registration",
];

/// Whether this can be a challenge by S256.
pub(in crate::provider) fn is_challenge(text: &str) -> bool {
    let is_good = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-' || letter == b'_';
    text.len() == CHALLENGE && text.bytes().all(is_good)
}

/// What a site asks for, and how.
#[derive(Debug)]
struct Wanted {
    site: Site,
    asked: Asked,
    /// No page may be shown.
    is_silent: bool,
    /// A session is not enough.
    wants_scan: bool,
    max_age: Option<Duration>,
    hint: Option<String>,
}

/// Why nothing is asked.
#[derive(Debug)]
enum Refused {
    /// The person is told.
    Page(Trouble),
    /// The site is told, at its own address.
    Site { redirect_uri: String, state: Option<String>, error: OAuthError },
}

/// Reads what a site asks for.
fn read(parameters: &Parameters, sites: &Sites) -> Result<Wanted, Refused> {
    if parameters.repeats_any(&["client_id", "redirect_uri", "state"]) {
        return Err(Refused::Page(Trouble::Repeated));
    }
    let site = parameters.get("client_id").and_then(|id| sites.get(id));
    let site = site.ok_or(Refused::Page(Trouble::UnknownSite))?;
    let redirect_uri = parameters.get("redirect_uri").filter(|uri| site.may_redirect_to(uri));
    let redirect_uri = redirect_uri.ok_or(Refused::Page(Trouble::WrongRedirect))?.to_owned();
    let state = parameters.get("state").filter(|state| state.len() <= MAX_ECHOED).map(str::to_owned);
    match wishes(parameters, &site) {
        Err(error) => Err(Refused::Site { redirect_uri, state, error }),
        Ok(Wishes { is_silent, wants_scan, max_age, code_challenge }) => {
            let asked = Asked {
                site: site.id.clone(),
                redirect_uri,
                scope: scopes_asked(parameters.get("scope").unwrap_or_default(), parameters.get("claims")),
                state,
                nonce: parameters.get("nonce").map(str::to_owned),
                code_challenge,
                only: None,
                confirm: wants_confirmation(parameters.get("acr_values").unwrap_or_default()),
            };
            let hint = parameters.get("id_token_hint").map(str::to_owned);
            Ok(Wanted { site, asked, is_silent, wants_scan, max_age, hint })
        }
    }
}

/// What is asked beside who, where to and what for.
struct Wishes {
    is_silent: bool,
    wants_scan: bool,
    max_age: Option<Duration>,
    code_challenge: Option<String>,
}

fn wishes(parameters: &Parameters, site: &Site) -> Result<Wishes, OAuthError> {
    let invalid = OAuthError::invalid_request;
    if parameters.repeats_any(&KNOWN) {
        return Err(invalid("a parameter is there twice"));
    }
    for (name, code) in [
        ("request", "request_not_supported"),
        ("request_uri", "request_uri_not_supported"),
        ("registration", "registration_not_supported"),
    ] {
        if parameters.get(name).is_some() {
            return Err(OAuthError::new(code, "send the parameters themselves"));
        }
    }
    match parameters.get("response_type") {
        Some("code") => {}
        None => return Err(invalid("response_type is missing")),
        Some(_) => return Err(OAuthError::new("unsupported_response_type", "the response_type is code")),
    }
    if parameters.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(invalid("the response_mode is query"));
    }
    for (name, description) in [("state", "state is too long"), ("nonce", "nonce is too long")] {
        if parameters.get(name).is_some_and(|value| value.len() > MAX_ECHOED) {
            return Err(invalid(description));
        }
    }
    let challenge = parameters.get("code_challenge");
    match (challenge, parameters.get("code_challenge_method")) {
        (Some(challenge), Some("S256")) if is_challenge(challenge) => {}
        (Some(_), Some("S256")) => return Err(invalid("code_challenge is no SHA-256 in base64url")),
        // Without a method the standard means plain, which protects from nobody who sees the request.
        (Some(_), _) => return Err(invalid("the code_challenge_method is S256")),
        (None, Some(_)) => return Err(invalid("code_challenge is missing")),
        (None, None) if site.is_public() => {
            return Err(invalid("a client without a secret needs a code_challenge by S256"));
        }
        (None, None) => {}
    }
    let prompts: Vec<&str> = parameters.get("prompt").unwrap_or_default().split_ascii_whitespace().collect();
    let known = ["none", "login", "consent", "select_account"];
    if prompts.iter().any(|prompt| !known.contains(prompt)) {
        return Err(invalid("prompt is none or login"));
    }
    let is_silent = prompts.contains(&"none");
    if is_silent && prompts.len() > 1 {
        return Err(invalid("prompt is none and something else"));
    }
    let seconds = |text: &str| text.parse::<u32>().map_err(|_| invalid("max_age is no number of seconds"));
    let max_age = parameters.get("max_age").map(seconds).transpose()?;
    Ok(Wishes {
        is_silent,
        // Whoever scans consents, and chooses the account.
        wants_scan: !is_silent && !prompts.is_empty(),
        max_age: max_age.map(|seconds| Duration::from_secs(seconds.into())),
        code_challenge: challenge.map(str::to_owned),
    })
}

/// What follows.
#[derive(Debug, PartialEq)]
enum Next {
    /// The session is enough.
    Answer(Identity),
    /// Only a scan would do, and no page may be shown.
    LoginRequired,
    /// The login page.
    Show,
}

/// Decides whether one of a browser's sessions is enough.
fn decide(wanted: &Wanted, sessions: impl IntoIterator<Item = (Identity, Moment)>) -> Next {
    let fits = |(who, now): &(Identity, Moment)| {
        let is_fresh = wanted.max_age.is_none_or(|age| now.since(who.at) <= age && !age.is_zero());
        let sub = wanted.site.sub(who);
        let is_right = wanted.asked.only.as_deref().is_none_or(|only| Some(only) == sub);
        // A session that began with a mere scan is not what this site wants.
        let is_confirmed = who.confirmed || !(wanted.site.confirm || wanted.asked.confirm);
        is_fresh && is_right && is_confirmed && !wanted.wants_scan && sub.is_some()
    };
    match sessions.into_iter().find(fits) {
        Some((who, _)) => Next::Answer(who),
        None if wanted.is_silent => Next::LoginRequired,
        None => Next::Show,
    }
}

impl Provider {
    pub(super) async fn authorize(&self, asked: Incoming<'_>, parameters: &Parameters) -> Response {
        let language = asked.language(parameters);
        let mut wanted = match read(parameters, &self.sites) {
            Ok(wanted) => wanted,
            Err(Refused::Page(trouble)) => {
                self.told_of(asked.from, trouble, parameters);
                return pages::error(StatusCode::BAD_REQUEST, &trouble, language);
            }
            Err(Refused::Site { redirect_uri, state, error }) => {
                return self.refuse(&redirect_uri, state.as_deref(), error);
            }
        };
        if let Some(hint) = wanted.hint.take() {
            match self.hinted(&hint, &wanted.site) {
                Some(sub) => wanted.asked.only = Some(sub),
                None => {
                    let error = OAuthError::invalid_request("id_token_hint is no ID token of this issuer");
                    return self.refuse(&wanted.asked.redirect_uri, wanted.asked.state.as_deref(), error);
                }
            }
        }
        let (redirect_uri, state) = (wanted.asked.redirect_uri.clone(), wanted.asked.state.clone());
        // The site can go on without the person, and where no page may be shown nobody else can be told.
        let away = |error: &StoreError| {
            server::tell!(error, self.told, "store", "a site's login cannot go on: {error}");
            self.refuse(&redirect_uri, state.as_deref(), BUSY)
        };
        let sessions = match self.sessions(&asked, Some(&wanted.site)).await {
            Ok(sessions) => sessions,
            Err(error) => return away(&error),
        };
        let done = match decide(&wanted, sessions) {
            Next::Answer(who) => match self.answers.take(asked.from) {
                Ok(()) => {
                    let span = trace::step(who.login, "silent");
                    span.in_scope(|| tracing::debug!(site = %wanted.site.id, "a session was enough"));
                    let sent = self.send_back(wanted.asked, who, None).instrument(span).await;
                    sent.map(|(answer, _)| answer)
                }
                Err(_) => Ok(self.refuse(&redirect_uri, state.as_deref(), BUSY)),
            },
            Next::LoginRequired => {
                let error = OAuthError::new("login_required", "the person has to scan");
                return self.refuse(&redirect_uri, state.as_deref(), error);
            }
            Next::Show => match self.page_for(asked.from) {
                Ok(()) => self.show(&wanted, &asked, parameters).await,
                Err(wait) => return self.too_many(asked.from, wait, language),
            },
        };
        done.unwrap_or_else(|error| away(&error))
    }

    /// Takes a login page from what an address may have, and from what all together may have.
    fn page_for(&self, from: IpAddr) -> Result<(), Duration> {
        self.pages.take(from)?;
        self.all_pages.lock().take(Instant::now()).inspect_err(|_| self.pages.give_back(from))
    }

    /// Whom an ID token names that was made for this site.
    fn hinted(&self, hint: &str, site: &Site) -> Option<String> {
        let claims = self.keys.check(hint, &self.addresses.issuer)?;
        let aud = claims.get("aud")?.as_str()?;
        (aud == site.id).then(|| claims.get("sub")?.as_str().map(str::to_owned)).flatten()
    }

    /// Sends the browser back to the site with a code, `chosen` or a new one, whose hash is given, too.
    pub(super) async fn send_back(
        &self,
        asked: Asked,
        who: Identity,
        chosen: Option<Token>,
    ) -> Result<(Response, Hash), StoreError> {
        let kept = Code {
            site: asked.site.clone(),
            redirect_uri: Some(asked.redirect_uri.clone()),
            scope: asked.scope.clone(),
            nonce: asked.nonce.clone(),
            code_challenge: asked.code_challenge.clone(),
            who: who.into(),
            redeemed: None,
        };
        let code = match chosen {
            None => self.codes.put(kept).await?,
            Some(chosen) => {
                self.codes.put_as(&chosen, kept).await?;
                chosen
            }
        };
        Ok((self.back_with(&asked, &code), code.hash()))
    }

    /// Sends the browser back to the site with a code that is kept.
    pub(in crate::provider) fn back_with(&self, asked: &Asked, code: &Token) -> Response {
        let Asked { redirect_uri, state, .. } = asked;
        see_other(&self.location(redirect_uri, &[("code", code.reveal())], state.as_deref()))
    }

    /// Sends the browser back to the site with an error.
    pub(super) fn refuse(&self, redirect_uri: &str, state: Option<&str>, error: OAuthError) -> Response {
        let told = [("error", error.code), ("error_description", error.description)];
        see_other(&self.location(redirect_uri, &told, state))
    }

    /// Where an answer goes: with the state, and with the issuer, so that a site with several providers knows whose answer
    /// it is (RFC 9207).
    fn location(&self, redirect_uri: &str, answer: &[(&str, &str)], state: Option<&str>) -> String {
        let mut parameters = answer.to_vec();
        parameters.extend(state.map(|state| ("state", state)));
        parameters.push(("iss", &self.addresses.issuer));
        parameters::with(redirect_uri, &parameters)
    }

    /// Where a person goes who does not want to log in.
    pub(in crate::provider) fn cancel(&self, asked: &Asked) -> String {
        let denied = [("error", "access_denied"), ("error_description", "the person went back")];
        self.location(&asked.redirect_uri, &denied, asked.state.as_deref())
    }

    async fn show(
        &self,
        wanted: &Wanted,
        asked: &Incoming<'_>,
        parameters: &Parameters,
    ) -> Result<Response, StoreError> {
        let known = self.cookie(&asked.head.headers, Cookie::Browser);
        let browser = known.clone().unwrap_or_else(Token::random);
        let handle = self.requests.put(wanted.asked.clone(), &browser.hash()).await?;
        let cancel = self.cancel(&wanted.asked);
        let official = self.official(&wanted.site);
        // Whoever scans follows the site's own account, and no other one is named.
        let named = official.filter(|official| official.name().is_some());
        let brand = named
            .map(|official| Brand { account: official.shown().map(str::to_owned), ..self.brand.clone() });
        let mut page = match self.inside(official, asked, parameters) {
            Some(scope) => inside::begin(wanted, scope, &handle, &cancel, asked, parameters),
            None => pages::login(&ForRequest {
                site: &wanted.site.name,
                gateway: &self.addresses.gateway,
                request: handle.reveal(),
                account: official.and_then(Names::name),
                language: Language::wished(super::wishes(parameters)),
                cancel: &cancel,
                pictures: &[],
                brand: brand.as_ref().unwrap_or(&self.brand),
            }),
        };
        if known.is_none() {
            self.set_cookie(&mut page, Cookie::Browser, &browser);
        }
        Ok(page)
    }

    /// Too many login pages for one address. The request is not kept.
    fn too_many(&self, from: IpAddr, wait: Duration, language: Language) -> Response {
        self.limits.hit("CALLBACK_ADDRESS_RATE");
        server::tell!(
            warn,
            self.told,
            "address",
            [%from],
            "an address asks for more login pages than CALLBACK_ADDRESS_RATE, or all together for too many; name it in \
             CALLBACK_TRUSTED_PROXIES if it is your proxy"
        );
        let mut answer = pages::error(StatusCode::TOO_MANY_REQUESTS, &Trouble::TooMany, language);
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        answer
    }

    /// Tells the operator what a site's developer has to change. What came in is shortened and escaped.
    fn told_of(&self, from: IpAddr, trouble: Trouble, parameters: &Parameters) {
        let id = parameters.get("client_id");
        let site = id.and_then(|id| self.sites.get(id)).map(|site| site.id).unwrap_or_default();
        server::tell!(
            warn,
            self.told,
            format!("authorize {trouble:?} {site}"),
            [%from, client_id = ?shortened(id), redirect_uri = ?shortened(parameters.get("redirect_uri"))],
            "a site's request was refused: {}",
            trouble.for_developers()
        );
    }
}

mod inside;

#[cfg(test)]
mod tests;
