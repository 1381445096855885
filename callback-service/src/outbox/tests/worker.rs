//! The worker, with paused time.

use std::future::pending;

use prometheus_client::registry::Registry;
use server::admin::Readiness;
use server::service::{Port, Service};
use server::stop::Drain;
use tokio::time::{sleep, timeout};

use super::*;
use crate::outbox::queue::{GIVE_UP_AFTER, LEASE, MOST_WAITING};
use crate::outbox::worker::TRY;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn records() -> Records<Kept<Queue>> {
    Records::in_memory(KIND, 1000)
}

fn outbox() -> Outbox {
    Outbox::new(records(), Metrics::default())
}

/// Works for some time. The last `sites` are tried by `answer`.
async fn work(
    outbox: &Outbox,
    seen: &Sites,
    time: Duration,
    sites: &[&str],
    answer: impl AsyncFn(&str) -> Result<(), String>,
) {
    let post = async |site: String, delivery: Delivery| {
        seen.note(&site, &delivery);
        answer(&site).await
    };
    let _ = timeout(time, outbox.run(names(sites), post)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_put_is_delivered_at_once_and_once() {
    let (outbox, seen, began) = (outbox(), Sites::default(), Instant::now());
    let putting = async {
        sleep(SECOND).await;
        outbox.put("shop", logout("a")).await.unwrap();
        outbox.put("wiki", event("b")).await.unwrap();
    };
    tokio::join!(work(&outbox, &seen, HOUR, &["shop", "wiki"], async |_| Ok(())), putting);
    let mut tries = seen.tries();
    tries.sort_by(|one, other| one.site.cmp(&other.site));
    assert_eq!(tries.len(), 2, "{tries:?}");
    for (one, (site, name)) in tries.iter().zip([("shop", "a"), ("wiki", "b")]) {
        assert_eq!((one.site.as_str(), one.name.as_str()), (site, name));
        assert_eq!(one.at - began, SECOND, "at once");
        assert_eq!(outbox.look(site).await.unwrap(), View::default());
    }
    for kind in ["logout", "login"] {
        assert_eq!(counted(&outbox.metrics.outbox_delivered, kind), 1);
        assert_eq!(counted(&outbox.metrics.outbox_failed, kind), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_process_puts_is_found_soon() {
    let (records, seen) = (records(), Sites::default());
    let [here, there] = [(); 2].map(|()| Outbox::new(records.clone(), Metrics::default()));
    let putting = async {
        sleep(SECOND).await;
        there.put("shop", logout("a")).await.unwrap();
    };
    tokio::join!(work(&here, &seen, 4 * SECOND, &["shop"], async |_| Ok(())), putting);
    assert_eq!(seen.tries().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_comes_is_served_and_one_that_goes_is_not() {
    let (outbox, seen) = (outbox(), Sites::default());
    let served = Mutex::new(vec!["shop".to_owned()]);
    let post = async |site: String, delivery: Delivery| {
        seen.note(&site, &delivery);
        Ok(())
    };
    let changing = async {
        for site in ["shop", "wiki"] {
            sleep(10 * SECOND).await;
            *served.lock() = vec![site.to_owned()];
            sleep(10 * SECOND).await;
            for to in ["shop", "wiki"] {
                outbox.put(to, logout(site)).await.unwrap();
            }
        }
        sleep(10 * SECOND).await;
    };
    tokio::select! {
        () = outbox.run(|| served.lock().clone(), post) => {}
        () = changing => {}
    }
    let tries: Vec<(String, String)> = seen.tries().into_iter().map(|one| (one.site, one.name)).collect();
    let expected = [("shop", "shop"), ("wiki", "shop"), ("wiki", "wiki")];
    assert_eq!(tries, expected.map(|(site, name)| (site.to_owned(), name.to_owned())));
    assert_eq!(outbox.look("shop").await.unwrap().waiting.len(), 1, "it waits for the site to come back");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_after_growing_waits_until_it_arrives() {
    let (outbox, seen) = (outbox(), Sites::default());
    outbox.put("shop", logout("a")).await.unwrap();
    let answer = async |_: &str| match seen.tries().len() {
        6.. => Ok(()),
        tries => Err(format!("no {tries}")),
    };
    work(&outbox, &seen, HOUR, &["shop"], answer).await;
    let tries = seen.tries();
    assert_eq!(tries.len(), 6, "{tries:?}");
    assert!(tries.iter().all(|one| one.id == tries[0].id), "the id stays");
    for (number, two) in tries.windows(2).enumerate() {
        let (wait, longest) = (two[1].at - two[0].at, 5 * SECOND * (1 << number));
        // A sleep ends on whole milliseconds.
        assert!((longest / 2..=longest + 5 * SECOND / 1000).contains(&wait), "{wait:?} of {longest:?}");
    }
    assert_eq!(outbox.look("shop").await.unwrap(), View::default());
    assert_eq!(counted(&outbox.metrics.outbox_failed, "logout"), 5);
    assert_eq!(counted(&outbox.metrics.outbox_delivered, "logout"), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_day_it_is_given_up_and_can_be_looked_at() {
    let (outbox, seen) = (outbox(), Sites::default());
    outbox.put("shop", logout("a")).await.unwrap();
    work(&outbox, &seen, 2 * GIVE_UP_AFTER, &["shop"], async |_| Err("it is closed".to_owned())).await;
    let tries = seen.tries();
    let last = tries.last().unwrap().at - tries[0].at;
    assert!((GIVE_UP_AFTER..GIVE_UP_AFTER + SECOND).contains(&last), "{last:?}");
    assert!((30..60).contains(&tries.len()), "{} tries", tries.len());
    let View { waiting, dead } = outbox.look("shop").await.unwrap();
    assert_eq!((waiting.len(), dead.len()), (0, 1));
    assert_eq!((&dead[0].id, dead[0].kind, dead[0].tries as usize), (&tries[0].id, "logout", tries.len()));
    assert_eq!(dead[0].error.as_deref(), Some("it is closed"));
    assert_eq!(counted(&outbox.metrics.outbox_dead, "logout"), 1);
    assert_eq!(counted(&outbox.metrics.outbox_failed, "logout"), tries.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn dead_sites_hold_up_no_other() {
    let (outbox, seen) = (outbox(), Sites::default());
    let dead: Vec<String> = (0..30).map(|site| format!("dead-{site}")).collect();
    let mut sites: Vec<&str> = dead.iter().map(String::as_str).collect();
    for site in &sites {
        for at in 0..20 {
            outbox.put(site, logout(&at.to_string())).await.unwrap();
        }
    }
    sites.push("shop");
    let answer = async |site: &str| match site {
        "shop" => Ok(()),
        _ => pending().await,
    };
    let putting = async {
        // By now each of them has failed once.
        sleep(60 * SECOND).await;
        for at in 0..100 {
            outbox.put("shop", logout(&at.to_string())).await.unwrap();
            sleep(SECOND).await;
            assert_eq!(outbox.look("shop").await.unwrap(), View::default(), "{at}");
        }
    };
    tokio::join!(work(&outbox, &seen, 200 * SECOND, &sites, answer), putting);
    let tries = seen.tries();
    assert!(dead.iter().all(|site| tries.iter().any(|one| one.site == *site)), "each is tried");
    let at_once = |moment: Instant| {
        let is_under_way = |one: &&Try| one.site != "shop" && one.at <= moment && moment < one.at + TRY;
        tries.iter().filter(is_under_way).count()
    };
    let most = tries.iter().map(|one| at_once(one.at)).max();
    assert!(most <= Some(16), "{most:?} at once");
}

#[tokio::test(start_paused = true)]
async fn a_try_that_takes_too_long_has_failed() {
    let (outbox, seen) = (outbox(), Sites::default());
    outbox.put("shop", logout("a")).await.unwrap();
    work(&outbox, &seen, TRY + SECOND, &["shop"], async |_| pending().await).await;
    let view = outbox.look("shop").await.unwrap();
    assert_eq!((seen.tries().len(), view.waiting[0].tries), (1, 1));
    assert_eq!(view.waiting[0].error.as_deref(), Some("no answer within 10 s"));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_between_the_post_and_its_note_posts_again_with_the_same_id() {
    let (records, seen) = (records(), Sites::default());
    let [first, second] = [(); 2].map(|()| Outbox::new(records.clone(), Metrics::default()));
    first.put("shop", logout("a")).await.unwrap();
    // The site has it, and the process is gone before its answer.
    work(&first, &seen, SECOND, &["shop"], async |_| pending().await).await;
    work(&second, &seen, HOUR, &["shop"], async |_| Ok(())).await;
    let tries = seen.tries();
    assert_eq!((tries.len(), &tries[0].id), (2, &tries[1].id));
    let wait = tries[1].at - tries[0].at;
    assert!((LEASE..LEASE + SECOND).contains(&wait), "{wait:?}: nobody tries it while the first may");
    assert_eq!(second.look("shop").await.unwrap(), View::default());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_the_new_and_keeps_the_old() {
    let outbox = outbox();
    for at in 0..MOST_WAITING {
        outbox.put("shop", logout(&at.to_string())).await.unwrap();
    }
    let refused = outbox.put("shop", logout(&MOST_WAITING.to_string())).await.unwrap_err();
    assert!(
        refused.to_string().contains("shop"),
        "a logout ends a session, so whoever puts it hears of that"
    );
    assert_eq!(outbox.look("shop").await.unwrap().waiting.len(), MOST_WAITING);
    assert_eq!(counted(&outbox.metrics.outbox_refused, "logout"), 1);
    outbox.put("wiki", logout("a")).await.unwrap();
    let seen = Sites::default();
    work(&outbox, &seen, HOUR, &["shop", "wiki"], async |_| Ok(())).await;
    let tries = seen.tries();
    assert_eq!(tries.len(), MOST_WAITING + 1);
    assert!(tries.iter().all(|one| one.name != MOST_WAITING.to_string()), "the last was refused");
}

#[tokio::test(start_paused = true)]
async fn events_take_no_room_from_logouts() {
    let outbox = outbox();
    for _ in 0..=MOST_WAITING {
        outbox.put("shop", event("a")).await.unwrap();
    }
    assert_eq!(counted(&outbox.metrics.outbox_refused, "login"), 1);
    outbox.put("shop", logout("a")).await.unwrap();
    assert_eq!(outbox.look("shop").await.unwrap().waiting.len(), MOST_WAITING + 1);
}

#[tokio::test(start_paused = true)]
async fn the_work_is_what_a_service_can_do() {
    let (outbox, seen) = (outbox(), Sites::default());
    outbox.put("shop", logout("a")).await.unwrap();
    let mut service = Service::new(&Drain::new(SECOND));
    service.work(outbox.run(names(&["shop"]), |site, delivery| {
        let seen = seen.clone();
        async move {
            seen.note(&site, &delivery);
            Ok(())
        }
    }));
    let admin = Port::bind("TEST_LISTEN", "127.0.0.1:0".parse().unwrap()).unwrap();
    let ready: Readiness = Arc::new(|| Ok(None));
    service.run(admin, Registry::default(), ready, sleep(SECOND)).await.unwrap();
    assert_eq!(seen.tries().len(), 1);
}
