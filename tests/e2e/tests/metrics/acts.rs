//! What people, back ends and strangers do, with a scrape after each act; and what the metrics must have counted.

use e2e::page::{Heard, Page};
use e2e::raw::{Raw, masked};
use protocol::message::Status;
use protocol::{Notice, Scene};
use serde_json::Value;
use simulator::{Call, Client as Browser, Fault, Person, Webview};
use tokio::net::TcpStream;

use crate::scrape::Scrape;
use crate::stage::{CONNECTIONS, PAGES, RATE, SHOP_KEY, Stage, ask};

/// Plays everything; gives the scrapes, the earliest first.
pub(crate) async fn all(stage: Stage) -> Vec<Scrape> {
    let mut seen = Vec::new();
    seen.extend(a_scan(&stage).await);
    seen.extend(other_ends(&stage).await);
    seen.push(other_ways(&stage).await);
    seen.extend(a_site(&stage).await);
    seen.push(messages(&stage).await);
    seen.push(errors_of_wechat(&stage).await);
    seen.push(at_the_internal_port(&stage).await);
    seen.push(strangers_at_the_doors(&stage).await);
    seen.push(limits(&stage).await);
    balanced(&seen);
    seen
}

/// What was shown and came back is what ended and what is there: at the end of the play, when all is quiet.
fn balanced(seen: &[Scrape]) {
    let last = &seen[seen.len() - 1];
    let began = last.get("gateway_logins_total") + last.get("gateway_resumed_total");
    let there = last.sum("gateway_logins_in_progress", "") + last.sum("gateway_logins_ended_total", "");
    assert_eq!(began, there, "{last:#?}");
}

