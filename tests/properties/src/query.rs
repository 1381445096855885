//! Query strings: those of pushes and verifications at the callback service, and those of pages that open their
//! WebSocket at the gateway. Both services read the same text.

use std::borrow::Cow;
use std::sync::LazyLock;

use http::Uri;
use protocol::Context;
use wechat::push::{Query, Refusal};
use ws_gateway::config::{Config, Secrets};

use crate::account::{COMPATIBLE, NOW, PLAINTEXT, SAFE, SIGNED};

/// The parameters that the callback service reads, and their longest value in bytes.
const OF_A_PUSH: [&str; 6] = ["signature", "timestamp", "nonce", "echostr", "encrypt_type", "msg_signature"];
const MAX_PARAMETER: usize = 256;

/// The parameters that the gateway reads, and their longest value in characters.
const OF_A_PAGE: [&str; 5] = ["site", "nonce", "code_challenge", "request", "account"];
const MAX_FIELD: usize = 256;

static GATEWAY: LazyLock<Config> = LazyLock::new(|| {
    let secrets = Secrets {
        notify_key: Some("k".repeat(32).into()),
        wechat_app_secret: Some("secret".into()),
        ..Secrets::default()
    };
    let Ok(config) = Config::of(&["--wechat-app-id", "wx0123456789abcdef"], secrets) else {
        panic!("the settings are right");
    };
    config
});

/// Reads a query string as both services do.
///
/// - Each known parameter comes at most once and within its limit; otherwise the query is refused. Decoration (the
///   language, the picture) refuses nothing. A page that says it offered a subprotocol must have offered it.
/// - Order, spelling and unknown parameters change nothing.
/// - A verification is answered with its own echo, and only if it is signed.
/// - A page's query sets only what a page may say, and nothing that the gateway must know by itself.
pub fn query(raw: &[u8]) -> &'static str {
    // HTTP accepts no other query: the services get it as this type holds it.
    let Some(uri) = str::from_utf8(raw).ok().and_then(|raw| format!("/ws?{raw}").parse::<Uri>().ok()) else {
        return "nothing";
    };
    let raw = uri.query().unwrap_or_default();
    let pairs: Pairs<'_> = form_urlencoded::parse(raw.as_bytes()).collect();
    match (of_a_push(raw, &pairs), of_a_page(raw, &pairs)) {
        (true, true) => "fine for both",
        (true, false) => "fine for a push",
        (false, true) => "fine for a page",
        (false, false) => "refused by both",
    }
}

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn all<'a>(pairs: &'a Pairs<'_>, name: &str) -> Vec<&'a str> {
    pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_ref()).collect()
}

fn of_a_push(raw: &str, pairs: &Pairs<'_>) -> bool {
    let is_fine = OF_A_PUSH.iter().all(|name| match all(pairs, name)[..] {
        [] => true,
        [value] => value.len() <= MAX_PARAMETER,
        _ => false,
    });
    let query = Query::parse(raw);
    assert_eq!(query.is_ok(), is_fine, "{query:?}");

    let known = pairs.iter().rev().filter(|(name, _)| OF_A_PUSH.contains(&name.as_ref()));
    let rewritten = form_urlencoded::Serializer::new(String::new()).extend_pairs(known).finish();
    assert_eq!(Query::parse(&rewritten), query, "it was rewritten as {rewritten}");

    let signed = Query::parse(&format!("{}&{raw}", *SIGNED));
    for account in [&*SAFE, &*COMPATIBLE, &*PLAINTEXT] {
        if let Ok(query) = &query {
            assert_eq!(account.verify_url(query, NOW), Err(Refusal::Signature));
        }
        if let Ok(signed) = &signed {
            let echo = all(pairs, "echostr").first().copied().unwrap_or_default();
            let expected = if echo.is_empty() { Err(Refusal::NoEcho) } else { Ok(echo.to_owned()) };
            assert_eq!(account.verify_url(signed, NOW), expected);
        }
    }
    is_fine
}

fn of_a_page(raw: &str, pairs: &Pairs<'_>) -> bool {
    // A template that has nothing to say writes an empty value, which counts as none.
    let values = |name| all(pairs, name).into_iter().filter(|value| !value.is_empty()).collect::<Vec<_>>();
    let is_alone = values("site").is_empty() || values("request").is_empty();
    let is_fine = is_alone
        && OF_A_PAGE.iter().all(|name| match values(name)[..] {
            [] => true,
            [value] => value.chars().count() <= MAX_FIELD,
            _ => false,
        });
    let page = ws_gateway::testing::fuzz::page(raw, &GATEWAY);
    // There is no header here that could hold what the page says it offered.
    let lost_its_subprotocol = all(pairs, "subprotocol").last() == Some(&"offered");
    let Some(page) = page else {
        assert!(lost_its_subprotocol, "a page without an Origin may connect");
        return false;
    };
    assert!(!lost_its_subprotocol);
    assert_eq!(page.fault.is_none(), is_fine, "{:?}", page.fault);
    if is_fine {
        let said = |name| values(name).first().map(|&value| value.to_owned());
        let expected = Context {
            site: said("site"),
            nonce: said("nonce"),
            code_challenge: said("code_challenge"),
            request: said("request"),
            account: said("account"),
            ip: ws_gateway::testing::fuzz::PAGE.ip().to_string(),
            ..Context::default()
        };
        assert_eq!(page.context, expected);
    }
    is_fine
}
