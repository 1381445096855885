//! One key: it signs, shows its public half, and checks what it has signed. RS256, which every client knows (OpenID
//! Connect Core, section 15.1).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use data_encoding::BASE64;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::file::Stored;
use super::{KeySet, Keys};

/// How long sites may keep the public keys. A key is shown for longer than this before it signs.
pub(in crate::provider) const JWKS_MAX_AGE: Duration = Duration::from_secs(15 * 60);

/// Bytes of PKCS#8 before the PKCS#1 key that it wraps: for RSA of 2,048 bits they are always these many.
const PKCS8_HEADER: usize = 26;

/// Signatures at once, of a millisecond each. More would take threads from whoever reads files.
const MOST_SIGNING: usize = 8;

static SIGNING: Semaphore = Semaphore::const_new(MOST_SIGNING);

/// A token cannot be signed, which takes a broken key.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a token cannot be signed: {0}")]
pub(in crate::provider) struct SignError(String);

/// The name of a key: the thumbprint of RFC 7638.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct Kid(String);

impl Kid {
    pub(in crate::provider) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key pair. Its private half does not print.
#[derive(Clone)]
pub(super) struct Key {
    kid: Kid,
    private: Arc<EncodingKey>,
    public: Arc<DecodingKey>,
    jwk: Value,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.kid.0).finish()
    }
}

/// A new private key, as PKCS#8.
pub(super) fn generate() -> Result<String, String> {
    let failed = |_| "a key cannot be made".to_owned();
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    Ok(BASE64.encode(der.as_ref()))
}

impl Key {
    /// # Errors
    /// When it is no RSA key of 2,048 bits.
    pub(super) fn read(stored: &Stored) -> Result<Self, String> {
        let wrong = || "a key in it is no RSA key of 2048 bits in PKCS#8".to_owned();
        let der = BASE64.decode(stored.pkcs8.as_bytes()).map_err(|_| wrong())?;
        // It also checks the key, which the other library does not.
        let pair = KeyPair::from_pkcs8(&der).map_err(|_| wrong())?;
        if pair.public_modulus_len() != 256 {
            return Err(wrong());
        }
        let private = EncodingKey::from_rsa_der(der.get(PKCS8_HEADER..).ok_or_else(wrong)?);
        let mut jwk = Jwk::from_encoding_key(&private, Algorithm::RS256).map_err(|_| wrong())?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| wrong())?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let public = DecodingKey::from_jwk(&jwk).map_err(|_| wrong())?;
        let jwk = serde_json::to_value(&jwk).map_err(|_| wrong())?;
        Ok(Self { kid: Kid(kid), private: Arc::new(private), public: Arc::new(public), jwk })
    }

    pub(super) fn kid(&self) -> &Kid {
        &self.kid
    }

    fn sign(&self, kind: &str, claims: &impl Serialize) -> Result<String, SignError> {
        let header = Header {
            typ: Some(kind.to_owned()),
            kid: Some(self.kid.0.clone()),
            ..Header::new(Algorithm::RS256)
        };
        encode(&header, claims, &self.private).map_err(|error| SignError(error.to_string()))
    }
}

impl KeySet {
    fn jwks(&self) -> Value {
        json!({ "keys": self.all().map(|key| &key.jwk).collect::<Vec<_>>() })
    }
}

impl Keys {
    /// The public keys (RFC 7517), also the next one.
    pub(in crate::provider) fn jwks(&self) -> Value {
        self.set().jwks()
    }

    /// Signs claims as a token of a `kind`, which is its `typ`, with the present key; on a thread for such work.
    pub(in crate::provider) async fn sign(
        &self,
        kind: &'static str,
        claims: Map<String, Value>,
    ) -> Result<String, SignError> {
        let _place = SIGNING.acquire().await;
        let keys = self.set();
        let signed = spawn_blocking(move || keys.current.sign(kind, &claims)).await;
        signed.unwrap_or_else(|error| Err(SignError(error.to_string())))
    }

    /// The claims of a token that one of these keys has signed for `issuer`, however old it is. The token has no say in
    /// how it is checked: the key is looked up by its name, and the algorithm is ours.
    pub(in crate::provider) fn check(&self, token: &str, issuer: &str) -> Option<Map<String, Value>> {
        let kid = decode_header(token).ok()?.kid?;
        let keys = self.set();
        let key = keys.all().find(|key| key.kid.0 == kid)?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["iss", "sub", "aud"]);
        decode::<Map<String, Value>>(token, &key.public, &validation).ok().map(|token| token.claims)
    }
}
