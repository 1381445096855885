//! One token for many calls, replaced once when WeChat refuses it.

use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::ExposeSecret;
use tokio::task::JoinSet;

use super::*;

#[tokio::test]
async fn a_hundred_calls_at_once_cost_one_token_call() {
    let fake = Fake::start(|r, n| if r.is_token() { numbered_token(n) } else { json(QR) }).await;
    let client = fake.client(PATIENCE);
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        calls.spawn(async move { create(&client).await });
    }
    for outcome in calls.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(fake.token_calls(), 1);
    assert_eq!(fake.seen().len(), 101);
}

#[tokio::test]
async fn a_failed_token_fetch_answers_all_who_waited_and_the_next_call_asks_again() {
    let fake = Fake::start(|_, n| {
        if n == 0 { json(r#"{"errcode":40066,"errmsg":"invalid url rid: 1"}"#) } else { numbered_token(n) }
    })
    .await;
    let client = fake.client(PATIENCE);
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let client = client.clone();
        calls.spawn(async move { create(&client).await });
    }
    for outcome in calls.join_all().await {
        assert_eq!(outcome.unwrap_err().class(), Class::Other);
    }
    assert_eq!(fake.token_calls(), 1);
    let _ = create(&client).await;
    assert_eq!(fake.token_calls(), 2);
}

#[tokio::test]
async fn a_stale_token_is_replaced_once_and_the_call_repeated() {
    for code in [40001, 40014, 42001] {
        let fake = Fake::start(move |r, n| {
            if r.is_token() {
                numbered_token(n)
            } else if r.token() == "TOKEN-0" {
                Reply::Json(format!(r#"{{"errcode":{code},"errmsg":"no"}}"#))
            } else {
                json(QR)
            }
        })
        .await;
        let client = fake.client(PATIENCE);
        create(&client).await.unwrap();
        create(&client).await.unwrap();
        let tokens: Vec<_> =
            fake.seen().iter().filter(|r| !r.is_token()).map(|r| r.token().to_owned()).collect();
        assert_eq!(tokens, ["TOKEN-0", "TOKEN-1", "TOKEN-1"], "{code}");
        assert_eq!(fake.token_calls(), 2, "{code}");
    }
}

#[tokio::test]
async fn many_calls_that_fail_with_one_token_replace_it_once() {
    let fake = Fake::start(|r, n| match r {
        r if r.is_token() => numbered_token(n),
        r if r.token() == "TOKEN-0" => json(STALE),
        _ => json(QR),
    })
    .await;
    let client = fake.client(PATIENCE);
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        calls.spawn(async move { create(&client).await });
    }
    for outcome in calls.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(fake.token_calls(), 2);
}

#[tokio::test]
async fn the_same_token_again_is_tried_once_more_and_no_more() {
    let fake = Fake::start(|r, _| if r.is_token() { numbered_token(7) } else { json(STALE) }).await;
    let client = fake.client(PATIENCE);
    let error = create(&client).await.unwrap_err();
    assert_eq!(error.class(), Class::Token);
    assert_eq!(fake.seen().len(), 4, "a token, a call, a token, a call");
    assert_eq!(create(&client).await.unwrap_err(), error);
    assert_eq!(fake.seen().len(), 4, "the refusal stands for a minute");
}

#[tokio::test]
async fn a_new_token_that_fails_too_ends_it() {
    let fake = Fake::start(|r, n| if r.is_token() { numbered_token(n) } else { json(STALE) }).await;
    let error = create(&fake.client(PATIENCE)).await.unwrap_err();
    assert_eq!(error.class(), Class::Token);
    assert_eq!(fake.seen().len(), 4, "two tokens, two calls");
}

#[tokio::test]
async fn a_token_stolen_back_and_forth_is_followed_said_and_not_in_a_loop() {
    let thefts = Arc::new(AtomicUsize::new(0));
    let number = Arc::clone(&thefts);
    let fake = Fake::start(move |r, _| {
        let number = number.load(Ordering::Relaxed);
        if r.is_token() {
            numbered_token(number)
        } else if r.token() == format!("TOKEN-{number}") {
            json(QR)
        } else {
            json(STALE)
        }
    })
    .await;
    let client = fake.client(PATIENCE);
    let log = Logged::start();
    create(&client).await.unwrap();
    let mut said = Vec::new();
    for theft in 1..=4 {
        thefts.store(theft, Ordering::Relaxed);
        create(&client).await.unwrap();
        assert_eq!(fake.token_calls(), theft + 1);
        said.push(log.count("force_refresh"));
    }
    assert_eq!(said, [0, 0, 1, 1], "{log}");
    thefts.store(5, Ordering::Relaxed);
    assert_eq!(create(&client).await.unwrap_err().class(), Class::Token);
    assert_eq!(fake.token_calls(), 5, "the fifth within a minute is not followed");
    pass(MINUTE).await;
    create(&client).await.unwrap();
    assert_eq!((fake.token_calls(), log.count("force_refresh")), (6, 1), "{log}");
}

#[tokio::test]
async fn a_token_that_wechat_refuses_and_gives_again_is_not_called_stolen() {
    let answered = AtomicUsize::new(0);
    let fake = Fake::start(move |r, _| {
        if r.is_token() {
            numbered_token(7)
        } else if answered.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            json(STALE)
        } else {
            json(QR)
        }
    })
    .await;
    let client = fake.client(PATIENCE);
    let log = Logged::start();
    for calls in 1..=4 {
        create(&client).await.unwrap();
        assert_eq!(fake.token_calls(), calls + 1);
    }
    assert_eq!(log.count("WARN"), 0, "{log}");
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_lose_the_token_for_the_next() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    // The server is on another thread so that it can hold the token back while the caller gives up.
    let (told, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fake = Fake::start(move |r, n| {
                if r.is_token() {
                    wait.lock().unwrap().recv().unwrap();
                    numbered_token(n)
                } else {
                    json(QR)
                }
            })
            .await;
            told.send((fake.address, Arc::clone(&fake.seen))).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let (address, seen) = address.recv().unwrap();
    let fake = Fake { address, seen };
    let client = fake.client(PATIENCE);
    let given_up = tokio::time::timeout(Duration::from_millis(50), create(&client)).await;
    assert!(given_up.is_err());
    release.send(()).unwrap();
    create(&client).await.unwrap();
    assert_eq!(fake.token_calls(), 1);
}

#[tokio::test]
async fn a_shared_token_is_the_one_of_all_calls_and_says_how_long_it_lives() {
    let fake = Fake::start(|r, n| if r.is_token() { numbered_token(n) } else { json(QR) }).await;
    let client = fake.client(PATIENCE);
    create(&client).await.unwrap();
    pass(MINUTE).await;
    let shared = client.shared_token().await.unwrap();
    assert_eq!(shared.text.expose_secret(), "TOKEN-0");
    assert!(shared.left <= 119 * MINUTE && shared.left > 118 * MINUTE, "{:?}", shared.left);
    assert_eq!(fake.token_calls(), 1);
}
