//! slowhttptest, which nobody here wrote, at both doors: heads and bodies that never end, and answers that are
//! read five bytes a second.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::raw::metric;
use tempfile::TempDir;

use crate::process::until;
use crate::system::{Options, System};

const CONNECTIONS: usize = 50;

/// slowhttptest looks now and then whether the door still answers, and leaves that connection idle.
const PROBES: usize = 1;

/// A run of slowhttptest. Dropping it ends it.
struct Attack {
    program: Child,
    folder: TempDir,
}

impl Attack {
    fn start(door: SocketAddr, mode: &[&str], path: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("slowhttptest");
        command.args(mode).args(["-c", &CONNECTIONS.to_string(), "-r", "200", "-l", "60", "-p", "30"]);
        // Its table of what became of the connections each second.
        command.args(["-g", "-o"]).arg(folder.path().join("seen"));
        command.args(["-u", &format!("http://{door}{path}")]);
        let output = std::fs::File::create(folder.path().join("output")).unwrap();
        let program = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn();
        let program = program.expect("slowhttptest is installed; on Debian it is a package of that name");
        Self { program, folder }
    }

    /// The most connections that it had open in any second, as it saw them itself.
    fn connected(&self) -> usize {
        // Seconds, closed, pending, connected, service available.
        let table = self.read("seen.csv");
        let column = table.lines().skip(1).filter_map(|row| row.split(',').nth(3)?.parse().ok());
        column.max().unwrap_or_default()
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
    }

    /// It ends by itself once it sees that all its connections were closed at the other end.
    async fn gives_up(&mut self) {
        until("slowhttptest ends", || self.program.try_wait().unwrap().is_some()).await;
        let output = self.read("output");
        assert!(output.contains("No open connections left"), "{output}");
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Attacks both doors at once. A login goes on meanwhile, and the connections are let go of `within` a time, with
/// some more for a busy machine.
async fn withstand(system: &System, mode: &[&str], paths: [&str; 2], within: Duration) -> [Attack; 2] {
    let [pages, pushes] = paths;
    let began = Instant::now();
    let attacks = [
        Attack::start(system.gateway.address("browsers"), mode, pages),
        Attack::start(system.callback.address("pushes"), mode, pushes),
    ];
    until("the attack begins", || system.pages_held() + system.pushes_held() >= CONNECTIONS / 2).await;
    system.logs_in_at_once(&format!("under slowhttptest {}", mode[0])).await;
    until("they are let go of", || system.pages_held() <= PROBES && system.pushes_held() <= PROBES).await;
    let took = began.elapsed();
    eprintln!("gone after {took:?}");
    assert!(took < within + Duration::from_secs(5), "{mode:?}: {took:?}");
    system.is_ready().await;
    attacks
}

#[tokio::test]
async fn slow_heads_are_let_go_of_and_a_login_goes_on() {
    let system = System::start().await;
    let mode = ["-H", "-i", "1", "-x", "24"];
    for mut attack in withstand(&system, &mode, ["/ws", "/wechat"], Duration::from_secs(5)).await {
        attack.gives_up().await;
        assert_eq!(attack.connected(), CONNECTIONS);
    }
}

#[tokio::test]
async fn slow_bodies_are_let_go_of_and_a_login_goes_on() {
    let system = System::start().await;
    let mode = ["-B", "-t", "POST", "-s", "8192", "-i", "1", "-x", "10"];
    for mut attack in withstand(&system, &mode, ["/ws", "/wechat"], Duration::from_millis(1500)).await {
        attack.gives_up().await;
    }
    let told = metric(system.callback.address("admin"), "callback_refused_total{stage=\"signature\"}").await;
    // Its probe of whether the service is still there may be one more.
    assert!(told >= CONNECTIONS as u64, "nobody waits for a stranger's body: {told}");
}

#[tokio::test]
async fn slow_readers_are_let_go_of_and_a_login_goes_on() {
    let system = System::start_with(Options { keep_alive: "5s", ..Options::default() }).await;
    // Ten answers of 15 KiB to one connection are more than the kernel takes off the gateway's hands; of the
    // callback service's short ones it takes them all, and the connections are idle then: not for as long as a
    // balancer's, here.
    let mode = ["-X", "-k", "10", "-w", "1", "-y", "512", "-n", "1", "-z", "5"];
    withstand(&system, &mode, ["/login.js", "/wechat"], Duration::from_secs(10)).await;
}
