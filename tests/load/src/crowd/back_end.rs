//! Back ends that tell the server of logins, over lasting connections, and the pages that hear of them.
//!
//! A notice's latency counts from when it was due until its page has read the message. At a fixed rate it is due when the
//! rate says so, whether or not the load was able to send it then; without a rate it is due when there is room among those
//! in flight. It is in flight until both its page and its back end have heard.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use mio::net::TcpStream;
use mio::{Interest, Token};
use protocol::Key;

use super::{BUFFER, Crowd, FIRST_BACK_END, PATIENCE};
use crate::wire;

/// How notices are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// So many in flight.
    InFlight(usize),
    /// So many a second.
    Rate(f64),
}

/// Connections to the internal port.
pub(crate) struct BackEnds(Vec<BackEnd>);

struct BackEnd {
    stream: TcpStream,
    /// What is to be written.
    out: Vec<u8>,
    /// A part of a frame.
    left: Vec<u8>,
}

/// What some notices took.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// From the first one's due time until the last was heard of.
    pub(crate) took: Duration,
    /// Each one's latency.
    pub(crate) each: Vec<Duration>,
}

/// A notice on its way.
struct OnItsWay {
    due: Instant,
    heard: Option<Instant>,
    is_answered: bool,
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
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            crowd.poll.registry().register(&mut stream, Token(FIRST_BACK_END + at), interest)?;
            back_ends.push(BackEnd { stream, out, left: Vec::new() });
        }
        Ok(Self(back_ends))
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

    /// Reads answers, and gives the number of each notice that was answered.
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
        let mut pages: Vec<usize> = (0..self.pages.len()).filter(|at| self.pages[*at].is_waiting()).collect();
        ensure!(pages.len() >= count, "{count} notices for {} pages", pages.len());
        fastrand::Rng::with_seed(1).shuffle(&mut pages);
        pages.truncate(count);
        let mut number_of = vec![usize::MAX; self.pages.len()];
        for (number, page) in pages.iter().enumerate() {
            number_of[*page] = number;
        }
        let frames: Vec<Vec<u8>> =
            pages.iter().enumerate().map(|(number, page)| notice(number, &self.pages[*page].scene)).collect();

        let (mut sent, mut done, mut answered) = (Vec::<OnItsWay>::with_capacity(count), 0, Vec::new());
        let (began, mut last_news) = (Instant::now(), Instant::now());
        let due = |number: usize| match pace {
            Pace::InFlight(_) => Instant::now(),
            Pace::Rate(rate) => began + Duration::from_secs_f64(number as f64 / rate),
        };
        while done < count {
            loop {
                let number = sent.len();
                let is_time = number < count
                    && match pace {
                        Pace::InFlight(most) => number - done < most,
                        Pace::Rate(_) => due(number) <= Instant::now(),
                    };
                if !is_time {
                    break;
                }
                let at = number % back_ends.0.len();
                back_ends.0[at].out.extend_from_slice(&frames[number]);
                sent.push(OnItsWay { due: due(number), heard: None, is_answered: false });
            }
            for back_end in &mut back_ends.0 {
                back_end.write()?;
            }
            // The kernel waits for whole milliseconds, which is too long at a rate: so this looks again at once.
            let wait = match pace {
                Pace::Rate(_) if sent.len() < count => Duration::ZERO,
                _ => Duration::from_secs(1),
            };
            self.turn(Some(wait))?;
            ensure!(self.news.gone.is_empty(), "the server let go of a page that waits");
            for (page, at) in &self.news.told {
                let told = sent.get_mut(number_of[*page]).context("a page was told of a login too early")?;
                told.heard = Some(*at);
                done += usize::from(told.is_answered);
                last_news = *at;
            }
            answered.clear();
            for at in &self.news.back_ends {
                back_ends.0[*at].read(&mut self.buffer, &mut answered)?;
            }
            for number in &answered {
                let told = sent.get_mut(*number).context("an answer to no notice")?;
                told.is_answered = true;
                done += usize::from(told.heard.is_some());
            }
            ensure!(last_news.elapsed() < PATIENCE, "of {count} notices {done} were heard of in time");
        }
        let each = sent.iter().filter_map(|told| Some(told.heard?.duration_since(told.due))).collect();
        Ok(Told { took: began.elapsed(), each })
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
