//! Refusals that stand, tries that are made again, and limits of time.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn a_refused_call_is_answered_from_memory_probed_once_a_minute_and_heals() {
    let allowed = Arc::new(AtomicUsize::new(0));
    let is_allowed = Arc::clone(&allowed);
    let fake = Fake::start(move |r, n| {
        if r.is_token() {
            numbered_token(n)
        } else if r.target.contains("user/info") || is_allowed.load(Ordering::Relaxed) == 1 {
            json(QR)
        } else {
            json(r#"{"errcode":48001,"errmsg":"api unauthorized rid: 1"}"#)
        }
    })
    .await;
    let qr_calls = || fake.seen().iter().filter(|r| r.target.contains("qrcode")).count();
    let client = fake.client(PATIENCE);
    let refusal = create(&client).await.unwrap_err();
    for minute in 1..=3 {
        for _ in 0..10 {
            assert_eq!(create(&client).await.unwrap_err(), refusal);
        }
        assert_eq!(qr_calls(), minute);
        client.user("someone").await.unwrap();
        pass(MINUTE).await;
        assert_eq!(create(&client).await.unwrap_err().class(), Class::Permission);
    }
    allowed.store(1, Ordering::Relaxed);
    pass(MINUTE).await;
    create(&client).await.unwrap();
    create(&client).await.unwrap();
}

#[tokio::test]
async fn a_wrong_secret_is_shown_to_wechat_once_a_minute() {
    let fake = Fake::start(|_, _| json(r#"{"errcode":40125,"errmsg":"invalid appsecret rid: 1"}"#)).await;
    let client = fake.client(PATIENCE);
    let log = Logged::start();
    for minute in 1..=3 {
        for _ in 0..10 {
            assert_eq!(create(&client).await.unwrap_err().class(), Class::Credentials);
            assert_eq!(client.user("someone").await.unwrap_err().class(), Class::Credentials);
        }
        assert_eq!(fake.token_calls(), minute);
        pass(MINUTE).await;
    }
    assert_eq!((log.count("ERROR"), log.count("WECHAT_APP_SECRET")), (1, 1), "{log}");
}

#[tokio::test]
async fn a_busy_wechat_is_asked_three_times_by_each_call_and_by_the_token_call() {
    const BUSY: &str = r#"{"errcode":-1,"errmsg":"system error"}"#;
    let answered = AtomicUsize::new(0);
    // Two of three requests get "busy": for the token, then for the code.
    let fake = Fake::start(move |_, n| match answered.fetch_add(1, Ordering::Relaxed) {
        2 => numbered_token(n),
        5 => json(QR),
        _ => json(BUSY),
    })
    .await;
    let client = fake.client(PATIENCE);
    create(&client).await.unwrap();
    assert_eq!((fake.token_calls(), fake.seen().len()), (3, 6));
    assert_eq!(create(&client).await.unwrap_err().class(), Class::Busy);
    assert_eq!((fake.token_calls(), fake.seen().len()), (3, 9), "three tries, and no breaker: it may pass");
    assert_eq!(create(&client).await.unwrap_err().class(), Class::Busy);
    assert_eq!(fake.seen().len(), 12);
}

#[tokio::test]
async fn a_try_that_hangs_is_given_up_for_another() {
    let answered = AtomicUsize::new(0);
    let fake = Fake::start(move |r, n| {
        if r.is_token() {
            numbered_token(n)
        } else if answered.fetch_add(1, Ordering::Relaxed) < 2 {
            Reply::Never
        } else {
            json(QR)
        }
    })
    .await;
    let limits = Limits { call: PATIENCE, one_try: Duration::from_millis(200), ..Limits::default() };
    let client = fake.client_within(Limits { pause: Duration::from_millis(10), ..limits });
    create(&client).await.unwrap();
    assert_eq!(fake.seen().len(), 4);
}

#[tokio::test]
async fn all_tries_together_keep_the_calls_limit() {
    let fake = Fake::start(|r, n| if r.is_token() { numbered_token(n) } else { Reply::Status(503) }).await;
    // Without the call's limit the waits alone would take minutes.
    let limits = Limits { call: Duration::from_secs(1), pause: PATIENCE * 4, ..Limits::default() };
    let client = fake.client_within(limits);
    let asked = tokio::time::timeout(PATIENCE, create(&client)).await.unwrap();
    assert_eq!(asked.unwrap_err().class(), Class::Timeout);
}

#[tokio::test]
async fn a_slow_answer_is_a_timeout() {
    const SHORT: Duration = Duration::from_millis(100);
    let slow_call = Fake::start(|r, n| if r.is_token() { numbered_token(n) } else { Reply::Never }).await;
    let slow_token = Fake::start(|_, _| Reply::Never).await;
    for fake in [slow_call, slow_token] {
        let error = create(&fake.client(SHORT)).await.unwrap_err();
        assert_eq!(error.class(), Class::Timeout, "{error}");
    }
}
