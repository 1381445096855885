//! One connection to Redis that is kept: the [`Keeper`] connects, watches and connects again, and the
//! [`Link`] is what everybody else holds.
//!
//! While there is no connection, a call fails at once and has certainly changed nothing. A call that was
//! handed to the connection and got no answer in time has perhaps changed something. Whoever meets such a
//! silence makes the keeper look at once whether Redis is still there.
//!
//! Where changes wait for replicas there is a second connection for them, made and given up with the first, so that
//! nothing else waits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, PushInfo, PushKind, RedisError, RedisResult,
    ServerErrorKind, Value,
};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::place::Place;
use crate::replicas::{Durable, Replicas};

/// A command is answered within this, or Redis counts as silent.
const COMMAND: Duration = Duration::from_millis(500);

/// The same, where a command may stand behind one who waits for replicas, and one who has given up waiting.
const DURABLE: Duration = Duration::from_millis(1100);

/// To connect: TCP, TLS, and the first words.
const CONNECT: Duration = Duration::from_secs(1);

/// How often the keeper looks whether Redis is there, and whether it still is the master.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits between attempts to connect: doubling between these, each cut by up to a half.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// Reasons that are told of one outage.
const REASONS: usize = 8;

/// Published messages that wait to be heard.
const PUSHES: usize = 16 * 1024;

/// Why Redis did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// Nothing was changed: there was no connection, or Redis refused.
    #[error("{0}")]
    NotDone(String),
    /// Perhaps it was done: the answer did not come, or too few replicas have it.
    #[error("{0}; perhaps it was done")]
    Unknown(String),
}

impl Failure {
    /// The same, of something that could not have changed anything.
    #[must_use]
    pub fn certain(self) -> Self {
        match self {
            Self::NotDone(why) | Self::Unknown(why) => Self::NotDone(why),
        }
    }

    fn of(error: &RedisError) -> Self {
        match error.kind() {
            // Whatever Redis itself refuses, it refuses before a script has written: each writes once, at its end.
            ErrorKind::Server(_)
            | ErrorKind::Extension
            | ErrorKind::Client
            | ErrorKind::AuthenticationFailed => Self::NotDone(format!("Redis refuses: {error}")),
            _ => Self::Unknown(format!("Redis does not answer: {error}")),
        }
    }
}

/// A handle to the connection; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    connections: watch::Receiver<Option<Connections>>,
    doubt: Arc<Notify>,
    replicas: Replicas,
}

#[derive(Debug, Clone)]
struct Connections {
    each: MultiplexedConnection,
    /// For what waits for replicas, where any are wanted.
    durable: Option<Arc<Durable>>,
}

impl Link {
    /// A link to `place`, and the keeper that makes it. `ears` hear what is published.
    #[must_use]
    pub(crate) fn new(place: Place, ears: Option<Ears>, replicas: Replicas) -> (Self, Keeper) {
        let (sender, connections) = watch::channel(None);
        let doubt = Arc::new(Notify::new());
        let (told, doubted) = (replicas.clone(), Arc::clone(&doubt));
        let keeper = Keeper { place, ears, connections: sender, doubt: doubted, replicas: told };
        (Self { connections, doubt, replicas }, keeper)
    }

    /// Waits until there is a connection (`true`), or none (`false`).
    pub(crate) async fn is(&self, up: bool) {
        // An error means that the keeper is gone, and the process with it.
        let _ = self.connections.clone().wait_for(|connections| connections.is_some() == up).await;
    }

    /// Asks Redis for something, within half a second.
    pub(crate) async fn ask<T, F>(&self, work: impl FnOnce(MultiplexedConnection) -> F) -> Result<T, Failure>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let connections = self.connections()?;
        self.answer(work(connections.each)).await
    }

    /// Asks Redis to write something, and waits until enough replicas have it if it was written.
    pub(crate) async fn ask_durably<F>(
        &self,
        work: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<bool, Failure>
    where
        F: Future<Output = RedisResult<bool>>,
    {
        let Some(durable) = self.connections()?.durable else { return self.ask(work).await };
        let done = self.answer(work(durable.connection.clone())).await?;
        if done {
            durable.confirm(&self.replicas, || self.doubt.notify_one()).await?;
        }
        Ok(done)
    }

    fn connections(&self) -> Result<Connections, Failure> {
        let connections = self.connections.borrow().clone();
        connections.ok_or_else(|| Failure::NotDone("there is no connection to Redis".to_owned()))
    }

    async fn answer<T>(&self, work: impl Future<Output = RedisResult<T>>) -> Result<T, Failure> {
        let failure = match timeout(COMMAND, work).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                if matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly)) {
                    self.doubt.notify_one();
                }
                Failure::of(&error)
            }
            Err(_) => Failure::Unknown(format!("Redis does not answer within {COMMAND:?}")),
        };
        if matches!(failure, Failure::Unknown(_)) {
            self.doubt.notify_one();
        }
        Err(failure)
    }
}

