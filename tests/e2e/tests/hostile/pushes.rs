//! At WeChat's door: forged, broken, large and slow pushes.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use demo::{Options, Stack};
use e2e::page::{Code, Page};
use e2e::raw::{Raw, Reply, metric};
use sha1::{Digest, Sha1};
use simulator::{Envelope, Mode, Settings};

use super::{stack, state_of};

/// Bytes of a push that the callback service takes: a real one has a few thousand at most.
const MAX_PUSH: usize = 64 * 1024;

/// A page that waits, and the push of a person's scan of it, to be spoilt and in the end sent as it should be.
struct Target {
    page: Page,
    code: Code,
    openid: String,
    xml: String,
}

impl Target {
    async fn of(stack: &Stack) -> Self {
        let mut page = Page::open(stack.gateway.browsers).await;
        let code = page.code().await;
        let openid = stack.wechat.invent_person("", true).openid;
        let xml = format!(
            "<xml><ToUserName>{}</ToUserName><FromUserName>{openid}</FromUserName>\
             <CreateTime>{}</CreateTime><MsgType>event</MsgType><Event>SCAN</Event>\
             <EventKey>{}</EventKey></xml>",
            stack.wechat.settings().original_id,
            now(),
            code.scene()
        );
        Self { page, code, openid, xml }
    }

    fn sealed(&self, stack: &Stack) -> Envelope {
        stack.wechat.seal(&self.xml, &self.openid)
    }

    /// The login has come to its end.
    async fn ends_well(mut self) {
        self.page.expect("scanned").await;
        self.page.expect("scan_success").await;
    }

