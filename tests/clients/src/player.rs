//! A gateway that holds one conversation of the test vectors, byte for byte, over a real socket.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use protocol::tls::ServerTls;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::vectors::ToClient;

/// Nothing that a client does takes this long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A connection, whatever carries it.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Which kind of client is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// One that sends what it was given, and nothing else.
    OneShot,
    /// One that sends pings when it likes, and chooses the `id` of its notices: as many characters as the vectors' have.
    Lasting,
}

/// A port on which conversations are held.
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Takes the next connection, through the handshake of TLS where that is spoken.
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

    /// Holds a conversation with the next client that comes.
    ///
    /// # Errors
    /// What the client did otherwise than the vector wants.
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
        // Until the client has closed as well, so that nothing that was said is lost in a reset.
        loop {
            match read_frame(&mut stream).await? {
                None => return Ok(()),
                Some(sent) if client == Client::Lasting && (sent["type"] == "ping" || vector.closes) => {}
                Some(sent) => return Err(format!("the client sent {sent} as well")),
            }
        }
    }
}

/// Writes as far as the client takes it, one write after another.
async fn write(stream: &mut Box<dyn Stream>, writes: &[&[u8]]) {
    for bytes in writes {
        // A client that has closed already will be seen when it is read from.
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

/// Writes another `id` of the same length in the place of one.
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

/// Waits for something that must come soon.
///
/// # Panics
/// When it does not come.
pub async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("the client does something")
}