/// Hears what is published on one channel.
pub struct Ears {
    /// The channel.
    pub channel: String,
    /// What to do. It must not block.
    pub hear: Box<dyn Fn(Heard) + Send + Sync>,
}

impl fmt::Debug for Ears {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ears").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Somebody published this.
    Message(String),
    /// There is a connection again. What was published before it is lost.
    Connected,
}

/// Makes and keeps the connections of [`Records`](crate::Records).
#[derive(Debug)]
pub struct Keeper {
    place: Place,
    ears: Option<Ears>,
    connections: watch::Sender<Option<Connections>>,
    doubt: Arc<Notify>,
    replicas: Replicas,
}

/// A connection that stands.
struct Session {
    connections: Connections,
    /// Where the Sentinels said that the master is.
    master: Option<(String, u16)>,
    pushes: mpsc::Receiver<PushInfo>,
}

impl Keeper {
    /// Connects, and connects again whenever that is needed, for as long as it is polled.
    pub async fn run(self) {
        let mut failures = 0_u32;
        let mut told: Vec<String> = Vec::new();
        loop {
            match self.connect().await {
                Ok(session) => {
                    tracing::info!(place = %self.place, "connected to Redis");
                    failures = 0;
                    told.clear();
                    let why = self.watch(session).await;
                    self.connections.send_replace(None);
                    tracing::warn!(place = %self.place, "the connection to Redis is lost: {why}; connecting again");
                }
                Err(why) => {
                    // One line for each reason in an outage, however long it is.
                    if told.len() < REASONS && !told.contains(&why) {
                        tracing::warn!(place = %self.place, "no connection to Redis: {why}; trying until there is one");
                        told.push(why);
                    }
                    failures = failures.saturating_add(1);
                }
            }
            let wait = FIRST_RETRY.saturating_mul(1 << failures.min(8)).min(LONGEST_RETRY);
            sleep(wait.mul_f64(1.0 - fastrand::f64() / 2.0)).await;
        }
    }

