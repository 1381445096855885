//! One scan logs a page in: the whole system in one process, with real sockets between its parts.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::time::{Duration, Instant};

use demo::{Options, Stack};
use e2e::page::{Heard, Page};
use serde_json::json;
use simulator::{Call, Fault, Mode, Person, Settings};

async fn stack() -> Stack {
    Stack::start(Options::default()).await.unwrap()
}

/// The old user info, which still gave nicknames.
async fn stack_with_nicknames() -> Stack {
    let wechat = Settings { nicknames: true, ..Settings::default() };
    Stack::start(Options { wechat, ..Options::default() }).await.unwrap()
}

fn person(stack: &Stack, nickname: &str, follower: bool) -> String {
    stack.wechat.invent_person(nickname, follower).openid
}

#[tokio::test]
async fn a_first_scan_and_a_followers_scan_log_their_pages_in() {
    let stack = stack_with_nicknames().await;
    let openid = person(&stack, "阿狸", false);
    for (words, user) in [
        ("阿狸，登录成功！\n这是你第1次登录，玩的开心！", "阿狸"),
        ("阿狸，欢迎回来！\n这是你第2次登录，玩的开心！", "阿狸"),
    ] {
        let mut page = Page::open(stack.gateway.browsers).await;
        let code = page.code().await;
        let delivery = stack.wechat.scan(&openid, &code.content).await.unwrap();
        assert_eq!(delivery.reply.as_deref(), Some(words), "{delivery:?}");
        page.expect("scanned").await;
        assert_eq!(page.expect("scan_success").await["user"], user);
        assert_eq!(page.closed().await, 4010);
    }
}

#[tokio::test]
async fn without_a_nickname_everything_reads_naturally() {
    let stack = stack().await;
    let openid = person(&stack, "nobody sees this", false);
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await;
    let delivery = stack.wechat.scan(&openid, &code.content).await.unwrap();
    assert_eq!(delivery.reply.as_deref(), Some("登录成功！\n这是你第1次登录，玩的开心！"));
    page.expect("scanned").await;
    assert_eq!(page.expect("scan_success").await["user"], "");
}

#[tokio::test]
async fn plaintext_and_compatible_mode_work_too() {
    for mode in [Mode::Plaintext, Mode::Compatible] {
        let wechat = Settings { mode, ..Settings::default() };
        let stack = Stack::start(Options { wechat, ..Options::default() }).await.unwrap();
        stack.wechat.verify_url().await.unwrap();
        let openid = person(&stack, "", true);
        let mut page = Page::open(stack.gateway.browsers).await;
        let code = page.code().await;
        let delivery = stack.wechat.scan(&openid, &code.content).await.unwrap();
        assert_eq!(delivery.reply.as_deref(), Some("欢迎回来！\n这是你第1次登录，玩的开心！"), "{mode:?}");
        page.expect("scanned").await;
        page.expect("scan_success").await;
    }
}

#[tokio::test]
async fn what_is_no_scan_of_ours_is_answered_as_the_original_does() {
    let stack = stack().await;
    stack.wechat.verify_url().await.unwrap();
    let openid = person(&stack, "", true);
    let greeting = stack.wechat.say(&openid, "你好").await.unwrap();
    assert!(greeting.reply.as_deref().unwrap().contains("扫一扫"), "{greeting:?}");
    for key in ["", "last_trade_no_4200001", "qrscene_12345", "qrscene_0", "AAAAAAAAAAAAAAAAAAAAAA"] {
        let welcome = stack.wechat.push_event(&openid, "subscribe", key).await.reply.unwrap();
        assert!(welcome.contains("感谢关注"), "{key}: {welcome}");
    }
    for (event, key) in [
        ("SCAN", "12345"),
        ("SCAN", "0"),
        ("SCAN", "qrscene_AAAAAAAAAAAAAAAAAAAAAA"),
        ("scan", "AAAAAAAAAAAAAAAAAAAAAA"),
        ("VIEW", "https://example.com/"),
        ("LOCATION", ""),
    ] {
        let delivery = stack.wechat.push_event(&openid, event, key).await;
        assert!(delivery.is_ok() && delivery.reply.is_none(), "{event} {key}: {delivery:?}");
    }
    // A key of a scene's form is ours, and the gateway does not know it.
    let delivery = stack.wechat.push_event(&openid, "SCAN", "AAAAAAAAAAAAAAAAAAAAAA").await;
    assert!(delivery.reply.as_deref().unwrap().contains("过期"), "{delivery:?}");
}

#[tokio::test]
async fn a_welcome_can_be_switched_off() {
    let options = Options { callback: vec!["--callback-text-welcome=".to_owned()], ..Options::default() };
    let stack = Stack::start(options).await.unwrap();
    let delivery = stack.wechat.push_event(&person(&stack, "", true), "subscribe", "").await;
    assert!(delivery.is_ok() && delivery.raw_reply.as_deref() == Some(""), "{delivery:?}");
}

