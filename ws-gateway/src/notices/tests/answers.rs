//! What is asked and what is answered: proof and notice in one write, every status, and objects that are no notice.

use std::time::Duration;

use protocol::Scene;
use protocol::message::Context;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Port, SHOP_KEY, TTL, auth, frame, framed};
use crate::testing::in_memory::KEY;

#[tokio::test(start_paused = true)]
async fn a_client_proves_its_key_and_notifies_in_one_write() {
    let port = Port::open();
    let (scene, _page) = port.login_with_page().await;
    let mut wire = port.connect();
    let hello = wire.hear().await;
    let challenge = hello["challenge"].as_str().unwrap();
    assert_eq!(challenge.len(), 22);
    assert_eq!(
        hello,
        json!({"type": "hello", "version": 1, "challenge": challenge, "max_frame": 65_536, "heartbeat": 30})
    );
    let first = json!({"type": "claim", "id": "扫1", "scene": scene, "by": "p", "later": {"x": [1]}});
    let both = [frame(&auth("callback", KEY, challenge)), frame(&first)].concat();
    wire.write(&both).await;
    assert_eq!(
        wire.hear().await,
        json!({
            "type": "answer", "id": "扫1", "status": "delivered", "state": "scanned",
            "context": {"ip": "", "created_at": 0},
        }),
        "success is silent, so the answer comes first"
    );
}

