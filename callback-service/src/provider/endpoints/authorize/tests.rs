//! What may be asked at `/authorize`, and what follows, as pure functions.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::provider::sites::file;

const CHALLENGED: &str =
    "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

fn sites() -> Sites {
    // printf one | sha256sum
    let secret = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    let text = format!(
        "[[site]]\nid = \"shop\"\nname = \"s\"\nsecret_sha256 = \"{secret}\"\nredirect_uris = [\"https://s.example/cb\"]\n\
         [[site]]\nid = \"app\"\nname = \"a\"\npublic = true\nredirect_uris = [\"https://a.example/cb\"]\n"
    );
    Sites::new("sites.toml".into(), crate::account::names::Directory::one("wx1"), file::parse(&text).unwrap())
}

const GOOD: &str =
    "client_id=shop&redirect_uri=https%3A%2F%2Fs.example%2Fcb&response_type=code&scope=openid&state=x";

fn of(query: &str) -> Result<Wanted, Refused> {
    read(&Parameters::of_query(query), &sites())
}

fn error(query: &str) -> &'static str {
    match of(query).unwrap_err() {
        Refused::Site { error, redirect_uri, state } => {
            assert_eq!(
                (redirect_uri.as_str(), state.as_deref()),
                ("https://s.example/cb", Some("x")),
                "{query}"
            );
            let is_allowed = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
            assert!(error.description.chars().all(is_allowed), "{}", error.description);
            error.code
        }
        Refused::Page(trouble) => panic!("{query}: {trouble:?}"),
    }
}

#[test]
fn what_a_site_asks_for_is_read() {
    let wanted =
        of(&format!("{GOOD}&nonce=n&unknown=1&unknown=2&prompt=login&max_age=0{CHALLENGED}")).unwrap();
    assert_eq!((wanted.asked.scope.as_str(), wanted.asked.nonce.as_deref()), ("openid", Some("n")));
    assert!(wanted.wants_scan && !wanted.is_silent && wanted.asked.code_challenge.is_some());
    assert_eq!(wanted.max_age, Some(Duration::ZERO));
    let wanted = of(&GOOD.replace("scope=openid", "scope=email+x+openid")).unwrap();
    assert_eq!(wanted.asked.scope, "openid email");
}

#[test]
fn before_site_and_address_are_known_the_person_is_told() {
    for (query, trouble) in [
        (String::new(), Trouble::UnknownSite),
        (GOOD.replace("shop", "other"), Trouble::UnknownSite),
        (GOOD.replace("shop", ""), Trouble::UnknownSite),
        (GOOD.replace("client_id=shop&", ""), Trouble::UnknownSite),
        (GOOD.replace("s.example", "evil.example"), Trouble::WrongRedirect),
        (GOOD.replace("%2Fcb", "%2Fcb%2F"), Trouble::WrongRedirect),
        (GOOD.replace("redirect_uri", "redirect"), Trouble::WrongRedirect),
        (format!("{GOOD}&state=y"), Trouble::Repeated),
        (format!("{GOOD}&client_id=app"), Trouble::Repeated),
    ] {
        let refused = of(&query).unwrap_err();
        assert!(matches!(refused, Refused::Page(told) if told == trouble), "{query}: {refused:?}");
    }
}

#[test]
fn after_that_the_site_is_told() {
    for (more, code) in [
        ("&scope=profile", "invalid_request"),
        ("&prompt=none&prompt=none", "invalid_request"),
        ("&request=x", "request_not_supported"),
        ("&request_uri=https://x", "request_uri_not_supported"),
        ("&registration={}", "registration_not_supported"),
        ("&response_mode=fragment", "invalid_request"),
        ("&code_challenge=x&code_challenge_method=S256", "invalid_request"),
        ("&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "invalid_request"),
        ("&code_challenge_method=S256", "invalid_request"),
        ("&prompt=none+login", "invalid_request"),
        ("&prompt=create", "invalid_request"),
        ("&max_age=-1", "invalid_request"),
        ("&max_age=soon", "invalid_request"),
    ] {
        assert_eq!(error(&format!("{GOOD}{more}")), code, "{more}");
    }
    let long = format!("&nonce={}", "n".repeat(MAX_ECHOED + 1));
    assert_eq!(error(&format!("{GOOD}{long}")), "invalid_request");
    assert_eq!(error(&GOOD.replace("response_type=code", "")), "invalid_request");
    assert_eq!(error(&GOOD.replace("=code", "=token")), "unsupported_response_type");
}

#[test]
fn a_site_without_a_secret_needs_a_challenge() {
    let app = GOOD.replace("shop", "app").replace("s.example", "a.example");
    assert!(matches!(of(&app), Err(Refused::Site { error, .. }) if error.code == "invalid_request"));
    assert!(of(&format!("{app}{CHALLENGED}")).is_ok());
}

#[test]
fn a_session_is_enough_if_it_fits() {
    let who = |openid: &str, at| Identity {
        openid: openid.into(),
        account: None,
        unionid: None,
        nickname: None,
        picture: None,
        at: Moment(at),
        sid: "s".into(),
        confirmed: false,
        login: None,
    };
    // A session that began with a confirmed login does for everything; one by a mere scan only where that is enough.
    let mere = Some((who("o", 10_000), Moment(20_000)));
    let who = |openid: &str, at| Identity { confirmed: true, ..who(openid, at) };
    let session = Some((who("o", 10_000), Moment(20_000)));
    let wanted = |more: &str| of(&format!("{GOOD}{more}")).unwrap();
    let answer = Next::Answer(who("o", 10_000));
    for (more, expected) in [
        ("", &answer),
        ("&prompt=none", &answer),
        ("&max_age=10", &answer),
        ("&max_age=9", &Next::Show),
        ("&max_age=0", &Next::Show),
        ("&prompt=none&max_age=9", &Next::LoginRequired),
        ("&prompt=login", &Next::Show),
        ("&prompt=consent", &Next::Show),
        ("&prompt=select_account+login", &Next::Show),
    ] {
        assert_eq!(decide(&wanted(more), session.clone()), *expected, "{more}");
        assert_ne!(decide(&wanted(more), None), answer, "{more}");
    }
    assert_eq!(decide(&wanted(""), mere.clone()), Next::Show);
    assert_eq!(decide(&wanted("&prompt=none"), mere.clone()), Next::LoginRequired);
    let mut easy = wanted("");
    easy.site.confirm = false;
    assert!(matches!(decide(&easy, mere.clone()), Next::Answer(_)));
    let mut strict = wanted("&acr_values=2+urn:saoma:scan-confirmed+urn:saoma:scan");
    strict.site.confirm = false;
    assert_eq!(decide(&strict, mere), Next::Show);
    assert_eq!(decide(&strict, session.clone()), answer);
    assert!(!wanted("&acr_values=urn:saoma:scan+urn:saoma:scan-confirmed").asked.confirm);
    let mut hinted = wanted("&prompt=none");
    hinted.asked.only = Some("o".to_owned());
    assert_eq!(decide(&hinted, session.clone()), answer);
    hinted.asked.only = Some("other".to_owned());
    assert_eq!(decide(&hinted, session), Next::LoginRequired);
}
