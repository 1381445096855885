//! A back end that checks signatures, opens what is encrypted and seals its replies works behind us as it did before.

use std::time::Duration;

use demo::{Options, Stack};
use e2e::page::Page;
use e2e::raw::{Raw, metric};
use simulator::{Envelope, Mode, Settings};

use super::back_end::BackEnd;
use super::{logs_in, person, relayed, says, stack, stack_of, with_one};

fn query_of(envelope: &Envelope) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(&envelope.query).finish()
}

#[tokio::test]
async fn a_back_end_that_checks_and_encrypts_by_itself_works_unchanged_in_every_mode() {
    for mode in [Mode::Safe, Mode::Compatible, Mode::Plaintext] {
        let account = Settings { mode, ..Settings::default() };
        let mut back_end = BackEnd::of(&account).await;
        let stack = stack(mode, &format!("{}?app=1&%E5%BA%97", back_end.url())).await;
        let person = person(&stack);

        let delivery = says(&stack, &person, "你好 <&> 1+1").await;
        assert_eq!(delivery.reply.as_deref(), Some("echo: 你好 <&> 1+1"), "{mode:?}");
        let request = back_end.hears().await;
        assert_eq!(request.opened.as_deref(), Ok(delivery.xml.as_str()));

        // Byte for byte, with the query behind the address's own.
        let xml = delivery.xml.replace("1+1", "again");
        let envelope = stack.wechat.seal(&xml, &person);
        let sent = stack.wechat.send(&envelope, &person).await;
        assert_eq!((sent.error, sent.reply.as_deref()), (None, Some("echo: 你好 <&> again")));
        let request = back_end.hears().await;
        assert_eq!(
            (&request.body, request.query),
            (&envelope.body, format!("app=1&%E5%BA%97&{}", query_of(&envelope)))
        );
        for line in [
            "POST /old/wechat.php?app=1",
            "\r\ncontent-type: text/xml\r\n",
            "\r\nx-forwarded-for: 127.0.0.1\r\n",
        ] {
            assert!(request.head.contains(line), "{}", request.head);
        }

        // Events come there, too, and logins go on beside it.
        let clicked = stack.wechat.push_event(&person, "CLICK", "menu-1").await;
        assert!(clicked.is_ok() && clicked.reply.is_none(), "{clicked:?}");
        assert_eq!(clicked.raw_reply.as_deref(), Some("success"));
        assert!(back_end.hears().await.opened.unwrap().contains("menu-1"));
        let told = logs_in(&stack).await.reply.unwrap();
        assert!(told.contains("登录成功") || told.contains("欢迎回来"), "{told}");
        assert!(back_end.has_heard_all(), "a login is ours alone");
        stack.wechat.verify_url().await.unwrap();
        assert!(back_end.has_heard_all(), "and so is the verification of the address");
        assert_eq!(relayed(&stack, "messages", "replied").await, 2);
        assert_eq!(relayed(&stack, "events", "empty").await, 1);
        assert_eq!(metric(stack.callback.admin, "callback_relay_seconds_count").await, 3);
    }
}

#[tokio::test]
async fn a_repeat_of_wechats_comes_to_the_back_end_as_a_repeat() {
    let answer_within = Duration::from_millis(500);
    let wechat = Settings { answer_within, ..Settings::default() };
    let mut back_end = BackEnd::of(&wechat).await;
    let stack = stack_of(wechat, &back_end.url(), &[]).await;
    let person = person(&stack);
    let delivery = stack.wechat.say_repeated(&person, "hello", 2).await.unwrap();
    assert_eq!((delivery.attempts.len(), delivery.reply.as_deref()), (2, Some("echo: hello")));
    let (first, second) = (back_end.hears().await, back_end.hears().await);
    assert_eq!(first.opened.as_deref(), Ok(delivery.xml.as_str()), "one MsgId");
    assert_eq!(first.opened, second.opened);
    assert_ne!(first.query, second.query, "each with its own signature");
}

