//! What the audit promises, tried in SQLite and in a real Redis, as two services see it, and the operator's command.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use clap::Parser;
use protocol::Scene;
use test_redis::PATIENCE;
use tokio::time::timeout;

use super::*;
use crate::account::names::Directory;
use crate::store::tests::on_each_store;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    wanted: list::Wanted,
}

fn audit(store: &Store, keep: &str) -> Audit {
    Audit::new(store, keep.parse().unwrap(), Metrics::default(), TaskTracker::new())
}

fn account() -> Names {
    Names::new(None, "wx0123456789abcdef")
}

/// What `callback-service logins` writes, and what it says of that.
async fn said(audit: &Audit, words: &str) -> (String, list::Listed) {
    let words = std::iter::once("logins").chain(words.split_ascii_whitespace());
    let (wanted, mut written) = (Command::try_parse_from(words).unwrap().wanted, Vec::new());
    let directory = Directory::new(account(), [Names::new(Some("tea"), "wx2")]);
    let listed = list::list(audit, &directory, wanted, &mut written).await.unwrap();
    (String::from_utf8(written).unwrap(), listed)
}

impl Audit {
    /// What it has, as the command with these words says it.
    pub(crate) async fn entries(&self, words: &str) -> Vec<serde_json::Value> {
        entries(self, words).await
    }

    /// One of a process that is killed before it can write an entry.
    pub(crate) fn without_entries(&self) -> Self {
        Self { keep: "off".parse().unwrap(), ..self.clone() }
    }
}

/// The same as JSON.
async fn entries(audit: &Audit, words: &str) -> Vec<serde_json::Value> {
    let (written, _) = said(audit, &format!("--format jsonl {words}")).await;
    written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn from() -> Whence {
    let (address, user_agent) = (Some("192.0.2.7".to_owned()), Some("Mozilla/5.0".to_owned()));
    Whence { address, user_agent, origin: Some("https://shop.example".to_owned()) }
}

fn granted(person: &Person, login: LoginId) -> Fact<'_> {
    let way = Some(Way::Scan);
    let fact =
        Fact { site: Some("shop".to_owned()), way, from: from(), ..Fact::of(Outcome::Granted, person) };
    fact.of_login(login)
}

fn login() -> LoginId {
    LoginId::of(Scene::random())
}

#[tokio::test]
async fn an_entry_is_written_once_however_often_it_is_noted_and_by_whom() {
    on_each_store(async |here, there| {
        let both = [here, there].map(|store| audit(store, "184days"));
        let (person, one) = (Person::new("oPerson"), login());
        for n in 0..6 {
            both[n % 2].note(&account(), granted(&person, one)).await;
        }
        let all = entries(&both[0], "").await;
        assert_eq!(all.len(), 1, "{all:?}");
        let expected = serde_json::json!({
            "time": all[0]["time"], "outcome": "granted", "site": "shop", "way": "scan", "person": "oPerson",
            "address": "192.0.2.7", "user_agent": "Mozilla/5.0", "origin": "https://shop.example",
            "login": one.to_string(),
        });
        assert_eq!(all[0], expected);
        // Another outcome, another person, another login; and what happens once is never a repeat.
        let unclear = Fact { outcome: Outcome::Unclear, ..granted(&person, one) };
        both[1].note(&account(), unclear).await;
        let other = Person::new("oOther");
        both[1].note(&account(), granted(&other, one)).await;
        both[1].note(&account(), granted(&person, login())).await;
        for _ in 0..2 {
            let redeemed = Fact { once: false, ..Fact::of(Outcome::Redeemed, &person) };
            both[1].note(&account(), redeemed).await;
        }
        assert_eq!(entries(&both[0], "").await.len(), 6);
    })
    .await;
}

#[tokio::test]
async fn whoever_is_forgotten_is_in_no_entry_and_the_entries_stay() {
    on_each_store(async |here, there| {
        let audit = audit(here, "184days");
        let (person, other) = (Person::new("oPerson"), Person::new("oOther"));
        for who in [&person, &other, &person] {
            audit.note(&account(), granted(who, login())).await;
        }
        assert_eq!(super::tests::audit(there, "184days").forgotten(&account(), &person).await, Ok(2));
        let all = entries(&audit, "").await;
        let outcomes: Vec<_> = all.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["forgotten", "granted", "granted", "granted"]);
        assert_eq!(all[0]["erased"], 2);
        let text = serde_json::to_string(&all).unwrap();
        assert!(!text.contains("oPerson"), "{text}");
        for erased in [&all[1], &all[3]] {
            assert_eq!((&erased["site"], &erased["way"]), (&"shop".into(), &"scan".into()));
            assert!(erased.get("address").is_none() && erased.get("user_agent").is_none(), "{erased}");
        }
        assert_eq!(all[2]["person"], "oOther");
        assert_eq!(audit.forgotten(&account(), &person).await, Ok(0), "a repeat adds nothing");
        assert_eq!(entries(&audit, "").await.len(), 4);
        // An unfollow of long ago leaves what came later.
        audit.unfollowed(&account(), &other, 1_000_000).await.unwrap();
        assert_eq!(entries(&audit, "--person oOther").await.len(), 1);
        let now = i64::try_from(server::clock::unix_now()).unwrap();
        audit.unfollowed(&account(), &other, now).await.unwrap();
        assert_eq!(entries(&audit, "--person oOther").await.len(), 0);
        assert_eq!(entries(&audit, "").await[0]["outcome"], "unfollowed");
    })
    .await;
}

