//! Bad input over real sockets: forged pushes, strangers at the internal port, and pages that misbehave.
//! Each is refused as the design says, is told so where that can be read, and nobody else notices.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use demo::{NOTIFY_KEY, Options, Stack};
use e2e::page::{Code, Heard, PATIENCE, Page};
use e2e::raw::{End, Raw, Reply, UPGRADE, framed, masked, metric, metric_becomes};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use simulator::{Envelope, Mode, Settings};

/// What is enough for a login even while others misbehave.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Bytes of a push that the callback service takes: a real one has a few thousand at most.
const MAX_PUSH: usize = 64 * 1024;

async fn stack() -> Stack {
    Stack::start(Options::default()).await.unwrap()
}

async fn stack_with(gateway: &[&str]) -> Stack {
    let gateway = gateway.iter().map(|&flag| flag.to_owned()).collect();
    let options = Options { gateway, ..Options::default() };
    Stack::start(options).await.unwrap()
}

/// A whole login, from a page's opening to its close.
async fn log_in(stack: &Stack) {
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await;
    let openid = stack.wechat.invent_person("", true).openid;
    stack.wechat.scan(&openid, &code.content).await.unwrap();
    page.expect("scanned").await;
    page.expect("scan_success").await;
    assert_eq!(page.closed().await, 4010);
}

async fn log_in_at_once(stack: &Stack, meanwhile: &str) {
    let began = Instant::now();
    log_in(stack).await;
    let took = began.elapsed();
    assert!(took < AT_ONCE, "{meanwhile}: {took:?}");
}

/// A client of the internal port that has proved its key.
async fn client(stack: &Stack) -> Raw {
    let mut client = Raw::connect(stack.gateway.notices).await;
    client.prove().await;
    is_served(&mut client).await;
    client
}

async fn is_served(client: &mut Raw) {
    let pong = client.notify(&json!({"type": "ping", "id": "7"})).await;
    assert_eq!(pong, json!({"type": "pong", "id": "7"}));
}

async fn state_of(stack: &Stack, scene: &str) -> Value {
    let query = json!({"type": "query", "scene": scene});
    client(stack).await.notify(&query).await["state"].clone()
}

// === The callback service ===

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

    /// Nothing has happened to the login, and now it is completed by `envelope`.
    async fn untouched_then_completed_by(mut self, stack: &Stack, envelope: &Envelope) {
        assert_eq!(state_of(stack, &self.code.scene()).await, "waiting");
        let reply = post(stack, envelope).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        self.page.expect("scanned").await;
        self.page.expect("scan_success").await;
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
        forgeries.push((fault, stack.wechat.seal(xml, &target.openid), (400, "xml")));
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
            Some(stage) => forgeries.push((fault, envelope, (400, stage))),
            // Which check fails is the cipher's chance.
            None => assert_eq!(post(&stack, &envelope).await.status, 400, "{fault}"),
        }
    }
    let elsewhere = target.xml.replace("gh_", "gh_elsewhere_");
    forgeries.push(("to another account", stack.wechat.seal(&elsewhere, &target.openid), (400, "fields")));

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
        ("a path of two", head("POST", &query, &length).replace("/wechat?", "//wechat?"), 404),
    ] {
        let reply = Raw::ask(pushes, &head, body).await;
        assert_eq!(reply.status, status, "{fault}");
        assert!(!reply.body.contains("secret") && !reply.body.contains(&target.openid), "{fault}: {reply:?}");
    }
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
    let options = Options { wechat, ..Options::default() };
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
    let own = target.sealed(&stack);
    target.untouched_then_completed_by(&stack, &own).await;
}

// === The internal port ===

