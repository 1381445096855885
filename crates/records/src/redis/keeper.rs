//! Makes the connection to Redis, watches it, and makes it again.
//!
//! It looks each second, and whenever somebody doubts it, whether Redis answers and still is the master, and what time it is there. It hears what
//! is published on the channel that it was given, and says when there is a connection again, because what was published
//! meanwhile is lost.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, PushInfo, PushKind};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};

use super::clock::Clock;
use super::greeting::{Role, is_young_enough, listen_for, role, text, why_not};
use super::link::{COMMAND, Connections};
use super::replicas::{Durable, Replicas};
use super::url::RedisUrl;
use super::{Time, moment};
use crate::copies::Copies;

/// How long a command may take that stands behind one that waits for replicas, and one that has given up waiting.
const DURABLE: Duration = Duration::from_millis(1100);

/// Time to connect: TCP, TLS, and the first commands.
pub(super) const CONNECT: Duration = Duration::from_secs(1);

/// How often the keeper looks whether Redis is there, and whether it still is the master.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits between attempts to connect: doubling between these, each cut by up to a half.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// Reasons that are told of one outage.
const REASONS: usize = 8;

/// Published messages that wait to be heard.
const PUSHES: usize = 16 * 1024;

/// Somebody who hears what is published on one channel.
pub struct Subscription {
    /// The channel's name, behind the prefix of the keys.
    pub channel: String,
    /// What to do. It must not block.
    pub hear: Box<dyn Fn(Heard) + Send + Sync>,
}

impl Subscription {
    /// The same, with the channel's whole name.
    pub(super) fn under(self, prefix: &str) -> Self {
        Self { channel: format!("{prefix}{}", self.channel), ..self }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("channel", &self.channel).finish_non_exhaustive()
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

/// Makes and keeps the connections of a [`Redis`](crate::Redis).
#[derive(Debug)]
pub struct Keeper {
    url: RedisUrl,
    subscription: Option<Subscription>,
    connections: watch::Sender<Option<Connections>>,
    shared: Shared,
}

/// What the keeper shares with those who ask Redis.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) doubt: Arc<Notify>,
    pub(super) replicas: Replicas,
    pub(super) clock: Clock,
    pub(super) copies: Copies,
}

/// A connection that stands.
struct Session {
    connections: Connections,
    /// Where the Sentinels said that the master is.
    master: Option<(String, u16)>,
    pushes: mpsc::Receiver<PushInfo>,
}

impl Keeper {
    pub(super) fn new(
        url: RedisUrl,
        subscription: Option<Subscription>,
        connections: watch::Sender<Option<Connections>>,
        shared: Shared,
    ) -> Self {
        Self { url, subscription, connections, shared }
    }

