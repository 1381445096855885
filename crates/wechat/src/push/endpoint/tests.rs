//! The endpoint against pushes that the tests sign and seal as WeChat does.

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
        component_app_id: None,
        token: "tokenA".into(),
        previous_token: Some("tokenB".into()),
        aes_key: Some(KEY.into()),
        previous_aes_key: Some(OLD_KEY.into()),
        original_id: Some("gh_1".to_owned()),
        max_age: Some(Duration::from_secs(300)),
    }
}

fn endpoint(mode: Mode) -> Endpoint {
    Endpoint::new(settings(mode)).unwrap()
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
        let push = endpoint(mode).open(&query("tokenA", NOW, Some(&sealed)), forged.as_bytes(), NOW).unwrap();
        assert_eq!(push.from.as_str(), "real");
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
        let plain = endpoint(Mode::Plaintext).open(&query("tokenA", NOW, None), body.as_bytes(), NOW);
        assert!(matches!(plain.unwrap().kind, Kind::Message { .. }), "{typed:?}");
        let sealed = encrypt(KEY, &body);
        // The clear copy of compatible mode is in the envelope.
        let with_a_copy = body.replace("</xml>", &format!("<Encrypt>{sealed}</Encrypt></xml>"));
        let sealed_alone = format!("<xml><Encrypt>{sealed}</Encrypt></xml>");
        for (mode, body) in [(Mode::Safe, sealed_alone), (Mode::Compatible, with_a_copy)] {
            let push = endpoint(mode).open(&query("tokenA", NOW, Some(&sealed)), body.as_bytes(), NOW);
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
            let refusal = endpoint(mode).open(&query, body.as_bytes(), NOW).unwrap_err();
            assert!(refusal.is_authentic() && refusal.stage() == stage, "{mode}: {refusal}");
        }
    }
}

#[test]
fn an_envelope_that_nobody_has_signed_stays_refused() {
    let sealed = encrypt(KEY, &message("o"));
    let one = format!("<Encrypt>{sealed}</Encrypt>");
    for body in [String::new(), "{}".to_owned(), format!("<xml>{one}"), format!("<xml>{one}{one}</xml>")] {
        let refusal = endpoint(Mode::Safe).open(&query("tokenA", NOW, Some(&sealed)), body.as_bytes(), NOW);
        let refusal = refusal.unwrap_err();
        let stage = if body == "{}" { "json" } else { "xml" };
        assert_eq!((refusal.status(), refusal.stage()), (400, stage), "{body}: {refusal}");
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
                endpoint(mode).open(query, body.as_bytes(), NOW),
                Err(Refusal::NotEncrypted),
                "{mode}"
            );
        }
    }
}

#[test]
fn plaintext_mode_takes_no_encrypted_push() {
    let refused =
        endpoint(Mode::Plaintext).open(&query("tokenA", NOW, Some("x")), message("o").as_bytes(), NOW);
    assert_eq!(refused, Err(Refusal::Encrypted));
}

#[test]
fn the_previous_secrets_work_and_the_answer_uses_them() {
    let endpoint = endpoint(Mode::Safe);
    for (token, key, which_token, which_key) in [
        ("tokenA", KEY, Which::Current, Which::Current),
        ("tokenB", KEY, Which::Previous, Which::Current),
        ("tokenA", OLD_KEY, Which::Current, Which::Previous),
        ("tokenB", OLD_KEY, Which::Previous, Which::Previous),
    ] {
        let sealed = encrypt(key, &message("o"));
        let body = format!("<xml><Encrypt>{sealed}</Encrypt></xml>");
        let push = endpoint.open(&query(token, NOW, Some(&sealed)), body.as_bytes(), NOW).unwrap();
        let seal = Seal { token: which_token, key: which_key, is_for_platform: false };
        assert_eq!(push.sealed, Some(seal));
        let answer = endpoint.answer(&push, "<xml>hi</xml>", NOW);
        let fields = Fields::parse(answer.as_bytes()).unwrap();
        let get = |name| fields.get(name).unwrap().unwrap();
        let encrypted = get("Encrypt");
        assert!(signature::is_signed(
            &get("MsgSignature"),
            [token, &get("TimeStamp"), &get("Nonce"), &encrypted]
        ));
        assert_eq!(AesKey::decode(&key.into()).unwrap().open(&encrypted, "wx1").unwrap(), "<xml>hi</xml>");
    }
}

