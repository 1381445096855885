//! `/token`: a site's back end redeems a code (RFC 6749, section 4.1.3; OpenID Connect Core, section 3.1.3). Once.

use aws_lc_rs::constant_time;
use http::StatusCode;
use hyper::body::Incoming as Body;
use records::Kept;
use serde_json::{Map, Value, json};
use server::http::Response;
use tracing::Instrument as _;

use super::client_authentication::authenticate;
use super::oauth_error::{BUSY, OAuthError};
use super::parameters::Parameters;
use super::{Incoming, json as answer};
use crate::audit::{Fact, Outcome};
use crate::outbox::{EventName, Message};
use crate::provider::access::Access;
use crate::provider::claims::has_scope;
use crate::provider::codes::Code;
use crate::provider::identity::Identity;
use crate::provider::sites::Site;
use crate::provider::token::{Token, sha256};
use crate::provider::tokens::ForIdToken;
use crate::provider::{ACCESS_LIFE, Provider};
use crate::store::{StoreError, repeated};
use crate::trace;

/// The parameters that have a meaning here.
const KNOWN: [&str; 6] =
    ["grant_type", "code", "redirect_uri", "client_id", "client_secret", "code_verifier"];

/// Characters of a verifier (RFC 7636, section 4.1).
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;

/// Why a code gives nothing.
#[derive(Debug)]
enum NotGiven {
    Refused(OAuthError),
    Store(StoreError),
    Signing(String),
}

impl From<StoreError> for NotGiven {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<OAuthError> for NotGiven {
    fn from(error: OAuthError) -> Self {
        Self::Refused(error)
    }
}

const fn invalid_grant(description: &'static str) -> OAuthError {
    OAuthError::new("invalid_grant", description)
}

const UNKNOWN_CODE: OAuthError = invalid_grant("the code is unknown, too old or used");

/// Whether a site may have what a code stands for, by what it sends with it.
fn check(code: &Code, site: &Site, parameters: &Parameters) -> Result<(), OAuthError> {
    // A code of another site is as good as none.
    if code.site != site.id {
        return Err(UNKNOWN_CODE);
    }
    // OAuth 2.1 does not ask for the address any more; where it is sent it must be the same.
    match (parameters.get("redirect_uri"), &code.redirect_uri) {
        (None, _) => {}
        (Some(sent), Some(was)) if sent == was => {}
        (Some(_), _) => return Err(invalid_grant("redirect_uri is not the one that the code was sent to")),
    }
    match (parameters.get("code_verifier"), &code.code_challenge) {
        // It has become public since the request.
        (None, None) if site.is_public() => {
            Err(invalid_grant("a client without a secret needs a code_challenge"))
        }
        (None, None) => Ok(()),
        (Some(verifier), Some(challenge)) => {
            let is_right = VERIFIER.contains(&verifier.len())
                && constant_time::verify_slices_are_equal(
                    sha256(verifier.as_bytes()).as_bytes(),
                    challenge.as_bytes(),
                )
                .is_ok();
            is_right.then_some(()).ok_or(invalid_grant("code_verifier does not match code_challenge"))
        }
        (None, Some(_)) => Err(invalid_grant("code_verifier is missing")),
        // RFC 9700, section 2.1.1: else an attacker takes the challenge off a request (downgrade).
        (Some(_), None) => Err(invalid_grant("there was no code_challenge for this code_verifier")),
    }
}

impl Provider {
    pub(super) async fn token(&self, asked: Incoming<'_>, body: Body) -> Response {
        let parameters = match Parameters::of_form_or_json(&asked.head.headers, body).await {
            Ok(parameters) => parameters,
            Err(unread) => return OAuthError::invalid_request(unread.description()).answer(unread.status()),
        };
        if parameters.repeats_any(&KNOWN) {
            return OAuthError::invalid_request("a parameter is there twice").answer(StatusCode::BAD_REQUEST);
        }
        let site = match authenticate(&asked.head.headers, &parameters, &self.sites) {
            Ok(site) => site,
            Err(not_believed) => {
                let (from, problem) = (asked.from, not_believed.error.description);
                let site = not_believed.site.clone().unwrap_or_default();
                server::tell!(
                    warn,
                    self.told,
                    format!("client {site}"),
                    [%from, site],
                    "a client is not believed at /token: {problem}"
                );
                return not_believed.answer();
            }
        };
        let sought = self.sought(&parameters).await;
        // From here on every line is the login's.
        let login = sought.as_ref().ok().and_then(|(_, code)| code.who.login);
        let redeeming = async {
            let redeemed = match sought {
                Ok((token, code)) => self.redeem(&site, &parameters, &token, code).await,
                Err(error) => Err(error),
            };
            self.told_back(&site, redeemed)
        };
        redeeming.instrument(trace::step(login, "token")).await
    }

