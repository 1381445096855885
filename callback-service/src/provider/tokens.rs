//! What the signed tokens say: the ID token (OpenID Connect Core, section 2) and the logout token (Back-Channel Logout,
//! section 2.4).

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};

use super::claims::{self, AMR};
use super::identity::Identity;
use super::sites::Site;
use super::token::{Token, sha256_bytes};
use super::{ID_TOKEN_LIFE, Provider};

/// How long a logout token is good; it is made when it is sent.
const LOGOUT_LIFE: u64 = 120;

/// The event that a logout token tells of.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What goes into an ID token.
pub(super) struct ForIdToken<'a> {
    pub site: &'a Site,
    pub who: &'a Identity,
    pub sub: &'a str,
    pub scope: &'a str,
    pub nonce: Option<&'a str>,
    pub access_token: &'a str,
}

/// The half of a hash that stands for an access token in an ID token (Core, section 3.1.3.6).
fn at_hash(access_token: &str) -> String {
    let hash = sha256_bytes(access_token.as_bytes());
    BASE64URL_NOPAD.encode(&hash[..hash.len() / 2])
}

impl Provider {
    /// The claims of an ID token that is made now, in seconds since 1970.
    pub(super) fn id_token(&self, of: &ForIdToken<'_>, now: u64) -> Map<String, Value> {
        let ForIdToken { site, who, sub, scope, nonce, access_token } = *of;
        let mut claims = match site.id_token_claims {
            true => claims::about(who, site, scope, self.app_id_of(who)),
            false => Map::new(),
        };
        let own = json!({
            "iss": self.addresses.issuer,
            "sub": sub,
            "aud": site.id,
            "exp": now + ID_TOKEN_LIFE.as_secs(),
            "iat": now,
            "auth_time": who.auth_time(),
            "acr": claims::acr(who),
            "amr": [AMR],
            "sid": who.sid,
            "at_hash": at_hash(access_token),
        });
        if let Value::Object(own) = own {
            claims.extend(own);
        }
        if let Some(nonce) = nonce {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        claims
    }

    /// The claims of a logout token that is made now.
    pub(super) fn logout_token(&self, site: &str, sub: &str, sid: &str, now: u64) -> Map<String, Value> {
        let claims = json!({
            "iss": self.addresses.issuer,
            "sub": sub,
            "aud": site,
            "iat": now,
            "exp": now + LOGOUT_LIFE,
            "jti": Token::random().reveal(),
            "sid": sid,
            "events": { LOGOUT_EVENT: {} },
        });
        match claims {
            Value::Object(claims) => claims,
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of OpenID Connect Core, appendix A.3.
    #[test]
    fn an_access_token_is_named_by_half_of_its_hash() {
        assert_eq!(at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
