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
    match readyz(reachable(admin)) {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => ExitCode::SUCCESS,
        Ok(answer) => {
            let why = answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body);
            eprintln!("{program}: not ready: {}", why.trim());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{program}: the admin port does not answer at {admin}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The address at which `address` can be reached from the same host. A port that listens everywhere listens on
/// loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
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
