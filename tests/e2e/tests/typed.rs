//! A person sends the code that the page shows to the account: the whole system, with real sockets between its parts.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use demo::{Options, Stack};
use e2e::page::Page;
use simulator::{Mode, Settings};

async fn stack(flags: &[&str], mode: Mode) -> Stack {
    let wechat = Settings { mode, ..Settings::default() };
    let callback = flags.iter().map(|&flag| flag.to_owned()).collect();
    Stack::start(Options { wechat, callback, ..Options::default() }).await.unwrap()
}

#[tokio::test]
async fn digits_that_are_no_logins_code_are_told_so_unless_somebody_reads_the_messages() {
    for (flags, words) in [
        (&["--callback-messages=greet"][..], Some("验证码不对或已过期")),
        (&["--callback-messages=ignore"], Some("验证码不对或已过期")),
        // Without words of its own it is a message like any other.
        (&["--callback-messages=greet", "--callback-text-wrong-code="], Some("您好")),
        (&["--callback-messages=ignore", "--callback-text-wrong-code="], None),
    ] {
        let stack = stack(flags, Mode::Safe).await;
        let person = stack.wechat.invent_person("", true).openid;
        let delivery = stack.wechat.say(&person, "482913").await.unwrap();
        assert!(delivery.is_ok(), "{delivery:?}");
        match words {
            Some(words) => assert!(delivery.reply.unwrap().contains(words), "{flags:?}"),
            None => assert_eq!(delivery.reply, None, "{flags:?}"),
        }
    }
    let stack = stack(&["--callback-messages=customer_service"], Mode::Plaintext).await;
    let person = stack.wechat.invent_person("", true).openid;
    // Also those that are not looked up any more.
    for order in 0..8 {
        let delivery = stack.wechat.say(&person, &format!("48291{order}")).await.unwrap();
        let raw = delivery.raw_reply.unwrap();
        assert!(raw.contains("transfer_customer_service"), "{raw}");
    }
}

#[tokio::test]
async fn after_a_few_wrong_codes_a_person_is_told_to_wait_and_a_repeated_push_hears_the_same() {
    let stack = stack(&[], Mode::Safe).await;
    let (person, other) = (stack.wechat.invent_person("", true), stack.wechat.invent_person("", true));
    let says = async |person: &simulator::Person, text: &str| {
        stack.wechat.say(&person.openid, text).await.unwrap().reply.unwrap()
    };
    // WeChat pushes the first twice: one try, and the same words.
    let first = stack.wechat.say_repeated(&person.openid, "000000", 2).await.unwrap().reply.unwrap();
    assert!(first.contains("验证码不对或已过期"), "{first}");
    for code in ["验证码 000001", "０００００２", "000 003", "code: 000004"] {
        assert!(says(&person, code).await.contains("验证码不对或已过期"), "{code}");
    }
    assert!(says(&person, "000005").await.contains("10 分钟后再试"));
    assert!(says(&person, "你好").await.contains("您好"), "other messages are answered as before");
    assert!(says(&other, "000005").await.contains("验证码不对或已过期"));
}

/// A stack whose pages show a code to type beside the QR code.
async fn showing(flags: &[&str]) -> Stack {
    let gateway = vec!["--gateway-ways=scan,typed".to_owned()];
    let callback = flags.iter().map(|&flag| flag.to_owned()).collect();
    Stack::start(Options { gateway, callback, ..Options::default() }).await.unwrap()
}

/// A page, the text of its QR code, and the code that it shows to type.
async fn opened(stack: &Stack) -> (Page, String, String) {
    let mut page = Page::open(stack.gateway.browsers).await;
    let shown = page.expect("qrcode_url").await;
    let text = |field: &str| shown[field].as_str().unwrap().to_owned();
    let (content, typed) = (text("content"), text("typed"));
    (page, content, typed)
}

fn person(stack: &Stack) -> String {
    stack.wechat.invent_person("", true).openid
}

async fn says(stack: &Stack, person: &str, text: &str) -> String {
    stack.wechat.say(person, text).await.unwrap().reply.unwrap()
}

/// What the page shows once the code has come.
async fn number(page: &mut Page) -> String {
    loop {
        // The number may come with the claim or after it.
        if let Some(number) = page.expect("scanned").await["number"].as_str() {
            return number.to_owned();
        }
    }
}

