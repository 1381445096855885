//! The form of each request, and the forms that an answer over HTTP may have.

use super::*;

#[tokio::test]
async fn a_qr_code_is_asked_for_in_the_documented_words() {
    let fake = Fake::start(|r, n| if r.is_token() { numbered_token(n) } else { json(QR) }).await;
    let code = create(&fake.client(PATIENCE)).await.unwrap();
    assert_eq!(code.ticket, "gQ-ticket");
    assert_eq!(code.url, "http://weixin.qq.com/q/02x");
    assert_eq!(code.expire, Duration::from_secs(300));
    let seen = fake.seen();
    let read = |body: &str| serde_json::from_str::<serde_json::Value>(body).unwrap();
    assert_eq!(
        read(&seen[0].body),
        serde_json::json!({
            "grant_type": "client_credential", "appid": "wx0123456789abcdef", "secret": SECRET, "force_refresh": false
        })
    );
    assert_eq!(seen[1].target, "/cgi-bin/qrcode/create?access_token=TOKEN-0");
    assert_eq!(
        read(&seen[1].body),
        serde_json::json!({
            "expire_seconds": 300, "action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "L7fK2m-Qx"}}
        })
    );
}

#[tokio::test]
async fn a_person_is_asked_for_and_an_absent_or_empty_name_is_none() {
    let fake = Fake::start(|r, n| {
        if r.is_token() {
            numbered_token(n)
        } else if r.target.contains("openid=named&") {
            json(r#"{"subscribe":1,"openid":"named","nickname":"阿狸\u202e","unionid":"u1"}"#)
        } else if r.target.contains("openid=empty&") {
            json(r#"{"subscribe":1,"openid":"empty","nickname":"","unionid":""}"#)
        } else {
            json(r#"{"subscribe":0,"openid":"gone"}"#)
        }
    })
    .await;
    let client = fake.client(PATIENCE);
    let named = client.user("named").await.unwrap();
    assert_eq!(
        (named.nickname.as_deref(), named.unionid.as_deref(), named.subscribed),
        (Some("阿狸"), Some("u1"), true)
    );
    let empty = client.user("empty").await.unwrap();
    assert_eq!((empty.nickname, empty.unionid, empty.subscribed), (None, None, true));
    assert!(!client.user("gone").await.unwrap().subscribed);
    assert_eq!(fake.seen()[1].target, "/cgi-bin/user/info?access_token=TOKEN-0&openid=named&lang=zh_CN");
    client.user("a&b=c").await.unwrap();
    assert!(fake.seen()[4].target.contains("openid=a%26b%3Dc"));
}

#[tokio::test]
async fn an_http_failure_is_told_by_its_status() {
    let fake = Fake::start(|_, _| Reply::Status(502)).await;
    let error = create(&fake.client(PATIENCE)).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 502, .. }), "{error}");
    assert_eq!(error.class(), Class::Transport);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let fake = Fake::start(|_, _| Reply::Status(302)).await;
    let error = create(&fake.client(PATIENCE)).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 302, .. }), "{error}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let fake =
        Fake::start(|_, _| Reply::Json(format!(r#"{{"access_token":"{}"}}"#, "A".repeat(70_000)))).await;
    let error = create(&fake.client(PATIENCE)).await.unwrap_err();
    assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
}