#[test]
fn a_push_for_the_platform_that_manages_the_account_is_answered_for_it() {
    let sealed = AesKey::decode(&KEY.into()).unwrap().seal(&message("o"), "wx2", [3; 16]);
    let body = format!("<xml><Encrypt>{sealed}</Encrypt></xml>");
    let query = query("tokenA", NOW, Some(&sealed));
    assert_eq!(endpoint(Mode::Safe).open(&query, body.as_bytes(), NOW), Err(Refusal::AppId));
    let managed =
        Endpoint::new(Settings { component_app_id: Some("wx2".to_owned()), ..settings(Mode::Safe) }).unwrap();
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
    assert_eq!(endpoint(Mode::Safe).open(&mixed, body.as_bytes(), NOW), Err(Refusal::MsgSignature));
}

#[test]
fn freshness_is_a_window_around_now() {
    let endpoint = endpoint(Mode::Plaintext);
    let at = |timestamp| endpoint.open(&query("tokenA", timestamp, None), message("o").as_bytes(), NOW);
    assert!(at(NOW - 300).is_ok() && at(NOW + 300).is_ok());
    assert_eq!(at(NOW - 301), Err(Refusal::Stale { seconds: 301, ahead: false }));
    assert_eq!(at(NOW + 301), Err(Refusal::Stale { seconds: 301, ahead: true }));
    let verification = Query { echostr: Some("1".to_owned()), ..query("tokenA", NOW - 301, None) };
    assert_eq!(endpoint.verify_url(&verification, NOW).unwrap_err().status(), 403);
}

#[test]
fn without_a_window_a_timestamp_still_has_ten_digits() {
    let endpoint = Endpoint::new(Settings { max_age: None, ..settings(Mode::Plaintext) }).unwrap();
    let open = |timestamp| endpoint.open(&query("tokenA", timestamp, None), message("o").as_bytes(), NOW);
    assert!(matches!(open(1_000_000_000).unwrap().kind, Kind::Scan { .. }));
    for other in [999_999_999, 10_000_000_000] {
        assert_eq!(open(other), Err(Refusal::Timestamp));
    }
}

#[test]
fn a_push_to_another_account_is_refused_when_ours_is_known() {
    let body = message("o").replace("gh_1", "gh_2");
    let query = query("tokenA", NOW, None);
    assert_eq!(endpoint(Mode::Plaintext).open(&query, body.as_bytes(), NOW), Err(Refusal::Recipient));
    let any = Endpoint::new(Settings { original_id: None, ..settings(Mode::Plaintext) }).unwrap();
    assert_eq!(any.open(&query, body.as_bytes(), NOW).unwrap().to, "gh_2");
}

#[test]
fn size_is_looked_at_before_everything_else() {
    let refused = endpoint(Mode::Safe).open(&Query::default(), &[0; MAX_BODY + 1], NOW);
    assert_eq!(refused, Err(Refusal::TooLarge));
    assert_eq!(endpoint(Mode::Safe).open(&Query::default(), &[0; MAX_BODY], NOW), Err(Refusal::Signature));
}

