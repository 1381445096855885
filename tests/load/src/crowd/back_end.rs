//! Back ends that tell the server of logins, over lasting connections.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use mio::net::TcpStream;
use protocol::Key;

use super::course::{Pace, Senders, Told};
use super::{BUFFER, Crowd, PATIENCE};
use crate::wire;

/// Connections to the internal port.
pub(crate) struct BackEnds(Vec<BackEnd>);

struct BackEnd {
    stream: TcpStream,
    /// What is to be written.
    out: Vec<u8>,
    /// A part of a frame.
    left: Vec<u8>,
}

impl BackEnds {
    /// Connects so many, each with the proof of the client `callback`.
    ///
    /// # Errors
    /// When the server does not say hello.
    pub(crate) fn connect(crowd: &Crowd, to: SocketAddr, count: usize, key: &str) -> anyhow::Result<Self> {
        let key = Key::new(&key.into())?;
        let mut back_ends = Vec::new();
        for at in 0..count {
            let mut stream = std::net::TcpStream::connect(to)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut length = [0; 4];
            stream.read_exact(&mut length).context("no hello comes")?;
            let mut hello = vec![0; usize::try_from(u32::from_be_bytes(length))?.min(BUFFER)];
            stream.read_exact(&mut hello)?;
            let challenge =
                wire::text_after(&hello, br#""challenge":""#).context("a hello without a challenge")?;
            let proof = key.proof(std::str::from_utf8(challenge)?);
            let mut out = Vec::new();
            let auth = format!(r#"{{"type":"auth","client":"callback","proof":"{proof}"}}"#);
            wire::push_notice(&mut out, auth.as_bytes());
            // At once, because only a few of an address may be without a proof.
            stream.write_all(&out)?;
            back_ends.push(BackEnd { stream: crowd.adopt(stream, at)?, out: Vec::new(), left: Vec::new() });
        }
        Ok(Self(back_ends))
    }
}

impl Senders for BackEnds {
    fn take(&mut self, number: usize, bytes: &[u8]) {
        let at = number % self.0.len();
        self.0[at].out.extend_from_slice(bytes);
    }

    fn write(&mut self) -> anyhow::Result<()> {
        self.0.iter_mut().try_for_each(BackEnd::write)
    }

    fn read(
        &mut self,
        connection: usize,
        buffer: &mut [u8],
        answered: &mut Vec<usize>,
    ) -> anyhow::Result<()> {
        self.0[connection].read(buffer, answered)
    }
}

impl BackEnd {
    fn write(&mut self) -> anyhow::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(bytes) => drop(self.out.drain(..bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("the internal port takes no notices"),
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], answered: &mut Vec<usize>) -> anyhow::Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("the internal port closes the connection"),
                Ok(bytes) => {
                    self.left.extend_from_slice(&buffer[..bytes]);
                    if bytes < buffer.len() {
                        // All has been read; what comes next is an event of its own.
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut done = 0;
        while let Some(json) = wire::notice(&self.left[done..]) {
            let end = json.end;
            let json = &self.left[done..][json];
            let is_recorded = wire::find(json, br#""status":"delivered""#).is_some();
            ensure!(is_recorded, "a notice was answered: {}", String::from_utf8_lossy(json));
            let number = wire::text_after(json, br#""id":""#).and_then(|id| std::str::from_utf8(id).ok());
            answered.push(number.and_then(|id| id.parse().ok()).context("an answer without its id")?);
            done += end;
        }
        self.left.drain(..done);
        Ok(())
    }
}

impl Crowd {
    /// Ends the logins of so many waiting pages, in no order, and waits until each page and the back end have heard.
    ///
    /// # Errors
    /// When a notice is not recorded for a page that listens, or nothing is heard of it.
    pub(crate) fn tell(
        &mut self,
        back_ends: &mut BackEnds,
        count: usize,
        pace: Pace,
    ) -> anyhow::Result<Told> {
        let (pages, scenes) = self.choose(count)?;
        let notices: Vec<_> =
            scenes.iter().enumerate().map(|(number, scene)| notice(number, scene)).collect();
        self.send(back_ends, &notices, Some(&pages), pace)
    }
}

/// The frame of a notice that somebody is logged in.
fn notice(number: usize, scene: &[u8]) -> Vec<u8> {
    let scene = String::from_utf8_lossy(scene);
    let json = format!(
        r#"{{"type":"scan","id":"{number}","scene":"{scene}","nickname":"visitor {number:06}","by":"o{number:027}"}}"#
    );
    let mut frame = Vec::new();
    wire::push_notice(&mut frame, json.as_bytes());
    frame
}
