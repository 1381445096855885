//! The servers that are measured: the real gateway beside its offline WeChat, and the references. Each is started anew for
//! each round, on a core of its own where there are two.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use e2e::programs::Program;

use crate::cores::Cores;
use crate::reference::{Kind, Reference};
use crate::system;

/// The life of a code: longer than any page waits here, and short enough that codes are made ahead.
const LOGIN_TTL: Duration = Duration::from_secs(600);

/// A server by the name that tables give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Server {
    /// The gateway.
    Ours,
    /// tokio-tungstenite, plainly.
    Tuned,
    /// The least.
    Floor,
}

/// What a page gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// WeChat's code, which is asked for.
    Code,
    /// Nothing that anybody is asked for: the gateway's page shows a code to type.
    Typed,
}

/// A running server.
pub(crate) struct Target {
    process: Process,
    _wechat: Option<Program>,
}

enum Process {
    Gateway(Program),
    Reference(Reference),
}

impl Server {
    /// All, in the order of their turns.
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::Tuned, Self::Floor];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Tuned => "tuned",
            Self::Floor => "floor",
        }
    }
}

impl Target {
    /// Starts one that takes so many pages. The references' messages with a code are as long as the gateway's.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(
        server: Server,
        shows: Shows,
        pages: usize,
        code_bytes: usize,
        cores: &Cores,
    ) -> anyhow::Result<Self> {
        let asks = shows == Shows::Code && server != Server::Floor;
        let wechat = (asks || server == Server::Ours).then(system::wechat);
        let asked = wechat.as_ref().filter(|_| asks).map(|wechat| wechat.address("wechat"));
        let process = match server {
            Server::Ours => {
                let api = wechat.as_ref().map(|wechat| wechat.address("wechat"));
                let settings = settings(api.unwrap_or(([127, 0, 0, 1], 9).into()), shows, pages);
                Process::Gateway(cores.for_server(|| Program::start("ws-gateway", &settings))?)
            }
            Server::Tuned => {
                Process::Reference(cores.for_server(|| Reference::start(Kind::Tuned, code_bytes, asked))??)
            }
            Server::Floor => {
                Process::Reference(cores.for_server(|| Reference::start(Kind::Floor, code_bytes, None))??)
            }
        };
        Ok(Self { process, _wechat: wechat })
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        match &self.process {
            Process::Gateway(gateway) => gateway.id(),
            Process::Reference(reference) => reference.id(),
        }
    }

    /// What it has logged, if it does.
    pub(crate) fn log(&self) -> String {
        match &self.process {
            Process::Gateway(gateway) => gateway.log(),
            Process::Reference(_) => String::new(),
        }
    }

    /// Where pages connect.
    pub(crate) fn pages(&self) -> SocketAddr {
        match &self.process {
            Process::Gateway(gateway) => gateway.address("browsers"),
            Process::Reference(reference) => reference.pages(),
        }
    }

    /// Where back ends connect.
    pub(crate) fn notices(&self) -> SocketAddr {
        match &self.process {
            Process::Gateway(gateway) => gateway.address("notices"),
            Process::Reference(reference) => reference.notices(),
        }
    }
}

/// The gateway's settings: everything on, and no limit that the load would meet.
pub(crate) fn settings(wechat: SocketAddr, shows: Shows, pages: usize) -> HashMap<&'static str, String> {
    let account = simulator::Settings::default();
    let mut settings = system::unlimited_gateway(wechat, &account, LOGIN_TTL, pages);
    if shows == Shows::Typed {
        settings.insert("GATEWAY_WAYS", "typed".to_owned());
    }
    settings
}
