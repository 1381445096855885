//! What pages are shown by the ways of their account: a code to type, a web code, and what stands in place of WeChat's
//! code while there is none.

use std::sync::Arc;
use std::time::Duration;

use protocol::message::{Context, State, Status};
use protocol::{Notice, Scene};
use serde_json::Value;
use tokio::time::sleep;

use super::{Code, Page, gateway_on_a_budget_with, notify, opening};
use crate::Gateway;
use crate::browsers::opening::Opening;
use crate::logins::Sender;
use crate::logins::rights::Rights;
use crate::testing::in_memory::{self, Mood};

const WEB: &str = "https://login.example";

fn gateway_of(flags: &[&str]) -> Arc<Gateway> {
    Arc::new(in_memory::gateway_of(flags, 0))
}

/// The login that a typed code leads to.
async fn find(gateway: &Gateway, typed: &str) -> (Status, Option<Scene>, Option<State>) {
    let from = Sender { client: "callback".to_owned(), may: Rights::all(), id: None };
    let notice = Notice::Find { typed: typed.to_owned(), account: None };
    let answer = gateway.logins.notify(&notice, &from).await.answer;
    (answer.status, answer.scene, answer.state)
}

fn text<'a>(shown: &'a Value, field: &str) -> &'a str {
    shown[field].as_str().unwrap_or_else(|| panic!("{field}: {shown}"))
}

/// How many logins were shown with this kind of code.
fn counted(gateway: &Gateway, kind: &'static str) -> u64 {
    gateway.metrics.logins_shown.get_or_create(&[("code", kind)]).get()
}

