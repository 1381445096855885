//! Pushes to software under test that answers, fails, hangs, or replies wrongly.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::support::{ANSWER_WITHIN, Does, ok, plaintext, receive, reply, serve};
use http::StatusCode;
use simulator::{OUT_OF_ORDER, Person, PushFaults, ScanError, Settings, Simulator};

#[tokio::test]
async fn a_stranger_subscribes_and_a_follower_scans() {
    let served = serve(plaintext()).await;
    let phone = &served.simulator;
    let got = receive(phone, |_, push| ok(reply(push, &format!("key {}", push.field("EventKey")))));
    let openid = phone.invent_person("", false).openid;
    let code = served.code("abc", 60).await;
    let text = code["url"].as_str().unwrap();

    let first = phone.scan(&openid, text).await.unwrap();
    assert_eq!(first.reply.as_deref(), Some("key qrscene_abc"));
    assert!(phone.person(&openid).unwrap().follower);
    let second = phone.scan(&openid, text).await.unwrap();
    assert_eq!(second.reply.as_deref(), Some("key abc"));
    phone.say(&openid, "你好 ]]> <b>").await.unwrap();
    phone.unfollow(&openid).await.unwrap();
    assert_eq!(phone.say(&openid, "hi").await.unwrap_err(), ScanError::NotFollowing);
    phone.follow(&openid).await.unwrap();

    let got = got.lock().unwrap().clone();
    let events: Vec<_> = got.iter().map(|it| it.field("Event")).collect();
    assert_eq!(events, ["subscribe", "SCAN", "", "unsubscribe", "subscribe"]);
    for scan in &got[..2] {
        assert_eq!(scan.field("Ticket"), code["ticket"].as_str().unwrap());
        assert_eq!(scan.query("openid"), openid);
        assert_eq!(scan.query("encrypt_type"), "");
    }
    assert_eq!(got[2].field("Content"), "你好 ]]> <b>");
    assert_eq!(got[2].field("MsgId").len(), 17);
    assert_eq!(got[4].field("EventKey"), "");

    let chat = phone.chat(&openid);
    let scanned: Vec<_> = chat.iter().filter_map(|it| it.scanned.as_deref()).collect();
    assert_eq!(scanned, ["abc", "abc"], "the phone remembers what was scanned");
    let chat = chat.iter().filter(|it| it.scanned.is_none());
    let chat: Vec<_> = chat.map(|it| (it.from_person, it.text.as_str())).collect();
    let expected = [
        (false, "key qrscene_abc"),
        (false, "key abc"),
        (true, "你好 ]]> <b>"),
        (false, "key "),
        (false, "key "),
    ];
    assert_eq!(chat, expected, "no reply reaches someone who has left");
}

