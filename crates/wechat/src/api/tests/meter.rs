//! Each request that goes out is paid for, and no other.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::api::{Meter, Unmade};

/// A meter that pays for a limited number of requests and counts them.
struct Purse {
    left: AtomicUsize,
    paid: AtomicUsize,
}

impl Purse {
    fn of(left: usize) -> Self {
        Self { left: left.into(), paid: AtomicUsize::new(0) }
    }

    fn paid(&self) -> usize {
        self.paid.load(Ordering::Relaxed)
    }

    async fn create(&self, client: &Client) -> Result<crate::api::QrCode, Unmade<&'static str>> {
        client.create_paid_qr_code("L7fK2m-Qx", Duration::from_secs(300), self).await
    }
}

impl Meter for Purse {
    type Refusal = &'static str;
    type Receipt = ();

    async fn pay(&self) -> Result<(), &'static str> {
        let less = |left: usize| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).map_err(|_| "empty")?;
        self.paid.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn refund(&self, (): ()) {
        self.left.fetch_add(1, Ordering::Relaxed);
        self.paid.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn each_request_that_goes_out_is_paid_for_and_no_other() {
    let answered = AtomicUsize::new(0);
    // A stale token, a busy WeChat, a failing front, a code; then a refusal that stays.
    let fake = Fake::start(move |r, n| match r {
        r if r.is_token() => numbered_token(n),
        _ => match answered.fetch_add(1, Ordering::Relaxed) {
            0 => json(STALE),
            1 => json(r#"{"errcode":-1,"errmsg":"system error"}"#),
            2 => Reply::Status(503),
            3 => json(QR),
            _ => json(r#"{"errcode":48001,"errmsg":"api unauthorized rid: 1"}"#),
        },
    })
    .await;
    let qr_calls = || fake.seen().iter().filter(|r| !r.is_token()).count();
    let (client, purse) = (fake.client(PATIENCE), Purse::of(100));
    purse.create(&client).await.unwrap();
    assert_eq!((purse.paid(), qr_calls()), (4, 4), "each try");
    for _ in 0..100 {
        let Err(Unmade::Failed(refusal)) = purse.create(&client).await else { panic!("made") };
        assert_eq!(refusal.class(), Class::Permission);
    }
    assert_eq!((purse.paid(), qr_calls()), (5, 5), "a refusal that stands costs nothing");
}

#[tokio::test]
async fn without_a_token_nothing_is_paid() {
    let fake = Fake::start(|_, _| json(r#"{"errcode":40164,"errmsg":"invalid ip, not in whitelist"}"#)).await;
    let (client, purse) = (fake.client(PATIENCE), Purse::of(100));
    for _ in 0..10 {
        assert!(matches!(purse.create(&client).await, Err(Unmade::Failed(_))));
    }
    assert_eq!(purse.paid(), 0);
}

#[tokio::test]
async fn a_request_that_found_no_connection_is_paid_back_and_one_that_broke_is_not() {
    let fake = Fake::start(|_, n| numbered_token(n)).await;
    let limits = Limits { pause: Duration::from_millis(1), ..Limits::default() };
    let (client, purse) = (fake.client_within(limits), Purse::of(100));
    let _ = client.user("someone").await;
    // The token is there. The next connection finds a port that is bound but does not listen.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let moved = client.with_api(&format!("http://{}", nobody.local_addr().unwrap()));
    let Err(Unmade::Failed(error)) = purse.create(&moved).await else { panic!("made") };
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(error.class(), Class::Transport);
    assert_eq!(purse.paid(), 0);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let moved = client.with_api(&format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Closes in the middle of the call.
            receive(&mut BufReader::new(stream)).await;
        }
    });
    let Err(Unmade::Failed(error)) = purse.create(&moved).await else { panic!("made") };
    assert!(matches!(error, Error::Transport { .. }), "{error}");
    assert_eq!(purse.paid(), 3, "three tries, each of which WeChat may have counted");
}

#[tokio::test]
async fn an_empty_purse_sends_nothing_and_takes_no_probe_from_others() {
    let allowed = Arc::new(AtomicUsize::new(0));
    let is_allowed = Arc::clone(&allowed);
    let fake = Fake::start(move |r, n| match r {
        r if r.is_token() => numbered_token(n),
        _ if is_allowed.load(Ordering::Relaxed) == 1 => json(QR),
        _ => json(r#"{"errcode":48001,"errmsg":"api unauthorized rid: 1"}"#),
    })
    .await;
    let (client, empty) = (fake.client(PATIENCE), Purse::of(0));
    assert_eq!(empty.create(&client).await, Err(Unmade::Unpaid("empty")));
    assert_eq!(fake.seen().len(), 1, "the token alone was asked for");
    create(&client).await.unwrap_err();
    assert!(matches!(empty.create(&client).await, Err(Unmade::Failed(_))), "the refusal comes first");
    allowed.store(1, Ordering::Relaxed);
    pass(MINUTE).await;
    assert_eq!(empty.create(&client).await, Err(Unmade::Unpaid("empty")));
    create(&client).await.unwrap();
}
