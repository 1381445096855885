//! At WeChat's door: forged, broken and repeated pushes.

use demo::{Options, Stack};
use e2e::raw::Raw;
use simulator::{Envelope, Mode, Settings};

use super::stack;
use super::target::{
    Target, encrypted, get, head, is_refused, now, post, query_of, refused, resign, set, without,
};
#[tokio::test]
async fn a_forged_push_is_refused_counted_and_without_effect() {
    let stack = stack().await;
    let target = Target::of(&stack).await;
    let good = target.sealed(&stack);
    let plain = Envelope {
        body: target.xml.clone(),
        ..without(without(good.clone(), "encrypt_type"), "msg_signature")
    };
    let mut forgeries: Vec<(&str, Envelope, (u16, &str))> = vec![
        ("no signature", without(good.clone(), "signature"), (403, "signature")),
        ("no timestamp", without(good.clone(), "timestamp"), (403, "signature")),
        ("no nonce", without(good.clone(), "nonce"), (403, "signature")),
        ("no msg_signature", without(good.clone(), "msg_signature"), (403, "msg_signature")),
        ("too old", resign(&stack, good.clone(), now() - 310), (403, "freshness")),
        ("too new", resign(&stack, good.clone(), now() + 310), (403, "freshness")),
        ("in plaintext", plain.clone(), (403, "mode")),
        ("of no encrypt_type", without(good.clone(), "encrypt_type"), (403, "mode")),
    ];
    let mut add = |fault, base: &Envelope, outcome, spoil: &dyn Fn(&mut Envelope)| {
        let mut spoilt = base.clone();
        spoil(&mut spoilt);
        forgeries.push((fault, spoilt, outcome));
    };
    let forbidden = |stage| (403, stage);
    add("no query", &good, forbidden("signature"), &|it| it.query.clear());
    add("a wrong signature", &good, forbidden("signature"), &|it| {
        set(it, "signature", "0".repeat(40));
    });
    add("markup for a signature", &good, forbidden("signature"), &|it| {
        set(it, "signature", "%3Cscript%3E");
    });
    add("a signature in capitals, cut", &good, forbidden("signature"), &|it| {
        let cut = get(it, "signature").to_uppercase()[..39].to_owned();
        set(it, "signature", cut);
    });
    add("a digit moved to the timestamp", &good, forbidden("freshness"), &|it| {
        // Parts are joined without separators, so the signature stays the same.
        set(it, "nonce", "99");
        *it = resign(&stack, it.clone(), now());
        let timestamp = format!("{}9", get(it, "timestamp"));
        set(it, "timestamp", timestamp);
        set(it, "nonce", "9");
    });
    add("a parameter too long", &good, forbidden("query"), &|it| {
        set(it, "nonce", "1".repeat(257));
    });
    add("in plaintext, called raw", &plain, forbidden("mode"), &|it| {
        set(it, "encrypt_type", "raw");
    });
    add("in plaintext, called aes", &plain, forbidden("mode"), &|it| {
        set(it, "encrypt_type", "aes");
    });
    add("a tampered ciphertext", &good, forbidden("msg_signature"), &|it| {
        it.body = flipped(it);
    });
    add("another's msg_signature", &good, forbidden("msg_signature"), &|it| {
        let other = get(it, "signature").to_owned();
        set(it, "msg_signature", other);
    });
    let (broken, dtd, entity) = (
        target.xml.replace("</EventKey>", ""),
        format!("<!DOCTYPE xml>{}", target.xml),
        format!(
            "<!DOCTYPE xml [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>{}",
            target.xml.replace("SCAN", "&x;")
        ),
    );
    for (fault, xml) in
        [("broken XML inside", &broken), ("a DTD inside", &dtd), ("an entity inside", &entity)]
    {
        // Authentic, so that WeChat must not hear of an error.
        forgeries.push((fault, stack.wechat.seal(xml, &target.openid), (200, "xml")));
    }
    let json = Envelope { body: "{\"Encrypt\":\"x\"}".to_owned(), ..good.clone() };
    forgeries.push(("JSON", json, (400, "json")));
    for (fault, body) in [
        ("no body", String::new()),
        ("no XML", "Encrypt=x".to_owned()),
        ("broken XML outside", good.body.replace("</xml>", "")),
        ("a DTD outside", format!("<!DOCTYPE xml>{}", good.body)),
        ("deep XML outside", "<xml>".repeat(10_000)),
    ] {
        let envelope = Envelope { body, ..good.clone() };
        forgeries.push((fault, envelope, (400, "xml")));
    }
    // Signed with the right token, so that the cipher is reached.
    for (fault, body, stage) in [
        ("a ciphertext that was changed", flipped(&good), None),
        ("no base64", "<xml><Encrypt><![CDATA[<!>]]></Encrypt></xml>".to_owned(), Some("base64")),
        (
            "a block cut off",
            "<xml><Encrypt><![CDATA[AAAA]]></Encrypt></xml>".to_owned(),
            Some("cipher_length"),
        ),
    ] {
        let envelope = Envelope { body, ..good.clone() };
        let envelope = resign(&stack, envelope, now());
        match stage {
            Some(stage) => forgeries.push((fault, envelope, (200, stage))),
            // Which check fails is the cipher's chance.
            None => {
                let reply = post(&stack, &envelope).await;
                assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{fault}");
            }
        }
    }
    let elsewhere = target.xml.replace("gh_", "gh_elsewhere_");
    forgeries.push(("to another account", stack.wechat.seal(&elsewhere, &target.openid), (200, "fields")));

    for (fault, envelope, outcome) in &forgeries {
        is_refused(&stack, fault, envelope, *outcome).await;
    }
    // As far from now as is still taken.
    let late = resign(&stack, good, now() - 290);
    target.untouched_then_completed_by(&stack, &late).await;
}

