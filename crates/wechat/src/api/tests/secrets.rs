//! No failure prints a token or the AppSecret.

use super::*;

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
