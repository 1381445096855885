//! What the store promises, tried in SQLite and in a real Redis.

#![allow(clippy::unwrap_used)]

mod sqlite;

use std::path::Path;

use futures_util::future::join_all;
use protocol::Scene;
use server::clock;
use test_redis::{PATIENCE, Redis};
use tokio::time::{Duration, sleep, timeout};

use super::{Memory, Recorded, Scan, Store, Way};

pub(crate) fn scan(openid: &str, created_at: i64) -> Scan {
    let openid = wechat::Person::new(openid);
    Scan { scene: Scene::random(), openid, first: true, created_at, way: Way::Scan }
}

/// Runs a test on each store, as two services see it.
pub(crate) async fn on_each_store(test: impl AsyncFn(&Store, &Store)) {
    let sqlite = Store::in_sqlite(Path::new(":memory:")).unwrap();
    test(&sqlite, &sqlite).await;

    let redis = Redis::start().await;
    let ((one, keep_one), (other, keep_other)) = (
        Store::in_redis(redis.url().parse().unwrap(), "test:", 0),
        Store::in_redis(redis.url().parse().unwrap(), "test:", 0),
    );
    let keeping = [tokio::spawn(keep_one.run()), tokio::spawn(keep_other.run())];
    let until_reached = async {
        for store in [&one, &other] {
            while store.recall(&scan("a", 1)).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        }
    };
    timeout(PATIENCE, until_reached).await.unwrap();
    test(&one, &other).await;
    for task in keeping {
        task.abort();
    }
}

#[tokio::test]
async fn a_scene_is_counted_once_and_its_words_stay() {
    on_each_store(async |here, there| {
        let one = scan("a", 100);
        assert_eq!(here.recall(&one).await.unwrap(), Memory::Nothing);
        here.attempt(&one).await.unwrap();
        assert_eq!(there.recall(&one).await.unwrap(), Memory::Attempted);
        let first = there.record(&one, Some("阿狸"), "zh-CN").await.unwrap();
        assert_eq!(
            first,
            Recorded {
                first: true,
                nickname: Some("阿狸".to_owned()),
                count: 1,
                language: Some("zh-CN".to_owned())
            }
        );
        assert_eq!(here.record(&one, None, "zh-CN").await.unwrap(), first, "a repeat");
        here.attempt(&one).await.unwrap();
        assert_eq!(here.recall(&one).await.unwrap(), Memory::Recorded(first));
        assert_eq!(there.record(&scan("a", 101), None, "zh-CN").await.unwrap().count, 2);
        assert_eq!(here.record(&scan("b", 101), None, "zh-CN").await.unwrap().count, 1, "another person");
    })
    .await;
}

#[tokio::test]
async fn a_signature_comes_with_one_body_wherever_it_comes() {
    on_each_store(async |here, there| {
        let until = clock::unix_now() + 600;
        for store in [here, there, here] {
            assert!(store.admit("s", "one", until).await.unwrap(), "a repeat is a repeat");
            assert!(!store.admit("s", "two", until).await.unwrap());
            assert!(store.admit("t", "two", until).await.unwrap());
        }
        // Two bodies at once: one of them is first.
        let both = join_all([here.admit("u", "one", until), there.admit("u", "two", until)]).await;
        assert_eq!(both.into_iter().filter(|admitted| *admitted == Ok(true)).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn who_unfollows_is_forgotten_but_not_by_a_late_repeat() {
    on_each_store(async |here, there| {
        let (before, after) = (scan("a", 100), scan("a", 300));
        here.record(&before, None, "zh-CN").await.unwrap();
        there.forget(&wechat::Person::new("a"), 200).await.unwrap();
        assert_eq!(here.recall(&before).await.unwrap(), Memory::Nothing);
        assert_eq!(here.record(&after, None, "zh-CN").await.unwrap().count, 1, "counted anew");
        there.forget(&wechat::Person::new("a"), 200).await.unwrap();
        assert_eq!(
            here.record(&scan("a", 301), None, "zh-CN").await.unwrap().count,
            2,
            "the unfollow was old"
        );
        there.forget(&wechat::Person::new("nobody"), 200).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn who_logs_in_ten_times_at_once_is_counted_ten_times_and_each_repeat_once() {
    on_each_store(async |here, there| {
        let scans: Vec<Scan> = (0..10).map(|at| scan("a", at)).collect();
        // Each of them twice, at both services.
        let told = join_all(scans.iter().chain(&scans).enumerate().map(async |(turn, scan)| {
            let store = if turn < scans.len() { here } else { there };
            (scan.created_at, store.record(scan, None, "zh-CN").await.unwrap().count)
        }))
        .await;
        let mut counts: Vec<u32> = told.iter().map(|(_, count)| *count).collect();
        counts.sort_unstable();
        assert_eq!(counts, (1..=10).flat_map(|count| [count, count]).collect::<Vec<_>>(), "{told:?}");
        for (at, count) in &told {
            assert!(told.iter().all(|(other, counted)| (other == at) == (counted == count)), "{told:?}");
        }
    })
    .await;
}
