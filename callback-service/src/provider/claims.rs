//! What a site is told of a person: OpenID Connect Core, section 5.1, made of the little that WeChat gives.
//!
//! WeChat has given no nicknames with a scan since 2021. But many clients refuse a user without a name, and some lower
//! user names' case, where an openid's case matters. So the names here are made of a hash of appid and openid: stable,
//! lower-case, and the same whichever site asks. The hash has no secret of ours in it: a key that is lost would give
//! everybody another name.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use serde_json::{Map, Value, json};

use super::identity::Identity;
use super::sites::{Site, Subject};

/// Characters of a user name behind its prefix: 60 bits, so that a million people have different ones but for a chance
/// of one in two million.
const NAME_LENGTH: usize = 12;

/// Characters behind a made-up display name.
const SHORT_LENGTH: usize = 4;

/// The scopes that give something, in the standard's order.
pub(super) const SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// How a person has shown who they are (`acr`): by a scan.
const SCANNED: &str = "urn:saoma:scan";

/// By a scan, and by typing the number that the page showed into the chat.
const CONFIRMED: &str = "urn:saoma:scan-confirmed";

/// Both, the stronger one first.
pub(super) const ACRS: [&str; 2] = [CONFIRMED, SCANNED];

/// How this person has shown who they are.
pub(super) fn acr(who: &Identity) -> &'static str {
    if who.confirmed { CONFIRMED } else { SCANNED }
}

/// Whether `acr_values` asks for a confirmed login. They are in order of preference (Core, section 3.1.2.1), and the
/// first that is known here counts.
pub(super) fn wants_confirmation(acr_values: &str) -> bool {
    acr_values.split_ascii_whitespace().find(|value| ACRS.contains(value)) == Some(CONFIRMED)
}

/// By what (`amr`): a phone that is logged in to WeChat has scanned.
pub(super) const AMR: &str = "wechat";

/// In place of an appid, for names that are made of a unionid.
const UNIONID: &str = "unionid";

/// The stable name of a person at a site.
fn name_at(who: &Identity, site: &Site, app_id: &str) -> String {
    match (site.subject, &who.unionid) {
        (Subject::Unionid, Some(unionid)) => hashed(UNIONID, unionid),
        _ => hashed(app_id, &who.openid),
    }
}

/// A stable name that is no openid: letters a-z and digits 2-7.
fn hashed(key: &str, name: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let tag = hmac::sign(&key, name.as_bytes());
    BASE32_NOPAD.encode(tag.as_ref()).to_ascii_lowercase().chars().take(NAME_LENGTH).collect()
}

/// Whether `scope` asks for `one`.
pub(super) fn has_scope(scope: &str, one: &str) -> bool {
    scope.split(' ').any(|scope| scope == one)
}

/// The scopes that are known here, of those that were asked for. Unknown ones are ignored (Core, section 3.1.2.1).
fn known_scopes(asked: &str) -> String {
    SCOPES.into_iter().filter(|scope| has_scope(asked, scope)).collect::<Vec<_>>().join(" ")
}

/// The scopes that were asked for, or that give what the `claims` parameter asks for by name (Core, section 5.5). What cannot
/// be understood there is ignored: some clients always send it.
pub(super) fn scopes_asked(scope: &str, claims: Option<&str>) -> String {
    let claims: Value = claims.and_then(|claims| serde_json::from_str(claims).ok()).unwrap_or_default();
    let asks_for = |names: &[&str]| {
        let members = ["userinfo", "id_token"].into_iter().filter_map(|member| claims.get(member));
        members.into_iter().any(|member| names.iter().any(|name| member.get(name).is_some()))
    };
    let mut asked = scope.to_owned();
    if asks_for(&["name", "nickname", "preferred_username", "picture", "unionid"]) {
        asked.push_str(" profile");
    }
    if asks_for(&["email", "email_verified"]) {
        asked.push_str(" email");
    }
    known_scopes(&asked)
}

