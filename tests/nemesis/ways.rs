//! People scan, type the page's code, open its login inside WeChat, and race: two ways to one login at the same moment, by one
//! person or by two, while processes are killed and lines are cut.

use std::time::Duration;

use e2e::crowd::{Crowd, Path, Plan, person, person_of};
use e2e::fleet::{Fleet, Options};
use e2e::history::{Browser, History, Summary, Way, Words};
use e2e::proxy::Proxy;
use e2e::roaming::{Habits, Outcome};
use e2e::sites::{BackEnds, Provider, Site};
use fastrand::Rng;
use tempfile::tempdir;
use test_redis::Redis;
use tokio::time::{Instant, sleep};

use crate::{judge_outcomes, options, place, plan};

/// Something is killed this often, and is down for so long.
const EVERY: Duration = Duration::from_secs(2);
const DOWN: Duration = Duration::from_millis(500);

/// Within which a back end brings its code.
const BRINGS: Duration = Duration::from_secs(1);

/// Every pair of ways races, by one person and by two.
fn path(browser: Browser) -> Path {
    use Way::{Scan, Typed, Wechat};
    let paths = [
        Path::One(Scan),
        Path::One(Typed),
        Path::One(Wechat),
        Path::Race(Scan, Typed),
        Path::Race(Typed, Wechat),
        Path::Race(Wechat, Scan),
        Path::Race(Typed, Typed),
        Path::Both(Scan, Typed),
        Path::Both(Typed, Wechat),
        Path::Both(Wechat, Scan),
    ];
    paths[browser.0 as usize % paths.len()]
}

/// Starts the fleet with two sites, of which one has its logins confirmed, and lines to the gateways that can be cut. Gives
/// the plan of a crowd there.
async fn prepare(fleet: &mut Fleet, people: u32) -> (Provider, Vec<Proxy>, Plan) {
    let sites = [Site { confirm: true, ..Site::new("shop") }, Site::new("cafe")];
    let provider = Provider::prepare(fleet, &sites);
    for node in fleet.gateways.iter_mut().chain(&mut fleet.callbacks) {
        node.start();
    }
    fleet.until_ready().await;
    let mut lines = Vec::new();
    for gateway in &fleet.gateways {
        lines.push(Proxy::before(gateway.public).await);
    }
    let instances = fleet.callbacks.iter().map(|callback| callback.public).collect();
    let back_ends = BackEnds::new(&sites, &provider.issuer, instances, BRINGS, person_of);
    let habits = Habits { first_retry: Duration::from_millis(500), ..Habits::default() };
    let plan = plan(fleet, people, Duration::from_millis(60), Duration::from_secs(1));
    let gateways = lines.iter().map(Proxy::address).collect();
    (provider, lines, Plan { gateways, habits, path, sites: Some(back_ends), ..plan })
}

/// Cuts a line at a random moment before the next kill.
async fn cut_one(lines: &[Proxy], rng: &mut Rng) {
    let cut_after = (EVERY - DOWN).mul_f64(rng.f64());
    sleep(cut_after).await;
    rng.choice(lines).unwrap().cut();
    sleep(EVERY - DOWN - cut_after).await;
}

fn all_came_every_way(summary: &Summary, outcomes: &[(Browser, Outcome)]) {
    let (mut own, mut rivals) = (0, 0);
    for (browser, outcome) in outcomes {
        let Outcome::Granted { user, .. } = outcome else {
            panic!("{browser} is not logged in: {outcome:?}")
        };
        let is_race = matches!(path(*browser), Path::Race(..));
        own += usize::from(is_race && *user == person(*browser));
        rivals += usize::from(is_race && *user != person(*browser));
    }
    eprintln!("of the races the page's own person has won {own}, and the other {rivals}");
    assert!(own * 8 >= rivals && rivals * 8 >= own, "they come at the same moment: {own}, {rivals}");
    assert_eq!(summary.redeemed + summary.in_vain, summary.granted, "every site knows: {summary}");
    for way in [Way::Scan, Way::Typed, Way::Wechat] {
        assert!(summary.claims.get(&way).is_some_and(|claims| *claims >= summary.browsers / 5), "{summary}");
    }
    // Of ten logins six are raced for by different ways, and one by two people of the same.
    assert!(summary.raced * 2 >= summary.browsers, "{summary}");
    assert!(
        summary.words.get(&Words::Taken).is_some_and(|taken| *taken >= summary.browsers / 5),
        "{summary}"
    );
    assert!(summary.wrong_codes > 0, "nobody has mistyped a code: {summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_has_one_person_and_one_end_whichever_way_comes_first_while_everything_is_killed() {
    let _place = place().await;
    let redis = Redis::start().await;
    let mut fleet = Fleet::prepare(options(&redis.url(), 2, 2)).await;
    let (_provider, lines, plan) = prepare(&mut fleet, 200).await;
    let (opening, mut rng) = (plan.pace * plan.people, Rng::with_seed(plan.seed));
    let crowd = Crowd::start(plan, &fleet.wechat);
    let (began, mut kills) = (Instant::now(), 0);
    while began.elapsed() < opening + Duration::from_secs(4) {
        cut_one(&lines, &mut rng).await;
        let victim = match kills % 4 {
            0 => &mut fleet.callbacks[0],
            1 => &mut fleet.gateways[0],
            2 => &mut fleet.callbacks[1],
            _ => &mut fleet.gateways[1],
        };
        victim.kill();
        kills += 1;
        sleep(DOWN).await;
        victim.start();
    }
    eprintln!("{kills} kills");
    let slow = |history: &mut History| history.limits.grace = Duration::from_secs(30);
    let (summary, outcomes) = judge_outcomes(crowd, &fleet, slow).await;
    all_came_every_way(&summary, &outcomes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_gateway_in_memory_and_one_callback_service_on_sqlite_know_every_way() {
    let _place = place().await;
    let folder = tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("saoma.sqlite").display());
    let one = Options { callback_store: store, all_ways: true, ..Options::one_of_each() };
    let mut fleet = Fleet::prepare(one).await;
    let (_provider, lines, plan) = prepare(&mut fleet, 80).await;
    let (opening, mut rng) = (plan.pace * plan.people, Rng::with_seed(plan.seed));
    let crowd = Crowd::start(plan, &fleet.wechat);
    let began = Instant::now();
    // The gateway's memory would be gone; what people have done is on the disk.
    while began.elapsed() < opening {
        cut_one(&lines, &mut rng).await;
        fleet.callbacks[0].kill();
        sleep(DOWN).await;
        fleet.callbacks[0].start();
    }
    let slow = |history: &mut History| history.limits.grace = Duration::from_secs(30);
    let (summary, outcomes) = judge_outcomes(crowd, &fleet, slow).await;
    all_came_every_way(&summary, &outcomes);
}
