//! Servers of our own that are measured beside the gateway in the same rounds, because machines differ by more than a
//! change does: the [`floor`], which does the least that any server can (and [`answers`], which does the same of the callback service), and the [`tuned`] one, which is what a good
//! library gives whoever uses it plainly.
//!
//! Each is this same program with the hidden command `reference`, so it is a process as the gateway is. It says where it
//! listens in a line of JSON, and ends when its input does: nobody has to end it.

mod answers;
mod floor;
mod tuned;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

/// Connections that may wait to be accepted: more than any burst has, as at the gateway.
const BACKLOG: i32 = 4096;

/// The order to one of them.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Order {
    /// Which one.
    kind: Kind,

    /// The length of the message with the code, which is that of the gateway's.
    #[arg(long, default_value_t = 1500)]
    code_bytes: usize,

    /// The offline WeChat, where each page's code is asked for; none is if this is missing.
    #[arg(long)]
    wechat: Option<SocketAddr>,
}

/// The kinds of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
pub(crate) enum Kind {
    /// The least.
    Floor,
    /// A library, plainly.
    Tuned,
    /// The least that answers a push.
    Answers,
}

/// Where one listens.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Listening {
    pages: SocketAddr,
    notices: SocketAddr,
}

/// A running one. Dropping it ends it.
pub(crate) struct Reference {
    child: Child,
    listening: Listening,
}

impl Reference {
    /// Starts one.
    ///
    /// # Errors
    /// When it does not listen.
    pub(crate) fn start(kind: Kind, code_bytes: usize, wechat: Option<SocketAddr>) -> anyhow::Result<Self> {
        let kind = match kind {
            Kind::Floor => "floor",
            Kind::Tuned => "tuned",
            Kind::Answers => "answers",
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["reference", kind, "--code-bytes", &code_bytes.to_string()]);
        if let Some(wechat) = wechat {
            command.args(["--wechat", &wechat.to_string()]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let listening =
            serde_json::from_str(&line).with_context(|| format!("the reference {kind} does not start"))?;
        Ok(Self { child, listening })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn pages(&self) -> SocketAddr {
        self.listening.pages
    }

    pub(crate) fn notices(&self) -> SocketAddr {
        self.listening.notices
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until the input ends.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn serve(order: &Order) -> anyhow::Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let _ = server::descriptors::raise();
    let (pages, notices) = (listener()?, listener()?);
    let listening = Listening { pages: pages.local_addr()?, notices: notices.local_addr()? };
    let mut output = std::io::stdout();
    writeln!(output, "{}", serde_json::to_string(&listening)?)?;
    output.flush()?;
    match order.kind {
        Kind::Floor => floor::serve(pages, notices, order.code_bytes),
        Kind::Answers => answers::serve(pages),
        Kind::Tuned => tuned::serve(pages, notices, order.code_bytes, order.wechat),
    }
}

fn listener() -> anyhow::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// The message with a code, as long as the gateway's, and where its scene is.
fn code_message(bytes: usize) -> (Vec<u8>, usize) {
    let scene = "0".repeat(22);
    let with = |image: &str| {
        format!(
            r#"{{"message_type":"qrcode_url","url":"","content":"http://weixin.qq.com/q/{scene}","image":"data:image/png;base64,{image}","expires_in":1680,"resume":"{scene}.{scene}"}}"#
        )
    };
    let without = with("").len();
    let message = with(&"A".repeat(bytes.saturating_sub(without)));
    let at = message.find(r#""resume":""#).map_or(0, |at| at + 10);
    (message.into_bytes(), at)
}

/// The hello of the internal port.
const HELLO: &[u8] =
    br#"{"type":"hello","version":1,"challenge":"Ni3wQmZk0pVtR8yXbL5c_A","max_frame":65536,"heartbeat":30}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_the_length_and_the_scene_where_it_says() {
        for bytes in [900, 1500, 2500] {
            let (message, at) = code_message(bytes);
            assert_eq!(message.len(), bytes);
            assert_eq!(&message[at - 10..at + 1], br#""resume":"0"#);
            assert!(serde_json::from_slice::<serde_json::Value>(&message).is_ok());
        }
    }
}