    /// Connects, and connects again whenever that is needed, for as long as it is polled.
    pub async fn run(self) {
        let mut failures = 0_u32;
        let mut told: Vec<String> = Vec::new();
        loop {
            match self.connect().await {
                Ok(session) => {
                    tracing::info!(place = %self.url, "connected to Redis");
                    failures = 0;
                    told.clear();
                    let why = self.watch(session).await;
                    self.connections.send_replace(None);
                    self.shared.clock.forget();
                    tracing::warn!(place = %self.url, "the connection to Redis is lost: {why}; connecting again");
                }
                Err(why) => {
                    // One line for each reason in an outage, however long it is.
                    if told.len() < REASONS && !told.contains(&why) {
                        tracing::warn!(place = %self.url, "no connection to Redis: {why}; trying until there is one");
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
            let (mut server, mut master) = (ConnectionInfo::clone(&self.url.server), None);
            if let Some(sentinels) = &self.url.sentinels {
                let found = sentinels.master().await?;
                server = server.set_addr(sentinels.address(found.clone()));
                master = Some(found);
            }
            let (sender, pushes) = mpsc::channel(PUSHES);
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT))
                .set_response_timeout(Some(COMMAND))
                // A message that finds no room is lost, as a message during an outage is.
                .set_push_sender(move |push| sender.try_send(push).or(Ok::<(), ()>(())));
            let patient = config.clone().set_response_timeout(Some(DURABLE));
            let client = Client::open(server).map_err(|error| error.to_string())?;
            let connect = async |config| {
                let connecting = client.get_multiplexed_async_connection_with_config(config);
                connecting.await.map_err(|error| why_not(&error))
            };
            let mut each = connect(&config).await?;
            let durable = match self.shared.replicas.are_wanted() {
                true => Some(connect(&patient).await?),
                false => None,
            };
            // A Redis that still loads its data answers ROLE and SUBSCRIBE, but not PING.
            redis::cmd("PING").exec_async(&mut each).await.map_err(|error| error.to_string())?;
            is_young_enough(&mut each).await?;
            let connections = Connections { each, durable: durable.map(Durable::new).map(Arc::new) };
            if !self.check(&connections, master.as_ref()).await? {
                tracing::warn!(
                    "Redis does not tell us its role, so a demotion may go unnoticed; allow it in the ACL"
                );
            }
            if let Some(subscription) = &self.subscription {
                listen_for(&mut connections.each.clone(), &subscription.channel).await?;
            }
            self.ask_time(&connections.each).await;
            Ok(Session { connections, master, pushes })
        };
        timeout(2 * CONNECT, connecting).await.unwrap_or_else(|_| Err("it does not answer".to_owned()))
    }

    /// Watches a connection until it is lost, and says why.
    async fn watch(&self, session: Session) -> String {
        let Session { connections, master, pushes } = session;
        // Another process's change may have been published meanwhile.
        self.shared.copies.outdate_all();
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
                () = self.shared.doubt.notified() => {}
                () = sleep(LOOK_EVERY) => {}
            }
            if let Err(why) = self.check(&connections, master.as_ref()).await {
                return why;
            }
            self.ask_time(&connections.each).await;
        }
    }

    /// Asks for the time. Where there is no answer, that is noticed otherwise, and what was known is soon not believed.
    async fn ask_time(&self, connection: &MultiplexedConnection) {
        let time = redis::cmd("TIME");
        let asked = timeout(COMMAND, time.query_async::<Time>(&mut connection.clone())).await;
        if let Ok(Ok(time)) = asked {
            self.shared.clock.is_told(moment(time));
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
        if let (Some(sentinels), Some(master)) = (&self.url.sentinels, master) {
            if let Ok(now) = sentinels.master().await
                && now != *master
            {
                return Err(format!("{}:{} is the master now", now.0, now.1));
            }
            // A master that is cut off from the Sentinels does not know whether they have made another one.
            is_master = !self.shared.replicas.are_too_few(connected) || sentinels.agree_on(master).await;
        }
        self.shared.replicas.note(connected, is_master);
        Ok(role)
    }

    fn tell(&self, heard: Heard) {
        if let Some(subscription) = &self.subscription {
            (subscription.hear)(heard);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use test_redis::{Options, Redis, Sentinels};

    use super::*;
    use crate::redis::link::Link;

    /// Why one try to connect comes to nothing; nothing where it does not.
    async fn tried(url: RedisUrl) -> Option<String> {
        let (_link, keeper) = Link::new(url, None, Replicas::new(0), Copies::default());
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

    #[tokio::test]
    async fn sentinels_with_a_password_are_asked_with_it_and_the_lack_of_it_is_told() {
        let sentinels = Sentinels::start_with_password(0, "sesame").await;
        let url: RedisUrl = sentinels.url().parse().unwrap();
        let with = |password: &str| url.clone().with_sentinel_password(&password.into()).unwrap();
        assert_eq!(tried(with("sesame")).await, None);
        let without_any = Sentinels::start(0).await;
        let needless: RedisUrl = without_any.url().parse().unwrap();
        let needless = needless.with_sentinel_password(&"sesame".into()).unwrap();
        for url in [url.clone(), with("open-up"), needless] {
            let why = tried(url).await.unwrap();
            assert!(why.contains("GATEWAY_REDIS_SENTINEL_PASSWORD"), "{why}");
            assert!(!why.contains("open-up") && !why.contains("sesame"), "{why}");
        }
    }
}