    /// Nothing has happened to the login, and now it is completed by `envelope`.
    async fn untouched_then_completed_by(self, stack: &Stack, envelope: &Envelope) {
        assert_eq!(state_of(stack, &self.code.scene()).await, "waiting");
        let reply = post(stack, envelope).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        self.ends_well().await;
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// WeChat's signature, for pushes that the simulator would never sign.
fn sign(parts: &[&str]) -> String {
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    let hash = Sha1::digest(parts.concat());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn get<'a>(envelope: &'a Envelope, name: &str) -> &'a str {
    let found = envelope.query.iter().find(|(found, _)| *found == name);
    &found.unwrap().1
}

fn set(envelope: &mut Envelope, name: &'static str, value: impl Into<String>) {
    envelope.query.retain(|(found, _)| *found != name);
    envelope.query.push((name, value.into()));
}

fn without(mut envelope: Envelope, name: &str) -> Envelope {
    envelope.query.retain(|(found, _)| *found != name);
    envelope
}

/// Signs the envelope as it is now, with the account's own token.
fn resign(stack: &Stack, mut envelope: Envelope, timestamp: u64) -> Envelope {
    let (token, timestamp) = (&stack.wechat.settings().token, timestamp.to_string());
    let nonce = get(&envelope, "nonce").to_owned();
    set(&mut envelope, "signature", sign(&[token, &timestamp, &nonce]));
    if let Some(encrypt) = encrypted(&envelope) {
        let signature = sign(&[token, &timestamp, &nonce, encrypt]);
        set(&mut envelope, "msg_signature", signature);
    }
    set(&mut envelope, "timestamp", timestamp);
    envelope
}

fn encrypted(envelope: &Envelope) -> Option<&str> {
    let (_, rest) = envelope.body.split_once("<Encrypt><![CDATA[")?;
    Some(rest.split_once("]]>")?.0)
}

/// Base64 needs no escapes but these; the rest of a query is digits and letters.
fn query_of(envelope: &Envelope) -> String {
    let pairs: Vec<String> = envelope.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn head(method: &str, query: &str, more: &str) -> String {
    format!("{method} /wechat?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n")
}

async fn post(stack: &Stack, envelope: &Envelope) -> Reply {
    let length = format!("Content-Length: {}\r\n", envelope.body.len());
    let head = head("POST", &query_of(envelope), &length);
    Raw::ask(stack.callback.pushes, &head, envelope.body.as_bytes()).await
}

async fn refused(stack: &Stack, stage: &str) -> u64 {
    let name = format!("callback_refused_total{{stage=\"{stage}\"}}");
    metric(stack.callback.admin, &name).await
}

/// Sends what must be refused, and checks how: silently, and counted.
async fn is_refused(stack: &Stack, fault: &str, envelope: &Envelope, (status, stage): (u16, &str)) {
    let before = refused(stack, stage).await;
    let reply = post(stack, envelope).await;
    assert_eq!(reply.status, status, "{fault}: {reply:?}");
    assert_eq!(reply.body, "", "{fault}");
    assert_eq!(refused(stack, stage).await, before + 1, "{fault} is counted as {stage}");
}

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
    for (fault, body) in [
        ("no body", String::new()),
        ("no XML", "{\"Encrypt\":\"x\"}".to_owned()),
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
async fn a_push_that_is_too_large_is_told_so_however_it_comes() {
    let stack = stack().await;
    let target = Target::of(&stack).await;
    let mut envelope = target.sealed(&stack);
    let query = query_of(&envelope);
    let padded = |size: usize| {
        let padding = " ".repeat(size - envelope.body.len());
        format!("{}{padding}", envelope.body)
    };
    for (size, chunked) in [(MAX_PUSH + 1, false), (MAX_PUSH + 1, true), (9 << 20, false), (9 << 20, true)] {
        let mut body = padded(size);
        let mut header = format!("Content-Length: {size}\r\n");
        if chunked {
            header = "Transfer-Encoding: chunked\r\n".to_owned();
            body = format!("{size:x}\r\n{body}\r\n0\r\n\r\n");
        }
        let head = head("POST", &query, &header);
        let reply = Raw::ask(stack.callback.pushes, &head, body.as_bytes()).await;
        assert_eq!((reply.status, reply.body.as_str()), (413, ""), "{size}, chunked {chunked}");

        // Whoever writes everything before it reads gets to see the answer too.
        let mut naive = Raw::connect(stack.callback.pushes).await;
        naive.write(head).await;
        naive.write(body).await;
        let reply = naive.reply().await.expect("the refusal is read");
        assert_eq!(reply.status, 413, "{size}, chunked {chunked}");
    }
    assert_eq!(refused(&stack, "size").await, 8);
    envelope.body = padded(MAX_PUSH);
    target.untouched_then_completed_by(&stack, &envelope).await;
}

/// The signature is in the query, so that a stranger's body is never kept.
#[tokio::test]
async fn a_stranger_is_refused_before_the_body_is_there() {
    let stack = stack().await;
    let target = Target::of(&stack).await;
    let good = target.sealed(&stack);
    let mut forged = good.clone();
    set(&mut forged, "signature", "0".repeat(40));
    let in_plaintext = without(good.clone(), "encrypt_type");
    for (envelope, stage) in [(&forged, "signature"), (&in_plaintext, "mode")] {
        for length in ["Content-Length: 60000\r\n", "Transfer-Encoding: chunked\r\n"] {
            let mut raw = Raw::connect(stack.callback.pushes).await;
            raw.write(head("POST", &query_of(envelope), length)).await;
            assert_eq!(raw.reply().await.expect("it is answered").status, 403, "{stage}, {length}");
        }
        assert_eq!(refused(&stack, stage).await, 2);
    }
    assert_eq!(refused(&stack, "body").await, 0);
    target.untouched_then_completed_by(&stack, &good).await;
}

#[tokio::test]
async fn what_is_no_push_is_refused_without_an_echo() {
    let stack = stack().await;
    let target = Target::of(&stack).await;
    let envelope = target.sealed(&stack);
    let query = query_of(&envelope);
    let pushes = stack.callback.pushes;
    let length = format!("Content-Length: {}\r\n", envelope.body.len());
    let body = envelope.body.as_bytes();
    for (fault, head, status) in [
        ("PUT", head("PUT", &query, &length), 405),
        ("DELETE", head("DELETE", &query, &length), 405),
        ("another path", head("POST", &query, &length).replace("/wechat?", "/wechat/secret?"), 404),
        ("an encoded path", head("POST", &query, &length).replace("/wechat?", "/%77echat?"), 404),
        ("another case", head("POST", &query, &length).replace("/wechat?", "/WeChat?"), 404),
        ("no path", head("POST", &query, &length).replace("/wechat?", "/?"), 404),
    ] {
        let reply = Raw::ask(pushes, &head, body).await;
        assert_eq!(reply.status, status, "{fault}");
        assert!(!reply.body.contains("secret") && !reply.body.contains(&target.openid), "{fault}: {reply:?}");
    }
    assert_eq!(refused(&stack, "path").await, 4, "the console's URL is wrong");
    for (fault, bytes) in [
        ("no HTTP", "hello\r\n\r\n".to_owned()),
        ("two lengths", head("POST", &query, "Content-Length: 1\r\nContent-Length: 2\r\n")),
        ("a head without end", format!("GET /wechat HTTP/1.1\r\nX: {}", "x".repeat(20_000))),
    ] {
        let mut raw = Raw::connect(pushes).await;
        raw.write(bytes).await;
        let status = raw.reply().await.expect("it is answered").status;
        assert!((400..=431).contains(&status), "{fault}: {status}");
        raw.ended().await;
    }
    target.untouched_then_completed_by(&stack, &envelope).await;
}

/// WeChat's console shows the operator nothing but "token 验证失败".
#[tokio::test]
async fn a_slash_too_many_in_the_console_changes_nothing() {
    let stack = stack().await;
    for path in ["/wechat/?", "//wechat?"] {
        let target = Target::of(&stack).await;
        let verification = without(without(stack.wechat.seal("<xml/>", ""), "encrypt_type"), "msg_signature");
        let get =
            head("GET", &format!("{}&echostr=echo", query_of(&verification)), "").replace("/wechat?", path);
        let echoed = Raw::ask(stack.callback.pushes, &get, b"").await;
        assert_eq!((echoed.status, echoed.body.as_str()), (200, "echo"), "{path}");

        let push = target.sealed(&stack);
        let length = format!("Content-Length: {}\r\n", push.body.len());
        let post = head("POST", &query_of(&push), &length).replace("/wechat?", path);
        let reply = Raw::ask(stack.callback.pushes, &post, push.body.as_bytes()).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        target.ends_well().await;
    }
}

/// Checks of balancers sign nothing, and a 4xx takes every back end away.
#[tokio::test]
async fn a_balancers_check_finds_the_service_well() {
    let stack = stack().await;
    let ask = async |request: &str, version: &str| {
        let head = format!("{request} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut raw = Raw::connect(stack.callback.pushes).await;
        raw.write(head).await;
        String::from_utf8(raw.rest().await.0).unwrap()
    };
    for version in ["1.0", "1.1"] {
        for request in ["GET /", "HEAD /", "GET /livez", "HEAD /livez", "HEAD /wechat"] {
            let answer = ask(request, version).await;
            assert!(answer.contains(" 200 OK\r\n"), "{request}: {answer}");
            assert_eq!(answer.ends_with("\r\n\r\n"), request.starts_with("HEAD"), "{request}: {answer}");
        }
        for (request, status) in [("POST /", "404"), ("GET /index.html", "404"), ("GET /wechat", "403")] {
            let answer = ask(request, version).await;
            assert!(answer.contains(status), "{request}: {answer}");
        }
    }
    assert_eq!(refused(&stack, "path").await, 0);
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
async fn half_a_request_and_silence_is_let_go_of_in_time() {
    let stack = stack().await;
    let target = Target::of(&stack).await;
    let envelope = target.sealed(&stack);
    let whole = head("POST", &query_of(&envelope), &format!("Content-Length: {}\r\n", envelope.body.len()));
    let silence = async |bytes: &str| {
        let mut raw = Raw::connect(stack.callback.pushes).await;
        raw.write(bytes).await;
        let began = Instant::now();
        raw.ended().await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(7), "{} bytes: {took:?}", bytes.len());
    };
    let half_a_body = format!("{whole}{}", &envelope.body[..envelope.body.len() - 1]);
    tokio::join!(
        silence(""),
        silence("POST /wechat HTT"),
        silence(&whole[..whole.len() - 1]),
        silence(&whole),
        silence(&half_a_body),
    );
    assert_eq!(refused(&stack, "body").await, 2, "the two whose head was whole");
    target.untouched_then_completed_by(&stack, &envelope).await;
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
