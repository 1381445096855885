//! The client against a small fake WeChat on a real socket. Each file beside this one has the tests of one idea.
#![allow(clippy::unwrap_used)]

mod calls;
mod insight;
mod meter;
mod refusals;
mod secrets;
mod token;
mod web;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::api::logged::Logged;
use crate::api::policy::Limits;
use crate::api::{Class, Client, Error, Settings};

const SECRET: &str = "the-app-secret";
const PATIENCE: Duration = Duration::from_secs(30);

/// What the fake WeChat does with a request.
enum Reply {
    Json(String),
    Status(u16),
    /// An error without a token, at this time.
    Dated(&'static str),
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
                            Reply::Dated(date) => {
                                let head = format!(
                                    "HTTP/1.1 200 X\r\nDate: {date}\r\nContent-Length: 2\r\n\r\n{{}}"
                                );
                                let _ = stream.write_all(head.as_bytes()).await;
                            }
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

async fn create(client: &Client) -> Result<crate::api::QrCode, Error> {
    client.create_qr_code("L7fK2m-Qx", Duration::from_secs(300)).await
}

/// Advances paused time while nothing waits for a socket.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

const MINUTE: Duration = Duration::from_secs(60);
