//! What the callback service needs as the issuer of sites, and the gateway with it: addresses that are known before
//! anything starts, and a file of sites.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use server::listen;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};

use crate::example_site::{ExampleSite, Places};
use crate::{Ports, loopback};

/// What was prepared.
pub(crate) struct Issuer {
    /// The ports, of which the issuer's and the gateway's are no longer 0.
    pub(crate) ports: Ports,
    /// The example site.
    pub(crate) site: ExampleSite,
    /// Its address.
    pub(crate) at: SocketAddr,
    /// Where it listens.
    pub(crate) listener: TcpListener,
    /// The file of sites is in it.
    pub(crate) folder: TempDir,
    _kept: [Option<TcpSocket>; 2],
}

impl Issuer {
    /// Takes the ports, and writes the file: the example site's entries, and `more`. `phone` is the simulated one.
    ///
    /// # Errors
    /// When a port is taken, or the file cannot be written.
    pub(crate) fn prepare(mut ports: Ports, more: &str, phone: String) -> anyhow::Result<Self> {
        let kept = [keep(&mut ports.gateway)?, keep(&mut ports.callback)?];
        let listener = listen::bind("the example site", loopback(ports.example_site))?;
        let issuer = format!("http://{}", loopback(ports.callback));
        let gateway = format!("http://{}", loopback(ports.gateway));
        let at = listener.local_addr()?;
        let (site, entries) = ExampleSite::new(at, Places { issuer, gateway, phone })?;
        let folder = tempfile::tempdir().context("there is no folder for the issuer's files")?;
        // The own entries come last, so that an error names the line as it is in the other file.
        fs::write(sites(&folder), format!("{more}\n{entries}"))?;
        Ok(Self { ports, site, at, listener, folder, _kept: kept })
    }

    /// The gateway's flag: pages of the issuer and of the example site may connect. Once that is said, its own page
    /// has to be named, too.
    pub(crate) fn gateway_flag(&self) -> String {
        let Ports { gateway, callback, .. } = self.ports;
        format!(
            "--gateway-allowed-origins=http://{},http://{},http://{},http://localhost:{gateway}",
            loopback(callback),
            self.at,
            loopback(gateway)
        )
    }

    /// The callback service's flags, where it keeps the rest in `store`.
    ///
    /// # Errors
    /// When there are no keys.
    pub(crate) fn callback_flags(&self, store: &[String]) -> anyhow::Result<Vec<String>> {
        let Ports { gateway, callback, .. } = self.ports;
        let mut flags = vec![
            format!("--callback-sites={}", sites(&self.folder).display()),
            format!("--callback-public-url=http://{}", loopback(callback)),
            format!("--callback-browser-url=http://{}", loopback(gateway)),
        ];
        if store.iter().any(|flag| flag.starts_with("--callback-store=redis")) {
            let keys = format!("--callback-signing-keys={}", self.folder.path().join("keys.json").display());
            let command = ["callback-service", "rotate-key", &keys].map(OsString::from);
            let made =
                callback_service::commands::run(command.into_iter().chain(store.iter().map(OsString::from)));
            ensure!(made == ExitCode::SUCCESS, "the signing keys cannot be made");
            flags.push(keys);
        }
        Ok(flags)
    }
}

fn sites(folder: &TempDir) -> PathBuf {
    folder.path().join("sites.toml")
}

/// Chooses a port in the place of 0, before there is anybody to listen: the issuer's address is a setting of both
/// services. The socket is bound, but does not listen. So nobody else is given the port, and the service may still
/// take it.
fn keep(port: &mut u16) -> anyhow::Result<Option<TcpSocket>> {
    if *port != 0 {
        return Ok(None);
    }
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(loopback(0)).context("there is no free port")?;
    *port = socket.local_addr()?.port();
    Ok(Some(socket))
}
