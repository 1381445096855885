//! Repeated pushes, several people, and too many scans.

use super::*;

#[tokio::test]
async fn repeats_at_once_are_one_claim_and_one_scan_and_later_ones_nothing() {
    let (mut gateway, client) = Gateway::start().await;
    let scans = scans(client, sqlite());
    let scan = scan();
    let push = || scans.hears(scan.clone(), Instant::now());
    let asked = async {
        gateway.take(&claim_of(&scan), claimed()).await;
        gateway.take(&end_of(&scan, None), granted()).await;
    };
    let (one, two, three, ()) = tokio::join!(push(), push(), push(), asked);
    assert_eq!([&one, &two, &three], [&told(Some(1)); 3]);
    settled(&scans).await;
    assert_eq!(push().await, told(Some(1)), "after the end");
    let follower = Scan { first: false, ..scan.clone() };
    assert_eq!(scans.hears(follower, Instant::now()).await, told(Some(1)), "an ended login scanned again");
    assert!(gateway.notices.try_recv().is_err());
    assert!(scans.running.lock().is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn another_person_at_the_same_time_gets_an_outcome_of_their_own() {
    let (gateway, client) = Gateway::start().await;
    gateway.play(|notice| {
        Some(match notice {
            Notice::Claim { by, .. } if by == "oOther" => answer(Status::Taken, State::Scanned),
            Notice::Claim { .. } => claimed(),
            _ => granted(),
        })
    });
    let scans = scans(client, sqlite());
    let one = scan();
    let other = Scan { openid: Person::new("oOther"), ..one.clone() };
    let outcomes = tokio::join!(scans.hears(one, Instant::now()), scans.hears(other, Instant::now()));
    assert_eq!(outcomes, (told(Some(1)), PhoneReply::Taken));
}

#[tokio::test]
async fn persons_and_scenes_are_counted_apart() {
    let (gateway, client) = Gateway::start().await;
    gateway.play(|notice| match notice {
        Notice::Claim { .. } => Some(claimed()),
        _ => Some(granted()),
    });
    let scans = scans(client, sqlite());
    let (one, two) = (scan(), scan());
    let other = Scan { openid: Person::new("oOther"), ..one.clone() };
    assert_eq!(scans.hears(one, Instant::now()).await, told(Some(1)));
    assert_eq!(scans.hears(two, Instant::now()).await, told(Some(2)), "another scene");
    assert_eq!(scans.hears(other, Instant::now()).await, told(Some(1)), "another person");
}

#[tokio::test]
async fn what_wechat_hung_up_on_is_still_counted() {
    let (mut gateway, client) = Gateway::start().await;
    let (store, scan) = (sqlite(), scan());
    let scans = scans(client, Arc::clone(&store));
    let id = tokio::select! {
        outcome = scans.hears(scan.clone(), Instant::now()) => panic!("{outcome:?}"),
        (id, _) = gateway.hear() => id,
    };
    gateway.answer(id, claimed());
    gateway.take(&end_of(&scan, None), granted()).await;
    settled(&scans).await;
    let Memory::Recorded(Recorded { count: 1, .. }) = store.recall(&scan).await.unwrap() else {
        panic!("not counted")
    };
}

#[tokio::test]
async fn one_scan_too_many_is_not_worked_on_and_not_told_that_nothing_was_recorded() {
    let (gateway, client) = Gateway::start().await;
    let heard = gateway.play(|_| None);
    let scans = scans(client, sqlite());
    // Also where they are scans of other accounts.
    let _others =
        scans.shared.running.clone().try_acquire_many_owned(u32::try_from(MAX_RUNNING).unwrap()).unwrap();
    assert_eq!(scans.hears(scan(), Instant::now()).await, PhoneReply::Look);
    assert!(scans.tasks.is_empty() && heard.all().is_empty());
}