#[tokio::test]
async fn hostile_frames_end_their_own_connection_and_say_why() {
    let stack = stack().await;
    let mut good = client(&stack).await;
    let mut page = Page::open(stack.gateway.browsers).await;
    let scene = page.code().await.scene();
    let scan = json!({"type": "scan", "scene": scene}).to_string();
    let wrong = json!({"type": "auth", "client": "callback", "proof": "0".repeat(64)}).to_string();
    let stranger = json!({"type": "auth", "client": "\u{1b}[31m", "proof": ""}).to_string();
    let too_long = [&65_537_u32.to_be_bytes()[..], &[b' '; 65_537]].concat();
    let behind = [framed(&wrong), framed(&scan)].concat();
    // What is said to a stranger, and to a client that has proved its key.
    for (fault, bytes, codes) in [
        ("length 0", vec![0; 4], ["bad_frame"; 2]),
        ("length 65,537", too_long.clone(), ["bad_frame"; 2]),
        ("the largest length", vec![0xff; 200_000], ["bad_frame"; 2]),
        ("an HTTP request", format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n").into_bytes(), ["bad_frame"; 2]),
        (
            "a TLS hello",
            [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[7; 506]].concat(),
            ["bad_frame"; 2],
        ),
        ("no JSON", framed(b"hello"), ["bad_json"; 2]),
        ("an array", framed(b"[]"), ["bad_json"; 2]),
        ("no UTF-8", framed(b"{\"type\":\"\xff\"}"), ["bad_json"; 2]),
        ("a nest", framed("[".repeat(60_000)), ["bad_json"; 2]),
        ("a notice before auth", framed(&scan), ["unauthorized", ""]),
        ("a wrong proof", framed(&wrong), ["unauthorized", ""]),
        ("a notice behind it", behind.clone(), ["unauthorized", ""]),
        ("an unknown name", framed(&stranger), ["unauthorized", ""]),
    ] {
        let mut connections = vec![(Raw::connect(stack.gateway.notices).await, codes[0])];
        connections[0].0.message().await.expect("hello");
        if !codes[1].is_empty() {
            connections.push((client(&stack).await, codes[1]));
        }
        for (mut raw, code) in connections {
            raw.write(&bytes).await;
            let error = raw.message().await.unwrap_or_else(|| panic!("{fault}: no error"));
            assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{fault}");
            assert!(!error.to_string().contains(NOTIFY_KEY), "{fault}");
            assert_eq!(raw.ended().await, End::Closed, "{fault}: no reset");
            is_served(&mut good).await;
        }
    }
    // Cut anywhere, a frame has no effect and is closed without a word.
    let frame = framed(&scan);
    for length in [1, 4, 5, frame.len() - 1] {
        let mut cut = client(&stack).await;
        cut.write(&frame[..length]).await;
        tokio::io::AsyncWriteExt::shutdown(&mut cut.0).await.unwrap();
        assert!(cut.message().await.is_none(), "cut at {length}");
        is_served(&mut good).await;
    }
    assert!(metric(stack.gateway.admin, "gateway_unauthorized_total").await >= 13);
    assert_eq!(state_of(&stack, &scene).await, "waiting");
    let answer = good.notify(&json!({"type": "scan", "id": "1", "scene": scene})).await;
    assert_eq!(answer["status"], "delivered");
    page.expect("scan_success").await;
}

#[tokio::test]
async fn a_bad_notice_is_answered_and_the_connection_stays() {
    let stack = stack().await;
    let mut client = client(&stack).await;
    for notice in [
        json!({"type": "shout", "id": "1"}),
        json!({"type": "scan", "id": "1"}),
        json!({"type": "scan", "id": "1", "scene": "../../etc/passwd"}),
        json!({"type": "scan", "id": "1", "scene": "A".repeat(22), "fd": "B".repeat(22)}),
        json!({"type": "scan", "id": "1", "scene": "A".repeat(22), "nickname": "x".repeat(257)}),
        json!({"type": "claim", "id": "1", "scene": "A".repeat(22)}),
        json!({"type": "claim", "id": "1", "scene": "A".repeat(22), "by": "x", "number": "4<"}),
        json!({"type": ["scan"], "id": "1"}),
    ] {
        let answer = client.notify(&notice).await;
        assert_eq!((&answer["status"], &answer["id"]), (&json!("bad"), &json!("1")), "{notice}");
        is_served(&mut client).await;
    }
}

#[tokio::test]
async fn too_many_connections_to_the_internal_port_are_told_so() {
    const MANY: usize = 300;
    let stack = stack().await;
    // The callback service is connected from here on.
    log_in(&stack).await;
    let mut good = client(&stack).await;
    let mut strangers = Vec::new();
    let mut heard = [0, 0];
    for _ in 0..MANY {
        let mut stranger = Raw::connect(stack.gateway.notices).await;
        match stranger.message().await {
            Some(hello) if hello["type"] == "hello" => heard[0] += 1,
            Some(error) => {
                assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("busy")));
                assert_eq!(stranger.ended().await, End::Closed);
                heard[1] += 1;
            }
            None => panic!("closed without a word"),
        }
        strangers.push(stranger);
    }
    // The gateway has 256 places; this test's client and the callback service have one each.
    assert_eq!(heard, [254, MANY - 254]);
    is_served(&mut good).await;
    log_in_at_once(&stack, "while the internal port is full").await;
    drop(strangers);
    // Their places become free as the gateway notices; until then it says that it is busy.
    let began = Instant::now();
    while refused_at(stack.gateway.notices).await {
        assert!(began.elapsed() < PATIENCE, "the places do not become free");
    }
}

