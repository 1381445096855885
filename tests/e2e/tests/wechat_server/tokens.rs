//! Who may ask: the token of the header, and what an entry allows.

use demo::{Options, Stack};
use e2e::raw::Raw;
use reqwest::Method;
use serde_json::Value;
use simulator::{Call, Fault};

use crate::client::{NO_RIGHT, World, good};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_sites_own_token_in_the_header_opens_anything() {
    let world = World::with("").await;
    let person = world.person();
    let (site, code) = (&world.site, world.code(&person).await);
    let user = format!("/api/wechat/user?code={code}");
    let in_query = format!("{user}&token={0}&access_token={0}&Authorization={0}", site.token);
    let longer = format!("{}x", site.token);
    let basic = format!("Basic {}", site.token);
    let (upper, shorter) = (site.token.to_ascii_uppercase(), &site.token[1..]);
    for header in
        [None, Some(""), Some("Bearer"), Some(&*longer), Some(shorter), Some(&*basic), Some(&*upper)]
    {
        for (method, path) in [
            (Method::GET, &*in_query),
            (Method::GET, "/api/wechat/user"),
            (Method::GET, "/api/wechat/access_token"),
            (Method::GET, "/api/wechat/login_status?login_token=x"),
            (Method::POST, "/api/wechat/create_login_qrcode"),
        ] {
            assert_eq!(site.ask(method, path, header).await, NO_RIGHT, "{header:?} {path}");
        }
    }
    // Some forks write Bearer before it.
    let bearer = format!("Bearer {}", site.token);
    assert_eq!(
        site.ask(Method::GET, &user, Some(&bearer)).await,
        good(&person),
        "nothing has used the code up"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_methods_use_no_code_up() {
    let world = World::with("").await;
    let person = world.person();
    let code = world.code(&person).await;
    for method in ["HEAD", "POST", "PUT", "OPTIONS"] {
        let head = format!(
            "{method} /api/wechat/user?code={code} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\nconnection: close\r\n\r\n",
            world.site.token
        );
        let answer = Raw::ask(world.site.server, &head, b"").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("get")), "{method}");
    }
    assert_eq!(world.site.user(&code).await, good(&person));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_access_token_is_for_an_entry_that_says_so() {
    let world = World::with("").await;
    assert_eq!(world.site.get("/api/wechat/access_token").await, NO_RIGHT);

    let world = World::with("access_token = true").await;
    let body = world.site.get("/api/wechat/access_token").await;
    assert!(body.starts_with(r#"{"success":true,"message":"","access_token":""#), "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let left = answer["expiration"].as_u64().unwrap();
    assert!((300..=7200).contains(&left), "{left}");
    let (calls, token) =
        (world.stack.wechat.counters().token_calls, answer["access_token"].as_str().unwrap());
    let again: Value = serde_json::from_str(&world.site.get("/api/wechat/access_token").await).unwrap();
    assert_eq!(again["access_token"], token, "one token for all");
    assert_eq!(world.stack.wechat.counters().token_calls, calls);

    let world = World::with("access_token = true").await;
    world.stack.wechat.switches().fail(Call::StableToken, Fault::errcode(40125));
    let body = world.site.get("/api/wechat/access_token").await;
    assert_eq!(body, r#"{"message":"系统繁忙，请稍后再试","success":false}"#);
}

/// Without the setting nothing is there, and the words say nothing special.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_setting_there_is_no_such_protocol() {
    let stack = Stack::start(Options::default()).await.unwrap();
    for path in ["/api/wechat/user?code=1", "/api/wechat/access_token", "/api/wechat"] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert_eq!(Raw::ask(stack.callback.pushes, &head, b"").await.status, 404, "{path}");
    }
    let person = stack.wechat.invent_person("阿狸", true).openid;
    let reply = stack.wechat.say(&person, "验证码").await.unwrap().reply.unwrap();
    assert!(reply.contains("打开网站的登录页"), "{reply}");
}
