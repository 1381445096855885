//! Roaming pages with the real gateway, through a network with faults. The check must accept their history.

use std::collections::HashMap;

use demo::{Options, Stack};

use super::*;
use crate::history::{Way, Words, check};
use crate::page::PATIENCE;
use crate::proxy::Proxy;

const PAGES: u32 = 30;

#[tokio::test(flavor = "multi_thread")]
async fn pages_cut_off_while_people_scan_are_all_logged_in_on_their_first_code() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let wechat = simulator::Settings { nicknames: true, ..simulator::Settings::default() };
    let stack = Stack::start(Options { wechat, ..Options::default() }).await.unwrap();
    let proxy = Proxy::before(stack.gateway.browsers).await;
    let recorder = Recorder::new();
    let (show, mut codes) = mpsc::channel(PAGES as usize);
    let habits = Habits { first_retry: Duration::from_millis(500), ..Habits::default() };
    let mut pages = HashMap::new();
    for number in 0..PAGES {
        let page = Roaming {
            browser: Browser(number),
            gateways: vec![proxy.address()],
            asks: Asks::default(),
            habits,
            seed,
            recorder: recorder.clone(),
            codes: show.clone(),
            numbers: Numbers::default(),
        };
        pages.insert(number, tokio::spawn(page.run()));
    }
    let mut shown = Vec::new();
    for _ in 0..PAGES {
        shown.push(timeout(PATIENCE, codes.recv()).await.expect("every page shows a code").unwrap());
    }
    proxy.cut();
    let scans = shown.into_iter().map(|Shown { browser, scene, content, .. }| {
        let (recorder, wechat) = (&recorder, &stack.wechat);
        async move {
            let person = format!("person {}", browser.0);
            let openid = wechat.invent_person(&person, true).openid;
            recorder.record(Event::Claims { person: person.clone(), scene: scene.clone(), way: Way::Scan });
            let delivery = wechat.scan(&openid, &content).await.unwrap();
            let words = Words::of(delivery.reply.as_deref());
            recorder.record(Event::Told { person, scene, way: Way::Scan, words });
        }
    });
    futures_util::future::join_all(scans).await;
    proxy.cut();
    for (number, page) in pages {
        let outcome = timeout(PATIENCE, page).await.expect("every page ends").unwrap();
        assert_eq!(outcome, Outcome::Granted { user: format!("person {number}"), code: None });
    }
    let summary = check(&recorder.history()).unwrap_or_else(|violations| panic!("{violations:#?}"));
    eprintln!("{summary}");
    let pages = PAGES as usize;
    assert_eq!((summary.granted, summary.on_first_code, summary.codes), (pages, pages, pages));
    assert_eq!(summary.words.get(&Words::LoggedIn), Some(&pages));
    assert!(proxy.counts().cut >= u64::from(PAGES), "{:?}", proxy.counts());
    assert_eq!(proxy.counts().refused, 0);
}
