//! The discovery document (OpenID Connect Discovery 1.0, section 3; RFC 8414). Every default is written out, because
//! some of them say what this provider does not do. It has no members of our own.

use serde_json::{Value, json};

use crate::provider::Provider;
use crate::provider::claims::ACRS;

impl Provider {
    pub(super) fn discovery(&self) -> Value {
        let issuer = &self.addresses.issuer;
        let back_ends = &self.addresses.back_ends;
        let sites = self.sites.all();
        let has_email = sites.iter().any(|site| site.email_domain.is_some());
        let mut scopes = vec!["openid", "profile"];
        let mut claims = vec![
            "sub",
            "iss",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "amr",
            "acr",
            "sid",
            "at_hash",
            "name",
            "nickname",
            "preferred_username",
            "picture",
            "unionid",
        ];
        if has_email {
            scopes.push("email");
            claims.push("email");
        }
        if sites.iter().any(|site| site.email_verified.is_some()) {
            claims.push("email_verified");
        }
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{back_ends}/token"),
            "userinfo_endpoint": format!("{back_ends}/userinfo"),
            "jwks_uri": format!("{back_ends}/jwks.json"),
            "end_session_endpoint": format!("{issuer}/logout"),
            "scopes_supported": scopes,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "code_challenge_methods_supported": ["S256"],
            "claims_supported": claims,
            "claims_parameter_supported": false,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
            "authorization_response_iss_parameter_supported": true,
            "backchannel_logout_supported": true,
            "backchannel_logout_session_supported": true,
            "ui_locales_supported": ["zh-CN", "en"],
            "prompt_values_supported": ["none", "login"],
            "acr_values_supported": ACRS,
        })
    }
}
