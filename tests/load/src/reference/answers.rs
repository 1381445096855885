//! The floor of a push: one thread, mio, and an answer that is ready. It reads the request to its end, and believes, decrypts,
//! claims, counts and seals nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;

use anyhow::Context;
use mio::net::{TcpListener as Listener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::wire::{self, END_OF_HEAD};

const LISTENER: Token = Token(usize::MAX - 1);
const AT_ONCE: usize = 1024;
const BUFFER: usize = 64 * 1024;

/// The length of a sealed answer's `Encrypt`, about.
const SEALED: usize = 560;

struct Connection {
    stream: TcpStream,
    left: Vec<u8>,
}

/// Serves until the process is ended.
pub(super) fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = Listener::from_std(listener);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    // Good for those who look for a sealed answer, and for those who look for words.
    let body = format!("<xml><Encrypt><![CDATA[{}]]></Encrypt>登录成功</xml>", "A".repeat(SEALED));
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/xml; charset=utf-8\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (mut connections, mut buffer) = (Vec::<Option<Connection>>::new(), vec![0; BUFFER]);
    let mut events = Events::with_capacity(AT_ONCE);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            let Token(at) = event.token();
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    poll.registry().register(&mut stream, Token(connections.len()), Interest::READABLE)?;
                    connections.push(Some(Connection { stream, left: Vec::new() }));
                }
            } else if let Some(connection) = &mut connections[at]
                && connection.serve(&mut buffer, answer.as_bytes()).is_err()
            {
                connections[at] = None;
            }
        }
    }
}

impl Connection {
    fn serve(&mut self, buffer: &mut [u8], answer: &[u8]) -> anyhow::Result<()> {
        let bytes = match self.stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Ok(0) => anyhow::bail!("the end"),
            read => read?,
        };
        self.left.extend_from_slice(&buffer[..bytes]);
        let Some(end) = wire::find(&self.left, END_OF_HEAD) else { return Ok(()) };
        let name = b"Content-Length: ";
        let at = wire::find(&self.left[..end], name).context("no length")? + name.len();
        let digits = self.left[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let length: usize = std::str::from_utf8(&self.left[at..at + digits])?.parse()?;
        if self.left.len() >= end + END_OF_HEAD.len() + length {
            self.left.clear();
            self.stream.write_all(answer)?;
        }
        Ok(())
    }
}
