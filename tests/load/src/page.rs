//! A visitor's page: it speaks the browser's protocol as our own script does, from one of many loopback
//! addresses.
//!
//! Unlike the page of the end-to-end tests it returns errors, because one failing page among a hundred thousand
//! is only counted. It also uses little memory, because ten thousand pages are open at once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The number of addresses that pages come from: 127.0.0.1 and the following ones. One address has about 28,000
/// ports for connections to a gateway, and a port cannot be used again for a minute.
const ADDRESSES: u64 = 64;

/// Limit for everything that a page waits for, except the life of its code.
const PATIENCE: Duration = Duration::from_secs(30);

/// A page's connection.
pub(crate) struct Page(WebSocketStream<TcpStream>);

/// A QR code as the page gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Code {
    /// The text of the QR code.
    pub(crate) content: String,
    /// The resume key.
    pub(crate) resume: String,
}

/// A message of the gateway to a page.
#[derive(Debug, Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
enum Said {
    QrcodeUrl { content: String, resume: String },
    Scanned { number: Option<String> },
    ScanSuccess { user: String, code: Option<String> },
    Expired {},
    Denied {},
    Heartbeat {},
    Error { code: String, retry_in: Option<u64> },
}

/// Why a visit failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The gateway is at a limit and tells the page to come back after this time.
    Refused(Duration),
    /// A fault.
    Fault(anyhow::Error),
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Fault(error)
    }
}

impl Page {
    /// Opens the page of visitor `number`, or returns to its login with a resume key.
    ///
    /// # Errors
    /// When the gateway cannot be reached or refuses the handshake.
    pub(crate) async fn open(gateway: SocketAddr, number: u64, resume: Option<&str>) -> anyhow::Result<Self> {
        let request = format!("ws://{gateway}/ws").into_client_request()?;
        Self::connect(gateway, request, number, resume).await
    }

    /// Opens the issuer's page for the request of a site.
    ///
    /// # Errors
    /// As [`Page::open`].
    pub(crate) async fn open_for(
        gateway: SocketAddr,
        number: u64,
        issuer: &str,
        handle: &str,
    ) -> anyhow::Result<Self> {
        let mut request = format!("ws://{gateway}/ws?request={handle}").into_client_request()?;
        request.headers_mut().insert("origin", HeaderValue::from_str(issuer)?);
        Self::connect(gateway, request, number, None).await
    }

