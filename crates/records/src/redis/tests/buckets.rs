//! What all processes together may take, and give back.

use test_redis::{PATIENCE, Redis as Server};
use tokio::time::{sleep, timeout};

use super::*;
use crate::moment::milliseconds;

#[tokio::test]
async fn a_clock_that_goes_back_costs_no_more_than_an_empty_bucket() {
    let redis = Server::start().await;
    let process = Process::start(&redis.url(), 0).await;
    let bucket = Bucket { name: "pace", most: 120, refill: Duration::from_millis(500), stay: 0 };
    let empty = Duration::from_mins(1);
    for stepped in [1, 61, 300, 10_800] {
        // What a clock that was ahead has left, as if it had gone back by so much since.
        let ahead = this_machines_clock() + empty + Duration::from_secs(stepped);
        let (stored, lives) = ((ahead.0 * 1000).to_string(), (stepped * 1000 + 60_000).to_string());
        redis.cli(&["SET", "test:pace", &stored, "PX", &lives]).await;
        match process.redis.take(&[bucket], None).await.unwrap() {
            Taken::Wait(wait) => assert!(wait <= bucket.refill, "{stepped} s: {wait:?}"),
            other => panic!("{stepped} s: {other:?}, where the bucket is empty"),
        }
        // After that wait there is one again, and the key lives no longer than the bucket takes to fill.
        let taking = async {
            while process.redis.take(&[bucket], None).await.unwrap() != Taken::Yes {
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
    let redis = Server::start().await;
    let process = Process::start(&redis.url(), 0).await;
    let bucket = |name| Bucket { name, most: 5, refill: Duration::from_secs(3600), stay: 0 };
    let count = |name| Count { name, most: 1_000, kept: Duration::from_secs(60) };
    let take = async || process.redis.take(&[bucket("b")], Some(count("c"))).await.unwrap();
    for _ in 0..5 {
        assert_eq!(take().await, Taken::Yes);
    }
    assert!(matches!(take().await, Taken::Wait(_)));
    for _ in 0..2 {
        process.redis.give_back(&[bucket("b")], Some(count("c"))).await.unwrap();
    }
    assert_eq!(redis.cli(&["GET", "test:c"]).await.trim(), "3");
    let told = process.redis.take_counted(&[bucket("other")], Some(count("c"))).await.unwrap();
    assert_eq!(told, (Taken::Yes, 4), "this one among it");
    let full = Some(Count { most: 4, ..count("c") });
    assert_eq!(process.redis.take_counted(&[bucket("other")], full).await.unwrap(), (Taken::Full, 4));
    process.redis.give_back(&[bucket("other")], Some(count("c"))).await.unwrap();
    let kept: u64 = redis.cli(&["PTTL", "test:c"]).await.trim().parse().unwrap();
    assert!((50_000..=60_000).contains(&kept), "{kept} ms");
    assert_eq!([take().await, take().await], [Taken::Yes, Taken::Yes]);
    assert!(matches!(take().await, Taken::Wait(_)));

    for _ in 0..9 {
        process.redis.give_back(&[bucket("b"), bucket("never")], Some(count("c"))).await.unwrap();
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
    let redis = Server::start().await;
    let process = Process::start(&redis.url(), 0).await;
    let bucket = |name, most, stay| Bucket { name, most, refill: Duration::from_secs(3600), stay };
    let take = async |from: &[Bucket<'_>]| process.redis.take(from, None).await.unwrap();
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

#[tokio::test]
async fn one_thing_is_taken_after_another_until_one_cannot_be_had() {
    let redis = Server::start().await;
    let process = Process::start(&redis.url(), 0).await;
    let bucket = |name, most| [Bucket { name, most, refill: Duration::from_secs(3600), stay: 0 }];
    let (admission, share) = (bucket("admission", 3), bucket("share", 1));
    let count = Some(Count { name: "count", most: 9, kept: Duration::from_secs(60) });
    let take = async || {
        let takes = [Take { from: &admission, count: None }, Take { from: &share, count }];
        process.redis.take_in_turn(&takes).await.unwrap()
    };
    assert_eq!(take().await, [(Taken::Yes, 0), (Taken::Yes, 1)]);
    // Whoever is admitted has been counted, although there is no share.
    for _ in 0..2 {
        assert!(matches!(take().await[..], [(Taken::Yes, 0), (Taken::Wait(_), 1)]));
    }
    assert!(matches!(take().await[..], [(Taken::Wait(_), 0)]), "and nobody asks for the share");
    assert_eq!(redis.cli(&["GET", "test:count"]).await.trim(), "1");
}