#[tokio::test]
async fn messages_may_be_handed_to_customer_service_or_left_alone() {
    for (flag, mode, said) in [
        ("--callback-messages=customer_service", Mode::Plaintext, "transfer_customer_service"),
        ("--callback-messages=customer_service", Mode::Safe, "<Encrypt>"),
        ("--callback-messages=ignore", Mode::Safe, ""),
        ("--callback-text-greeting=", Mode::Safe, ""),
    ] {
        let wechat = Settings { mode, ..Settings::default() };
        let options = Options { wechat, callback: vec![flag.to_owned()], ..Options::default() };
        let stack = Stack::start(options).await.unwrap();
        let delivery = stack.wechat.say(&person(&stack, "", true), "谢谢").await.unwrap();
        assert!(delivery.is_ok() && delivery.reply.is_none(), "{flag}: {delivery:?}");
        let raw = delivery.raw_reply.unwrap();
        assert!(raw.contains(said) && raw.is_empty() == said.is_empty(), "{flag}: {raw}");
    }
}

#[tokio::test]
async fn a_code_logs_one_person_in_once() {
    let stack = stack().await;
    let (first, second) = (person(&stack, "", true), person(&stack, "", true));
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await;
    let words = |delivery: simulator::Delivery| delivery.reply.unwrap();
    let logged_in = words(stack.wechat.scan(&first, &code.content).await.unwrap());
    page.expect("scanned").await;
    page.expect("scan_success").await;
    let again = words(stack.wechat.scan(&first, &code.content).await.unwrap());
    assert_eq!(logged_in, again, "the same person's repeat gets the same words, and is not counted");
    let other = words(stack.wechat.scan(&second, &code.content).await.unwrap());
    assert!(other.contains("已经被使用"), "{other}");
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await;
    let next = words(stack.wechat.scan(&first, &code.content).await.unwrap());
    assert!(next.contains("第2次"), "{next}");
}

#[tokio::test]
async fn who_unfollows_is_forgotten() {
    let stack = stack().await;
    let openid = person(&stack, "", true);
    let log_in = async || {
        let mut page = Page::open(stack.gateway.browsers).await;
        let code = page.code().await;
        stack.wechat.scan(&openid, &code.content).await.unwrap().reply.unwrap()
    };
    assert!(log_in().await.contains("第1次"));
    assert!(log_in().await.contains("第2次"));
    let left = stack.wechat.unfollow(&openid).await.unwrap();
    assert!(left.is_ok() && left.reply.is_none());
    assert_eq!(log_in().await, "登录成功！\n这是你第1次登录，玩的开心！");
}

#[tokio::test]
async fn a_hostile_nickname_arrives_as_text() {
    let stack = stack_with_nicknames().await;
    for name in [
        "<script>alert(1)</script>",
        "]]></Content><Content>x",
        "\"quotes\" & 'apostrophes' \\",
        "阿狸🦊👩\u{200d}💻",
        "{name}{count}",
        "%s %d",
    ] {
        let openid = person(&stack, name, true);
        let mut page = Page::open(stack.gateway.browsers).await;
        let code = page.code().await;
        let delivery = stack.wechat.scan(&openid, &code.content).await.unwrap();
        let words = format!("{name}，欢迎回来！\n这是你第1次登录，玩的开心！");
        assert_eq!(delivery.reply.as_deref(), Some(words.as_str()), "in the reply's XML");
        page.expect("scanned").await;
        assert_eq!(page.expect("scan_success").await["user"], name, "in the page's JSON");
    }
    let openid = person(&stack, "\u{1b}[31mred\u{0}\r\nline\u{202e}", true);
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await;
    stack.wechat.scan(&openid, &code.content).await.unwrap();
    page.expect("scanned").await;
    assert_eq!(page.expect("scan_success").await["user"], "[31mredline", "control characters are dropped");
}

