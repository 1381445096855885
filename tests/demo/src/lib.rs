//! The whole system in one process: the real gateway, the real callback service, and an offline WeChat.
//!
//! `cargo demo` shows it to people, and the end-to-end tests use it too. The parts talk over real sockets: the
//! gateway's internal port, WeChat's pushes over HTTP, and WeChat's API. A small web site whose people log in by all of
//! this can be there, too.

mod accounts;
mod example_site;
mod issuer;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, ensure};
use secrecy::SecretString;
use server::listen;
use server::settings::NoSettings;
use simulator::Simulator;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Others;
use crate::issuer::Issuer;

/// The key of the internal port. It is used only inside this process, over loopback.
pub const NOTIFY_KEY: &str = "the demo's own key, on loopback only";

/// The variable that names a Redis, such as `redis://127.0.0.1:6379`, in which both services then keep
/// everything instead of in memory. Each stack has keys of its own there, so that the same tests can use both
/// stores.
pub const REDIS: &str = "STACK_REDIS";

/// Limit for the parts to find each other, and Redis.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Limit for the parts to end.
const DRAIN: Duration = Duration::from_secs(2);

/// The parts' ports on loopback; 0 takes a free port.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// The gateway's public port.
    pub gateway: u16,
    /// The gateway's internal port.
    pub notices: u16,
    /// The gateway's admin port.
    pub gateway_admin: u16,
    /// The callback service's port.
    pub callback: u16,
    /// The callback service's admin port.
    pub callback_admin: u16,
    /// The simulated WeChat, with its phone.
    pub wechat: u16,
    /// The example site, where there is one.
    pub example_site: u16,
}

impl Ports {
    /// The programs' own default ports, 8090 for WeChat, and 8092 for the example site.
    #[must_use]
    pub fn fixed() -> Self {
        Self {
            gateway: 1099,
            notices: 9999,
            gateway_admin: 1098,
            callback: 8080,
            callback_admin: 8081,
            wechat: 8090,
            example_site: 8092,
        }
    }
}

/// The setup of the system.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The ports of the parts.
    pub ports: Ports,
    /// Put this address into the QR codes, and let phones on the network reach the simulated WeChat.
    pub lan: Option<IpAddr>,
    /// The simulated account.
    pub wechat: simulator::Settings,
    /// More official accounts, by their names in the file of accounts. They are of the same Open Platform account as the
    /// first, and like it.
    pub others: Vec<String>,
    /// More keys of each of their entries.
    pub other_keys: String,
    /// Let the callback service be the issuer of an example site, and of these: the text of a file of sites, which may be
    /// empty. Issuer and example site are for browsers on this machine.
    pub sites: Option<String>,
    /// Introduce the account on the gateway's pages, by this name and by its own QR code. They then show a code to send, too.
    pub account_name: Option<String>,
    /// Log people in inside WeChat, too: the gateway's pages lead there, and so do its own QR codes. It takes `sites`, with
    /// which the callback service's address is known in time.
    pub web: bool,
    /// More flags for the gateway, as `--name=value`. They replace ours of the same name.
    pub gateway: Vec<String>,
    /// More flags for the callback service, in the same way.
    pub callback: Vec<String>,
}

/// The running system. Dropping it stops its parts at once.
pub struct Stack {
    /// The simulated WeChat.
    pub wechat: Simulator,
    /// The other official accounts, as [`Options::others`] names them.
    pub others: Vec<Simulator>,
    /// The address of the simulated WeChat.
    pub wechat_address: SocketAddr,
    /// The addresses of the gateway.
    pub gateway: ws_gateway::BoundAddresses,
    /// The addresses of the callback service.
    pub callback: callback_service::BoundAddresses,
    /// The address of the example site.
    pub example_site: Option<SocketAddr>,
    /// The issuer's files, and the file of accounts.
    _folders: [Option<TempDir>; 2],
    stop: CancellationToken,
    parts: JoinSet<anyhow::Result<()>>,
}

impl Stack {
    /// Binds every port and starts every part.
    ///
    /// # Errors
    /// When a port is taken or a flag is wrong; the text names it.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let mut parts = JoinSet::new();

