//! A gateway that plays one conversation of the test vectors, byte for byte, over a real socket.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use protocol::tls::ServerTls;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::vectors::ToClient;

/// Limit for everything that a client does.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A connection, in plain TCP or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The kind of client that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// A client that sends only what it was given.
    OneShot,
    /// A client that sends pings at any time, and chooses the `id` of its notices, as long as the vectors'
    /// ones.
    Lasting,
}

/// A port that plays conversations.
pub struct Port {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Port {
    /// Opens a free port of 127.0.0.1.
    pub async fn open(tls: Option<&ServerTls>) -> Self {
        Self::open_at("127.0.0.1:0", tls).await
    }

    /// Opens a port of this address.
    ///
    /// # Panics
    /// When the machine does not have the address, or the files of TLS are wrong.
    pub async fn open_at(address: &str, tls: Option<&ServerTls>) -> Self {
        let listener = TcpListener::bind(address).await;
        let listener = listener.unwrap_or_else(|error| panic!("no port of {address}: {error}"));
        Self { listener, tls: tls.map(|tls| TlsAcceptor::from(tls.load().unwrap())) }
    }

    /// The address of the port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Takes the next connection, and does the TLS handshake if the port has TLS.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        let (stream, _) = patiently(self.listener.accept()).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => Ok(Box::new(patiently(tls.accept::<TcpStream>(stream)).await?)),
        }
    }

    /// Plays a conversation with the next client.
    ///
    /// # Errors
    /// How the client differs from the vector.
    pub async fn play(&self, vector: &ToClient, client: Client) -> Result<(), String> {
        let mut stream = self.accept().await.map_err(|error| format!("no handshake: {error}"))?;
        let hello: Vec<_> = vector.hello.iter().map(|bytes| &bytes.0[..]).collect();
        write(&mut stream, &hello).await;
        let mut reply: Vec<u8> = vector.reply.iter().flat_map(|bytes| bytes.0.clone()).collect();
        for expected in &vector.sends {
            let mut expected = expected.clone();
            let sent = loop {
                match read_frame(&mut stream).await? {
                    Some(sent) if client == Client::Lasting && sent["type"] == "ping" => {}
                    Some(sent) => break sent,
                    None => return Err(format!("the client left without sending {expected}")),
                }
            };
            if client == Client::Lasting && expected.get("id").is_some() {
                let id = expected["id"].take();
                expected["id"] = sent["id"].clone();
                rename(&mut reply, &id, &sent["id"]);
            }
            if sent != expected {
                return Err(format!("the client sent {sent} and not {expected}"));
            }
        }
        let mut rest = &reply[..];
        let mut writes = Vec::new();
        for bytes in &vector.reply {
            let (write, behind) = rest.split_at(bytes.0.len());
            writes.push(write);
            rest = behind;
        }
        write(&mut stream, &writes).await;
        if vector.closes {
            let _ = stream.shutdown().await;
        }
        // Reads until the client has closed too, because a reset could lose what was sent.
        loop {
            match read_frame(&mut stream).await? {
                None => return Ok(()),
                Some(sent) if client == Client::Lasting && (sent["type"] == "ping" || vector.closes) => {}
                Some(sent) => return Err(format!("the client sent {sent} as well")),
            }
        }
    }
}

/// Makes the writes one after another, as far as the client reads.
async fn write(stream: &mut Box<dyn Stream>, writes: &[&[u8]]) {
    for bytes in writes {
        // If the client has closed already, the next read notices it.
        let _ = patiently(stream.write_all(bytes)).await;
        let _ = patiently(stream.flush()).await;
        tokio::task::yield_now().await;
    }
}

/// The next frame of a client; `None` when it has closed.
async fn read_frame(stream: &mut Box<dyn Stream>) -> Result<Option<Value>, String> {
    let mut bytes = Vec::new();
    let mut wanted = 4;
    loop {
        let mut part = vec![0; wanted - bytes.len()];
        match patiently(stream.read(&mut part)).await {
            // A client that closes before it has read everything resets the connection.
            Ok(0) | Err(_) if bytes.is_empty() => return Ok(None),
            Ok(0) | Err(_) => return Err(format!("the client left inside a frame: {bytes:?}")),
            Ok(count) => bytes.extend(&part[..count]),
        }
        if bytes.len() == 4 {
            let length = u32::from_be_bytes(bytes[..4].try_into().unwrap());
            wanted = 4 + usize::try_from(length).unwrap();
            if !(1..=65_536).contains(&length) {
                return Err(format!("the client sends a frame of {length} bytes"));
            }
        }
        if bytes.len() == wanted {
            let json = serde_json::from_slice(&bytes[4..]);
            return json.map(Some).map_err(|error| format!("the client sent no JSON: {error}"));
        }
    }
}

/// Replaces one `id` by another of the same length.
fn rename(bytes: &mut [u8], from: &Value, to: &Value) {
    let (from, to) = (from.as_str().unwrap().as_bytes(), to.as_str().unwrap().as_bytes());
    assert_eq!(from.len(), to.len(), "the vectors' ids are as long as our client's first");
    for place in 0..bytes.len().saturating_sub(from.len()) {
        let place = &mut bytes[place..place + from.len()];
        if place == from {
            place.copy_from_slice(to);
        }
    }
}

/// Waits for a thing that must happen soon.
///
/// # Panics
/// When it does not happen.
pub async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("the client does something")
}
