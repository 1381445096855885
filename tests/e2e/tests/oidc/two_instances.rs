//! A provider of two processes on one Redis. A browser and a site may meet either of them at every step, one may be killed
//! between two steps, and keys change while they work.

use std::time::Duration;

use e2e::page::PATIENCE;
use e2e::programs::{output, text};
use futures_util::future::join_all;
use test_redis::{Options, Redis};
use tokio::task::block_in_place;

use crate::agent::Agent;
use crate::confirmation::{Asked, says};
use crate::instances::Instances;
use crate::parameters::Parameters;
use crate::provider::{Provider, code_of};
use crate::relying_party::{Site, came_back, came_back_with, is_refused, userinfo};

/// A code lives so long, in seconds.
const CODE_LIVES: i64 = 240;

async fn two(redis: &Redis) -> Instances {
    Instances::start(&redis.url(), 2, &Site::all()).await
}

/// The names of the public keys.
async fn kids(provider: &Provider) -> Vec<String> {
    let keys = provider.json("/jwks.json").await;
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_may_be_at_another_instance() {
    let redis = Redis::start().await;
    let instances = two(&redis).await;
    let (first, second) = (instances.at(0), instances.at(1));
    let (mut agent, shop) = (Agent::new(&first), Site::shop());
    let request = shop.request();
    let handle = agent.authorize(&request).await.handle();
    let code = first.scan(&handle, &first.person()).await;
    agent.provider = second.clone();
    let answer = agent.go_on(&handle, &code).await;
    let tokens = shop.finish(&first, &request, &answer).await;
    assert_eq!(userinfo(&second, &tokens.access_token).await.json(), tokens.person);
    shop.verify(&second, request.get("nonce"), &tokens.id_token).await.unwrap();

    // The session is at both, and so is its end.
    let silent = shop.request().with("prompt", "none");
    let again = agent.authorize(&silent).await;
    let code = came_back(&second, &silent, &again);
    assert_eq!(shop.redeem(&first, &shop.grant(&code)).await.status, 200);
    is_refused(&shop.redeem(&second, &shop.grant(&code)).await, 400, "invalid_grant");
    let logout = Parameters::of(&[
        ("id_token_hint", tokens.id_token.as_str()),
        ("post_logout_redirect_uri", "https://shop.example.cn/bye"),
    ]);
    let answer = agent.get(&format!("/logout?{}", logout.encoded())).await;
    assert_eq!(answer.location(), Some("https://shop.example.cn/bye"));
    agent.provider = first.clone();
    came_back_with(&first, &silent, &agent.authorize(&silent).await, "login_required");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_killed_between_two_steps_costs_nobody_the_login() {
    let redis = Redis::start().await;
    let mut instances = two(&redis).await;
    let (first, second) = (instances.at(0), instances.at(1));
    let (mut agent, shop) = (Agent::new(&first), Site::shop());
    let request = shop.request();
    let handle = agent.authorize(&request).await.handle();
    instances.kill(0).await;
    let code = second.scan(&handle, &second.person()).await;
    agent.provider = second.clone();
    let answer = agent.go_on(&handle, &code).await;
    instances.start_again(0).await;
    instances.kill(1).await;
    let tokens = shop.finish(&first, &request, &answer).await;
    instances.start_again(1).await;
    assert_eq!(userinfo(&second, &tokens.access_token).await.json(), tokens.person);
}

/// What a person is asked, and what they have answered, is in the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_killed_between_scan_and_digits_leaves_the_answer_to_the_other() {
    let redis = Redis::start().await;
    let shop = Site::shop().and("confirm = true");
    let mut instances = Instances::start(&redis.url(), 2, std::slice::from_ref(&shop)).await;
    let (first, second) = (instances.at(0), instances.at(1));
    let (mut agent, person) = (Agent::new(&first), first.person());
    let request = shop.request();
    let handle = agent.authorize(&request).await.handle();
    // Whichever runs alone takes the push.
    instances.kill(1).await;
    let mut asked = Asked::of(&first, first.page(&handle).await, &person).await;
    instances.start_again(1).await;
    instances.kill(0).await;
    let words = says(&second, &person, asked.wrong()).await;
    assert!(words.contains("还可以试 2 次"), "{words}");
    instances.start_again(0).await;
    instances.kill(1).await;
    let words = says(&first, &person, &asked.number).await;
    assert!(words.contains("欢迎回来"), "{words}");
    let code = code_of(&asked.page.expect("scan_success").await);
    instances.start_again(1).await;
    instances.kill(0).await;
    assert_eq!(says(&second, &person, &asked.number).await, words, "the other one knows what it came to");
    let words = says(&second, &person, "0").await;
    assert!(words.contains("已经确认"), "{words}");
    agent.provider = second.clone();
    let answer = agent.go_on(&handle, &code).await;
    let tokens = shop.finish(&second, &request, &answer).await;
    assert_eq!(
        (&tokens.claims["sub"], &tokens.claims["acr"]),
        (&person.into(), &"urn:saoma:scan-confirmed".into())
    );
}

/// A no is as good at another instance, and stays one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_at_another_instance_than_the_scans_ends_the_login() {
    let redis = Redis::start().await;
    let shop = Site::shop().and("confirm = true");
    let mut instances = Instances::start(&redis.url(), 2, std::slice::from_ref(&shop)).await;
    let (first, second) = (instances.at(0), instances.at(1));
    let (mut agent, person) = (Agent::new(&first), first.person());
    let handle = agent.authorize(&shop.request()).await.handle();
    instances.kill(1).await;
    let mut asked = Asked::of(&first, first.page(&handle).await, &person).await;
    instances.start_again(1).await;
    instances.kill(0).await;
    let words = says(&second, &person, "0").await;
    assert!(words.contains("没有人登录"), "{words}");
    asked.page.expect("denied").await;
    instances.start_again(0).await;
    instances.kill(1).await;
    assert_eq!(says(&first, &person, &asked.number).await, words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_change_meanwhile_cost_nobody_the_login() {
    let redis = Redis::start().await;
    let instances = two(&redis).await;
    let (first, second) = (instances.at(0), instances.at(1));
    let (mut agent, shop) = (Agent::new(&first), Site::shop());
    let request = shop.request();
    let before = shop.log_in(&mut agent, &request, &first.person()).await;
    let code = came_back(&first, &request, &agent.authorize(&request).await);
    rotate(&instances, &[]).await;

    let answer = shop.redeem(&second, &shop.grant(&code)).await;
    shop.take(&first, &request, &answer).await;
    for provider in [&first, &second] {
        let token = &before.id_token;
        shop.verify(provider, request.get("nonce"), token).await.expect("a token of the key before is good");
        let mut agent = Agent::new(provider);
        shop.log_in(&mut agent, &shop.request(), &first.person()).await;
    }
    // It is a hint still, too.
    let silent = shop.request().with("prompt", "none").with("id_token_hint", &before.id_token);
    let answer = agent.authorize(&silent).await;
    shop.finish(&second, &silent, &answer).await;
}

/// Whoever has read the file could sign with all that was in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_a_leaked_key_signs_is_believed_and_logins_go_on() {
    let redis = Redis::start().await;
    let instances = two(&redis).await;
    let (first, second) = (instances.at(0), instances.at(1));
    let (mut agent, shop) = (Agent::new(&first), Site::shop());
    let request = shop.request();
    let before = shop.log_in(&mut agent, &request, &first.person()).await;
    let old = kids(&first).await;
    rotate(&instances, &["--at-once"]).await;
    assert!(kids(&first).await.iter().all(|kid| !old.contains(kid)));
    for provider in [&first, &second] {
        shop.verify(provider, request.get("nonce"), &before.id_token).await.unwrap_err();
        agent.provider = provider.clone();
        let hinted = shop.request().with("id_token_hint", &before.id_token);
        came_back_with(provider, &hinted, &agent.authorize(&hinted).await, "invalid_request");
        let silent = shop.request().with("prompt", "none");
        let answer = agent.authorize(&silent).await;
        shop.finish(provider, &silent, &answer).await;
    }
}

/// Moves the keys on, and waits until both instances show the new ones.
async fn rotate(instances: &Instances, flags: &[&str]) {
    let (first, second) = (instances.at(0), instances.at(1));
    let old = kids(&first).await;
    instances.rotate_key(flags);
    for node in &instances.fleet.callbacks {
        node.program().hang_up();
    }
    let taken_over = async {
        while kids(&first).await == old || kids(&first).await != kids(&second).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken_over).await.expect("both have the new keys");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_redemptions_at_both_exactly_one_wins() {
    let redis = Redis::start().await;
    let instances = two(&redis).await;
    let both = [instances.at(0), instances.at(1)];
    let (mut agent, shop) = (Agent::new(&both[0]), Site::shop());
    let request = shop.request();
    let answer = agent.log_in(&request, &both[0].person()).await;
    let grant = shop.grant(&came_back(&both[0], &request, &answer));
    let answers = join_all((0..100).map(|at| shop.redeem(&both[at % 2], &grant))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1, "{won:?}");
    for answer in &lost {
        is_refused(answer, 400, "invalid_grant");
    }
    let token = won[0].json()["access_token"].as_str().unwrap().to_owned();
    for provider in &both {
        is_refused(&userinfo(provider, &token).await, 401, "invalid_token");
    }
}

/// By the store's clock, which is the only one that both have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_good_for_its_time_and_no_longer() {
    /// A gateway and two callback services.
    const PROGRAMS: usize = 3;
    let redis = Redis::start_with(Options { clock: true, ..Options::default() }).await;
    let instances = two(&redis).await;
    let (provider, shop) = (instances.at(0), Site::shop());
    for (passed, status) in [(CODE_LIVES - 60, 200), (CODE_LIVES + 1, 400)] {
        redis.set_clock_for(PROGRAMS, 0).await;
        let (mut agent, request) = (Agent::new(&provider), shop.request());
        let answer = agent.log_in(&request, &provider.person()).await;
        let code = came_back(&provider, &request, &answer);
        redis.set_clock_for(PROGRAMS, passed).await;
        let answer = shop.redeem(&instances.at(1), &shop.grant(&code)).await;
        assert_eq!(answer.status, status, "{passed} s: {answer:?}");
        if status == 400 {
            is_refused(&answer, 400, "invalid_grant");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_sites_is_read_again_and_a_broken_one_changes_nothing() {
    let redis = Redis::start().await;
    let instances = two(&redis).await;
    let (provider, shop, tea) = (
        instances.at(0),
        Site::shop(),
        Site::new("tea", &["https://tea.example.cn/callback"], "name = \"茶\""),
    );
    let node = &instances.fleet.callbacks[0];
    let status = async |site: &Site| Agent::new(&provider).authorize(&site.request()).await.status;
    let told = async |words: &str| {
        let mut log = String::new();
        while !log.contains(words) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            log += &node.program().log();
        }
    };
    assert_eq!((status(&shop).await, status(&tea).await), (200, 400));
    let entries = [shop.entry(), tea.entry()];
    std::fs::write(instances.sites(), format!("{}{}colour = \"red\"\n", entries[0], entries[1])).unwrap();
    node.program().hang_up();
    tokio::time::timeout(PATIENCE, told("colour")).await.expect("the log names the key");
    assert_eq!((status(&shop).await, status(&tea).await), (200, 400));
    std::fs::write(instances.sites(), entries.join("\n")).unwrap();
    node.program().hang_up();
    let known = async {
        while status(&tea).await != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.expect("the new site is known");
    assert_eq!((status(&shop).await, status(&Site::cafe()).await), (200, 400));
}

/// Each host would make keys of its own, which nobody else knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_without_a_file_of_keys_is_a_wrong_setting() {
    let redis = Redis::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = crate::provider::sites_file(&folder, &Site::all());
    let settings = std::collections::HashMap::from([
        ("CALLBACK_STORE", redis.url()),
        ("CALLBACK_SITES", file),
        ("CALLBACK_PUBLIC_URL", "https://id.example.cn".to_owned()),
        ("CALLBACK_BROWSER_URL", "https://login.example.cn".to_owned()),
        ("WECHAT_APP_ID", "wx0123456789abcdef".to_owned()),
        ("WECHAT_APP_SECRET", "secret".to_owned()),
        ("WECHAT_TOKEN", "token".to_owned()),
        ("WECHAT_AES_KEY", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".to_owned()),
        ("NOTIFY_KEY", "0123456789abcdef0123456789abcdef".to_owned()),
    ]);
    let ended = block_in_place(|| output("callback-service", &settings, &[]));
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(64), "{said}");
    assert!(said.contains("CALLBACK_SIGNING_KEYS") && said.lines().count() == 1, "{said}");
}
