//! Sentinels: they know which Redis is the master now.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult,
};
use tokio::time::timeout;

/// Time for one Sentinel to answer; then the next one is asked.
const WITHIN: Duration = Duration::from_millis(500);

/// The Sentinels of one master.
pub(super) struct Sentinels {
    addresses: Vec<ConnectionInfo>,
    name: String,
    /// The one that answered last, which is asked first.
    good: AtomicUsize,
}

impl Sentinels {
    pub(super) fn new(addresses: Vec<ConnectionInfo>, name: String) -> Self {
        Self { addresses, name, good: AtomicUsize::new(0) }
    }

    /// The same, asked with this password.
    pub(super) fn with_password(&self, password: &str) -> Self {
        let with = |sentinel: &ConnectionInfo| {
            let settings = sentinel.redis_settings().clone().set_password(password);
            sentinel.clone().set_redis_settings(settings)
        };
        Self::new(self.addresses.iter().map(with).collect(), self.name.clone())
    }

    /// The address of the master, as the first Sentinel says that answers.
    ///
    /// # Errors
    /// When none does: what the last one said, for people.
    pub(super) async fn master(&self) -> Result<(String, u16), String> {
        let first = self.good.load(Ordering::Relaxed);
        let mut why = String::new();
        for turn in 0..self.addresses.len() {
            let index = (first + turn) % self.addresses.len();
            let sentinel = &self.addresses[index];
            let said = match timeout(WITHIN, self.ask(sentinel)).await {
                Ok(Ok(Some(master))) => {
                    self.good.store(index, Ordering::Relaxed);
                    return Ok(master);
                }
                Ok(Ok(None)) => format!("it knows no {}", self.name),
                Ok(Err(error)) if wants_another_password(&error) => format!(
                    "{error}; GATEWAY_REDIS_SENTINEL_PASSWORD and CALLBACK_REDIS_SENTINEL_PASSWORD are what the \
                     Sentinels are asked with"
                ),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            why = format!("{}: {said}", sentinel.addr());
            tracing::debug!("a Sentinel does not name the master: {why}");
        }
        Err(format!("no Sentinel names the master; {why}"))
    }

    /// Whether more than half of the Sentinels say that this is the master.
    pub(super) async fn agree_on(&self, master: &(String, u16)) -> bool {
        let asked = join_all(self.addresses.iter().map(|sentinel| timeout(WITHIN, self.ask(sentinel)))).await;
        let named =
            asked.iter().filter(|said| matches!(said, Ok(Ok(Some(named))) if named == master)).count();
        named * 2 > self.addresses.len()
    }

    /// The address `master`, reached as the Sentinels are: with TLS or without.
    pub(super) fn address(&self, (host, port): (String, u16)) -> ConnectionAddr {
        match self.addresses.first().map(ConnectionInfo::addr) {
            Some(ConnectionAddr::TcpTls { insecure, tls_params, .. }) => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        }
    }

    async fn ask(&self, sentinel: &ConnectionInfo) -> RedisResult<Option<(String, u16)>> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(WITHIN));
        let mut connection =
            Client::open(sentinel.clone())?.get_multiplexed_async_connection_with_config(&config).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(&self.name).query_async(&mut connection).await
    }
}

/// Whether a Sentinel refuses the password: it wants another one, or one at all, or has none.
fn wants_another_password(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

impl fmt::Display for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, sentinel) in self.addresses.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", sentinel.addr())?;
        }
        write!(f, " ({})", self.name)
    }
}
