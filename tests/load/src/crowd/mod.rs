//! Browsers by the thousand in one thread. They send what a browser does, byte for byte ready before, and read no more than
//! a measurement needs, so that they are not what is measured.
//!
//! A [`Crowd`] opens pages and reads what comes to them. A [`course`] is how their logins are ended: by [`back_end`]s that
//! send notices, or by WeChat's [`pushes`].

pub(crate) mod back_end;
pub(crate) mod course;
mod page;
pub(crate) mod pushes;

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use self::page::{Heard, Page};

/// The number of addresses that pages come from: 127.0.0.1 and the following ones. One address has about 28,000 ports for
/// connections to a server, and a port cannot be used again for a minute.
const ADDRESSES: u32 = 64;

/// Limit for a server that lets everybody wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Tokens from here on are those who send notices or pushes.
const FIRST_SENDER: usize = 1 << 32;

/// Bytes that are read at once. A message with a code is about two thousand.
const BUFFER: usize = 64 * 1024;

/// A scene, as it stands in messages.
pub(crate) type Scene = [u8; 22];

/// Pages at one server.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    /// Servers that take its pages by turns, and the request to each.
    to: Vec<(SocketAddr, Vec<u8>)>,
    pages: Vec<Page>,
    buffer: Vec<u8>,
    /// What the last turn brought.
    news: News,
}

#[derive(Default)]
struct News {
    shown: Vec<usize>,
    told: Vec<(usize, Instant)>,
    gone: Vec<usize>,
    senders: Vec<usize>,
}

/// What opening some pages took.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// From the first connection until the last page showed its code.
    pub(crate) took: Duration,
    /// From each page's connection until it showed its code.
    pub(crate) each: Vec<Duration>,
    /// The longest message with a code.
    pub(crate) code_bytes: usize,
}

impl Crowd {
    /// No page yet at these servers, which take them by turns.
    ///
    /// # Errors
    /// When the kernel has no epoll to give.
    pub(crate) fn new(to: &[SocketAddr]) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            to: to.iter().map(|to| (*to, request(*to))).collect(),
            pages: Vec::new(),
            buffer: vec![0; BUFFER],
            news: News::default(),
        })
    }

    /// Takes a connection of a sender among the crowd's, under its number.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn adopt(&self, stream: std::net::TcpStream, number: usize) -> io::Result<mio::net::TcpStream> {
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(FIRST_SENDER + number), interest)?;
        Ok(stream)
    }

    /// How many pages there are that have not been told of a login.
    pub(crate) fn waiting(&self) -> usize {
        self.pages.iter().filter(|page| page.is_waiting()).count()
    }

    /// Opens so many pages, of which some are being opened at a time, and waits until each shows its code.
    ///
    /// # Errors
    /// When the server refuses or closes one, or does not answer.
    pub(crate) fn open(&mut self, count: usize, at_once: usize) -> anyhow::Result<Opened> {
        let (began, mut opened) = (Instant::now(), Opened::default());
        let mut begun = 0;
        while opened.each.len() < count {
            ensure!(began.elapsed() < PATIENCE * 4, "{} of {count} pages opened in time", opened.each.len());
            while begun < count && begun - opened.each.len() < at_once {
                self.begin()
                    .context("a page cannot connect; does the limit on open files (ulimit -n) allow it?")?;
                begun += 1;
            }
            let before = opened.each.len();
            self.turn(Some(PATIENCE))?;
            for at in &self.news.shown {
                let page = &self.pages[*at];
                opened.each.push(page.shown_after);
                opened.code_bytes = opened.code_bytes.max(page.code_bytes);
            }
            let is_silent = self.events.is_empty() && opened.each.len() == before;
            ensure!(!is_silent, "the server says nothing for {PATIENCE:?}");
            ensure!(self.news.gone.is_empty(), "the server let go of a page that was opened");
        }
        opened.took = began.elapsed();
        Ok(opened)
    }

    /// All pages leave, those that were told of a login by answering the close.
    ///
    /// # Errors
    /// When the server does not let go of those in time.
    pub(crate) fn leave(&mut self) -> anyhow::Result<()> {
        self.pages.iter_mut().filter(|page| !page.is_told()).for_each(Page::leave);
        self.leave_told()?;
        self.pages.clear();
        Ok(())
    }

    /// Pages that were told of a login answer the close, and wait until the server lets go.
    ///
    /// # Errors
    /// When it does not in time.
    pub(crate) fn leave_told(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        self.pages.iter_mut().filter(|page| page.is_told()).for_each(Page::leave);
        while self.pages.iter().any(Page::is_closing) {
            ensure!(
                began.elapsed() < PATIENCE,
                "the server does not let go of pages that have answered its close"
            );
            self.turn(Some(Duration::from_secs(1)))?;
        }
        Ok(())
    }

    /// Begins to open a page.
    fn begin(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let number = u32::try_from(self.pages.len())?;
        let own = u32::from(Ipv4Addr::LOCALHOST) + number % ADDRESSES;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Its end is a reset: else the kernel, and a firewall that follows connections, remember it for a minute or two, and
        // have no room left after some rounds.
        socket.set_linger(Some(Duration::ZERO))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::from(own), 0)).into())?;
        match socket.connect(&self.to[self.pages.len() % self.to.len()].0.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(error.into());
            }
            _ => {}
        }
        let mut stream = mio::net::TcpStream::from_std(socket.into());
        let token = Token(self.pages.len());
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.pages.push(Page::new(stream, began));
        Ok(())
    }

    /// Waits for anything to happen, at most so long, and takes note of it.
    fn turn(&mut self, within: Option<Duration>) -> anyhow::Result<()> {
        let News { shown, told, gone, senders } = &mut self.news;
        shown.clear();
        told.clear();
        gone.clear();
        senders.clear();
        match self.poll.poll(&mut self.events, within) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &self.events {
            let Token(at) = event.token();
            if at >= FIRST_SENDER {
                senders.push(at - FIRST_SENDER);
                continue;
            }
            // A page that has left may still be named by an event of the same turn.
            let Some(page) = self.pages.get_mut(at) else { continue };
            if event.is_writable() {
                page.ask(&self.to[at % self.to.len()].1)?;
            }
            if !event.is_readable() && !event.is_read_closed() {
                continue;
            }
            loop {
                match page.hear(&mut self.buffer)? {
                    Heard::Nothing => {}
                    Heard::Code => shown.push(at),
                    Heard::Success => told.push((at, Instant::now())),
                    Heard::End => gone.push(at),
                    Heard::Refusal(why) => bail!("the server refuses a page: {why}"),
                }
                // The end may be behind what was read, and is no event of its own then.
                if !event.is_read_closed() || page.is_gone() {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// What a browser sends to open a page's connection.
fn request(to: SocketAddr) -> Vec<u8> {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\
         User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/142.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://{to}\r\n\
         Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
         Accept-Language: zh-CN,zh;q=0.9\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: saoma.v1\r\n\r\n"
    )
    .into_bytes()
}