proptest! {
    #[test]
    fn one_wrong_bit_in_what_is_signed_is_enough(key in "[a-z]{0,99}", part in 0..6_usize, bit in any::<Index>()) {
        let mut sealed = encrypt(KEY, &message("o").replace(">k<", &format!(">{key}<")));
        let mut query = query("tokenA", NOW, Some(&sealed));
        let open = |query: &Query, sealed: &str| {
            endpoint(Mode::Safe).open(query, format!("<xml><Encrypt>{sealed}</Encrypt></xml>").as_bytes(), NOW)
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
        Endpoint::new(settings).unwrap_err()
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
    assert!(Endpoint::new(plaintext).is_ok());
}

#[test]
fn debug_shows_no_secret() {
    let (settings, endpoint) = (settings(Mode::Safe), endpoint(Mode::Safe));
    let shown = format!("{settings:?} {endpoint:?}");
    for secret in ["tokenA", "tokenB", KEY, OLD_KEY] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

fn push(from: &str) -> Push {
    endpoint(Mode::Plaintext).open(&query("tokenA", NOW, None), message(from).as_bytes(), NOW).unwrap()
}

/// Another program's reply to `push("o")`.
const REPLY: &str = "<xml><ToUserName><![CDATA[o]]></ToUserName><FromUserName>gh_1</FromUserName>\
    <CreateTime>8</CreateTime><MsgType>news</MsgType><Articles><item><Title>a</Title></item></Articles></xml>";

fn sealed_reply(token: &str, key: &str, reply: &str) -> String {
    let encrypt = encrypt(key, reply);
    let signature = signature::sign([token, "9", "n", &encrypt]);
    format!(
        "<xml><Encrypt>{encrypt}</Encrypt><MsgSignature>{signature}</MsgSignature><TimeStamp>9</TimeStamp>\
         <Nonce>n</Nonce></xml>"
    )
}

#[test]
fn another_programs_answer_is_fit_where_wechat_takes_it() {
    let push = push("o");
    for mode in [Mode::Safe, Mode::Compatible, Mode::Plaintext] {
        for nothing in ["", "success"] {
            assert_eq!(endpoint(mode).judge(&push, nothing), Ok(()));
        }
        let plain = if mode == Mode::Safe { Err(Unfit::NotEncrypted) } else { Ok(()) };
        assert_eq!(endpoint(mode).judge(&push, REPLY), plain, "{mode}");
        for (token, key) in [("tokenA", KEY), ("tokenB", OLD_KEY), ("tokenA", OLD_KEY)] {
            let encrypted = if mode == Mode::Plaintext { Err(Unfit::Field("ToUserName")) } else { Ok(()) };
            assert_eq!(endpoint(mode).judge(&push, &sealed_reply(token, key, REPLY)), encrypted, "{mode}");
        }
    }
    let ours = endpoint(Mode::Safe).seal(Seal::default(), REPLY, &Salt::fresh(NOW));
    assert_eq!(endpoint(Mode::Safe).judge(&push, &ours), Ok(()));
}

#[test]
fn an_answer_for_which_wechat_would_show_a_fault_is_unfit() {
    let push = push("o");
    let safe = |answer: &str| endpoint(Mode::Safe).judge(&push, answer).unwrap_err();
    let other_key = "SimulatorDemoKeySimulatorDemoKeySimulator12";
    let good = sealed_reply("tokenA", KEY, REPLY);
    for (answer, unfit) in [
        ("ok".to_owned(), Unfit::Xml("it is not well-formed")),
        ("{\"errcode\":0}".to_owned(), Unfit::Xml("it is JSON")),
        ("<html><body>502</body></html>".to_owned(), Unfit::Xml("its root is not xml")),
        ("<!DOCTYPE html><html/>".to_owned(), Unfit::Xml("it has a document type")),
        (sealed_reply("tokenC", KEY, REPLY), Unfit::Signature),
        (good.replace("<Nonce>n", "<Nonce>m"), Unfit::Signature),
        (good.replace("<TimeStamp>9</TimeStamp>", ""), Unfit::Field("TimeStamp")),
        (good.replace("</xml>", "<Encrypt>x</Encrypt></xml>"), Unfit::Field("Encrypt")),
        (sealed_reply("tokenA", other_key, REPLY), Unfit::Encryption),
        (sealed_reply("tokenA", KEY, "<html/>"), Unfit::Xml("its root is not xml")),
        (sealed_reply("tokenA", KEY, &REPLY.replace("[o]", "[p]")), Unfit::Field("ToUserName")),
        (sealed_reply("tokenA", KEY, &REPLY.replace("gh_1", "gh_2")), Unfit::Field("FromUserName")),
        (sealed_reply("tokenA", KEY, &REPLY.replace("news", "")), Unfit::Field("MsgType")),
        (
            sealed_reply("tokenA", KEY, &REPLY.replace("<CreateTime>8</CreateTime>", "")),
            Unfit::Field("CreateTime"),
        ),
    ] {
        assert_eq!(safe(&answer), unfit, "{answer}");
    }
}

#[test]
fn a_rehearsal_is_taken_as_wechats_own_and_its_answer_is_known() {
    for mode in [Mode::Safe, Mode::Compatible, Mode::Plaintext] {
        let (ours, salt) = (endpoint(mode), Salt::fresh(NOW));
        let query = Query::parse(&ours.rehearse_verification("echo+/ 1", &salt)).unwrap();
        assert_eq!(ours.verify_url(&query, NOW).unwrap(), "echo+/ 1", "{mode}");
        let Rehearsal { query, body } = ours.rehearse_push("a key", &salt);
        let query = Query::parse(&query).unwrap();
        let push = ours.open(&query, body.as_bytes(), NOW).unwrap();
        let (name, key) = (REHEARSAL.to_owned(), Some("a key".to_owned()));
        assert_eq!(push.kind, Kind::OtherEvent { name, key });
        let xml = reply::text(push.from.as_str(), &push.to, 7, "a key");
        let answer = ours.answer(&push, &xml, NOW);
        assert!(ours.is_rehearsed("a key", &answer), "{mode}: {answer}");
        for wrong in ["", "success", "<html></html>", "{}"] {
            assert!(!ours.is_rehearsed("a key", wrong), "{mode}: {wrong}");
        }
        assert!(!ours.is_rehearsed("another", &answer), "{mode}");
        // Another key reads nothing.
        let other = Settings { aes_key: Some(OLD_KEY.into()), previous_aes_key: None, ..settings(mode) };
        let other = Endpoint::new(other).unwrap();
        assert_eq!(other.open(&query, body.as_bytes(), NOW).is_ok(), mode == Mode::Plaintext, "{mode}");
    }
}
