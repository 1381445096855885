//! Our end of WeChat's pushes: an official account's secrets and mode, and the order of the checks.
//!
//! Every push and every verification of the address comes through here, and so does every answer. Token and key may
//! each have a predecessor that is accepted too ([`Which`]). A push remembers which of them it came with ([`Seal`]),
//! and its answer uses the same.

mod rehearsal;
mod unfit;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

pub use self::rehearsal::{REHEARSAL, Rehearsal};
pub use self::unfit::Unfit;
use super::cipher::AesKey;
use super::rotating::{Rotating, Which};
use super::settings::{Mode, Settings, SettingsError, checked_token};
use super::xml::{Fields, readable};
use super::{MAX_BODY, Push, Query, Refusal, Salt, reply, signature};

/// An official account, ready to tell its pushes from forgeries and to answer them.
#[derive(Debug)]
pub struct Endpoint {
    mode: Mode,
    app_id: String,
    component_app_id: Option<String>,
    tokens: Rotating<SecretString>,
    keys: Option<Rotating<AesKey>>,
    original_id: Option<String>,
    max_age: Option<Duration>,
}

impl Endpoint {
    /// Checks the settings.
    ///
    /// # Errors
    /// The first [`SettingsError`] found.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let Settings { mode, app_id, component_app_id, original_id, max_age, .. } = settings;
        if app_id.is_empty() {
            return Err(SettingsError::AppId);
        }
        let tokens = Rotating {
            current: checked_token(settings.token, "WECHAT_TOKEN")?,
            previous: settings
                .previous_token
                .map(|token| checked_token(token, "WECHAT_TOKEN_PREVIOUS"))
                .transpose()?,
        };
        let decode = |key: Option<SecretString>, name| {
            key.map(|key| AesKey::decode(&key).ok_or(SettingsError::AesKey(name))).transpose()
        };
        let previous = decode(settings.previous_aes_key, "WECHAT_AES_KEY_PREVIOUS")?;
        let keys = decode(settings.aes_key, "WECHAT_AES_KEY")?.map(|current| Rotating { current, previous });
        if mode != Mode::Plaintext && keys.is_none() {
            return Err(SettingsError::NoAesKey(mode));
        }
        Ok(Self { mode, app_id, component_app_id, tokens, keys, original_id, max_age })
    }

    /// The account's appid.
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    /// How this account's pushes travel.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How far a push's timestamp may be from now; `None` for any distance.
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// Checks the GET by which WeChat verifies our address, and gives what to echo. `now` is in Unix seconds.
    ///
    /// The echo must go out as plain text, byte for byte: whoever signed the request also wrote it.
    ///
    /// # Errors
    /// A [`Refusal`] of the first failed check.
    pub fn verify_url(&self, query: &Query, now: u64) -> Result<String, Refusal> {
        self.authenticate(query, now)?;
        query.echostr.clone().filter(|echo| !echo.is_empty()).ok_or(Refusal::NoEcho)
    }

    /// Checks what a push's query proves without its body: signature, freshness and mode. `now` is in Unix seconds.
    ///
    /// This check comes before the body is read, so that a stranger's body costs nothing. It gives which token signed.
    ///
    /// # Errors
    /// A [`Refusal`] of the first failed check.
    pub fn check_query(&self, query: &Query, now: u64) -> Result<Which, Refusal> {
        let token = self.authenticate(query, now)?;
        match (self.mode, query.encrypt_type.as_deref()) {
            (Mode::Plaintext, None | Some("" | "raw")) | (Mode::Safe | Mode::Compatible, Some("aes")) => {
                Ok(token)
            }
            (Mode::Plaintext, _) => Err(Refusal::Encrypted),
            (Mode::Safe | Mode::Compatible, _) => Err(Refusal::NotEncrypted),
        }
    }

    /// The latest timestamp, in Unix seconds, with which somebody could send this query's signature again, by dividing
    /// its parts at another place or by exchanging them. `None` unless the query is signed.
    pub fn latest_reading(&self, query: &Query) -> Option<u64> {
        let (timestamp, nonce) = signed_parts(query).ok()?;
        let mut tokens = self.tokens.iter().map(|(_, token)| token.expose_secret());
        let token =
            tokens.find(|token| signature::is_signed(query.signature(), [token, timestamp, nonce]))?;
        signature::latest_reading(token, timestamp, nonce)
    }

    /// Takes a pushed POST apart. `now` is in Unix seconds.
    ///
    /// Cheap and authenticating checks come first: size, signature, freshness, mode, envelope, `msg_signature`, and
    /// only then the cipher text and what is in it. In plaintext mode the signature is all that authenticates.
    ///
    /// # Errors
    /// A [`Refusal`] of the first failed check; it says whether the push was authentic.
    pub fn open(&self, query: &Query, body: &[u8], now: u64) -> Result<Push, Refusal> {
        if body.len() > MAX_BODY {
            return Err(Refusal::TooLarge);
        }
        let token = self.check_query(query, now)?;
        let push = match (self.mode, &self.keys) {
            (Mode::Plaintext, _) => Push::read(&Fields::parse(&readable(body))?, None)?,
            (Mode::Safe | Mode::Compatible, Some(keys)) => self.unseal(query, body, token, keys)?,
            (Mode::Safe | Mode::Compatible, None) => return Err(Refusal::NotEncrypted),
        };
        match &self.original_id {
            Some(ours) if *ours != push.to => Err(Refusal::Recipient),
            _ => Ok(push),
        }
    }

    /// The body that answers `push` with a reply's XML, sealed if the push was. `now` is in Unix seconds.
    ///
    /// An empty answer is not a reply: it goes out empty in every mode, and does not come through here.
    pub fn answer(&self, push: &Push, xml: &str, now: u64) -> String {
        match push.sealed {
            Some(seal) => self.seal(seal, xml, &Salt::fresh(now)),
            None => xml.to_owned(),
        }
    }

    /// Encrypts and signs a reply's XML. An account without a key has plaintext mode, and the XML stays as it is.
    pub fn seal(&self, seal: Seal, xml: &str, salt: &Salt) -> String {
        let Some(keys) = &self.keys else {
            return xml.to_owned();
        };
        let app_id = match &self.component_app_id {
            Some(platform) if seal.is_for_platform => platform,
            _ => &self.app_id,
        };
        let encrypt = keys.get(seal.key).seal(xml, app_id, salt.random);
        let token = self.tokens.get(seal.token).expose_secret();
        let signature = signature::sign([token, &salt.timestamp.to_string(), &salt.nonce, &encrypt]);
        reply::envelope(&encrypt, &signature, salt)
    }

    /// Checks signature and freshness, which GET and POST have in common. It gives which token signed.
    fn authenticate(&self, query: &Query, now: u64) -> Result<Which, Refusal> {
        let (timestamp, nonce) = signed_parts(query)?;
        let signed = |token: &SecretString| {
            signature::is_signed(query.signature(), [token.expose_secret(), timestamp, nonce])
        };
        let (which, _) = self.tokens.iter().find(|(_, token)| signed(token)).ok_or(Refusal::Signature)?;
        // The signed parts are joined without separators, so a digit can move from the nonce to the timestamp under
        // the same signature. Therefore the timestamp's length is fixed, also where its age does not matter.
        if timestamp.len() != 10 || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::Timestamp);
        }
        let timestamp: u64 = timestamp.parse().map_err(|_| Refusal::Timestamp)?;
        let seconds = now.abs_diff(timestamp);
        match self.max_age {
            Some(max_age) if seconds > max_age.as_secs() => {
                Err(Refusal::Stale { seconds, ahead: timestamp > now })
            }
            _ => Ok(which),
        }
    }

    /// Opens an encrypted push. Fields in the clear beside its `Encrypt` are not looked at.
    fn unseal(
        &self,
        query: &Query,
        body: &[u8],
        token: Which,
        keys: &Rotating<AesKey>,
    ) -> Result<Push, Refusal> {
        // In compatible mode the envelope also holds what a person typed.
        let body = readable(body);
        let unproved = |refusal| match refusal {
            Refusal::Xml(fault) => Refusal::Envelope(fault),
            _ => Refusal::Envelope("it has more than one Encrypt"),
        };
        let envelope = Fields::parse(&body).map_err(unproved)?;
        let encrypt = envelope.get("Encrypt").map_err(unproved)?.ok_or(Refusal::NotEncrypted)?;
        let (timestamp, nonce) = signed_parts(query)?;
        let given = query.msg_signature.as_deref().unwrap_or_default();
        let parts = [self.tokens.get(token).expose_secret(), timestamp, nonce, &encrypt];
        if !signature::is_signed(given, parts) {
            return Err(Refusal::MsgSignature);
        }
        let mut first_refusal = None;
        let platform = self.component_app_id.iter().map(|app_id| (app_id, true));
        let app_ids = || std::iter::once((&self.app_id, false)).chain(platform.clone());
        for (key, aes_key) in keys.iter() {
            for (app_id, is_for_platform) in app_ids() {
                match aes_key.open(&encrypt, app_id) {
                    Ok(message) => {
                        let message = readable(message.as_bytes());
                        let seal = Seal { token, key, is_for_platform };
                        return Push::read(&Fields::parse(&message)?, Some(seal));
                    }
                    Err(refusal) => _ = first_refusal.get_or_insert(refusal),
                }
            }
        }
        Err(first_refusal.unwrap_or(Refusal::Padding))
    }
}

/// The timestamp and nonce of a request. Without them nothing is signed.
fn signed_parts(query: &Query) -> Result<(&str, &str), Refusal> {
    match (query.timestamp.as_deref(), query.nonce.as_deref()) {
        (Some(timestamp), Some(nonce)) if !nonce.is_empty() => Ok((timestamp, nonce)),
        _ => Err(Refusal::Signature),
    }
}

/// What a push was signed and encrypted with. The default is the secrets in force, and the account itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seal {
    /// Which token.
    pub token: Which,
    /// Which key.
    pub key: Which,
    /// For the platform that manages the account, not for the account itself.
    pub is_for_platform: bool,
}

#[cfg(test)]
mod tests;
