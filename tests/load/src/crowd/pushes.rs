//! WeChat's pushes about scans, over connections that are kept. They are sealed and signed before any is sent, by the offline
//! WeChat's own code, and an answer is looked at no more than its words take.

use std::collections::{HashSet, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use mio::net::TcpStream;
use simulator::{Mode, Settings, Simulator};

use super::Crowd;
use super::course::Senders;
use crate::wire::{self, END_OF_HEAD};

/// People who scan by turns.
const PEOPLE: usize = 2000;

/// A login's words in an answer that is not sealed; see the texts of the callback service.
const LOGGED_IN: [&str; 2] = ["登录成功", "欢迎回来"];

/// Connections, of which each has one push in flight.
pub(crate) struct Pushes {
    connections: Vec<Connection>,
    /// Those without a push.
    idle: Vec<usize>,
    /// Pushes that wait for a connection.
    waiting: VecDeque<(usize, Vec<u8>)>,
    mode: Mode,
}

struct Connection {
    stream: TcpStream,
    /// The push in flight.
    number: usize,
    out: Vec<u8>,
    left: Vec<u8>,
}

impl Pushes {
    /// Opens so many connections.
    ///
    /// # Errors
    /// When the service takes none.
    pub(crate) fn connect(crowd: &Crowd, to: SocketAddr, count: usize, mode: Mode) -> anyhow::Result<Self> {
        let connection = |at| {
            let stream = std::net::TcpStream::connect(to)?;
            stream.set_nodelay(true)?;
            Ok(Connection { stream: crowd.adopt(stream, at)?, number: 0, out: Vec::new(), left: Vec::new() })
        };
        let connections = (0..count).map(connection).collect::<anyhow::Result<_>>()?;
        Ok(Self { connections, idle: (0..count).collect(), waiting: VecDeque::new(), mode })
    }
}

impl Senders for Pushes {
    fn take(&mut self, number: usize, bytes: &[u8]) {
        match self.idle.pop() {
            Some(at) => self.connections[at].begin(number, bytes),
            None => self.waiting.push_back((number, bytes.to_vec())),
        }
    }

    fn write(&mut self) -> anyhow::Result<()> {
        // A push is far smaller than an idle socket's room, so nearly always all have been written when they began.
        self.connections
            .iter_mut()
            .filter(|connection| !connection.out.is_empty())
            .try_for_each(Connection::write)
    }

    fn read(&mut self, at: usize, buffer: &mut [u8], answered: &mut Vec<usize>) -> anyhow::Result<()> {
        if self.connections[at].read(buffer, self.mode)? {
            answered.push(self.connections[at].number);
            match self.waiting.pop_front() {
                Some((number, bytes)) => self.connections[at].begin(number, &bytes),
                None => self.idle.push(at),
            }
        }
        Ok(())
    }
}

impl Connection {
    fn begin(&mut self, number: usize, bytes: &[u8]) {
        self.number = number;
        self.out.extend_from_slice(bytes);
    }

    fn write(&mut self) -> anyhow::Result<()> {
        match self.stream.write(&self.out) {
            Ok(bytes) => drop(self.out.drain(..bytes)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("the service takes no pushes"),
        }
        Ok(())
    }

    /// Whether its push was answered.
    fn read(&mut self, buffer: &mut [u8], mode: Mode) -> anyhow::Result<bool> {
        match self.stream.read(buffer) {
            Ok(0) => bail!("the service closes a connection that is kept"),
            Ok(bytes) => self.left.extend_from_slice(&buffer[..bytes]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let Some(end) = wire::find(&self.left, END_OF_HEAD) else { return Ok(false) };
        let head = self.left[..end].to_ascii_lowercase();
        let length =
            wire::find(&head, b"content-length: ").map(|at| &head[at + 16..]).context("no length")?;
        let digits = length.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let length: usize = std::str::from_utf8(&length[..digits])?.parse()?;
        let body = end + END_OF_HEAD.len();
        let Some(answer) = self.left.get(body..body + length) else { return Ok(false) };
        let is_good = head.starts_with(b"http/1.1 200 ") && is_login(answer, mode);
        ensure!(is_good, "a push was answered: {}", String::from_utf8_lossy(&self.left));
        self.left.clear();
        Ok(true)
    }
}

fn is_login(answer: &[u8], mode: Mode) -> bool {
    match mode {
        // It is sealed. The gateway's side counts the logins.
        Mode::Safe => wire::find(answer, b"<Encrypt>").is_some(),
        Mode::Compatible | Mode::Plaintext => {
            LOGGED_IN.iter().any(|words| wire::find(answer, words.as_bytes()).is_some())
        }
    }
}

/// Pushes that these scenes were scanned, each by another person, ready to be sent to this address.
///
/// # Errors
/// Never: the account is the offline WeChat's own.
pub(crate) fn scans(scenes: &[super::Scene], to: SocketAddr, mode: Mode) -> anyhow::Result<Vec<Vec<u8>>> {
    let account = Settings { mode, ..Settings::default() };
    let original_id = account.original_id.clone();
    let wechat = Simulator::new(account)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    // Of ten thousands of pushes in a second two may have one nonce, and in plaintext mode the second is taken for a replay.
    let mut signatures = HashSet::new();
    let mut scan = |(number, scene): (usize, &super::Scene)| {
        let openid = format!("o{:027}", number % PEOPLE);
        let scene = String::from_utf8_lossy(scene);
        let xml = format!(
            "<xml><ToUserName><![CDATA[{original_id}]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName>\
             <CreateTime>{now}</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[SCAN]]></Event>\
             <EventKey><![CDATA[{scene}]]></EventKey>\
             <Ticket><![CDATA[gQH47joAAAAAAAAAASxodHRwOi8vd2VpeGluLnFxLmNvbS9xL2taZ2Z3TVRtNzJXV1Brb3ZhYmJJAAIEZ23sUwMEmm3sUw==]]></Ticket></xml>"
        );
        let sealed = loop {
            let sealed = wechat.seal(&xml, &openid);
            if sealed.query.first().is_none_or(|(_, signature)| signatures.insert(signature.clone())) {
                break sealed;
            }
        };
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&sealed.query).finish();
        let push = format!(
            "POST /wechat?{query} HTTP/1.1\r\nUser-Agent: Mozilla/4.0\r\nAccept: */*\r\nHost: {to}\r\nPragma: no-cache\r\n\
             Content-Length: {}\r\nContent-Type: text/xml\r\n\r\n{}",
            sealed.body.len(),
            sealed.body
        );
        push.into_bytes()
    };
    Ok(scenes.iter().enumerate().map(&mut scan).collect())
}
