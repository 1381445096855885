//! What an attempt came to is in the audit once, whatever is repeated and whenever the process is killed.

use serde_json::Value;

use super::asked::{Asked, another, is_question};
use super::*;

/// The outcomes of the logins that are in the audit, the newest first.
async fn outcomes(scans: &Scans) -> Vec<String> {
    settled(scans).await;
    let entries = scans.audit.entries("").await;
    entries.iter().map(|entry| entry["outcome"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_outcome_has_one_entry_and_its_repeats_have_none() {
    let seen = Context {
        ip: "192.0.2.7".to_owned(),
        user_agent: Some("Mozilla/5.0".to_owned()),
        origin: Some("https://shop.example".to_owned()),
        ..Context::default()
    };
    let with = |context: Context, state| Answer {
        context: Some(Box::new(context)),
        ..answer(Status::Delivered, state)
    };
    let claimed = || with(seen.clone(), State::Scanned);
    let for_site = || with(Context { site: Some("gone".to_owned()), ..seen.clone() }, State::Scanned);
    let other = || with(Context { account: Some("tea".to_owned()), ..seen.clone() }, State::Scanned);
    let good = Faults::default;
    let table = [
        (good(), vec![claimed(), granted()], "granted", true),
        (good(), vec![with(seen.clone(), State::Denied)], "denied", true),
        (good(), vec![answer(Status::Taken, State::Scanned)], "taken", false),
        (good(), vec![answer(Status::Expired, State::Expired)], "expired", false),
        (good(), vec![Answer::new(Status::Unknown)], "expired", false),
        (good(), vec![claimed(), answer(Status::Taken, State::Granted)], "taken", true),
        (good(), vec![for_site(), answer(Status::Delivered, State::Denied)], "unknown_site", true),
        (good(), vec![other(), answer(Status::Delivered, State::Denied)], "unknown_site", true),
        (good(), vec![Answer::new(Status::Forbidden)], "try_again", false),
        (
            Faults { attempt: Fault::Fails, ..good() },
            vec![claimed(), Answer::new(Status::Forbidden)],
            "unclear",
            true,
        ),
    ];
    let rows = table.into_iter().enumerate().map(|(row, (faults, answers, outcome, is_seen))| async move {
        let (gateway, client) = Gateway::start().await;
        let mut script = answers.into_iter().cycle();
        gateway.play(move |_| script.next());
        let (scans, scan) = (scans(client, sqlite().with(faults)), scan());
        for _ in 0..3 {
            scans.hears(scan.clone(), Instant::now()).await;
        }
        settled(&scans).await;
        let entries = scans.audit.entries("").await;
        assert_eq!(entries.len(), 1, "row {row}: {entries:?}");
        let entry = &entries[0];
        let login = protocol::LoginId::of(scan.scene).to_string();
        assert_eq!((&entry["outcome"], &entry["way"]), (&outcome.into(), &"scan".into()), "row {row}");
        assert_eq!((&entry["login"], &entry["person"]), (&login.into(), &"oPerson".into()), "row {row}");
        assert_eq!(entry.get("address") == Some(&"192.0.2.7".into()), is_seen, "row {row}: {entry}");
        assert_eq!(entry.get("origin") == Some(&"https://shop.example".into()), is_seen, "row {row}");
        assert!(!entry.to_string().contains(scan.scene.as_str()), "row {row}: a scene opens a login");
    });
    join_all(rows).await;
}

#[tokio::test]
async fn a_login_that_is_asked_about_has_the_entry_of_its_answer_alone() {
    let (asked, one) = (Asked::start().await, scan());
    assert!(is_question(&asked.scan(&one).await, false));
    assert_eq!(outcomes(&asked.scans).await, [""; 0], "nothing has come of it yet");
    let number = asked.number(&one);
    for id in ["1", "1", "2"] {
        assert_eq!(asked.types(id, &number).await, Some(told(Some(1))));
    }
    asked.scan(&one).await;
    assert_eq!(outcomes(&asked.scans).await, ["granted"]);
    assert_eq!(asked.scans.audit.entries("").await[0]["confirmed"], "number");
    assert_eq!(asked.types("3", "0").await, Some(PhoneReply::Confirmed));
    assert_eq!(outcomes(&asked.scans).await, ["granted"], "it cannot be taken back");

    let no = another(&one);
    asked.scan(&no).await;
    for id in ["4", "4", "5"] {
        assert_eq!(asked.types(id, "0").await, Some(PhoneReply::NotMe));
    }
    asked.scan(&no).await;
    assert_eq!(outcomes(&asked.scans).await, ["not_me", "granted"]);

    let wrong = another(&no);
    asked.scan(&wrong).await;
    for id in ["6", "7", "8", "8"] {
        asked.types(id, asked.wrong(&wrong)).await;
    }
    asked.scan(&wrong).await;
    assert_eq!(outcomes(&asked.scans).await, ["wrong_numbers", "not_me", "granted"]);

    // A newer scan takes the place of the one before.
    let (before, after) = (another(&wrong), another(&another(&wrong)));
    asked.scan(&before).await;
    assert!(is_question(&asked.scan(&after).await, true));
    asked.scan(&before).await;
    assert_eq!(outcomes(&asked.scans).await, ["denied", "wrong_numbers", "not_me", "granted"]);
    asked.ended(&after, State::Expired);
    for id in ["9", "9"] {
        assert_eq!(asked.types(id, asked.wrong(&after)).await, Some(PhoneReply::Late));
    }
    assert_eq!(outcomes(&asked.scans).await, ["late", "denied", "wrong_numbers", "not_me", "granted"]);
}

/// The process is killed at each point where the store or the gateway has just done something; WeChat repeats its push.
#[tokio::test]
async fn whoever_hears_it_after_a_kill_finds_the_entry() {
    let (asked, scan) = (Asked::start().await, scan());
    // It dies before it can write the entry: the gateway has recorded the login, and the store has counted it.
    let mut died = asked.restarted();
    let lost = Arc::get_mut(&mut died.scans).unwrap();
    (lost.confirms, lost.audit) = (false, lost.audit.without_entries());
    assert_eq!(died.scan(&scan).await, told(Some(1)));
    assert_eq!(outcomes(&died.scans).await, [""; 0]);
    let after = asked.restarted();
    assert_eq!(after.scan(&scan).await, told(Some(1)));
    assert_eq!(outcomes(&after.scans).await, ["granted"]);

    // It dies after the answer was decided, and before the entry.
    let no = another(&scan);
    after.scan(&no).await;
    let mut died = asked.restarted();
    let lost = Arc::get_mut(&mut died.scans).unwrap();
    lost.audit = lost.audit.without_entries();
    assert_eq!(died.types("1", "0").await, Some(PhoneReply::NotMe));
    assert_eq!(outcomes(&after.scans).await, ["granted"]);
    assert_eq!(asked.restarted().types("1", "0").await, Some(PhoneReply::NotMe), "WeChat's repeat");
    assert_eq!(outcomes(&after.scans).await, ["not_me", "granted"]);
}

#[tokio::test]
async fn whoever_unfollows_is_in_no_entry_and_a_later_login_stays() {
    let (asked, one) = (Asked::unconfirmed().await, scan());
    let now = i64::try_from(server::clock::unix_now()).unwrap();
    asked.scan(&one).await;
    asked.scans.forget(&one.openid, now).await;
    let is_nobodys = |entry: &Value| entry.get("person").is_none();
    let entries = asked.scans.audit.entries("").await;
    assert_eq!(outcomes(&asked.scans).await, ["unfollowed", "granted"]);
    assert!(entries.iter().all(is_nobodys), "{entries:?}");
    assert_eq!(entries[0]["erased"], 1);
    // They follow again. WeChat's repeat of the unfollow comes late, and is about the time before.
    asked.scan(&another(&one)).await;
    asked.scans.forget(&one.openid, now - 600).await;
    assert_eq!(asked.scans.audit.entries("--person oPerson").await.len(), 1);
}

#[tokio::test]
async fn a_store_that_cannot_write_entries_stops_no_login() {
    let (gateway, client) = Gateway::start().await;
    let mut script = vec![claimed(), granted()].into_iter();
    gateway.play(move |_| script.next());
    let mut scans = scans(client, sqlite());
    let (away, _keeper) = Store::in_redis("redis://127.0.0.1:1".parse().unwrap(), "test:", 0);
    Arc::get_mut(&mut scans).unwrap().audit = scans_audit(&away);
    assert_eq!(scans.hears(scan(), Instant::now()).await, told(Some(1)));
}

fn scans_audit(store: &Store) -> Audit {
    Audit::new(store, crate::audit::settings::Keep::long(), Metrics::default(), TaskTracker::new())
}