    async fn connect(
        gateway: SocketAddr,
        mut request: Request,
        number: u64,
        resume: Option<&str>,
    ) -> anyhow::Result<Self> {
        let offered = resume.map_or("saoma.v1".to_owned(), |key| format!("saoma.v1, resume.{key}"));
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_str(&offered)?);
        let socket = TcpSocket::new_v4()?;
        let own = u32::from(Ipv4Addr::LOCALHOST) + u32::try_from(number % ADDRESSES)?;
        socket.bind((IpAddr::from(Ipv4Addr::from(own)), 0).into())?;
        let opening = async {
            let stream = socket.connect(gateway).await.context("a page cannot connect")?;
            stream.set_nodelay(true)?;
            let config = WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0);
            let opened = client_async_with_config(request, stream, Some(config)).await;
            Ok(Self(opened.context("the gateway refuses a page")?.0))
        };
        timeout(PATIENCE, opening).await.context("the gateway does not take a page")?
    }

    /// Waits for the next QR code, and ignores messages that it is delayed.
    ///
    /// # Errors
    /// [`Trouble::Refused`] when the gateway closes the page instead.
    pub(crate) async fn code(&mut self) -> Result<Code, Trouble> {
        let mut wait = None;
        loop {
            match self.hear(PATIENCE).await? {
                Ok(Said::QrcodeUrl { content, resume }) => return Ok(Code { content, resume }),
                Ok(Said::Error { retry_in, .. }) => wait = retry_in.map(Duration::from_millis),
                Err(1013) => return Err(Trouble::Refused(wait.unwrap_or_default())),
                other => return Err(unexpected("a QR code", &other).into()),
            }
        }
    }

    /// Waits for the number by which the person confirms.
    ///
    /// # Errors
    /// When anything but `scanned` comes.
    pub(crate) async fn number(&mut self) -> anyhow::Result<String> {
        loop {
            match self.hear(PATIENCE).await? {
                Ok(Said::Scanned { number: Some(number) }) => return Ok(number),
                Ok(Said::Scanned { number: None }) => {}
                other => return Err(unexpected("a number", &other)),
            }
        }
    }

    /// Waits until somebody is logged in, and returns their name.
    ///
    /// # Errors
    /// When anything but `scanned`, `scan_success` and the close 4010 comes.
    pub(crate) async fn logged_in(&mut self) -> anyhow::Result<String> {
        let (user, _) = self.granted().await?;
        self.over().await?;
        Ok(user)
    }

    /// Waits until somebody is logged in, and returns their name and the code, which the page of a request gets.
    ///
    /// # Errors
    /// When anything but `scanned` and `scan_success` comes.
    pub(crate) async fn granted(&mut self) -> anyhow::Result<(String, Option<String>)> {
        loop {
            match self.hear(PATIENCE).await? {
                Ok(Said::Scanned { .. }) => {}
                Ok(Said::ScanSuccess { user, code }) => return Ok((user, code)),
                other => return Err(unexpected("scan_success", &other)),
            }
        }
    }

    /// Waits for the close after a login.
    ///
    /// # Errors
    /// When anything but the close 4010 comes.
    pub(crate) async fn over(&mut self) -> anyhow::Result<()> {
        match self.hear(PATIENCE).await? {
            Err(4010) => Ok(()),
            other => Err(unexpected("the close 4010", &other)),
        }
    }

    /// Waits until its code, shown for `shown_for`, has expired.
    ///
    /// # Errors
    /// When anything else comes.
    pub(crate) async fn expired(&mut self, shown_for: Duration) -> anyhow::Result<()> {
        match self.hear(shown_for + PATIENCE).await? {
            Ok(Said::Expired {}) => Ok(()),
            other => Err(unexpected("expired", &other)),
        }
    }

    /// Asks for a new code.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) async fn refresh(&mut self) -> anyhow::Result<()> {
        Ok(self.0.send(Message::text(r#"{"message_type":"refresh"}"#)).await?)
    }

    /// Does nothing until the connection ends, and returns the reason.
    pub(crate) async fn idle(mut self) -> anyhow::Error {
        match self.hear(Duration::MAX).await {
            Ok(heard) => unexpected("nothing", &heard),
            Err(error) => error,
        }
    }

    /// Leaves as a browser does when its page is closed.
    pub(crate) async fn leave(mut self) {
        let goodbye = async {
            let _ = self.0.close(None).await;
            while let Some(Ok(_)) = self.0.next().await {}
        };
        // The page is gone, whether or not the close was answered.
        let _ = timeout(PATIENCE, goodbye).await;
    }

    /// The next message that is not a heartbeat, or the close code; 1006 if there was none.
    async fn hear(&mut self, patience: Duration) -> anyhow::Result<Result<Said, u16>> {
        let heard = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => match serde_json::from_str(text.as_str())? {
                        Said::Heartbeat {} => {}
                        said => return Ok(Ok(said)),
                    },
                    Some(Ok(Message::Close(frame))) => {
                        let code = frame.map_or(1005, |frame| frame.code.into());
                        // The next read sends the answer to the close.
                        while let Some(Ok(_)) = self.0.next().await {}
                        return Ok(Err(code));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Ok(Err(1006)),
                }
            }
        };
        match timeout(patience, heard).await {
            Ok(heard) => heard,
            Err(_) => bail!("the gateway says nothing for {patience:?}"),
        }
    }
}

/// An error that says what came instead. It never holds a resume key or a code.
fn unexpected(wanted: &str, heard: &Result<Said, u16>) -> anyhow::Error {
    let heard = match heard {
        Err(code) => format!("the close {code}"),
        Ok(Said::QrcodeUrl { .. }) => "a QR code".to_owned(),
        Ok(Said::ScanSuccess { .. }) => "scan_success".to_owned(),
        Ok(Said::Error { code, .. }) => format!("the error {code}"),
        Ok(said) => format!("{said:?}"),
    };
    anyhow::anyhow!("a page waited for {wanted} and heard {heard}")
}
