//! A store with faults stops no login.

use std::sync::atomic::AtomicU32;

use super::*;
use crate::store::faults::{Fault, Faults};

#[tokio::test]
async fn a_store_with_faults_stops_no_login_and_never_makes_it_certain_that_nothing_was_recorded() {
    use Fault::{Fails, Hangs};
    let none = Faults::default();
    let all = |recall| Faults { recall, attempt: recall, record: recall, ..Faults::default() };
    let good = || vec![claimed(), granted()];
    let table = [
        (Faults { recall: Fails, ..none }, good(), told(Some(1))),
        (Faults { attempt: Fails, ..none }, good(), told(Some(1))),
        (Faults { record: Fails, ..none }, good(), told(None)),
        (Faults { record: Hangs, ..none }, good(), told(None)),
        (all(Fails), good(), told(None)),
        (all(Hangs), good(), told(None)),
        (Faults { recall: Fails, ..none }, vec![Answer::new(Status::Forbidden)], PhoneReply::Look),
        (Faults { recall: Hangs, ..none }, vec![Answer::new(Status::Bad)], PhoneReply::Look),
        (
            Faults { attempt: Fails, ..none },
            vec![claimed(), Answer::new(Status::Forbidden)],
            PhoneReply::Look,
        ),
        (Faults { attempt: Hangs, ..none }, vec![claimed(), Answer::new(Status::Bad)], PhoneReply::Look),
        // What the gateway says for certain needs no store.
        (all(Fails), vec![Answer::new(Status::Expired)], PhoneReply::Expired),
    ];
    let rows = table.into_iter().enumerate().map(|(row, (faults, answers, outcome))| async move {
        let (gateway, client) = Gateway::start().await;
        let mut script = answers.into_iter();
        gateway.play(move |_| script.next());
        let store = sqlite().with(faults);
        let scans = hurried(scans(client, store), Times { store: SHORT.store, ..TIMES });
        assert_eq!(scans.hears(scan(), Instant::now()).await, outcome, "row {row}");
    });
    join_all(rows).await;
}

#[tokio::test]
async fn a_login_is_counted_although_the_store_is_too_slow_for_the_words() {
    let (gateway, client) = Gateway::start().await;
    let mut script = vec![claimed(), granted()].into_iter();
    gateway.play(move |_| script.next());
    let (store, scan) = (sqlite(), scan());
    let slow = store.with(Faults { record: Fault::Late(SHORT.store * 2), ..Faults::default() });
    let scans = hurried(scans(client, slow), Times { store: SHORT.store, ..TIMES });
    assert_eq!(scans.hears(scan.clone(), Instant::now()).await, told(None));
    scans.tasks.close();
    scans.tasks.wait().await;
    let counted = Recorded { first: true, nickname: None, count: 1, language: Some("zh-CN".to_owned()) };
    assert_eq!(store.recall(&scan).await.unwrap(), Memory::Recorded(counted));
}

/// An outage of the store is often one of the gateway's too: both keep their records in the same Redis.
#[tokio::test]
async fn a_scan_that_the_store_fails_keeps_trying_when_its_time_is_over() {
    // The words wait for the end here, so that it can be seen.
    let (claim, within) = (Duration::from_millis(100), Duration::from_millis(200));
    let times = Times { words: PATIENCE, claim, scan: within, clear: PATIENCE, ..SHORT };
    let counted = Memory::Recorded(Recorded {
        first: true,
        nickname: None,
        count: 1,
        language: Some("zh-CN".to_owned()),
    });
    // What the store fails at, what the gateway is too busy for, and whether the login is one of a site.
    let unread = Faults { recall: Fault::Fails, ..Faults::default() };
    let unnoted = Faults { attempt: Fault::Fails, ..Faults::default() };
    let table = [
        (unread, "claim", None, told(Some(1)), counted.clone()),
        (unread, "scan", None, told(Some(1)), counted.clone()),
        (unread, "deny", Some("shop"), PhoneReply::UnknownSite, Memory::Nothing),
        (unnoted, "scan", None, told(Some(1)), counted),
    ];
    let rows = table.into_iter().map(|(faults, delayed, site, outcome, memory)| async move {
        let (gateway, client) = Gateway::start().await;
        let arrived = Instant::now();
        let mut is_busy = true;
        gateway.play(move |notice| {
            Some(match notice {
                notice if notice.kind() == delayed && is_busy => {
                    // It says so after the time too, and takes what comes after that.
                    is_busy = arrived.elapsed() <= times.scan;
                    busy()
                }
                Notice::Claim { .. } => claimed_for(site, None),
                Notice::Deny { .. } => answer(Status::Delivered, State::Denied),
                _ => granted(),
            })
        });
        let (store, scan) = (sqlite(), scan());
        let faulty = store.with(faults);
        let scans = hurried(scans(client, faulty), times);
        assert_eq!(scans.hears(scan.clone(), arrived).await, outcome, "{delayed}");
        assert_eq!(store.recall(&scan).await.unwrap(), memory, "{delayed}");
    });
    join_all(rows).await;
}

/// The store could not note the attempt that logged them in, and its process was killed before it told them.
#[tokio::test]
async fn a_login_that_was_granted_without_a_note_is_no_try_again() {
    let (gateway, client) = Gateway::start().await;
    gateway.play(|notice| {
        Some(match notice {
            Notice::Claim { .. } => answer(Status::Delivered, State::Granted),
            _ => busy(),
        })
    });
    let scans = hurried(scans(client, sqlite()), SHORT);
    assert_eq!(scans.hears(scan(), Instant::now()).await, PhoneReply::Look);
}

/// WeChat says once that a person has unfollowed.
#[tokio::test]
async fn who_unfollows_while_the_store_is_away_is_forgotten_when_it_is_back() {
    static FAILS: AtomicU32 = AtomicU32::new(1);
    let (store, scan) = (sqlite(), scan());
    store.record(&scan, None, "zh-CN").await.unwrap();
    let away = store.with(Faults { forget: Fault::FailsFirst(&FAILS), ..Faults::default() });
    let scans = scans(no_gateway().await, away);
    scans.forget(&scan.openid, scan.created_at).await;
    assert!(matches!(store.recall(&scan).await.unwrap(), Memory::Recorded(_)), "the store was away");
    let forgotten = async {
        while store.recall(&scan).await.unwrap() != Memory::Nothing {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, forgotten).await.unwrap();
}