/// Each account's secrets are those of its own back end.
#[tokio::test]
async fn each_account_has_a_back_end_of_its_own() {
    // The demo makes the second account like the first; its secrets are known once it is there.
    let second = Settings {
        app_id: format!("wx{:016x}", 2),
        original_id: format!("gh_{:012x}", 2),
        token: "tokenofaccount2".to_owned(),
        aes_key: "SimulatorDemoKeySimulatorDemoKeySimul000002".to_owned(),
        ..Settings::default()
    };
    let (mut ours, mut theirs) = (BackEnd::of(&Settings::default()).await, BackEnd::of(&second).await);
    let stack = Stack::start(Options {
        others: vec!["tea".to_owned()],
        other_keys: format!("relay = {:?}\n", theirs.url()),
        callback: vec![format!("--callback-relay-url={}", ours.url())],
        ..Options::default()
    })
    .await
    .unwrap();
    let tea = &stack.others[0];
    let (here, there) = (person(&stack), tea.invent_person("", true).openid);
    assert_eq!(tea.say(&there, "tea").await.unwrap().reply.as_deref(), Some("echo: tea"));
    assert_eq!(says(&stack, &here, "water").await.reply.as_deref(), Some("echo: water"));
    assert!(theirs.hears().await.opened.unwrap().contains("tea") && theirs.has_heard_all());
    assert!(ours.hears().await.opened.unwrap().contains("water") && ours.has_heard_all());
}

#[tokio::test]
async fn what_a_relay_has_sent_is_not_sent_round_again() {
    let (stack, mut back_end) = with_one().await;
    let person = person(&stack);
    let first = says(&stack, &person, "hello").await;
    back_end.hears().await;
    let envelope = stack.wechat.seal(&first.xml, &person);
    let head = format!(
        "POST /wechat?{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nSaoma-Relayed: 1\r\nContent-Length: {}\r\n\r\n",
        query_of(&envelope),
        envelope.body.len()
    );
    let answer = Raw::ask(stack.callback.pushes, &head, envelope.body.as_bytes()).await;
    assert_eq!(answer.status, 200, "it is answered as without a relay");
    says(&stack, &person, "again").await;
    assert!(back_end.hears().await.opened.unwrap().contains("again"), "nothing came in between");
}

/// What comes in another format, or is not believed, is nobody's.
#[tokio::test]
async fn json_is_told_and_not_passed_on_and_nor_is_a_forgery() {
    for mode in [Mode::Safe, Mode::Plaintext] {
        let account = Settings { mode, ..Settings::default() };
        let mut back_end = BackEnd::of(&account).await;
        let stack = stack(mode, &back_end.url()).await;
        let person = person(&stack);
        let mut json =
            stack.wechat.seal(&format!("{{\"FromUserName\":\"{person}\",\"Content\":\"x\"}}"), &person);
        if mode == Mode::Safe {
            json.body = "{\"ToUserName\":\"gh_0123456789ab\",\"Encrypt\":\"x\"}".to_owned();
        }
        stack.wechat.send(&json, &person).await;
        assert_eq!(
            metric(stack.callback.admin, "callback_refused_total{stage=\"json\"}").await,
            1,
            "{mode:?}"
        );
        let mut forged = stack.wechat.seal("<xml/>", &person);
        forged.query[0].1 = "0".repeat(40);
        assert_eq!(stack.wechat.send(&forged, &person).await.status, Some(403));
        says(&stack, &person, "hello").await;
        assert!(back_end.hears().await.opened.unwrap().contains("hello"), "nothing came before");
    }
}

#[tokio::test]
async fn a_login_with_every_answer_of_its_person_is_nobody_elses() {
    let mut back_end = BackEnd::of(&Settings::default()).await;
    let stack = stack_of(Settings::default(), &back_end.url(), &["--callback-confirm=true"]).await;
    let person = person(&stack);
    // By a code that is typed.
    let mut page = Page::open(stack.gateway.browsers).await;
    let typed = page.expect("qrcode_url").await["typed"].as_str().unwrap().to_owned();
    let asked = says(&stack, &person, &typed).await.reply.unwrap();
    assert!(!asked.contains("echo"), "{asked}");
    let number = loop {
        if let Some(number) = page.expect("scanned").await["number"].as_str() {
            break number.to_owned();
        }
    };
    let wrong = if number == "10" { "11" } else { "10" };
    for answer in [wrong, &number, &number] {
        let words = says(&stack, &person, answer).await.reply.unwrap();
        assert!(!words.contains("echo"), "{answer}: {words}");
    }
    page.expect("scan_success").await;
    // An event that is nearly a scan tells the scene of a login.
    let mut page = Page::open(stack.gateway.browsers).await;
    let scene = page.code().await.scene();
    assert!(stack.wechat.push_event(&person, "scan", &scene).await.is_ok());
    // Digits that are no login's code are a message.
    assert_eq!(says(&stack, &person, "000000").await.reply.as_deref(), Some("echo: 000000"));
    assert!(back_end.hears().await.opened.unwrap().contains("000000"), "nothing came before");
}
