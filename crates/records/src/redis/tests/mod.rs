//! Records in a real Redis that is away, slow, full, or not the master.

#![allow(clippy::unwrap_used)]

mod buckets;
mod copies;
mod replicas;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use test_redis::{Options, PATIENCE, Redis as Server};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::contract::Plain;
use crate::{Records, Step};

/// Records of one process, connected. Their keys begin with `test:plain:`.
struct Process {
    redis: Redis,
    records: Records<Plain>,
    keeping: JoinHandle<()>,
}

/// A Redis under the prefix `test:`.
fn of(url: &str, replicas: u32, subscription: Option<Subscription>) -> (Redis, Keeper) {
    Redis::new(url.parse().unwrap(), "test:".to_owned(), replicas, subscription)
}

impl Process {
    async fn start(url: &str, replicas: u32) -> Self {
        let (redis, keeper) = of(url, replicas, None);
        let keeping = tokio::spawn(keeper.run());
        timeout(PATIENCE, redis.is_connected(true)).await.unwrap();
        Self { records: Records::in_redis("plain", &redis), redis, keeping }
    }

    async fn read(&self, name: &str) -> Option<String> {
        let reading = async {
            loop {
                match self.records.read(name).await {
                    Ok(found) => return found.record.map(|Plain(text)| text),
                    Err(_) => sleep(Duration::from_millis(5)).await,
                }
            }
        };
        timeout(PATIENCE, reading).await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

/// Connections that clients with RESP3 have made to this server; the operator's has none.
async fn connections(redis: &Server) -> u32 {
    let calls = redis.cli(&["INFO", "commandstats"]).await;
    let hello = calls.lines().find_map(|line| line.strip_prefix("cmdstat_hello:calls="));
    hello.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

/// Waits until somebody has connected to it twice more. One who gets so far says hello once more, for the version.
async fn until_tried_twice(redis: &Server) {
    let before = connections(redis).await;
    while connections(redis).await < before + 4 {
        sleep(Duration::from_millis(20)).await;
    }
}

fn this_machines_clock() -> Moment {
    Moment::by_this_machine()
}

fn write(to: impl Into<String>, now: Moment) -> Write<Plain> {
    Write::new(Plain(to.into()), now + Duration::from_secs(60))
}

#[tokio::test]
async fn of_those_who_change_a_record_at_once_each_sees_what_the_one_before_made() {
    let redis = Server::start().await;
    let both = [Process::start(&redis.url(), 0).await, Process::start(&redis.url(), 0).await];
    let add = |found: Option<&Plain>, now| {
        let sum = found.map_or(0, |Plain(text)| text.parse::<u32>().unwrap()) + 1;
        Step::Write(write(sum.to_string(), now), sum)
    };
    let adding = (0..200).map(async |n: usize| {
        // Whoever is outrun too often has certainly changed nothing.
        loop {
            match both[n % 2].records.update("sum", add).await {
                Ok(sum) => return sum,
                Err(Failure::NotDone(_)) => {}
                Err(failure) => panic!("{failure}"),
            }
        }
    });
    let mut sums = timeout(PATIENCE, join_all(adding)).await.unwrap();
    sums.sort_unstable();
    assert_eq!(sums, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_redis_does_late_is_not_done_after_its_moment() {
    let redis = Server::start().await;
    let process = Process::start(&redis.url(), 0).await;
    for (lives, is_late) in [(Duration::from_secs(1), true), (Duration::from_secs(3600), false)] {
        process.records.update("login", |_, now| Step::Write(write("waiting", now), ())).await.unwrap();
        let mut only_before = None;
        // Redis stops between the reading and the writing.
        let failure = process
            .records
            .update("login", |found, now| {
                assert_eq!(found, Some(&Plain("waiting".to_owned())));
                redis.freeze();
                only_before = Some(now + lives);
                Step::Write(Write { only_before, ..write("granted", now) }, ())
            })
            .await
            .unwrap_err();
        assert!(matches!(failure, Failure::Unknown(_)), "{failure}");
        // Thawed just when the keeper gives up, it could still lose what comes next.
        timeout(PATIENCE, process.redis.is_connected(false)).await.unwrap();
        // It stands still and cannot be asked; but its clock is this machine's.
        while is_late && this_machines_clock() < only_before.unwrap() {
            sleep(Duration::from_millis(5)).await;
        }
        redis.thaw();
        // The writing was before this reading in Redis's own queue, or on a connection that it has served by now.
        let read = process.read("login").await;
        assert_eq!(read.as_deref(), Some(if is_late { "waiting" } else { "granted" }));
    }
}

#[tokio::test]
async fn a_full_redis_refuses_and_has_changed_nothing() {
    let redis = Server::start().await;
    let process = Process::start(&redis.url(), 0).await;
    process.records.update("login", |_, now| Step::Write(write("waiting", now), ())).await.unwrap();
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let refused = process.records.update("login", |_, now| Step::Write(write("granted", now), ())).await;
    assert!(matches!(refused, Err(Failure::NotDone(_))), "{refused:?}");
    assert_eq!(process.read("login").await.as_deref(), Some("waiting"));
}

#[tokio::test]
async fn without_a_connection_a_call_fails_at_once() {
    let redis = Server::start().await;
    let (there, _keeper) = of(&redis.url(), 0, None);
    let records = Records::in_redis("plain", &there);
    let called = AtomicU32::new(0);
    let failure = records
        .update("login", |_, now| {
            called.fetch_add(1, Ordering::Relaxed);
            Step::Write(write("x", now), ())
        })
        .await
        .unwrap_err();
    assert!(matches!(failure, Failure::NotDone(_)));
    assert_eq!(called.into_inner(), 0);
}

#[tokio::test]
async fn what_is_published_is_heard_also_after_the_connection_was_lost() {
    let mut redis = Server::start().await;
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let subscription = Subscription {
        channel: "here".to_owned(),
        hear: Box::new({
            let heard = Arc::clone(&heard);
            move |what| heard.lock().unwrap().push(what)
        }),
    };
    let (there, keeper) = of(&redis.url(), 0, Some(subscription));
    let records = Records::in_redis("plain", &there);
    let keeping = tokio::spawn(keeper.run());
    let until_heard = async |what: &[Heard]| {
        let began = Instant::now();
        while *heard.lock().unwrap() != what {
            assert!(began.elapsed() < PATIENCE, "{:?}", heard.lock().unwrap());
            sleep(Duration::from_millis(5)).await;
        }
    };
    let message = || Heard::Message("scene".to_owned());
    until_heard(&[Heard::Connected]).await;
    let tell = Some(("here".to_owned(), "scene".to_owned()));
    records
        .update("login", |_, now| Step::Write(Write { tell: tell.clone(), ..write("x", now) }, ()))
        .await
        .unwrap();
    until_heard(&[Heard::Connected, message()]).await;
    redis.stop().await;
    timeout(PATIENCE, there.is_connected(false)).await.unwrap();
    redis.start_again().await;
    until_heard(&[Heard::Connected, message(), Heard::Connected]).await;
    redis.cli(&["PUBLISH", "test:here", "scene"]).await;
    until_heard(&[Heard::Connected, message(), Heard::Connected, message()]).await;
    keeping.abort();
}

#[tokio::test]
async fn a_password_is_needed_where_there_is_one() {
    let redis =
        Server::start_with(Options { password: Some("hunter2".to_owned()), ..Options::default() }).await;
    let bare = format!("redis://127.0.0.1:{}", redis.port());
    let (there, keeper) = of(&bare, 0, None);
    let keeping = tokio::spawn(keeper.run());
    assert!(timeout(Duration::from_millis(500), there.is_connected(true)).await.is_err());
    keeping.abort();
    let url = RedisUrl::of(&bare, Some(&"hunter2".into())).unwrap();
    let (there, keeper) = Redis::new(url, String::new(), 0, None);
    let keeping = tokio::spawn(keeper.run());
    timeout(PATIENCE, there.is_connected(true)).await.unwrap();
    keeping.abort();
}

#[tokio::test]
async fn a_master_that_becomes_a_replica_is_not_used_until_it_is_the_master_again() {
    let (redis, other) = (Server::start().await, Server::start().await);
    let process = Process::start(&redis.url(), 0).await;
    let change = || process.records.update("login", |_, now| Step::Write(write("recorded", now), ()));
    change().await.unwrap();
    redis.cli(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]).await;
    // Nobody asks for anything: it is noticed all the same.
    timeout(PATIENCE, process.redis.is_connected(false)).await.unwrap();
    tokio::select! {
        biased;
        () = process.redis.is_connected(true) => panic!("connected to a replica"),
        tried = timeout(PATIENCE, until_tried_twice(&redis)) => tried.unwrap(),
    }
    let refused = change().await;
    assert!(matches!(refused, Err(Failure::NotDone(_))), "{refused:?}");
    redis.cli(&["REPLICAOF", "NO", "ONE"]).await;
    timeout(PATIENCE, process.redis.is_connected(true)).await.unwrap();
    change().await.unwrap();
    assert_eq!(process.read("login").await.as_deref(), Some("recorded"));
}

#[tokio::test]
async fn who_may_not_ask_for_the_role_or_hear_is_connected_and_any_other_refusal_is_tried_again() {
    let user = |rights: &str| vec![format!("gateway on >pw ~* {rights}")];
    let lines = |line: &str| vec![line.to_owned()];
    let table = [
        ("all rights", user("&* +@all"), vec![], true),
        ("no role", user("&* +@all -role"), vec![], true),
        ("no subscribe", user("&* +@all -subscribe"), vec![], true),
        ("no channel", user("resetchannels +@all"), vec![], true),
        ("no such subscribe", user("&* +@all"), lines("rename-command SUBSCRIBE \"\""), false),
        ("no such role", user("&* +@all"), lines("rename-command ROLE \"\""), false),
    ];
    let rows = table.into_iter().map(|(row, users, more, connects)| async move {
        let redis = Server::start_with(Options { users, more, ..Options::default() }).await;
        let subscription = Subscription { channel: "here".to_owned(), hear: Box::new(|_| {}) };
        let (there, keeper) = of(&redis.url_as("gateway", "pw"), 0, Some(subscription));
        let keeping = tokio::spawn(keeper.run());
        let connected = tokio::select! {
            biased;
            () = there.is_connected(true) => true,
            // One that stands is not made again.
            tried = timeout(PATIENCE, until_tried_twice(&redis)) => {
                tried.expect(row);
                false
            }
        };
        assert_eq!(connected, connects, "{row}");
        keeping.abort();
    });
    join_all(rows).await;
}

#[tokio::test]
async fn a_redis_that_still_loads_its_data_is_not_connected_to() {
    // It loads for three seconds or more, and answers meanwhile.
    let more = ["key-load-delay 50000", "rdbcompression no", "loading-process-events-interval-bytes 1024"];
    let more = more.map(str::to_owned).to_vec();
    let mut redis = Server::start_with(Options { more, ..Options::default() }).await;
    let process = Process::start(&redis.url(), 0).await;
    let fill = "for n = 1, 60 do redis.call('SET', 'test:plain:' .. n, string.rep('x', 2048)) end";
    redis.cli(&["EVAL", fill, "0"]).await;
    redis.stop().await;
    timeout(PATIENCE, process.redis.is_connected(false)).await.unwrap();
    let first = async {
        timeout(PATIENCE, process.redis.is_connected(true)).await.unwrap();
        process.records.read("60").await
    };
    let (read, ()) = tokio::join!(first, redis.start_again());
    assert!(read.unwrap().record.is_some());
}
