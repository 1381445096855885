//! What each answer of the gateway becomes for the phone, and what it leaves in the store.

use super::*;

#[tokio::test]
async fn each_answer_has_its_outcome_and_its_trace_in_the_store() {
    use Status::{Bad, Delivered, Expired, Forbidden, Stored, Taken, Unknown, Unsure};
    let bare = Answer::new;
    let stored = |of: Answer| Answer { status: Stored, ..of };
    let forgotten = Memory::Nothing;
    let noted = Memory::Attempted;
    let counted = Memory::Recorded(Recorded {
        first: true,
        nickname: None,
        count: 1,
        language: Some("zh-CN".to_owned()),
    });
    // The answers in their order; claims stand before scans, and nothing else is asked.
    let table = [
        // The claim decides.
        ("c", vec![bare(Unknown)], PhoneReply::Unknown, &forgotten),
        ("c", vec![answer(Expired, State::Expired)], PhoneReply::Expired, &forgotten),
        ("c", vec![answer(Taken, State::Scanned)], PhoneReply::Taken, &forgotten),
        ("c", vec![answer(Taken, State::Granted)], PhoneReply::Taken, &forgotten),
        ("c", vec![repeated(claimed(), State::Denied)], PhoneReply::Denied, &forgotten),
        ("c", vec![repeated(claimed(), State::Expired)], PhoneReply::Expired, &forgotten),
        ("c", vec![bare(Forbidden)], PhoneReply::TryAgain, &forgotten),
        ("c", vec![bare(Bad)], PhoneReply::TryAgain, &forgotten),
        ("cc", vec![busy(), bare(Taken)], PhoneReply::Taken, &forgotten),
        // The scan decides.
        ("cs", vec![claimed(), granted()], told(Some(1)), &counted),
        ("cs", vec![stored(claimed()), stored(granted())], told(Some(1)), &counted),
        // An answer without context names no site.
        ("cs", vec![bare(Delivered), granted()], told(Some(1)), &counted),
        // Both were recorded before, by a process that was killed before it could count.
        (
            "cs",
            vec![repeated(claimed(), State::Granted), repeated(granted(), State::Granted)],
            told(Some(1)),
            &counted,
        ),
        ("cs", vec![claimed(), bare(Unknown)], PhoneReply::Expired, &noted),
        ("cs", vec![claimed(), answer(Expired, State::Expired)], PhoneReply::Expired, &noted),
        ("cs", vec![claimed(), answer(Taken, State::Granted)], PhoneReply::Taken, &noted),
        ("cs", vec![claimed(), answer(Taken, State::Denied)], PhoneReply::Denied, &noted),
        ("cs", vec![claimed(), bare(Forbidden)], PhoneReply::TryAgain, &noted),
        ("cs", vec![claimed(), bare(Bad)], PhoneReply::TryAgain, &noted),
        // What was unclear becomes clear.
        ("ccs", vec![busy(), claimed(), granted()], told(Some(1)), &counted),
        ("ccs", vec![bare(Unsure), repeated(claimed(), State::Scanned), granted()], told(Some(1)), &counted),
        ("css", vec![claimed(), busy(), granted()], told(Some(1)), &counted),
        ("css", vec![claimed(), bare(Unsure), repeated(granted(), State::Granted)], told(Some(1)), &counted),
        ("css", vec![claimed(), bare(Unsure), bare(Expired)], PhoneReply::Expired, &noted),
        // A refusal says nothing about the sending before it. It is asked for once more, for the count.
        ("csss", vec![claimed(), bare(Unsure), bare(Forbidden), bare(Forbidden)], PhoneReply::Look, &noted),
        (
            "cssss",
            vec![claimed(), bare(Unsure), busy(), bare(Bad), repeated(granted(), State::Granted)],
            told(Some(1)),
            &counted,
        ),
    ];
    let rows = table.into_iter().enumerate().map(|(row, (asked, answers, outcome, memory))| async move {
        let (gateway, client) = Gateway::start().await;
        let mut script = answers.into_iter();
        let heard = gateway.play(move |_| script.next());
        let (store, scan) = (sqlite(), scan());
        let scans = scans(client, Arc::clone(&store));
        assert_eq!(scans.hears(scan.clone(), Instant::now()).await, outcome, "row {row}");
        settled(&scans).await;
        let expected: Vec<Notice> = asked
            .chars()
            .map(|kind| if kind == 'c' { claim_of(&scan) } else { end_of(&scan, None) })
            .collect();
        assert_eq!(heard.all(), expected, "row {row}");
        assert_eq!(store.recall(&scan).await.unwrap(), *memory, "row {row}");
    });
    join_all(rows).await;
}

#[tokio::test]
async fn a_login_of_a_site_is_denied_and_a_repeat_hears_the_same() {
    let denied = || answer(Status::Delivered, State::Denied);
    for (site, request) in [(Some("shop"), None), (None, Some("handle"))] {
        let named = || claimed_for(site, request);
        let (mut gateway, client) = Gateway::start().await;
        let (store, scan) = (sqlite(), scan());
        let scans = scans(client, Arc::clone(&store));
        let (claim, deny) = (claim_of(&scan), denial_of(&scan));
        let first = async {
            gateway.take(&claim, named()).await;
            gateway.take(&deny, denied()).await;
        };
        let (outcome, ()) = tokio::join!(scans.hears(scan.clone(), Instant::now()), first);
        assert_eq!(outcome, PhoneReply::UnknownSite);
        let again = async {
            gateway.take(&claim, repeated(named(), State::Denied)).await;
            gateway.take(&deny, repeated(denied(), State::Denied)).await;
        };
        let (outcome, ()) = tokio::join!(scans.hears(scan.clone(), Instant::now()), again);
        assert_eq!(outcome, PhoneReply::UnknownSite, "a repeated push");
        assert_eq!(store.recall(&scan).await.unwrap(), Memory::Nothing);
        assert!(gateway.notices.try_recv().is_err(), "no scan");
    }
}

#[tokio::test]
async fn a_denial_that_was_not_recorded_is_not_told_as_one() {
    for (status, outcome) in [
        (Status::Stored, PhoneReply::UnknownSite),
        (Status::Expired, PhoneReply::Expired),
        (Status::Forbidden, PhoneReply::Look),
    ] {
        let (gateway, client) = Gateway::start().await;
        let mut script = [claimed_for(Some("shop"), None), Answer::new(status)].into_iter();
        let heard = gateway.play(move |_| script.next());
        let scans = scans(client, sqlite());
        assert_eq!(scans.hears(scan(), Instant::now()).await, outcome);
        assert_eq!(heard.kinds(), ["claim", "deny"]);
    }
}
