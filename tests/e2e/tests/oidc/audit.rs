//! Who logged in to which site is in the audit once, and an operator finds it beside the running service.

use std::collections::HashMap;
use std::time::Duration;

use e2e::page::Page;
use e2e::programs::{output, text};
use serde_json::Value;
use tokio::task::block_in_place;

use crate::agent::Agent;
use crate::confirmation::{Asked, says};
use crate::instances::Instances;
use crate::parameters::Parameters;
use crate::relying_party::{Site, came_back};

/// What `callback-service logins` prints with these words, as the operator runs it on the first host.
fn logins(instances: &Instances, words: &[&str]) -> (i32, String, String) {
    let settings: HashMap<&str, String> = instances.fleet.callbacks[0].settings().clone();
    let words = [&["logins"], words].concat();
    let ended = block_in_place(|| output("callback-service", &settings, &words));
    (ended.status.code().unwrap(), text(&ended.stdout), text(&ended.stderr))
}

/// The entries, the newest first.
fn entries(instances: &Instances, words: &[&str]) -> Vec<Value> {
    let (code, lines, said) = logins(instances, &[&["--format", "jsonl"], words].concat());
    assert!(code == 0 && (said.is_empty() || said.starts_with("these are the newest")), "{code}: {said}");
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Each entry's outcome and site.
fn outcomes(entries: &[Value]) -> Vec<String> {
    let text = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    entries.iter().map(|entry| format!("{} {}", text(entry, "outcome"), text(entry, "site"))).collect()
}

async fn all_that_can_become_of_a_login(instances: &Instances) {
    let (provider, shop) = (instances.at(0), Site::shop());
    let (mut agent, person) = (Agent::new(&provider), provider.person());

    // A scan, a login at a second site by the session, and a logout.
    let tokens = shop.log_in(&mut agent, &shop.request(), &person).await;
    let cafe = Site::cafe();
    let request = cafe.request();
    let code = came_back(&provider, &request, &agent.authorize(&request).await);
    cafe.take(&provider, &request, &cafe.redeem(&provider, &cafe.grant(&code)).await).await;
    let hint = Parameters::of(&[("id_token_hint", tokens.id_token.as_str())]);
    agent.get(&format!("/logout?{}", hint.encoded())).await;
    let all = entries(instances, &[]);
    assert_eq!(outcomes(&all), ["logged_out shop", "redeemed cafe", "redeemed shop", "granted shop"]);
    assert!(all.iter().all(|entry| entry["person"] == person.as_str()), "{all:?}");
    assert_eq!((&all[3]["way"], &all[3]["address"]), (&"scan".into(), &"127.0.0.1".into()));
    assert_eq!(all[3]["origin"], provider.issuer.as_str());
    assert_eq!(all[0]["session"], all[2]["session"]);
    // The second site learns of the same login, by the session.
    assert!(
        all.iter().all(|entry| entry["login"] == all[3]["login"] && entry["login"].is_string()),
        "{all:?}"
    );

    // One who is asked says no, and then yes; both twice.
    let confirmed = shop.request().with("prompt", "login").with("acr_values", "urn:saoma:scan-confirmed");
    let other = provider.person();
    for answer in [Some("0"), None] {
        let handle = agent.authorize(&confirmed).await.handle();
        let asked = Asked::of(&provider, provider.page(&handle).await, &other).await;
        let answer = answer.unwrap_or(&asked.number);
        for _ in 0..2 {
            says(&provider, &other, answer).await;
        }
    }
    let theirs = entries(instances, &["--person", &other]);
    assert_eq!(outcomes(&theirs), ["granted shop", "not_me shop"]);
    assert_eq!((&theirs[0]["confirmed"], &theirs[1]["address"]), (&"number".into(), &"127.0.0.1".into()));

    // A page that may not name the site.
    let query = Parameters::of(&[("site", "nobodys"), ("nonce", "n"), ("code_challenge", &"c".repeat(43))]);
    let path = format!("/ws?{}", query.encoded());
    let mut page = Page::of(Some("https://shop.example.cn"), provider.gateway, &path).await.unwrap();
    let shown = page.code().await;
    provider.wechat.scan(&other, &shown.content).await.unwrap();
    let login = protocol::LoginId::of(shown.resume.split('.').next().unwrap().parse().unwrap()).to_string();
    let of_login = entries(instances, &["--login", &login[..8]]);
    assert_eq!(outcomes(&of_login), ["unknown_site nobodys"]);
    // Another person scans that login's code.
    provider.wechat.scan(&person, &shown.content).await.unwrap();
    assert_eq!(entries(instances, &["--login", &login, "--outcome", "taken"]).len(), 1);
    assert_eq!(entries(instances, &[]).len(), 8);

    // What people see, and what a spreadsheet does.
    let (code, table, said) = logins(instances, &["--limit", "2"]);
    assert!(code == 0 && said.contains("the newest 2; --limit shows more"), "{said}");
    assert!(table.lines().count() == 3 && table.starts_with("time ") && !table.contains(&person), "{table}");
    assert!(
        table.contains(&format!(" …{} ", &person[person.len() - 6..])) && table.contains(" +08:00  taken "),
        "{table}"
    );
    let (_, csv, _) = logins(instances, &["--format", "csv", "--site", "shop"]);
    assert_eq!(csv.matches("\r\n").count(), 6, "{csv}");
    for (wrong, problem) in [
        (&["--since", "yesterday"][..], "write a time back such as 24h"),
        (&["--since", "1h", "--until", "2h"], "--until: is not later than --since"),
        (&["--outcome", "grunted"], "granted, denied, not_me"),
    ] {
        let (code, printed, said) = logins(instances, wrong);
        assert!(code == 64 && printed.is_empty() && said.contains(problem), "{code}: {said}");
    }

    // Who is forgotten is in no entry, and the entries stay.
    let settings = instances.fleet.callbacks[0].settings().clone();
    let ended = block_in_place(|| output("callback-service", &settings, &["forget", &other]));
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    let (_, all, _) = logins(instances, &["--format", "jsonl"]);
    assert!(!all.contains(&other) && all.lines().count() == 9, "{all}");
    assert!(all.lines().next().unwrap().contains("\"erased\":3"), "{all}");
    // Who unfollows, too.
    provider.wechat.unfollow(&person).await.unwrap();
    let erased = async {
        while !entries(instances, &["--person", &person]).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(e2e::page::PATIENCE, erased).await.unwrap();
    assert_eq!(outcomes(&entries(instances, &["--limit", "1"])), ["unfollowed -"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_logins_is_in_a_sqlite_file_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("callback.db").display());
    let instances = Instances::start(&store, 1, &[Site::shop(), Site::cafe()]).await;
    all_that_can_become_of_a_login(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_logins_is_in_redis_once() {
    let redis = test_redis::Redis::start().await;
    let instances = Instances::start(&redis.url(), 1, &[Site::shop(), Site::cafe()]).await;
    all_that_can_become_of_a_login(&instances).await;
    // Nothing waits there for ever.
    for key in redis.cli(&["KEYS", "*journal-*"]).await.lines() {
        let left: i64 = redis.cli(&["PTTL", key]).await.parse().unwrap();
        assert!(left > 0, "{key}: {left}");
    }
}
