//! A person sends the code that the page shows to the account: the whole system, with real sockets between its parts.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use demo::{Options, Stack};
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