async fn is_logged_in(page: &mut Page) {
    loop {
        match page.hear().await {
            Heard::Message(said) if said["message_type"] == "scan_success" => return,
            Heard::Message(said) if said["message_type"] == "scanned" => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Somebody scans a page's code.
async fn a_scan(stage: &Stage) -> [Scrape; 2] {
    let before = stage.scrape().await;
    let mut page = stage.page().await;
    let code = page.code().await;
    let shown = stage.scrape().await;
    assert_eq!(shown.get("gateway_logins_in_progress{state=\"waiting\"}"), 1.0);
    assert_eq!(shown.get("gateway_login_shown_seconds_count"), 1.0);
    stage.stack.wechat.scan(&stage.person(), &code.content).await.unwrap();
    is_logged_in(&mut page).await;
    let after = stage.scrape().await;
    for (sample, more) in [
        ("gateway_logins_in_progress{state=\"waiting\"}", 0.0),
        ("gateway_logins_ended_total{end=\"granted\"}", 1.0),
        ("gateway_login_scanned_seconds_count", 1.0),
        ("gateway_login_ended_seconds_count{end=\"granted\"}", 1.0),
        ("gateway_notices_total{client=\"callback\",type=\"scan\",status=\"delivered\"}", 1.0),
        ("gateway_notice_seconds_count{type=\"claim\"}", 1.0),
        ("callback_pushes_total{kind=\"scan\",result=\"done\"}", 1.0),
        ("callback_push_seconds_count", 1.0),
        ("callback_wechat_calls_total{api=\"user_info\",class=\"ok\"}", 1.0),
        ("callback_scans_total{told=\"logged_in\",way=\"scan\"}", 1.0),
    ] {
        assert_eq!(after.get(sample) - before.get(sample), more, "{sample}");
    }
    assert!(after.get("gateway_qr_left") < after.get("gateway_qr_per_day"));
    [shown, after]
}

/// Logins that are denied, replaced, left, and come back.
async fn other_ends(stage: &Stage) -> [Scrape; 2] {
    let shop = stage.client("shop", SHOP_KEY);
    shop.connected().await;
    let mut page = stage.page().await;
    let scene: Scene = page.code().await.scene().parse().unwrap();
    let denied = ask(&shop, Notice::Deny { scene, by: None }).await;
    assert_eq!(denied.status, Status::Delivered);
    page.expect("denied").await;
    let busy = ask(&shop, Notice::Query { scene }).await;
    assert_eq!(busy.status, Status::Busy, "one notice a second");

    page.say(r#"{"message_type":"refresh"}"#).await;
    page.code().await;
    page.say(r#"{"message_type":"refresh"}"#).await;
    let code = page.code().await;
    drop(page);
    let left = stage
        .until("a page has left", |now| now.get("gateway_logins_ended_total{end=\"left\"}") == 1.0)
        .await;
    let mut page = Page::resume(stage.stack.gateway.browsers, &code.resume).await;
    page.code().await;
    let back = stage.scrape().await;
    assert_eq!(back.get("gateway_resumed_total"), 1.0);
    assert_eq!(back.get("gateway_logins_in_progress{state=\"waiting\"}"), 1.0);
    let ends =
        ["denied", "replaced"].map(|end| back.get(&format!("gateway_logins_ended_total{{end=\"{end}\"}}")));
    assert_eq!(ends, [1.0, 1.0]);
    assert_eq!(back.get("gateway_limits_hit_total{limit=\"notices::clients\"}"), 1.0);
    let expires = back.get("gateway_client_key_expires_timestamp_seconds{client=\"shop\",key=\"1\"}");
    let certificate = back.get("gateway_certificate_expires_timestamp_seconds{file=\"notify_tls_cert\"}");
    assert_eq!([expires, certificate], [7_226_582_400.0; 2], "2199-01-01");
    [left, back]
}

/// A code that is typed, and a login inside WeChat.
async fn other_ways(stage: &Stage) -> Scrape {
    let person = stage.person();
    let mut page = stage.page().await;
    let shown = page.expect("qrcode_url").await;
    stage.stack.wechat.say(&person, shown["typed"].as_str().unwrap()).await.unwrap();
    is_logged_in(&mut page).await;

    let mut page = stage.page().await;
    let scene = page.code().await.scene();
    let somebody = stage.stack.wechat.add_person(Person::default()).openid;
    let mut webview = Webview::of(&stage.stack.wechat, &somebody, Browser::Phone);
    let address = format!("http://{}/login/{scene}", stage.stack.callback.pushes);
    let asked = webview.open(&address).await.unwrap();
    page.expect("scanned").await;
    // One tap.
    webview.press(&asked, "1").await.unwrap();
    is_logged_in(&mut page).await;
    let now = stage.scrape().await;
    for way in ["typed", "wechat"] {
        assert!(now.sum("callback_scans_total", &format!("way=\"{way}\"")) >= 1.0, "{way}");
    }
    assert_eq!(now.sum("callback_wechat_calls_total", "api=\"sns_token\",class=\"ok\""), 1.0);
    now
}

/// Somebody is asked for the number of a site's page; gives the page, who, and the number.
async fn asked(stage: &Stage) -> (Page, String, String) {
    let path = format!("/ws?site=asks&nonce=n&code_challenge={}", "a".repeat(43));
    let origin = Some("https://asks.example");
    let mut page = Page::of(origin, stage.stack.gateway.browsers, &path).await.unwrap();
    let (person, code) = (stage.person(), page.code().await);
    stage.stack.wechat.scan(&person, &code.content).await.unwrap();
    loop {
        if let Some(number) = page.expect("scanned").await["number"].as_str() {
            return (page, person, number.to_owned());
        }
    }
}

/// Logins at a site: one that its person confirms, and one to which they say no, of which the site's back end is told once
/// it answers.
async fn a_site(stage: &Stage) -> [Scrape; 2] {
    let (mut page, person, number) = asked(stage).await;
    let now = stage.scrape().await;
    assert_eq!(now.get("gateway_logins_in_progress{state=\"scanned\"}"), 1.0);
    stage.stack.wechat.say(&person, &number).await.unwrap();
    is_logged_in(&mut page).await;

    let (mut page, person, _) = asked(stage).await;
    stage.stack.wechat.say(&person, "0").await.unwrap();
    page.expect("denied").await;
    let failed = |now: &Scrape| now.get("callback_outbox_failed_total{kind=\"denial\"}");
    let waits = |now: &Scrape| failed(now) >= 1.0 && now.get("callback_outbox_waiting") == 1.0;
    let waits = stage.until("it is tried in vain and waits", waits).await;
    assert!(waits.get("callback_outbox_oldest_seconds") > 0.0);
    stage.is_up();
    let is_delivered = |now: &Scrape| now.get("callback_outbox_delivered_total{kind=\"denial\"}") == 1.0;
    let told = stage.until("it is delivered", is_delivered).await;
    for outcome in ["asked", "right", "not_me"] {
        let counted = told.sum("callback_confirmations_total", &format!("outcome=\"{outcome}\""));
        assert!(counted >= 1.0, "{outcome}");
    }
    [waits, stage.until("nothing waits", |now| now.get("callback_outbox_waiting") == 0.0).await]
}

/// What has nothing to do with a login: follows, messages, events, the verification, another protocol's codes.
async fn messages(stage: &Stage) -> Scrape {
    let wechat = &stage.stack.wechat;
    let person = wechat.invent_person("", false).openid;
    wechat.follow(&person).await.unwrap();
    let reply = wechat.say(&person, "验证码").await.unwrap().reply.unwrap();
    let code: String = reply.chars().filter(char::is_ascii_digit).take(6).collect();
    let address = format!("http://{}/api/wechat/user?code={code}", stage.stack.callback.pushes);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer: Value =
        http.get(address).header("authorization", &stage.token).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"], person.as_str(), "{answer}");
    wechat.push_event(&person, "CLICK", "menu").await;
    wechat.unfollow(&person).await.unwrap();
    wechat.verify_url().await.unwrap();
    let now = stage.scrape().await;
    for (kind, result) in [
        ("subscribe", "done"),
        ("text", "done"),
        ("event", "relayed"),
        ("unsubscribe", "done"),
        ("verification", "done"),
    ] {
        let pushed = now.sum("callback_pushes_total", &format!("kind=\"{kind}\",result=\"{result}\""));
        assert!(pushed >= 1.0, "{kind} {result}");
    }
    let counted = ["code", "right"].map(|outcome| now.sum("callback_wechat_server_total", outcome));
    assert_eq!(counted, [1.0, 1.0]);
    now
}

/// WeChat refuses to make codes for the other account, and to say who somebody is.
async fn errors_of_wechat(stage: &Stage) -> Scrape {
    let other = &stage.stack.others[0];
    let path = "/ws?account=other";
    let mut page = Page::of(None, stage.stack.gateway.browsers, path).await.unwrap();
    let code = page.code().await;
    other.scan(&other.invent_person("", true).openid, &code.content).await.unwrap();
    is_logged_in(&mut page).await;
    other.switches().fail(Call::QrcodeCreate, Fault::errcode(48001));
    // Those that were made ahead go first.
    let refused = loop {
        let mut page = Page::of(None, stage.stack.gateway.browsers, path).await.unwrap();
        page.expect("qrcode_url").await;
        let now = stage.scrape().await;
        if now.get("gateway_qr_failures_total{account=\"other\"}") >= 1.0 {
            break now;
        }
    };
    assert_eq!(refused.get("gateway_wechat_breaker_open{api=\"qrcode_create\",account=\"other\"}"), 1.0);
    assert_eq!(refused.get("gateway_wechat_breaker_open{api=\"qrcode_create\"}"), 0.0);
    assert!(refused.get("gateway_wechat_calls_total{api=\"qrcode_create\",class=\"permission\"}") >= 1.0);
    other.switches().heal_all();

    // Nor does it say who somebody is, who logs in all the same.
    let wechat = &stage.stack.wechat;
    wechat.switches().fail(Call::UserInfo, Fault::errcode(48001));
    let mut page = stage.page().await;
    let code = page.code().await;
    wechat.scan(&stage.person(), &code.content).await.unwrap();
    is_logged_in(&mut page).await;
    wechat.switches().heal_all();
    let open = |now: &Scrape| now.get("callback_wechat_breaker_open{api=\"user_info\"}") == 1.0;
    stage.until("it is not asked any more", open).await
}

/// Who comes to the internal port without TLS, with a wrong key, or too often.
async fn at_the_internal_port(stage: &Stage) -> Scrape {
    let mut plain = Raw::connect(stage.stack.gateway.notices).await;
    plain.write(b"not TLS at all, but long enough to be taken for a record").await;
    plain.ended().await;
    drop(plain);
    stage.until("it was no TLS", |now| now.get("gateway_tls_failures_total") >= 1.0).await;
    let wrong = stage.client("shop", "another key than the shop's, also long");
    let link = wrong.wait_for(|link| matches!(link, protocol::client::Link::Refused { .. })).await;
    assert!(link.to_string().contains("unauthorized"), "{link}");
    let shops = [(); 3].map(|()| stage.client("shop", SHOP_KEY));
    let is_hit = |now: &Scrape| now.get("gateway_limits_hit_total{limit=\"notices::credentials\"}") >= 1.0;
    let now = stage.until("a client has too many connections", is_hit).await;
    assert!(now.get("gateway_clients_refused_total") >= 1.0);
    assert!(now.get("gateway_unauthorized_total") >= 1.0);
    drop(shops);
    now
}

/// A page of a foreign origin, a page that floods, and a push that nobody has signed.
async fn strangers_at_the_doors(stage: &Stage) -> Scrape {
    let foreign = Page::of(Some("https://evil.example"), stage.stack.gateway.browsers, "/ws").await;
    assert!(foreign.is_err());
    let mut flood = Raw::connect(stage.stack.gateway.browsers).await.upgrade("/ws", &[]).await.unwrap();
    flood.write(masked(1, br#"{"message_type":"x"}"#).repeat(100)).await;
    flood.closed().await;
    for path in ["/wechat", "/wechat/other"] {
        let query = "signature=0&timestamp=1&nonce=2";
        let head = format!("POST {path}?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        Raw::ask(stage.stack.callback.pushes, &head, b"").await;
    }
    let now = stage
        .until("a page floods", |now| now.get("gateway_limits_hit_total{limit=\"browsers::socket\"}") == 1.0)
        .await;
    assert_eq!(now.get("gateway_pages_refused_total{reason=\"origin\"}"), 1.0);
    assert!(now.sum("callback_refused_total", "") >= 1.0);
    now
}

/// Both ports are filled, and an address asks for too many logins.
async fn limits(stage: &Stage) -> Scrape {
    let mut pages = Vec::new();
    for _ in 0..PAGES + 2 {
        match Page::of(None, stage.stack.gateway.browsers, "/ws").await {
            Ok(page) => pages.push(page),
            Err(_) => break,
        }
    }
    let is_full = |now: &Scrape| now.get("gateway_limits_hit_total{limit=\"GATEWAY_MAX_PAGES\"}") >= 1.0;
    let full = stage.until("the page port is full", is_full).await;
    assert!(full.get("gateway_refused_total") >= 1.0);
    drop(pages);
    stage.until("all pages have gone", |now| now.get("gateway_pages") == 0.0).await;
    for _ in 0..=RATE {
        if let Heard::Message(said) = stage.page().await.hear().await
            && said["code"] == "too_many"
        {
            break;
        }
    }
    // Requests whose bodies do not come are at work, and do not give way.
    let head = "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 9\r\n\r\n";
    let mut held: Vec<TcpStream> = Vec::new();
    let full = loop {
        let mut raw = Raw::connect(stage.stack.callback.pushes).await;
        raw.write(head).await;
        held.push(raw.0);
        let now = stage.scrape().await;
        if now.get("callback_limits_hit_total{limit=\"CALLBACK_MAX_CONNECTIONS\"}") >= 1.0 {
            break now;
        }
        assert!(held.len() < 50 * CONNECTIONS, "the port never gets full");
    };
    assert!(full.get("callback_connections_refused_total") >= 1.0);
    assert_eq!(full.get("gateway_logins_refused_total{reason=\"address\"}"), 1.0);
    assert_eq!(full.get("gateway_limits_hit_total{limit=\"GATEWAY_ADDRESS_RATE\"}"), 1.0);
    drop(held);
    stage.until("all is quiet", |now| now.get("gateway_pages") == 0.0).await
}
