//! What a [`Journal`] promises, tried with each store, as two processes see it.

#![allow(clippy::unwrap_used)]

use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Did {
    what: String,
}

type Who = String;
type Diary = Journal<Did, Who>;

const LONG: Keeps = Keeps { age: Duration::from_secs(3600), most: 1000 };

async fn on_each_store(keeps: Keeps, test: impl AsyncFn(&Diary, &Diary)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.db");
    let [one, other] =
        [(); 2].map(|()| Journal::in_sqlite("diary", &Sqlite::open(&path, "").unwrap(), keeps));
    test(&one, &other).await;

    // A user who may do what docs/stores.md names for it, under the prefix alone.
    let rights = "+get +set +del +evalsha +eval +script|load +time +xadd +xlen +xrange +xrevrange +xdel +hset +hget \
                  +hdel +hkeys +pexpire +hello +ping +role";
    let users = vec![format!("journal on >pw resetchannels ~test:* {rights}")];
    let redis = test_redis::Redis::start_with(test_redis::Options { users, ..Default::default() }).await;
    let [(one, keep_one), (other, keep_other)] = [(); 2]
        .map(|()| Redis::new(redis.url_as("journal", "pw").parse().unwrap(), "test:".to_owned(), 0, None));
    let keeping = [tokio::spawn(keep_one.run()), tokio::spawn(keep_other.run())];
    let connected = async { tokio::join!(one.is_connected(true), other.is_connected(true)) };
    timeout(test_redis::PATIENCE, connected).await.unwrap();
    let [one, other] = [one, other].map(|redis| Journal::in_redis("diary", &redis, keeps));
    test(&one, &other).await;
    for task in keeping {
        task.abort();
    }
}

fn note(what: &str, who: Option<&str>) -> Note<Did, Who> {
    let about = who.map(|who| (who.to_owned(), format!("{who} at home")));
    Note { name: None, entry: Did { what: what.to_owned() }, about }
}

/// All lines, read in pages of `most`: what was done, and by whom.
async fn read(diary: &Diary, range: &Range, most: u32) -> Vec<(String, Option<String>)> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = diary.page(range, before, most).await.unwrap();
        assert!(page.lines.len() <= most as usize && page.unreadable == 0);
        all.extend(page.lines.into_iter().map(|line| (line.entry.what, line.personal)));
        match page.next {
            None => return all,
            next => before = next,
        }
    }
}

fn line(what: &str, who: Option<&str>) -> (String, Option<String>) {
    (what.to_owned(), who.map(|who| format!("{who} at home")))
}

#[tokio::test]
async fn lines_are_read_from_the_newest_back_in_pages_of_any_size() {
    on_each_store(LONG, async |here, there| {
        assert_eq!(read(here, &Range::default(), 10).await, []);
        let mut expected = Vec::new();
        for n in 0..7 {
            let (what, who) = (n.to_string(), (n % 3 > 0).then(|| format!("p{}", n % 3)));
            assert!([here, there][n % 2].append(note(&what, who.as_deref())).await.unwrap());
            expected.insert(0, line(&what, who.as_deref()));
        }
        for most in [1, 2, 3, 7, 100] {
            assert_eq!(read(there, &Range::default(), most).await, expected, "{most}");
        }
        let about = |who: &[&str]| Range {
            about: Some(who.iter().map(|&who| who.to_owned()).collect()),
            ..Range::default()
        };
        for most in [1, 2, 100] {
            let of_p1 = [line("4", Some("p1")), line("1", Some("p1"))];
            assert_eq!(read(here, &about(&["p1", "nobody"]), most).await, of_p1);
            assert_eq!(read(here, &about(&["p1", "p2"]), most).await.len(), 4);
        }
        assert_eq!(read(here, &about(&["nobody"]), 100).await, []);
    })
    .await;
}

