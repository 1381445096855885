//! How an operator may say where Redis is: with TLS, with a password apart, and wrongly.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::HashMap;
use std::time::Duration;

use e2e::fleet::{Fleet, Options};
use e2e::page::Page;
use e2e::programs;
use test_redis::Redis;

fn options(store: &str) -> Options {
    let (gateway_store, callback_store) = (store.to_owned(), store.to_owned());
    Options { gateway_store, callback_store, gateways: 1, callbacks: 1, ..Options::default() }
}

async fn log_in(fleet: &Fleet) {
    let mut page = Page::open(fleet.gateways[0].public).await;
    let code = page.code().await;
    let person = fleet.wechat.invent_person("阿狸", true);
    fleet.wechat.scan(&person.openid, &code.content).await.unwrap();
    page.expect("scanned").await;
    assert_eq!(page.expect("scan_success").await["user"], "阿狸");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_with_an_authority_of_ones_own_and_not_without_it() {
    let setup = test_redis::Options {
        tls: true,
        password: Some("hunter2".to_owned()),
        ..test_redis::Options::default()
    };
    let redis = Redis::start_with(setup).await;
    let bare = format!("rediss://127.0.0.1:{}", redis.port());
    let mut fleet = Fleet::prepare(options(&bare)).await;
    let authority = redis.authority().to_str().unwrap().to_owned();
    fleet.gateways[0].set("GATEWAY_REDIS_PASSWORD", "hunter2".to_owned());
    fleet.callbacks[0].set("CALLBACK_REDIS_PASSWORD", "hunter2".to_owned());

    // An authority that nobody has heard of is not believed.
    fleet.gateways[0].start();
    let url = format!("http://{}/readyz", fleet.gateways[0].admin);
    let answer = reqwest::get(&url).await.unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.text().await.unwrap().contains("store of logins"));
    let complains = async {
        let mut log = String::new();
        while !log.contains("no connection to Redis") {
            tokio::time::sleep(Duration::from_millis(20)).await;
            log += &fleet.gateways[0].program().log();
        }
        log
    };
    let log = tokio::time::timeout(e2e::page::PATIENCE, complains).await.unwrap();
    assert!(!log.contains("hunter2"), "{log}");
    fleet.gateways[0].kill();

    for node in fleet.gateways.iter_mut().chain(&mut fleet.callbacks) {
        node.set("SSL_CERT_FILE", authority.clone());
        node.start();
    }
    fleet.until_ready().await;
    log_in(&fleet).await;
}

#[test]
fn a_wrong_place_is_named_and_its_password_is_not_shown() {
    for (program, setting, value) in [
        ("ws-gateway", "GATEWAY_STORE", "redis//:hunter2@cache"),
        ("ws-gateway", "GATEWAY_STORE", "rediss://:hunter2@cache/#insecure"),
        ("callback-service", "CALLBACK_STORE", "redis+sentinel://:hunter2@cache"),
    ] {
        let settings = HashMap::from([
            (setting, value.to_owned()),
            ("WECHAT_APP_ID", "wx0123456789abcdef".to_owned()),
            ("WECHAT_APP_SECRET", "secret".to_owned()),
            ("WECHAT_TOKEN", "token".to_owned()),
            ("WECHAT_AES_KEY", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".to_owned()),
            ("NOTIFY_KEY", "0123456789abcdef0123456789abcdef".to_owned()),
        ]);
        let output = programs::output(program, &settings, &[]);
        let said = programs::text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains(setting) && !said.contains("hunter2") && said.lines().count() == 1, "{said}");
        let help = programs::text(&programs::output(program, &settings, &["--help"]).stdout);
        assert!(help.contains(setting) && !help.contains("hunter2"), "{help}");
    }
}
