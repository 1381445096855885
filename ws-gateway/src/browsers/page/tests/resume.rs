//! Pages that come back to their login, and who is not let back to it.

use std::sync::Arc;
use std::time::Duration;

use protocol::Notice;
use protocol::message::{Context, Resume, Status};
use tokio::time::sleep;

use super::{Code, Page, back_to, gateway, notify, opening};
use crate::browsers::opening::Opening;
use crate::codes::admission::Addresses;
use crate::logins::Sender;
use crate::logins::rights::Rights;
use crate::testing::in_memory;

#[tokio::test(start_paused = true)]
async fn a_page_that_was_away_gets_the_end_when_it_comes_back() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    drop(page);
    while gateway.logins.look(code.scene).await.unwrap().unwrap().seat.is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(notify(&gateway, &code.claim("p", None)).await, Status::Stored);
    assert_eq!(notify(&gateway, &code.scan("p", "阿狸")).await, Status::Stored);
    sleep(Duration::from_secs(179)).await;
    for _ in 0..2 {
        let mut page = Page::resume(&gateway, &code.resume).await;
        let shown = page.hear_type("qrcode_url").await;
        assert_eq!((shown["resume"].as_str(), shown["expires_in"].as_u64()), (Some(&*code.resume), Some(0)));
        assert_eq!(page.hear_type("scan_success").await["user"], "阿狸");
        assert_eq!(page.closed().await, 4010);
    }
    sleep(Duration::from_secs(1)).await;
    let mut late = Page::resume(&gateway, &code.resume).await;
    assert_eq!(late.closed().await, 4001, "180 s after the end the login is unknown");
}

#[tokio::test(start_paused = true)]
async fn a_resumed_page_has_the_time_left_and_hears_what_comes() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    drop(page);
    sleep(Duration::from_secs(50)).await;
    let mut page = Page::resume(&gateway, &code.resume).await;
    assert_eq!(page.hear_type("qrcode_url").await["expires_in"].as_u64(), Some(70));
    assert_eq!(notify(&gateway, &code.claim("p", None)).await, Status::Delivered);
    page.hear_type("scanned").await;
    drop(page);
    let mut page = Page::resume(&gateway, &code.resume).await;
    page.hear_type("qrcode_url").await;
    page.hear_type("scanned").await;
}