/// The body with one character of the ciphertext changed: the last one of its first block.
fn flipped(envelope: &Envelope) -> String {
    let sealed = encrypted(envelope).unwrap();
    let (other, place) = (if &sealed[20..21] == "A" { "B" } else { "A" }, 20);
    let spoilt = format!("{}{other}{}", &sealed[..place], &sealed[place + 1..]);
    envelope.body.replace(sealed, &spoilt)
}

/// WeChat passes on what people type. An error for it would be a fault on their phones, and too many of them stop the
/// pushes of everybody for a minute.
#[tokio::test]
async fn what_people_type_is_never_answered_with_an_error() {
    for mode in [Mode::Safe, Mode::Compatible, Mode::Plaintext] {
        let wechat = Settings { mode, ..Settings::default() };
        let stack = Stack::start(Options { wechat, ..Options::default() }).await.unwrap();
        let target = Target::of(&stack).await;
        let message = |content: &str| {
            let xml = target.xml.replace("event", "text");
            xml.replace("</xml>", &format!("<Content>{content}</Content><MsgId>7</MsgId></xml>"))
        };
        for typed in ["<![CDATA[a\u{2}b\u{1d}]]>", "<![CDATA[\0\u{FFFE}\u{FFFF}]]>", "&#x2;&#8;&#xFFFF;"] {
            let envelope = stack.wechat.seal(&message(typed), &target.openid);
            let attempt = stack.wechat.send(&envelope, &target.openid).await;
            assert_eq!(attempt.error, None, "{mode:?} {typed:?}");
            assert!(attempt.reply.is_some_and(|words| words.contains("您好")), "{mode:?} {typed:?}");
        }
        let injected =
            format!("<![CDATA[]]></Content>{}<Content>", &target.xml["<xml>".len()..target.xml.len() - 6]);
        for (fault, xml, stage) in [
            ("injected fields", message(&injected), "fields"),
            ("no time", target.xml.replace("CreateTime", "Time"), "fields"),
        ] {
            let envelope = stack.wechat.seal(&xml, &target.openid);
            is_refused(&stack, fault, &envelope, (200, stage)).await;
        }
        let good = target.sealed(&stack);
        target.untouched_then_completed_by(&stack, &good).await;
    }
}

