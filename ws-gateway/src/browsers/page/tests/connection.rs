//! The connection itself: heartbeats, rubbish, messages that are too long or too many, pages that do not read,
//! and a gateway that leaves.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use protocol::message::Status;
use tokio::io::{AsyncWriteExt, duplex};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;

use super::super::{Event, PageTask};
use super::{Code, Page, gateway, notify, opening, serve};
use crate::browsers::opening::Opening;
use crate::browsers::socket::{CLOSE_WITHIN, Limits, PageSocket};
use crate::testing::in_memory::DRAIN_TIME;

#[tokio::test(start_paused = true)]
async fn our_pages_hear_a_heartbeat_and_others_a_ping() {
    let gateway = gateway();
    let mut ours = Page::open(&gateway, opening()).await;
    Code::shown_by(&mut ours).await;
    let began = Instant::now();
    let beat = ours.0.next().await.unwrap().unwrap().into_text().unwrap();
    assert_eq!(beat.as_str(), r#"{"message_type":"heartbeat"}"#);
    assert_eq!(began.elapsed().as_secs(), 25);

    let mut other = Page::open(&gateway, Opening { is_ours: false, ..opening() }).await;
    Code::shown_by(&mut other).await;
    assert!(matches!(other.0.next().await, Some(Ok(Message::Ping(_)))));
    // From here on nobody polls the page's side, so no pong is sent.
    while gateway.metrics.pages.get() == 2 {
        sleep(Duration::from_secs(1)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(80), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_when_the_next_ping_is_due_keeps_the_page() {
    let gateway = gateway();
    let (mut page, theirs) = duplex(64);
    let socket = PageSocket::over(theirs, &[], &Limits::OF_A_PAGE);
    let mut task = PageTask::new(Arc::clone(&gateway), socket, &mut opening(), None);
    // The process stood still: both are there when it goes on.
    let pong = [0x8a, 0x80, 0, 0, 0, 0];
    page.write_all(&pong).await.unwrap();
    let mut alarm = pin!(sleep(Duration::ZERO));
    alarm.as_mut().await;
    let mut leaving = pin!(gateway.drain.leaving().clone().cancelled_owned());
    let event = poll_fn(|cx| task.poll_event(cx, alarm.as_mut(), leaving.as_mut())).await;
    assert!(matches!(event, Ok(Event::Heard(None))));
    let event = poll_fn(|cx| task.poll_event(cx, alarm.as_mut(), leaving.as_mut())).await;
    assert!(matches!(event, Ok(Event::Look)));
}

#[tokio::test(start_paused = true)]
async fn rubbish_is_ignored_and_a_flood_ends_the_socket() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    for rubbish in ["", "{", "[1]", r#"{"message_type":"scan_success","user":"me"}"#, "扫码"] {
        page.say(rubbish).await;
    }
    page.0.send(Message::binary(vec![0xff; 100])).await.unwrap();
    assert_eq!(notify(&gateway, &code.claim("p", None)).await, Status::Delivered);
    page.hear_type("scanned").await;
    for _ in 0..20 {
        page.say("{}").await;
    }
    assert_eq!(page.closed().await, 4008);
}

#[tokio::test(start_paused = true)]
async fn fragments_without_end_are_a_flood_too() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    Code::shown_by(&mut page).await;
    // The first fragment of a text message, then empty ones: six bytes each, masked with zeros.
    let mut bytes = vec![0x01, 0x80, 0, 0, 0, 0];
    for _ in 0..20_000 {
        bytes.extend([0x00, 0x80, 0, 0, 0, 0]);
    }
    // The gateway may let go before everything is written.
    let _ = page.0.get_mut().write_all(&bytes).await;
    assert_eq!(page.closed().await, 4008);
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_is_told_so() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    Code::shown_by(&mut page).await;
    page.say(&"x".repeat(4096)).await;
    page.say(&"x".repeat(4097)).await;
    assert_eq!(page.closed().await, 1009);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_read_is_let_go() {
    let gateway = gateway();
    let (ours, theirs) = duplex(64);
    let socket = PageSocket::over(theirs, &[], &Limits::OF_A_PAGE);
    let began = Instant::now();
    serve(gateway, socket, Box::new(opening()), None).await;
    assert!(began.elapsed() <= Duration::from_secs(11), "{:?}", began.elapsed());
    drop(ours);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_leaves_sends_its_pages_elsewhere_within_the_drain_time() {
    let gateway = gateway();
    let mut page = Page::open(&gateway, opening()).await;
    let code = Code::shown_by(&mut page).await;
    tokio::spawn({
        let drain = gateway.drain.clone();
        async move { drain.begin_when(async {}).await }
    });
    let began = Instant::now();
    assert_eq!(page.closed().await, 1001);
    let left = began.elapsed() + CLOSE_WITHIN;
    assert!(left < DRAIN_TIME, "no time is left for the close: {left:?}");
    assert_eq!(notify(&gateway, &code.scan("p", "")).await, Status::Stored, "to be had by resume");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_read_is_gone_within_the_drain_time() {
    let gateway = gateway();
    let (unread, theirs) = duplex(64);
    let began = Instant::now();
    gateway.drain.tasks().spawn({
        let gateway = Arc::clone(&gateway);
        async move {
            let socket = PageSocket::over(theirs, &[], &Limits::OF_A_PAGE);
            serve(gateway, socket, Box::new(opening()), None).await;
        }
    });
    gateway.drain.begin_when(async {}).await;
    assert!(gateway.drain.finish().await, "it is no reason to end with a failure");
    assert!(began.elapsed() < DRAIN_TIME, "{:?}", began.elapsed());
    drop(unread);
}
