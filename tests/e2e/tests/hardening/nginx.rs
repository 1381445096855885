//! A real nginx before one port, with the lines that an operator has written into its `location`.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::page::PATIENCE;
use tempfile::TempDir;
use test_redis::free_port;
use tokio::net::TcpStream;

/// Dropping it ends it.
pub(crate) struct Nginx {
    process: Child,
    pub(crate) listens: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// Starts one that leads to `upstream`, and waits until it listens.
    pub(crate) async fn start(upstream: SocketAddr, lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let listens = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {};\n", path(kind)))
            .collect();
        let whole = format!(
            "daemon off;\nmaster_process off;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}\
             server {{ listen {listens}; location / {{ proxy_pass http://{upstream}; {lines} }} }}\n}}\n",
            path("pid"),
        );
        std::fs::write(path("nginx.conf"), whole).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-c", &path("nginx.conf"), "-p", &path("")]).stdin(Stdio::null());
        let process = command.spawn().expect("nginx is needed; on Debian: apt-get install nginx-light");
        let nginx = Self { process, listens, _folder: folder };
        let is_there = async {
            while TcpStream::connect(listens).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, is_there).await.expect("nginx listens");
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It is one process.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