#[tokio::test]
async fn the_code_that_a_page_shows_logs_in_whoever_sends_it_however_they_type() {
    let stack = showing(&[]).await;
    let person = person(&stack);
    let wide = |code: &str| -> String {
        code.chars().map(|digit| char::from_u32(u32::from(digit) + 0xfee0).unwrap()).collect()
    };
    let written: [&dyn Fn(&str) -> String; 5] = [
        &|code| code.to_owned(),
        &|code| format!("我的验证码是{}。", wide(code)),
        &|code| format!("{} {}", &code[..3], &code[3..]),
        &|code| format!("登录 {code}"),
        &|code| {
            let digits = ["〇", "一", "二", "三", "四", "五", "六", "七", "八", "九"];
            code.bytes().map(|digit| digits[usize::from(digit - b'0')]).collect()
        },
    ];
    for (count, write) in (1..).zip(written) {
        let (mut page, _, code) = opened(&stack).await;
        let text = write(&code);
        let words = says(&stack, &person, &text).await;
        assert!(words.contains("欢迎回来") && words.contains(&format!("第{count}次")), "{text}: {words}");
        page.expect("scanned").await;
        page.expect("scan_success").await;
        assert_eq!(page.closed().await, 4010);
        assert_eq!(says(&stack, &person, &code).await, words, "sent again");
    }
}

#[tokio::test]
async fn a_code_of_a_page_that_has_another_one_is_as_wrong_as_any() {
    let stack = showing(&[]).await;
    let person = person(&stack);
    let (mut page, _, old) = opened(&stack).await;
    page.say(r#"{"message_type":"refresh"}"#).await;
    let new = page.expect("qrcode_url").await["typed"].as_str().unwrap().to_owned();
    assert!(says(&stack, &person, &old).await.contains("验证码不对或已过期"));
    assert!(says(&stack, &person, &new).await.contains("欢迎回来"));
    page.expect("scanned").await;
    page.expect("scan_success").await;
}

#[tokio::test]
async fn a_scan_and_a_code_at_once_log_one_person_in() {
    let stack = showing(&[]).await;
    for _ in 0..5 {
        let (mut page, content, code) = opened(&stack).await;
        let (one, other) = (person(&stack), person(&stack));
        let (scanned, typed) = tokio::join!(stack.wechat.scan(&one, &content), says(&stack, &other, &code));
        let mut words = [scanned.unwrap().reply.unwrap(), typed];
        words.sort_by_key(|words| !words.contains("欢迎回来"));
        assert!(words[0].contains("欢迎回来") && words[1].contains("已经被使用过"), "{words:?}");
        page.expect("scanned").await;
        page.expect("scan_success").await;
    }
}

#[tokio::test]
async fn where_logins_are_confirmed_1_is_enough_after_a_code_and_not_after_a_scan() {
    let stack = showing(&["--callback-confirm=true"]).await;
    let person = person(&stack);
    for by_number in [false, true] {
        let (mut page, _, code) = opened(&stack).await;
        let question = says(&stack, &person, &code).await;
        for part in ["地点：127.0.*.*", "回复 1", "回复 0"] {
            assert!(question.contains(part), "{part} is not in {question}");
        }
        let number = number(&mut page).await;
        let words = says(&stack, &person, if by_number { &number } else { "1" }).await;
        assert!(words.contains("欢迎回来"), "{words}");
        page.expect("scan_success").await;
    }
    // Somebody else's page, whose code they were sent.
    let (mut page, _, code) = opened(&stack).await;
    says(&stack, &person, &code).await;
    number(&mut page).await;
    assert!(says(&stack, &person, "0").await.contains("没有人登录"));
    page.expect("denied").await;
    assert!(says(&stack, &person, "1").await.contains("没有人登录"), "it stays so");

    let (mut page, content, _) = opened(&stack).await;
    stack.wechat.scan(&person, &content).await.unwrap();
    number(&mut page).await;
    assert!(says(&stack, &person, "1").await.contains("数字不对"));
}

#[tokio::test]
async fn an_account_that_has_no_qr_codes_logs_in_by_typed_codes() {
    let gateway = vec!["--gateway-ways=typed".to_owned()];
    let stack = Stack::start(Options { gateway, ..Options::default() }).await.unwrap();
    let (mut page, content, code) = opened(&stack).await;
    assert_eq!(content, "");
    assert!(says(&stack, &person(&stack), &code).await.contains("欢迎回来"));
    page.expect("scanned").await;
    page.expect("scan_success").await;
}
