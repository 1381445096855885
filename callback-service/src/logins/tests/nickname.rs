//! The nickname, which WeChat may give late or never.

use futures_util::future::pending;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;

/// A WeChat that gives a token, and `person` when it is asked who somebody is; without it, never an answer.
/// The channel tells when it is asked.
async fn wechat(person: Option<&'static str>) -> (String, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, asked) = oneshot::channel();
    let tell = Arc::new(Mutex::new(Some(tell)));
    tokio::spawn(async move {
        loop {
            let stream = listener.accept().await.unwrap().0;
            let tell = Arc::clone(&tell);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while let Some(target) = request(&mut stream).await {
                    let json = if target.starts_with("/cgi-bin/stable_token") {
                        r#"{"access_token":"t","expires_in":7200}"#
                    } else {
                        assert!(target.contains("openid=oPerson"), "{target}");
                        if let Some(tell) = tell.lock().take() {
                            let _ = tell.send(());
                        }
                        match person {
                            Some(person) => person,
                            None => pending().await,
                        }
                    };
                    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len());
                    stream.write_all(reply.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (url, asked)
}

/// The target of the next request, whose body is read and dropped.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut first = String::new();
    stream.read_line(&mut first).await.ok().filter(|read| *read > 0)?;
    let mut body = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", length)) => body = length.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut rest = vec![0; body];
    stream.read_exact(&mut rest).await.ok()?;
    first.split(' ').nth(1).map(str::to_owned)
}

/// Logs in with that WeChat; gives the scan notice's nickname, the outcome, and when the scan came.
async fn named(person: Option<&'static str>, within: Duration) -> (Option<String>, PhoneReply, Duration) {
    let (mut gateway, client) = Gateway::start().await;
    let (url, asked) = wechat(person).await;
    let scans = with_wechat(client, sqlite(), wechat_at(&url), within);
    let scan = scan();
    let arrived = Instant::now();
    let played = async {
        let (claim, _) = gateway.hear().await;
        // WeChat is asked while the claim is on its way, not after it.
        timeout(PATIENCE, asked).await.unwrap().unwrap();
        gateway.answer(claim, claimed());
        let (id, Notice::Scan { nickname, .. }) = gateway.hear().await else { panic!() };
        let came = arrived.elapsed();
        gateway.answer(id, granted());
        (nickname, came)
    };
    let (outcome, (nickname, came)) = tokio::join!(scans.hears(scan.clone(), Instant::now()), played);
    (nickname, outcome, came)
}

#[tokio::test]
async fn a_nickname_is_shown_and_told() {
    let (nickname, outcome, _) = named(Some(r#"{"subscribe":1,"nickname":"阿狸"}"#), PATIENCE).await;
    assert_eq!(nickname.as_deref(), Some("阿狸"));
    let told = PhoneReply::LoggedIn { first: true, nickname, count: Some(1) };
    assert_eq!(outcome, told);
}

#[tokio::test]
async fn a_nickname_that_does_not_come_is_not_waited_for() {
    let within = Duration::from_millis(500);
    let slow = named(None, within);
    // However long the setting is, the scan is still sent in time.
    let endless = named(None, PATIENCE);
    // These are not waited for at all.
    let refused = named(Some(r#"{"errcode":48001,"errmsg":"api unauthorized"}"#), PATIENCE);
    let unnamed = named(Some(r#"{"subscribe":1}"#), PATIENCE);
    let (slow, endless, refused, unnamed) = tokio::join!(slow, endless, refused, unnamed);
    let soon = within + Duration::from_secs(1);
    for (name, (nickname, outcome, came), least, most) in [
        ("slow", slow, within, soon),
        ("endless", endless, within, TIMES.scan),
        ("refused", refused, Duration::ZERO, soon),
        ("unnamed", unnamed, Duration::ZERO, soon),
    ] {
        assert_eq!((nickname, outcome), (None, told(Some(1))), "{name}");
        assert!(least <= came && came < most, "{name}: {came:?}");
    }
}

#[tokio::test]
async fn with_no_time_for_nicknames_wechat_is_not_asked() {
    let (gateway, client) = Gateway::start().await;
    gateway.play(|notice| match notice {
        Notice::Claim { .. } => Some(claimed()),
        _ => Some(granted()),
    });
    let (url, mut asked) = wechat(Some(r#"{"subscribe":1,"nickname":"阿狸"}"#)).await;
    let scans = with_wechat(client, sqlite(), wechat_at(&url), Duration::ZERO);
    assert_eq!(scans.hears(scan(), Instant::now()).await, told(Some(1)));
    settled(&scans).await;
    assert!(asked.try_recv().is_err());
}

/// WeChat was asked as long as the claim may take, and the page gets its number all the same.
#[tokio::test]
async fn a_nickname_that_does_not_come_leaves_time_for_the_question() {
    let (gateway, client) = Gateway::start().await;
    gateway.play(|notice| {
        let Notice::Claim { number, .. } = notice else { return None };
        let context = Context { number: number.clone(), ..Context::default() };
        Some(Answer { context: Some(Box::new(context)), ..claimed() })
    });
    let (url, _asked) = wechat(None).await;
    let mut scans = with_wechat(client, sqlite(), wechat_at(&url), PATIENCE);
    Arc::get_mut(&mut scans).unwrap().confirms = true;
    let told = scans.hears(scan(), Instant::now()).await;
    assert!(matches!(told, PhoneReply::Question(_)), "{told:?}");
}