#[tokio::test]
async fn user_info_that_is_slow_or_fails_delays_nobody() {
    let stack = stack_with_nicknames().await;
    for fault in [Fault::delay(Duration::from_secs(10)), Fault::errcode(-1), Fault::errcode(48001)] {
        stack.wechat.switches().fail(Call::UserInfo, fault);
        let openid = person(&stack, "阿狸", true);
        let mut page = Page::open(stack.gateway.browsers).await;
        let code = page.code().await;
        let began = Instant::now();
        let delivery = stack.wechat.scan(&openid, &code.content).await.unwrap();
        page.expect("scanned").await;
        page.expect("scan_success").await;
        assert!(began.elapsed() < Duration::from_secs(2), "{fault:?}: {:?}", began.elapsed());
        assert_eq!(delivery.reply.as_deref(), Some("欢迎回来！\n这是你第1次登录，玩的开心！"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_page_whose_code_cannot_be_made_is_told_and_recovers_by_itself() {
    // No codes made ahead, and more failures than the client itself tries again.
    let gateway = vec!["--gateway-qr-ready=0".to_owned()];
    let stack = Stack::start(Options { gateway, ..Options::default() }).await.unwrap();
    for fault in [Fault::errcode(-1).times(3), Fault::delay(Duration::from_secs(10)).times(3)] {
        stack.wechat.switches().fail(Call::QrcodeCreate, fault);
        let mut page = Page::open(stack.gateway.browsers).await;
        let error = page.expect("error").await;
        assert!(error["retry_in"].as_u64().unwrap() >= 1000, "{fault:?}: {error}");
        assert!(!error["message"].as_str().unwrap().is_empty());
        let code = page.code().await;
        let openid = person(&stack, "", true);
        stack.wechat.scan(&openid, &code.content).await.unwrap();
        page.expect("scanned").await;
        page.expect("scan_success").await;
    }
}

#[tokio::test]
async fn a_repeated_push_has_no_second_effect_and_gets_the_same_words() {
    let stack = stack().await;
    let openid = person(&stack, "", true);
    stack.wechat.switches().set_push(simulator::PushFaults { duplicate: 3, ..Default::default() });
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await;
    let delivery = stack.wechat.scan(&openid, &code.content).await.unwrap();
    assert!(!delivery.copies.is_empty(), "{delivery:?}");
    let words: Vec<_> = delivery.attempts.iter().chain(&delivery.copies).map(|try_| &try_.reply).collect();
    assert!(words.iter().all(|reply| *reply == words[0]), "{words:?}");
    assert_eq!(delivery.reply.as_deref(), Some("欢迎回来！\n这是你第1次登录，玩的开心！"));
}

#[tokio::test]
async fn the_originals_page_and_the_originals_notice_log_in() {
    let stack = stack().await;
    // The original's page offers no subprotocol and connects to /.
    let mut page = Page::offer(stack.gateway.browsers, "/", &[]).await.unwrap();
    let Heard::Message(shown) = page.hear().await else { panic!() };
    let url = shown["url"].as_str().unwrap();
    let picture = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    let content = e2e::picture::scan(&picture).unwrap();
    assert_eq!(content, shown["content"].as_str().unwrap());

    let scene = shown["resume"].as_str().unwrap().split('.').next().unwrap().to_owned();
    let answer = notify(&stack, json!({"type": "scan", "fd": scene, "nickname": "阿狸"})).await;
    assert_eq!((&answer["status"], &answer["state"]), (&json!("delivered"), &json!("granted")));
    assert_eq!(page.expect("scan_success").await["user"], "阿狸");
    assert_eq!(page.closed().await, 4010);
}

/// Any back end: connect, prove, notify, read, close, with nothing but a socket and an HMAC.
async fn notify(stack: &Stack, notice: serde_json::Value) -> serde_json::Value {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(stack.gateway.notices).await.unwrap();
    let read = async |stream: &mut tokio::net::TcpStream| -> serde_json::Value {
        let mut frame = vec![0; stream.read_u32().await.unwrap() as usize];
        stream.read_exact(&mut frame).await.unwrap();
        serde_json::from_slice(&frame).unwrap()
    };
    let hello = read(&mut stream).await;
    let key = protocol::Key::new(&demo::NOTIFY_KEY.into()).unwrap();
    let proof = key.proof(hello["challenge"].as_str().unwrap());
    let mut bytes = Vec::new();
    for message in [json!({"type": "auth", "client": "callback", "proof": proof}), notice] {
        let json = message.to_string();
        bytes.extend(u32::try_from(json.len()).unwrap().to_be_bytes());
        bytes.extend(json.as_bytes());
    }
    stream.write_all(&bytes).await.unwrap();
    read(&mut stream).await
}

#[tokio::test]
async fn a_login_that_names_an_unknown_site_is_denied_and_the_phone_told_so() {
    let stack = stack().await;
    let openid = person(&stack, "", true);
    let mut page = Page::offer(stack.gateway.browsers, "/ws?site=shop", &["saoma.v1"]).await.unwrap();
    let code = page.code().await;
    let delivery = stack.wechat.scan(&openid, &code.content).await.unwrap();
    assert!(delivery.reply.as_deref().unwrap().contains("没有登记"), "{delivery:?}");
    page.expect("scanned").await;
    page.expect("denied").await;
}

#[tokio::test]
async fn persons_are_told_apart_from_their_openids() {
    let stack = stack().await;
    let openid = "oABCDEFGHIJKLMNOPQRSTUVWXYZ0".to_owned();
    stack.wechat.add_person(Person {
        openid: openid.clone(),
        nickname: "x".to_owned(),
        follower: true,
        ..Person::default()
    });
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await;
    assert!(!code.content.contains(&code.scene()) || !code.content.contains(&code.resume));
    stack.wechat.scan(&openid, &code.content).await.unwrap();
    page.expect("scanned").await;
    let said = page.expect("scan_success").await;
    assert!(!said.to_string().contains(&openid), "the openid never reaches a page: {said}");
}
