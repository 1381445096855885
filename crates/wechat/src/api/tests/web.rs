//! The code of a web authorization is exchanged for who came, once.

use super::*;
use crate::api::NoWebUser;

const BASE: &str = r#"{"access_token":"PERSONAL","expires_in":7200,"refresh_token":"R","openid":"oA","scope":"snsapi_base"}"#;
const WITH_PROFILE: &str =
    r#"{"access_token":"PERSONAL","openid":"oA","scope":"snsapi_userinfo","unionid":"u1"}"#;

fn is_exchange(request: &Request) -> bool {
    request.target.starts_with("/sns/oauth2/access_token?")
}

#[tokio::test]
async fn a_code_tells_who_came_without_the_accounts_token() {
    let fake = Fake::start(|_, _| json(BASE)).await;
    let user = fake.client(PATIENCE).web_user("c&1").await.unwrap();
    assert_eq!((user.person.as_str(), user.unionid, user.nickname), ("oA", None, None));
    let targets: Vec<_> = fake.seen().into_iter().map(|request| request.target).collect();
    assert_eq!(
        targets,
        [
            "/sns/oauth2/access_token?appid=wx0123456789abcdef&secret=the-app-secret&code=c%261&grant_type=authorization_code"
        ]
    );
}

#[tokio::test]
async fn who_has_agreed_comes_with_a_name_and_without_it_where_that_call_fails() {
    for (profile, expected) in [
        (
            r#"{"openid":"oA","nickname":" 阿狸\u202e","headimgurl":"https://a/b","unionid":"u1"}"#,
            (Some("阿狸"), Some("https://a/b")),
        ),
        (r#"{"openid":"oA","nickname":"","headimgurl":"http://a/b"}"#, (None, None)),
        (r#"{"errcode":40001,"errmsg":"invalid credential"}"#, (None, None)),
    ] {
        let fake =
            Fake::start(move |r, _| if is_exchange(r) { json(WITH_PROFILE) } else { json(profile) }).await;
        let client = fake.client(PATIENCE);
        for _ in 0..2 {
            let user = client.web_user("c1").await.unwrap();
            assert_eq!((user.nickname.as_deref(), user.picture.as_deref()), expected);
            assert_eq!(user.unionid.as_deref(), Some("u1"));
        }
        let seen = fake.seen();
        assert_eq!(seen[1].target, "/sns/userinfo?access_token=PERSONAL&openid=oA&lang=zh_CN");
        assert_eq!(seen.len(), 4, "one person's token stops nobody else");
    }
}

#[tokio::test]
async fn a_virtual_person_is_refused() {
    let answer = r#"{"access_token":"P","openid":"oVirtual","scope":"snsapi_userinfo","is_snapshotuser":1}"#;
    let fake = Fake::start(move |_, _| json(answer)).await;
    assert_eq!(fake.client(PATIENCE).web_user("c1").await, Err(NoWebUser::Snapshot));
    assert_eq!(fake.seen().len(), 1, "nothing is asked about nobody");
}

#[tokio::test]
async fn a_bad_code_is_told_apart_and_stops_nobody_else() {
    for code in [40029, 40163] {
        let fake = Fake::start(move |_, _| json(&format!(r#"{{"errcode":{code},"errmsg":"no"}}"#))).await;
        let client = fake.client(PATIENCE);
        for _ in 0..2 {
            let Err(NoWebUser::Failed(error)) = client.web_user("c1").await else { panic!() };
            assert_eq!(error.class(), Class::WebCode);
        }
        assert_eq!(fake.seen().len(), 2, "each is asked about once");
    }
}

#[tokio::test]
async fn a_refusal_of_the_account_stands_and_a_busy_wechat_is_asked_again() {
    let fake = Fake::start(|_, _| json(r#"{"errcode":40125,"errmsg":"invalid appsecret"}"#)).await;
    let client = fake.client(PATIENCE);
    for _ in 0..3 {
        let Err(NoWebUser::Failed(error)) = client.web_user("c1").await else { panic!() };
        assert_eq!(error.class(), Class::Credentials);
    }
    assert_eq!(fake.seen().len(), 1);
    let fake = Fake::start(|_, _| json(r#"{"errcode":-1,"errmsg":"system error"}"#)).await;
    fake.client(PATIENCE).web_user("c1").await.unwrap_err();
    assert_eq!(fake.seen().len(), 3);
}

#[tokio::test]
async fn a_code_that_may_have_been_used_is_not_shown_again() {
    for answer in [|| Reply::Status(502), || Reply::Never] {
        let fake = Fake::start(move |_, _| answer()).await;
        fake.client(Duration::from_millis(500)).web_user("c1").await.unwrap_err();
        assert_eq!(fake.seen().len(), 1);
    }
}

#[tokio::test]
async fn no_failure_tells_the_secret_the_code_or_a_persons_token() {
    let replies: [fn() -> Reply; 4] = [
        || json(r#"{"errcode":40029,"errmsg":"invalid code"}"#),
        || json(r#"{"access_token":"PERSONAL""#),
        || Reply::Status(500),
        || Reply::Never,
    ];
    let mut told = Vec::new();
    let log = Logged::start();
    for reply in replies {
        for is_first in [true, false] {
            let fake = Fake::start(
                move |r, _| {
                    if is_first || !is_exchange(r) { reply() } else { json(WITH_PROFILE) }
                },
            )
            .await;
            let outcome = fake.client(Duration::from_secs(1)).web_user("THE-CODE").await;
            assert_eq!(outcome.is_err(), is_first);
            told.extend(outcome.err().map(|error| format!("{error} {error:?}")));
        }
    }
    told.push(log.to_string());
    for text in told {
        assert!(!text.contains("THE-CODE") && !text.contains("PERSONAL") && !text.contains(SECRET), "{text}");
    }
}
