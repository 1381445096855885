//! A probe's page: a WebSocket at the gateway's port for browsers, which comes to its login by the resume key.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use http::HeaderValue;
use http::header::{SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use protocol::tls::ClientTls;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::Target;

/// Bytes of one message of the gateway. The longest that it sends to a page is its picture of a code, which a probe's
/// login has not.
const MAX_MESSAGE: usize = 64 * 1024;

/// Characters of the other end's own words that are shown.
const MAX_WORDS: usize = 200;

/// How long the other end may take to close after its last word.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// TCP, or TLS over it.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// An open page.
pub(super) struct Page {
    socket: WebSocketStream<Box<dyn Stream>>,
    /// What the gateway has said instead of what was waited for.
    trouble: Option<String>,
}

/// What a page is sent, as far as a probe looks at it.
#[derive(Deserialize)]
struct Heard {
    #[serde(rename = "message_type")]
    kind: String,
    #[serde(default)]
    message: String,
}

impl Page {
    /// Opens the page of the login with this resume key.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub(super) async fn open(target: &Target, key: &str, deadline: Instant) -> Result<Self, String> {
        let Target { is_secure, host, port } = target;
        let opening = async {
            let mut request =
                format!("{}://{host}:{port}/ws?subprotocol=offered", if *is_secure { "wss" } else { "ws" })
                    .into_client_request()
                    .map_err(|error| error.to_string())?;
            // A key in a header prints nowhere.
            let mut offered = HeaderValue::try_from(format!("saoma.v1, resume.{key}"))
                .map_err(|_| "its key is no header")?;
            offered.set_sensitive(true);
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offered);
            request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("saoma-probe"));
            let stream = connect(target).await?;
            let config = WebSocketConfig::default()
                .max_message_size(Some(MAX_MESSAGE))
                .max_frame_size(Some(MAX_MESSAGE));
            let (socket, _) = client_async_with_config(request, stream, Some(config))
                .await
                .map_err(|error| refused(&error))?;
            Ok(Self { socket, trouble: None })
        };
        timeout_at(deadline, opening).await.unwrap_or_else(|_| Err("it does not answer in time".to_owned()))
    }

    /// Waits for the gateway's message of this `kind`. Others that a page may get meanwhile are ignored.
    ///
    /// # Errors
    /// What came instead, or that nothing did, for people.
    pub(super) async fn hear(&mut self, kind: &str, deadline: Instant) -> Result<(), String> {
        let wanted = format!("{kind} did not come");
        loop {
            match self.next(deadline).await.map_err(|why| self.told(&wanted, why))? {
                Message::Text(text) => {
                    let Ok(heard) = serde_json::from_str::<Heard>(&text) else {
                        let why = format!("a message came that is none: {:?}", cut(&text));
                        return Err(self.told(&wanted, why));
                    };
                    if heard.kind == kind {
                        return Ok(());
                    }
                    if heard.kind == "error" {
                        self.trouble = Some(heard.message);
                    }
                }
                Message::Close(frame) => {
                    let why = match frame {
                        Some(frame) => format!("the gateway closed with {}", u16::from(frame.code)),
                        None => "the gateway closed".to_owned(),
                    };
                    return Err(self.told(&wanted, why));
                }
                _ => {}
            }
        }
    }

    /// Waits until the gateway closes with this `code`.
    ///
    /// # Errors
    /// What happened instead, for people.
    pub(super) async fn closes(&mut self, code: u16, deadline: Instant) -> Result<(), String> {
        let wanted = format!("the close with {code} did not come");
        loop {
            match self.next(deadline).await.map_err(|why| self.told(&wanted, why))? {
                Message::Close(Some(frame)) if u16::from(frame.code) == code => return Ok(()),
                Message::Close(frame) => {
                    let why = format!("another one came: {:?}", frame.map(|frame| u16::from(frame.code)));
                    return Err(self.told(&wanted, why));
                }
                _ => {}
            }
        }
    }

    /// Lets the other end close, so that it does not have to wait.
    pub(super) async fn leave(mut self) {
        let _ = timeout(LEAVE_WITHIN, async { while let Some(Ok(_)) = self.socket.next().await {} }).await;
    }

    async fn next(&mut self, deadline: Instant) -> Result<Message, String> {
        match timeout_at(deadline, self.socket.next()).await {
            Err(_) => Err("nothing came in time".to_owned()),
            Ok(None) => Err("the connection ended".to_owned()),
            Ok(Some(Err(error))) => Err(refused(&error)),
            Ok(Some(Ok(message))) => Ok(message),
        }
    }

    /// What was missed and why, with the gateway's own words where it had some.
    fn told(&self, wanted: &str, why: impl fmt::Display) -> String {
        match &self.trouble {
            None => format!("{wanted}: {why}"),
            Some(words) => format!("{wanted}: {why}; it says {:?}", cut(words)),
        }
    }
}

/// Connects to the first of the host's addresses that answers.
async fn connect(target: &Target) -> Result<Box<dyn Stream>, String> {
    let Target { is_secure, host, port } = target;
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((name, *port)).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    if !*is_secure {
        return Ok(Box::new(stream));
    }
    // The system's authorities are files, which may have changed since.
    let tls = ClientTls::default();
    let server_name =
        tls.server_name(&format!("{host}:{port}")).ok_or("no certificate is for such a name")?;
    let config = spawn_blocking(move || tls.load()).await.map_err(|_| "TLS cannot be set up")?;
    let connector = TlsConnector::from(config.map_err(|error| error.to_string())?);
    let stream = connector.connect(server_name, stream).await.map_err(|error| format!("TLS: {error}"))?;
    Ok(Box::new(stream))
}

/// What the other end did in place of a WebSocket.
fn refused(error: &Error) -> String {
    match error {
        Error::Http(response) => match response.body().as_deref() {
            Some(body) if !body.is_empty() => {
                format!("HTTP {}: {:?}", response.status(), cut(&String::from_utf8_lossy(body)))
            }
            _ => format!("HTTP {}", response.status()),
        },
        other => other.to_string(),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_WORDS).collect()
}
