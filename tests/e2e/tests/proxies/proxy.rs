//! A proxy at work with a configuration of deploy/, changed as an operator changes it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use demo::Stack;
use e2e::page::{PATIENCE, Stream};
use protocol::tls::ClientTls;
use tempfile::TempDir;
use test_certificates::Authority;
use test_redis::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::{BROWSER, ISSUER, NAME};

/// A proxy at work. Dropping it ends it.
pub(crate) struct Proxy {
    child: Child,
    _folder: TempDir,
    authority: PathBuf,
    pub(crate) http: SocketAddr,
    https: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its workers too.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// What an operator changes in a configuration: ports, certificates, and where the services are.
struct Changes(Vec<(String, String)>);

impl Changes {
    fn make(&self, name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name);
        let mut text = std::fs::read_to_string(path).unwrap();
        for (from, to) in &self.0 {
            assert!(text.contains(from), "{name} has no {from:?}");
            text = text.replace(from, to);
        }
        text
    }
}

/// Within this the proxies that ask each second have found out.
pub(crate) const FOUND_OUT: Duration = Duration::from_secs(4);

/// What stands beside the living one in an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dead {
    /// It takes connections and never answers, as a process that is stopped.
    Hung,
    /// It answers no packet, as a host that is gone.
    Gone,
}

/// A dead upstream. Dropping it lets go of its port.
pub(crate) struct DeadUpstream {
    pub(crate) address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl DeadUpstream {
    pub(crate) async fn of(dead: Dead) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        // Nobody accepts: the system takes connections for it as far as it has room, and drops what comes then.
        let listener = socket.listen(if dead == Dead::Gone { 0 } else { 1024 }).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        if dead == Dead::Gone {
            let more = async || timeout(Duration::from_millis(300), TcpStream::connect(address)).await;
            while let Ok(connected) = more().await {
                queued.push(connected.unwrap());
            }
        }
        Self { address, _listener: listener, _queued: queued }
    }
}

pub(crate) async fn start(name: &str, stack: &Stack) -> Proxy {
    start_beside(name, stack, None).await
}

