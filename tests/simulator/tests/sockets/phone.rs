//! The phone over HTTP, and the page that shows it.

use crate::support::{ok, plaintext, receive, reply, serve};
use serde_json::json;

#[tokio::test]
async fn a_login_by_curl() {
    let served = serve(plaintext()).await;
    receive(&served.simulator, |_, push| ok(reply(push, "登录成功")));
    let person = served.post("/phone/people", &json!({"nickname": "小明"})).await;
    assert_eq!(person["follower"], false);
    let openid = person["openid"].as_str().unwrap();
    served.code("older", 60).await;
    served.code("newer", 60).await;

    let codes = served.get("/phone/codes").await;
    assert_eq!(codes[0]["scene"], "newer");
    assert_eq!(codes[1]["scene"], "older");
    let scan = json!({"openid": openid, "text": codes[0]["text"]});
    let delivery = served.post("/phone/scan", &scan).await;
    assert_eq!(delivery["reply"], "登录成功");
    assert_eq!(delivery["attempts"][0]["status"], 200);
    let said = served.post("/phone/say", &json!({"openid": openid, "text": "1"})).await;
    assert_eq!(said["attempts"].as_array().unwrap().len(), 1);

    let chat = served.get(&format!("/phone/chat?openid={openid}")).await;
    assert_eq!(chat["person"]["follower"], true);
    assert_eq!(chat["bubbles"][0]["text"], "登录成功");
    assert_eq!(chat["bubbles"][1]["from_person"], true);
    let newer = served.get(&format!("/phone/chat?openid={openid}&after=2")).await;
    assert_eq!(newer["bubbles"].as_array().unwrap().len(), 1);
    assert_eq!(served.get("/phone/people").await[0]["nickname"], "小明");
}

#[tokio::test]
async fn wrong_requests_are_named() {
    let served = serve(plaintext()).await;
    let told = async |path: &str, body| served.post(path, &body).await["error"].clone();
    let openid = served.simulator.invent_person("", false).openid;
    assert_eq!(told("/phone/scan", json!({"openid": openid, "text": "x"})).await, "unknown_code");
    assert_eq!(told("/phone/say", json!({"openid": openid, "text": "x"})).await, "not_following");
    assert_eq!(told("/phone/follow", json!({"openid": "nobody"})).await, "nobody");
    assert_eq!(told("/phone/scan", json!({"openid": openid})).await, "bad");
    assert_eq!(told("/phone/dance", json!({})).await, "bad");
    assert_eq!(told("/phone/people", json!({"openid": "a b"})).await, "bad");
}

#[tokio::test]
async fn the_text_of_a_code_leads_to_the_page_and_the_page_runs_nothing_foreign() {
    let served = serve(plaintext()).await;
    let code = served.code("abc", 60).await;
    let page = served.http.get(code["url"].as_str().unwrap());
    let page = page.send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let html = page.text().await.unwrap();
    for line in html.lines() {
        assert!(
            !line.contains("<script>") && !line.contains(" style=") && !line.contains(" onclick"),
            "{line}"
        );
    }
    for file in ["phone.css", "phone.js", "words.js"] {
        assert!(html.contains(&format!("/page/{file}")));
        let answer = served.http.get(format!("{}/page/{file}", served.url)).send().await;
        assert_eq!(answer.unwrap().status(), 200);
    }
}