        let account = options.wechat;
        let simulator = Simulator::new(account.clone())?;
        let listen_at = match options.lan {
            Some(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, options.ports.wechat)),
            None => loopback(options.ports.wechat),
        };
        let listener = listen::bind("the simulated WeChat", listen_at)?;
        let wechat_address = loopback(listener.local_addr()?.port());
        let public = options.lan.map_or(wechat_address, |lan| (lan, wechat_address.port()).into());
        simulator.set_public_url(format!("http://{public}"));
        let served = simulator.clone().serve(listener, stop.clone(), TaskTracker::new());
        parts.spawn(served);

        let accounts = match options.others.as_slice() {
            [] => None,
            names => Some(Others::prepare(&simulator, names, &options.other_keys)?),
        };
        let issuer = match options.sites {
            Some(sites) => Some(Issuer::prepare(options.ports, &sites, simulator.public_url())?),
            None => {
                ensure!(!options.web, "logins inside WeChat take sites");
                None
            }
        };
        let ports = issuer.as_ref().map_or(options.ports, |issuer| issuer.ports);
        let Ports { gateway, notices, gateway_admin, callback, callback_admin, .. } = ports;
        let [gateway_store, callback_store] = stores();
        let mut flags = vec![
            format!("--gateway-listen={}", loopback(gateway)),
            format!("--gateway-notify-listen={}", loopback(notices)),
            format!("--gateway-admin-listen={}", loopback(gateway_admin)),
            format!("--gateway-drain-time={}s", DRAIN.as_secs()),
            format!("--wechat-app-id={}", account.app_id),
            format!("--wechat-api-url=http://{wechat_address}"),
            format!("--wechat-qr-url=http://{public}"),
            // Every page of a test, or of a room behind one proxy, has the same address.
            "--gateway-address-rate=1000000".to_owned(),
        ];
        flags.extend(gateway_store);
        flags.extend(accounts.iter().map(Others::flag));
        flags.extend(issuer.iter().map(Issuer::gateway_flag));
        if let Some(name) = options.account_name {
            flags.push(format!("--gateway-account-name={name}"));
            flags.push(format!("--gateway-account-qr={}", simulator.account_code()));
        }
        if options.web {
            flags.extend(issuer.iter().map(Issuer::web_flag));
        }
        let flags = with(flags, options.gateway);
        let secrets = ws_gateway::config::Secrets {
            notify_key: Some(SecretString::from(NOTIFY_KEY)),
            wechat_app_secret: Some(SecretString::from(account.app_secret.clone())),
            ..ws_gateway::config::Secrets::default()
        };
        let config = ws_gateway::config::Config::of(&as_strs(&flags), secrets).map_err(said)?;
        let gateway = ws_gateway::Server::bind(config)?;
        let at_gateway = gateway.addresses()?;
        let stopped = stop.clone().cancelled_owned();
        parts.spawn(async { gateway.run(stopped).await.map(|_| ()) });

        let mut flags = vec![
            format!("--callback-listen={}", loopback(callback)),
            format!("--callback-admin-listen={}", loopback(callback_admin)),
            format!("--callback-gateway={}", at_gateway.notices),
            format!("--callback-drain-time={}s", DRAIN.as_secs()),
            format!("--wechat-mode={}", mode_name(account.mode)),
            format!("--wechat-original-id={}", account.original_id),
            format!("--wechat-app-id={}", account.app_id),
            format!("--wechat-api-url=http://{wechat_address}"),
            "--callback-address-rate=1000000".to_owned(),
            // Tests count notices, and people read the log.
            "--callback-probe-every=off".to_owned(),
        ];
        if let Some(issuer) = &issuer {
            flags.extend(issuer.callback_flags(&callback_store)?);
        }
        if options.web {
            flags.push("--callback-web-authorization=base".to_owned());
        }
        flags.extend(callback_store);
        flags.extend(accounts.iter().map(Others::flag));
        let flags = with(flags, options.callback);
        let secrets = callback_service::config::Secrets {
            notify_key: Some(SecretString::from(NOTIFY_KEY)),
            account: callback_service::account::Secrets {
                app_secret: Some(SecretString::from(account.app_secret)),
                token: Some(SecretString::from(account.token)),
                aes_key: Some(SecretString::from(account.aes_key)),
                ..callback_service::account::Secrets::default()
            },
            ..callback_service::config::Secrets::default()
        };
        let config = callback_service::config::Config::of(&as_strs(&flags), secrets).map_err(said)?;
        let callback = callback_service::Server::bind(config)?;
        let at_callback = callback.addresses()?;
        let push_url = format!("http://{}/wechat", at_callback.pushes);
        simulator.set_push_url(push_url.clone());
        let (mut others, mut accounts_folder) = (Vec::new(), None);
        if let Some(accounts) = accounts {
            for (other, name) in accounts.simulators.iter().zip(&options.others) {
                other.set_push_url(format!("{push_url}/{name}"));
            }
            (others, accounts_folder) = (accounts.simulators, Some(accounts.folder));
        }
        let stopped = stop.clone().cancelled_owned();
        parts.spawn(async { callback.run(stopped).await.map(|_| ()) });

        let (mut example_site, mut folder) = (None, None);
        if let Some(issuer) = issuer {
            example_site = Some(issuer.listener.local_addr()?);
            folder = Some(issuer.folder);
            parts.spawn(issuer.site.serve(issuer.listener, stop.clone()));
        }

        tokio::time::timeout(READY_WITHIN, async {
            until_ready(at_gateway.admin).await;
            until_ready(at_callback.admin).await;
        })
        .await
        .with_context(|| format!("not everything is ready within {READY_WITHIN:?}; is {REDIS} right?"))?;
        Ok(Self {
            wechat: simulator,
            wechat_address,
            gateway: at_gateway,
            callback: at_callback,
            example_site,
            others,
            _folders: [folder, accounts_folder],
            stop,
            parts,
        })
    }

    /// Runs until `stopped` ends or a part fails, and lets every part end by itself.
    ///
    /// # Errors
    /// The failure of a part.
    pub async fn run(mut self, stopped: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            failure = first_failure(&mut self.parts) => return Err(failure),
            () = stopped => {}
        }
        self.stop.cancel();
        let ended = async {
            while let Some(part) = self.parts.join_next().await {
                part??;
            }
            Ok(())
        };
        tokio::time::timeout(DRAIN + Duration::from_secs(1), ended).await.unwrap_or(Ok(()))
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Asks an admin port until its service is ready.
async fn until_ready(admin: SocketAddr) {
    let ask = async || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    };
    while !ask().await.unwrap_or(false) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The flags of both services for their stores.
