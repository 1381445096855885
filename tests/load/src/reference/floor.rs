//! The floor: one thread, mio, and nothing that any server could leave out. It answers the upgrade and sends the message
//! with the code in one write, keeps a socket of a page and no more, and passes a notice on by a number. It asks nobody for
//! a code, checks nothing, and keeps no record.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;

use mio::event::Source;
use mio::net::{TcpListener as Listener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{HELLO, code_message};
use crate::wire::{self, CLOSE, END_OF_HEAD, TEXT};

const PAGES: Token = Token(usize::MAX - 1);
const NOTICES: Token = Token(usize::MAX - 2);

/// Tokens from here on are connections to the internal port.
const FIRST_BACK_END: usize = 1 << 32;

/// Events and bytes that are taken at once.
const AT_ONCE: usize = 1024;
const BUFFER: usize = 64 * 1024;

struct Floor {
    poll: Poll,
    pages: Slots,
    back_ends: Vec<Option<BackEnd>>,
    /// The message with a code, in its frame, and where its scene is.
    code: (Vec<u8>, usize),
    /// The end of a login, in its frames.
    success: Vec<u8>,
    buffer: Vec<u8>,
    out: Vec<u8>,
}

/// Pages by number.
#[derive(Default)]
struct Slots {
    pages: Vec<Option<TcpStream>>,
    free: Vec<usize>,
}

struct BackEnd {
    stream: TcpStream,
    /// A part of a frame.
    left: Vec<u8>,
}

/// Serves until the process is ended.
pub(super) fn serve(pages: TcpListener, notices: TcpListener, code_bytes: usize) -> anyhow::Result<()> {
    let (message, at) = code_message(code_bytes);
    let mut code = Vec::new();
    wire::push_frame(&mut code, TEXT, &message);
    let at = at + code.len() - message.len();
    let mut success = Vec::new();
    wire::push_frame(&mut success, TEXT, br#"{"message_type":"scan_success","user":"visitor 000000"}"#);
    wire::push_frame(&mut success, CLOSE, &4010_u16.to_be_bytes());
    let floor = Floor {
        poll: Poll::new()?,
        pages: Slots::default(),
        back_ends: Vec::new(),
        code: (code, at),
        success,
        buffer: vec![0; BUFFER],
        out: Vec::new(),
    };
    floor.run(Listener::from_std(pages), Listener::from_std(notices))
}

impl Floor {
    fn run(mut self, mut pages: Listener, mut notices: Listener) -> anyhow::Result<()> {
        self.register(&mut pages, PAGES)?;
        self.register(&mut notices, NOTICES)?;
        let mut events = Events::with_capacity(AT_ONCE);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    PAGES => self.accept_pages(&pages)?,
                    NOTICES => self.accept_back_ends(&notices)?,
                    Token(at) if at >= FIRST_BACK_END => self.hear_back_end(at - FIRST_BACK_END),
                    Token(at) => self.hear_page(at),
                }
            }
        }
    }

    fn register(&self, source: &mut impl Source, token: Token) -> std::io::Result<()> {
        self.poll.registry().register(source, token, Interest::READABLE)
    }

    fn accept_pages(&mut self, listener: &Listener) -> anyhow::Result<()> {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_nodelay(true)?;
            let at = self.pages.free.pop().unwrap_or(self.pages.pages.len());
            self.register(&mut stream, Token(at))?;
            if at == self.pages.pages.len() {
                self.pages.pages.push(None);
            }
            self.pages.pages[at] = Some(stream);
        }
        Ok(())
    }

    fn accept_back_ends(&mut self, listener: &Listener) -> anyhow::Result<()> {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_nodelay(true)?;
            self.register(&mut stream, Token(FIRST_BACK_END + self.back_ends.len()))?;
            let mut hello = Vec::new();
            wire::push_notice(&mut hello, HELLO);
            stream.write_all(&hello)?;
            self.back_ends.push(Some(BackEnd { stream, left: Vec::new() }));
        }
        Ok(())
    }

    /// A request is answered; what else a page sends is a close.
    fn hear_page(&mut self, at: usize) {
        let Some(Some(stream)) = self.pages.pages.get_mut(at) else { return };
        match stream.read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // A request comes in one piece here.
            Ok(bytes) if self.buffer[..bytes].ends_with(END_OF_HEAD) => {
                let Some(key) = key(&self.buffer[..bytes]) else { return self.pages.free(at) };
                self.out.clear();
                self.out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: saoma.v1\r\nSec-WebSocket-Accept: ");
                self.out.extend_from_slice(derive_accept_key(key).as_bytes());
                self.out.extend_from_slice(END_OF_HEAD);
                let scene = self.out.len() + self.code.1;
                self.out.extend_from_slice(&self.code.0);
                self.out[scene..scene + 22].copy_from_slice(format!("{at:022}").as_bytes());
                if stream.write(&self.out).is_err() {
                    self.pages.free(at);
                }
            }
            _ => self.pages.free(at),
        }
    }

    /// Every whole notice of what has come is passed on, and all are answered in one write.
    fn hear_back_end(&mut self, at: usize) {
        let Some(back_end) = &mut self.back_ends[at] else { return };
        loop {
            let bytes = match back_end.stream.read(&mut self.buffer) {
                Ok(bytes @ 1..) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                _ => {
                    self.back_ends[at] = None;
                    return;
                }
            };
            back_end.left.extend_from_slice(&self.buffer[..bytes]);
            self.out.clear();
            let mut done = 0;
            while let Some(json) = wire::notice(&back_end.left[done..]) {
                let end = done + json.end;
                let json = &back_end.left[done..][json];
                done = end;
                // The proof has no scene, and is believed.
                let Some(scene) = wire::text_after(json, br#""scene":""#) else { continue };
                let page = std::str::from_utf8(scene).ok().and_then(|digits| digits.parse().ok());
                if let Some(Some(Some(page))) = page.map(|page: usize| self.pages.pages.get_mut(page)) {
                    let _ = page.write(&self.success);
                }
                let id = wire::text_after(json, br#""id":""#).unwrap_or_default();
                let (before, after) = (
                    &br#"{"type":"answer","id":""#[..],
                    &br#"","status":"delivered","state":"granted"}"#[..],
                );
                self.out.extend_from_slice(
                    &u32::try_from(before.len() + id.len() + after.len()).unwrap_or(0).to_be_bytes(),
                );
                for part in [before, id, after] {
                    self.out.extend_from_slice(part);
                }
            }
            back_end.left.drain(..done);
            // The load takes its answers.
            if !self.out.is_empty() && back_end.stream.write_all(&self.out).is_err() {
                self.back_ends[at] = None;
                return;
            }
            if bytes < BUFFER {
                // All has been read; what comes next is an event of its own.
                return;
            }
        }
    }
}

impl Slots {
    fn free(&mut self, at: usize) {
        // Dropping it also takes it out of epoll.
        self.pages[at] = None;
        self.free.push(at);
    }
}

/// The key of an upgrade.
fn key(request: &[u8]) -> Option<&[u8]> {
    let name = b"Sec-WebSocket-Key: ";
    let from = wire::find(request, name)? + name.len();
    Some(&request[from..from + 24])
}
