//! What only Redis can do to a login: be away, be slow, lose a wake-up, have a clock of its own.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use protocol::message::{Context, State, Status};
use protocol::{Notice, Scene};
use test_redis::{Options, PATIENCE, Redis, Sentinels};
use tokio::time::{sleep, timeout};

use super::{OnRedis, claim, find, scan};
use crate::codes::admission::{Addresses, NotAdmitted};
use crate::codes::{Budget, Free, NoQrCode, Purpose, Unscanned};
use crate::logins::StoreError;
use crate::logins::seats::Seat;
use crate::testing::in_memory::noon;

const TTL: Duration = Duration::from_secs(60);

/// Sends a notice until it is clear what became of it.
async fn until_clear(on: &OnRedis, notice: &Notice) -> Status {
    let asking = async {
        loop {
            let answer = on.gateway.tell(notice).await;
            if !matches!(answer.status, Status::Busy | Status::Unsure) {
                return answer.status;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, asking).await.expect("it gets clear")
}

async fn woken(seat: &Seat) {
    timeout(PATIENCE, seat.woken()).await.expect("the page is woken");
}

#[tokio::test]
async fn a_record_is_one_key_that_lives_as_long_as_it_is_needed() {
    let redis = Redis::start().await;
    let on = OnRedis::start(&redis.url(), 0).await;
    let (scene, _seat) = on.gateway.open(TTL).await;
    assert_eq!(redis.cli(&["KEYS", "*"]).await.trim(), format!("test:1:login:{scene}"));
    let left: u64 = redis.cli(&["PTTL", &format!("test:1:login:{scene}")]).await.trim().parse().unwrap();
    assert!((200_000..=240_000).contains(&left), "60 s and 180 s: {left}");
    assert_eq!(on.gateway.tell(&scan(scene, "p")).await.status, Status::Delivered);
    let left: u64 = redis.cli(&["PTTL", &format!("test:1:login:{scene}")]).await.trim().parse().unwrap();
    assert!((150_000..=180_000).contains(&left), "180 s after the end: {left}");
}

#[tokio::test]
async fn a_typed_code_is_one_key_that_outlives_its_login_whatever_comes() {
    let redis = Redis::start().await;
    let on = OnRedis::start(&redis.url(), 0).await;
    let (scene, _seat, code) = on.gateway.open_typed(TTL, Context::default()).await;
    let key = format!("test:1:typed:{code}");
    assert_eq!(redis.cli(&["GET", &key]).await.trim(), format!(r#"{{"scene":"{scene}"}}"#));
    let left: u64 = redis.cli(&["PTTL", &key]).await.trim().parse().unwrap();
    assert!((320_000..=360_000).contains(&left), "60 s, a claim's 120 s and 180 s: {left}");
    // What a newer version has added is kept, and in nobody's way.
    redis.cli(&["SET", &key, &format!(r#"{{"scene":"{scene}","later":1}}"#), "KEEPTTL"]).await;
    assert_eq!(on.gateway.tell(&find(&code)).await.scene, Some(scene));
    redis.cli(&["SET", &key, "rubbish"]).await;
    assert_eq!(on.gateway.tell(&find(&code)).await.status, Status::Busy);
}

#[tokio::test]
async fn gateways_that_share_a_redis_give_no_code_to_two_logins() {
    let redis = Redis::start().await;
    let (here, there) = (OnRedis::start(&redis.url(), 0).await, OnRedis::start(&redis.url(), 0).await);
    let both = [&here, &there];
    let draws = ["482913", "48291300", "482913000"].map(str::to_owned);
    let taken = join_all((0..20).map(async |n: usize| {
        let (scene, codes) = (Scene::random(), &both[n % 2].gateway.logins.typed);
        (scene, codes.take_first(draws.clone(), scene, None, TTL).await)
    }));
    let (given, refused): (Vec<_>, Vec<_>) = taken.await.into_iter().partition(|(_, code)| code.is_ok());
    assert!(refused.iter().all(|(_, code)| *code == Err(StoreError::Full)), "{refused:?}");
    let codes: HashSet<_> = given.iter().map(|(_, code)| code.clone().unwrap()).collect();
    assert_eq!((given.len(), codes), (3, HashSet::from(draws)));
    for (scene, code) in given {
        let found = there.gateway.logins.typed.find(&code.unwrap(), None).await;
        assert_eq!(found, Ok(Some(scene)), "nobody has written over it");
    }
}

#[tokio::test]
async fn without_redis_nothing_is_recorded_and_everybody_hears_so_at_once() {
    let mut redis = Redis::start().await;
    let on = OnRedis::start(&redis.url(), 0).await;
    let (scene, seat) = on.gateway.open(TTL).await;
    redis.stop().await;
    // The first who ask may still find the connection.
    let until_away = async {
        while on.gateway.tell(&claim(scene, "p")).await.status != Status::Busy {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, until_away).await.unwrap();
    let busy = on.gateway.tell(&claim(scene, "p")).await;
    assert_eq!((busy.status, busy.retry_in), (Status::Busy, Some(250)));
    assert!(matches!(on.gateway.logins.look(scene).await, Err(StoreError::Away(_))));
    woken(&seat).await; // An outage that lasts is told to the pages.

    redis.start_again_empty().await;
    woken(&seat).await; // So is its end.
    assert!(on.gateway.logins.look(scene).await.unwrap().is_none(), "it came back empty");
    assert_eq!(until_clear(&on, &claim(scene, "p")).await, Status::Unknown);
}

#[tokio::test]
async fn a_silent_redis_is_given_up_soon_and_used_again_when_it_wakes() {
    let redis = Redis::start().await;
    let (on, other) = (OnRedis::start(&redis.url(), 0).await, OnRedis::start(&redis.url(), 0).await);
    let (scene, _seat) = on.gateway.open(TTL).await;
    redis.freeze();
    let asked = Instant::now();
    let (by, by_another) = (scan(scene, "p"), scan(scene, "q"));
    let (answer, elsewhere) = tokio::join!(on.gateway.tell(&by), other.gateway.tell(&by_another));
    // The gateway that has written the record has sent what it becomes. The other could not even read it, so nothing can
    // have been recorded.
    assert_eq!((answer.status, elsewhere.status), (Status::Unsure, Status::Busy));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    redis.thaw();
    assert_eq!(until_clear(&on, &scan(scene, "p")).await, Status::Delivered);
}

#[tokio::test]
async fn a_wake_up_that_may_not_be_published_changes_no_answer_and_heals_on_the_next_connection() {
    let user = "gateway on >pw ~test:* +@all -publish -subscribe".to_owned();
    let redis = Redis::start_with(Options { users: vec![user], ..Options::default() }).await;
    let url = redis.url_as("gateway", "pw");
    let (here, there) = (OnRedis::start(&url, 0).await, OnRedis::start(&url, 0).await);
    let (scene, seat) = here.gateway.open(TTL).await;
    // The first connection has woken everybody already.
    while timeout(Duration::from_millis(200), seat.woken()).await.is_ok() {}
    assert_eq!(there.gateway.tell(&scan(scene, "p")).await.status, Status::Delivered);
    assert!(timeout(Duration::from_millis(300), seat.woken()).await.is_err(), "nobody could tell the page");
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    woken(&seat).await;
    let until_read = async {
        while here.gateway.logins.look(scene).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, until_read).await.unwrap();
    assert_eq!(here.gateway.look(scene).await.state, State::Granted);
}

#[tokio::test]
async fn an_end_counts_once_a_replica_has_it() {
    let master = Redis::start().await;
    let replica = Redis::start_replica(&master).await;
    let on = OnRedis::start(&master.url(), 1).await;
    let (scene, seat) = on.gateway.open(TTL).await;
    replica.freeze();
    let claimed = on.gateway.tell(&claim(scene, "p")).await.status;
    assert_eq!(claimed, Status::Delivered, "nobody is logged in by a claim");
    woken(&seat).await;
    for _ in 0..2 {
        let status = on.gateway.tell(&scan(scene, "p")).await.status;
        assert_eq!(status, Status::Unsure, "the replica does not say that it has it, also of a repeat");
    }
    woken(&seat).await;
    assert_eq!(on.gateway.look(scene).await.state, State::Granted, "the page is let in");
    assert_eq!(on.gateway.tell(&scan(scene, "q")).await.status, Status::Taken);
    replica.thaw();
    assert_eq!(until_clear(&on, &scan(scene, "p")).await, Status::Delivered);
}

#[tokio::test]
async fn a_recorded_end_survives_a_failover() {
    let mut sentinels = Sentinels::start(2).await;
    let on = OnRedis::start(&sentinels.url(), 1).await;
    let (scene, _seat) = on.gateway.open(TTL).await;
    assert_eq!(until_clear(&on, &scan(scene, "p")).await, Status::Delivered);
    let old = sentinels.kill_master().await;
    sentinels.until_failed_over(old).await;
    let again = until_clear(&on, &scan(scene, "p")).await;
    assert_eq!(again, Status::Delivered, "recorded, and recognised as a repeat");
    assert_eq!(until_clear(&on, &scan(scene, "q")).await, Status::Taken);
}

#[tokio::test]
async fn gateways_share_the_limits_on_new_logins() {
    let redis = Redis::start().await;
    let (here, there) = (OnRedis::start(&redis.url(), 0).await, OnRedis::start(&redis.url(), 0).await);
    let both =
        [&here, &there].map(|on| Addresses::new(10, Some(on.gateway.logins.redis().cloned().unwrap())));
    let from: IpAddr = "192.0.2.1".parse().unwrap();
    let asked = join_all((0..40).map(async |n: usize| both[n % 2].admit(from).await)).await;
    let admitted = asked.iter().filter(|admitted| admitted.is_ok()).count();
    // One more each 6 s, should the machine be slow.
    assert!((10..=12).contains(&admitted), "{admitted}");
    for refused in asked.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, NotAdmitted::Wait(wait) if wait <= Duration::from_secs(6)), "{refused:?}");
    }
    assert_eq!(both[0].admit("192.0.2.2".parse().unwrap()).await, Ok(()), "others are not touched");

    let both =
        [&here, &there].map(|on| Budget::new(30, Some(on.gateway.logins.redis().cloned().unwrap()), noon));
    let spent = join_all((0..80).map(async |n: usize| both[n % 2].spend(Purpose::Page).await)).await;
    assert_eq!(spent.iter().filter(|spent| spent.is_ok()).count(), 30);
    assert!(spent.iter().any(|spent| matches!(spent, Err(NoQrCode::Spent(_)))));
    let ahead = both[1].spend(Purpose::Ahead).await;
    assert!(matches!(ahead, Err(NoQrCode::Spent(_))), "{ahead:?}");
    // One was never made.
    both[1].refund(spent.into_iter().find_map(Result::ok).unwrap()).await;
    assert!(both[0].spend(Purpose::Page).await.is_ok());
    assert!(matches!(both[0].spend(Purpose::Page).await, Err(NoQrCode::Spent(_))));
}

#[tokio::test]
async fn gateways_share_what_addresses_leave_unscanned_and_where_somebody_has_scanned() {
    let redis = Redis::start().await;
    let (here, there) = (OnRedis::start(&redis.url(), 0).await, OnRedis::start(&redis.url(), 0).await);
    let both = [&here, &there]
        .map(|on| Unscanned::new(1_000, 120, Some(on.gateway.logins.redis().cloned().unwrap())));
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let taken = async |from: &str| {
        let asked = join_all((0..30).map(async |n: usize| both[n % 2].take(address(from)).await)).await;
        let refused = asked.iter().filter(|asked| matches!(asked, Err(NoQrCode::Unscanned(_)))).count();
        assert_eq!(asked.iter().filter(|asked| asked.is_ok()).count() + refused, 30);
        30 - refused
    };
    for n in 1..=4 {
        assert_eq!(taken(&format!("192.0.2.{n}")).await, 20);
    }
    assert_eq!(taken("192.0.2.5").await, 0, "the network has had four");
    assert_eq!(taken("192.0.3.1").await, 20, "others are not touched");

    let [here, there] = &both;
    assert!(!there.has_scanned(address("192.0.2.1")).await);
    for _ in 0..2 {
        here.note_scan(address("192.0.2.1")).await;
    }
    assert_eq!(taken("192.0.2.1").await, 2);
    assert!(there.has_scanned(address("192.0.2.200")).await, "the whole network");
    assert!(!there.has_scanned(address("192.0.3.1")).await);
}

#[tokio::test]
async fn an_address_that_wants_all_codes_of_all_gateways_gets_its_share_and_leaves_the_others() {
    let redis = Redis::start().await;
    let (here, there) = (OnRedis::start(&redis.url(), 0).await, OnRedis::start(&redis.url(), 0).await);
    let both = [&here, &there]
        .map(|on| Unscanned::new(9_000, 120, Some(on.gateway.logins.redis().cloned().unwrap())));
    let taken = async |from: &str, times: usize| {
        let from: IpAddr = from.parse().unwrap();
        let mut taken = 0;
        // A hundred at a time, so that a slow machine answers each in time.
        for _ in 0..times.div_ceil(100) {
            for asked in join_all((0..100).map(async |n: usize| both[n % 2].take(from).await)).await {
                match asked {
                    Ok(_) => taken += 1,
                    Err(NoQrCode::Unscanned(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
        taken
    };
    // 2 % of the day, and one more each eight minutes.
    let shown = taken("192.0.2.1", 9_000).await;
    assert!((180..=182).contains(&shown), "{shown}");
    assert_eq!(taken("198.51.100.1", 100).await, 100);
}

#[tokio::test]
async fn no_more_than_the_pace_is_taken_however_many_ask() {
    let redis = Redis::start().await;
    let on = OnRedis::start(&redis.url(), 0).await;
    let budget = Arc::new(Budget::new(8_000, Some(on.gateway.logins.redis().cloned().unwrap()), noon));
    let (mut granted, mut rushed) = (0, 0);
    // A hundred at a time, so that a slow machine answers each in time.
    for _ in 0..15 {
        for spent in join_all((0..100).map(|_| budget.spend(Purpose::Page))).await {
            match spent {
                Ok(_) => granted += 1,
                Err(NoQrCode::Rush(_)) => rushed += 1,
                Err(other) => panic!("{other}"),
            }
        }
    }
    // An eighth at once, and one more each 3.6 s.
    assert!((1_000..=1_010).contains(&granted), "{granted} and {rushed}");
}

#[tokio::test]
async fn logins_that_cost_no_call_are_counted_where_all_gateways_do() {
    let redis = Redis::start().await;
    let on = OnRedis::start(&redis.url(), 0).await;
    let free = Free::new(on.gateway.logins.redis().cloned());
    free.take().await.unwrap();
    assert_eq!(redis.cli(&["KEYS", "*"]).await.trim(), "test:1:free:pace");
    redis.freeze();
    assert!(matches!(free.take().await, Err(NoQrCode::Uncounted(_))));
    redis.thaw();
}

#[tokio::test]
async fn a_record_that_is_none_of_ours_is_left_alone() {
    let redis = Redis::start().await;
    let on = OnRedis::start(&redis.url(), 0).await;
    let scene = Scene::random();
    let key = format!("test:1:login:{scene}");
    redis.cli(&["SET", &key, "{\"opened\":"]).await;
    assert_eq!(on.gateway.tell(&scan(scene, "p")).await.status, Status::Busy);
    assert!(on.gateway.logins.look(scene).await.is_err());
    assert_eq!(redis.cli(&["GET", &key]).await.trim(), "{\"opened\":");
}