async fn refused_at(notices: SocketAddr) -> bool {
    let said = Raw::connect(notices).await.message().await;
    said.is_none_or(|said| said["type"] != "hello")
}

// === The browsers' port ===

#[tokio::test]
async fn a_handshake_that_may_not_be_is_refused_by_its_status() {
    let stack = stack().await;
    let without = |name: &str| {
        let lines = UPGRADE.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with(name)).collect::<String>()
    };
    let and = |more: &str| format!("{UPGRADE}{more}\r\n");
    let cookies = format!("Cookie: {}", "c".repeat(20_000));
    let many_lines: String = (0..100).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let cases = [
        ("GET /ws", and("Origin: https://evil.example"), 403),
        ("GET /ws", and("Origin: http://localhost.evil.example"), 403),
        ("GET /ws", and("Origin: null"), 403),
        ("GET /ws", and("Origin: "), 403),
        ("GET /", and("Origin: null"), 403),
        ("GET /ws", without("Sec-WebSocket-Version"), 426),
        ("GET /ws", without("Sec-WebSocket-Version") + "Sec-WebSocket-Version: 8\r\n", 426),
        ("GET /ws", "Host: localhost\r\n".to_owned(), 426),
        ("GET /ws", without("Sec-WebSocket-Key"), 400),
        ("GET /ws", without("Sec-WebSocket-Key") + "Sec-WebSocket-Key: short\r\n", 400),
        ("GET /ws", without("Connection"), 400),
        ("GET /ws", and("Origin: https://localhost\r\nOrigin: https://localhost"), 400),
        ("POST /ws", UPGRADE.to_owned(), 405),
        ("POST /", "Host: x\r\nContent-Length: 2\r\n\r\nhi".to_owned(), 405),
        ("HEAD /ws", UPGRADE.to_owned(), 426),
        ("GET /ws", and(&cookies), 431),
        ("GET /ws", and(&many_lines), 431),
        ("GET /admin", "Host: localhost\r\n".to_owned(), 404),
        ("GET /metrics", "Host: localhost\r\n".to_owned(), 404),
        ("GET /admin", UPGRADE.to_owned(), 404),
        ("GET /../login.js", "Host: localhost\r\n".to_owned(), 404),
    ];
    for (line, headers, status) in cases {
        let mut raw = Raw::connect(stack.gateway.browsers).await;
        raw.write(format!("{line} HTTP/1.1\r\n{headers}\r\n")).await;
        let head = raw.head().await.expect("the refusal is read");
        let shown = &headers[..headers.len().min(300)];
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{line} {shown}: {head}");
        assert!(!head.contains("evil"), "{head}");
        if status == 426 {
            assert!(head.contains("\r\nsec-websocket-version: 13\r\n"), "{head}");
        }
    }
    // What is wrong with a query is told after the upgrade, where scripts can read it.
    for path in ["/ws?site=a&request=b", "/ws?site=a&site=b", "/ws?nonce="] {
        let mut page = Page::offer(stack.gateway.browsers, path, &["saoma.v1"]).await.unwrap();
        assert_eq!(page.expect("error").await["code"], "bad_request", "{path}");
        assert_eq!(page.closed().await, 1008, "{path}");
    }
    assert_eq!(metric(stack.gateway.admin, "gateway_logins_total").await, 0);
    // The same handshakes with what was wrong put right.
    let own = Raw::connect(stack.gateway.browsers).await;
    let opened = own.upgrade("/ws?site=a", &[("Origin", "https://localhost")]).await;
    opened.unwrap().expect("qrcode_url").await;
}

