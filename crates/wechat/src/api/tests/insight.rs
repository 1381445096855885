//! What WeChat tells of the account itself.

use std::time::{SystemTime, UNIX_EPOCH};

use super::*;
use crate::api::{Ping, Quota};

fn answering(text: &'static str) -> impl Fn(&Request, usize) -> Reply + Send + Sync + 'static {
    move |request, n| if request.is_token() { numbered_token(n) } else { json(text) }
}

#[tokio::test]
async fn the_quota_of_qr_codes_is_asked_for_by_their_path() {
    let fake = Fake::start(answering(
        r#"{"errcode":0,"errmsg":"ok","quota":{"daily_limit":100000,"used":99000,"remain":1000},"rate_limit":{}}"#,
    ))
    .await;
    let quota = fake.client(PATIENCE).qr_quota().await.unwrap();
    assert_eq!(quota, Quota { limit: 100_000, used: 99_000, left: 1000 });
    let asked = &fake.seen()[1];
    assert_eq!(asked.target, "/cgi-bin/openapi/quota/get?access_token=TOKEN-0");
    assert_eq!(asked.body, r#"{"cgi_path":"/cgi-bin/qrcode/create"}"#);
}

#[tokio::test]
async fn a_refused_call_is_told_without_its_query_and_body() {
    let fake = Fake::start(answering(
        r#"{"errcode":0,"errmsg":"ok","request":{"invoke_time":1635156704,"cost_in_ms":30,
            "request_url":"access_token=50_SECRET","request_body":"{\"secret\":\"SECRET\"}",
            "response_body":"{}","client_ip":"203.0.113.7"}}"#,
    ))
    .await;
    let call = fake.client(PATIENCE).refused_call("617682e0-09059ac5-34a8e2ea").await.unwrap();
    assert_eq!((call.client.as_str(), call.took), ("203.0.113.7", Duration::from_millis(30)));
    assert_eq!(call.at, UNIX_EPOCH + Duration::from_secs(1_635_156_704));
    assert!(!format!("{call:?}").contains("SECRET"));
    assert_eq!(fake.seen()[1].body, r#"{"rid":"617682e0-09059ac5-34a8e2ea"}"#);
}

#[tokio::test]
async fn wechat_tells_which_addresses_it_finds_and_which_answer_a_ping() {
    let fake = Fake::start(answering(
        r#"{"dns":[{"ip":"111.161.64.40","real_operator":"UNICOM"},{"ip":"2001:db8::7","real_operator":"CAP"}],
            "ping":[{"ip":"111.161.64.40","from_operator":"UNICOM","package_loss":"0%","time":"23.079ms"},
                    {"ip":"2001:db8::7","from_operator":"CAP","package_loss":"100%","time":""}]}"#,
    ))
    .await;
    let check = fake.client(PATIENCE).callback_check().await.unwrap();
    let [first, second] = ["111.161.64.40", "2001:db8::7"].map(|text| text.parse().unwrap());
    assert_eq!(check.addresses, [first, second]);
    let ping = |address, from: &str, is_lost| Ping { address, from: from.to_owned(), is_lost };
    assert_eq!(check.pings, [ping(first, "UNICOM", false), ping(second, "CAP", true)]);
    let asked = &fake.seen()[1];
    assert_eq!(asked.target, "/cgi-bin/callback/check?access_token=TOKEN-0");
    assert_eq!(asked.body, r#"{"action":"all","check_operator":"DEFAULT"}"#);
}

#[tokio::test]
async fn an_account_without_a_push_url_is_told_by_its_code() {
    let fake = Fake::start(answering(r#"{"errcode":40201,"errmsg":"invalid url rid: 1-2-3"}"#)).await;
    let client = fake.client(PATIENCE);
    for _ in 0..2 {
        let error = client.callback_check().await.unwrap_err();
        assert_eq!((error.code(), error.rid()), (Some(40201), Some("1-2-3")));
    }
    assert_eq!(fake.seen().len(), 3, "no breaker opens: setting the URL ends it");
}

#[tokio::test]
async fn any_answer_shows_that_wechat_is_there_and_its_date_is_read() {
    let fake = Fake::start(|_, _| Reply::Dated("Sun, 06 Nov 1994 08:49:37 GMT")).await;
    let reached = fake.client(PATIENCE).reach().await.unwrap();
    let date: SystemTime = UNIX_EPOCH + Duration::from_secs(784_111_777);
    assert_eq!((reached.date, reached.proxy), (Some(date), None));
    assert_eq!(fake.seen()[0].target, "/cgi-bin/getcallbackip", "no token, and none is fetched");
    let fake = Fake::start(|_, _| Reply::Status(502)).await;
    assert_eq!(fake.client(PATIENCE).reach().await.unwrap().date, None);
    let fake = Fake::start(|_, _| Reply::Never).await;
    let error = fake.client(Duration::from_millis(100)).reach().await.unwrap_err();
    assert_eq!(error.class(), Class::Timeout);
}