#[tokio::test(start_paused = true)]
async fn a_probes_page_hears_what_a_page_hears_and_counts_as_no_login() {
    let gateway = gateway();
    let from = Sender { client: "callback".to_owned(), may: Rights::all(), id: None };
    let opened = gateway.logins.notify(&Notice::Probe, &from).await.answer;
    let (scene, Resume(resume)) = (opened.scene.unwrap(), opened.resume.unwrap());
    let mut page = Page::resume(&gateway, &resume).await;
    let shown = page.hear_type("qrcode_url").await;
    assert!(
        shown["content"] == "" && shown.get("image").is_none() && shown.get("typed").is_none(),
        "{shown}"
    );
    let code = Code { scene, resume };
    assert_eq!(notify(&gateway, &code.claim("p", None)).await, Status::Delivered);
    page.hear_type("scanned").await;
    assert_eq!(notify(&gateway, &code.scan("p", "")).await, Status::Delivered);
    page.hear_type("scan_success").await;
    assert_eq!(page.closed().await, 4010);
    let metrics = &gateway.metrics;
    assert_eq!((metrics.logins.get(), metrics.resumed.get()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_qr_code_alone_opens_nothing() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    for key in [format!("{}.{}", code.scene, code.scene), code.scene.to_string(), "rubbish".to_owned()] {
        let mut thief = Page::resume(&gateway, &key).await;
        assert_eq!(thief.closed().await, 4001, "{key}");
    }
    let elsewhere = Context { origin: Some("https://evil.example".to_owned()), ..Context::default() };
    let arrival = back_to(&code.resume);
    let mut foreign = Page::open(&gateway, Opening { context: elsewhere.into(), arrival, ..opening() }).await;
    assert_eq!(foreign.closed().await, 1008, "another Origin");
    // And none of them has disturbed the page.
    assert_eq!(notify(&gateway, &code.scan("p", "")).await, Status::Delivered);
    page.hear_type("scan_success").await;
}

#[tokio::test(start_paused = true)]
async fn the_newer_socket_takes_over() {
    let gateway = gateway();
    let mut older = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut older).await;
    let mut newer = Page::resume(&gateway, &code.resume).await;
    newer.hear_type("qrcode_url").await;
    assert_eq!(older.closed().await, 4002);
    drop(older);
    assert_eq!(notify(&gateway, &code.scan("p", "")).await, Status::Delivered);
    newer.hear_type("scan_success").await;
}

#[tokio::test(start_paused = true)]
async fn a_login_after_a_resume_is_from_where_the_page_is_now() {
    let gateway = gateway();
    let from = |ip: &str| Context { ip: ip.to_owned(), site: Some("shop".to_owned()), ..Context::default() };
    let mut page = Page::open(&gateway, Opening { context: from("192.0.2.1").into(), ..opening() }).await;
    let code = Code::shown_by(&mut page).await;
    let arrival = back_to(&code.resume);
    let elsewhere = Context { site: None, ..from("192.0.2.2") };
    let mut page = Page::open(&gateway, Opening { context: elsewhere.into(), arrival, ..opening() }).await;
    page.hear_type("qrcode_url").await;
    page.refresh().await;
    let next = Code::shown_by(&mut page).await;
    let login = gateway.logins.look(next.scene).await.unwrap().unwrap();
    assert_eq!(
        (login.opened.context().site.as_deref(), login.opened.context().ip.as_str()),
        (Some("shop"), "192.0.2.2")
    );
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_a_new_login_and_a_resume_is_none() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let mut code = Code::shown_by(&mut page).await;
    let address = opening().address;
    while gateway.addresses.admit(address).await.is_ok() {}
    for _ in 0..3 {
        page = Page::resume(&gateway, &code.resume).await;
        code = Code::shown_by(&mut page).await;
    }
    page.refresh().await;
    assert_eq!(page.hear_type("error").await["code"], "too_many");
    assert_eq!(page.closed().await, 1013);
    assert_eq!(notify(&gateway, &code.scan("p", "")).await, Status::Stored, "its login is not touched");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_comes_back_is_shown_the_same_picture() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let first = page.hear_type("qrcode_url").await;
    let mut page = Page::resume(&gateway, first["resume"].as_str().unwrap()).await;
    let again = page.hear_type("qrcode_url").await;
    assert!(first["image"].as_str().unwrap().starts_with("data:image/png;base64,"), "{first}");
    assert_eq!((&first["image"], &first["content"]), (&again["image"], &again["content"]));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_still_shows_the_picture_is_not_sent_it_again() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    let arrival = back_to(&code.resume);
    let mut page = Page::open(&gateway, Opening { arrival, has_picture: true, ..opening() }).await;
    let shown = page.hear_type("qrcode_url").await;
    assert_eq!((shown.get("image"), shown["resume"].as_str()), (None, Some(&*code.resume)));
    page.refresh().await;
    Code::shown_by(&mut page).await;
}

#[tokio::test(start_paused = true)]
async fn pages_that_come_back_from_one_address_too_fast_are_told_to_wait_and_others_are_not() {
    let mut gateway = in_memory::gateway_with(0);
    gateway.addresses = Addresses::new(1, None);
    let gateway = Arc::new(gateway);
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    let back = async |address: &str| {
        let arrival = back_to(&code.resume);
        let address = address.parse().unwrap();
        Page::open(&gateway, Opening { arrival, address, ..opening() }).await
    };
    for _ in 0..10 {
        back("192.0.2.1").await.hear_type("qrcode_url").await;
    }
    for _ in 0..400 {
        let mut page = back("192.0.2.1").await;
        let error = page.hear_type("error").await;
        let retry_in = error["retry_in"].as_u64().unwrap();
        assert!(error["code"] == "too_many" && (3_750..=7_500).contains(&retry_in), "{error}");
        assert_eq!(page.closed().await, 1013);
    }
    let reason = [("reason", "resume")];
    assert_eq!(gateway.metrics.logins_refused.get_or_create(&reason).get(), 400);
    back("192.0.2.2").await.hear_type("qrcode_url").await;
    sleep(Duration::from_secs(6)).await;
    let mut page = back("192.0.2.1").await;
    page.hear_type("qrcode_url").await;
    assert_eq!(notify(&gateway, &code.scan("p", "")).await, Status::Delivered);
    page.hear_type("scan_success").await;
}
