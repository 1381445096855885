//! What the example site does as a client of OpenID Connect: it asks for a login, checks what came of it, and hears of
//! logouts. A site of yours would let a library do this; here it stands in the open, step by step.

use std::collections::HashMap;

use aws_lc_rs::{digest, rand};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::entries::Entry;

/// The event of which a logout token tells.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The verified claims of a token.
pub(super) type Claims = Map<String, Value>;

/// A name that nobody can guess: 256 random bits in base64url.
pub(super) fn random() -> String {
    let mut bytes = [0; 32];
    // The operating system's random numbers do not fail once it has started.
    rand::fill(&mut bytes).expect("random numbers");
    BASE64URL_NOPAD.encode(&bytes)
}

/// Why nobody is logged in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The answer is to no question that this browser has asked.
    #[error("no login with this state was begun in this browser")]
    NotBegunHere,
    /// A form with a code was not sent by a page of this site.
    #[error("the form's token is not in this browser's cookie")]
    Forged,
    /// The person went back without a login.
    #[error("the person went back")]
    WentBack,
    /// The issuer said no.
    #[error("the issuer answered {0:?}")]
    Refused(String),
    /// The issuer does not answer as one does.
    #[error("{0} cannot be read: {1}")]
    Unreadable(&'static str, reqwest::Error),
    /// A token is none, is another's, or has expired.
    #[error("a token is not to be believed: {0}")]
    BadToken(#[from] jsonwebtoken::errors::Error),
    /// An answer is not what it has to be.
    #[error("not to be believed: {0}")]
    NotBelieved(&'static str),
}

/// Where the issuer says that things are.
#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    end_session_endpoint: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// What the site remembers between its question and the answer.
pub(super) struct Attempt {
    /// For which of the site's entries it is.
    pub(super) entry: Entry,
    /// Which browser asked. An answer that comes in another one is somebody else's login.
    pub(super) browser: String,
    nonce: String,
    verifier: String,
}

/// The client: one for each entry.
pub(super) struct Client {
    entry: Entry,
    /// The issuer's address, which its tokens have to name.
    issuer: String,
    secret: SecretString,
    redirect_uri: String,
    http: reqwest::Client,
    discovery: OnceCell<Discovery>,
}

impl Client {
    pub(super) fn new(
        entry: Entry,
        issuer: String,
        secret: SecretString,
        redirect_uri: String,
    ) -> anyhow::Result<Self> {
        // The issuer is on this machine, where no proxy leads.
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { entry, issuer, secret, redirect_uri, http, discovery: OnceCell::new() })
    }

    /// Begins a login: where the browser is sent, the `state` that it brings back, and what to remember under that.
    pub(super) async fn begin(
        &self,
        browser: String,
        language: &str,
    ) -> Result<(String, String, Attempt), Trouble> {
        let (state, nonce, verifier) = (random(), random(), random());
        // PKCE: the code is of no use to anybody who does not know the verifier.
        let challenge = BASE64URL_NOPAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref());
        let endpoint = &self.discovery().await?.authorization_endpoint;
        let query = form(&[
            ("response_type", "code"),
            ("client_id", self.entry.id()),
            ("redirect_uri", &self.redirect_uri),
            ("scope", "openid profile"),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("ui_locales", language),
        ]);
        Ok((format!("{endpoint}?{query}"), state, Attempt { entry: self.entry, browser, nonce, verifier }))
    }

    /// Ends a login: checks the answer to an attempt, and exchanges its code for an ID token.
    pub(super) async fn finish(
        &self,
        attempt: &Attempt,
        answer: &HashMap<String, String>,
    ) -> Result<(String, Claims), Trouble> {
        // A site with several issuers would otherwise give one's code to another (RFC 9207).
        if answer.get("iss") != Some(&self.issuer) {
            return Err(Trouble::NotBelieved("the answer names another issuer"));
        }
        match answer.get("error").map(String::as_str) {
            None => {}
            Some("access_denied") => return Err(Trouble::WentBack),
            Some(error) => return Err(Trouble::Refused(error.to_owned())),
        }
        let code = answer.get("code").ok_or_else(|| Trouble::NotBelieved("there is no code"))?;
        let id_token = self.redeem(code, &attempt.verifier, Some(&self.redirect_uri)).await?;
        self.is_for(&attempt.nonce, id_token).await
    }

    /// Ends a login of the widget: exchanges the code that the site's own page has brought.
    pub(super) async fn finish_widget(
        &self,
        code: &str,
        verifier: &str,
        nonce: &str,
    ) -> Result<(String, Claims), Trouble> {
        // Nobody was redirected.
        let id_token = self.redeem(code, verifier, None).await?;
        self.is_for(nonce, id_token).await
    }

    /// The claims of an ID token, if it is for this login, and not for one that somebody else has begun.
    async fn is_for(&self, nonce: &str, id_token: String) -> Result<(String, Claims), Trouble> {
        let (_, claims) = self.verified(&id_token).await?;
        if claims.get("nonce").and_then(Value::as_str) != Some(nonce) {
            return Err(Trouble::NotBelieved("the ID token has another nonce"));
        }
        Ok((id_token, claims))
    }

    async fn redeem(
        &self,
        code: &str,
        verifier: &str,
        redirect_uri: Option<&str>,
    ) -> Result<String, Trouble> {
        let mut fields =
            vec![("grant_type", "authorization_code"), ("code", code), ("code_verifier", verifier)];
        fields.extend(redirect_uri.map(|uri| ("redirect_uri", uri)));
        let body = form(&fields);
        // `client_secret_basic`. Ids and secrets with other letters than ours are percent-encoded first.
        let request = self.http.post(&self.discovery().await?.token_endpoint);
        let request = request.basic_auth(self.entry.id(), Some(self.secret.expose_secret()));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        Ok(read::<Tokens>("the token endpoint", request).await?.id_token)
    }

    /// The `sid` of the login that has ended, if this is a good logout token. One that comes twice ends nothing more, so
    /// its `jti` need not be remembered.
    pub(super) async fn ended(&self, logout_token: &str) -> Result<String, Trouble> {
        let (header, claims) = self.verified(logout_token).await?;
        let is_logout = header.typ.as_deref() == Some("logout+jwt")
            && claims.get("events").is_some_and(|events| events[LOGOUT].is_object())
            && !claims.contains_key("nonce");
        let sid = claims.get("sid").and_then(Value::as_str).filter(|_| is_logout);
        sid.map(str::to_owned).ok_or_else(|| Trouble::NotBelieved("this is no logout token"))
    }

    /// Where the browser is sent to log out at the issuer, too.
    pub(super) async fn logout(&self, id_token: &str, then: &str) -> Result<String, Trouble> {
        let endpoint = &self.discovery().await?.end_session_endpoint;
        Ok(format!("{endpoint}?{}", form(&[("id_token_hint", id_token), ("post_logout_redirect_uri", then)])))
    }

    /// The header and claims of a token, if the issuer has signed it for this site, and it has not expired.
    async fn verified(&self, token: &str) -> Result<(Header, Claims), Trouble> {
        // The token says which of the issuer's keys has signed it. It has no say in anything else.
        let kid = decode_header(token)?.kid.unwrap_or_default();
        // A busy site keeps the keys for as long as their Cache-Control says.
        let keys: JwkSet = read("the set of keys", self.http.get(&self.discovery().await?.jwks_uri)).await?;
        let key = keys.find(&kid).ok_or_else(|| Trouble::NotBelieved("the issuer has no such key"))?;
        let key = DecodingKey::from_jwk(key)?;
        let mut rules = Validation::new(Algorithm::RS256);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[self.entry.id()]);
        rules.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        let token = decode::<Claims>(token, &key, &rules)?;
        Ok((token.header, token.claims))
    }

    /// The discovery document, which is read once.
    async fn discovery(&self) -> Result<&Discovery, Trouble> {
        let read = async || {
            let url = format!("{}/.well-known/openid-configuration", self.issuer);
            let found: Discovery = read("the discovery document", self.http.get(url)).await?;
            match found.issuer == self.issuer {
                true => Ok(found),
                false => Err(Trouble::NotBelieved("the discovery document is another issuer's")),
            }
        };
        self.discovery.get_or_try_init(read).await
    }
}

/// Sends a request, and reads the JSON of a good answer.
async fn read<T: DeserializeOwned>(
    what: &'static str,
    request: reqwest::RequestBuilder,
) -> Result<T, Trouble> {
    let answered = async { request.send().await?.error_for_status()?.json().await };
    // The address may have something secret in it.
    answered.await.map_err(|error: reqwest::Error| Trouble::Unreadable(what, error.without_url()))
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
