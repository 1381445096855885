//! What does not become clear in time, and answers that come late.

use futures_util::{SinkExt, StreamExt};
use protocol::message::{ClientMessage, ServerMessage};
use tokio::net::TcpListener;

use super::played_gateway::{accept, client};
use super::*;
use crate::store::faults::{Fault, Faults};

#[tokio::test]
async fn what_stays_unclear_is_told_by_what_may_have_been_recorded() {
    let claimed = || Some(claimed());
    let unsure = || Some(Answer::new(Status::Unsure));
    let for_much_later = Answer { retry_in: Some(600_000), ..busy() };
    // The last answer is given again and again; how many claims and scans are heard.
    let (none, once, twice, many) = (0..=0, 1..=1, 2..=2, 2..=20);
    let table = [
        (vec![Some(busy())], PhoneReply::TryAgain, &many, &none),
        (vec![Some(for_much_later.clone())], PhoneReply::TryAgain, &once, &none),
        // Nobody is logged in by a claim, whether it was recorded or not.
        (vec![unsure()], PhoneReply::TryAgain, &many, &none),
        (vec![None], PhoneReply::TryAgain, &once, &none),
        (vec![claimed(), Some(busy())], PhoneReply::TryAgain, &once, &many),
        (vec![claimed(), Some(for_much_later)], PhoneReply::TryAgain, &once, &once),
        (vec![claimed(), unsure()], PhoneReply::Look, &once, &many),
        (vec![claimed(), unsure(), Some(busy())], PhoneReply::Look, &once, &many),
        (vec![claimed(), None], PhoneReply::Look, &once, &twice),
        // A gateway that has lost its memory may have recorded the end before.
        (vec![claimed(), unsure(), Some(Answer::new(Status::Unknown))], PhoneReply::Look, &once, &many),
    ];
    let rows = table.into_iter().enumerate();
    let rows = rows.map(|(row, (answers, outcome, claims, ends))| async move {
        let (gateway, client) = Gateway::start().await;
        let mut next = 0;
        let heard = gateway.play(move |_| {
            next += 1;
            answers[next.min(answers.len()) - 1].clone()
        });
        let scans = hurried(scans(client, sqlite()), SHORT);
        assert_eq!(scans.hears(scan(), Instant::now()).await, outcome, "row {row}");
        let kinds = heard.kinds();
        let number = |of| kinds.iter().filter(|kind| **kind == of).count();
        assert!(claims.contains(&number("claim")) && ends.contains(&number("scan")), "row {row}: {kinds:?}");
    });
    join_all(rows).await;
}

#[tokio::test]
async fn without_a_gateway_nobody_is_logged_in_and_earlier_attempts_are_not_denied() {
    let noted = sqlite();
    let scan = scan();
    noted.attempt(&scan).await.unwrap();
    let unreadable = sqlite().with(Faults { recall: Fault::Fails, ..Faults::default() });
    let table: [(Arc<Store>, PhoneReply); 3] =
        [(sqlite(), PhoneReply::TryAgain), (noted, PhoneReply::Look), (unreadable, PhoneReply::Look)];
    let rows = table.into_iter().enumerate().map(|(row, (store, outcome))| {
        let scan = scan.clone();
        async move {
            let scans = scans(no_gateway().await, store);
            let arrived = Instant::now();
            assert_eq!(scans.hears(scan, Instant::now()).await, outcome, "row {row}");
            assert!(arrived.elapsed() < PROMISED, "row {row}: {:?}", arrived.elapsed());
        }
    });
    join_all(rows).await;
}

#[tokio::test]
async fn a_gateway_that_does_not_know_the_login_may_have_recorded_an_earlier_attempt() {
    for (attempted, outcome) in [(false, PhoneReply::Unknown), (true, PhoneReply::Look)] {
        let (gateway, client) = Gateway::start().await;
        let _heard = gateway.play(|_| Some(Answer::new(Status::Unknown)));
        let (store, scan) = (sqlite(), scan());
        if attempted {
            store.attempt(&scan).await.unwrap();
        }
        let scans = hurried(scans(client, store), SHORT);
        assert_eq!(scans.hears(scan, Instant::now()).await, outcome);
    }
}

#[tokio::test]
async fn an_answer_that_comes_late_is_counted_once_and_told_to_repeats() {
    let (mut gateway, client) = Gateway::start().await;
    let (store, scan) = (sqlite(), scan());
    let scans = scans(client, Arc::clone(&store));
    let arrived = Instant::now();
    let silent = async {
        gateway.take(&claim_of(&scan), claimed()).await;
        gateway.hear().await.0
    };
    let (outcome, first) = tokio::join!(scans.hears(scan.clone(), Instant::now()), silent);
    assert_eq!(outcome, PhoneReply::Look);
    assert!(arrived.elapsed() < PROMISED, "{:?}", arrived.elapsed());
    assert_eq!(store.recall(&scan).await.unwrap(), Memory::Attempted);

    // WeChat repeats the push; the gateway wakes up and answers both sendings.
    let late = async {
        let (second, notice) = gateway.hear().await;
        assert_eq!(notice, end_of(&scan, None));
        gateway.answer(first, granted());
        gateway.answer(second, repeated(granted(), State::Granted));
    };
    let (outcome, ()) = tokio::join!(scans.hears(scan.clone(), Instant::now()), late);
    assert_eq!(outcome, told(Some(1)));
    settled(&scans).await;
    assert_eq!(scans.hears(scan, Instant::now()).await, told(Some(1)), "once more");
    assert!(gateway.notices.try_recv().is_err(), "nothing else was asked");
}

/// The client sends again by itself on the next connection; what that one is told decides nothing about the first.
#[tokio::test]
async fn recorded_then_cut_then_busy_is_no_try_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&listener);
    tokio::spawn(async move {
        let mut frames = Some(accept(&listener).await);
        let mut scans = 0;
        while let Some(Ok(message)) = frames.as_mut().unwrap().next().await {
            let ClientMessage::Notice { id, notice } = message else {
                continue;
            };
            let answer = if matches!(notice, Notice::Claim { .. }) {
                claimed()
            } else if scans == 0 {
                // Recorded, and the connection breaks before the answer.
                scans += 1;
                drop(frames.take());
                frames = Some(accept(&listener).await);
                continue;
            } else {
                busy()
            };
            frames.as_mut().unwrap().send(ServerMessage::Answer(Answer { id, ..answer })).await.unwrap();
        }
    });
    let scans = hurried(scans(client, sqlite()), SHORT);
    assert_eq!(scans.hears(scan(), Instant::now()).await, PhoneReply::Look);
}
