//! A master with replicas, watched by three Sentinels.

use crate::server::{Cli, Kind};
use crate::{Options, Redis, blocking, wait_for};

/// The Sentinels' name for the master.
const NAME: &str = "logins";

/// The number of Sentinels. Two must agree.
const SENTINELS: usize = 3;

/// The Sentinels' own times, in milliseconds. They are a tenth of the defaults, so that the Sentinels soon know
/// each other. The tilt time is longer: a machine full of tests may stand still for seconds, and then Sentinels
/// would distrust their clocks ("tilt") and fail nothing over for half a minute.
const TIMES: &str = "info-period 500 ping-period 200 publish-period 200 ask-period 200 tilt-trigger 30000";

/// Redis servers under Sentinel, which makes a replica the master a few seconds after the master is lost.
/// Dropping it kills all of them.
pub struct Sentinels {
    servers: Vec<Redis>,
    sentinels: Vec<Redis>,
}

impl Sentinels {
    /// Starts a master, its replicas, and three Sentinels that notice a lost server after one second. Waits
    /// until the replicas are in sync, and the Sentinels know of them and of each other.
    ///
    /// # Panics
    /// As [`Redis::start`].
    pub async fn start(replicas: usize) -> Self {
        Self::start_all(replicas, None).await
    }

    /// The same, with Sentinels that are asked with a password: letters and digits.
    ///
    /// # Panics
    /// As [`Redis::start`].
    pub async fn start_with_password(replicas: usize, password: &str) -> Self {
        Self::start_all(replicas, Some(password)).await
    }

    async fn start_all(replicas: usize, password: Option<&str>) -> Self {
        let master = Redis::start().await;
        let port = master.port();
        let mut servers = vec![master];
        for _ in 0..replicas {
            servers.push(Redis::start_replica(&servers[0]).await);
        }
        let mut sentinels = Vec::new();
        for _ in 0..SENTINELS {
            sentinels.push(sentinel(port, password).await);
        }
        let (watched, watching) = (clis(&servers), clis(&sentinels));
        let wanted = [
            format!("num-slaves\n{replicas}\n"),
            format!("num-other-sentinels\n{}\n", SENTINELS - 1),
            "flags\nmaster\n".to_owned(),
        ];
        blocking(move || {
            wait_for("the replicas to be in step", || {
                let known = watched[0].run(&["INFO", "replication"])?;
                if known.matches("state=online").count() == replicas { Ok(()) } else { Err(known) }
            });
            wait_for("the Sentinels to know of each other and of the replicas", || {
                watching.iter().try_for_each(|sentinel| {
                    let known = sentinel.run(&["SENTINEL", "MASTER", NAME])?;
                    if wanted.iter().all(|line| known.contains(line)) { Ok(()) } else { Err(known) }
                })
            });
        })
        .await;
        Self { servers, sentinels }
    }

    /// The URL of the master for clients:
    /// `redis+sentinel://127.0.0.1:10001,127.0.0.1:10002,127.0.0.1:10003/logins`.
    #[must_use]
    pub fn url(&self) -> String {
        let addresses: Vec<_> =
            self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port())).collect();
        format!("redis+sentinel://{}/{NAME}", addresses.join(","))
    }

    /// The master's port, according to a Sentinel.
    ///
    /// # Panics
    /// When no Sentinel answers.
    pub async fn master_port(&self) -> u16 {
        let sentinels = clis(&self.sentinels);
        blocking(move || sentinels.iter().find_map(master).expect("a Sentinel answers")).await
    }

    /// The server on this port: to ask it something, to freeze it, or to start it again after a kill. The
    /// Sentinels then make it a replica.
    ///
    /// # Panics
    /// When there is no server on it.
    pub fn server(&mut self, port: u16) -> &mut Redis {
        self.servers.iter_mut().find(|server| server.port() == port).expect("a server on this port")
    }

    /// A server that is not the master on port `master`.
    ///
    /// # Panics
    /// When there is none.
    pub fn replica(&mut self, master: u16) -> &mut Redis {
        self.servers.iter_mut().find(|server| server.port() != master).expect("a replica")
    }

    /// Kills so many of the three Sentinels.
    pub fn kill_sentinels(&mut self, many: usize) {
        for sentinel in self.sentinels.iter_mut().take(many) {
            sentinel.kill();
        }
    }

    /// Kills the master, as `kill -9` does, and gives its port.
    ///
    /// # Panics
    /// When no Sentinel answers.
    pub async fn kill_master(&mut self) -> u16 {
        let port = self.master_port().await;
        self.server(port).kill();
        port
    }

    /// Waits until every Sentinel names a master other than the one on port `old`, and returns the new port.
    /// They do so once that one has been made the master.
    ///
    /// # Panics
    /// When that does not happen within [`crate::PATIENCE`].
    pub async fn until_failed_over(&self, old: u16) -> u16 {
        let sentinels = clis(&self.sentinels);
        blocking(move || {
            wait_for("the Sentinels to agree on another master", || {
                let named: Vec<_> = sentinels.iter().map(master).collect();
                let new =
                    named[0].filter(|new| *new != old && named.iter().all(|other| *other == Some(*new)));
                new.ok_or_else(|| format!("not {old}, but they name {named:?}"))
            })
        })
        .await
    }
}

/// A Sentinel that watches the master on `port`.
async fn sentinel(port: u16, password: Option<&str>) -> Redis {
    let more = [
        format!("monitor {NAME} 127.0.0.1 {port} 2"),
        format!("down-after-milliseconds {NAME} 1000"),
        // After a failed attempt the next one comes after twice this time.
        format!("failover-timeout {NAME} 3000"),
    ];
    let more = more.map(|line| format!("sentinel {line}")).to_vec();
    let password = password.map(str::to_owned);
    let sentinel = Redis::launch(Kind::Sentinel, Options { password, more, ..Options::default() }).await;
    let times: Vec<_> = ["SENTINEL", "DEBUG"].into_iter().chain(TIMES.split(' ')).collect();
    sentinel.cli(&times).await;
    sentinel
}

/// The master's port, according to this Sentinel.
fn master(sentinel: &Cli) -> Option<u16> {
    let address = sentinel.run(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]).ok()?;
    address.lines().nth(1)?.parse().ok()
}

fn clis(all: &[Redis]) -> Vec<Cli> {
    all.iter().map(Redis::cli_handle).collect()
}
