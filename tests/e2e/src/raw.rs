//! Bytes on a bare socket, for what no proper client would send, and for seeing exactly how it is answered:
//! HTTP, WebSocket frames, and frames of the internal port.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::page::{Heard, PATIENCE};

/// How the other end let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It closed: whatever it had said could be read.
    Closed,
    /// A reset, which on other systems than Linux may swallow what was said last.
    Reset,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The status line and the headers, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Reply {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

/// A connection.
pub struct Raw(pub TcpStream);

impl Raw {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Connects with so little room on both sides that a few kilobytes fill it: a small window here, and
    /// small segments, from which Linux derives the room at the other end.
    pub async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        socket2::SockRef::from(&socket).set_tcp_mss(88).unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    /// Writes as far as the other end takes it.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // It may have let go already; what it said tells why.
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// Reads `length` bytes; `None` when the connection ends before.
    pub async fn read(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        patiently(self.0.read_exact(&mut bytes)).await.ok()?;
        Some(bytes)
    }

    /// Reads and drops until the other end lets go.
    pub async fn ended(&mut self) -> End {
        self.rest().await.1
    }

    /// Reads until the other end lets go.
    pub async fn rest(&mut self) -> (Vec<u8>, End) {
        let mut bytes = Vec::new();
        loop {
            match patiently(self.0.read_buf(&mut bytes)).await {
                Ok(0) => return (bytes, End::Closed),
                Ok(_) => {}
                Err(_) => return (bytes, End::Reset),
            }
        }
    }

    /// The head of the next HTTP answer, in lower case; `None` when the connection ends before it is whole.
    pub async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.read(1).await?);
        }
        Some(String::from_utf8(head).unwrap().to_lowercase())
    }

    /// The next HTTP answer; `None` when the connection ends before it is whole.
    pub async fn reply(&mut self) -> Option<Reply> {
        let head = self.head().await?;
        let mut reply = Reply { status: head.split(' ').nth(1)?.parse().ok()?, head, body: String::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        reply.body = String::from_utf8(self.read(length).await?).unwrap();
        Some(reply)
    }

    /// Sends one HTTP request and reads its answer while still writing.
    pub async fn ask(address: SocketAddr, head: &str, body: &[u8]) -> Reply {
        let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
        let request = [head.as_bytes(), body].concat();
        let write = async {
            // An early refusal ends the writing; the answer is read all the same.
            let _ = writing.write_all(&request).await;
        };
        let read = async {
            let mut bytes = Vec::new();
            // The connection may be kept for another request. As above: what has been said before a reset counts.
            while !is_whole(&bytes, head.starts_with("HEAD ")) {
                let Ok(1..) = patiently(reading.read_buf(&mut bytes)).await else { break };
            }
            let text = String::from_utf8(bytes).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
            Reply {
                status: head.split(' ').nth(1).unwrap().parse().unwrap(),
                head: head.to_lowercase(),
                body: body.to_owned(),
            }
        };
        tokio::join!(write, read).1
    }

    /// Opens a WebSocket with these header lines more.
    ///
    /// # Errors
    /// The answer, when the gateway refuses.
    pub async fn upgrade(mut self, path: &str, headers: &[(&str, &str)]) -> Result<Self, Reply> {
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.write(format!("GET {path} HTTP/1.1\r\n{UPGRADE}{more}\r\n")).await;
        let reply = self.reply().await.expect("the handshake is answered");
        match reply.status {
            101 => Ok(self),
            _ => Err(reply),
        }
    }

    /// What the gateway says next on a WebSocket, as [`crate::page::Page::hear`].
    pub async fn hear(&mut self) -> Heard {
        loop {
            let Some((opcode, payload)) = self.frame().await else {
                return Heard::Closed(1006);
            };
            match (opcode, &payload[..]) {
                (0x81, json) => return Heard::Message(serde_json::from_slice(json).unwrap()),
                (0x88, &[high, low, ..]) => return Heard::Closed(u16::from_be_bytes([high, low])),
                (0x88, _) => return Heard::Closed(1005),
                _ => {}
            }
        }
    }

    /// The next message of this type. Heartbeats may come before it, where the machine is slow.
    pub async fn expect(&mut self, message_type: &str) -> Value {
        loop {
            match self.hear().await {
                Heard::Message(said) if said["message_type"] == message_type => return said,
                Heard::Message(said) if said["message_type"] == "heartbeat" => {}
                other => panic!("waited for {message_type}, heard {other:?}"),
            }
        }
    }

    /// The close that comes, whatever is said before it.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Heard::Closed(code) = self.hear().await {
                return code;
            }
        }
    }

    /// The next WebSocket frame's first byte and payload; `None` when the connection ends before it is whole.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.read(2).await?;
        let length = match head[1] {
            126 => u16::from_be_bytes(self.read(2).await?.try_into().unwrap()).into(),
            127 => panic!("the gateway has nothing that long to say"),
            length => length.into(),
        };
        Some((head[0], self.read(length).await?))
    }

    /// The next message of the internal port; `None` when it lets go.
    pub async fn message(&mut self) -> Option<Value> {
        let length = u32::from_be_bytes(self.read(4).await?.try_into().unwrap());
        let json = self.read(length.try_into().unwrap()).await?;
        Some(serde_json::from_slice(&json).unwrap())
    }

    /// Proves the demo's key to the internal port.
    pub async fn prove(&mut self) {
        let proof = self.proof("callback", demo::NOTIFY_KEY).await;
        self.write(proof).await;
    }

    /// Hears the internal port's hello; gives the frame with which this client proves this key.
    pub async fn proof(&mut self, client: &str, key: &str) -> Vec<u8> {
        let hello = self.message().await.expect("the port says hello");
        let key = protocol::Key::new(&key.into()).unwrap();
        let proof = key.proof(hello["challenge"].as_str().unwrap());
        framed(json!({"type": "auth", "client": client, "proof": proof}).to_string())
    }

    /// Sends a notice and reads the next message.
    pub async fn notify(&mut self, notice: &Value) -> Value {
        self.write(framed(notice.to_string())).await;
        self.message().await.expect("the port answers")
    }
}

/// The header lines of a proper WebSocket handshake.
pub const UPGRADE: &str = "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A frame of the internal port.
pub fn framed(json: impl AsRef<[u8]>) -> Vec<u8> {
    let json = json.as_ref();
    let length = u32::try_from(json.len()).unwrap();
    [&length.to_be_bytes(), json].concat()
}

/// A WebSocket frame as a browser sends it: final, masked (with zeros), of at most 65,535 bytes.
#[must_use]
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(length) {
        Ok(short @ ..=125) => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Whether these are all bytes of an answer that says its length.
fn is_whole(bytes: &[u8], has_no_body: bool) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    has_no_body || length.is_some_and(|length| bytes.len() >= head.len() + 4 + length)
}

/// A value of `/metrics`, by its whole name; 0 before it was counted for the first time.
pub async fn metric(admin: SocketAddr, name: &str) -> u64 {
    let head = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let metrics = Raw::ask(admin, head, b"").await.body;
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(name));
    values
        .find_map(|rest| rest.strip_prefix("{}").unwrap_or(rest).strip_prefix(' '))
        .map_or(0, |value| value.parse().unwrap())
}

/// Asks for a value again and again until it is `wanted`.
pub async fn metric_becomes(admin: SocketAddr, name: &str, wanted: u64) {
    // Between two questions, so that they are not all that the machine does.
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    patiently(async {
        while metric(admin, name).await != wanted {
            pace.tick().await;
        }
    })
    .await;
}

async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("the other end does something")
}