    /// The answer to a site, and what the operator hears of it.
    fn told_back(&self, site: &Site, redeemed: Result<Map<String, Value>, NotGiven>) -> Response {
        match redeemed {
            Ok(given) => answer(StatusCode::OK, &Value::Object(given)),
            Err(NotGiven::Refused(error)) => {
                tracing::info!(site = %site.id, error = error.code, "a code gives nothing: {}", error.description);
                error.answer(StatusCode::BAD_REQUEST)
            }
            Err(NotGiven::Store(error)) => {
                server::tell!(error, self.told, "store", "a site's login cannot go on: {error}");
                BUSY.answer(StatusCode::SERVICE_UNAVAILABLE)
            }
            Err(NotGiven::Signing(error)) => {
                server::tell!(error, self.told, "signing", "{error}");
                OAuthError::new("server_error", "no token can be signed")
                    .answer(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// The code that a site brings, and what it stands for.
    async fn sought(&self, parameters: &Parameters) -> Result<(Token, Code), NotGiven> {
        match parameters.get("grant_type") {
            Some("authorization_code") => {}
            None => return Err(OAuthError::invalid_request("grant_type is missing").into()),
            Some(_) => {
                let error = OAuthError::new("unsupported_grant_type", "the grant_type is authorization_code");
                return Err(error.into());
            }
        }
        let token = parameters.get("code").ok_or(OAuthError::invalid_request("code is missing"))?;
        let token = Token::parse(token).ok_or(UNKNOWN_CODE)?;
        let code = self.codes.look(&token).await?.ok_or(UNKNOWN_CODE)?;
        Ok((token, code))
    }

    /// What a site gets for a code. Everything that can fail comes before the code is marked as redeemed, so that the site
    /// can try again.
    async fn redeem(
        &self,
        site: &Site,
        parameters: &Parameters,
        token: &Token,
        code: Code,
    ) -> Result<Map<String, Value>, NotGiven> {
        check(&code, site, parameters)?;
        if let Some(access) = &code.redeemed {
            return Err(self.used_again(site, access).await.into());
        }
        let who = Identity::clone(&code.who);
        let sub = site.sub(&who).ok_or(invalid_grant("WeChat has given no unionid"))?;
        if !self.accounts.visit(&who, &site.id, sub).await? {
            return Err(invalid_grant("the person has been logged out since").into());
        }
        let access_token = Token::random();
        let access = Access {
            site: site.id.clone(),
            scope: code.scope.clone(),
            who: Kept::from(who.clone()),
            is_revoked: false,
        };
        self.access.put(&access_token, access).await?;

        let mut given = Map::new();
        let mut give = |name: &str, value: Value| drop(given.insert(name.to_owned(), value));
        give("access_token", json!(access_token.reveal()));
        give("token_type", json!("Bearer"));
        give("expires_in", json!(ACCESS_LIFE.as_secs()));
        give("scope", json!(code.scope));
        if has_scope(&code.scope, "openid") {
            let (nonce, access_token) = (code.nonce.as_deref(), access_token.reveal());
            let of = ForIdToken { site, who: &who, sub, scope: &code.scope, nonce, access_token };
            let claims = self.id_token(&of, server::clock::unix_now());
            let signed = self.keys.sign("JWT", claims).await;
            give("id_token", json!(signed.map_err(|error| NotGiven::Signing(error.to_string()))?));
        }
        let access = access_token.hash();
        match repeated(|| self.codes.redeem(token, &access)).await? {
            Ok(()) => {}
            Err(Some(first)) => return Err(self.used_again(site, &first).await.into()),
            Err(None) => return Err(UNKNOWN_CODE.into()),
        }
        tracing::info!(site = %site.id, "a site has learnt who logged in");
        let person = who.person();
        let fact = Fact {
            login: who.login.map(|login| login.to_string()),
            site: Some(site.id.clone()),
            session: Some(who.sid.clone()),
            once: false,
            ..Fact::of(Outcome::Redeemed, &person)
        };
        tokio::join!(self.note(fact), self.tell_of_login(site, &who, sub));
        Ok(given)
    }

    /// A code that comes twice was seen by somebody else: what it gave is taken back (RFC 6749, section 4.1.2).
    async fn used_again(&self, site: &Site, access: &crate::provider::token::Hash) -> OAuthError {
        server::tell!(
            warn,
            self.told,
            "code reuse",
            [site = %site.id],
            "a code was brought a second time; the access token that it gave is revoked"
        );
        if let Err(error) = self.access.revoke(access).await {
            tracing::error!("an access token is perhaps not revoked: {error}");
        }
        UNKNOWN_CODE
    }

    async fn tell_of_login(&self, site: &Site, who: &Identity, sub: &str) {
        if site.webhook.is_none() {
            return;
        }
        let login = Some(who.sid.clone());
        let at = server::clock::unix_now();
        let (name, sub, login_id) = (EventName::Login, sub.to_owned(), who.login);
        let event = Message::Event { name, sub, at, login, login_id, reason: None };
        if let Err(error) = self.outbox.put(&site.id, event).await {
            tracing::error!(site = %site.id, "a site is not told of a login: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use records::Moment;

    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn code(redirect_uri: Option<&str>, challenge: bool) -> Code {
        let who = Identity {
            openid: "o".into(),
            account: None,
            unionid: None,
            nickname: None,
            picture: None,
            at: Moment(0),
            sid: "s".into(),
            confirmed: false,
            login: None,
        };
        Code {
            site: "shop".to_owned(),
            redirect_uri: redirect_uri.map(str::to_owned),
            scope: "openid".to_owned(),
            nonce: None,
            code_challenge: challenge.then(|| sha256(VERIFIER.as_bytes())),
            who: who.into(),
            redeemed: None,
        }
    }

    #[test]
    fn a_code_is_for_one_site_one_address_and_one_verifier() {
        let (shop, other) = (Site::example("shop"), Site::example("other"));
        let of = |code: &Code, site: &Site, sent: &str| {
            check(code, site, &Parameters::of_query(sent)).map_err(|error| error.code)
        };
        let sent = format!("redirect_uri=https://a/cb&code_verifier={VERIFIER}");
        assert_eq!(of(&code(Some("https://a/cb"), true), &shop, &sent), Ok(()));
        assert_eq!(
            of(&code(Some("https://a/cb"), true), &shop, &format!("code_verifier={VERIFIER}")),
            Ok(())
        );
        let mut confidential = shop.clone();
        confidential.secrets.push([0; 32]);
        assert_eq!(of(&code(None, false), &confidential, ""), Ok(()));
        let short = "code_verifier=short".to_owned();
        for (code, site, sent) in [
            (code(Some("https://a/cb"), true), &other, sent.clone()),
            (code(Some("https://b/cb"), true), &shop, sent.clone()),
            (code(None, true), &shop, sent.clone()),
            (code(Some("https://a/cb"), false), &shop, sent.clone()),
            (code(Some("https://a/cb"), true), &shop, String::new()),
            (code(Some("https://a/cb"), false), &shop, String::new()),
            (code(Some("https://a/cb"), true), &shop, short),
            (code(Some("https://a/cb"), true), &shop, sent.replace("dBjf", "dBjg")),
            (code(Some("https://a/cb"), true), &shop, sent.replace("/cb", "/CB")),
        ] {
            assert_eq!(of(&code, site, &sent), Err("invalid_grant"), "{sent}");
        }
    }
}
