//! Two processes on one store, in SQLite and in a real Redis.

use std::collections::BTreeSet;

use records::{AsText as _, Moment, Step, Write};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::*;
use crate::outbox::queue::KEPT;
use crate::store::Store;
use crate::store::tests::on_each_store;

const PATIENCE: Duration = Duration::from_secs(20);

fn outbox(store: &Store) -> Outbox {
    Outbox::new(store.records(KIND), Metrics::default())
}

/// Works at both until nothing can be delivered any more but `rest` that stay.
async fn work(here: &Outbox, there: &Outbox, seen: &Sites, sites: &[&str], rest: usize) {
    let post = async |site: String, delivery: Delivery| {
        // A process has its turn while the other is at it.
        sleep(Duration::from_millis(5)).await;
        seen.note(&site, &delivery);
        Ok(())
    };
    let empty = async {
        let mut left = usize::MAX;
        while left > rest {
            sleep(Duration::from_millis(20)).await;
            left = 0;
            for site in sites {
                left += here.look(site).await.unwrap().waiting.len();
            }
        }
    };
    let working = async {
        tokio::select! {
            () = here.run(names(sites), post) => {}
            () = there.run(names(sites), post) => {}
            () = empty => {}
        }
    };
    timeout(PATIENCE, working).await.unwrap();
}

#[tokio::test]
async fn two_processes_deliver_each_message_once() {
    on_each_store(async |here, there| {
        let (here, there, seen) = (outbox(here), outbox(there), Sites::default());
        let expected: BTreeSet<(String, String)> = (0..40)
            .map(|at| (if at % 2 == 0 { "shop" } else { "wiki" }.to_owned(), at.to_string()))
            .collect();
        for (turn, (site, name)) in expected.iter().enumerate() {
            let outbox = if turn % 3 == 0 { &here } else { &there };
            outbox.put(site, logout(name)).await.unwrap();
        }
        assert_eq!(here.look("shop").await.unwrap().waiting.len(), 20);
        work(&here, &there, &seen, &["shop", "wiki"], 0).await;
        let tries = seen.tries();
        assert_eq!(tries.len(), expected.len(), "each once");
        assert_eq!(tries.into_iter().map(|one| (one.site, one.name)).collect::<BTreeSet<_>>(), expected);
        let counts = [&here, &there].map(|outbox| counted(&outbox.metrics.outbox_delivered, "logout"));
        assert_eq!(counts.iter().sum::<u64>(), 40);
        assert!(counts.iter().all(|count| *count > 0), "both worked: {counts:?}");
    })
    .await;
}

#[tokio::test]
async fn a_failure_and_a_lease_of_one_process_are_known_to_the_other() {
    on_each_store(async |here, there| {
        let (here, there) = (outbox(here), outbox(there));
        here.put("shop", logout("a")).await.unwrap();
        let failing = async |_: String, _: Delivery| Err("it is closed".to_owned());
        let failed = async {
            while there.look("shop").await.unwrap().waiting[0].error.is_none() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = here.run(names(&["shop"]), failing) => {}
            () = async { timeout(PATIENCE, failed).await.unwrap() } => {}
        }
        let view = there.look("shop").await.unwrap();
        let [one] = &view.waiting[..] else { panic!("{view:?}") };
        assert_eq!((one.kind, one.tries, one.error.as_deref()), ("logout", 1, Some("it is closed")));
        assert!(one.next <= Duration::from_secs(5), "{view:?}");
        assert!(there.look("another").await.unwrap().waiting.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_a_newer_version_put_there_stays_and_holds_up_nothing() {
    on_each_store(async |here, there| {
        let records = here.records::<Kept<Queue>>(KIND);
        let newer = json!({"kind": "export", "sub": "o1", "parts": [1, 2]});
        let written = records.update("shop", |_, now| {
            let entry = json!({"id": "n", "put_at": now.0, "due_at": now.0, "tries": 0, "message": newer});
            let queue = json!({"waiting": [entry], "dead": [], "paused": false}).to_string();
            Step::Write(Write::new(Kept::from_text(&queue).unwrap(), now + KEPT), entry)
        });
        let entry = written.await.unwrap();
        let (here, there, seen) = (outbox(here), outbox(there), Sites::default());
        there.put("shop", logout("a")).await.unwrap();
        work(&here, &there, &seen, &["shop"], 1).await;
        assert_eq!(seen.tries().len(), 1);
        let kept = records.read("shop").await.unwrap().record.unwrap();
        let kept: Value = serde_json::to_value(&kept).unwrap();
        assert_eq!(kept, json!({"waiting": [entry], "dead": [], "paused": false}));
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_cannot_be_read_holds_up_no_other_and_goes_on_when_it_can() {
    on_each_store(async |here, there| {
        let no_queue = here.records::<Moment>(KIND);
        let written = no_queue.update("shop", |_, now| Step::Write(Write::new(now, now + KEPT), ()));
        written.await.unwrap();
        let (records, seen) = (here.records::<Kept<Queue>>(KIND), Sites::default());
        let (here, there) = (outbox(here), outbox(there));
        assert!(here.put("shop", logout("a")).await.is_err());
        assert!(here.look("shop").await.is_err());
        here.put("wiki", logout("b")).await.unwrap();
        let post = async |site: String, delivery: Delivery| {
            seen.note(&site, &delivery);
            Ok(())
        };
        let mending = async {
            while seen.tries().is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
            let gone = no_queue.update("shop", |_, now| Step::Write(Write::new(now, now), ()));
            gone.await.unwrap();
            // Redis may show it until the millisecond is over.
            while records.read("shop").await.is_err() {
                sleep(Duration::from_millis(1)).await;
            }
            there.put("shop", logout("a")).await.unwrap();
            while seen.tries().len() < 2 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = here.run(names(&["shop", "wiki"]), post) => {}
            () = async { timeout(PATIENCE, mending).await.unwrap() } => {}
        }
        let sites: Vec<String> = seen.tries().into_iter().map(|one| one.site).collect();
        assert_eq!(sites, ["wiki", "shop"]);
    })
    .await;
}