#[tokio::test]
async fn a_safe_mode_reply_must_be_encrypted() {
    let settings = Settings { answer_within: ANSWER_WITHIN, ..Settings::default() };
    let served = serve(settings).await;
    let phone = served.simulator.clone();
    let account = phone.settings().clone();
    let cipher = Simulator::new(account.clone()).unwrap();
    let got = receive(&phone, move |number, push| {
        // Only the holder of the key can read the push, but its addressee is readable.
        assert!(!push.body.contains("FromUserName"));
        assert_eq!(push.field("ToUserName"), account.original_id);
        assert_eq!(push.query("encrypt_type"), "aes");
        assert_eq!(push.query("msg_signature").len(), 40);
        let xml = format!(
            "<xml><ToUserName>{}</ToUserName><FromUserName>{}</FromUserName><CreateTime>1</CreateTime>\
             <MsgType>text</MsgType><Content>welcome</Content></xml>",
            push.query("openid"),
            account.original_id
        );
        if number == 1 {
            return ok(xml);
        }
        let sealed = cipher.seal(&xml, "");
        let of = |name| sealed.query.iter().find(|(key, _)| *key == name).unwrap().1.clone();
        let extra = format!(
            "<MsgSignature>{}</MsgSignature><TimeStamp>{}</TimeStamp><Nonce>{}</Nonce></xml>",
            of("msg_signature"),
            of("timestamp"),
            of("nonce")
        );
        ok(sealed.body.replace("</xml>", &extra))
    });
    let openid = phone.invent_person("", true).openid;
    let delivery = phone.push_event(&openid, "CLICK", "menu").await;
    assert_eq!(delivery.reply.as_deref(), Some("welcome"));
    let error = delivery.attempts[0].error.as_deref().unwrap();
    assert!(error.contains("must be encrypted"), "{error}");
    assert_eq!(got.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn three_tries_of_the_same_push_each_signed_anew() {
    let served = serve(plaintext()).await;
    let phone = &served.simulator;
    let got = receive(phone, |number, push| match number {
        1 => Does::Answers(StatusCode::INTERNAL_SERVER_ERROR, reply(push, "no")),
        2 => Does::Hangs,
        _ => ok(reply(push, "at last")),
    });
    let openid = phone.invent_person("", true).openid;
    let began = Instant::now();
    let delivery = phone.say(&openid, "hello").await.unwrap();
    assert!(began.elapsed() >= ANSWER_WITHIN * 2, "tries are spaced");
    let statuses: Vec<_> = delivery.attempts.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [Some(500), None, Some(200)]);
    assert!(delivery.attempts[1].took >= ANSWER_WITHIN);
    assert_eq!(delivery.reply.as_deref(), Some("at last"));

    let got = got.lock().unwrap().clone();
    let distinct = |of: fn(&crate::support::Got) -> String| got.iter().map(of).collect::<HashSet<_>>().len();
    assert_eq!(distinct(|it| it.body.clone()), 1, "the same CreateTime and MsgId");
    assert_eq!(distinct(|it| it.query("nonce")), 3);
    assert_eq!(distinct(|it| it.query("signature")), 3);
    assert_eq!(phone.chat(&openid).last().unwrap().text, "at last");
    assert_eq!(phone.counters().retries, 2);
}

#[tokio::test]
async fn one_message_may_come_several_times_and_the_next_has_another_id() {
    let served = serve(plaintext()).await;
    let phone = &served.simulator;
    let got = receive(phone, |number, push| ok(reply(push, &format!("answer {number}"))));
    let openid = phone.invent_person("", true).openid;
    let first = phone.say_repeated(&openid, "42", 3).await.unwrap();
    assert_eq!((first.attempts.len(), first.reply.as_deref()), (3, Some("answer 3")));
    let again = phone.repeat(&first, &openid).await;
    assert_eq!((again.attempts.len(), again.reply.as_deref()), (1, Some("answer 4")));
    phone.say(&openid, "42").await.unwrap();

    let got = got.lock().unwrap().clone();
    let ids: Vec<_> = got.iter().map(|it| it.field("MsgId")).collect();
    assert!(ids[..4].iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_ne!(ids[4], ids[0]);
    let nonces: HashSet<_> = got.iter().map(|it| it.query("nonce")).collect();
    assert_eq!(nonces.len(), 5, "each request is signed anew");
    let shown: Vec<_> = phone.chat(&openid).into_iter().map(|it| it.text).collect();
    assert_eq!(shown, ["42", "answer 3", "42", "answer 5"]);
}

#[tokio::test]
async fn the_person_is_told_when_nothing_valid_comes() {
    let served = serve(plaintext()).await;
    let phone = &served.simulator;
    receive(phone, |_, _| ok(r#"{"errcode":0}"#));
    let openid = phone.invent_person("", true).openid;
    let delivery = phone.say(&openid, "hello").await.unwrap();
    assert!(!delivery.is_ok());
    assert_eq!(delivery.attempts.len(), 3);
    assert_eq!(delivery.raw_reply.as_deref(), Some(r#"{"errcode":0}"#));
    let last = phone.chat(&openid).pop().unwrap();
    assert_eq!((last.system, last.text.as_str()), (true, OUT_OF_ORDER));
    assert_eq!(phone.counters().failed, 1);
}

#[tokio::test]
async fn nobody_there_is_a_failure_and_not_a_hang() {
    let phone = Simulator::new(plaintext()).unwrap();
    let openid = phone.invent_person("", true).openid;
    let nowhere = phone.push_event(&openid, "CLICK", "").await;
    let error = nowhere.attempts[0].error.as_deref().unwrap();
    assert!(error.contains("no push URL"), "{error}");
    assert!(phone.verify_url().await.is_err());
}

#[tokio::test]
async fn answers_can_be_lost_and_pushes_doubled() {
    let served = serve(plaintext()).await;
    let phone = &served.simulator;
    let got = receive(phone, |_, push| ok(reply(push, "hi")));
    phone.switches().set_push(PushFaults { duplicate: 3, lose_answers: 1, ..PushFaults::default() });
    let openid = phone.invent_person("", true).openid;
    let delivery = phone.say(&openid, "hello").await.unwrap();
    assert_eq!((delivery.attempts.len(), delivery.copies.len()), (2, 4));
    assert_eq!(delivery.attempts[0].reply.as_deref(), Some("hi"), "said, but lost");
    assert!(delivery.attempts[0].error.is_some() && delivery.is_ok());
    assert_eq!(got.lock().unwrap().len(), 6);
    assert_eq!(phone.chat(&openid).len(), 2, "one reply is shown");
}

#[tokio::test]
async fn the_url_is_verified_by_its_echo() {
    let served = serve(plaintext()).await;
    let phone = &served.simulator;
    receive(phone, |_, asked| ok(asked.query("echostr")));
    phone.verify_url().await.unwrap();
    receive(phone, |_, asked| ok(format!("{}\n", asked.query("echostr"))));
    assert!(phone.verify_url().await.is_err(), "not one character more");
    receive(phone, |_, asked| Does::Answers(StatusCode::FORBIDDEN, asked.query("echostr")));
    assert!(phone.verify_url().await.is_err());
}

#[tokio::test]
async fn what_cannot_be_scanned_is_not_pushed() {
    let served = serve(plaintext()).await;
    let phone = &served.simulator;
    let got = receive(phone, |_, _| ok("success"));
    let openid = phone.invent_person("", true).openid;
    let text = served.code("abc", 60).await["url"].as_str().unwrap().to_owned();
    let scan = async |openid: &str, text: &str| phone.scan(openid, text).await.unwrap_err();
    assert_eq!(scan("nobody", &text).await, ScanError::NoSuchPerson);
    assert_eq!(scan(&openid, "http://example.com/").await, ScanError::UnknownCode);
    // From here on nothing waits for a socket.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(scan(&openid, &text).await, ScanError::ExpiredCode);
    assert!(got.lock().unwrap().is_empty());
    assert_eq!(
        phone.add_person(Person { openid: openid.clone(), nickname: "Anna".to_owned(), ..Person::default() }),
        phone.person(&openid).unwrap()
    );
}
