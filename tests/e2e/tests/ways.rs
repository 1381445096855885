//! Codes that people type, web codes, and what pages show while WeChat gives no QR code: over real sockets, with a back
//! end that speaks the internal wire.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use demo::{NOTIFY_KEY, Options, Stack};
use e2e::fleet::{self, Fleet};
use e2e::page::{PATIENCE, Page};
use e2e::picture;
use e2e::raw::metric;
use protocol::client::Settings;
use protocol::message::{Answer, State, Status};
use protocol::{Client, Key, Notice, Scene};
use serde_json::Value;
use simulator::{Call, Fault};
use tempfile::tempdir;
use tokio::time::{Duration, Instant, interval, timeout};

const ACCOUNT_QR: &str = "http://weixin.qq.com/r/abcDEF012345";

async fn stack(gateway: &[&str]) -> Stack {
    let gateway = gateway.iter().map(|&flag| flag.to_owned()).collect();
    Stack::start(Options { gateway, ..Options::default() }).await.unwrap()
}

fn back_end(stack: &Stack) -> Client {
    Client::start(Settings {
        name: "callback".to_owned(),
        key: Key::new(&NOTIFY_KEY.into()).unwrap(),
        addresses: vec![stack.gateway.notices.to_string()],
        tls: None,
    })
}

async fn ask(client: &Client, notice: Notice) -> Answer {
    client.send(notice, Instant::now() + Duration::from_secs(10)).await.unwrap()
}

async fn find(client: &Client, typed: &str) -> Answer {
    ask(client, Notice::Find { typed: typed.to_owned(), account: None }).await
}

fn text<'a>(shown: &'a Value, field: &str) -> &'a str {
    shown[field].as_str().unwrap_or_else(|| panic!("no {field}: {shown}"))
}