#[tokio::test]
async fn what_follows_a_request_at_once_is_read_as_what_it_is() {
    let stack = stack().await;
    let mut raw = Raw::connect(stack.gateway.browsers).await;
    raw.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03\x01garbage\r\n\r\n").await;
    assert_eq!(raw.reply().await.unwrap().status, 200);
    assert_eq!(raw.reply().await.unwrap().status, 400);
    assert_eq!(raw.ended().await, End::Closed);

    // A second request behind an upgrade is no WebSocket frame.
    let mut raw = Raw::connect(stack.gateway.browsers).await;
    let smuggled = "GET /login.js HTTP/1.1\r\nHost: x\r\n\r\n";
    raw.write(format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n{smuggled}")).await;
    assert_eq!(raw.reply().await.unwrap().status, 101);
    assert_eq!(raw.closed().await, 1002);

    // A frame behind it is one.
    let mut raw = Raw::connect(stack.gateway.browsers).await;
    let mut bytes = format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n").into_bytes();
    bytes.extend(masked(8, &[0x03, 0xe8]));
    raw.write(bytes).await;
    assert_eq!(raw.reply().await.unwrap().status, 101);
    assert_eq!(raw.closed().await, 1000);
    assert_eq!(raw.ended().await, End::Closed);
    log_in(&stack).await;
}

#[tokio::test]
async fn a_page_that_breaks_the_rules_is_told_so_and_loses_its_own_socket() {
    let stack = stack().await;
    let mut witness = Page::open(stack.gateway.browsers).await;
    let code = witness.code().await;
    let rubbish: Vec<u8> = (0..60).flat_map(|_| masked(1, b"{\"message_type\":\"scan_success\"}")).collect();
    let pings: Vec<u8> = (0..60).flat_map(|_| masked(9, b"ping")).collect();
    let fragments: Vec<u8> = std::iter::once((1, 2000))
        .chain(std::iter::repeat_n((0, 2000), 4))
        .flat_map(|(opcode, length)| {
            let mut frame = masked(opcode, &vec![b'x'; length]);
            frame[0] &= 0x7f;
            frame
        })
        .collect();
    let huge = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4], &[7; 100_000]].concat();
    for (fault, bytes, close) in [
        ("a flood of rubbish", rubbish, 4008),
        ("a flood of pings", pings, 4008),
        ("a message of 4,097 bytes", masked(1, &[b'x'; 4097]), 1009),
        ("a message of 60,000 bytes", masked(2, &[b'x'; 60_000]), 1009),
        ("a frame of 16 EiB", huge, 1009),
        ("fragments of 10,000 bytes", fragments, 1009),
        ("a frame without a mask", b"\x81\x02hi".to_vec(), 1002),
        ("a reserved opcode", masked(3, b""), 1002),
        ("a reserved bit", vec![0xc1, 0x80, 0, 0, 0, 0], 1002),
        ("a ping of 126 bytes", masked(9, &[b'x'; 126]), 1002),
        ("a continuation of nothing", masked(0, b"x"), 1002),
        ("bad UTF-8", masked(1, b"\xff\xfe"), 1007),
    ] {
        let raw = Raw::connect(stack.gateway.browsers).await;
        let mut raw = raw.upgrade("/ws", &[]).await.unwrap();
        raw.expect("qrcode_url").await;
        raw.write(&bytes).await;
        assert_eq!(raw.closed().await, close, "{fault}");
        raw.write(masked(8, &close.to_be_bytes())).await;
        assert_eq!(raw.ended().await, End::Closed, "{fault}: no reset");
    }
    // Within the limits, rubbish is only not listened to.
    let raw = Raw::connect(stack.gateway.browsers).await;
    let mut raw = raw.upgrade("/ws", &[]).await.unwrap();
    raw.expect("qrcode_url").await;
    for said in
        ["", "null", "[[[[", "{\"message_type\":7}", "<script>", "{\"message_type\":\"scan_success\"}"]
    {
        raw.write(masked(1, said.as_bytes())).await;
    }
    raw.write(masked(2, &[0; 4096])).await;
    raw.write(masked(1, b"{\"message_type\":\"refresh\"}")).await;
    raw.expect("qrcode_url").await;

    let openid = stack.wechat.invent_person("", true).openid;
    stack.wechat.scan(&openid, &code.content).await.unwrap();
    witness.expect("scanned").await;
    witness.expect("scan_success").await;
}

#[tokio::test]
async fn idle_connections_keep_no_page_from_logging_in() {
    let stack = stack().await;
    let mut idle = Vec::new();
    for number in 0..1000 {
        let mut raw = Raw::connect(stack.gateway.browsers).await;
        if number % 2 == 0 {
            raw.write("GET /ws HTTP/1.1\r\nHost: localh").await;
        }
        idle.push(raw);
    }
    log_in_at_once(&stack, "beside 1,000 idle connections").await;
    let began = Instant::now();
    for raw in &mut idle {
        raw.ended().await;
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(7), "they are let go of: {took:?}");
}

