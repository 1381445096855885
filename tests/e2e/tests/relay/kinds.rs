//! What goes where, and what is copied.

use e2e::fleet::{self, Fleet};
use e2e::page::Page;
use simulator::{Mode, Settings};

use super::back_end::{BackEnd, Way, says as answer};
use super::{logs_in, person, relayed, relayed_becomes, says, stack, stack_of, with_one};

#[tokio::test]
async fn each_kind_goes_to_its_own_address_and_what_has_none_is_answered_by_us() {
    let account = Settings::default();
    let (mut messages, mut copies) = (BackEnd::of(&account).await, BackEnd::of(&account).await);
    let routes = format!("messages={}?a=b, copies={}", messages.url(), copies.url());
    let stack = stack(Mode::Safe, &routes).await;
    let follower = person(&stack);
    assert_eq!(says(&stack, &follower, "hello").await.reply.as_deref(), Some("echo: hello"));
    assert!(messages.hears().await.query.starts_with("a=b&signature="));
    // Follows have no address: our own words, and nothing of unfollows and events.
    let newcomer = stack.wechat.invent_person("", false).openid;
    let welcome = stack.wechat.follow(&newcomer).await.unwrap().reply.unwrap();
    assert!(!welcome.contains("echo"), "{welcome}");
    stack.wechat.unfollow(&newcomer).await.unwrap();
    assert!(stack.wechat.push_event(&follower, "CLICK", "x").await.is_ok());
    // A follow by a login's code is ours, and copied.
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await;
    let scanned = stack.wechat.scan(&newcomer, &code.content).await.unwrap();
    assert!(scanned.reply.unwrap().contains("登录成功"));
    page.expect("scanned").await;
    page.expect("scan_success").await;
    let copied = copies.hears().await.opened.unwrap();
    assert!(
        copied.contains("subscribe") && copied.contains(&format!("qrscene_{}", code.scene())),
        "{copied}"
    );
    relayed_becomes(&stack, "copies", "copied", 1).await;
    assert!(messages.has_heard_all() && copies.has_heard_all());
}

#[tokio::test]
async fn a_follow_that_is_not_ours_is_answered_by_the_back_end_and_an_unfollow_is_copied() {
    let mut back_end = BackEnd::of(&Settings::default()).await;
    let stack = stack(Mode::Safe, &back_end.url()).await;
    let newcomer = stack.wechat.invent_person("", false).openid;
    let followed = stack.wechat.follow(&newcomer).await.unwrap();
    assert!(followed.is_ok() && followed.reply.is_none(), "its words, and not ours: {followed:?}");
    assert!(back_end.hears().await.opened.unwrap().contains("subscribe"));
    stack.wechat.unfollow(&newcomer).await.unwrap();
    assert!(back_end.hears().await.opened.unwrap().contains("unsubscribe"));
    relayed_becomes(&stack, "follows", "copied", 1).await;
    // A scan of a login's code by who follows by it has no copy unless it is asked for.
    let mut page = Page::open(stack.gateway.browsers).await;
    let code = page.code().await;
    stack.wechat.scan(&newcomer, &code.content).await.unwrap();
    page.expect("scanned").await;
    page.expect("scan_success").await;
    says(&stack, &newcomer, "hello").await;
    assert!(back_end.hears().await.opened.unwrap().contains("hello"), "nothing came before");
}

/// The answer to a login is there before its copy is, and a copy is tried again.
#[tokio::test]
async fn a_copy_delays_nothing_and_is_tried_again() {
    let account = Settings::default();
    let mut back_end = BackEnd::of(&account).await;
    back_end.does(Way::Says(answer(503, "text/plain", "restarting")));
    let stack = stack_of(account, &format!("follows={}", back_end.url()), &[]).await;
    let newcomer = stack.wechat.invent_person("", true).openid;
    let unfollowed = stack.wechat.unfollow(&newcomer).await.unwrap();
    assert!(unfollowed.is_ok(), "{unfollowed:?}");
    let first = back_end.hears().await;
    back_end.does(Way::Echoes);
    let second = back_end.hears().await;
    assert_eq!(first.body, second.body);
    relayed_becomes(&stack, "follows", "copied", 1).await;
    assert_eq!(relayed(&stack, "follows", "refused").await, 0);
}

/// Names by shortuuid, and UUIDs in base64url, have the form of a login's scene.
#[tokio::test]
async fn a_code_of_the_back_ends_own_may_look_like_a_logins() {
    let (stack, mut back_end) = with_one().await;
    let person = person(&stack);
    let scans = async || stack.wechat.push_event(&person, "SCAN", "vytxeTZskVKR7C7WgdSP3d").await;
    back_end.does(Way::Words("table 7"));
    assert_eq!(scans().await.reply.as_deref(), Some("table 7"));
    assert!(back_end.hears().await.opened.unwrap().contains("vytxeTZskVKR7C7WgdSP3d"));
    // It has nothing to say, so it may have been a login that is over.
    back_end.does(Way::Echoes);
    assert!(scans().await.reply.unwrap().contains("过期"));
    // A login that is there is nobody else's.
    back_end.hears().await;
    logs_in(&stack).await;
    assert!(back_end.has_heard_all());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digits_reach_the_back_end_while_nobody_can_say_whose_they_are() {
    let mut fleet = Fleet::prepare(fleet::Options { all_ways: true, ..fleet::Options::one_of_each() }).await;
    let back_end = BackEnd::of(&Settings::default()).await;
    fleet.callbacks[0].set("CALLBACK_RELAY_URL", back_end.url());
    fleet.gateways[0].start();
    fleet.callbacks[0].start();
    fleet.until_ready().await;
    let person = fleet.wechat.invent_person("", true).openid;
    fleet.gateways[0].kill();
    let says = async || fleet.wechat.say(&person, "482913").await.unwrap().reply;
    assert_eq!(says().await.as_deref(), Some("echo: 482913"));
    back_end.does(Way::Says(answer(200, "text/plain", "success")));
    assert!(says().await.unwrap().contains("系统繁忙"));
}
