//! The official account that pushes are believed from: its secrets, its mode, and the order of the checks.
//!
//! Token and key may each have a predecessor that is accepted too, because the settings here and at WeChat cannot be
//! changed in the same instant. A push remembers which of them it came with ([`Seal`]), and its answer uses the same.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::cipher::AesKey;
use super::settings::{Mode, Settings, SettingsError, checked_token};
use super::xml::{Fields, readable};
use super::{MAX_BODY, Push, Query, Refusal, Salt, reply, signature};

/// An official account, ready to tell its pushes from forgeries.
#[derive(Debug)]
pub struct Account {
    mode: Mode,
    app_id: String,
    component_app_id: Option<String>,
    tokens: Rotating<SecretString>,
    keys: Option<Rotating<AesKey>>,
    original_id: Option<String>,
    max_age: Option<Duration>,
}

impl Account {
    /// Checks the settings.
    ///
    /// # Errors
    /// The first [`SettingsError`] found.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let Settings { mode, app_id, original_id, max_age, .. } = settings;
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
        Ok(Self { mode, app_id, component_app_id: None, tokens, keys, original_id, max_age })
    }

    /// Believes what is encrypted for a third-party platform (第三方平台), too, which manages the account and stands
    /// between WeChat and here: such pushes name the platform's appid, and so must their answers.
    #[must_use]
    pub fn managed_by(self, component_app_id: Option<String>) -> Self {
        Self { component_app_id, ..self }
    }

    /// The account's appid.
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    /// How this account's pushes travel.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Checks the GET by which WeChat verifies our address, at `now` in Unix seconds, and gives back what to echo: as
    /// plain text, byte for byte, for whoever signed it wrote it, too.
    ///
    /// # Errors
    /// A [`Refusal`] of the first failed check.
    pub fn verify_url(&self, query: &Query, now: u64) -> Result<String, Refusal> {
        self.authenticate(query, now)?;
        query.echostr.clone().filter(|echo| !echo.is_empty()).ok_or(Refusal::NoEcho)
    }

    /// Checks what a pushed POST's query alone must prove, at `now` in Unix seconds: signature, freshness and mode.
    /// Whoever cannot prove it need not send a body. Gives back which token signed.
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

    /// The latest moment, in Unix seconds, that the signature of a query could be taken for having, whoever divides or
    /// exchanges its parts; `None` unless the query is signed.
    pub fn latest_reading(&self, query: &Query) -> Option<u64> {
        let (timestamp, nonce) = signed_parts(query).ok()?;
        let mut tokens = self.tokens.iter().map(|(_, token)| token.expose_secret());
        let token =
            tokens.find(|token| signature::is_signed(query.signature(), [token, timestamp, nonce]))?;
        signature::latest_reading(token, timestamp, nonce)
    }

    /// Takes a pushed POST apart, at `now` in Unix seconds.
    ///
    /// Cheap and authenticating checks come first: size, signature, freshness, mode, envelope, `msg_signature`, and only
    /// then the cipher text and what is in it. In plaintext mode the signature is all that authenticates.
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

    /// The body that answers `push` with a reply's XML, at `now` in Unix seconds: sealed if the push was.
    ///
    /// An empty answer is not a reply; it goes out empty in every mode.
    pub fn answer(&self, push: &Push, xml: &str, now: u64) -> String {
        match push.sealed {
            Some(seal) => self.seal(seal, xml, &Salt::fresh(now)),
            None => xml.to_owned(),
        }
    }

    /// Encrypts and signs a reply's XML. In plaintext mode there is nothing to seal with, and it stays as it is.
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

    /// Signature and freshness, which GET and POST have in common. Gives back which token signed.
    fn authenticate(&self, query: &Query, now: u64) -> Result<Which, Refusal> {
        let (timestamp, nonce) = signed_parts(query)?;
        let signed = |token: &SecretString| {
            signature::is_signed(query.signature(), [token.expose_secret(), timestamp, nonce])
        };
        let (which, _) = self.tokens.iter().find(|(_, token)| signed(token)).ok_or(Refusal::Signature)?;
        // Parts are joined without separators: a digit moved from the nonce to the timestamp keeps the signature, so
        // the timestamp's length has to be fixed, even where its age is of no interest.
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

    /// Opens an encrypted push; plain fields beside its `Encrypt` are not even looked at.
    fn unseal(
        &self,
        query: &Query,
        body: &[u8],
        token: Which,
        keys: &Rotating<AesKey>,
    ) -> Result<Push, Refusal> {
        // In compatible mode what a person typed is in the envelope, too.
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

/// The timestamp and nonce of a request, which must both be there to be signed.
fn signed_parts(query: &Query) -> Result<(&str, &str), Refusal> {
    match (query.timestamp.as_deref(), query.nonce.as_deref()) {
        (Some(timestamp), Some(nonce)) if !nonce.is_empty() => Ok((timestamp, nonce)),
        _ => Err(Refusal::Signature),
    }
}

/// What a push was signed and encrypted with. The default is what is current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seal {
    /// Which token.
    pub token: Which,
    /// Which key.
    pub key: Which,
    /// For the platform that manages the account, and not for the account itself.
    pub is_for_platform: bool,
}

/// One of the two that are accepted while a secret is being changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// The one in force.
    #[default]
    Current,
    /// The one before it.
    Previous,
}

