//! A collector of traces: it takes OTLP over HTTP, and reads protocol buffers by their wire format alone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A span as it came.
#[derive(Debug, Clone)]
pub(crate) struct Exported {
    pub(crate) service: String,
    /// In hexadecimal digits, as all ids here.
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    pub(crate) name: String,
    pub(crate) took: Duration,
    /// Every text in it.
    pub(crate) texts: Vec<String>,
}

/// The collector.
pub(crate) struct Collector {
    pub(crate) url: String,
    spans: Arc<Mutex<Vec<Exported>>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spans = Arc::<Mutex<Vec<Exported>>>::default();
        let heard = Arc::clone(&spans);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(listen(stream, Arc::clone(&heard)));
            }
        });
        Self { url, spans }
    }

    /// What has come so far.
    pub(crate) fn exported(&self) -> Vec<Exported> {
        self.spans.lock().unwrap().clone()
    }
}

/// Takes requests until the service closes the connection.
async fn listen(mut stream: TcpStream, heard: Arc<Mutex<Vec<Exported>>>) {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(at) = head {
            let head = String::from_utf8(bytes[..at].to_vec()).unwrap().to_lowercase();
            let path = head.split(['?', ' ']).nth(1);
            assert!(head.starts_with("post ") && path == Some("/v1/traces"), "{head}");
            assert!(head.contains("content-type: application/x-protobuf"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let end = at + 4 + length.parse::<usize>().unwrap();
            if bytes.len() >= end {
                let spans = read(&bytes[at + 4..end]);
                bytes.drain(..end);
                heard.lock().unwrap().extend(spans);
                let answer =
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(answer).await.unwrap();
                continue;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// A field of a message: its number, and what it holds.
enum Field<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// The fields of a message, as the wire format of protocol buffers says.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => Field::Number(u64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap())),
            2 => {
                let length = varint(&mut bytes);
                Field::Bytes(take(&mut bytes, usize::try_from(length).unwrap()))
            }
            5 => Field::Number(u32::from_le_bytes(take(&mut bytes, 4).try_into().unwrap()).into()),
            kind => panic!("a field of the kind {kind}"),
        };
        all.push((tag >> 3, field));
    }
    all
}

fn take<'b>(bytes: &mut &'b [u8], length: usize) -> &'b [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let byte = take(bytes, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}

fn inner<'b>(bytes: &'b [u8], number: u64) -> Vec<&'b [u8]> {
    let bytes_of = |(of, field): (u64, Field<'b>)| match field {
        Field::Bytes(bytes) if of == number => Some(bytes),
        _ => None,
    };
    fields(bytes).into_iter().filter_map(bytes_of).collect()
}

fn number(bytes: &[u8], number: u64) -> u64 {
    let found = fields(bytes).into_iter().find_map(|(of, field)| match field {
        Field::Number(value) if of == number => Some(value),
        _ => None,
    });
    found.unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The texts among a message's attributes, in the field of this number.
fn attributes(bytes: &[u8], at: u64) -> Vec<(String, String)> {
    let pair = |pair: &[u8]| {
        let value = inner(pair, 2).first().and_then(|value| inner(value, 1).first().map(|value| text(value)));
        Some((text(inner(pair, 1).first()?), value?))
    };
    inner(bytes, at).into_iter().filter_map(pair).collect()
}

/// The spans of an `ExportTraceServiceRequest`.
fn read(request: &[u8]) -> Vec<Exported> {
    let mut all = Vec::new();
    for of_resource in inner(request, 1) {
        let resource: Vec<_> = inner(of_resource, 1).into_iter().flat_map(|all| attributes(all, 1)).collect();
        let service = resource.iter().find(|(name, _)| name == "service.name").unwrap().1.clone();
        for span in inner(of_resource, 2).into_iter().flat_map(|scope| inner(scope, 2)) {
            let one = |number| inner(span, number).first().copied();
            let events = inner(span, 11);
            let of_events = events.iter().flat_map(|event| {
                let own = attributes(event, 3).into_iter().map(|(_, value)| value);
                inner(event, 2).into_iter().map(text).chain(own).collect::<Vec<_>>()
            });
            let own = attributes(span, 9).into_iter().map(|(_, value)| value);
            all.push(Exported {
                service: service.clone(),
                trace: hex(one(1).unwrap()),
                id: hex(one(2).unwrap()),
                parent: one(4).map(hex),
                name: text(one(5).unwrap()),
                took: Duration::from_nanos(number(span, 8) - number(span, 7)),
                texts: own.chain(of_events).collect(),
            });
        }
    }
    all
}
