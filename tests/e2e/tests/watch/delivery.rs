//! The alert for which there is no other sign: every process lives and is ready, and no page hears anything.

use std::time::Duration;

use e2e::fleet::{Fleet, Options};
use e2e::proxy::{Direction, Proxy};
use tokio::time::{sleep, timeout};

use crate::prometheus::Prometheus;

/// Longer than everything that is waited for here, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until just these alerts fire.
async fn fire(prometheus: &Prometheus, expected: &[&str]) {
    let mut firing = Vec::new();
    let waiting = async {
        loop {
            firing = prometheus.firing().await;
            if firing == expected {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{firing:?} in place of {expected:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_fires_when_pages_hear_nothing_although_every_process_lives() {
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    // Between callback-service as a browser and the gateway.
    let pages = Proxy::before(fleet.gateways[0].public).await;
    fleet.callbacks[0].set("CALLBACK_PROBE_URL", format!("http://{}", pages.address()));
    fleet.callbacks[0].set("CALLBACK_PROBE_EVERY", "1s".to_owned());
    fleet.gateways[0].start();
    fleet.callbacks[0].start();
    fleet.until_ready().await;

    // The same rules, with seconds in place of minutes: a probe each second instead of one each minute.
    let (gateway, callback) = (fleet.gateways[0].admin, fleet.callbacks[0].admin);
    let prometheus = Prometheus::start(|config, rules| {
        let targets = format!(
            "scrape_configs:\n\
             - {{job_name: ws-gateway, static_configs: [{{targets: [\"{gateway}\"]}}]}}\n\
             - {{job_name: callback-service, static_configs: [{{targets: [\"{callback}\"]}}]}}\n"
        );
        let config = config.replace("interval: 15s", "interval: 500ms");
        let quick = rules.replace(") > 300\n", ") > 5\n").replace("for: 1m\n", "for: 1s\n");
        assert_ne!(quick, rules);
        (config + &targets, quick)
    });
    let delivered = async {
        while fleet.callbacks[0].metric("callback_probes_total{outcome=\"delivered\"}").await < 3 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, delivered).await.expect("synthetic logins are delivered");
    fire(&prometheus, &[]).await;

    // What the gateway says to browsers arrives no more.
    pages.stall(Direction::ToClient);
    fire(&prometheus, &["SaomaDeliveryBroken"]).await;
    fleet.until_ready().await;

    pages.heal();
    pages.cut();
    fire(&prometheus, &[]).await;
}