    async fn connect(&self) -> Result<Session, String> {
        let connecting = async {
            let (mut server, mut master) = (ConnectionInfo::clone(&self.place.server), None);
            if let Some(sentinels) = &self.place.sentinels {
                let found = sentinels.master().await?;
                server = server.set_addr(sentinels.address(found.clone()));
                master = Some(found);
            }
            let (sender, pushes) = mpsc::channel(PUSHES);
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT))
                .set_response_timeout(Some(COMMAND))
                // What finds no place is lost, and heals as every lost wake-up does.
                .set_push_sender(move |push| sender.try_send(push).or(Ok::<(), ()>(())));
            let patient = config.clone().set_response_timeout(Some(DURABLE));
            let client = Client::open(server).map_err(|error| error.to_string())?;
            let connect = async |config| {
                let connecting = client.get_multiplexed_async_connection_with_config(config);
                connecting.await.map_err(|error| why_not(&error))
            };
            let mut each = connect(&config).await?;
            let durable = match self.replicas.are_wanted() {
                true => Some(connect(&patient).await?),
                false => None,
            };
            // While it loads its data it tells its role and lets everybody hear, but does nothing else.
            redis::cmd("PING").exec_async(&mut each).await.map_err(|error| error.to_string())?;
            is_young_enough(&mut each).await?;
            let connections = Connections { each, durable: durable.map(Durable::new).map(Arc::new) };
            if !self.check(&connections, master.as_ref()).await? {
                tracing::warn!(
                    "Redis does not tell us its role, so a demotion may go unnoticed; allow it in the ACL"
                );
            }
            if let Some(ears) = &self.ears {
                listen_for(&mut connections.each.clone(), &ears.channel).await?;
            }
            Ok(Session { connections, master, pushes })
        };
        timeout(2 * CONNECT, connecting).await.unwrap_or_else(|_| Err("it does not answer".to_owned()))
    }

    /// Watches a connection until it is lost, and says why.
    async fn watch(&self, session: Session) -> String {
        let Session { connections, master, pushes } = session;
        self.connections.send_replace(Some(connections.clone()));
        self.tell(Heard::Connected);
        tokio::select! {
            () = self.listen(pushes) => "it was closed".to_owned(),
            why = self.look(connections, master) => why,
        }
    }

    /// Hears what is published, until the connection ends.
    async fn listen(&self, mut pushes: mpsc::Receiver<PushInfo>) {
        while let Some(PushInfo { kind, data }) = pushes.recv().await {
            match kind {
                // The channel, and the message.
                PushKind::Message => data.into_iter().nth(1).and_then(text).into_iter().for_each(|message| {
                    self.tell(Heard::Message(message));
                }),
                PushKind::Disconnection => return,
                _ => {}
            }
        }
    }

    /// Looks whether Redis is there, now and then and whenever somebody doubts it; ends when it is not.
    async fn look(&self, connections: Connections, master: Option<(String, u16)>) -> String {
        loop {
            tokio::select! {
                () = self.doubt.notified() => {}
                () = sleep(LOOK_EVERY) => {}
            }
            if let Err(why) = self.check(&connections, master.as_ref()).await {
                return why;
            }
        }
    }

    /// Checks that both connections are to the master, and takes note of its replicas; `false` where Redis does not
    /// let us ask for its role.
    async fn check(&self, connections: &Connections, master: Option<&(String, u16)>) -> Result<bool, String> {
        let durable = async {
            match &connections.durable {
                Some(durable) => role(&durable.connection, DURABLE).await.map(drop),
                None => Ok(()),
            }
        };
        let (role, ()) = tokio::try_join!(self.check_role(&connections.each, master), durable)?;
        Ok(role != Role::Untold)
    }

    async fn check_role(
        &self,
        connection: &MultiplexedConnection,
        master: Option<&(String, u16)>,
    ) -> Result<Role, String> {
        let role = role(connection, COMMAND).await?;
        let connected = match role {
            Role::Master(connected) => Some(connected),
            Role::Untold => None,
        };
        let mut is_master = true;
        if let (Some(sentinels), Some(master)) = (&self.place.sentinels, master) {
            if let Ok(now) = sentinels.master().await
                && now != *master
            {
                return Err(format!("{}:{} is the master now", now.0, now.1));
            }
            // One who is cut off from the others does not know whether they have made another one.
            is_master = !self.replicas.are_too_few(connected) || sentinels.agree_on(master).await;
        }
        self.replicas.note(connected, is_master);
        Ok(role)
    }

    fn tell(&self, heard: Heard) {
        if let Some(ears) = &self.ears {
            (ears.hear)(heard);
        }
    }
}

/// What people need to know where a Redis is too old, or a proxy before it is.
const NEEDED: &str =
    "Redis 6.2 or later is needed, or Valkey, without a proxy that does not pass on what it does not know";

/// Why there is no connection, in words that say what to do where we know it.
fn why_not(error: &RedisError) -> String {
    let detail = error.detail().unwrap_or_default().to_ascii_uppercase();
    let has_no_hello = error.kind() == ErrorKind::RESP3NotSupported
        || error.code() == Some("NOPROTO")
        || (detail.contains("UNKNOWN COMMAND") && detail.contains("HELLO"));
    match has_no_hello {
        true => format!("it does not know HELLO 3: {NEEDED} ({error})"),
        false => error.to_string(),
    }
}

/// Checks what Redis says of its version, if it says it: an older one would refuse every record that is written.
async fn is_young_enough(connection: &mut MultiplexedConnection) -> Result<(), String> {
    let Ok(Value::Map(said)) = redis::cmd("HELLO").query_async(connection).await else { return Ok(()) };
    let said = said.into_iter().find(|(name, _)| text(name.clone()).as_deref() == Some("version"));
    match said.and_then(|(_, version)| text(version)) {
        Some(version) if is_too_old(&version) => Err(format!("it is version {version}: {NEEDED}")),
        _ => Ok(()),
    }
}