/// A secret and the one before it.
#[derive(Debug)]
struct Rotating<T> {
    current: T,
    previous: Option<T>,
}

impl<T> Rotating<T> {
    fn iter(&self) -> impl Iterator<Item = (Which, &T)> {
        let previous = self.previous.iter().map(|secret| (Which::Previous, secret));
        std::iter::once((Which::Current, &self.current)).chain(previous)
    }

    fn get(&self, which: Which) -> &T {
        match which {
            Which::Current => &self.current,
            Which::Previous => self.previous.as_ref().unwrap_or(&self.current),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::push::Kind;

    const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
    const OLD_KEY: &str = "LNI5FNkUtoLdrKI0WPiOLOy6invc41A9huSmO4x49Ni";
    const NOW: u64 = 1_770_000_000;

    fn settings(mode: Mode) -> Settings {
        Settings {
            mode,
            app_id: "wx1".to_owned(),
            token: "tokenA".into(),
            previous_token: Some("tokenB".into()),
            aes_key: Some(KEY.into()),
            previous_aes_key: Some(OLD_KEY.into()),
            original_id: Some("gh_1".to_owned()),
            max_age: Some(Duration::from_secs(300)),
        }
    }

    fn account(mode: Mode) -> Account {
        Account::new(settings(mode)).unwrap()
    }

    fn message(from: &str) -> String {
        format!(
            "<xml><ToUserName>gh_1</ToUserName><FromUserName>{from}</FromUserName><CreateTime>7</CreateTime>\
             <MsgType>event</MsgType><Event>SCAN</Event><EventKey>k</EventKey></xml>"
        )
    }

    /// A query as WeChat signs it with the given token, for the given cipher text.
    fn query(token: &str, timestamp: u64, encrypt: Option<&str>) -> Query {
        let timestamp = timestamp.to_string();
        let signed = signature::sign([token, &timestamp, "12"]);
        let sealed = encrypt.map(|text| signature::sign([token, &timestamp, "12", text]));
        Query {
            signature: Some(signed),
            nonce: Some("12".to_owned()),
            echostr: None,
            encrypt_type: sealed.as_ref().map(|_| "aes".to_owned()),
            msg_signature: sealed,
            timestamp: Some(timestamp),
        }
    }

    fn encrypt(key: &str, message: &str) -> String {
        AesKey::decode(&key.into()).unwrap().seal(message, "wx1", [3; 16])
    }

    #[test]
    fn a_copy_in_the_clear_is_never_looked_at() {
        let sealed = encrypt(KEY, &message("real"));
        let forged = message("forged").replace("</xml>", &format!("<Encrypt>{sealed}</Encrypt></xml>"));
        for mode in [Mode::Safe, Mode::Compatible] {
            let push =
                account(mode).open(&query("tokenA", NOW, Some(&sealed)), forged.as_bytes(), NOW).unwrap();
            assert_eq!(push.from, "real");
        }
    }

    #[test]
    fn what_people_type_never_makes_an_error_of_an_authentic_push() {
        let text = |content: &str| {
            let content = format!("<Content>{content}</Content><MsgId>1</MsgId></xml>");
            message("o").replace("event", "text").replace("</xml>", &content)
        };
        for typed in ["<![CDATA[a\u{2}\u{8}\0b]]>", "&#x2;&#0;&#xFFFE;", "<![CDATA[\u{FFFF}]]>"] {
            let body = text(typed);
            let plain = account(Mode::Plaintext).open(&query("tokenA", NOW, None), body.as_bytes(), NOW);
            assert!(matches!(plain.unwrap().kind, Kind::Message { .. }), "{typed:?}");
            let sealed = encrypt(KEY, &body);
            // The clear copy of compatible mode is in the envelope.
            let with_a_copy = body.replace("</xml>", &format!("<Encrypt>{sealed}</Encrypt></xml>"));
            let sealed_alone = format!("<xml><Encrypt>{sealed}</Encrypt></xml>");
            for (mode, body) in [(Mode::Safe, sealed_alone), (Mode::Compatible, with_a_copy)] {
                let push = account(mode).open(&query("tokenA", NOW, Some(&sealed)), body.as_bytes(), NOW);
                assert!(matches!(push.unwrap().kind, Kind::Message { .. }), "{mode} {typed:?}");
            }
        }
        let injected = "<![CDATA[]]></Content><FromUserName>victim</FromUserName><Content>";
        for (unreadable, stage) in [(text(injected), "fields"), (text("<b>"), "xml"), (text("&"), "xml")] {
            let sealed = encrypt(KEY, &unreadable);
            let body = format!("<xml><Encrypt>{sealed}</Encrypt></xml>");
            for (mode, query, body) in [
                (Mode::Plaintext, query("tokenA", NOW, None), &unreadable),
                (Mode::Safe, query("tokenA", NOW, Some(&sealed)), &body),
            ] {
                let refusal = account(mode).open(&query, body.as_bytes(), NOW).unwrap_err();
                assert!(refusal.is_authentic() && refusal.stage() == stage, "{mode}: {refusal}");
            }
        }
    }

    #[test]
    fn an_envelope_that_nobody_has_signed_stays_refused() {
        let sealed = encrypt(KEY, &message("o"));
        let one = format!("<Encrypt>{sealed}</Encrypt>");
        for body in [String::new(), "{}".to_owned(), format!("<xml>{one}"), format!("<xml>{one}{one}</xml>")]
        {
            let refusal =
                account(Mode::Safe).open(&query("tokenA", NOW, Some(&sealed)), body.as_bytes(), NOW);
            let refusal = refusal.unwrap_err();
            assert_eq!((refusal.status(), refusal.stage()), (400, "xml"), "{body}: {refusal}");
        }
    }

    #[test]
    fn a_half_encrypted_push_is_refused_as_not_encrypted() {
        let sealed = encrypt(KEY, &message("o"));
        let with_cipher = format!("<xml><Encrypt>{sealed}</Encrypt></xml>");
        let says_aes = query("tokenA", NOW, Some(&sealed));
        let says_nothing = query("tokenA", NOW, None);
        let says_raw = Query { encrypt_type: Some("raw".to_owned()), ..says_aes.clone() };
        for mode in [Mode::Safe, Mode::Compatible] {
            for (query, body) in [
                (&says_aes, &message("o")),
                (&says_nothing, &with_cipher),
                (&says_raw, &with_cipher),
                (&says_nothing, &message("o")),
            ] {
                assert_eq!(
                    account(mode).open(query, body.as_bytes(), NOW),
                    Err(Refusal::NotEncrypted),
                    "{mode}"
                );
            }
        }
    }

    #[test]
    fn plaintext_mode_takes_no_encrypted_push() {
        let refused =
            account(Mode::Plaintext).open(&query("tokenA", NOW, Some("x")), message("o").as_bytes(), NOW);
        assert_eq!(refused, Err(Refusal::Encrypted));
    }

    #[test]
    fn the_previous_secrets_work_and_the_answer_uses_them() {
        let account = account(Mode::Safe);
        for (token, key, which_token, which_key) in [
            ("tokenA", KEY, Which::Current, Which::Current),
            ("tokenB", KEY, Which::Previous, Which::Current),
            ("tokenA", OLD_KEY, Which::Current, Which::Previous),
            ("tokenB", OLD_KEY, Which::Previous, Which::Previous),
        ] {
            let sealed = encrypt(key, &message("o"));
            let body = format!("<xml><Encrypt>{sealed}</Encrypt></xml>");
            let push = account.open(&query(token, NOW, Some(&sealed)), body.as_bytes(), NOW).unwrap();
            let seal = Seal { token: which_token, key: which_key, is_for_platform: false };
            assert_eq!(push.sealed, Some(seal));
            let answer = account.answer(&push, "<xml>hi</xml>", NOW);
            let fields = Fields::parse(answer.as_bytes()).unwrap();
            let get = |name| fields.get(name).unwrap().unwrap();
            let encrypted = get("Encrypt");
            assert!(signature::is_signed(
                &get("MsgSignature"),
                [token, &get("TimeStamp"), &get("Nonce"), &encrypted]
            ));
            assert_eq!(
                AesKey::decode(&key.into()).unwrap().open(&encrypted, "wx1").unwrap(),
                "<xml>hi</xml>"
            );
        }
    }

    #[test]
    fn a_push_for_the_platform_that_manages_the_account_is_answered_for_it() {
        let sealed = AesKey::decode(&KEY.into()).unwrap().seal(&message("o"), "wx2", [3; 16]);
        let body = format!("<xml><Encrypt>{sealed}</Encrypt></xml>");
        let query = query("tokenA", NOW, Some(&sealed));
        assert_eq!(account(Mode::Safe).open(&query, body.as_bytes(), NOW), Err(Refusal::AppId));
        let managed = account(Mode::Safe).managed_by(Some("wx2".to_owned()));
        let push = managed.open(&query, body.as_bytes(), NOW).unwrap();
        let answer = managed.answer(&push, "<xml>hi</xml>", NOW);
        let encrypted = Fields::parse(answer.as_bytes()).unwrap().get("Encrypt").unwrap().unwrap();
        assert_eq!(AesKey::decode(&KEY.into()).unwrap().open(&encrypted, "wx2").unwrap(), "<xml>hi</xml>");

        let own = encrypt(KEY, &message("o"));
        let body = format!("<xml><Encrypt>{own}</Encrypt></xml>");
        let push = managed.open(&self::query("tokenA", NOW, Some(&own)), body.as_bytes(), NOW).unwrap();
        assert!(!push.sealed.unwrap().is_for_platform, "the account's own are believed as before");
    }

    #[test]
    fn one_token_must_have_made_both_signatures() {
        let sealed = encrypt(KEY, &message("o"));
        let body = format!("<xml><Encrypt>{sealed}</Encrypt></xml>");
        let mixed = Query {
            msg_signature: query("tokenB", NOW, Some(&sealed)).msg_signature,
            ..query("tokenA", NOW, Some(&sealed))
        };
        assert_eq!(account(Mode::Safe).open(&mixed, body.as_bytes(), NOW), Err(Refusal::MsgSignature));
    }

    #[test]
    fn freshness_is_a_window_around_now() {
        let account = account(Mode::Plaintext);
        let at = |timestamp| account.open(&query("tokenA", timestamp, None), message("o").as_bytes(), NOW);
        assert!(at(NOW - 300).is_ok() && at(NOW + 300).is_ok());
        assert_eq!(at(NOW - 301), Err(Refusal::Stale { seconds: 301, ahead: false }));
        assert_eq!(at(NOW + 301), Err(Refusal::Stale { seconds: 301, ahead: true }));
        let verification = Query { echostr: Some("1".to_owned()), ..query("tokenA", NOW - 301, None) };
        assert_eq!(account.verify_url(&verification, NOW).unwrap_err().status(), 403);
    }

    #[test]
    fn without_a_window_a_timestamp_still_has_ten_digits() {
        let account = Account::new(Settings { max_age: None, ..settings(Mode::Plaintext) }).unwrap();
        let open = |timestamp| account.open(&query("tokenA", timestamp, None), message("o").as_bytes(), NOW);
        assert!(matches!(open(1_000_000_000).unwrap().kind, Kind::Scan { .. }));
        for other in [999_999_999, 10_000_000_000] {
            assert_eq!(open(other), Err(Refusal::Timestamp));
        }
    }

    #[test]
    fn a_push_to_another_account_is_refused_when_ours_is_known() {
        let body = message("o").replace("gh_1", "gh_2");
        let query = query("tokenA", NOW, None);
        assert_eq!(account(Mode::Plaintext).open(&query, body.as_bytes(), NOW), Err(Refusal::Recipient));
        let any = Account::new(Settings { original_id: None, ..settings(Mode::Plaintext) }).unwrap();
        assert_eq!(any.open(&query, body.as_bytes(), NOW).unwrap().to, "gh_2");
    }

    #[test]
    fn size_is_looked_at_before_everything_else() {
        let refused = account(Mode::Safe).open(&Query::default(), &[0; MAX_BODY + 1], NOW);
        assert_eq!(refused, Err(Refusal::TooLarge));
        assert_eq!(account(Mode::Safe).open(&Query::default(), &[0; MAX_BODY], NOW), Err(Refusal::Signature));
    }

    proptest! {
        #[test]
        fn one_wrong_bit_in_what_is_signed_is_enough(key in "[a-z]{0,99}", part in 0..6_usize, bit in any::<Index>()) {
            let mut sealed = encrypt(KEY, &message("o").replace(">k<", &format!(">{key}<")));
            let mut query = query("tokenA", NOW, Some(&sealed));
            let open = |query: &Query, sealed: &str| {
                account(Mode::Safe).open(query, format!("<xml><Encrypt>{sealed}</Encrypt></xml>").as_bytes(), NOW)
            };
            prop_assert_eq!(open(&query, &sealed).unwrap().kind, Kind::Scan { key });

            let text = match part {
                0 => &mut sealed,
                1 => query.signature.as_mut().unwrap(),
                2 => query.timestamp.as_mut().unwrap(),
                3 => query.nonce.as_mut().unwrap(),
                4 => query.encrypt_type.as_mut().unwrap(),
                _ => query.msg_signature.as_mut().unwrap(),
            };
            let mut bytes = text.clone().into_bytes();
            // The eighth bit would leave no text.
            let bit = bit.index(7 * bytes.len());
            bytes[bit / 7] ^= 1 << (bit % 7);
            *text = String::from_utf8(bytes).unwrap();
            let outcome = open(&query, &sealed);
            prop_assert!(outcome.is_err(), "{:?}", outcome);
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        let wrong = |change: fn(&mut Settings)| {
            let mut settings = settings(Mode::Safe);
            change(&mut settings);
            Account::new(settings).unwrap_err()
        };
        assert_eq!(wrong(|s| s.token = "ab".into()), SettingsError::Token("WECHAT_TOKEN"));
        assert_eq!(wrong(|s| s.token = "a".repeat(33).into()), SettingsError::Token("WECHAT_TOKEN"));
        assert_eq!(
            wrong(|s| s.previous_token = Some("a b c".into())),
            SettingsError::Token("WECHAT_TOKEN_PREVIOUS")
        );
        assert_eq!(wrong(|s| s.aes_key = Some("short".into())), SettingsError::AesKey("WECHAT_AES_KEY"));
        assert_eq!(
            wrong(|s| s.previous_aes_key = Some("short".into())),
            SettingsError::AesKey("WECHAT_AES_KEY_PREVIOUS")
        );
        assert_eq!(wrong(|s| s.aes_key = None), SettingsError::NoAesKey(Mode::Safe));
        assert_eq!(wrong(|s| s.app_id.clear()), SettingsError::AppId);
        let plaintext = Settings { aes_key: None, previous_aes_key: None, ..settings(Mode::Plaintext) };
        assert!(Account::new(plaintext).is_ok());
    }

    #[test]
    fn debug_shows_no_secret() {
        let (settings, account) = (settings(Mode::Safe), account(Mode::Safe));
        let shown = format!("{settings:?} {account:?}");
        for secret in ["tokenA", "tokenB", KEY, OLD_KEY] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
