//! People who are asked for the number of the page: some confirm, some deny, mistype or do nothing, and some scan a picture
//! that another person has sent them. Between the scan and the digits the provider is killed, lines are cut, and pages are
//! reloaded.

use std::collections::HashMap;
use std::time::Duration;

use e2e::crowd::{Crowd, Manner, Path, Plan, Victim, person_of};
use e2e::fleet::Fleet;
use e2e::history::{Browser, Event, History, News, Way, Words};
use e2e::proxy::Proxy;
use e2e::roaming::{Habits, Outcome};
use e2e::sites::{BackEnds, Provider, Site};
use fastrand::Rng;
use test_redis::Redis;
use tokio::time::{Instant, sleep};

use crate::{judge_outcomes, options, place, plan};

/// People, each with a page of their own.
const PEOPLE: u32 = 200;

/// A callback service is killed this often, and is down for so long.
const EVERY: Duration = Duration::from_secs(2);
const DOWN: Duration = Duration::from_millis(500);

/// Within which a page is reloaded, again and again.
const RELOADS: Duration = Duration::from_secs(8);

/// Within which a back end brings its code.
const BRINGS: Duration = Duration::from_secs(1);

/// Each manner is tried by every way.
fn path(browser: Browser) -> Path {
    Path::One([Way::Scan, Way::Typed, Way::Wechat][browser.0 as usize / 30 % 3])
}

/// Of ten people six want to log in.
fn manner(browser: Browser) -> Manner {
    match browser.0 % 10 {
        0..=3 => Manner::Confirms,
        4 => Manner::Corrects,
        5 => Manner::Regrets,
        6 => Manner::Denies,
        7 => Manner::Mistypes,
        8 => Manner::Idles,
        _ => {
            let victims = [Victim::Denies, Victim::Guesses, Victim::Idles];
            Manner::Forwards(victims[browser.0 as usize / 10 % victims.len()])
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_logged_in_before_the_right_digits_while_the_provider_is_killed_and_pages_come_back() {
    let _place = place().await;
    let redis = Redis::start().await;
    let mut fleet = Fleet::prepare(options(&redis.url(), 2, 2)).await;
    let sites = ["shop", "cafe"].map(|id| Site { confirm: true, ..Site::new(id) });
    let provider = Provider::prepare(&mut fleet, &sites);
    for node in fleet.gateways.iter_mut().chain(&mut fleet.callbacks) {
        node.start();
    }
    fleet.until_ready().await;
    let lines =
        [Proxy::before(fleet.gateways[0].public).await, Proxy::before(fleet.gateways[1].public).await];
    let first_retry = Duration::from_millis(500);
    let habits = Habits { first_retry, renewals: 0, reloads: Some(RELOADS), ..Habits::default() };
    let mut plan = plan(&fleet, PEOPLE, Duration::from_millis(60), Duration::from_secs(1));
    let instances = fleet.callbacks.iter().map(|callback| callback.public).collect();
    let back_ends = BackEnds::new(&sites, &provider.issuer, instances, BRINGS, person_of);
    let gateways = lines.iter().map(Proxy::address).collect();
    plan = Plan { gateways, habits, path, manner, sites: Some(back_ends), ..plan };
    let (opening, mut rng) = (plan.pace * plan.people, Rng::with_seed(plan.seed));
    let crowd = Crowd::start(plan, &fleet.wechat);
    let recorder = crowd.recorder.clone();
    let (began, mut kills) = (Instant::now(), Vec::new());
    while began.elapsed() < opening + Duration::from_secs(6) {
        let cut_after = (EVERY - DOWN).mul_f64(rng.f64());
        sleep(cut_after).await;
        rng.choice(&lines).unwrap().cut();
        sleep(EVERY - DOWN - cut_after).await;
        let victim = &mut fleet.callbacks[kills.len() % 2];
        victim.kill();
        kills.push(recorder.elapsed());
        sleep(DOWN).await;
        victim.start();
    }
    let slow = |history: &mut History| history.limits.grace = Duration::from_secs(30);
    let (summary, outcomes) = judge_outcomes(crowd, &fleet, slow).await;
    for (browser, outcome) in &outcomes {
        let (manner, way) = (manner(*browser), path(*browser).first());
        let is_right = match outcome {
            Outcome::Granted { code, .. } => manner.logs_in(way) && code.is_some(),
            // Its person has closed it.
            Outcome::Stopped(1001) => manner.leaves_the_login_open(),
            Outcome::Denied => !manner.logs_in(way) && !manner.leaves_the_login_open(),
            _ => false,
        };
        assert!(is_right, "{browser}, whose person comes by {way:?} and {manner:?}: {outcome:?}");
    }
    assert_eq!(summary.redeemed + summary.in_vain, summary.granted, "every site knows: {summary}");
    let history = recorder.history();
    let (between, resumed) = (killed_between(&history, &kills), numbers_shown_again(&history));
    eprintln!(
        "{} kills, {between} between a scan and its digits; {resumed} pages came back to a number",
        kills.len()
    );
    assert!(between >= 20 && resumed >= 20, "the faults hit nothing: {between}, {resumed}");
}

/// Logins that waited for their digits while a callback service was killed.
fn killed_between(history: &History, kills: &[Duration]) -> usize {
    let mut asked = HashMap::new();
    let mut between = 0;
    for (at, event) in &history.events {
        match event {
            Event::Told { person, scene, words: Words::Question, .. } => {
                asked.entry((person, scene)).or_insert(*at);
            }
            Event::Types { person, scene, .. } => {
                let since = asked.remove(&(person, scene));
                let is_between =
                    since.is_some_and(|since| kills.iter().any(|kill| (since..*at).contains(kill)));
                between += usize::from(is_between);
            }
            _ => {}
        }
    }
    between
}

/// Pages that came back, by a lost line or a reload, and were told their number again.
fn numbers_shown_again(history: &History) -> usize {
    let mut told: HashMap<Browser, u32> = HashMap::new();
    for (_, event) in &history.events {
        if let Event::Heard { browser, news: News::Scanned { number: Some(_), .. }, .. } = event {
            *told.entry(*browser).or_default() += 1;
        }
    }
    told.values().filter(|times| **times > 1).count()
}
