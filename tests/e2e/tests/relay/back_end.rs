//! The back end that had the account's pushes before: it checks WeChat's signatures itself, and behaves as a test wants.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::page::PATIENCE;
use simulator::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What it does with a request.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// It replies to messages with `echo: ` and the text, and to all else with `success`.
    Echoes,
    /// It replies with these words to whatever comes.
    Words(&'static str),
    /// It says exactly these bytes, and keeps the connection.
    Says(Vec<u8>),
    /// It says these bytes and hangs up.
    Cuts(Vec<u8>),
    /// It never answers.
    Hangs,
}

/// A request as it came.
#[derive(Debug)]
pub(super) struct Request {
    /// The request line and the headers, in lower case but for the first line.
    pub head: String,
    /// Behind the first question mark.
    pub query: String,
    pub body: String,
    /// What it was once it was opened by the account's own secrets; or why it was not.
    pub opened: Result<String, String>,
}

/// A running one. Dropping it ends it, with its connections.
pub(super) struct BackEnd {
    pub address: SocketAddr,
    way: Arc<Mutex<Way>>,
    heard: UnboundedReceiver<Request>,
    served: JoinHandle<()>,
}

impl BackEnd {
    /// That of an account, which echoes.
    pub(super) async fn of(account: &Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let way = Arc::new(Mutex::new(Way::Echoes));
        let (write, heard) = unbounded_channel();
        let (theirs, account) = (Arc::clone(&way), Arc::new(simulator::BackEnd::new(account).unwrap()));
        let served = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&theirs), Arc::clone(&account), write.clone()));
            }
        });
        Self { address, way, heard, served }
    }

    /// Its address, in the form that the settings take.
    pub(super) fn url(&self) -> String {
        format!("http://{}/old/wechat.php", self.address)
    }

    /// From now on it behaves so.
    pub(super) fn does(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }

    /// The next request.
    pub(super) async fn hears(&mut self) -> Request {
        timeout(PATIENCE, self.heard.recv()).await.expect("it hears something").unwrap()
    }

    /// Whether it has heard nothing more. A test has to know that nothing is under way.
    pub(super) fn has_heard_all(&mut self) -> bool {
        self.heard.try_recv().is_err()
    }
}

impl Drop for BackEnd {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    way: Arc<Mutex<Way>>,
    account: Arc<simulator::BackEnd>,
    heard: UnboundedSender<Request>,
) {
    while let Some((head, body)) = request(&mut stream).await {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let query = path.split_once('?').map_or("", |(_, query)| query).to_owned();
        let opened = account.open(&query, &body);
        let way = way.lock().unwrap().clone();
        let answer = match (&way, &opened) {
            (Way::Echoes, Ok(push)) => match push.split_once("<Content><![CDATA[") {
                Some((_, rest)) => {
                    let words = rest.split("]]>").next().unwrap_or_default();
                    says(200, "text/html; charset=utf-8", &account.reply(push, &format!("echo: {words}")))
                }
                None => says(200, "text/html", "success"),
            },
            (Way::Words(words), Ok(push)) => says(200, "text/xml", &account.reply(push, words)),
            (Way::Echoes | Way::Words(_), Err(_)) => says(403, "text/plain", "invalid signature"),
            (Way::Says(bytes) | Way::Cuts(bytes), _) => bytes.clone(),
            (Way::Hangs, _) => Vec::new(),
        };
        let _ = heard.send(Request { head, query, body, opened });
        match way {
            Way::Hangs => tokio::time::sleep(Duration::from_secs(3600)).await,
            Way::Cuts(_) => {
                let _ = stream.write_all(&answer).await;
                return;
            }
            _ if stream.write_all(&answer).await.is_ok() => {}
            _ => return,
        }
    }
}

/// An answer as a server writes it.
pub(super) fn says(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// The next request's head and body.
async fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut read, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(read[..end + 2].to_vec()).unwrap();
            let (line, headers) = head.split_once("\r\n").unwrap();
            let headers = headers.to_lowercase();
            let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            while read.len() < end + 4 + length {
                let count = stream.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
                read.extend_from_slice(&bytes[..count]);
            }
            let body = String::from_utf8(read[end + 4..].to_vec()).unwrap();
            return Some((format!("{line}\r\n{headers}"), body));
        }
        let count = stream.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
        read.extend_from_slice(&bytes[..count]);
    }
}
