//! What strangers, broken clients and thieves send. Each is refused as the standards say, is told so without an echo, and
//! nobody else notices.

mod redemptions;
mod requests;
mod sites;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};

/// What would run in a page that forgot to escape it.
const SCRIPT: &str = "\"'><script>alert(1)</script>";

/// The same claims, signed with RS256 by a key that is not the provider's, and named as the provider's own is.
fn signed_by_another_key(token: &str, claims: &Value) -> String {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    // What is inside of PKCS#8 is what jsonwebtoken wants.
    let key = EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]);
    let kid = jsonwebtoken::decode_header(token).unwrap().kid;
    encode(&Header { kid, ..Header::new(Algorithm::RS256) }, claims, &key).unwrap()
}

/// Tokens that look like the provider's own and are not.
fn forged_hints(token: &str, claims: &Value, secret: &str) -> Vec<(&'static str, String)> {
    let swapped = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        signed_by_another_key(token, &claims)
    };
    let by_secret = EncodingKey::from_secret(secret.as_bytes());
    let mut parts: Vec<_> = token.split('.').collect();
    let altered = encode(&Header::new(Algorithm::HS256), &json!({"sub": "another"}), &by_secret).unwrap();
    let other_claims = altered.split('.').nth(1).unwrap().to_owned();
    parts[1] = &other_claims;
    vec![
        ("without a signature", crate::logout::unsigned(token)),
        ("signed by another key", signed_by_another_key(token, claims)),
        (
            "signed with the site's secret",
            encode(&Header::new(Algorithm::HS256), claims, &by_secret).unwrap(),
        ),
        ("of another issuer", swapped("iss", "https://elsewhere.example".into())),
        ("with other claims under the same signature", parts.join(".")),
        ("cut", token[..token.len() - 4].to_owned()),
        ("no token", "a.b.c".to_owned()),
    ]
}
