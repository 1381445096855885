//! Records in a real Redis.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use futures_util::future::join_all;
use test_redis::{Options, PATIENCE, Redis, Sentinels};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;

/// Records of one process, connected.
struct Process {
    records: Records,
    keeping: JoinHandle<()>,
}

impl Process {
    async fn start(url: &str, replicas: u32) -> Self {
        let (records, keeper) = Records::new(url.parse().unwrap(), "test:".to_owned(), replicas, None);
        let keeping = tokio::spawn(keeper.run());
        timeout(PATIENCE, records.is_connected(true)).await.unwrap();
        Self { records, keeping }
    }

    async fn read(&self, name: &str) -> Option<String> {
        let reading = async {
            loop {
                match self.records.read(name).await {
                    Ok(found) => return found.record,
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
async fn connections(redis: &Redis) -> u32 {
    let calls = redis.cli(&["INFO", "commandstats"]).await;
    let hello = calls.lines().find_map(|line| line.strip_prefix("cmdstat_hello:calls="));
    hello.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

/// Waits until somebody has connected to it twice more. One who gets so far says hello once more, for the version.
async fn until_tried_twice(redis: &Redis) {
    let before = connections(redis).await;
    while connections(redis).await < before + 4 {
        sleep(Duration::from_millis(20)).await;
    }
}

fn this_machines_clock() -> Moment {
    Moment(milliseconds(SystemTime::UNIX_EPOCH.elapsed().unwrap()))
}

fn write(to: impl Into<String>, now: Moment) -> Write {
    let forget_at = now + Duration::from_secs(60);
    Write { to: to.into(), forget_at, only_before: None, tell: None, durably: false }
}

#[tokio::test]
async fn of_those_who_change_a_record_at_once_each_sees_what_the_one_before_made() {
    let redis = Redis::start().await;
    let both = [Process::start(&redis.url(), 0).await, Process::start(&redis.url(), 0).await];
    let add = |found: Option<&str>, now| {
        let sum = found.map_or(0, |text| text.parse::<u32>().unwrap()) + 1;
        Ok(Step::Write(write(sum.to_string(), now), sum))
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
    let redis = Redis::start().await;
    let process = Process::start(&redis.url(), 0).await;
    for (lives, is_late) in [(Duration::from_secs(1), true), (Duration::from_secs(3600), false)] {
        process.records.update("login", |_, now| Ok(Step::Write(write("waiting", now), ()))).await.unwrap();
        let mut only_before = None;
        // Redis stops between the reading and the writing.
        let failure = process
            .records
            .update("login", |found, now| {
                assert_eq!(found, Some("waiting"));
                redis.freeze();
                only_before = Some(now + lives);
                Ok(Step::Write(Write { only_before, ..write("granted", now) }, ()))
            })
            .await
            .unwrap_err();
        assert!(matches!(failure, Failure::Unknown(_)), "{failure}");
        // Thawed just when the keeper gives up, it could still lose what comes next.
        timeout(PATIENCE, process.records.is_connected(false)).await.unwrap();
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

/// Changes a record so that it must be durable.
async fn record(process: &Process, name: &str) -> Result<(), Failure> {
    let durably = |now| Write { durably: true, ..write("recorded", now) };
    process.records.update(name, |_, now| Ok(Step::Write(durably(now), ()))).await
}

async fn until_recorded(process: &Process, name: &str) {
    let recording = async {
        while record(process, name).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, recording).await.unwrap();
}

/// Waits until the master is known to have too few replicas, or enough again.
async fn until_short(process: &Process, short: bool) {
    let knowing = async {
        while process.records.replicas().shortage().is_some() != short {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, knowing).await.unwrap();
}

#[tokio::test]
async fn a_durable_change_waits_for_a_silent_replica_and_a_repeat_does_so_too() {
    let master = Redis::start().await;
    let replica = Redis::start_replica(&master).await;
    let process = Process::start(&master.url(), 1).await;
    until_recorded(&process, "login").await;
    replica.freeze();
    for _ in 0..2 {
        let failure = record(&process, "login").await.unwrap_err();
        assert!(failure.to_string().contains("0 of 1"), "{failure}");
        assert!(matches!(failure, Failure::Unknown(_)));
        assert_eq!(process.read("login").await.as_deref(), Some("recorded"));
    }
    replica.thaw();
    until_recorded(&process, "other").await;
    assert_eq!(replica.cli(&["GET", "test:other"]).await.trim(), "recorded");
}

#[tokio::test]
async fn of_a_master_without_its_replicas_that_is_told_and_changes_go_on() {
    let master = Redis::start().await;
    let process = Process::start(&master.url(), 2).await;
    for _ in 0..2 {
        record(&process, "login").await.unwrap();
    }
    let shortage = process.records.replicas().shortage().unwrap();
    assert!(shortage.contains("0 of the 2 replicas") && shortage.contains("go on"), "{shortage}");

    let first = Redis::start_replica(&master).await;
    until_recorded(&process, "one").await;
    let knowing = async {
        while !process.records.replicas().shortage().is_some_and(|words| words.contains("1 of the 2")) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, knowing).await.unwrap();
    // As many as there are must have it.
    first.freeze();
    let failure = record(&process, "login").await.unwrap_err();
    assert!(failure.to_string().contains("0 of 1"), "{failure}");
    first.thaw();
    let mut second = Redis::start_replica(&master).await;
    until_short(&process, false).await;
    until_recorded(&process, "both").await;
    assert_eq!(second.cli(&["GET", "test:both"]).await.trim(), "recorded");
    second.kill();
    until_recorded(&process, "login").await;
    until_short(&process, true).await;
}

#[tokio::test]
async fn a_silent_replica_holds_up_nobody_and_costs_no_connection() {
    let master = Redis::start().await;
    let replica = Redis::start_replica(&master).await;
    let process = Process::start(&master.url(), 1).await;
    replica.freeze();
    let before = connections(&master).await;
    // More than could wait one after another.
    let names: Vec<_> = (0..50).map(|n| format!("login{n}")).collect();
    let recording = join_all(names.iter().map(|name| record(&process, name)));
    let recorded = timeout(Duration::from_secs(10), recording).await.expect("nobody waits for all others");
    for failure in recorded.into_iter().map(Result::unwrap_err) {
        assert!(failure.to_string().contains("0 of 1"), "each is written: {failure}");
    }
    // Longer than two looks of the keeper.
    for _ in 0..5 {
        sleep(Duration::from_millis(500)).await;
        assert!(matches!(record(&process, "login0").await, Err(Failure::Unknown(_))));
    }
    assert_eq!(connections(&master).await, before);
}

#[tokio::test]
async fn where_most_sentinels_are_gone_a_master_without_replicas_confirms_nothing() {
    let mut sentinels = Sentinels::start(1).await;
    let process = Process::start(&sentinels.url(), 1).await;
    until_recorded(&process, "login").await;
    let master = sentinels.master_port().await;
    sentinels.replica(master).kill();
    until_short(&process, true).await;
    record(&process, "login").await.unwrap();
    sentinels.kill_sentinels(2);
    let refusing = async {
        while record(&process, "login").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, refusing).await.unwrap();
    let shortage = process.records.replicas().shortage().unwrap();
    assert!(shortage.contains("Sentinels do not name it"), "{shortage}");
}

#[tokio::test]
async fn what_is_written_is_not_denied_when_the_wait_for_replicas_fails() {
    let users = vec!["writer on >pw ~* &* +@all -wait".to_owned()];
    let redis = Redis::start_with(Options { users, ..Options::default() }).await;
    let _replica = Redis::start_replica(&redis).await;
    let process = Process::start(&redis.url_as("writer", "pw"), 1).await;
    let failed = record(&process, "login").await;
    assert!(matches!(failed, Err(Failure::Unknown(_))), "{failed:?}");
    assert_eq!(process.read("login").await.as_deref(), Some("recorded"));
}

#[tokio::test]
async fn a_full_redis_refuses_and_has_changed_nothing() {
    let redis = Redis::start().await;
    let process = Process::start(&redis.url(), 0).await;
    process.records.update("login", |_, now| Ok(Step::Write(write("waiting", now), ()))).await.unwrap();
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let refused = process.records.update("login", |_, now| Ok(Step::Write(write("granted", now), ()))).await;
    assert!(matches!(refused, Err(Failure::NotDone(_))), "{refused:?}");
    assert_eq!(process.read("login").await.as_deref(), Some("waiting"));
}

#[tokio::test]
async fn without_a_connection_a_call_fails_at_once() {
    let redis = Redis::start().await;
    let (records, _keeper) = Records::new(redis.url().parse().unwrap(), String::new(), 0, None);
    let called = AtomicU32::new(0);
    let failure = records
        .update("login", |_, now| {
            called.fetch_add(1, Ordering::Relaxed);
            Ok(Step::Write(write("x", now), ()))
        })
        .await
        .unwrap_err();
    assert!(matches!(failure, Failure::NotDone(_)));
    assert_eq!(called.into_inner(), 0);
}

#[tokio::test]
async fn what_is_published_is_heard_also_after_the_connection_was_lost() {
    let mut redis = Redis::start().await;
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let ears = Ears {
        channel: "test:here".to_owned(),
        hear: Box::new({
            let heard = Arc::clone(&heard);
            move |what| heard.lock().unwrap().push(what)
        }),
    };
    let (records, keeper) = Records::new(redis.url().parse().unwrap(), "test:".to_owned(), 0, Some(ears));
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
    let tell = Some(("test:here".to_owned(), "scene".to_owned()));
    records
        .update("login", |_, now| Ok(Step::Write(Write { tell: tell.clone(), ..write("x", now) }, ())))
        .await
        .unwrap();
    until_heard(&[Heard::Connected, message()]).await;
    redis.stop().await;
    timeout(PATIENCE, records.is_connected(false)).await.unwrap();
    redis.start_again().await;
    until_heard(&[Heard::Connected, message(), Heard::Connected]).await;
    redis.cli(&["PUBLISH", "test:here", "scene"]).await;
    until_heard(&[Heard::Connected, message(), Heard::Connected, message()]).await;
    keeping.abort();
}

#[tokio::test]
async fn a_password_is_needed_where_there_is_one() {
    let redis =
        Redis::start_with(Options { password: Some("hunter2".to_owned()), ..Options::default() }).await;
    let bare = format!("redis://127.0.0.1:{}", redis.port());
    let (records, keeper) = Records::new(bare.parse().unwrap(), String::new(), 0, None);
    let keeping = tokio::spawn(keeper.run());
    assert!(timeout(Duration::from_millis(500), records.is_connected(true)).await.is_err());
    keeping.abort();
    let place = Place::of(&bare, Some(&"hunter2".into())).unwrap();
    let (records, keeper) = Records::new(place, String::new(), 0, None);
    let keeping = tokio::spawn(keeper.run());
    timeout(PATIENCE, records.is_connected(true)).await.unwrap();
    keeping.abort();
}

#[tokio::test]
async fn a_master_that_becomes_a_replica_is_not_used_until_it_is_the_master_again() {
    let (redis, other) = (Redis::start().await, Redis::start().await);
    let process = Process::start(&redis.url(), 0).await;
    let change = || process.records.update("login", |_, now| Ok(Step::Write(write("recorded", now), ())));
    change().await.unwrap();
    redis.cli(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]).await;
    // Nobody asks for anything: it is noticed all the same.
    timeout(PATIENCE, process.records.is_connected(false)).await.unwrap();
    tokio::select! {
        biased;
        () = process.records.is_connected(true) => panic!("connected to a replica"),
        tried = timeout(PATIENCE, until_tried_twice(&redis)) => tried.unwrap(),
    }
    let refused = change().await;
    assert!(matches!(refused, Err(Failure::NotDone(_))), "{refused:?}");
    redis.cli(&["REPLICAOF", "NO", "ONE"]).await;
    timeout(PATIENCE, process.records.is_connected(true)).await.unwrap();
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
        let redis = Redis::start_with(Options { users, more, ..Options::default() }).await;
        let ears = Ears { channel: "test:here".to_owned(), hear: Box::new(|_| {}) };
        let place = redis.url_as("gateway", "pw").parse().unwrap();
        let (records, keeper) = Records::new(place, "test:".to_owned(), 0, Some(ears));
        let keeping = tokio::spawn(keeper.run());
        let connected = tokio::select! {
            biased;
            () = records.is_connected(true) => true,
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
    let mut redis = Redis::start_with(Options { more, ..Options::default() }).await;
    let process = Process::start(&redis.url(), 0).await;
    let fill = "for n = 1, 60 do redis.call('SET', 'test:' .. n, string.rep('x', 2048)) end";
    redis.cli(&["EVAL", fill, "0"]).await;
    redis.stop().await;
    timeout(PATIENCE, process.records.is_connected(false)).await.unwrap();
    let first = async {
        timeout(PATIENCE, process.records.is_connected(true)).await.unwrap();
        process.records.read("60").await
    };
    let (read, ()) = tokio::join!(first, redis.start_again());
    assert!(read.unwrap().record.is_some());
}

#[tokio::test]
async fn a_clock_that_goes_back_costs_no_more_than_an_empty_bucket() {
    let redis = Redis::start().await;
    let process = Process::start(&redis.url(), 0).await;
    let bucket = Bucket { name: "pace", most: 120, refill: Duration::from_millis(500), stay: 0 };
    let empty = Duration::from_mins(1);
    for stepped in [1, 61, 300, 10_800] {
        // What a clock that was ahead has left, as if it had gone back by so much since.
        let ahead = this_machines_clock() + empty + Duration::from_secs(stepped);
        let (stored, lives) = ((ahead.0 * 1000).to_string(), (stepped * 1000 + 60_000).to_string());
        redis.cli(&["SET", "test:pace", &stored, "PX", &lives]).await;
        match process.records.take(&[bucket], None).await.unwrap() {
            Taken::Wait(wait) => assert!(wait <= bucket.refill, "{stepped} s: {wait:?}"),
            other => panic!("{stepped} s: {other:?}, where the bucket is empty"),
        }
        // After that wait there is one again, and the key lives no longer than the bucket takes to fill.
        let taking = async {
            while process.records.take(&[bucket], None).await.unwrap() != Taken::Yes {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, taking).await.expect("one after half a second");
        let left: u64 = redis.cli(&["PTTL", "test:pace"]).await.trim().parse().unwrap();
        assert!(left <= milliseconds(empty), "{stepped} s: kept for {left} ms");
    }
}

#[tokio::test]
async fn what_is_given_back_may_be_taken_again_and_no_more() {
    let redis = Redis::start().await;
    let process = Process::start(&redis.url(), 0).await;
    let bucket = |name| Bucket { name, most: 5, refill: Duration::from_secs(3600), stay: 0 };
    let count = |name| Count { name, most: 1_000, kept: Duration::from_secs(60) };
    let take = async || process.records.take(&[bucket("b")], Some(count("c"))).await.unwrap();
    for _ in 0..5 {
        assert_eq!(take().await, Taken::Yes);
    }
    assert!(matches!(take().await, Taken::Wait(_)));
    for _ in 0..2 {
        process.records.give_back(&[bucket("b")], Some(count("c"))).await.unwrap();
    }
    assert_eq!(redis.cli(&["GET", "test:c"]).await.trim(), "3");
    let kept: u64 = redis.cli(&["PTTL", "test:c"]).await.trim().parse().unwrap();
    assert!((50_000..=60_000).contains(&kept), "{kept} ms");
    assert_eq!([take().await, take().await], [Taken::Yes, Taken::Yes]);
    assert!(matches!(take().await, Taken::Wait(_)));

    for _ in 0..9 {
        process.records.give_back(&[bucket("b"), bucket("never")], Some(count("c"))).await.unwrap();
    }
    assert_eq!(redis.cli(&["GET", "test:c"]).await.trim(), "0");
    assert_eq!(redis.cli(&["EXISTS", "test:never"]).await.trim(), "0");
    for _ in 0..5 {
        assert_eq!(take().await, Taken::Yes);
    }
    assert!(matches!(take().await, Taken::Wait(_)), "it holds no more than when it is full");
}

#[tokio::test]
async fn of_several_buckets_all_give_one_or_none_does_and_what_must_stay_stays() {
    let redis = Redis::start().await;
    let process = Process::start(&redis.url(), 0).await;
    let bucket = |name, most, stay| Bucket { name, most, refill: Duration::from_secs(3600), stay };
    let take = async |from: &[Bucket<'_>]| process.records.take(from, None).await.unwrap();
    let (host, network) = (bucket("host", 2, 0), bucket("network", 5, 0));
    for _ in 0..2 {
        assert_eq!(take(&[host, network]).await, Taken::Yes);
    }
    for _ in 0..9 {
        assert!(matches!(take(&[host, network]).await, Taken::Wait(_)));
    }
    // What the host could not have was not taken from its network: three are left, of which two must stay.
    assert_eq!(take(&[bucket("network", 5, 2)]).await, Taken::Yes);
    assert!(matches!(take(&[bucket("network", 5, 2)]).await, Taken::Wait(_)));
    assert_eq!([take(&[network]).await, take(&[network]).await], [Taken::Yes, Taken::Yes]);
    assert!(matches!(take(&[network]).await, Taken::Wait(_)));
}
