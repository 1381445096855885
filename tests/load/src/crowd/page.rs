//! One page of a crowd: a socket, and how far it has come.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::net::TcpStream;

use super::Scene;
use crate::wire::{self, CLOSE, END_OF_HEAD, MASKED_CLOSE, TEXT};

/// A page.
pub(super) struct Page {
    stream: Option<TcpStream>,
    state: State,
    began: Instant,
    /// A part of an answer or a frame.
    left: Vec<u8>,
    /// The scene of the login that it shows.
    pub(super) scene: Scene,
    pub(super) shown_after: Duration,
    pub(super) code_bytes: usize,
}

/// How far a page has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has not asked for its upgrade.
    Connecting,
    /// It has, and waits for the answer.
    Asking,
    /// It waits for its code.
    Open,
    /// It shows it.
    Waiting,
    /// It was told of a login.
    Told,
    /// It has answered the close, and the server is to let go.
    Closing,
    Gone,
}

/// What a page heard.
pub(super) enum Heard {
    Nothing,
    /// Its code.
    Code,
    /// That somebody is logged in.
    Success,
    /// The end of the connection.
    End,
    /// Another answer than an upgrade, or another message than a code.
    Refusal(String),
}

impl Page {
    pub(super) fn new(stream: TcpStream, began: Instant) -> Self {
        Self {
            stream: Some(stream),
            state: State::Connecting,
            began,
            left: Vec::new(),
            scene: [0; 22],
            shown_after: Duration::ZERO,
            code_bytes: 0,
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.state == State::Waiting
    }

    pub(super) fn is_told(&self) -> bool {
        self.state == State::Told
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state == State::Closing
    }

    pub(super) fn is_gone(&self) -> bool {
        self.stream.is_none()
    }

    /// Asks for the upgrade, now that it is connected.
    pub(super) fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        let (State::Connecting, Some(stream)) = (self.state, &mut self.stream) else { return Ok(()) };
        if let Some(error) = stream.take_error()? {
            return Err(error).context("a page cannot connect");
        }
        self.state = State::Asking;
        // It is far smaller than an empty socket's room.
        stream.write_all(request).context("a page cannot ask for its upgrade")
    }

    /// Reads what has come.
    pub(super) fn hear(&mut self, buffer: &mut [u8]) -> anyhow::Result<Heard> {
        let Some(stream) = &mut self.stream else { return Ok(Heard::Nothing) };
        match stream.read(buffer) {
            Ok(0) => Ok(self.ends()),
            Ok(bytes) if self.left.is_empty() => {
                let mut read = 0;
                let heard = self.understand(&buffer[..bytes], &mut read);
                self.left.extend_from_slice(&buffer[read..bytes]);
                Ok(heard)
            }
            Ok(bytes) => {
                let mut whole = std::mem::take(&mut self.left);
                whole.extend_from_slice(&buffer[..bytes]);
                let mut read = 0;
                let heard = self.understand(&whole, &mut read);
                whole.drain(..read);
                if !whole.is_empty() {
                    self.left = whole;
                }
                Ok(heard)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Heard::Nothing),
            Err(_) => Ok(self.ends()),
        }
    }

    fn ends(&mut self) -> Heard {
        self.stream = None;
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Told | State::Closing | State::Gone => Heard::Nothing,
            _ => Heard::End,
        }
    }

    /// Takes what is whole. Only one of the things that count is ever in what comes at once.
    fn understand(&mut self, bytes: &[u8], read: &mut usize) -> Heard {
        if self.state == State::Asking {
            let Some(end) = wire::find(bytes, END_OF_HEAD) else { return Heard::Nothing };
            let head = &bytes[..end];
            if !head.starts_with(b"HTTP/1.1 101 ") {
                return Heard::Refusal(String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned());
            }
            *read = end + END_OF_HEAD.len();
            self.state = State::Open;
        }
        let mut heard = Heard::Nothing;
        while let Some(frame) = wire::frame(&bytes[*read..]) {
            let payload = &bytes[*read..][frame.payload.clone()];
            match (frame.opcode, self.state) {
                (TEXT, State::Open) => heard = self.show(payload),
                (TEXT, State::Waiting) if wire::find(payload, b"scan_success").is_some() => {
                    self.state = State::Told;
                    heard = Heard::Success;
                }
                (CLOSE, State::Open | State::Waiting) => {
                    let code = payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
                    heard = Heard::Refusal(format!("the close {code}"));
                }
                _ => {}
            }
            *read += frame.payload.end;
        }
        heard
    }

    /// A first message is a code, or says that it is delayed.
    fn show(&mut self, message: &[u8]) -> Heard {
        let scene =
            wire::text_after(message, br#""resume":""#).and_then(|resume| resume.get(..22)?.try_into().ok());
        let Some(scene) = scene else {
            let is_delay = wire::find(message, br#""message_type":"error""#).is_some();
            let text = || String::from_utf8_lossy(&message[..message.len().min(400)]).into_owned();
            return if is_delay { Heard::Nothing } else { Heard::Refusal(text()) };
        };
        self.scene = scene;
        self.shown_after = self.began.elapsed();
        self.code_bytes = message.len();
        self.state = State::Waiting;
        Heard::Code
    }

    /// Leaves: one that was told of a login answers the close and waits for the server to let go, another one is closed.
    pub(super) fn leave(&mut self) {
        match (&mut self.stream, self.state) {
            (Some(stream), State::Told) => {
                // The server may have let go already.
                let is_sent = stream.write(&MASKED_CLOSE).is_ok();
                self.state = if is_sent { State::Closing } else { State::Gone };
            }
            (Some(stream), _) => {
                let _ = stream.write(&MASKED_CLOSE);
                self.state = State::Gone;
            }
            (None, _) => {}
        }
        if self.state == State::Gone {
            self.stream = None;
        }
    }
}