fn stores() -> [Vec<String>; 2] {
    let url = std::env::var(REDIS).unwrap_or_default();
    if url.is_empty() {
        return [vec![], vec!["--callback-store=sqlite::memory:".to_owned()]];
    }
    let prefix = format!("stack:{}:", protocol::Scene::random());
    ["gateway", "callback"].map(|service| {
        vec![format!("--{service}-store={url}"), format!("--{service}-redis-prefix={prefix}{service}:")]
    })
}

/// Waits for a part to fail. Parts that end without a failure are ignored.
async fn first_failure(parts: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Error {
    while let Some(part) = parts.join_next().await {
        match part {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(error) => return error.into(),
        }
    }
    std::future::pending().await
}

/// Joins two lists of flags. A flag of `theirs` replaces the same flag of `ours`, because it may be given only
/// once.
fn with(mut ours: Vec<String>, theirs: Vec<String>) -> Vec<String> {
    fn name(flag: &str) -> &str {
        flag.split('=').next().unwrap_or(flag)
    }
    ours.retain(|flag| theirs.iter().all(|their| name(their) != name(flag)));
    ours.extend(theirs);
    ours
}

fn as_strs(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

fn said(nothing: NoSettings) -> anyhow::Error {
    anyhow::Error::msg(nothing.text)
}

fn mode_name(mode: simulator::Mode) -> &'static str {
    match mode {
        simulator::Mode::Safe => "safe",
        simulator::Mode::Compatible => "compatible",
        simulator::Mode::Plaintext => "plaintext",
    }
}

/// This machine's address in its local network, found by the route to the outside. Nothing is sent.
///
/// # Errors
/// When the machine has no network.
pub fn lan_address() -> anyhow::Result<IpAddr> {
    let ask = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        // An address for documentation (RFC 5737). Connecting a UDP socket only chooses the route.
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        Ok(socket.local_addr()?.ip())
    };
    ask().context("this machine has no address that a phone could reach; is it in a network?")
}
