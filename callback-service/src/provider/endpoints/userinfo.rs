//! `/userinfo`: a site's back end asks about the person, by an access token (OpenID Connect Core, section 5.3). The token
//! comes in the header, or in the body of a form (RFC 6750, section 2).

use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use hyper::body::Incoming as Body;
use serde_json::{Value, json};
use server::http::Response;

use super::oauth_error::{BUSY, OAuthError};
use super::parameters::Parameters;
use super::{Incoming, json as answer};
use crate::provider::token::Token;
use crate::provider::{Provider, claims};
use crate::store::StoreError;

impl Provider {
    pub(super) async fn userinfo(&self, asked: Incoming<'_>, body: Body) -> Response {
        let mut lines = asked.head.headers.get_all(AUTHORIZATION).into_iter();
        let (header, more) = (lines.next(), lines.next());
        let in_body = match asked.head.method {
            Method::POST => match Parameters::of_form(body).await {
                Ok(parameters) if parameters.repeats_any(&["access_token"]) => {
                    return invalid("access_token is there twice");
                }
                Ok(parameters) => parameters.get("access_token").map(str::to_owned),
                Err(unread) => {
                    return OAuthError::invalid_request(unread.description()).answer(unread.status());
                }
            },
            _ => None,
        };
        let text = match (header, in_body) {
            _ if more.is_some() => return invalid("there are two Authorization headers"),
            (Some(_), Some(_)) => return invalid("the access token is there twice"),
            (None, None) => {
                let mut refused = server::http::text(StatusCode::UNAUTHORIZED, "an access token is needed\n");
                refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                return refused;
            }
            (Some(header), None) => header.to_str().ok().and_then(bearer).unwrap_or_default().to_owned(),
            (None, Some(text)) => text,
        };
        match self.about_bearer(&text).await {
            Ok(Some(about)) => answer(StatusCode::OK, &about),
            Ok(None) => {
                let error =
                    OAuthError::new("invalid_token", "the access token is unknown, too old or revoked");
                let mut refused = error.answer(StatusCode::UNAUTHORIZED);
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                refused.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                refused
            }
            Err(error) => {
                server::tell!(error, self.told, "store", "a site's question cannot be answered: {error}");
                BUSY.answer(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    async fn about_bearer(&self, text: &str) -> Result<Option<Value>, StoreError> {
        let Some(token) = Token::parse(text) else { return Ok(None) };
        let Some(access) = self.access.look(&token).await? else { return Ok(None) };
        // A site that was taken out of the file asks no more.
        let Some(site) = self.sites.get(&access.site) else { return Ok(None) };
        if !self.accounts.lives(&access.who).await? {
            return Ok(None);
        }
        let Some(sub) = site.sub(&access.who) else { return Ok(None) };
        let mut about = claims::about(&access.who, &site, &access.scope, self.app_id_of(&access.who));
        about.insert("sub".to_owned(), json!(sub));
        Ok(Some(Value::Object(about)))
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn invalid(description: &'static str) -> Response {
    let mut refused = OAuthError::invalid_request(description).answer(StatusCode::BAD_REQUEST);
    let challenge = HeaderValue::from_static("Bearer error=\"invalid_request\"");
    refused.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    refused
}