/// As [`start`], with an upstream that is dead before the living one, of the gateways and of the callback-services.
pub(crate) async fn start_beside(name: &str, stack: &Stack, dead: Option<SocketAddr>) -> Proxy {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ours");
    let own = authority.sign("own", &[NAME, ISSUER]);
    let [http, https] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let path = |file: &str| folder.path().join(file).display().to_string();
    let change = |from: &str, to: String| (from.to_owned(), to);
    let gateway = change("127.0.0.1:1099", stack.gateway.browsers.to_string());
    let callback = change("127.0.0.1:8080", stack.callback.pushes.to_string());
    // As an operator adds one: the line that waits for that, or an address more.
    let mut added = Vec::new();
    if let Some(dead) = dead {
        added = match name {
            "nginx.conf" => ["10.0.0.2:1099", "10.0.0.3:8080"]
                .map(|example| (format!("# server {example}"), format!("server {dead}")))
                .into(),
            "haproxy.cfg" => [("gateway2", "10.0.0.2:1099"), ("callback2", "10.0.0.3:8080")]
                .map(|(server, example)| {
                    (format!("# server {server} {example}\n"), format!("server {server} {dead}\n"))
                })
                .into(),
            _ => {
                let kept = "# lb_try_duration 4500ms\n\t\t\t# buffer_requests\n";
                let beside = |living: &str| {
                    (format!("reverse_proxy {living}"), format!("reverse_proxy {dead} {living}"))
                };
                vec![
                    beside("127.0.0.1:1099"),
                    beside("127.0.0.1:8080"),
                    (kept.to_owned(), kept.replace("# ", "")),
                ]
            }
        };
    }
    let changes = |more: Vec<(String, String)>| Changes(added.iter().cloned().chain(more).collect());
    let mut command = match name {
        "nginx.conf" => {
            let site = changes(vec![
                gateway,
                callback,
                change("listen 80;", format!("listen {http};")),
                change("listen 443 ssl;", format!("listen {https} ssl;")),
                change("    listen [::]:80;\n", String::new()),
                change("    listen [::]:443 ssl;\n", String::new()),
                change("/etc/ssl/login.example.com.pem", own.certificate.display().to_string()),
                change("/etc/ssl/login.example.com.key", own.key.display().to_string()),
            ])
            .make(name);
            std::fs::write(path("site.conf"), site).unwrap();
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|kind| format!("{kind}_temp_path {};\n", path(kind)))
                .collect();
            let whole = format!(
                "daemon off;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}include {};\n}}\n",
                path("pid"),
                path("site.conf"),
            );
            std::fs::write(path("nginx.conf"), whole).unwrap();
            let mut command = Command::new("nginx");
            command.args(["-c", &path("nginx.conf"), "-p", &path("")]);
            command
        }
        "Caddyfile" => {
            // Here nobody gives certificates for the name, so its own are shown.
            let tls = format!("tls {} {}", own.certificate.display(), own.key.display());
            let site = changes(vec![
                gateway,
                callback,
                change(
                    "\nlogin.example.com {",
                    format!(
                        "\nhttps://{NAME}:{0}, https://{ISSUER}:{0} {{\n\tbind 127.0.0.1\n\t{tls}",
                        https.port()
                    ),
                ),
            ])
            .make(name);
            let options =
                format!("{{\n\tadmin off\n\tauto_https disable_redirects\n\thttp_port {}\n}}\n", http.port());
            std::fs::write(path("Caddyfile"), options + &site).unwrap();
            let mut command = Command::new("caddy");
            command.args(["run", "--adapter", "caddyfile", "--config", &path("Caddyfile")]);
            command
                .env("HOME", path(""))
                .env("XDG_DATA_HOME", path("data"))
                .env("XDG_CONFIG_HOME", path("config"));
            command
        }
        _ => {
            let both =
                [&own.certificate, &own.key].map(|file| std::fs::read_to_string(file).unwrap()).concat();
            std::fs::write(path("both.pem"), both).unwrap();
            let whole = changes(vec![
                gateway,
                callback,
                // This machine may not let a process open so many files.
                change("maxconn 40000", "maxconn 1000".to_owned()),
                change("bind :80\n", format!("bind {http}\n")),
                change("bind :443 ", format!("bind {https} ")),
                change("/etc/ssl/login.example.com.both.pem", path("both.pem")),
            ])
            .make(name);
            std::fs::write(path("haproxy.cfg"), whole).unwrap();
            let mut command = Command::new("haproxy");
            command.args(["-db", "-f", &path("haproxy.cfg")]);
            command
        }
    };
    let program = command.get_program().to_owned();
    let child = command.stdin(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{program:?} is needed: {error}"));
    let proxy = Proxy { child, authority: authority.certificate, _folder: folder, http, https };
    let listens = async {
        while TcpStream::connect(proxy.https).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, listens).await.unwrap_or_else(|_| panic!("{name}: it does not listen"));
    proxy
}

impl Proxy {
    /// A connection from [`BROWSER`].
    pub(crate) async fn connect(&self) -> Box<dyn Stream> {
        let tls = ClientTls { ca: Some(self.authority.clone()), ..ClientTls::default() };
        let connector = tokio_rustls::TlsConnector::from(tls.load().unwrap());
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((BROWSER, 0).into()).unwrap();
        let stream = socket.connect(self.https).await.unwrap();
        Box::new(connector.connect(NAME.try_into().unwrap(), stream).await.unwrap())
    }

    /// The answer to a request, over TLS.
    pub(crate) async fn answer(&self, request: &str, body: &str) -> String {
        self.answer_at(NAME, request, body).await
    }

    /// The same under a name of the proxy's.
    pub(crate) async fn answer_at(&self, name: &str, request: &str, body: &str) -> String {
        let mut stream = self.connect().await;
        let length = body.len();
        let whole = format!(
            "{request} HTTP/1.1\r\nhost: {name}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        stream.write_all(whole.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Some close without TLS's own goodbye.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The status of an answer, over TLS.
    pub(crate) async fn ask(&self, path: &str) -> String {
        status(&self.answer(&format!("GET {path}"), "").await)
    }
}

pub(crate) fn status(answer: &str) -> String {
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}