/// A gateway beside the stack's own, whose codes have a URL of 28 KiB: a few of them fill a connection.
fn wordy_gateway(stack: &Stack) -> ws_gateway::Addresses {
    let account = stack.wechat.settings();
    let flags = [
        "--gateway-listen=127.0.0.1:0".to_owned(),
        "--gateway-notify-listen=127.0.0.1:0".to_owned(),
        "--gateway-admin-listen=127.0.0.1:0".to_owned(),
        format!("--wechat-app-id={}", account.app_id),
        format!("--wechat-api-url=http://{}", stack.wechat_address),
        format!("--wechat-qr-url=http://{}", "x".repeat(28 * 1024)),
    ];
    let secrets = ws_gateway::config::Secrets {
        notify_key: Some(NOTIFY_KEY.into()),
        wechat_app_secret: Some(account.app_secret.clone().into()),
    };
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let config = ws_gateway::config::Config::of(&flags, secrets).unwrap();
    let server = ws_gateway::Server::bind(config).unwrap();
    let addresses = server.addresses().unwrap();
    tokio::spawn(server.run(std::future::pending()));
    addresses
}

#[tokio::test]
async fn a_page_that_never_reads_loses_its_own_socket_only() {
    let stack = stack().await;
    let gateway = wordy_gateway(&stack);
    let narrow = Raw::connect_narrow(gateway.browsers).await;
    let mut deaf = narrow.upgrade("/ws", &[]).await.unwrap();
    for code in 1..=4 {
        // As many as a page may have at once, or fewer where they fill the connection already.
        let counted = metric_becomes(gateway.admin, "gateway_logins_total", code);
        if tokio::time::timeout(AT_ONCE, counted).await.is_err() {
            break;
        }
        deaf.write(masked(1, b"{\"message_type\":\"refresh\"}")).await;
    }

    let began = Instant::now();
    let mut client = Raw::connect(gateway.notices).await;
    client.prove().await;
    let mut page = Page::open(gateway.browsers).await;
    let scene = page.code().await.scene();
    let scan = json!({"type": "scan", "id": "1", "scene": scene});
    assert_eq!(client.notify(&scan).await["status"], "delivered");
    page.expect("scan_success").await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert_eq!(page.closed().await, 4010);
    drop(page);

    metric_becomes(gateway.admin, "gateway_pages", 1).await;
    metric_becomes(gateway.admin, "gateway_pages", 0).await;
    // Before its heartbeat is due: because of what it did not read.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    drop(deaf);
}

