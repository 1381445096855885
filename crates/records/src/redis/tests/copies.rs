//! Round trips that are spared, and what is true all the same.

use super::*;

/// Calls of a command, within scripts as well.
async fn calls(redis: &Server, command: &str) -> u64 {
    let all = redis.cli(&["INFO", "commandstats"]).await;
    let line = all.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

/// Adds to a text, and says what it is then.
fn add(more: &str) -> impl FnMut(Option<&Plain>, Moment) -> Step<Plain, String> {
    move |found, now| {
        let text = format!("{}{more}", found.map_or("", |Plain(text)| text));
        Step::Write(write(text.clone(), now), text)
    }
}

#[tokio::test]
async fn a_process_that_changes_its_own_record_asks_redis_once() {
    let redis = Server::start().await;
    let process = Process::start(&redis.url(), 0).await;
    process.records.update("warm", add("a")).await.unwrap();
    redis.cli(&["CONFIG", "RESETSTAT"]).await;
    process.records.put("login", |now| write("a", now)).await.unwrap();
    for text in ["ab", "abb", "abbb"] {
        assert_eq!(process.records.update("login", add("b")).await.unwrap(), text);
    }
    // One SET, and three scripts that each look and set.
    assert_eq!([calls(&redis, "evalsha").await, calls(&redis, "get").await], [3, 3]);
    assert_eq!(calls(&redis, "set").await, 4);
    assert_eq!(process.records.update("new", add("b")).await.unwrap(), "b");
    assert_eq!([calls(&redis, "evalsha").await, calls(&redis, "get").await], [4, 4]);
}

#[tokio::test]
async fn what_another_process_has_changed_is_found_out() {
    let redis = Server::start().await;
    let [here, there] = [Process::start(&redis.url(), 0).await, Process::start(&redis.url(), 0).await];
    here.records.update("login", add("a")).await.unwrap();
    there.records.update("login", add("b")).await.unwrap();
    let mut asked = Vec::new();
    let added = here.records.update("login", |found, now| {
        asked.push(found.map(|Plain(text)| text.clone()));
        add("c")(found, now)
    });
    assert_eq!(added.await.unwrap(), "abc");
    assert_eq!(asked, [Some("a".to_owned()), Some("ab".to_owned())]);

    // To leave it alone takes to know it.
    let keep = |found: Option<&Plain>, _| Step::Keep(found.map(|Plain(text)| text.clone()));
    assert_eq!(there.records.update("login", keep).await.unwrap().as_deref(), Some("abc"));
    // So does to write what it was.
    let unchanged = there.records.update("login", |found, now| {
        let text = found.map_or_else(String::new, |Plain(text)| text.clone());
        Step::Write(write(text.clone(), now), text)
    });
    assert_eq!(unchanged.await.unwrap(), "abc");
    redis.cli(&["DEL", "test:plain:login"]).await;
    assert_eq!(there.records.update("login", keep).await.unwrap(), None);
    assert_eq!(here.records.update("login", add("d")).await.unwrap(), "d");
}

#[tokio::test]
async fn a_copy_that_cannot_be_read_is_no_reason_to_fail_for_ever() {
    let redis = Server::start().await;
    let process = Process::start(&redis.url(), 0).await;
    let sums: Records<Moment> = Records::in_redis("plain", &process.redis);
    let next = |found: Option<&Moment>, now: Moment| {
        let sum = found.map_or(0, |Moment(sum)| *sum) + 1;
        Step::Write(Write::new(Moment(sum), now + Duration::from_secs(60)), sum)
    };
    assert_eq!(sums.update("sum", next).await.unwrap(), 1);
    process.records.put("sum", |now| write("rubbish", now)).await.unwrap();
    assert!(sums.update("sum", next).await.is_err());
    redis.cli(&["SET", "test:plain:sum", "7"]).await;
    assert_eq!(sums.update("sum", next).await.unwrap(), 8);
}

#[tokio::test]
async fn what_was_written_here_is_news_here_until_somebody_has_changed_it() {
    let redis = Server::start().await;
    let [here, there] = [Process::start(&redis.url(), 0).await, Process::start(&redis.url(), 0).await];
    let told = async |text: &str| {
        let write = |_: Option<&Plain>, now| Step::Write(Write { is_news: true, ..write(text, now) }, ());
        here.records.update("login", write).await.unwrap();
    };
    let news = |of: &Process| of.records.news("login").map(|found| found.record.unwrap().0);
    told("a").await;
    assert_eq!((news(&there), news(&here)), (None, Some("a".to_owned())));
    assert_eq!(news(&here), None, "it is said once");
    told("b").await;
    here.records.outdate("login");
    assert_eq!(news(&here), None);
    here.records.update("login", add("c")).await.unwrap();
    assert_eq!(news(&here), None, "nobody is told of it");
    // What is not clear is not news.
    redis.freeze();
    let failed = here.records.update("login", |found, now| {
        let text = found.map_or_else(String::new, |Plain(text)| format!("{text}d"));
        Step::Write(Write { is_news: true, ..write(text, now) }, ())
    });
    assert!(matches!(failed.await, Err(Failure::Unknown(_))));
    assert_eq!(news(&here), None);
    redis.thaw();
}

#[tokio::test]
async fn the_clock_is_known_and_never_ahead_and_nothing_is_known_without_a_connection() {
    let mut redis = Server::start().await;
    let process = Process::start(&redis.url(), 0).await;
    process.records.update("login", add("a")).await.unwrap();
    for _ in 0..100 {
        let known = process.redis.link.clock.now().unwrap();
        // The operator's own look takes milliseconds.
        let now = this_machines_clock();
        assert!(known <= now && now.since(known) < Duration::from_millis(500), "{known:?} {now:?}");
        sleep(Duration::from_millis(2)).await;
    }
    redis.stop().await;
    timeout(PATIENCE, process.redis.is_connected(false)).await.unwrap();
    let mut is_asked = false;
    let failed = process.records.update("login", |_, now| {
        is_asked = true;
        Step::Write(write("b", now), ())
    });
    assert!(matches!(failed.await, Err(Failure::NotDone(_))));
    assert!(!is_asked && process.records.news("login").is_none());
}
