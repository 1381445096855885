//! People log in at sites, whose back ends redeem codes, while the provider under them is killed, its Redis hangs and its
//! keys change.

use std::time::Duration;

use e2e::crowd::{Crowd, person_of};
use e2e::fleet::Fleet;
use e2e::sites::{BackEnds, Provider, Site};
use test_redis::Redis;
use tokio::time::{Instant, sleep};

use crate::{judge, options, place, plan};

/// A callback service is down this long before it comes back.
const DOWN: Duration = Duration::from_millis(500);

/// Redis hangs for so long, and a callback service is killed meanwhile.
const HANGS: Duration = Duration::from_secs(3);

/// Within which a back end brings its code.
const BRINGS: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_at_sites_while_the_provider_is_killed_and_its_redis_hangs_and_its_keys_change() {
    let _place = place().await;
    let redis = Redis::start().await;
    let mut fleet = Fleet::prepare(options(&redis.url(), 2, 2)).await;
    let sites = [Site::new("shop"), Site::new("cafe")];
    let provider = Provider::prepare(&mut fleet, &sites);
    for node in fleet.gateways.iter_mut().chain(&mut fleet.callbacks) {
        node.start();
    }
    fleet.until_ready().await;
    let mut plan = plan(&fleet, 250, Duration::from_millis(60), Duration::from_secs(2));
    let instances = fleet.callbacks.iter().map(|callback| callback.public).collect();
    plan.sites = Some(BackEnds::new(&sites, &provider.issuer, instances, BRINGS, person_of));
    let opening = plan.pace * plan.people;
    let crowd = Crowd::start(plan, &fleet.wechat);
    let began = Instant::now();
    let mut kills = 0;
    while began.elapsed() < opening + Duration::from_secs(3) {
        sleep(Duration::from_secs(2) - DOWN).await;
        let victim = kills % 2;
        let hangs = kills == 2;
        if hangs {
            redis.freeze();
            sleep(HANGS / 2).await;
        }
        fleet.callbacks[victim].kill();
        kills += 1;
        if hangs {
            sleep(HANGS / 2).await;
            redis.thaw();
        } else {
            sleep(DOWN).await;
        }
        fleet.callbacks[victim].start();
        if kills == 5 {
            provider.rotate_key();
            fleet.callbacks.iter().for_each(|callback| callback.program().hang_up());
        }
    }
    eprintln!("{kills} kills");
    let summary = judge(crowd, &fleet, |history| history.limits.grace = Duration::from_secs(30)).await;
    assert_eq!(summary.redeemed + summary.in_vain, summary.granted, "every site knows: {summary}");
    // A try that was cut off may have used its code up. Its person has to scan again, so they must be few.
    assert!(summary.in_vain * 50 <= summary.granted, "{summary}");
    assert!(summary.on_first_code * 100 >= summary.browsers * 99, "{summary}");
    assert!(summary.doubts > 0, "nothing was in the way of any redemption: {summary}");
}