#[tokio::test(start_paused = true)]
async fn a_code_beside_the_qr_code_logs_the_same_page_in() {
    let gateway =
        gateway_of(&["--gateway-account-name", "店", "--gateway-account-qr", "http://weixin.qq.com/r/1"]);
    let mut page = Page::open(&gateway, opening()).await;
    let shown = page.hear_type("qrcode_url").await;
    assert_eq!(text(&shown, "account"), "店");
    assert!(text(&shown, "account_image").starts_with("data:image/png;base64,"));
    let typed = text(&shown, "typed").to_owned();
    assert!(typed.len() == 6 && text(&shown, "content").starts_with("http://weixin.qq.com/q/"), "{shown}");
    let (status, scene, state) = find(&gateway, &typed).await;
    assert_eq!((status, state), (Status::Ok, Some(State::Waiting)));
    let code = Code { scene: scene.unwrap(), resume: text(&shown, "resume").to_owned() };
    assert_eq!(notify(&gateway, &code.claim("p", Some("42"))).await, Status::Delivered);
    page.hear_type("scanned").await;
    assert_eq!(notify(&gateway, &code.scan("p", "阿狸")).await, Status::Delivered);
    page.hear_type("scan_success").await;
    assert_eq!(find(&gateway, &typed).await.2, Some(State::Granted), "WeChat's repeat still finds it");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_comes_back_has_the_same_code_to_type_and_its_next_login_another() {
    let gateway = gateway_of(&["--gateway-ways", "scan,typed"]);
    let mut page = Page::open(&gateway, opening()).await;
    let first = page.hear_type("qrcode_url").await;
    drop(page);
    let mut page = Page::resume(&gateway, text(&first, "resume")).await;
    let back = page.hear_type("qrcode_url").await;
    assert_eq!((&back["typed"], &back["content"]), (&first["typed"], &first["content"]));
    page.refresh().await;
    let next = page.hear_type("qrcode_url").await;
    assert_ne!(next["typed"], first["typed"]);
    assert_eq!(find(&gateway, text(&first, "typed")).await.2, Some(State::Expired));
    assert_eq!(find(&gateway, text(&next, "typed")).await.2, Some(State::Waiting));
}

#[tokio::test(start_paused = true)]
async fn without_a_word_on_ways_a_page_shows_a_qr_code_alone() {
    let mut page = Page::open(&gateway_of(&[]), opening()).await;
    let shown = page.hear_type("qrcode_url").await;
    for field in ["typed", "account", "account_image", "open"] {
        assert_eq!(shown.get(field), None, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn typed_codes_alone_ask_wechat_for_nothing() {
    let (gateway, wechat) = gateway_on_a_budget_with(&["--gateway-ways", "typed"], 100);
    sleep(Duration::from_secs(60)).await;
    let mut page = Page::open(&gateway, opening()).await;
    let shown = page.hear_type("qrcode_url").await;
    assert_eq!((text(&shown, "url"), text(&shown, "content"), shown.get("image")), ("", "", None));
    assert_eq!(find(&gateway, text(&shown, "typed")).await.0, Status::Ok);
    assert_eq!(wechat.calls(), 0);
    assert_eq!((counted(&gateway, "typed"), gateway.metrics.logins.get()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_web_code_is_the_address_of_the_logins_own_page() {
    let flags = ["--gateway-web-url", WEB, "--gateway-qr", "web"];
    let (gateway, wechat) = gateway_on_a_budget_with(&flags, 100);
    let mut page = Page::open(&gateway, opening()).await;
    let shown = page.hear_type("qrcode_url").await;
    let scene = text(&shown, "content").strip_prefix("https://login.example/login/").unwrap();
    assert!(gateway.logins.look(scene.parse().unwrap()).await.unwrap().is_some());
    assert_eq!(shown["open"], shown["content"]);
    assert!(text(&shown, "url").starts_with("data:image/png") && shown["url"] == shown["image"]);
    assert_eq!((wechat.calls(), counted(&gateway, "web")), (0, 1));
    let mut back = Page::resume(&gateway, text(&shown, "resume")).await;
    let again = back.hear_type("qrcode_url").await;
    assert_eq!(
        [&again["content"], &again["open"], &again["url"]],
        [&shown["content"], &shown["open"], &shown["url"]]
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_inside_wechat_is_told_where_to_go_unless_its_login_is_a_sites() {
    let gateway = gateway_of(&["--gateway-web-url", WEB]);
    let mut page = Page::open(&gateway, opening()).await;
    let code = page.hear_type("qrcode_url").await;
    let scene = text(&code, "content").rsplit('/').next().unwrap();
    assert_eq!(text(&code, "open"), format!("{WEB}/login/{scene}"));
    let named = Some("shop".to_owned());
    let site = Context { site: named.clone(), ..Context::default() };
    let request = Context { request: named, ..Context::default() };
    for context in [site, request] {
        let mut page = Page::open(&gateway, Opening { context: context.into(), ..opening() }).await;
        assert_eq!(page.hear_type("qrcode_url").await.get("open"), None);
    }
    let without = gateway_of(&["--gateway-web-url", WEB, "--gateway-ways", "scan"]);
    let mut page = Page::open(&without, opening()).await;
    assert_eq!(page.hear_type("qrcode_url").await.get("open"), None);
}

#[tokio::test(start_paused = true)]
async fn while_wechat_refuses_pages_have_a_code_to_type_and_then_qr_codes_again() {
    let (gateway, wechat) = gateway_on_a_budget_with(&[], 100);
    wechat.feels(Mood::Refuses);
    let mut page = Page::open(&gateway, opening()).await;
    let shown = page.hear_type("qrcode_url").await;
    assert_eq!((text(&shown, "url"), shown.get("image"), text(&shown, "typed").len()), ("", None, 6));
    assert_eq!((counted(&gateway, "typed"), gateway.metrics.of_account("").failures.get()), (1, 1));
    wechat.feels(Mood::Well);
    page.refresh().await;
    let code = page.hear_type("qrcode_url").await;
    assert!(text(&code, "content").starts_with("http://weixin.qq.com/q/"), "{code}");
    assert_eq!(code.get("typed"), None, "beside a QR code only where the account is named");
    assert_eq!((counted(&gateway, "account"), gateway.metrics.logins.get()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn once_the_days_codes_are_spent_pages_have_the_web_code() {
    let (gateway, wechat) = gateway_on_a_budget_with(&["--gateway-web-url", WEB], 20);
    let kinds = async |count: usize| {
        let mut contents = Vec::new();
        for _ in 0..count {
            let mut page = Page::open(&gateway, opening()).await;
            contents.push(text(&page.hear_type("qrcode_url").await, "content").starts_with(WEB));
        }
        contents
    };
    // The last of the twenty is for networks where somebody has scanned.
    assert_eq!(kinds(25).await, [[false; 19].as_slice(), &[true; 6]].concat());
    assert_eq!((wechat.calls(), counted(&gateway, "web"), counted(&gateway, "account")), (19, 6, 19));
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_by_itself_is_tried_once_more_before_a_page_has_a_code_to_type() {
    for (failures, then) in [(1, "a QR code"), (2, "a code to type")] {
        let gateway = Arc::new(in_memory::gateway_of(&[], failures));
        let mut page = Page::open(&gateway, opening()).await;
        assert_eq!(text(&page.hear_type("error").await, "code"), "wechat_slow");
        let shown = page.hear_type("qrcode_url").await;
        let has = if text(&shown, "content").is_empty() { "a code to type" } else { "a QR code" };
        assert_eq!(has, then, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_scan_is_the_only_way_a_page_waits_for_wechat() {
    let (gateway, wechat) =
        gateway_on_a_budget_with(&["--gateway-ways", "scan", "--gateway-account-name", "店"], 100);
    wechat.feels(Mood::Refuses);
    let mut page = Page::open(&gateway, opening()).await;
    assert_eq!(text(&page.hear_type("error").await, "code"), "wechat_unavailable");
    wechat.feels(Mood::Well);
    Code::shown_by(&mut page).await;
}

#[tokio::test(start_paused = true)]
async fn only_a_claim_of_wechats_code_frees_one_of_its_address() {
    for (flags, frees) in [(["--gateway-ways", "typed"], false), (["--gateway-ways", "scan,typed"], true)] {
        let gateway = gateway_of(&flags);
        let mut page = Page::open(&gateway, opening()).await;
        let shown = page.hear_type("qrcode_url").await;
        let scene = find(&gateway, text(&shown, "typed")).await.1.unwrap();
        let claim = Notice::Claim { scene, by: "p".to_owned(), number: None };
        let from = Sender { client: "callback".to_owned(), may: Rights::all(), id: None };
        assert_eq!(gateway.logins.notify(&claim, &from).await.scanned.is_some(), frees, "{flags:?}");
    }
}
