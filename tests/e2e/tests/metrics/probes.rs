//! Two probes of callback-service, in a system of their own: their pages would take places that other tests count.

use e2e::fleet::{Fleet, Options};
use e2e::page::PATIENCE;
use tokio::time::{Duration, interval, timeout};

use crate::scrape::Scrape;

/// Waits for them; gives what is said of probes after each.
pub(crate) async fn all() -> Vec<Scrape> {
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    let pages = fleet.gateways[0].public;
    fleet.callbacks[0].set("CALLBACK_PROBE_URL", format!("http://{pages}"));
    fleet.callbacks[0].set("CALLBACK_PROBE_EVERY", "1s".to_owned());
    fleet.gateways[0].start();
    fleet.callbacks[0].start();
    let (mut seen, mut pace) = (Vec::new(), interval(Duration::from_millis(50)));
    let delivered = async {
        // The last success is told in whole seconds, and probes may be nearer to each other than that.
        for least in [1.0, 3.0] {
            loop {
                pace.tick().await;
                let mut now = Scrape::of(fleet.callbacks[0].admin).await;
                if now.get("callback_probes_total{outcome=\"delivered\"}") >= least {
                    now.0.retain(|name, _| name.starts_with("callback_probe"));
                    seen.push(now);
                    break;
                }
            }
        }
    };
    timeout(PATIENCE, delivered).await.expect("logins are delivered");
    seen
}