#[tokio::test]
async fn off_keeps_nothing_and_erases_what_was_kept() {
    on_each_store(async |here, there| {
        let (on, off) = (audit(here, "184days"), audit(there, "off"));
        let person = Person::new("oPerson");
        on.note(&account(), granted(&person, login())).await;
        off.note(&account(), granted(&person, login())).await;
        assert_eq!(entries(&on, "").await.len(), 1);
        assert_eq!(entries(&off, "").await.len(), 0);
        let trimmed = async {
            while !entries(&on, "").await.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = off.keep() => {}
            done = timeout(PATIENCE, trimmed) => done.unwrap(),
        }
        assert_eq!(on.forgotten(&account(), &person).await, Ok(0), "nothing is left of anybody");
    })
    .await;
}

#[tokio::test]
async fn an_operator_finds_entries_by_time_site_person_outcome_and_login() {
    on_each_store(async |here, _| {
        let audit = audit(here, "184days");
        let (person, at_tea) = (Person::new("oPerson"), Person::new("oTea").of(Some(&"wx2".into())));
        let (tea, one) = (Names::new(Some("tea"), "wx2"), login());
        audit.note(&account(), granted(&person, one)).await;
        audit.note(&account(), Fact { outcome: Outcome::NotMe, ..granted(&person, login()) }).await;
        audit.note(&tea, Fact { site: Some("forum".to_owned()), ..granted(&at_tea, login()) }).await;
        let login = one.to_string();
        for (words, expected) in [
            ("", 3),
            ("--since 1h", 3),
            ("--since 2020-01-01 --until 2020-02-01", 0),
            ("--until 1h", 0),
            ("--site shop", 2),
            ("--site forum --person oTea", 1),
            ("--site shop --person oTea", 0),
            ("--person oPerson", 2),
            ("--person oNobody", 0),
            ("--outcome not_me", 1),
            ("--outcome not_me,granted", 3),
            (&format!("--login {login}"), 1),
            (&format!("--login {}", &login[..8]), 1),
            ("--limit 2", 2),
        ] {
            assert_eq!(entries(&audit, words).await.len(), expected, "{words}");
        }
        assert_eq!(entries(&audit, "--site forum").await[0]["account"], "tea");
        let (table, listed) = said(&audit, "--limit 1").await;
        assert!(listed.has_more && table.lines().count() == 2 && table.contains("forum at tea"), "{table}");
        assert!(table.contains(" …oTea ") && !table.contains("oPerson"), "{table}");
        let (csv, listed) = said(&audit, "--format csv").await;
        assert!(!listed.has_more && csv.lines().count() == 4 && csv.starts_with("time,outcome,"), "{csv}");
    })
    .await;
}

#[test]
fn a_filter_that_makes_no_sense_is_told() {
    for (words, said) in [
        ("--since yesterday", "write a time back such as 24h"),
        ("--outcome grunted", "write one or several of granted"),
        ("--login xyz", "write a login's id"),
        ("--person", "--person"),
        ("--limit many", "invalid digit"),
        ("--format xml", "text, csv, jsonl"),
        ("--zone China", "write for example +08:00"),
    ] {
        let words = std::iter::once("logins").chain(words.split_ascii_whitespace());
        let error = Command::try_parse_from(words).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let words = ["logins", "--since", "2026-11-02", "--until", "2026-11-01"];
    assert!(Command::parse_from(words).wanted.problem().is_some());
    assert!(Command::parse_from(["logins", "--since", "2h", "--until", "1h"]).wanted.problem().is_none());
}

/// A reader who has gone, as `head` does.
struct Gone;

impl std::io::Write for Gone {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_who_has_gone_is_no_error() {
    let store = Store::in_sqlite(Path::new(":memory:")).unwrap();
    let wanted = Command::parse_from(["logins"]).wanted;
    let directory = Directory::one("wx0123456789abcdef");
    let listed = list::list(&audit(&store, "184days"), &directory, wanted, Gone).await.unwrap();
    assert_eq!(listed, list::Listed::default());
}

#[tokio::test]
async fn without_the_store_the_login_goes_on_and_the_missing_entry_is_counted() {
    let (store, _keeper) = Store::in_redis("redis://127.0.0.1:1".parse().unwrap(), "test:", 0);
    let audit = audit(&store, "184days");
    let person = Person::new("oPerson");
    timeout(PATIENCE, audit.note(&account(), granted(&person, login()))).await.unwrap();
    audit.tasks.close();
    timeout(PATIENCE, audit.tasks.wait()).await.unwrap();
    assert_eq!(audit.metrics.audit_failures.get(), 1);
    assert!(audit.forgotten(&account(), &person).await.is_err(), "an operator hears of it");
}
