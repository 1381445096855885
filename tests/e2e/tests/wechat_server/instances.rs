//! Two callback services on one Redis, and an operator's SIGHUP.

use std::time::Duration;

use e2e::fleet::{Fleet, Options};
use e2e::page::PATIENCE;
use test_redis::Redis;
use tokio::time::{sleep, timeout};

use crate::client::{File, NO_RIGHT, NOBODY, Site, digits, good, new_token, says};

/// So many callback services on one Redis, with one site, for which a scan is enough; and the site, at each of them.
async fn fleet(redis: &Redis, callbacks: usize) -> (Fleet, File, Vec<Site>) {
    let (entry, token) = new_token("api");
    let file = File::of(&format!("{entry}confirm = false\n"));
    let options = Options {
        gateway_store: redis.url(),
        callback_store: redis.url(),
        gateways: 1,
        callbacks,
        ..Options::default()
    };
    let mut fleet = Fleet::prepare(options).await;
    fleet.callbacks.iter_mut().for_each(|node| node.set("CALLBACK_WECHAT_SERVER", file.path()));
    fleet.gateways.iter_mut().chain(&mut fleet.callbacks).for_each(e2e::fleet::Node::start);
    fleet.until_ready().await;
    let sites = fleet.callbacks.iter().map(|node| Site::new(node.public, &token)).collect();
    (fleet, file, sites)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_one_instance_is_good_at_the_other_and_once_in_all() {
    let redis = Redis::start().await;
    let (mut fleet, _file, sites) = fleet(&redis, 2).await;
    let person = fleet.wechat.invent_person("阿狸", true).openid;
    // Whichever instance has taken the push.
    for (first, second) in [(0, 1), (1, 0)] {
        let code = digits(&says(&fleet.wechat, &person, "验证码").await);
        let both = tokio::join!(sites[first].user(&code), sites[second].user(&code));
        let mut both = [both.0, both.1];
        both.sort();
        assert_eq!(both, [NOBODY.to_owned(), good(&person)]);
    }
    // A login by QR code is made at one, and asked about at the other.
    let created = sites[0].create().await;
    let login_token = created["data"]["login_token"].as_str().unwrap();
    assert_eq!(sites[1].status(login_token).await["data"]["status"], "pending");

    // What one has given out, the other knows when the first is gone.
    let code = digits(&says(&fleet.wechat, &person, "验证码").await);
    fleet.callbacks[0].kill();
    assert_eq!(sites[1].user(&code).await, good(&person));
    // Wrong codes are counted together, also across a kill.
    let mut looked_at = 0;
    for guess in 0..30 {
        looked_at += usize::from(sites[1].user(&format!("00000{}", guess % 10)).await == NOBODY);
    }
    // One or two of these were taken by the second redemptions above.
    assert!((7..=11).contains(&looked_at), "{looked_at}");
}

/// By the store's clock, which is the only one that instances have together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_and_a_qr_code_have_their_time() {
    /// A gateway and a callback service.
    const PROGRAMS: usize = 2;
    let redis =
        Redis::start_with(test_redis::Options { clock: true, ..test_redis::Options::default() }).await;
    let (fleet, _file, sites) = fleet(&redis, 1).await;
    let (site, person) = (&sites[0], fleet.wechat.invent_person("阿狸", true).openid);
    for (passed, is_good) in [(150, true), (181, false)] {
        redis.set_clock_for(PROGRAMS, 0).await;
        let code = digits(&says(&fleet.wechat, &person, "验证码").await);
        redis.set_clock_for(PROGRAMS, passed).await;
        assert_eq!(
            site.user(&code).await,
            if is_good { good(&person) } else { NOBODY.to_owned() },
            "{passed}"
        );
    }
    redis.set_clock_for(PROGRAMS, 0).await;
    let created = site.create().await;
    let login_token = created["data"]["login_token"].as_str().unwrap();
    for (passed, success, status) in [(570, true, "pending"), (601, true, "expired"), (800, false, "")] {
        redis.set_clock_for(PROGRAMS, passed).await;
        let told = site.status(login_token).await;
        assert_eq!(
            (&told["success"], &told["data"]["status"]),
            (&success.into(), &status.into()),
            "{passed}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_changed_without_a_restart_and_a_broken_file_changes_nothing() {
    let ((entry, old), (_, new)) = (new_token("api"), new_token("api"));
    let file = File::of(&entry);
    let mut fleet = Fleet::prepare(Options::one_of_each()).await;
    fleet.callbacks[0].set("CALLBACK_WECHAT_SERVER", file.path());
    fleet.callbacks[0].set("RUST_LOG", "debug".to_owned());
    fleet.gateways[0].start();
    fleet.callbacks[0].start();
    fleet.until_ready().await;
    let [old, new] = [old, new].map(|token| Site::new(fleet.callbacks[0].public, &token));
    assert_eq!([old.user("000000").await, new.user("000000").await], [NOBODY, NO_RIGHT]);
    let person = fleet.wechat.invent_person("阿狸", true).openid;
    let code = digits(&says(&fleet.wechat, &person, "验证码").await);
    assert_eq!(old.user(&code).await, good(&person));
    let created = old.create().await;
    let login_token = created["data"]["login_token"].as_str().unwrap();
    old.status(login_token).await;
    let mut log = String::new();

    file.write(&entry.replace("token_sha256", "token"));
    fleet.callbacks[0].program().hang_up();
    until_logged(&fleet, &mut log, "CALLBACK_WECHAT_SERVER: ").await;
    assert_eq!(old.user("000001").await, NOBODY);

    file.write(&entry.replace(&hash_of(&old.token), &hash_of(&new.token)));
    fleet.callbacks[0].program().hang_up();
    until_logged(&fleet, &mut log, "were read again").await;
    assert_eq!([old.user("000002").await, new.user("000002").await], [NO_RIGHT, NOBODY]);
    log += &fleet.callbacks[0].program().log();
    for secret in [&*old.token, &new.token, &hash_of(&new.token), &code, login_token] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}

fn hash_of(token: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn until_logged(fleet: &Fleet, log: &mut String, words: &str) {
    let told = async {
        while !log.contains(words) {
            *log += &fleet.callbacks[0].program().log();
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(PATIENCE, told).await.is_ok(), "{words} is not in {log}");
}
