//! Floods of pages: what one address gets, what all of them get, and what is left for others.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::{Code, Page, gateway, gateway_on_a_budget, opening};
use crate::Gateway;
use crate::browsers::opening::Opening;

#[tokio::test(start_paused = true)]
async fn an_address_behind_a_proxy_has_its_share_of_pages() {
    let gateway = gateway();
    let most = gateway.shares.most();
    let of = |address: &str| Opening { address: address.parse().unwrap(), ..opening() };
    let held: Vec<_> = (0..most).map(|_| gateway.shares.take("192.0.2.1".parse().unwrap())).collect();
    let mut page = Page::open(&gateway, of("192.0.2.1")).await;
    assert_eq!(page.hear_type("error").await["code"], "too_many");
    assert_eq!(page.closed().await, 1013);
    Code::shown_by(&mut Page::open(&gateway, of("192.0.2.2")).await).await;
    drop(held);
    Code::shown_by(&mut Page::open(&gateway, of("192.0.2.1")).await).await;
}

/// Opens 10,000 pages at once; counts what each hears first, and keeps the pages.
async fn flood(
    gateway: &Arc<Gateway>,
    address: impl Fn(u128) -> Ipv6Addr,
) -> (HashMap<String, usize>, Vec<Page>) {
    let opened = (0..10_000).map(|n| {
        let address = address(n).into();
        async move {
            let mut page = Page::open(gateway, Opening { address, ..opening() }).await;
            let said = page.hear().await;
            if said["message_type"] == "qrcode_url" {
                return ("shown".to_owned(), page);
            }
            assert!(said["retry_in"].as_u64().unwrap() > 0, "{said}");
            let code = said["code"].as_str().unwrap();
            if code != "codes_spent" {
                assert_eq!(page.closed().await, 1013, "{said}");
            }
            (code.to_owned(), page)
        }
    });
    let mut heard: HashMap<String, usize> = HashMap::new();
    let mut pages = Vec::new();
    for (first, page) in join_all(opened).await {
        *heard.entry(first).or_default() += 1;
        pages.push(page);
    }
    (heard, pages)
}

#[tokio::test(start_paused = true)]
async fn a_flood_from_one_address_gets_its_share_and_others_do_not_notice() {
    let (gateway, wechat) = gateway_on_a_budget(90_000);
    sleep(Duration::from_secs(1)).await;
    let one = |n| Ipv6Addr::from_bits((0x2001_0db8_0000_0001_u128 << 64) | (n << 32));
    let (heard, _pages) = flood(&gateway, one).await;
    // The time that WeChat takes for them is not a second, in which the address may open two more.
    assert!((120..=122).contains(&heard["shown"]), "{heard:?}");
    assert_eq!(heard["shown"] + heard["too_many"], 10_000);
    assert!(wechat.calls() <= 122 + 16, "{}", wechat.calls());
    // Some had too many pages open, the others have asked for too many logins.
    let refused = |reason| gateway.metrics.logins_refused.get_or_create(&[("reason", reason)]).get();
    assert_eq!(refused("address") + refused("share"), heard["too_many"] as u64);

    sleep(Duration::from_secs(10)).await;
    let mut other = Page::open(&gateway, opening()).await;
    Code::shown_by(&mut other).await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_from_everywhere_stays_within_the_budget() {
    let everywhere = |n| Ipv6Addr::from_bits((0x2000_u128 << 112) | (n << 80));
    let (gateway, wechat) = gateway_on_a_budget(8_000);
    let (heard, _pages) = flood(&gateway, everywhere).await;
    // An hour's share at once but for the quarter that is kept, and then one each 3.6 s.
    assert!((750 - 16..=751).contains(&heard["shown"]), "{heard:?}");
    assert_eq!(heard["shown"] + heard["busy"], 10_000);
    assert!(wechat.calls() <= 751, "{}", wechat.calls());

    // Where somebody has scanned, there still are codes.
    let address = "203.0.113.1".parse().unwrap();
    gateway.accounts.named(None).unwrap().qr.scanned(address).await;
    for _ in 0..100 {
        Code::shown_by(&mut Page::open(&gateway, Opening { address, ..opening() }).await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_wants_all_codes_gets_its_share_and_leaves_the_others() {
    let (gateway, wechat) = gateway_on_a_budget(9_000);
    let mut shown = 0;
    for _ in 0..9_000 {
        let mut page = Page::open(&gateway, opening()).await;
        let said = page.hear().await;
        if said["message_type"] == "qrcode_url" {
            shown += 1;
        } else {
            assert_eq!((said["code"].as_str(), page.closed().await), (Some("too_many"), 1013), "{said}");
            assert!(said["retry_in"].as_u64().unwrap() > 0, "{said}");
        }
        drop(page);
        sleep(Duration::from_millis(500)).await;
    }
    // 2 % at once, and then as much in a day, of which the flood lasts little more than an hour.
    assert!((180..=180 + 12).contains(&shown), "{shown}");
    assert!(wechat.calls() < 250, "{}", wechat.calls());
    let refused = gateway.metrics.logins_refused.get_or_create(&[("reason", "unscanned")]).get();
    assert_eq!(refused, 9_000 - shown);
    let address = "198.51.100.1".parse().unwrap();
    for _ in 0..100 {
        Code::shown_by(&mut Page::open(&gateway, Opening { address, ..opening() }).await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_budget_is_spent_pages_wait_until_told_otherwise() {
    let everywhere = |n| Ipv6Addr::from_bits((0x2000_u128 << 112) | (n << 80));
    let (gateway, wechat) = gateway_on_a_budget(50);
    let (heard, mut pages) = flood(&gateway, everywhere).await;
    assert_eq!((heard["shown"] + heard["codes_spent"], wechat.calls()), (10_000, 48));
    assert!((48 - 8..=48).contains(&heard["shown"]), "{heard:?}");
    let waiting = pages.last_mut().unwrap();
    let began = Instant::now();
    assert_eq!(waiting.hear_type("error").await["code"], "codes_spent");
    assert!((359..=600).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert_eq!(wechat.calls(), 48);
}