/// What is in a picture that a page was sent.
fn read(data: &str) -> String {
    let png = STANDARD.decode(data.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
    picture::scan(&png).unwrap()
}

/// Types the page's code, says that it was this person, and lets the page in.
async fn log_in(client: &Client, page: &mut Page, typed: &str) -> Scene {
    let found = find(client, typed).await;
    assert_eq!((found.status, found.state), (Status::Ok, Some(State::Waiting)), "{found:?}");
    let (scene, by) = (found.scene.unwrap(), "oAlice".to_owned());
    let number = Some("42".to_owned());
    let claimed = ask(client, Notice::Claim { scene, by: by.clone(), number }).await;
    assert_eq!(claimed.status, Status::Delivered);
    assert_eq!(page.expect("scanned").await["number"], "42");
    let scan = Notice::Scan { scene, nickname: Some("阿狸".to_owned()), code: None, by: Some(by) };
    assert_eq!(ask(client, scan).await.status, Status::Delivered);
    assert_eq!(page.expect("scan_success").await["user"], "阿狸");
    scene
}

#[tokio::test]
async fn a_code_beside_the_qr_code_logs_the_page_in_and_then_says_that_it_is_over() {
    let place = tempdir().unwrap();
    let file = place.path().join("account.png");
    let own = fast_qr::QRBuilder::new(ACCOUNT_QR).build().unwrap();
    std::fs::write(&file, png_of(&own)).unwrap();
    let picture = format!("--gateway-account-qr={}", file.display());
    let stack = stack(&["--gateway-account-name=店", &picture]).await;
    let client = back_end(&stack);
    let mut page = Page::open(stack.gateway.browsers).await;
    let shown = page.expect("qrcode_url").await;
    assert_eq!(text(&shown, "account"), "店");
    assert_eq!(read(text(&shown, "account_image")), ACCOUNT_QR);
    assert_eq!(read(text(&shown, "image")), text(&shown, "content"));
    let typed = text(&shown, "typed");
    let scene = log_in(&client, &mut page, typed).await;
    assert!(text(&shown, "resume").starts_with(scene.as_str()));
    let over = find(&client, typed).await;
    assert_eq!((over.status, over.scene, over.state), (Status::Ok, Some(scene), Some(State::Granted)));
    let wrong = if typed == "000000" { "000001" } else { "000000" };
    let answer = find(&client, wrong).await;
    assert_eq!((answer.status, answer.scene, answer.state), (Status::Unknown, None, None));
}

/// A picture of a code, with four modules of white around it, and eight pixels each.
fn png_of(code: &fast_qr::QRCode) -> Vec<u8> {
    const MODULE: usize = 8;
    const WHITE: usize = 4;
    let side = (code.size + 2 * WHITE) * MODULE;
    let is_dark = |x: usize, y: usize| {
        let at = |pixel: usize| (pixel / MODULE).checked_sub(WHITE).filter(|module| *module < code.size);
        at(x).zip(at(y)).is_some_and(|(x, y)| code[y][x].value())
    };
    let pixels: Vec<u8> =
        (0..side * side).map(|pixel| if is_dark(pixel % side, pixel / side) { 0 } else { 255 }).collect();
    let mut file = Vec::new();
    let length = u32::try_from(side).unwrap();
    let encoder = png::Encoder::new(&mut file, length, length);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    file
}

#[tokio::test]
async fn an_account_without_the_permission_has_codes_to_type_and_is_asked_once() {
    let stack = stack(&["--gateway-qr-ready=0"]).await;
    stack.wechat.switches().fail(Call::QrcodeCreate, Fault::errcode(48001));
    let client = back_end(&stack);
    for _ in 0..5 {
        let mut page = Page::open(stack.gateway.browsers).await;
        let shown = page.expect("qrcode_url").await;
        assert_eq!((text(&shown, "url"), text(&shown, "content"), shown.get("image")), ("", "", None));
        log_in(&client, &mut page, text(&shown, "typed")).await;
    }
    assert_eq!(stack.wechat.counters().qr_calls, 1);
    let shown = |code: &str| format!("gateway_logins_shown_total{{code=\"{code}\"}}");
    assert_eq!(metric(stack.gateway.admin, &shown("typed")).await, 5);
    assert_eq!(metric(stack.gateway.admin, "gateway_logins_total").await, 5);
}

#[tokio::test]
async fn once_wechat_makes_codes_again_a_pages_next_login_has_one() {
    let stack = stack(&["--gateway-qr-ready=0"]).await;
    // It stands for nobody else.
    stack.wechat.switches().fail(Call::QrcodeCreate, Fault::errcode(40003).times(1));
    let mut page = Page::open(stack.gateway.browsers).await;
    assert_eq!(text(&page.expect("qrcode_url").await, "typed").len(), 6);
    page.say(r#"{"message_type":"refresh"}"#).await;
    let shown = page.expect("qrcode_url").await;
    assert_eq!(read(text(&shown, "image")), text(&shown, "content"));
    assert_eq!(shown.get("typed"), None);
}

#[tokio::test]
async fn once_the_day_is_spent_pages_show_the_address_of_their_logins_own_page() {
    let stack = stack(&["--gateway-qr-ready=0", "--gateway-web-url=https://login.example/wx/"]).await;
    stack.wechat.switches().fail(Call::QrcodeCreate, Fault::errcode(45009));
    let mut page = Page::open(stack.gateway.browsers).await;
    let shown = page.expect("qrcode_url").await;
    let scene = text(&shown, "resume").split('.').next().unwrap();
    let address = format!("https://login.example/wx/login/{scene}");
    assert_eq!((text(&shown, "content"), text(&shown, "open")), (&*address, &*address));
    assert_eq!([read(text(&shown, "image")), read(text(&shown, "url"))], [address.clone(), address]);
    let client = back_end(&stack);
    let claim = Notice::Claim { scene: scene.parse().unwrap(), by: "oAlice".to_owned(), number: None };
    assert_eq!(ask(&client, claim).await.status, Status::Delivered);
    page.expect("scanned").await;
}

#[tokio::test]
async fn with_codes_to_type_alone_wechat_is_asked_for_nothing() {
    let stack = stack(&["--gateway-ways=typed"]).await;
    let client = back_end(&stack);
    for _ in 0..3 {
        let mut page = Page::open(stack.gateway.browsers).await;
        let shown = page.expect("qrcode_url").await;
        log_in(&client, &mut page, text(&shown, "typed")).await;
    }
    let counters = stack.wechat.counters();
    assert_eq!((counters.token_calls, counters.qr_calls), (0, 0));
    assert_eq!(metric(stack.gateway.admin, "gateway_qr_calls_total").await, 0);
}

#[tokio::test]
async fn a_thousand_guesses_find_no_login_of_others() {
    let stack = stack(&["--gateway-ways=typed"]).await;
    let client = back_end(&stack);
    let mut page = Page::open(stack.gateway.browsers).await;
    let typed = text(&page.expect("qrcode_url").await, "typed").to_owned();
    let mine: u32 = typed.parse().unwrap();
    for guess in (mine + 1..).take(1_000) {
        let answer = find(&client, &format!("{:06}", guess % 1_000_000)).await;
        assert_eq!((answer.status, answer.scene, answer.state), (Status::Unknown, None, None));
    }
    log_in(&client, &mut page, &typed).await;
    assert_eq!(
        metric(
            stack.gateway.admin,
            "gateway_notices_total{client=\"callback\",type=\"find\",status=\"unknown\"}"
        )
        .await,
        1_000
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_once_that_pages_have_something_else_and_once_that_they_have_qr_codes_again() {
    let mut fleet = Fleet::prepare(fleet::Options::one_of_each()).await;
    fleet.gateways[0].set("GATEWAY_QR_READY", "0".to_owned());
    fleet.gateways[0].start();
    fleet.gateways[0].until_ready().await;
    fleet.wechat.switches().fail(Call::QrcodeCreate, Fault::errcode(40003).times(3));
    for has_qr_code in [false, false, false, true, true] {
        let shown = Page::open(fleet.gateways[0].public).await.expect("qrcode_url").await;
        assert_eq!(text(&shown, "content").is_empty(), !has_qr_code, "{shown}");
    }
    let mut log = fleet.gateways[0].program().log();
    let told = async {
        let mut pace = interval(Duration::from_millis(50));
        while !log.contains("there are QR codes again") {
            pace.tick().await;
            log = format!("{log}\n{}", fleet.gateways[0].program().log());
        }
    };
    timeout(PATIENCE, told).await.expect("the log says that it is over");
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    let began = lines("pages are shown a code to type alone in place of their QR codes: WeChat refused");
    assert_eq!((began, lines("there are QR codes again")), (1, 1), "{log}");
}
