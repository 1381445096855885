//! What a page hears of its login: the code, the scan, the end, and the next code.

use std::time::Duration;

use futures_util::FutureExt;
use protocol::Notice;
use protocol::message::Status;
use tokio::time::{Instant, sleep};

use super::{Code, Page, gateway, gateway_with, notify, opening};
use crate::browsers::conversation::OVER_FOR;
use crate::browsers::opening::Opening;
use crate::browsers::words;
use crate::logins::Sender;
use crate::logins::rights::Rights;

#[tokio::test(start_paused = true)]
async fn a_scan_logs_the_page_in() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    assert_eq!(notify(&gateway, &code.claim("p", Some("42"))).await, Status::Delivered);
    let scanned = page.hear_type("scanned").await;
    assert_eq!((scanned["expires_in"].as_u64(), scanned["number"].as_str()), (Some(120), Some("42")));
    assert_eq!(notify(&gateway, &code.scan("p", "阿狸 <b>")).await, Status::Delivered);
    assert_eq!(page.hear_type("scan_success").await["user"], "阿狸 <b>");
    assert_eq!(page.closed().await, 4010);
}

#[tokio::test(start_paused = true)]
async fn a_claim_and_an_end_in_one_breath_are_both_told_in_order() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    // No await that could let the page's task run in between.
    let from = Sender { client: "callback".to_owned(), may: Rights::all(), id: None };
    for notice in [code.claim("p", Some("07")), code.scan("p", "")] {
        let answer = gateway.logins.notify(&notice, &from).now_or_never().unwrap().answer;
        assert_eq!(answer.status, Status::Delivered);
    }
    assert_eq!(page.hear_type("scanned").await["number"], "07");
    page.hear_type("scan_success").await;
}

#[tokio::test(start_paused = true)]
async fn a_code_expires_when_its_time_is_over_and_the_page_may_take_another() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let first = Code::shown_by(&mut page).await;
    let began = Instant::now();
    page.hear_type("expired").await;
    assert_eq!(began.elapsed().as_secs(), 120);
    assert_eq!(notify(&gateway, &first.scan("p", "")).await, Status::Expired);
    page.refresh().await;
    let second = Code::shown_by(&mut page).await;
    assert_ne!(first.scene, second.scene, "a scene is never reused");
    assert_eq!(notify(&gateway, &second.scan("p", "")).await, Status::Delivered);
    page.hear_type("scan_success").await;
}

#[tokio::test(start_paused = true)]
async fn a_page_whose_login_is_over_is_let_go_of_after_ten_minutes() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    Code::shown_by(&mut page).await;
    page.hear_type("expired").await;
    // Whoever comes back within that time gets another code on the same socket.
    sleep(OVER_FOR - Duration::from_secs(1)).await;
    page.refresh().await;
    let code = Code::shown_by(&mut page).await;
    let deny = Notice::Deny { scene: code.scene, by: None };
    assert_eq!(notify(&gateway, &deny).await, Status::Delivered);
    page.hear_type("denied").await;
    let began = Instant::now();
    assert_eq!(page.closed().await, 4010);
    assert_eq!(began.elapsed(), OVER_FOR);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_ends_the_live_login() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let first = Code::shown_by(&mut page).await;
    page.refresh().await;
    Code::shown_by(&mut page).await;
    assert_eq!(notify(&gateway, &first.claim("p", None)).await, Status::Expired);
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_slowed_down_and_still_happen() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    Code::shown_by(&mut page).await;
    for _ in 0..3 {
        page.refresh().await;
        Code::shown_by(&mut page).await;
    }
    let began = Instant::now();
    page.refresh().await;
    let error = page.hear_type("error").await;
    assert_eq!((error["code"].as_str(), error["retry_in"].as_u64()), (Some("too_fast"), Some(5000)));
    Code::shown_by(&mut page).await;
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_denial_is_told_and_the_page_may_try_again() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    let deny = Notice::Deny { scene: code.scene, by: None };
    assert_eq!(notify(&gateway, &deny).await, Status::Delivered);
    page.hear_type("denied").await;
    page.refresh().await;
    Code::shown_by(&mut page).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_code_the_page_is_told_and_recovers_by_itself() {
    let gateway = gateway_with(3);
    let mut page = Page::open(&gateway, opening()).await;
    let began = Instant::now();
    let mut waits = 0;
    for seconds in [2, 4, 8] {
        let error = page.hear_type("error").await;
        let retry_in = error["retry_in"].as_u64().unwrap();
        assert!((seconds * 750..=seconds * 1250).contains(&retry_in), "{error}");
        waits += retry_in;
    }
    Code::shown_by(&mut page).await;
    assert_eq!(began.elapsed().as_secs(), waits / 1000);
}

#[tokio::test(start_paused = true)]
async fn a_query_that_cannot_be_understood_is_told_after_the_upgrade() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, Opening { fault: Some(words::TOO_LONG), ..opening() }).await;
    assert_eq!(page.hear_type("error").await["message"], words::TOO_LONG.en);
    assert_eq!(page.closed().await, 1008);
}
