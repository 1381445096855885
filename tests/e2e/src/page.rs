//! A page that speaks the browser's protocol over a real socket.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Limit for everything that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The stream of a page's connection: TCP, or TLS to a proxy.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A page's connection.
pub struct Page(WebSocketStream<Box<dyn Stream>>);

/// Something that a page gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A message.
    Message(Value),
    /// The gateway's close code; 1006 if there was none.
    Closed(u16),
}

/// A QR code as a page gets it.
#[derive(Debug, Clone)]
pub struct Code {
    /// The text of the QR code.
    pub content: String,
    /// The resume key.
    pub resume: String,
}

impl Code {
    /// The login's scene.
    #[must_use]
    pub fn scene(&self) -> String {
        self.resume.split('.').next().unwrap_or_default().to_owned()
    }
}

impl Page {
    /// Opens a page as our own script does.
    pub async fn open(gateway: SocketAddr) -> Self {
        Self::offer(gateway, "/ws", &["saoma.v1"]).await.expect("the gateway takes the page")
    }

    /// Opens a page that resumes its login with this key.
    pub async fn resume(gateway: SocketAddr, key: &str) -> Self {
        let offered = format!("resume.{key}");
        Self::offer(gateway, "/ws", &["saoma.v1", &offered]).await.expect("the gateway takes the page")
    }

    /// Opens `path` as our script does in a page of this origin; none sends no Origin header, as no browser does.
    ///
    /// # Errors
    /// When the gateway refuses the handshake.
    pub async fn of(origin: Option<&str>, gateway: SocketAddr, path: &str) -> Result<Self, Error> {
        Self::offer_of(origin, gateway, path, &["saoma.v1"]).await
    }

    /// Opens `path`, and offers `subprotocols`.
    ///
    /// # Errors
    /// When the gateway refuses the handshake.
    pub async fn offer(gateway: SocketAddr, path: &str, subprotocols: &[&str]) -> Result<Self, Error> {
        Self::offer_of(None, gateway, path, subprotocols).await
    }

    /// As [`Page::offer`], in a page of this origin, as with [`Page::of`].
    ///
    /// # Errors
    /// When the gateway refuses the handshake.
    pub async fn offer_of(
        origin: Option<&str>,
        gateway: SocketAddr,
        path: &str,
        subprotocols: &[&str],
    ) -> Result<Self, Error> {
        let stream = TcpStream::connect(gateway).await?;
        Self::handshake(Box::new(stream), &format!("ws://{gateway}{path}"), subprotocols, origin).await
    }

    /// Opens `url` over `stream`, as a page of the same origin does.
    ///
    /// # Errors
    /// When the handshake is refused.
    pub async fn over(stream: Box<dyn Stream>, url: &str, subprotocols: &[&str]) -> Result<Self, Error> {
        Self::handshake(stream, url, subprotocols, None).await
    }

    async fn handshake(
        stream: Box<dyn Stream>,
        url: &str,
        subprotocols: &[&str],
        origin: Option<&str>,
    ) -> Result<Self, Error> {
        let mut request = url.into_client_request()?;
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", HeaderValue::from_str(origin)?);
        }
        if !subprotocols.is_empty() {
            let offered = HeaderValue::from_str(&subprotocols.join(", "))?;
            request.headers_mut().insert("sec-websocket-protocol", offered);
        }
        let (socket, answer) = tokio_tungstenite::client_async(request, stream).await?;
        let chosen = answer.headers().get("sec-websocket-protocol").map(HeaderValue::as_bytes);
        let expected = subprotocols.contains(&"saoma.v1").then_some(&b"saoma.v1"[..]);
        assert_eq!(chosen, expected, "the gateway selects saoma.v1 and nothing else");
        Ok(Self(socket))
    }

    /// The next message or close that is not a heartbeat.
    pub async fn hear(&mut self) -> Heard {
        let heard = async {
            loop {
                match self.next().await {
                    Heard::Message(said) if said["message_type"] == "heartbeat" => {}
                    heard => return heard,
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("the gateway says something")
    }

    /// The next message or close, heartbeats too, without a time limit.
    pub async fn next(&mut self) -> Heard {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Heard::Message(serde_json::from_str(&text).expect("the gateway speaks JSON"));
                }
                Some(Ok(Message::Close(frame))) => {
                    return Heard::Closed(frame.map_or(1005, |frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Closed(1006),
            }
        }
    }

    /// The next message, which must be of this type.
    pub async fn expect(&mut self, message_type: &str) -> Value {
        match self.hear().await {
            Heard::Message(said) if said["message_type"] == message_type => said,
            other => panic!("waited for {message_type}, heard {other:?}"),
        }
    }

    /// The next message of this type, perhaps after some of the `other`: of changes that follow each other faster than the
    /// page's task runs the page hears the last.
    pub async fn expect_after(&mut self, other: &str, message_type: &str) -> Value {
        loop {
            match self.hear().await {
                Heard::Message(said) if said["message_type"] == message_type => return said,
                Heard::Message(said) if said["message_type"] == other => {}
                heard => panic!("waited for {message_type}, heard {heard:?}"),
            }
        }
    }

    /// The next QR code.
    pub async fn code(&mut self) -> Code {
        let said = self.expect("qrcode_url").await;
        let text = |field: &str| said[field].as_str().unwrap_or_default().to_owned();
        Code { content: text("content"), resume: text("resume") }
    }

    /// The next close.
    pub async fn closed(&mut self) -> u16 {
        match self.hear().await {
            Heard::Closed(code) => code,
            Heard::Message(said) => panic!("waited for a close, heard {said}"),
        }
    }

    /// Sends a text.
    pub async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await.expect("the gateway listens");
    }

    /// Sends a message of any kind.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.0.send(message).await
    }
}
