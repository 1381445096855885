//! `PROGRAM health`: asks the program's own admin port whether it is ready, for container engines and scripts that
//! have nothing else to ask with.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

/// The time to connect, and the time for each step of the answer.
const WITHIN: Duration = Duration::from_secs(2);

/// Bytes of an answer. `/readyz` says a few words.
const LONGEST: u64 = 4096;

/// Asks `/readyz` at the admin port that listens on `admin`. Exit code 0: ready; 1: not, and a line says why.
#[must_use]
pub fn ask(program: &str, admin: SocketAddr) -> ExitCode {
    match readiness(admin) {
        Ok(Readiness { is_ready: true, .. }) => ExitCode::SUCCESS,
        Ok(Readiness { words, .. }) => {
            eprintln!("{program}: not ready: {words}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{program}: the admin port does not answer at {admin}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a program says of itself at `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it can do its work.
    pub is_ready: bool,
    /// Its words: why not, or what an operator should mend all the same.
    pub words: String,
}

/// Asks `/readyz` at the admin port that listens on `admin`. It blocks for some seconds at most.
///
/// # Errors
/// When nothing answers there.
pub fn readiness(admin: SocketAddr) -> io::Result<Readiness> {
    let answer = readyz(reachable(admin))?;
    let words = answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body);
    Ok(Readiness { is_ready: answer.starts_with("HTTP/1.1 200 "), words: words.trim().to_owned() })
}

/// The address at which `address` can be reached from the same host. A port that listens everywhere listens on
/// loopback.
#[must_use]
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn readyz(admin: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn everywhere_is_reached_on_loopback() {
        for (listens, asked) in [
            ("0.0.0.0:1098", "127.0.0.1:1098"),
            ("[::]:1098", "[::1]:1098"),
            ("10.1.2.3:1098", "10.1.2.3:1098"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
