//! The phone over HTTP, and the page that shows it.

use std::io::Cursor;

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
    assert_eq!(chat["bubbles"][0]["scanned"], "newer");
    assert_eq!(chat["bubbles"][1]["text"], "登录成功");
    assert_eq!(chat["bubbles"][2]["from_person"], true);
    let newer = served.get(&format!("/phone/chat?openid={openid}&after=3")).await;
    assert_eq!(newer["bubbles"].as_array().unwrap().len(), 1);
    assert_eq!(served.get("/phone/people").await[0]["nickname"], "小明");
}

#[tokio::test]
async fn the_camera_sees_how_old_a_code_is_and_who_has_scanned_it() {
    let served = serve(plaintext()).await;
    let phone = &served.simulator;
    receive(phone, |number, push| if number == 1 { ok("no reply") } else { ok(reply(push, "好")) });
    let openid = phone.invent_person("小红", true).openid;
    served.code("older", 60).await;
    let text = served.code("newer", 60).await["url"].as_str().unwrap().to_owned();
    let picture = served.get("/phone/codes").await[0]["id"].as_str().unwrap().to_owned();
    let picture = served.http.get(format!("{}/phone/picture?id={picture}", served.url)).send().await.unwrap();
    assert_eq!(picture.headers()["content-type"], "image/png");
    assert_eq!(read(&picture.bytes().await.unwrap()), text);
    assert_eq!(phone.counters().picture_calls, 0, "the camera is no call of WeChat's");

    // A scan that the account never answered can be tried again; the first try of this one fails.
    phone.scan_repeated(&openid, &text, 2).await.unwrap();
    let codes = served.get("/phone/codes").await;
    assert_eq!((&codes[0]["scene"], &codes[0]["scanned_by"]), (&json!("newer"), &json!("小红")));
    assert_eq!((&codes[1]["scene"], &codes[1]["scanned_by"]), (&json!("older"), &json!(null)));
    assert!(codes[1]["age"].as_u64().unwrap() < 60, "{codes}");
    assert_eq!(
        phone.scan(&openid, &text).await.unwrap().reply.as_deref(),
        Some("好"),
        "WeChat counts no scans"
    );
}

#[tokio::test]
async fn a_scan_that_was_never_answered_leaves_the_code_as_it_was() {
    let served = serve(plaintext()).await;
    receive(&served.simulator, |_, _| ok("no reply"));
    let openid = served.simulator.invent_person("", true).openid;
    let text = served.code("abc", 60).await["url"].as_str().unwrap().to_owned();
    assert!(!served.simulator.scan(&openid, &text).await.unwrap().is_ok());
    assert_eq!(served.get("/phone/codes").await[0]["scanned_by"], json!(null));
}

#[tokio::test]
async fn a_push_that_is_repeated_by_curl_is_one_message() {
    let served = serve(plaintext()).await;
    let got = receive(&served.simulator, |_, push| ok(reply(push, "好")));
    let openid = served.simulator.invent_person("", true).openid;
    let said = served.post("/phone/say", &json!({"openid": openid, "text": "42", "tries": 3})).await;
    assert_eq!(said["attempts"].as_array().unwrap().len(), 3);
    assert_eq!(said["reply"], "好");
    let got = got.lock().unwrap().clone();
    assert!(got.iter().all(|it| it.body == got[0].body) && got.len() == 3);
    for tries in [0, 4] {
        let told = served.post("/phone/say", &json!({"openid": openid, "text": "42", "tries": tries})).await;
        assert_eq!(told["error"], "bad", "{told}");
    }
}

#[tokio::test]
async fn a_persons_language_can_be_set_and_user_info_gives_it() {
    let served = serve(plaintext()).await;
    let person = served.post("/phone/people", &json!({"nickname": "Anna", "follower": true})).await;
    assert_eq!(person["language"], "zh_CN");
    let openid = person["openid"].as_str().unwrap();
    let changed = json!({"openid": openid, "follower": true, "language": "en"});
    assert_eq!(served.post("/phone/people", &changed).await["nickname"], "Anna");
    let token = served.stable_token().await;
    let info = served.get(&format!("/cgi-bin/user/info?access_token={token}&openid={openid}")).await;
    assert_eq!(info["language"], "en");
}

/// The text of a QR code's picture.
fn read(file: &[u8]) -> String {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let side = reader.next_frame(&mut pixels).unwrap().width as usize;
    let mut picture = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| pixels[y * side + x]);
    picture.detect_grids()[0].decode().unwrap().1
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
    assert_eq!(told("/phone/people", json!({"language": "<zh>"})).await, "bad");
    let picture = served.get("/phone/picture?id=nothing").await;
    assert_eq!(picture["error"], "unknown_code");
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
    for file in ["phone.css", "phone.js"] {
        assert!(html.contains(&format!("/page/{file}")));
    }
    for file in ["phone.css", "phone.js", "simulator.js", "camera.js", "chat.js", "words.js"] {
        let answer = served.http.get(format!("{}/page/{file}", served.url)).send().await;
        assert_eq!(answer.unwrap().status(), 200);
    }
}