#[tokio::test]
async fn the_address_is_verified_only_by_a_signature() {
    let stack = stack().await;
    let envelope = stack.wechat.seal("<xml/>", "");
    let ask = async |query: &str| Raw::ask(stack.callback.pushes, &head("GET", query, ""), b"").await;
    let signed = query_of(&without(without(envelope.clone(), "encrypt_type"), "msg_signature"));
    let echoed = ask(&format!("{signed}&echostr=%3Cscript%3E")).await;
    assert_eq!((echoed.status, echoed.body.as_str()), (200, "<script>"));
    assert_eq!(echoed.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(echoed.header("x-content-type-options"), Some("nosniff"));

    let mut wrong = envelope.clone();
    set(&mut wrong, "signature", "f".repeat(40));
    let stale = resign(&stack, envelope, now() - 310);
    for (fault, query, status, stage) in [
        ("a wrong signature", query_of(&wrong), 403, "signature"),
        ("a stale one", query_of(&stale), 403, "freshness"),
        ("none", String::new(), 403, "signature"),
        ("two echoes", format!("{signed}&echostr=1"), 403, "query"),
    ] {
        let before = refused(&stack, stage).await;
        let reply = ask(&format!("{query}&echostr=echoed")).await;
        assert_eq!((reply.status, reply.body.as_str()), (status, ""), "{fault}");
        assert_eq!(refused(&stack, stage).await, before + 1, "{fault}");
    }
    assert_eq!(ask(&signed).await.status, 400, "there is nothing to echo");
}

#[tokio::test]
async fn in_plaintext_mode_a_signature_comes_with_one_body_only() {
    let wechat = Settings { mode: Mode::Plaintext, ..Settings::default() };
    let callback = vec!["--callback-store=sqlite::memory:".to_owned()];
    let options = Options { wechat, callback, ..Options::default() };
    let stack = Stack::start(options).await.unwrap();
    let (mut seen, target) = (Target::of(&stack).await, Target::of(&stack).await);
    let envelope = seen.sealed(&stack);
    let words = post(&stack, &envelope).await;
    assert!(words.status == 200 && words.body.contains("第1次"), "{words:?}");
    seen.page.expect("scanned").await;
    seen.page.expect("scan_success").await;

    let again = post(&stack, &envelope).await;
    assert_eq!(again.status, 200);
    assert!(again.body.contains("第1次"), "a repeat is answered: {again:?}");
    let forged = Envelope { body: target.xml.clone(), ..envelope.clone() };
    is_refused(&stack, "a seen signature", &forged, (403, "signature")).await;
    let mut called_raw = forged;
    set(&mut called_raw, "encrypt_type", "raw");
    is_refused(&stack, "and called raw", &called_raw, (403, "signature")).await;
    let mut sealed = target.sealed(&stack);
    set(&mut sealed, "encrypt_type", "aes");
    is_refused(&stack, "an encrypted one", &sealed, (403, "mode")).await;
    // The signature is the same when timestamp and nonce are exchanged.
    let (mut told, later) = (seen.sealed(&stack), now() + 200);
    set(&mut told, "nonce", later.to_string());
    let told = resign(&stack, told, now());
    assert_eq!(post(&stack, &told).await.status, 200);
    let mut exchanged = Envelope { body: target.xml.clone(), ..told.clone() };
    set(&mut exchanged, "nonce", get(&told, "timestamp").to_owned());
    set(&mut exchanged, "timestamp", later.to_string());
    is_refused(&stack, "an exchanged timestamp", &exchanged, (403, "signature")).await;

    // What verifies the address, and what is too old, was seen as well.
    let mut old = target.sealed(&stack);
    set(&mut old, "nonce", now().to_string());
    let old = resign(&stack, old, now() - 1_000_000);
    is_refused(&stack, "an old one", &old, (403, "freshness")).await;
    let mut exchanged = old.clone();
    set(&mut exchanged, "nonce", get(&old, "timestamp").to_owned());
    set(&mut exchanged, "timestamp", get(&old, "nonce").to_owned());
    is_refused(&stack, "an old one, exchanged", &exchanged, (403, "signature")).await;
    let own = target.sealed(&stack);
    let verified = head("GET", &format!("{}&echostr=1", query_of(&own)), "");
    assert_eq!(Raw::ask(stack.callback.pushes, &verified, b"").await.status, 200);
    is_refused(&stack, "a verification's", &own, (403, "signature")).await;

    // The store is this process's memory, which has no pushes of before.
    let old = resign(&stack, target.sealed(&stack), now() - 60);
    is_refused(&stack, "one of before the start", &old, (403, "freshness")).await;
    let own = target.sealed(&stack);
    target.untouched_then_completed_by(&stack, &own).await;
}