/// The claims about a person beside `sub`, by what `scope` asks for and the site may have. `app_id` is the official account's
/// that knows the person by this openid.
pub(super) fn about(who: &Identity, site: &Site, scope: &str, app_id: &str) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut claim = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
    let hashed = name_at(who, site, app_id);
    if has_scope(scope, "profile") {
        let short = hashed.get(..SHORT_LENGTH).unwrap_or_default().to_ascii_uppercase();
        let name = who.nickname.clone().unwrap_or_else(|| format!("微信用户 {short}"));
        claim("name", json!(name));
        claim("nickname", json!(name));
        claim("preferred_username", json!(format!("wx_{hashed}")));
        if let Some(picture) = &who.picture {
            claim("picture", json!(picture));
        }
        if let Some(unionid) = &who.unionid {
            claim("unionid", json!(unionid));
        }
    }
    if let (true, Some(domain)) = (has_scope(scope, "email"), &site.email_domain) {
        claim("email", json!(format!("{hashed}@{domain}")));
        if let Some(is_verified) = site.email_verified {
            claim("email_verified", json!(is_verified));
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use records::Moment;

    use super::*;

    fn who(openid: &str, nickname: Option<&str>) -> Identity {
        let nickname = nickname.map(str::to_owned);
        Identity {
            openid: openid.into(),
            account: None,
            unionid: None,
            nickname,
            picture: None,
            at: Moment(0),
            sid: "s".into(),
            confirmed: false,
            login: None,
        }
    }

    #[test]
    fn everybody_has_a_stable_name_of_their_own() {
        let site = Site::example("shop");
        let of = |openid: &str| about(&who(openid, None), &site, "openid profile email", "wx1");
        let (one, same, other) = (of("oAbC"), of("oAbC"), of("oabc"));
        assert_eq!(one, same);
        assert_ne!(one["preferred_username"], other["preferred_username"], "an openid's case matters");
        let name = one["preferred_username"].as_str().unwrap_or_default();
        assert!(name.len() == 15 && name.starts_with("wx_"), "{name}");
        assert!(name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_'), "{name}");
        let shown = one["name"].as_str().unwrap_or_default();
        assert!(shown.starts_with("微信用户 ") && shown.chars().count() == 9, "{shown}");
        assert_eq!(about(&who("o", Some("阿狸")), &site, "profile", "wx1")["name"], "阿狸");
        assert!(!one.contains_key("email") && !one.contains_key("unionid"), "{one:?}");
    }

    #[test]
    fn where_the_unionid_is_the_name_it_is_one_name_by_whichever_account() {
        let mut site = Site::example("shop");
        site.subject = Subject::Unionid;
        let of = |openid: &str, app_id: &str| {
            let who = Identity { unionid: Some("uAbC".to_owned()), ..who(openid, None) };
            about(&who, &site, "profile", app_id)
        };
        assert_eq!(of("o1", "wx1"), of("o2", "wx2"));
        assert_ne!(
            of("o1", "wx1")["preferred_username"],
            about(&who("o1", None), &site, "profile", "wx1")["preferred_username"]
        );
    }

    /// printf oAbC | openssl dgst -sha256 -hmac wx1 -binary | base32 | tr A-Z a-z | cut -c-12
    #[test]
    fn a_name_never_changes() {
        assert_eq!(hashed("wx1", "oAbC"), "6gjkefw2jll5");
    }

    #[test]
    fn an_address_is_given_only_where_the_operator_owns_a_domain() {
        let mut site = Site::example("shop");
        site.email_domain = Some("wx.example.cn".to_owned());
        let claims = about(&who("oAbC", None), &site, "openid email", "wx1");
        let email = claims["email"].as_str().unwrap_or_default();
        assert!(email.ends_with("@wx.example.cn") && email == email.to_lowercase(), "{email}");
        assert!(!claims.contains_key("email_verified") && !claims.contains_key("name"));
        site.email_verified = Some(false);
        assert_eq!(about(&who("o", None), &site, "email", "wx1")["email_verified"], false);
        assert!(about(&who("o", None), &site, "openid", "wx1").is_empty());
    }

    #[test]
    fn unknown_scopes_are_ignored() {
        assert_eq!(known_scopes("groups email openid offline_access"), "openid email");
        assert_eq!(known_scopes("snsapi_login"), "");
        for (claims, scopes) in [
            (r#"{"userinfo":{"name":{"essential":true}}}"#, "openid profile"),
            (r#"{"id_token":{"email":null,"auth_time":null}}"#, "openid email"),
            (r#"{"userinfo":{"groups":null}}"#, "openid"),
            (r#"{"userinfo":["name"]}"#, "openid"),
            ("name", "openid"),
        ] {
            assert_eq!(scopes_asked("openid", Some(claims)), scopes, "{claims}");
        }
        assert_eq!(scopes_asked("openid email", None), "openid email");
    }
}
