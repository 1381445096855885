//! The client against a small fake WeChat on a real socket: one token for many calls, one retry, limits kept,
//! no secrets printed.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::logged::Logged;
use crate::policy::Limits;
use crate::{Class, Client, Error, Meter, Settings, Unmade};

const SECRET: &str = "the-app-secret";
const PATIENCE: Duration = Duration::from_secs(30);

/// What the fake WeChat does with a request.
enum Reply {
    Json(String),
    Status(u16),
    Never,
}

fn json(text: &str) -> Reply {
    Reply::Json(text.to_owned())
}

/// A request as it arrived: path with query, and body.
#[derive(Clone, Debug)]
struct Request {
    target: String,
    body: String,
}

impl Request {
    fn is_token(&self) -> bool {
        self.target.starts_with("/cgi-bin/stable_token")
    }

    fn token(&self) -> &str {
        self.target.split_once("access_token=").unwrap().1.split('&').next().unwrap()
    }
}

/// A server that records every request. Its answer depends on the request and on the number of token calls
/// before it.
struct Fake {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    async fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = receive(&mut stream).await {
                        let reply = {
                            let mut log = log.lock().unwrap();
                            let tokens_before = log.iter().filter(|r: &&Request| r.is_token()).count();
                            let reply = answer(&request, tokens_before);
                            log.push(request);
                            reply
                        };
                        match reply {
                            Reply::Json(text) => send(&mut stream, 200, &text).await,
                            Reply::Status(status) => send(&mut stream, status, "<html>").await,
                            Reply::Never => std::future::pending().await,
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// A client with `limit` for a call and for each of its tries, and next to no wait between them.
    fn client(&self, limit: Duration) -> Client {
        let pause = Duration::from_millis(10);
        self.client_within(Limits { call: limit, one_try: limit, pause, ..Limits::default() })
    }

    fn client_within(&self, limits: Limits) -> Client {
        let settings = Settings {
            app_id: "wx0123456789abcdef".to_owned(),
            app_secret: SECRET.into(),
            api_url: format!("http://{}", self.address),
        };
        Client::with_limits(settings, limits).unwrap()
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    fn token_calls(&self) -> usize {
        self.seen().iter().filter(|request| request.is_token()).count()
    }
}

async fn receive(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut first = String::new();
    stream.read_line(&mut first).await.ok().filter(|&read| read > 0)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|&read| read > 0)?;
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let target = first.split(' ').nth(1)?.to_owned();
    Some(Request { target, body: String::from_utf8(body).unwrap() })
}

async fn send(stream: &mut BufReader<TcpStream>, status: u16, body: &str) {
    // The Content-Type is wrong on purpose, because WeChat's varies. The Location is bait for a client that
    // follows redirects.
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nLocation: /elsewhere\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

fn numbered_token(number: usize) -> Reply {
    Reply::Json(format!(r#"{{"access_token":"TOKEN-{number}","expires_in":7200}}"#))
}

const QR: &str = r#"{"ticket":"gQ-ticket","expire_seconds":300,"url":"http://weixin.qq.com/q/02x"}"#;
const STALE: &str =
    r#"{"errcode":40001,"errmsg":"invalid credential, access_token is invalid or not latest"}"#;

async fn create(client: &Client) -> Result<crate::QrCode, Error> {
    client.create_qr_code("L7fK2m-Qx", Duration::from_secs(300)).await
}

#[tokio::test]
async fn a_qr_code_is_asked_for_in_the_documented_words() {
    let fake = Fake::start(|r, n| if r.is_token() { numbered_token(n) } else { json(QR) }).await;
    let code = create(&fake.client(PATIENCE)).await.unwrap();
    assert_eq!(code.ticket, "gQ-ticket");
    assert_eq!(code.url, "http://weixin.qq.com/q/02x");
    assert_eq!(code.expire, Duration::from_secs(300));
    let seen = fake.seen();
    let read = |body: &str| serde_json::from_str::<serde_json::Value>(body).unwrap();
    assert_eq!(
        read(&seen[0].body),
        serde_json::json!({
            "grant_type": "client_credential", "appid": "wx0123456789abcdef", "secret": SECRET, "force_refresh": false
        })
    );
    assert_eq!(seen[1].target, "/cgi-bin/qrcode/create?access_token=TOKEN-0");
    assert_eq!(
        read(&seen[1].body),
        serde_json::json!({
            "expire_seconds": 300, "action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "L7fK2m-Qx"}}
        })
    );
}

#[tokio::test]
async fn a_person_is_asked_for_and_an_absent_or_empty_name_is_none() {
    let fake = Fake::start(|r, n| {
        if r.is_token() {
            numbered_token(n)
        } else if r.target.contains("openid=named&") {
            json(r#"{"subscribe":1,"openid":"named","nickname":"阿狸\u202e","unionid":"u1"}"#)
        } else if r.target.contains("openid=empty&") {
            json(r#"{"subscribe":1,"openid":"empty","nickname":"","unionid":""}"#)
        } else {
            json(r#"{"subscribe":0,"openid":"gone"}"#)
        }
    })
    .await;
    let client = fake.client(PATIENCE);
    let named = client.user("named").await.unwrap();
    assert_eq!(
        (named.nickname.as_deref(), named.unionid.as_deref(), named.subscribed),
        (Some("阿狸"), Some("u1"), true)
    );
    let empty = client.user("empty").await.unwrap();
    assert_eq!((empty.nickname, empty.unionid, empty.subscribed), (None, None, true));
    assert!(!client.user("gone").await.unwrap().subscribed);
    assert_eq!(fake.seen()[1].target, "/cgi-bin/user/info?access_token=TOKEN-0&openid=named&lang=zh_CN");
    client.user("a&b=c").await.unwrap();
    assert!(fake.seen()[4].target.contains("openid=a%26b%3Dc"));
}

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

/// Advances paused time while nothing waits for a socket.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

const MINUTE: Duration = Duration::from_secs(60);

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
async fn a_slow_answer_is_a_timeout() {
    const SHORT: Duration = Duration::from_millis(100);
    let slow_call = Fake::start(|r, n| if r.is_token() { numbered_token(n) } else { Reply::Never }).await;
    let slow_token = Fake::start(|_, _| Reply::Never).await;
    for fake in [slow_call, slow_token] {
        let error = create(&fake.client(SHORT)).await.unwrap_err();
        assert_eq!(error.class(), Class::Timeout, "{error}");
    }
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
async fn an_http_failure_is_told_by_its_status() {
    let fake = Fake::start(|_, _| Reply::Status(502)).await;
    let error = create(&fake.client(PATIENCE)).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 502, .. }), "{error}");
    assert_eq!(error.class(), Class::Transport);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let fake = Fake::start(|_, _| Reply::Status(302)).await;
    let error = create(&fake.client(PATIENCE)).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 302, .. }), "{error}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let fake =
        Fake::start(|_, _| Reply::Json(format!(r#"{{"access_token":"{}"}}"#, "A".repeat(70_000)))).await;
    let error = create(&fake.client(PATIENCE)).await.unwrap_err();
    assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
}

#[tokio::test]
async fn no_failure_and_no_debug_tells_a_secret() {
    // Every way to fail with a token in hand: refused, unreadable, wrong status, slow; then a host that nobody
    // answers at.
    const REFUSED: &str = r#"{"errcode":48001,"errmsg":"api unauthorized"}"#;
    let replies: [fn() -> Reply; 4] =
        [|| json(REFUSED), || json("TOKEN-0"), || Reply::Status(500), || Reply::Never];
    let mut told = Vec::new();
    for reply in replies {
        let fake = Fake::start(move |r, n| if r.is_token() { numbered_token(n) } else { reply() }).await;
        let client = fake.client(Duration::from_secs(1));
        let error = client.user("someone").await.unwrap_err();
        told.push(format!("{error} {error:?} {client:?}"));
    }
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fake = Fake { address: gone, seen: Arc::default() };
    let error = create(&fake.client(PATIENCE)).await.unwrap_err();
    assert_eq!(error.class(), Class::Transport);
    told.push(format!("{error} {error:?}"));
    let settings = Settings {
        app_id: "wx1".to_owned(),
        app_secret: SECRET.into(),
        api_url: "http://localhost".to_owned(),
    };
    told.push(format!("{settings:?}"));
    for text in told {
        assert!(
            !text.contains("TOKEN-0") && !text.contains(SECRET) && !text.contains("access_token="),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_broken_connection_with_a_token_in_its_address_tells_neither() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while let Some(request) = receive(&mut stream).await {
                    if !request.is_token() {
                        return; // closes in the middle of the call
                    }
                    send(&mut stream, 200, r#"{"access_token":"TOKEN-0","expires_in":7200}"#).await;
                }
            });
        }
    });
    let fake = Fake { address, seen: Arc::default() };
    let error = create(&fake.client(PATIENCE)).await.unwrap_err();
    assert_eq!(error.class(), Class::Transport);
    let text = format!("{error} {error:?}");
    assert!(!text.contains("TOKEN-0") && text.contains("/cgi-bin/qrcode/create"), "{text}");
}

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

    async fn create(&self, client: &Client) -> Result<crate::QrCode, Unmade<&'static str>> {
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