/// Whether this is a version below 6.2. What is no version is taken as new.
fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (6, 2),
        _ => false,
    }
}

/// What a master says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It has so many replicas that are in step.
    Master(u32),
    /// It does not let us ask.
    Untold,
}

/// Checks that it answers and is a master.
async fn role(connection: &MultiplexedConnection, within: Duration) -> Result<Role, String> {
    let (mut connection, question) = (connection.clone(), redis::cmd("ROLE"));
    let answer: RedisResult<Value> = match timeout(within, question.query_async(&mut connection)).await {
        Ok(answer) => answer,
        Err(_) => return Err("it does not answer".to_owned()),
    };
    match answer {
        // Its name, how far it has written, and its replicas.
        Ok(Value::Array(role)) => match role.first().cloned().and_then(text).as_deref() {
            Some("master") => match role.get(2) {
                Some(Value::Array(replicas)) => {
                    Ok(Role::Master(u32::try_from(replicas.len()).unwrap_or(u32::MAX)))
                }
                _ => Ok(Role::Untold),
            },
            Some(_) => Err("it is not the master".to_owned()),
            None => Ok(Role::Untold),
        },
        Ok(_) => Ok(Role::Untold),
        Err(error) if is_forbidden(&error) => Ok(Role::Untold),
        Err(error) => Err(error.to_string()),
    }
}

/// Subscribes to `channel`. To be forbidden it is borne, because the next connection would not be better.
async fn listen_for(connection: &mut MultiplexedConnection, channel: &str) -> Result<(), String> {
    match connection.subscribe(channel).await {
        Err(error) if is_forbidden(&error) => {
            tracing::warn!(
                "Redis does not let us hear {channel}, so pages learn late: {error}; allow it in the ACL"
            );
            Ok(())
        }
        Err(error) => Err(format!("it does not let us hear {channel}: {error}")),
        Ok(()) => Ok(()),
    }
}

/// Whether the ACL forbids it.
fn is_forbidden(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
}

fn text(value: Value) -> Option<String> {
    redis::from_redis_value(value).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use test_redis::{Options, Redis, Sentinels};

    use super::*;

    /// Why one try to connect comes to nothing; nothing where it does not.
    async fn tried(place: Place) -> Option<String> {
        let (_link, keeper) = Link::new(place, None, Replicas::new(0));
        keeper.connect().await.err()
    }

    #[tokio::test]
    async fn a_redis_without_hello_is_told_with_what_is_needed() {
        for more in ["rename-command HELLO \"\"", "rename-command HELLO OTHER"] {
            let more = vec![more.to_owned()];
            let redis = Redis::start_with(Options { more, ..Options::default() }).await;
            let why = tried(redis.url().parse().unwrap()).await.unwrap();
            assert!(why.contains("Redis 6.2 or later is needed"), "{why}");
        }
        assert_eq!(tried(Redis::start().await.url().parse().unwrap()).await, None);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for old in ["5.0.14", "6.0.16", "4.9", "6.1.999"] {
            assert!(is_too_old(old), "{old}");
        }
        for young in ["6.2.0", "6.10.1", "7.2.4", "10.0.0", "255.255.255", "unstable", "7"] {
            assert!(!is_too_old(young), "{young}");
        }
    }

    #[tokio::test]
    async fn sentinels_with_a_password_are_asked_with_it_and_the_lack_of_it_is_told() {
        let sentinels = Sentinels::start_with_password(0, "sesame").await;
        let place: Place = sentinels.url().parse().unwrap();
        let with = |password: &str| place.clone().with_sentinel_password(&password.into()).unwrap();
        assert_eq!(tried(with("sesame")).await, None);
        let without_any = Sentinels::start(0).await;
        let needless: Place = without_any.url().parse().unwrap();
        let needless = needless.with_sentinel_password(&"sesame".into()).unwrap();
        for place in [place.clone(), with("open-up"), needless] {
            let why = tried(place).await.unwrap();
            assert!(why.contains("GATEWAY_REDIS_SENTINEL_PASSWORD"), "{why}");
            assert!(!why.contains("open-up") && !why.contains("sesame"), "{why}");
        }
    }
}
