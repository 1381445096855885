//! Back ends that lie, fail, hang: WeChat gets a valid answer, and logins go on at their own pace.

use std::time::Duration;

use futures_util::future::join_all;
use simulator::Settings;

use super::back_end::{BackEnd, Way, says as answer};
use super::{logs_in, person, relayed, relayed_becomes, says, stack_of, with_one};

/// WeChat gives up after this.
const WECHAT: Duration = Duration::from_secs(5);

/// A reply that somebody with another key has sealed.
fn sealed_by(account: &Settings, push: &str) -> String {
    simulator::BackEnd::new(account).unwrap().reply(push, "forged")
}

#[tokio::test]
async fn an_answer_that_wechat_would_not_take_becomes_an_empty_one() {
    let (stack, back_end) = with_one().await;
    let person = person(&stack);
    let push = says(&stack, &person, "hello").await.xml;
    let mine = Settings::default;
    let wrong_token = sealed_by(&Settings { token: "another".to_owned(), ..mine() }, &push);
    let aes_key = "SimulatorDemoKeySimulatorDemoKeySimul000002".to_owned();
    let wrong_key = sealed_by(&Settings { aes_key, ..mine() }, &push);
    let wrong_account = sealed_by(&Settings { app_id: "wx2".to_owned(), ..mine() }, &push);
    let to_another =
        simulator::BackEnd::new(&mine()).unwrap().reply(&push.replace(&person, "oSomebodyElse"), "x");
    let html = "<!DOCTYPE html><html><body>It works!</body></html>";
    let long = format!("<xml><Encrypt>{}</Encrypt></xml>", "x".repeat(64 * 1024));
    let plain = simulator::BackEnd::new(&Settings { mode: simulator::Mode::Plaintext, ..mine() }).unwrap();
    let plain = plain.reply(&push, "in the clear");
    // In this order, so that no five failures in a row open the breaker.
    let rows: Vec<(&str, Way)> = vec![
        ("refused", Way::Says(answer(500, "text/plain", "success"))),
        ("refused", Way::Says(answer(404, "text/html", html))),
        ("refused", Way::Says(answer(204, "text/plain", ""))),
        ("refused", Way::Says(answer(403, "text/plain", "success"))),
        (
            "refused",
            Way::Says(b"HTTP/1.1 302 X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_vec()),
        ),
        ("unfit", Way::Says(answer(200, "text/html", html))),
        ("unfit", Way::Says(answer(200, "application/json", "{\"errcode\":0}"))),
        ("unfit", Way::Says(answer(200, "text/plain", "ok"))),
        ("unfit", Way::Says(answer(200, "text/xml", &plain))),
        ("unfit", Way::Says(answer(200, "text/xml", &wrong_token))),
        ("unfit", Way::Says(answer(200, "text/xml", &wrong_key))),
        ("unfit", Way::Says(answer(200, "text/xml", &wrong_account))),
        ("unfit", Way::Says(answer(200, "text/xml", &to_another))),
        ("unfit", Way::Says(answer(200, "text/xml", &long))),
        ("unfit", Way::Says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xfe".to_vec())),
        ("failed", Way::Cuts(Vec::new())),
        ("failed", Way::Cuts(b"220 mail.example ESMTP\r\n\r\n".to_vec())),
        ("failed", Way::Cuts(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n<xml>".to_vec())),
        ("failed", Way::Cuts([b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 1024 * 1024]].concat())),
    ];
    for (number, (outcome, way)) in rows.into_iter().enumerate() {
        let before = relayed(&stack, "messages", outcome).await;
        back_end.does(way.clone());
        let delivery = says(&stack, &person, &format!("message {number}")).await;
        let shown = String::from_utf8_lossy(match &way {
            Way::Says(bytes) | Way::Cuts(bytes) => &bytes[..bytes.len().min(200)],
            _ => b"",
        });
        assert_eq!((delivery.attempts.len(), delivery.raw_reply.as_deref()), (1, Some("")), "{shown}");
        assert_eq!(relayed(&stack, "messages", outcome).await, before + 1, "{outcome}: {shown}");
    }
    // A script's byte order mark and blanks are no fault.
    back_end.does(Way::Says(answer(200, "text/html", "\u{feff}\r\nsuccess\n")));
    assert_eq!(says(&stack, &person, "bye").await.raw_reply.as_deref(), Some("success"));
}

#[tokio::test]
async fn nobody_at_the_address_is_no_fault_of_ours() {
    let (stack, back_end) = with_one().await;
    let person = person(&stack);
    drop(back_end);
    let delivery = says(&stack, &person, "hello").await;
    assert_eq!(delivery.raw_reply.as_deref(), Some(""));
    relayed_becomes(&stack, "messages", "failed", 1).await;
    logs_in(&stack).await;
}

/// A thousand messages hang at the back end, and people log in meanwhile. Then it is left alone, and asked again later.
#[tokio::test]
async fn logins_are_never_behind_a_back_end_that_hangs() {
    let mut back_end = BackEnd::of(&Settings::default()).await;
    // All come from one address, which WeChat does not do.
    let flags = ["--callback-max-connections=8192"];
    let stack = stack_of(Settings::default(), &back_end.url(), &flags).await;
    let people: Vec<_> = (0..1000).map(|_| person(&stack)).collect();
    back_end.does(Way::Hangs);
    // As many as there are places, and then the others: one machine is WeChat, both services and the back end.
    let (first, others) = people.split_at(128);
    let all_say = |people: &[String]| {
        join_all(people.iter().cloned().map(|person| {
            let wechat = stack.wechat.clone();
            async move { wechat.say(&person, "hello").await.unwrap() }
        }))
    };
    let (hanging, meanwhile) = (all_say(first), async {
        for _ in 0..100 {
            back_end.hears().await;
        }
        let logins = async {
            let mut slowest = Duration::ZERO;
            for _ in 0..10 {
                slowest = slowest.max(logs_in(&stack).await.attempts[0].took);
            }
            slowest
        };
        tokio::join!(all_say(others), logins)
    });
    let (mut flooded, (others, slowest)) = tokio::join!(hanging, meanwhile);
    flooded.extend(others);
    assert!(slowest < WECHAT / 2, "a scan took {slowest:?}");
    for delivery in flooded {
        assert!(delivery.is_ok() && delivery.attempts.len() == 1, "{delivery:?}");
        assert!(delivery.attempts[0].took < WECHAT && delivery.reply.is_none(), "{delivery:?}");
    }
    let (late, dropped) =
        (relayed(&stack, "messages", "late").await, relayed(&stack, "messages", "dropped").await);
    let left_alone = relayed(&stack, "messages", "breaker").await;
    assert!(
        (100..=128).contains(&late) && late + dropped + left_alone == 1000,
        "{late} {dropped} {left_alone}"
    );

    let alone = says(&stack, &people[0], "and now?").await;
    assert!(alone.attempts[0].took < WECHAT / 2, "{alone:?}");
    relayed_becomes(&stack, "messages", "breaker", left_alone + 1).await;
    back_end.does(Way::Echoes);
    let answered = async {
        // Its connections end one by one, and the pause between is at most ten seconds.
        let mut pace = tokio::time::interval(Duration::from_millis(500));
        loop {
            pace.tick().await;
            if says(&stack, &people[0], "are you there?").await.reply.is_some() {
                return;
            }
        }
    };
    tokio::time::timeout(e2e::page::PATIENCE, answered).await.expect("it is asked again");
    assert_eq!(says(&stack, &people[1], "hello").await.reply.as_deref(), Some("echo: hello"));
}
