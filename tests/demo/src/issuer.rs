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
    /// The pages that may hold the widget of the other sites.
    origins: Vec<String>,
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
        Ok(Self { ports, site, at, origins: origins(more), listener, folder, _kept: kept })
    }

    /// The gateway's flag: pages of the issuer and of the sites may connect. Once that is said, its own page has to be
    /// named, too.
    pub(crate) fn gateway_flag(&self) -> String {
        let Ports { gateway, callback, .. } = self.ports;
        let ours = format!(
            "http://{},http://{},http://{},http://localhost:{gateway}",
            loopback(callback),
            self.at,
            loopback(gateway)
        );
        let all = [&[ours], &*self.origins].concat();
        format!("--gateway-allowed-origins={}", all.join(","))
    }

    /// The gateway's flag: where phones open a login inside WeChat.
    pub(crate) fn web_flag(&self) -> String {
        format!("--gateway-web-url=http://{}", loopback(self.ports.callback))
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

/// The `origins` of a file of sites. What is wrong with the file, callback-service tells better.
fn origins(sites: &str) -> Vec<String> {
    let file: toml::Table = sites.parse().unwrap_or_default();
    let sites = file.get("site").and_then(toml::Value::as_array).into_iter().flatten();
    let origins = sites.filter_map(|site| site.get("origins")?.as_array()).flatten();
    origins.filter_map(|origin| Some(origin.as_str()?.to_owned())).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_other_sites_may_hold_the_widget() {
        let file = "[[site]]\nid = \"a\"\n[[site]]\norigins = [\"http://127.0.0.1:3000\", \"https://b\"]\n";
        assert_eq!(origins(file), ["http://127.0.0.1:3000", "https://b"]);
        for nothing in ["", "no file", "site = 1", "[[site]]\norigins = \"https://b\"\n"] {
            assert!(origins(nothing).is_empty(), "{nothing}");
        }
    }
}
