//! What the keys promise.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use serde_json::{Map, Value, json};

use super::rotation::{When, rotate};
use super::*;

const ISSUER: &str = "https://id.example";

fn claims(issuer: &str) -> Map<String, Value> {
    let claims = json!({ "iss": issuer, "sub": "o", "aud": "shop", "exp": 1, "iat": 1 });
    claims.as_object().unwrap().clone()
}

/// Makes the next key as old as if it had been shown for hours.
fn shown_long_ago(path: &Path) {
    let mut file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    file["next"]["made_at"] = json!(now() - 4 * 3600);
    fs::write(path, file.to_string()).unwrap();
}

fn kids(keys: &Keys) -> Vec<String> {
    let jwks = keys.jwks();
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn keys_are_made_kept_for_their_owner_and_move_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callback.keys.json");
    let keys = Keys::open(Source::Own(path.clone())).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let token = keys.sign("JWT", claims(ISSUER)).await.unwrap();
    assert_eq!(keys.check(&token, ISSUER).unwrap()["sub"], "o", "also though it has expired");
    assert!(keys.check(&token, "https://other.example").is_none());

    let again = Keys::open(Source::Shared(path.clone())).unwrap();
    assert_eq!(kids(&again), kids(&keys), "the same file has the same keys");
    let before = kids(&keys);
    let problem = rotate(&path, When::Shown).unwrap_err();
    assert!(problem.contains("--at-once"), "{problem}");
    shown_long_ago(&path);
    rotate(&path, When::Shown).unwrap();
    keys.read_again().unwrap();
    let after = kids(&keys);
    assert_eq!((before.len(), after.len()), (2, 3));
    assert_eq!(
        (&after[0], &after[2]),
        (&before[1], &before[0]),
        "the next key signs, the other one still checks"
    );
    assert!(keys.check(&token, ISSUER).is_some());
    assert!(
        again.check(&keys.sign("JWT", claims(ISSUER)).await.unwrap(), ISSUER).is_some(),
        "it was shown before"
    );
    shown_long_ago(&path);
    rotate(&path, When::Shown).unwrap();
    keys.read_again().unwrap();
    assert!(keys.check(&token, ISSUER).is_none(), "two rotations later");
    let before = kids(&keys);
    rotate(&path, When::AtOnce).unwrap();
    keys.read_again().unwrap();
    assert!(kids(&keys).iter().all(|kid| !before.contains(kid)), "nothing of a file that has leaked is left");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Root renews the file of a service that runs as somebody else, who must still be able to read it.
#[test]
fn a_renewed_file_stays_its_owners() {
    use std::os::unix::fs::{MetadataExt, chown};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    rotate(&path, When::Shown).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    // Who is not root gives it to nobody.
    let given = chown(&path, Some(65_532), Some(65_532)).is_ok();
    let owner = || fs::metadata(&path).map(|file| (file.uid(), file.gid(), file.mode() & 0o777)).unwrap();
    let before = owner();
    assert!(!given || before == (65_532, 65_532, 0o640));
    rotate(&path, When::AtOnce).unwrap();
    assert_eq!(owner(), before);
}

#[tokio::test]
async fn keys_show_no_private_part_and_a_thumbprint_as_name() {
    let keys = Keys::open(Source::Memory).unwrap();
    let jwks = keys.jwks();
    for key in jwks["keys"].as_array().unwrap() {
        let mut members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
        assert_eq!((&key["alg"], &key["use"], &key["kty"]), (&json!("RS256"), &json!("sig"), &json!("RSA")));
        // RFC 7638, section 3: these members, in this order.
        let required = format!(r#"{{"e":{},"kty":{},"n":{}}}"#, key["e"], key["kty"], key["n"]);
        assert_eq!(key["kid"], json!(crate::provider::token::sha256(required.as_bytes())));
    }
    assert!(format!("{keys:?}").len() < 400, "{keys:?}");
}

#[tokio::test]
async fn no_token_chooses_how_it_is_checked() {
    let keys = Keys::open(Source::Memory).unwrap();
    let other = Keys::open(Source::Memory).unwrap();
    let token = keys.sign("JWT", claims(ISSUER)).await.unwrap();
    let (header, rest) = token.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    let encode = |value: Value| data_encoding::BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let kid = kids(&keys)[0].clone();
    let unsigned = encode(json!({ "alg": "none", "kid": kid }));
    let by_secret = encode(json!({ "alg": "HS256", "kid": kid }));
    for bad in [
        format!("{unsigned}.{payload}."),
        format!("{by_secret}.{rest}"),
        format!("{header}.{payload}."),
        format!(
            "{header}.{}.{}",
            encode(json!({ "iss": ISSUER, "sub": "x", "aud": "shop" })),
            &rest[payload.len() + 1..]
        ),
        other.sign("JWT", claims(ISSUER)).await.unwrap(),
        String::new(),
        "a.b.c".to_owned(),
    ] {
        assert!(keys.check(&bad, ISSUER).is_none(), "{bad}");
    }
}

#[test]
fn a_broken_file_is_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let problem = Keys::open(Source::Shared(path.clone())).unwrap_err().to_string();
    assert!(problem.contains("rotate-key makes one"), "{problem}");
    for wrong in [
        "{",
        "s3cret",
        r#"{"version":1,"next":{"made_at":1,"pkcs8":"s3cret"},"current":{"made_at":1,"pkcs8":""}}"#,
    ] {
        fs::write(&path, wrong).unwrap();
        let problem = Keys::open(Source::Shared(path.clone())).unwrap_err().to_string();
        assert!(problem.starts_with(SETTING) && !problem.contains("s3cret"), "{problem}");
    }
}
