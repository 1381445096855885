//! Which site asks at the token endpoint, and whether it is that site (RFC 6749, section 2.3): by `client_secret_basic`,
//! by `client_secret_post`, or, for a public site, by its name alone, with PKCE.

use data_encoding::BASE64;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use percent_encoding::percent_decode_str;
use server::http::Response;

use super::oauth_error::OAuthError;
use super::parameters::Parameters;
use crate::provider::sites::{Site, Sites};

/// Why a site is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotBelieved {
    pub error: OAuthError,
    pub status: StatusCode,
    /// Whether it tried by the header, and is told so there (RFC 6749, section 5.2).
    by_header: bool,
    /// The site whose secret was wrong, for the log.
    pub site: Option<String>,
}

impl NotBelieved {
    fn request(description: &'static str) -> Self {
        let error = OAuthError::invalid_request(description);
        Self { error, status: StatusCode::BAD_REQUEST, by_header: false, site: None }
    }

    fn client(description: &'static str, by_header: bool) -> Self {
        let error = OAuthError::new("invalid_client", description);
        Self { error, status: StatusCode::UNAUTHORIZED, by_header, site: None }
    }

    pub(super) fn answer(self) -> Response {
        let mut answer = self.error.answer(self.status);
        if self.by_header {
            let basic = HeaderValue::from_static("Basic realm=\"token\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, basic);
        }
        answer
    }
}

/// The site that asks.
///
/// # Errors
/// Why it is not believed.
pub(super) fn authenticate(
    headers: &HeaderMap,
    parameters: &Parameters,
    sites: &Sites,
) -> Result<Site, NotBelieved> {
    let in_body = parameters.get("client_secret");
    let mut lines = headers.get_all(AUTHORIZATION).into_iter();
    let (header, more) = (lines.next(), lines.next());
    if more.is_some() || (header.is_some() && in_body.is_some()) {
        return Err(NotBelieved::request("the client authenticates in two ways at once"));
    }
    let wrong = |id: &str, by_header| NotBelieved {
        site: sites.get(id).map(|site| site.id),
        ..NotBelieved::client("the client is unknown or its secret is wrong", by_header)
    };
    if let Some(header) = header {
        let (id, secret) = header.to_str().ok().and_then(basic).ok_or_else(|| {
            NotBelieved::client("the Authorization header is not of the Basic scheme", true)
        })?;
        if parameters.get("client_id").is_some_and(|named| named != id) {
            return Err(NotBelieved::request("client_id is not the client that authenticates"));
        }
        let site = sites.get(&id).filter(|site| !site.is_public() && site.has_secret(&secret));
        return site.ok_or_else(|| wrong(&id, true));
    }
    let id = parameters.get("client_id").ok_or_else(|| {
        NotBelieved::client(
            "the client does not authenticate: use Basic, or client_id and client_secret",
            false,
        )
    })?;
    let site = sites.get(id).ok_or_else(|| wrong(id, false))?;
    match in_body {
        Some(secret) if !site.is_public() && site.has_secret(secret) => Ok(site),
        None if site.is_public() => Ok(site),
        _ => Err(wrong(id, false)),
    }
}

/// Name and secret of a Basic header. Both are encoded as in a form (RFC 6749, section 2.3.1); those that are made here
/// are the same without it.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64.decode(credentials.trim().as_bytes()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(Into::into);
    Some((decoded(id)?, decoded(secret)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// printf one | sha256sum
    const ONE: &str = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";

    fn sites() -> Sites {
        let text = format!(
            "[[site]]\nid = \"shop\"\nname = \"s\"\nsecret_sha256 = \"{ONE}\"\nredirect_uris = [\"https://s.example/\"]\n\
             [[site]]\nid = \"app\"\nname = \"a\"\npublic = true\nredirect_uris = [\"https://a.example/\"]\n"
        );
        Sites::new(
            "sites.toml".into(),
            crate::account::names::Directory::one("wx1"),
            crate::provider::sites::file::parse(&text).unwrap(),
        )
    }

    fn of(header: Option<&str>, body: &str) -> Result<String, (&'static str, u16)> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            let encoded =
                header.strip_prefix("Basic ").map(|text| format!("Basic {}", BASE64.encode(text.as_bytes())));
            headers.insert(AUTHORIZATION, encoded.unwrap_or_else(|| header.to_owned()).parse().unwrap());
        }
        authenticate(&headers, &Parameters::of_query(body), &sites())
            .map(|site| site.id)
            .map_err(|refused| (refused.error.code, refused.status.as_u16()))
    }

    #[test]
    fn a_site_shows_its_secret_in_one_way() {
        for (header, body) in [
            (Some("Basic shop:one"), ""),
            (Some("Basic sh%6fp:on%65"), ""),
            (Some("Basic shop:one"), "client_id=shop"),
            (None, "client_id=shop&client_secret=one"),
        ] {
            assert_eq!(of(header, body), Ok("shop".to_owned()), "{header:?} {body}");
        }
        assert_eq!(of(None, "client_id=app"), Ok("app".to_owned()));
    }

    #[test]
    fn nobody_is_believed_who_shows_anything_else() {
        for (header, body, expected) in [
            (Some("Basic shop:two"), "", ("invalid_client", 401)),
            (Some("Basic shop:"), "", ("invalid_client", 401)),
            (Some("Basic other:one"), "", ("invalid_client", 401)),
            (Some("Basic shop"), "", ("invalid_client", 401)),
            (Some("Bearer x"), "", ("invalid_client", 401)),
            (Some("Basic app:"), "", ("invalid_client", 401)),
            (Some("Basic shop:one"), "client_secret=one", ("invalid_request", 400)),
            (Some("Basic shop:one"), "client_id=app", ("invalid_request", 400)),
            (None, "", ("invalid_client", 401)),
            (None, "client_id=shop", ("invalid_client", 401)),
            (None, "client_id=shop&client_secret=two", ("invalid_client", 401)),
            (None, "client_id=app&client_secret=one", ("invalid_client", 401)),
            (None, "client_id=other&client_secret=one", ("invalid_client", 401)),
        ] {
            assert_eq!(of(header, body), Err(expected), "{header:?} {body}");
        }
    }
}