#[tokio::test(start_paused = true)]
async fn the_originals_notice_logs_a_page_in() {
    let port = Port::open();
    let (scene, page) = port.login_with_page().await;
    let mut wire = port.client().await;
    wire.write(&framed(format!(r#"{{"type":"scan","fd":"{scene}","nickname":"阿狸 <b>"}}"#).as_bytes()))
        .await;
    assert_eq!(
        wire.hear().await,
        json!({"type": "answer", "status": "delivered", "state": "granted"}),
        "no id was sent, so none comes back"
    );
    page.woken().await;
    let login = port.gateway.logins.look(scene).await.unwrap().unwrap();
    assert_eq!(login.user, "阿狸 <b>");
}

/// Who asks what, and the answer. The page of `$here` is connected, the others are away; `$gone` was never a
/// login, `$old` has had its time, `$for_a_site` names a site.
const CONVERSATION: &str = r#"
callback | {"type":"query","scene":"$here"} | {"status":"ok","state":"waiting"}
callback | {"type":"claim","scene":"$here","by":"p","number":"42"} | {"status":"delivered","state":"scanned","context":{"ip":"","created_at":0,"number":"42"}}
callback | {"type":"claim","scene":"$here","by":"p","number":"43","id":"again"} | {"status":"delivered","state":"scanned","repeat":true,"context":{"ip":"","created_at":0,"number":"42"}}
callback | {"type":"claim","scene":"$here","by":"q"} | {"status":"taken","state":"scanned"}
callback | {"type":"scan","scene":"$here","by":"q"} | {"status":"taken","state":"scanned"}
callback | {"type":"scan","scene":"$here"} | {"status":"taken","state":"scanned"}
callback | {"type":"scan","scene":"$here","by":"p"} | {"status":"delivered","state":"granted"}
shop | {"type":"scan","scene":"$here","by":"p"} | {"status":"delivered","state":"granted","repeat":true}
callback | {"type":"claim","scene":"$here","by":"p"} | {"status":"delivered","state":"granted","repeat":true,"context":{"ip":"","created_at":0,"number":"42"}}
callback | {"type":"deny","scene":"$here","by":"p"} | {"status":"taken","state":"granted"}
callback | {"type":"scan","scene":"$away","id":"s1","nickname":"one"} | {"status":"stored","state":"granted"}
callback | {"type":"scan","scene":"$away","id":"s1","nickname":"two"} | {"status":"stored","state":"granted","repeat":true}
callback | {"type":"scan","scene":"$away","id":"s2"} | {"status":"taken","state":"granted"}
callback | {"type":"scan","scene":"$away"} | {"status":"taken","state":"granted"}
shop | {"type":"scan","scene":"$away","id":"s1"} | {"status":"taken","state":"granted"}
callback | {"type":"deny","scene":"$said_no"} | {"status":"stored","state":"denied"}
callback | {"type":"scan","scene":"$gone"} | {"status":"unknown"}
callback | {"type":"claim","scene":"$old","by":"p"} | {"status":"expired","state":"expired"}
callback | {"type":"query","scene":"$old"} | {"status":"ok","state":"expired"}
shop | {"type":"query","scene":"$here"} | {"status":"forbidden"}
shop | {"type":"deny","scene":"$gone"} | {"status":"forbidden"}
shop | {"type":"scan","scene":"$here","code":"c"} | {"status":"forbidden"}
shop | {"type":"claim","scene":"$for_a_site","by":"p"} | {"status":"forbidden"}
callback | {"type":"claim","scene":"$for_a_site","by":"p"} | {"status":"stored","state":"scanned","context":{"site":"bookshop","ip":"192.0.2.1","created_at":7}}
callback | {"type":"scan","scene":"$for_a_site","by":"p"} | {"status":"bad","message":"scan needs code, because the login names a site or a request"}
callback | {"type":"scan","scene":"$for_a_site","by":"p","code":"c"} | {"status":"stored","state":"granted"}
"#;

#[tokio::test(start_paused = true)]
async fn every_status_is_reached() {
    let port = Port::open();
    let old = port.login().await;
    sleep(TTL).await;
    let (here, _page) = port.login_with_page().await;
    let (away, said_no, gone) = (port.login().await, port.login().await, Scene::random());
    let for_a_site = port
        .login_of(Context {
            site: Some("bookshop".to_owned()),
            ip: "192.0.2.1".to_owned(),
            created_at: 7,
            ..Context::default()
        })
        .await;
    let mut callback = port.client().await;
    let mut shop = port.connect();
    shop.prove("shop", SHOP_KEY).await;

    let scenes = [
        ("$here", here),
        ("$away", away),
        ("$said_no", said_no),
        ("$gone", gone),
        ("$old", old),
        ("$for_a_site", for_a_site),
    ];
    for line in CONVERSATION.trim().lines() {
        let line = scenes.iter().fold(line.to_owned(), |line, (name, scene)| {
            line.replace(&format!("\"{name}\""), &format!("\"{scene}\""))
        });
        let [client, notice, answer] = line.split(" | ").collect::<Vec<_>>().try_into().unwrap();
        let wire = if client == "shop" { &mut shop } else { &mut callback };
        let notice: Value = serde_json::from_str(notice).unwrap();
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(wire.ask(&notice).await, answer, "{line}");
    }

    // 180 s after its end a login is unknown, and not a moment earlier.
    for _ in 0..8 {
        sleep(Duration::from_millis(22_499)).await;
        callback.is_served().await;
    }
    let repeat = json!({"type": "scan", "scene": here, "by": "p"});
    assert_eq!(callback.ask(&repeat).await["repeat"], true);
    sleep(Duration::from_millis(8)).await;
    assert_eq!(callback.ask(&repeat).await, json!({"status": "unknown"}));
}

/// Objects that are no notice, and a word of why.
const FAULTS: &str = r#"
{"id":"a"} | type is missing
{"id":"a","type":"shout","scene":"$scene"} | unknown type
{"id":"a","type":"hello"} | unknown type
{"id":"a","type":["scan"]} | expected a string
{"id":"a","type":"scan"} | scene is missing
{"id":"a","type":"scan","scene":7} | expected a string
{"id":"a","type":"scan","fd":"7"} | 22 characters
{"id":"a","type":"scan","fd":"$scene","scene":"$scene"} | give one of them
{"id":"a","type":"claim","scene":"$scene"} | claim needs by
{"id":"a","type":"deny","scene":"$scene","by":""} | by is empty
{"id":"a","type":"scan","scene":"$scene","code":""} | code is empty
{"id":"a","type":"claim","scene":"$scene","by":"p","number":"7"} | two digits
{"id":"a","type":"claim","scene":"$scene","by":"p","number":42} | expected a string
"#;

#[tokio::test(start_paused = true)]
async fn a_bad_object_is_answered_and_the_connection_stays() {
    let port = Port::open();
    let scene = port.login().await;
    let mut wire = port.client().await;
    let text = |length| "扫".repeat(length);
    for line in FAULTS.trim().lines() {
        let (object, word) = line.split_once(" | ").unwrap();
        let object = object.replace("$scene", scene.as_str());
        wire.write(&framed(object.as_bytes())).await;
        let answer = wire.hear().await;
        assert_eq!((&answer["id"], &answer["status"]), (&json!("a"), &json!("bad")), "{line}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(word), "{line}: {message}");
    }
    for (field, most) in [("by", 128), ("nickname", 256), ("code", 512)] {
        let mut scan = json!({"type": "scan", "id": "a", "scene": scene});
        scan[field] = json!(text(most + 1));
        let message = format!("{field} has more than {most} characters");
        assert_eq!(wire.ask(&scan).await, json!({"status": "bad", "message": message}));
    }
    // These have no id that could be echoed.
    for object in [
        json!({"type": "query", "id": text(65), "scene": scene}),
        json!({"type": "ping", "id": 7}),
        json!({"type": "auth", "id": "a", "client": "callback", "proof": "again"}),
    ] {
        wire.say(&object).await;
        let answer = wire.hear().await;
        assert_eq!((&answer["status"], answer.get("id")), (&json!("bad"), None), "{object}");
    }
    // Nothing of it was recorded, and what is just within the limits is.
    let query = json!({"type": "query", "scene": scene});
    assert_eq!(wire.ask(&query).await, json!({"status": "ok", "state": "waiting"}));
    let most = json!({
        "type": "scan", "id": text(64), "scene": scene, "by": text(128), "nickname": text(256), "code": text(512),
    });
    assert_eq!(wire.ask(&most).await["status"], "stored");
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_by_a_pong_with_its_id() {
    let port = Port::open();
    let mut wire = port.client().await;
    wire.say(&json!({"type": "ping", "id": "7"})).await;
    wire.say(&json!({"type": "ping"})).await;
    assert_eq!(wire.hear().await, json!({"type": "pong", "id": "7"}));
    assert_eq!(wire.hear().await, json!({"type": "pong"}));
}
