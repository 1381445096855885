//! What [`Records`] promise, tried with each store: memory, SQLite, and a real Redis.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use test_redis::{PATIENCE, Redis as Server};
use tokio::time::{sleep, timeout};

use crate::{AsText, Failure, Kept, Moment, Records, Redis, Sqlite, Step, Write};

/// A record whose text is what it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plain(pub String);

impl AsText for Plain {
    fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        Ok(Self(text.to_owned()))
    }

    fn to_text(&self) -> Result<String, serde_json::Error> {
        Ok(self.0.clone())
    }
}

/// A record with more than one field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Sum {
    sum: u32,
}

const MINUTE: Duration = Duration::from_secs(60);

fn add(found: Option<&Kept<Sum>>, now: Moment) -> Step<Kept<Sum>, u32> {
    let mut after = found.cloned().unwrap_or_default();
    after.sum += 1;
    let sum = after.sum;
    Step::Write(Write::new(after, now + MINUTE), sum)
}

/// Runs a test on each store, as two processes see it.
async fn on_each_store(test: impl AsyncFn(&Records<Kept<Sum>>, &Records<Kept<Sum>>)) {
    let memory = Records::in_memory("sum", 100);
    test(&memory, &memory).await;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.db");
    let [one, other] = [(); 2].map(|()| Records::in_sqlite("sum", &Sqlite::open(&path, "").unwrap()));
    test(&one, &other).await;

    let redis = Server::start().await;
    let [(one, keep_one), (other, keep_other)] =
        [(); 2].map(|()| Redis::new(redis.url().parse().unwrap(), "test:".to_owned(), 0, None));
    let keeping = [tokio::spawn(keep_one.run()), tokio::spawn(keep_other.run())];
    timeout(PATIENCE, async { tokio::join!(one.is_connected(true), other.is_connected(true)) })
        .await
        .unwrap();
    test(&Records::in_redis("sum", &one), &Records::in_redis("sum", &other)).await;
    for task in keeping {
        task.abort();
    }
}

#[tokio::test]
async fn of_those_who_change_a_record_at_once_each_sees_what_the_one_before_made() {
    on_each_store(async |here, there| {
        let adding = (0..50).map(async |n: usize| {
            let records = if n.is_multiple_of(2) { here } else { there };
            // Whoever is outrun too often has certainly changed nothing.
            loop {
                match records.update("a", add).await {
                    Ok(sum) => return sum,
                    Err(Failure::NotDone(_)) => {}
                    Err(failure) => panic!("{failure}"),
                }
            }
        });
        let mut sums = timeout(PATIENCE, join_all(adding)).await.unwrap();
        sums.sort_unstable();
        assert_eq!(sums, (1..=50).collect::<Vec<_>>());
        assert_eq!(there.read("a").await.unwrap().record.unwrap().sum, 50);
        assert!(here.read("b").await.unwrap().record.is_none(), "another record");
    })
    .await;
}

#[tokio::test]
async fn a_rule_may_leave_a_record_as_it_is() {
    on_each_store(async |here, there| {
        here.update("a", add).await.unwrap();
        let kept = there.update("a", |found, _| Step::Keep(found.map(|sum| sum.sum)));
        assert_eq!(kept.await, Ok(Some(1)));
        assert_eq!(here.update("b", |found, _| Step::Keep(found.is_none())).await, Ok(true));
        assert!(there.read("b").await.unwrap().record.is_none());
    })
    .await;
}

#[tokio::test]
async fn what_is_put_stands_whatever_was_there_and_whoever_left_it_alone_says_what_it_is() {
    on_each_store(async |here, there| {
        here.update("a", add).await.unwrap();
        there.put("a", |now| Write::new(Kept::from(Sum { sum: 7 }), now + MINUTE)).await.unwrap();
        // Here it was 1 last.
        let kept = here.update("a", |found, _| Step::Keep(found.map(|sum| sum.sum)));
        assert_eq!(kept.await, Ok(Some(7)));
        assert_eq!(here.update("a", add).await, Ok(8));
        assert_eq!(there.glance("a", |found, _| found.map(|sum| sum.sum)).await, Ok(Some(8)));
        assert_eq!(there.update("a", add).await, Ok(9));
        assert_eq!(here.glance_to_change("a").await.unwrap().record.unwrap().sum, 9);
        assert_eq!(here.glance("b", |found, _| found.is_none()).await, Ok(true));
    })
    .await;
}

#[tokio::test]
async fn a_record_is_forgotten_at_its_moment_and_begins_anew() {
    on_each_store(async |here, there| {
        let soon = Duration::from_millis(200);
        let write =
            |_: Option<&_>, now: Moment| Step::Write(Write::new(Kept::from(Sum { sum: 7 }), now + soon), now);
        let written = here.update("a", write).await.unwrap();
        let until_forgotten = async {
            loop {
                let found = there.read("a").await.unwrap();
                match found.record {
                    None => return found.now,
                    Some(_) => sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let forgotten = timeout(PATIENCE, until_forgotten).await.unwrap();
        assert!(forgotten.since(written) >= soon);
        assert_eq!(there.update("a", add).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_a_newer_version_added_stays_in_a_record_of_a_file() {
    let sqlite = Sqlite::open(Path::new(":memory:"), "").unwrap();
    let (plain, sums) = (Records::in_sqlite("sum", &sqlite), Records::in_sqlite("sum", &sqlite));
    let newer = Plain(r#"{"sum":1,"consent":{"at":1}}"#.to_owned());
    plain.update("a", |_, now| Step::Write(Write::new(newer.clone(), now + MINUTE), ())).await.unwrap();
    assert_eq!(sums.update("a", add).await.unwrap(), 2);
    let Plain(text) = plain.read("a").await.unwrap().record.unwrap();
    assert_eq!(text, r#"{"sum":2,"consent":{"at":1}}"#);
    let of_none_of_ours = Plain("{".to_owned());
    plain
        .update("a", |_, now| Step::Write(Write::new(of_none_of_ours.clone(), now + MINUTE), ()))
        .await
        .unwrap();
    assert!(matches!(sums.update("a", add).await, Err(Failure::NotDone(_))));
    assert!(sums.read("a").await.is_err());
    assert_eq!(plain.read("a").await.unwrap().record, Some(of_none_of_ours), "it is left alone");
}