#[tokio::test]
async fn a_range_of_time_has_the_lines_from_its_beginning_to_before_its_end() {
    on_each_store(LONG, async |here, there| {
        let mut times = Vec::new();
        for what in ["a", "b", "c"] {
            here.append(note(what, None)).await.unwrap();
            let page = here.page(&Range::default(), None, 1).await.unwrap();
            times.push(page.lines[0].place.at);
            // So that no two are of one moment.
            sleep(Duration::from_millis(2)).await;
        }
        let between = |since: Option<usize>, until: Option<usize>| Range {
            since: since.map(|n| times[n]),
            until: until.map(|n| times[n]),
            about: None,
        };
        for (range, expected) in [
            (between(Some(1), None), "cb"),
            (between(None, Some(2)), "ba"),
            (between(Some(1), Some(2)), "b"),
            (between(Some(2), Some(2)), ""),
        ] {
            for most in [1, 100] {
                let read: String =
                    read(there, &range, most).await.into_iter().map(|(what, _)| what).collect();
                assert_eq!(read, expected, "{range:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn of_lines_of_one_name_only_the_first_is_written() {
    on_each_store(LONG, async |here, there| {
        let named = |what: &str| Note { name: Some("name".to_owned()), ..note(what, Some("p")) };
        let both = tokio::join!(here.append(named("a")), there.append(named("a")));
        assert_ne!(both.0.unwrap(), both.1.unwrap(), "one of them was first");
        assert!(!here.append(named("b")).await.unwrap());
        assert_eq!(read(here, &Range::default(), 10).await, [line("a", Some("p"))]);
    })
    .await;
}

#[tokio::test]
async fn whoever_is_erased_is_in_no_line_any_more_and_the_lines_stay() {
    on_each_store(LONG, async |here, there| {
        for (what, who) in [("a", "p"), ("b", "q"), ("c", "p")] {
            here.append(note(what, Some(who))).await.unwrap();
        }
        let page = here.page(&Range::default(), None, 1).await.unwrap();
        let until = page.now;
        while here.page(&Range::default(), None, 1).await.unwrap().now <= until {
            sleep(Duration::from_millis(1)).await;
        }
        here.append(note("d", Some("p"))).await.unwrap();
        assert_eq!(there.erase("p", until).await, Ok(2));
        assert_eq!(there.erase("p", until).await, Ok(0), "a repeat");
        let left = [line("d", Some("p")), line("c", None), line("b", Some("q")), line("a", None)];
        assert_eq!(read(here, &Range::default(), 10).await, left);
        assert_eq!(here.erase("p", Moment(u64::MAX >> 12)).await, Ok(1), "also what came later");
        assert_eq!(here.erase("nobody", until).await, Ok(0));
        // Who comes again begins anew.
        here.append(note("e", Some("p"))).await.unwrap();
        let range = Range { about: Some(vec!["p".to_owned()]), ..Range::default() };
        assert_eq!(read(there, &range, 10).await, [line("e", Some("p"))]);
    })
    .await;
}

#[tokio::test]
async fn what_is_too_old_is_not_read_and_is_taken_out_with_what_is_personal() {
    let keeps = Keeps { age: Duration::from_millis(300), most: 1000 };
    on_each_store(keeps, async |here, there| {
        here.append(note("old", Some("p"))).await.unwrap();
        let until_old = async {
            while !read(here, &Range::default(), 10).await.is_empty() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(test_redis::PATIENCE, until_old).await.unwrap();
        let all = Journal::<Did, Who> { keeps: LONG, ..there.clone() };
        assert_eq!(read(&all, &Range::default(), 10).await, [line("old", Some("p"))], "it is still there");
        here.append(note("new", Some("p"))).await.unwrap();
        assert!(!here.trim().await.unwrap());
        let left = read(&all, &Range::default(), 10).await;
        assert!(!left.contains(&line("old", Some("p"))), "{left:?}");
        assert!(all.erase("p", Moment(u64::MAX >> 12)).await.unwrap() <= 1, "nothing of it is left");
    })
    .await;
}

#[tokio::test]
async fn of_too_many_lines_the_oldest_are_taken_out_step_by_step() {
    on_each_store(Keeps { most: 3, ..LONG }, async |here, there| {
        for n in 0..STEP + 10 {
            here.append(note(&n.to_string(), Some("p"))).await.unwrap();
        }
        assert!(there.trim().await.unwrap(), "there is more to do");
        assert!(!there.trim().await.unwrap());
        let newest = [STEP + 9, STEP + 8, STEP + 7].map(|n| line(&n.to_string(), Some("p")));
        assert_eq!(read(here, &Range::default(), 10).await, newest);
        assert_eq!(here.erase("p", Moment(u64::MAX >> 12)).await, Ok(3));
    })
    .await;
}