/// The address that the gateway believes a page of these headers to have.
async fn address_of(stack: &Stack, forwarded: &[&str]) -> String {
    let headers: Vec<_> = forwarded.iter().map(|&value| ("X-Forwarded-For", value)).collect();
    let raw = Raw::connect(stack.gateway.browsers).await;
    let mut page = raw.upgrade("/ws", &headers).await.unwrap();
    let resume = page.expect("qrcode_url").await["resume"].as_str().unwrap().to_owned();
    let scene = resume.split('.').next().unwrap();
    let claim = json!({"type": "claim", "id": "1", "scene": scene, "by": "somebody"});
    let answer = client(stack).await.notify(&claim).await;
    assert_eq!(answer["status"], "delivered");
    answer["context"]["ip"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_forwarded_address_is_believed_from_trusted_proxies_only() {
    let strict = stack().await;
    assert_eq!(address_of(&strict, &["203.0.113.7"]).await, "127.0.0.1");
    assert_eq!(address_of(&strict, &["<script>"]).await, "127.0.0.1");
    let trusting = stack_with(&["--gateway-trusted-proxies=127.0.0.0/8,10.0.0.0/8"]).await;
    for (forwarded, believed) in [
        (vec!["203.0.113.7"], "203.0.113.7"),
        (vec!["198.51.100.1, 203.0.113.7, 10.0.0.9"], "203.0.113.7"),
        (vec!["198.51.100.1", "203.0.113.7, 10.0.0.9"], "203.0.113.7"),
        (vec!["198.51.100.1, <script>"], "127.0.0.1"),
        (vec![], "127.0.0.1"),
    ] {
        assert_eq!(address_of(&trusting, &forwarded).await, believed, "{forwarded:?}");
    }
}

#[tokio::test]
async fn a_full_gateway_says_so_and_works_on() {
    let stack = stack_with(&["--gateway-max-pages=2"]).await;
    let browsers = stack.gateway.browsers;
    let mut first = Page::open(browsers).await;
    let mut second = Page::open(browsers).await;
    let code = first.code().await;
    second.code().await;

    let third = Raw::connect(browsers).await;
    let refusal = third.upgrade("/ws", &[]).await.err().expect("the third page is refused");
    assert_eq!(refusal.status, 503);
    assert!(refusal.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    let page = Raw::ask(browsers, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"").await;
    assert_eq!(page.status, 503);
    assert_eq!(metric(stack.gateway.admin, "gateway_refused_total").await, 2);
    for admin in [stack.gateway.admin, stack.callback.admin] {
        let head = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert_eq!(Raw::ask(admin, head, b"").await.status, 200);
    }

    let openid = stack.wechat.invent_person("", true).openid;
    let delivery = stack.wechat.scan(&openid, &code.content).await.unwrap();
    assert!(delivery.reply.is_some(), "{delivery:?}");
    first.expect("scanned").await;
    first.expect("scan_success").await;
    assert_eq!(first.closed().await, 4010);
    drop(first);
    assert_eq!(admitted(browsers).await, 101, "a page that leaves makes room");
}

/// Tries to open a page until there is room, as a page does.
async fn admitted(browsers: SocketAddr) -> u16 {
    let began = Instant::now();
    loop {
        match Raw::connect(browsers).await.upgrade("/ws", &[]).await {
            Ok(_) => return 101,
            Err(refusal) if refusal.status == 503 && began.elapsed() < AT_ONCE * 3 => {}
            Err(refusal) => return refusal.status,
        }
    }
}

// === Coming back ===

#[tokio::test]
async fn only_the_resume_key_opens_a_login_and_only_to_its_own_origin() {
    let stack = stack_with(&["--gateway-allowed-origins=https://a.example,https://b.example"]).await;
    let browsers = stack.gateway.browsers;
    let open = async |origin: Option<&str>, key: Option<&str>| {
        let protocols = key.map_or("saoma.v1".to_owned(), |key| format!("saoma.v1, resume.{key}"));
        let mut headers = vec![("Sec-WebSocket-Protocol", protocols.as_str())];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        Raw::connect(browsers).await.upgrade("/ws", &headers).await.unwrap()
    };
    let own = Some("https://a.example");
    let key_of = |said: &Value| said["resume"].as_str().unwrap().to_owned();
    let mut page = open(own, None).await;
    let shown = page.expect("qrcode_url").await;
    let key = key_of(&shown);
    let mut other = open(own, None).await;
    let others = key_of(&other.expect("qrcode_url").await);
    let (scene, secret) = key.split_once('.').unwrap();
    let (others_scene, others_secret) = others.split_once('.').unwrap();

    for (fault, key, close) in [
        ("another's secret", format!("{scene}.{others_secret}"), 4001),
        ("another's scene", format!("{others_scene}.{secret}"), 4001),
        ("a wrong secret", format!("{scene}.{}", "A".repeat(secret.len())), 4001),
        ("the scene alone", scene.to_owned(), 4001),
        ("no secret", format!("{scene}."), 4001),
        ("an unknown login", format!("{}.{secret}", "A".repeat(22)), 4001),
        ("rubbish", "rubbish".to_owned(), 4001),
    ] {
        let mut thief = open(own, Some(&key)).await;
        assert_eq!(thief.hear().await, Heard::Closed(close), "{fault}: closed before anything is said");
    }
    for origin in [Some("https://b.example"), None] {
        let mut thief = open(origin, Some(&key)).await;
        assert_eq!(thief.hear().await, Heard::Closed(1008), "{origin:?}");
    }

    // None of them has taken the page's seat; its own key does.
    let mut newer = open(own, Some(&key)).await;
    let again = newer.expect("qrcode_url").await;
    assert_eq!((key_of(&again), &again["content"]), (key.clone(), &shown["content"]));
    assert_eq!(page.hear().await, Heard::Closed(4002), "and the older socket hears nothing but that");

    let openid = stack.wechat.invent_person("", true).openid;
    stack.wechat.scan(&openid, shown["content"].as_str().unwrap()).await.unwrap();
    newer.expect("scanned").await;
    newer.expect("scan_success").await;
    assert_eq!(newer.closed().await, 4010);
    // An end is told again to the key alone.
    let mut back = open(own, Some(&key)).await;
    back.expect("qrcode_url").await;
    back.expect("scan_success").await;
    let mut thief = open(own, Some(&format!("{scene}.{others_secret}"))).await;
    assert_eq!(thief.hear().await, Heard::Closed(4001));
    assert_eq!(state_of(&stack, others_scene).await, "waiting");
}
