//! A gateway that is played: it takes the callback service's claims and scans on a port like the internal one, believes every
//! proof, and answers at once. So what is measured of a scan is the callback service alone.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;

use crate::wire;

const BUFFER: usize = 64 * 1024;

/// A played gateway. It ends with this process.
pub(crate) struct Played {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    logins: Arc<AtomicUsize>,
}

impl Played {
    /// Begins to play.
    ///
    /// # Errors
    /// When there is no port.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, logins) = (listener.local_addr()?, Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&logins);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let count = Arc::clone(&count);
                // A connection that is not understood ends.
                std::thread::spawn(move || drop(serve(stream, &count)));
            }
        });
        Ok(Self { address, logins })
    }

    /// Logins that were granted.
    pub(crate) fn logins(&self) -> usize {
        self.logins.load(Ordering::Relaxed)
    }
}

fn serve(mut stream: TcpStream, logins: &AtomicUsize) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut left, mut out) = (vec![0; BUFFER], Vec::new(), Vec::new());
    let hello = br#"{"type":"hello","version":1,"challenge":"Ni3wQmZk0pVtR8yXbL5c_A","max_frame":65536,"heartbeat":30}"#;
    wire::push_notice(&mut out, hello);
    loop {
        stream.write_all(&out)?;
        out.clear();
        let bytes = stream.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(());
        }
        left.extend_from_slice(&buffer[..bytes]);
        let mut done = 0;
        while let Some(json) = wire::notice(&left[done..]) {
            let end = json.end;
            if let Some(answer) = answer(&left[done..][json], logins)? {
                wire::push_notice(&mut out, answer.as_bytes());
            }
            done += end;
        }
        left.drain(..done);
    }
}

fn answer(json: &[u8], logins: &AtomicUsize) -> anyhow::Result<Option<String>> {
    let kind = wire::text_after(json, br#""type":""#).context("a notice without a type")?;
    let id = std::str::from_utf8(wire::text_after(json, br#""id":""#).unwrap_or_default())?;
    Ok(match kind {
        b"auth" => None,
        b"ping" => Some(format!(r#"{{"type":"pong","id":"{id}"}}"#)),
        b"claim" => Some(format!(
            r#"{{"type":"answer","id":"{id}","status":"delivered","state":"scanned","context":{{"ip":"127.0.0.1","user_agent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36","created_at":1790000000}}}}"#
        )),
        b"scan" => {
            logins.fetch_add(1, Ordering::Relaxed);
            Some(format!(r#"{{"type":"answer","id":"{id}","status":"delivered","state":"granted"}}"#))
        }
        _ => Some(format!(r#"{{"type":"answer","id":"{id}","status":"ok","state":"scanned"}}"#)),
    })
}
